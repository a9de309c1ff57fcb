"""Lines of a log, as they come from CloudWatch Logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from core.escaping import log_line

Level = Literal["error", "warning", "info", "debug"]
LEVELS: tuple[Level, ...] = ("error", "warning", "info", "debug")

TRAINING_LOG_GROUP = "/aws/sagemaker/TrainingJobs"
"""Streams in it are called JOB/algo-1-NUMBER (developer guide, "Log SageMaker events with CloudWatch")."""

ENDPOINT_LOG_GROUP = "/aws/sagemaker/Endpoints"
"""Each endpoint has a group below it, with streams called VARIANT/INSTANCE."""

MAX_LINE = 4_000
"""Characters of a line that are looked at: enough for any metric, too few to make a search slow."""

ANSI = re.compile(r"\x1b\[[0-9;:]*[mK]")
"""Colors, and the end of a line cleared after one: they hold no text. Any other sequence is shown as a code."""

STAMPED = re.compile(r"^\[[0-9/: ]{10,30}\s(?P<level>[A-Z]+)\b")
"""AWS's own logging: `[11/22/2026 12:00:00 INFO 139815590688576] text`."""

BARE = re.compile(r"\b(?P<level>ERROR|CRITICAL|FATAL|WARN(?:ING)?|DEBUG|INFO)\b")
FAILURE = re.compile(
    r"^Traceback \(most recent call last\)|^\s*[\w.]*(?:Error|Exception)\b: "
    r"|\b(?:Customer|Algorithm|Platform) Error\b|out of memory|cudaMalloc failed|Segmentation fault"
    r"|Check failed:|core dumped"
)
WORDS: dict[str, Level] = {
    "ERROR": "error",
    "CRITICAL": "error",
    "FATAL": "error",
    "WARN": "warning",
    "WARNING": "warning",
    "DEBUG": "debug",
    "INFO": "info",
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One line.

    at:      when the container wrote it; aware, UTC.
    message: without the newline.
    stream:  the log stream's name; empty where it is not told.
    """

    at: datetime
    message: str
    stream: str = ""


def from_cloudwatch(rows: Iterable[Mapping[str, Any]], stream: str = "") -> tuple[LogEvent, ...]:
    """From `events` of GetLogEvents or FilterLogEvents, whose timestamps are milliseconds since 1970."""
    return tuple(
        LogEvent(
            EPOCH + timedelta(milliseconds=row.get("timestamp", 0)),
            str(row.get("message", "")).rstrip("\r\n"),
            row.get("logStreamName", stream),
        )
        for row in rows
    )


def plain(message: str) -> str:
    """The text without a terminal's colours, cut at `MAX_LINE` characters."""
    text = message[: 2 * MAX_LINE]
    return (ANSI.sub("", text) if "\x1b" in text else text)[:MAX_LINE]


def level(message: str) -> Level:
    """How bad a line is: by the container's own word, else by what it says."""
    text = plain(message)
    stamped = STAMPED.match(text)
    if stamped and stamped["level"] in WORDS:
        word_level = WORDS[stamped["level"]]
        return "error" if word_level == "info" and "Customer Error" in text else word_level
    if FAILURE.search(text):
        return "error"
    bare = BARE.search(text[:80])
    return WORDS[bare["level"]] if bare else "info"


def first_error(events: Sequence[LogEvent]) -> int | None:
    """The place of the first error in a run of lines; None where there is none."""
    return next((place for place, event in enumerate(events) if level(event.message) == "error"), None)


def matching(
    events: Iterable[LogEvent], text: str = "", levels: Iterable[Level] = LEVELS
) -> tuple[LogEvent, ...]:
    """The lines that hold a text (in any case) and have one of these levels."""
    wanted, allowed = text.casefold(), frozenset(levels)
    return tuple(
        event
        for event in events
        if wanted in event.message.casefold()
        and (len(allowed) == len(LEVELS) or level(event.message) in allowed)
    )


def as_text(events: Iterable[LogEvent]) -> str:
    """Return a file to download: one line an event, each with its time in UTC, so that no message forges another."""
    return "".join(
        f"{event.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3]
        + f"Z {log_line(ANSI.sub('', event.message))}\n"
        for event in events
    )
