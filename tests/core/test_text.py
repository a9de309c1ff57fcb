"""Numbers, lists and durations as text."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.text import clock_duration, duration, listing, milliseconds, percent, plural, rough_duration


@pytest.mark.parametrize(
    ("number", "expected"), [(0, "0 bytes"), (1, "1 byte"), (2, "2 bytes"), (1234, "1,234 bytes")]
)
def test_a_noun_agrees_with_its_number(number: int, expected: str) -> None:
    """Only exactly one takes the singular, and thousands are separated."""
    assert plural(number, "byte") == expected


def test_a_plural_that_does_not_end_in_a_plain_s() -> None:
    """The caller gives an irregular plural, and may omit the thousands separator."""
    assert plural(2, "class", "classes") == "2 classes"
    assert plural(1, "class", "classes") == "1 class"
    assert plural(1234, "name has", "names have", grouping="") == "1234 names have"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ("", ""), ("a", "a"), ("abc", "a, b, c"),
        ("abcd", "a, b, c and 1 more"), ("a" * 2000, "a, a, a and 1,997 more"),
    ],
)  # fmt: skip
def test_a_listing_names_the_first_few(texts: str, expected: str) -> None:
    """A listing names the first few and counts the rest, if any."""
    assert listing(list(texts), 3) == expected


def test_a_listing_of_more_than_it_was_given() -> None:
    """If only the first texts are known, the rest is counted from the total; the separators are the caller's."""
    assert listing(["a", "b"], total=7) == "a, b and 5 more"
    assert listing(list("abcdefg"), total=7) == "a, b, c, d, e and 2 more"
    assert listing(["a", "b", "c"], 2, separator=" · ") == "a · b and 1 more"
    assert listing(["a"], total=2001, grouping="") == "a and 2000 more"


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, "0.0%"), (0.12345, "12.3%"), (1.0, "100.0%"), (None, "–"), (float("nan"), "–")],
)
def test_a_share_is_a_percentage_with_one_decimal(share: float | None, expected: str) -> None:
    """A fraction is shown as a percentage, an unknown one as a dash."""
    assert percent(share) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-3, "0 s"), (0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (192, "3 min 12 s"),
        (3600, "1 h 00 min"), (7500, "2 h 05 min"), (86_400, "1 d 0 h"), (100_800, "1 d 4 h"),
    ],
)  # fmt: skip
def test_a_duration_has_its_two_largest_units(seconds: float, expected: str) -> None:
    """Seconds are rounded first; a negative duration is shown as zero."""
    assert duration(seconds) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(0, "0:00:00"), (3909, "1:05:09"), (360_000, "100:00:00")])
def test_a_clock_duration_always_has_hours_minutes_and_seconds(seconds: int, expected: str) -> None:
    """Hours continue beyond 24."""
    assert clock_duration(seconds) == expected


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (-1, "less than an hour"), (0.99, "less than an hour"), (1, "1 hour"), (47.9, "47 hours"),
        (48, "2 days"), (24_000, "1000 days"),
    ],
)  # fmt: skip
def test_a_rough_duration_is_in_hours_or_days(hours: float, expected: str) -> None:
    """Days are used from two days up, and parts of a unit are dropped."""
    assert rough_duration(timedelta(hours=hours)) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0, "0 ms"), (84.4, "84 ms"), (1000, "1.00 s"), (3201, "3.20 s")]
)
def test_milliseconds_become_seconds_from_one_on(value: float, expected: str) -> None:
    """A short time is in whole milliseconds, or from one second up in seconds with two decimals."""
    assert milliseconds(value) == expected
