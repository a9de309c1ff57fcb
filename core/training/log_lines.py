"""Log lines from CloudWatch Logs."""

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
"""Its streams are named JOB/algo-1-NUMBER (developer guide, "Log SageMaker events with CloudWatch")."""

ENDPOINT_LOG_GROUP = "/aws/sagemaker/Endpoints"
"""Prefix of each endpoint's log group, whose streams are named VARIANT/INSTANCE."""

MAX_LINE = 4_000
"""How many characters of a line are searched: enough for any metric, few enough to stay fast."""

ANSI = re.compile(r"\x1b\[[0-9;:]*[mK]")
"""Color codes, and the clear-to-end-of-line after one: they hold no text. Other sequences are shown as codes."""

STAMPED = re.compile(r"^\[[0-9/: ]{10,30}\s(?P<level>[A-Z]+)\b")
"""AWS's log format: `[11/22/2026 12:00:00 INFO 139815590688576] text`."""

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
    """One log line.

    at:      when the container wrote it; aware, UTC.
    message: without the newline.
    stream:  the log stream's name; empty if unknown.
    """

    at: datetime
    message: str
    stream: str = ""


def from_cloudwatch(rows: Iterable[Mapping[str, Any]], stream: str = "") -> tuple[LogEvent, ...]:
    """Read `events` of GetLogEvents or FilterLogEvents, whose timestamps are milliseconds since 1970."""
    return tuple(
        LogEvent(
            EPOCH + timedelta(milliseconds=row.get("timestamp", 0)),
            str(row.get("message", "")).rstrip("\r\n"),
            row.get("logStreamName", stream),
        )
        for row in rows
    )


def plain(message: str) -> str:
    """Return the text without terminal colors, truncated to `MAX_LINE` characters."""
    text = message[: 2 * MAX_LINE]
    return (ANSI.sub("", text) if "\x1b" in text else text)[:MAX_LINE]


def level(message: str) -> Level:
    """Return the level of a line: as logged by the container, otherwise derived from its text."""
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
    """Return the index of the first error; None if there is none."""
    return next((place for place, event in enumerate(events) if level(event.message) == "error"), None)


def matching(
    events: Iterable[LogEvent], text: str = "", levels: Iterable[Level] = LEVELS
) -> tuple[LogEvent, ...]:
    """Return the lines that contain a text (ignoring case) and have one of these levels."""
    wanted, allowed = text.casefold(), frozenset(levels)
    return tuple(
        event
        for event in events
        if wanted in event.message.casefold()
        and (len(allowed) == len(LEVELS) or level(event.message) in allowed)
    )


def as_text(events: Iterable[LogEvent]) -> str:
    """Return a log file to download: one line per event with its UTC time; no message can forge another line."""
    return "".join(
        f"{event.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3]
        + f"Z {log_line(ANSI.sub('', event.message))}\n"
        for event in events
    )
