"""How far a transform job is: speed, time left, and whether it hangs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from core.batch.progress import Progress

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


def minutes(count: float) -> datetime:
    return NOW + timedelta(minutes=count)


def test_speed_and_time_left() -> None:
    """Eleven outputs in ten minutes are one per minute; the remaining ten take ten minutes."""
    progress = Progress(11, 21, 0, minutes(-10), NOW, NOW)
    assert progress.per_second == pytest.approx(1 / 60)
    assert progress.seconds_left == pytest.approx(600)
    assert progress.share == pytest.approx(11 / 21)


@pytest.mark.parametrize(
    "progress",
    [
        Progress(0, 10, 0, None, None, NOW),
        Progress(1, 10, 0, NOW, NOW, NOW),
        Progress(2, 10, 0, NOW, NOW, NOW),
    ],
)
def test_what_is_not_known_is_unknown(progress: Progress) -> None:
    """Without two outputs at different times there is neither a speed nor a time left."""
    assert progress.per_second is None
    assert progress.seconds_left is None


def test_an_unknown_total_has_no_share() -> None:
    """Without a total there is no share and no time left."""
    progress = Progress(5, None, 0, minutes(-5), NOW, NOW)
    assert (progress.share, progress.seconds_left) == (None, None)


def test_no_output_for_ten_minutes_hangs() -> None:
    """Ten minutes without an output, since the start or since the last one, are reported; a complete job never."""
    start = minutes(-30)
    assert "stop the job" in Progress(0, 10, 0, None, None, NOW).hangs(start)
    assert "10 min" in Progress(3, 10, 0, start, minutes(-10), NOW).hangs(start)
    assert not Progress(3, 10, 0, start, minutes(-9), NOW).hangs(start)
    assert not Progress(0, 10, 0, None, None, NOW).hangs(minutes(-9))
    assert not Progress(10, 10, 0, start, minutes(-20), NOW).hangs(start)
    assert not Progress(0, 10, 0, None, None, NOW).hangs(None)
