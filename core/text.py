"""Format numbers, lists and durations as text for errors, pages and the command line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

DASH = "–"
"""Shown for an unknown number."""

MINUTE, HOUR, DAY = 60, 3600, 86_400
TWO_DAYS = 48

Grouping = Literal["", ","]
"""The thousands separator."""


def plural(number: int, noun: str, nouns: str = "", *, grouping: Grouping = ",") -> str:
    """Return a number with its noun: `1 byte`, `2 bytes`. nouns: an irregular plural."""
    return f"{number:{grouping}} {noun if number == 1 else nouns or noun + 's'}"


def listing(
    texts: Sequence[str],
    most: int = 5,
    *,
    total: int | None = None,
    separator: str = ", ",
    grouping: Grouping = ",",
) -> str:
    """Return the first few texts and how many more there are: `a, b and 3 more`.

    total: how many there are in all, if `texts` holds only the first ones; None: as many as `texts`.
    """
    more = (len(texts) if total is None else total) - min(len(texts), most)
    return separator.join(texts[:most]) + (f" and {more:{grouping}} more" if more > 0 else "")


def byte_size(size: float) -> str:
    """Return bytes in the largest decimal unit: `512 bytes`, `48 kB`, `1.2 MB` or `3.4 GB`."""
    if size < 1e3:
        return plural(int(size), "byte")
    if size < 1e6:
        return f"{size / 1e3:.0f} kB"
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:,.1f} GB"


def percent(share: float | None) -> str:
    """Return a fraction as a percentage with one decimal, `12.5%`; a dash for None and NaN."""
    return DASH if share is None or math.isnan(share) else f"{share:.1%}"


def duration(seconds: float) -> str:
    """Return seconds in their two largest units: `48 s`, `3 min 12 s`, `2 h 05 min` or `1 d 4 h`."""
    whole = max(0, round(seconds))
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE:02d} s"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE:02d} min"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


def clock_duration(seconds: int) -> str:
    """Return whole seconds as hours, minutes and seconds, `1:05:09`, for table columns."""
    return f"{seconds // HOUR}:{seconds % HOUR // MINUTE:02}:{seconds % MINUTE:02}"


def rough_duration(time: timedelta) -> str:
    """Return whole days from two days up, otherwise whole hours: `3 days`, `5 hours` or `less than an hour`."""
    hours = int(time / timedelta(hours=1))
    if hours <= 0:
        return "less than an hour"
    return (
        plural(hours // 24, "day", grouping="") if hours >= TWO_DAYS else plural(hours, "hour", grouping="")
    )


def milliseconds(value: float) -> str:
    """Return a short time in milliseconds as text: `84 ms` or `3.20 s`."""
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.2f} s"
