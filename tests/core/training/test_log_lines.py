"""Log lines of a job."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.training.log_lines import (
    MAX_LINE,
    Level,
    LogEvent,
    as_text,
    first_error,
    from_cloudwatch,
    level,
    matching,
    plain,
)

T0 = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)
LINES = (
    "[11/22/2026 12:00:00 INFO 139815590688576] Number of GPUs: 1",
    "[11/22/2026 12:00:01 WARNING 139815590688576] No label map",
    "[11/22/2026 12:00:02 ERROR 139815590688576] Customer Error: bad mask",
)
EVENTS = tuple(LogEvent(T0, text, "roads/algo-1-1") for text in LINES)


def test_cloudwatchs_events_become_lines() -> None:
    """A timestamp in milliseconds becomes a UTC time, the newline is removed, and the stream is kept."""
    milliseconds = int(T0.timestamp() * 1000)
    rows = [
        {"timestamp": milliseconds, "message": "hello\n"},
        {"timestamp": 0, "message": "a", "logStreamName": "s"},
    ]
    first, second = from_cloudwatch(rows, "roads/algo-1-1")
    assert first == LogEvent(T0, "hello", "roads/algo-1-1")
    assert second == LogEvent(datetime(1970, 1, 1, tzinfo=UTC), "a", "s")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (LINES[0], "info"), (LINES[1], "warning"), (LINES[2], "error"),
        ("[11/22/2026 12:00:00 INFO 1] Customer Error: num_classes", "error"),
        ("[11/22/2026 12:00:00 INFO 1] the ERROR rate is 0", "info"),
        ("[11/22/2026 12:00:00 DEBUG 1] x", "debug"),
        ("Traceback (most recent call last):", "error"),
        ("mxnet.base.MXNetError: [12:00:00] src/a.cc:1", "error"),
        ("ValueError: no", "error"), ("CUDA: out of memory", "error"), ("cudaMalloc failed", "error"),
        ("2026-11-22 WARN something", "warning"), ("\x1b[31mERROR\x1b[0m: x", "error"),
        ("#quality_metric: host=algo-1, epoch=0, train x <loss>=1", "info"), ("", "info"),
        ("no errors were found", "info"),
    ],
)  # fmt: skip
def test_a_line_has_a_level(message: str, expected: Level) -> None:
    """A line's level is the one that the container logged, otherwise it is derived from the text."""
    assert level(message) == expected


def test_the_first_error_is_found() -> None:
    """The index of the first error is returned, or None."""
    assert first_error(EVENTS) == 2
    assert first_error(EVENTS[:2]) is None


def test_lines_are_found_by_text_and_level() -> None:
    """Lines are filtered by text, ignoring case, and by level."""
    assert matching(EVENTS, "gpuS") == EVENTS[:1]
    assert matching(EVENTS, levels=["error", "warning"]) == EVENTS[1:]
    assert matching(EVENTS, "bad", ["warning"]) == ()
    assert matching(EVENTS) == EVENTS


def test_the_download_has_a_time_for_every_line() -> None:
    """The file has one line per event, with its UTC time to the millisecond, and no colors."""
    coloured = LogEvent(T0, "\x1b[1mhello\x1b[0m")
    assert as_text([coloured, EVENTS[0]]) == (
        f"2026-11-22T12:00:00.250Z hello\n2026-11-22T12:00:00.250Z {LINES[0]}\n"
    )


def test_a_long_line_is_cut_before_it_is_searched() -> None:
    """Patterns search a bounded part of a line."""
    assert len(plain("x" * 1_000_000)) == MAX_LINE
    assert plain("\x1b[32mok\x1b[0m") == "ok"
