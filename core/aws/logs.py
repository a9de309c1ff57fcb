"""Read a job's or an endpoint's log from CloudWatch Logs: its end first, then new lines."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.aws.connection import Clients
from core.aws.errors import required
from core.errors import NotFoundError
from core.training.log_lines import ENDPOINT_LOG_GROUP, TRAINING_LOG_GROUP, LogEvent, from_cloudwatch

LIMIT = 500
MAX_LIMIT = 10_000
"""Maximum events of one GetLogEvents call; a response is also limited to 1 MB (API reference)."""

MAX_EVENTS = 100_000
MAX_SECONDS = 30.0
CUT_BYTES, EVENT_BYTES = 900_000, 26
"""CloudWatch cuts a page at 1 MB, so one of this size can have older lines. An event counts as so many bytes more."""

BACKWARDS = 20
"""How many pages to follow backward: CloudWatch may return empty pages between full ones."""


@dataclass(frozen=True, slots=True)
class LogToken:
    """The position in a log: the stream, CloudWatch's token in it, and the stream's group."""

    stream: str
    forward: str
    group: str = TRAINING_LOG_GROUP


@dataclass(frozen=True, slots=True)
class TailPage:
    """Log lines, oldest first.

    next_token: the token for the following lines; None if there is no log yet.
    at_end:     whether there are no more lines at the moment.
    has_log:    False if there is no log stream: the container has not started, or its log has expired.
    cut:        whether there can be older lines that are not in `events`.
    """

    events: tuple[LogEvent, ...]
    next_token: LogToken | None
    at_end: bool
    has_log: bool
    cut: bool = False


@dataclass(frozen=True, slots=True)
class WholeLog:
    """A log from its start. complete: whether this is the whole log so far."""

    events: tuple[LogEvent, ...]
    complete: bool


def log_streams(clients: Clients, job_name: str) -> tuple[str, ...]:
    """Return the log streams of a job, oldest first: JOB/algo-1-NUMBER, one per start of its instance."""
    doing = f"find the log of {job_name}"
    try:
        with clients.calling(doing):
            answer = clients.logs.describe_log_streams(
                logGroupName=TRAINING_LOG_GROUP, logStreamNamePrefix=f"{job_name}/", limit=50
            )
    except NotFoundError:
        return ()  # the account's first job creates the group
    names = [required(row, "logStreamName", doing) for row in required(answer, "logStreams", doing)]
    return tuple(sorted(names, key=_started))


def tail(clients: Clients, job_name: str, *, token: LogToken | None = None, limit: int = LIMIT) -> TailPage:
    """Return the last lines of a job's log; with an earlier page's token, the lines after it. Raises AwsError."""
    if token is not None:
        return _after(clients, token, limit)
    streams = log_streams(clients, job_name)
    if not streams:
        return TailPage((), None, at_end=True, has_log=False)
    return _last(clients, LogToken(streams[-1], ""), limit)


def endpoint_streams(clients: Clients, name: str) -> tuple[str, ...]:
    """Return the log streams of an endpoint, the latest written first: VARIANT/INSTANCE, one per instance.

    At most 50. Raises AwsError.
    """
    doing = f"find the log of {name}"
    try:
        with clients.calling(doing):
            answer = clients.logs.describe_log_streams(
                logGroupName=f"{ENDPOINT_LOG_GROUP}/{name}",
                orderBy="LastEventTime",
                descending=True,
                limit=50,
            )
    except NotFoundError:
        return ()  # the first line creates the group
    return tuple(required(row, "logStreamName", doing) for row in required(answer, "logStreams", doing))


def endpoint_tail(
    clients: Clients, name: str, *, stream: str = "", token: LogToken | None = None, limit: int = LIMIT
) -> TailPage:
    """Return the last lines of an endpoint's log, as `tail` does; by default of the latest stream."""
    if token is not None:
        return _after(clients, token, limit)
    streams = (stream,) if stream else endpoint_streams(clients, name)
    if not streams:
        return TailPage((), None, at_end=True, has_log=False)
    return _last(clients, LogToken(streams[0], "", f"{ENDPOINT_LOG_GROUP}/{name}"), limit)


def stream_tail(
    clients: Clients, group: str, stream: str, *, token: LogToken | None = None, limit: int = LIMIT
) -> TailPage:
    """Return the last lines of one stream, as `tail` does."""
    return (
        _after(clients, token, limit)
        if token is not None
        else _last(clients, LogToken(stream, "", group), limit)
    )


def all_events(
    clients: Clients, job_name: str, *, max_events: int = MAX_EVENTS, seconds: float = MAX_SECONDS
) -> WholeLog:
    """Return all streams of a job from their start, up to these limits. Raises AwsError."""
    events: list[LogEvent] = []
    until = time.monotonic() + seconds
    for stream in log_streams(clients, job_name):
        token: LogToken | None = None
        while True:
            if len(events) >= max_events or time.monotonic() > until:
                return WholeLog(tuple(events[:max_events]), complete=False)
            page = _after(clients, token or LogToken(stream, ""), MAX_LIMIT)
            events += page.events
            token = page.next_token
            if page.at_end:
                break
    return WholeLog(tuple(events), complete=True)


def _last(clients: Clients, token: LogToken, limit: int) -> TailPage:
    """Read back from the end of a log, page by page where CloudWatch returns an empty one or cuts one at 1 MB."""
    answer = _get(clients, token, limit, startFromHead=False)
    forward, back = answer["nextForwardToken"], answer
    rows, cut = list(back["events"]), True
    for _ in range(BACKWARDS):
        earlier = back.get("nextBackwardToken")
        partial = not back["events"] or _size(back["events"]) >= CUT_BYTES
        if len(rows) >= limit or not partial or not earlier:
            cut = len(rows) >= limit
            break
        back = _get(clients, token, limit - len(rows), startFromHead=False, nextToken=earlier)
        rows = [*back["events"], *rows]
        if back.get("nextBackwardToken") == earlier:
            cut = False
            break
    events = from_cloudwatch(rows, token.stream)
    return TailPage(events, replace(token, forward=forward), at_end=True, has_log=True, cut=cut)


def _size(rows: Sequence[Mapping[str, Any]]) -> int:
    return sum(len(row.get("message", "").encode()) + EVENT_BYTES for row in rows)


def _after(clients: Clients, token: LogToken, limit: int) -> TailPage:
    """Read on from a token; getting the same token back means the end (API reference)."""
    more = {"nextToken": token.forward} if token.forward else {}
    answer = _get(clients, token, limit, startFromHead=True, **more)
    forward = answer["nextForwardToken"]
    events = from_cloudwatch(answer["events"], token.stream)
    return TailPage(events, replace(token, forward=forward), at_end=forward == token.forward, has_log=True)


def _get(clients: Clients, token: LogToken, limit: int, **more: Any) -> dict[str, Any]:
    doing = f"read the log {token.stream}"
    with clients.calling(doing):
        answer: dict[str, Any] = clients.logs.get_log_events(
            logGroupName=token.group, logStreamName=token.stream, limit=min(limit, MAX_LIMIT), **more
        )
    required(answer, "events", doing)
    required(answer, "nextForwardToken", doing)
    return answer


def _started(stream: str) -> tuple[int, str]:
    """Return the sort key of a stream: the number at its end is its start time in seconds."""
    number = stream.rpartition("-")[2]
    return (int(number) if number.isascii() and number.isdigit() else 0), stream
