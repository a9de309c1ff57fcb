"""CloudWatch Logs in SQLite: log events survive a restart and kill -9.

Events are stored in the order (stream, time, sequence number), so the tail of a stream is a range of the primary key.
A position in a listing is such a (time, number); tokens are made from it, so new events never shift a page.
Requests arrive validated against botocore's model (`protocol.call_json`); here are the rules that the model lacks.
Source: CloudWatch Logs API reference.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sandbox.common.database import Database, Row
from sandbox.http.protocol import ApiError, Params, unknown_operation
from sandbox.services.logs import pattern

_SCHEMA = """
create table if not exists log_group(
    name text primary key, created integer not null, retention integer) without rowid;
create table if not exists stream(
    id integer primary key autoincrement, log_group text not null, name text not null, created integer not null,
    first integer, last integer, ingested integer, bytes integer not null default 0, unique(log_group, name));
create table if not exists event(
    stream integer, time integer, number integer, ingested integer not null, message text not null,
    primary key(stream, time, number)) without rowid;
"""
# Limits of PutLogEvents and of a response, by AWS's API reference.
BATCH_BYTES = 1_048_576
EVENT_OVERHEAD = 26
ANSWER_BYTES = 1_048_576
ANSWER_EVENTS = 10_000
DAY = 86_400_000  # ms
OLDEST, NEWEST = 14 * DAY, 2 * 3_600_000
_ENDLESS = 2**63 - 1
Position = tuple[int, int]  # (time in ms, sequence number)


class Logs:
    """The service, thread-safe. path: the SQLite file; clock: seconds since 1970."""

    def __init__(self, path: Path, region: str, account: str, clock: Callable[[], float] = time.time) -> None:
        self._prefix = f"arn:aws:logs:{region}:{account}:log-group:"
        self._clock = clock
        self._db = Database(path, _SCHEMA)
        self._number: int = self._db.rows("select coalesce(max(number), 0) from event")[0][0]
        self._operations: dict[str, Callable[[Params], Params | None]] = {
            "CreateLogGroup": self._create_group,
            "DeleteLogGroup": self._delete_group,
            "DescribeLogGroups": self._describe_groups,
            "PutRetentionPolicy": self._put_retention,
            "CreateLogStream": self._create_stream,
            "DeleteLogStream": self._delete_stream,
            "DescribeLogStreams": self._describe_streams,
            "PutLogEvents": self._put_events,
            "GetLogEvents": self._get_events,
            "FilterLogEvents": self._filter_events,
        }

    def call(self, operation: str, params: Params) -> Params:
        """Run one operation and return its result. Raises ApiError."""
        run = self._operations.get(operation)
        if run is None:
            raise unknown_operation("logs", operation)
        with self._db.lock:
            return run(params) or {}

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    # Groups

    def _create_group(self, params: Params) -> None:
        """Answer CreateLogGroup."""
        name = params["logGroupName"]
        if self._db.rows("select 1 from log_group where name = ?", name):
            raise ApiError("ResourceAlreadyExistsException", "The specified log group already exists")
        self._db.change("insert into log_group values (?, ?, null)", name, self._now())

    def _delete_group(self, params: Params) -> None:
        """Answer DeleteLogGroup."""
        name = self._group(params)
        with self._db.transaction():
            self._db.change(
                "delete from event where stream in (select id from stream where log_group = ?)", name
            )
            self._db.change("delete from stream where log_group = ?", name)
            self._db.change("delete from log_group where name = ?", name)

    def _describe_groups(self, params: Params) -> Params:
        """Answer DescribeLogGroups."""
        prefix, part = params.get("logGroupNamePrefix", ""), params.get("logGroupNamePattern", "")
        if prefix and part:
            raise _invalid(
                "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
            )
        limit, after = params.get("limit", 50), _parse_token(params.get("nextToken"), [""])[0]
        rows = self._db.rows(
            "select name, created, retention, (select coalesce(sum(bytes), 0) from stream where log_group = g.name) "
            "from log_group g where name > ? and substr(name, 1, ?) = ? and instr(lower(name), lower(?)) > 0 "
            "order by name limit ?",
            *(after, len(prefix), prefix, part, limit + 1),
        )
        groups = [self._described_group(row) for row in rows[:limit]]
        return {"logGroups": groups} | _next_token(rows, limit, lambda row: [row[0]])

    def _described_group(self, row: Row) -> Params:
        """Return one group of DescribeLogGroups."""
        name, created, retention, stored = row
        return {
            "logGroupName": name,
            "creationTime": created,
            "retentionInDays": retention,
            "metricFilterCount": 0,
            "arn": f"{self._prefix}{name}:*",
            "logGroupArn": f"{self._prefix}{name}",
            "logGroupClass": "STANDARD",
            "storedBytes": stored,
        }

    def _put_retention(self, params: Params) -> None:
        """Answer PutRetentionPolicy; the policy is stored, but no events are deleted."""
        self._db.change(
            "update log_group set retention = ? where name = ?",
            params["retentionInDays"],
            self._group(params),
        )

    def _group(self, params: Params) -> str:
        """Return the name of the request's group, given by name or ARN. Raises ApiError when it does not exist."""
        identifier = params.get("logGroupName") or params.get("logGroupIdentifier")
        if not identifier:
            raise _invalid("Either logGroupName or logGroupIdentifier is required.")
        name = str(identifier).removeprefix(self._prefix).removesuffix(":*")
        if not self._db.rows("select 1 from log_group where name = ?", name):
            raise ApiError("ResourceNotFoundException", "The specified log group does not exist.")
        return name

    # Streams

    def _create_stream(self, params: Params) -> None:
        """Answer CreateLogStream."""
        group, name = self._group(params), params["logStreamName"]
        if self._db.rows("select 1 from stream where log_group = ? and name = ?", group, name):
            raise ApiError("ResourceAlreadyExistsException", "The specified log stream already exists")
        self._db.change(
            "insert into stream(log_group, name, created) values (?, ?, ?)", group, name, self._now()
        )

    def _delete_stream(self, params: Params) -> None:
        """Answer DeleteLogStream."""
        stream = self._stream(params)
        with self._db.transaction():
            self._db.change("delete from event where stream = ?", stream)
            self._db.change("delete from stream where id = ?", stream)

    def _stream(self, params: Params) -> int:
        """Return the id of the request's stream. Raises ApiError when it does not exist."""
        return self._stream_ids(self._group(params), [params["logStreamName"]])[0]

    def _stream_ids(self, group: str, names: Iterable[str]) -> list[int]:
        """Return the ids of streams by name. Raises ApiError when one does not exist."""
        matches = [
            self._db.rows("select id from stream where log_group = ? and name = ?", group, name)
            for name in names
        ]
        if not all(matches):
            raise ApiError("ResourceNotFoundException", "The specified log stream does not exist.")
        return [rows[0][0] for rows in matches]

    def _describe_streams(self, params: Params) -> Params:
        """Answer DescribeLogStreams."""
        group, prefix = self._group(params), params.get("logStreamNamePrefix", "")
        by_time = params.get("orderBy") == "LastEventTime"
        if by_time and prefix:
            raise _invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
        limit, down = params.get("limit", 50), bool(params.get("descending"))
        key = "coalesce(last, -1)" if by_time else "0"
        # The first page starts below the lowest or, in descending order, above the highest (time, name).
        edge = [_ENDLESS, ""] if down else [-2, ""]
        after = _parse_token(params.get("nextToken"), edge)
        rows = self._db.rows(
            f"select name, created, first, last, ingested, {key} as place from stream "  # noqa: S608 - fixed words only
            f"where log_group = ? and ({key}, name) {'<' if down else '>'} (?, ?) and substr(name, 1, ?) = ? "
            f"order by place {'desc' if down else ''}, name {'desc' if down else ''} limit ?",
            *(group, *after, len(prefix), prefix, limit + 1),
        )
        streams = [self._described_stream(group, row) for row in rows[:limit]]
        return {"logStreams": streams} | _next_token(rows, limit, lambda row: [row[5], row[0]])

    def _described_stream(self, group: str, row: Row) -> Params:
        """Return one stream of DescribeLogStreams."""
        name, created, first, last, ingested, _ = row
        return {
            "logStreamName": name,
            "creationTime": created,
            "firstEventTimestamp": first,
            "lastEventTimestamp": last,
            "lastIngestionTime": ingested,
            "uploadSequenceToken": "0",
            "arn": f"{self._prefix}{group}:log-stream:{name}",
            "storedBytes": 0,  # AWS has reported 0 for streams since 2019
        }

    # Events

    def _put_events(self, params: Params) -> Params:
        """Answer PutLogEvents: too old and too new events are dropped and reported by index, as in AWS."""
        stream, events, now = self._stream(params), params["logEvents"], self._now()
        times = [event["timestamp"] for event in events]
        _check_batch(events, times)
        old = sum(at < now - OLDEST for at in times)
        new = sum(at > now + NEWEST for at in times)
        kept = events[old : len(events) - new]
        self._insert(stream, kept, now)
        rejected = {"tooOldLogEventEndIndex": old} if old else {}
        rejected |= {"tooNewLogEventStartIndex": len(events) - new} if new else {}
        result = {"nextSequenceToken": str(self._number)}
        return result | ({"rejectedLogEventsInfo": rejected} if rejected else {})

    def _insert(self, stream: int, events: list[Params], now: int) -> None:
        """Store events and update their stream."""
        if not events:
            return
        first = self._number + 1
        self._number += len(events)
        rows = [(stream, item["timestamp"], n, now, item["message"]) for n, item in enumerate(events, first)]
        size = sum(len(item["message"]) + EVENT_OVERHEAD for item in events)
        low, high = events[0]["timestamp"], events[-1]["timestamp"]
        with self._db.transaction():
            self._db.change_many("insert into event values (?, ?, ?, ?, ?)", rows)
            self._db.change(
                "update stream set first = min(coalesce(first, ?), ?), last = max(coalesce(last, ?), ?), "
                "ingested = ?, bytes = bytes + ? where id = ?",
                *(low, low, high, high, now, size, stream),
            )

    def _get_events(self, params: Params) -> Params:
        """Answer GetLogEvents."""
        stream, limit = self._stream(params), params.get("limit", ANSWER_EVENTS)
        forward, (low, high) = bool(params.get("startFromHead")), (_at(0), _at(_ENDLESS))
        if token := params.get("nextToken"):
            forward, position = _position(token)
            low, high = (position, high) if forward else (low, position)
        rows = self._db.rows(
            "select time, number, ingested, message from event "  # noqa: S608 - fixed words only
            "where stream = ? and (time, number) > (?, ?) "
            "and (time, number) < (?, ?) and time >= ? and time < ? "
            f"order by time {'' if forward else 'desc'}, number {'' if forward else 'desc'} limit ?",
            *(stream, *low, *high, params.get("startTime", 0), params.get("endTime", _ENDLESS), limit),
        )
        rows = _fitting(rows)
        rows = rows if forward else rows[::-1]
        # An empty page returns the request's token: AWS's sign for "the end, for now".
        empty = (low, (low[0], low[1] + 1)) if forward else ((high[0], max(high[1] - 1, 0)), high)
        last, first = (rows[-1][:2], rows[0][:2]) if rows else empty
        if not token and not rows:
            last, first = _at(0), _at(0)
        return {
            "events": [
                {"timestamp": at, "message": text, "ingestionTime": ingested}
                for at, _, ingested, text in rows
            ],
            "nextForwardToken": _token("f", last),
            "nextBackwardToken": _token("b", first),
        }

    def _filter_events(self, params: Params) -> Params:
        """Answer FilterLogEvents."""
        streams = self._chosen_streams(params)
        test, values = pattern.condition(params.get("filterPattern", ""))
        limit = params.get("limit", ANSWER_EVENTS)
        after = _parse_token(params.get("nextToken"), [-1, -1])
        rows = self._db.rows(
            "select e.time, e.number, e.ingested, e.message, s.name "  # noqa: S608 - values are bound
            "from event e join stream s on s.id = e.stream "
            "where e.stream in (select value from json_each(?)) and (e.time, e.number) > (?, ?) "
            f"and e.time >= ? and e.time <= ? and {test} order by e.time, e.number limit ?",
            *(json.dumps(streams), *after, params.get("startTime", 0), params.get("endTime", _ENDLESS)),
            *(*values, limit + 1),
        )
        shown = _fitting(rows[:limit])
        events = [
            {
                "logStreamName": name,
                "timestamp": at,
                "message": text,
                "ingestionTime": ingested,
                "eventId": f"{at:020d}{number:036d}",
            }
            for at, number, ingested, text, name in shown
        ]
        return {"events": events, "searchedLogStreams": []} | _next_token(
            rows, len(shown), lambda row: row[:2]
        )

    def _chosen_streams(self, params: Params) -> list[int]:
        """Return the ids of the streams that FilterLogEvents searches."""
        group = self._group(params)
        names, prefix = params.get("logStreamNames"), params.get("logStreamNamePrefix")
        if names and prefix:
            raise _invalid("Use either logStreamNames or logStreamNamePrefix, not both.")
        if names:
            return self._stream_ids(group, names)
        sql = "select id from stream where log_group = ? and substr(name, 1, ?) = ?"
        return [row[0] for row in self._db.rows(sql, group, len(prefix or ""), prefix or "")]

    def _now(self) -> int:
        """Return the time, milliseconds since 1970."""
        return int(self._clock() * 1000)


def _check_batch(events: list[Params], times: list[int]) -> None:
    """Raise ApiError for a PutLogEvents batch out of order, over 24 hours, or over 1 MiB.

    As in AWS, every event counts 26 bytes more than its message.
    """
    if any(later < earlier for earlier, later in itertools.pairwise(times)):
        raise _invalid("Log events in a single PutLogEvents request must be in chronological order.")
    if times[-1] - times[0] > DAY:
        raise _invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
        )
    size = sum(len(event["message"].encode()) + EVENT_OVERHEAD for event in events)
    if size > BATCH_BYTES:
        raise _invalid(f"Upload too large: {size} bytes exceeds limit of {BATCH_BYTES}")


def _fitting(rows: list[Row]) -> list[Row]:
    """Return as many rows as fit one response, at least one; the message is the fourth column."""
    size = 0
    for count, row in enumerate(rows):
        size += len(row[3]) + EVENT_OVERHEAD
        if size > ANSWER_BYTES and count:
            return rows[:count]
    return rows


def _at(moment: int) -> Position:
    """Return the position before all events of a time."""
    return moment, 0


def _token(direction: str, position: tuple[Any, ...]) -> str:
    """Return a token of GetLogEvents."""
    return f"{direction}/{position[0]:020d}{position[1]:036d}/s"


def _position(token: str) -> tuple[bool, Position]:
    """Return whether a GetLogEvents token goes forward, and its position. Raises ApiError."""
    match = re.fullmatch(r"([fb])/([0-9]{20})([0-9]{36})/s", token)
    if not match:
        raise _invalid("The specified nextToken is invalid.")
    return match[1] == "f", (min(int(match[2]), _ENDLESS), min(int(match[3]), _ENDLESS))


def _next_token(rows: list[Row], shown: int, place: Callable[[Row], Iterable[object]]) -> Params:
    """Return the token for the rows after the first `shown`; empty at the end."""
    if len(rows) <= shown:
        return {}
    value = json.dumps(list(place(rows[shown - 1])))
    return {"nextToken": base64.urlsafe_b64encode(value.encode()).decode()}


def _parse_token(token: str | None, first: list[Any]) -> list[Any]:
    """Return the position in a token, or `first` without one. Raises ApiError."""
    if token is None:
        return first
    try:
        place = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, RecursionError) as error:
        raise _invalid("The specified nextToken is invalid.") from error
    numbers = [item for item in place if isinstance(item, int)] if isinstance(place, list) else []
    if any(abs(number) > _ENDLESS for number in numbers):
        raise _invalid("The specified nextToken is invalid.")
    if not isinstance(place, list) or [type(item) for item in place] != [type(item) for item in first]:
        raise _invalid("The specified nextToken is invalid.")
    return place


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterException", message)
