"""The time left of a running job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from bench.support.jobs_server import record
from core.training.curves import MIOU, MetricSeries
from core.training.eta import seconds_left
from core.training.job import TrainingJob, from_description

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MINUTE = 60


def job(status: str = "InProgress", *, began: int = 10, **more: Any) -> TrainingJob:
    """A job of 30 epochs whose training began so many minutes ago."""
    at = NOW - timedelta(minutes=began)
    steps = [{"Status": "Training", "StartTime": at, "StatusMessage": ""}]
    described = record("a", status, created=at - timedelta(minutes=5))
    return from_description(described | {"SecondaryStatusTransitions": steps} | more)


def series(count: int, *, minutes: tuple[float, ...] | None = None, epochs: bool = True) -> MetricSeries:
    """A curve of so many epochs. minutes: how long ago each ended."""
    times = np.full(count, "NaT", "datetime64[ms]")
    if minutes is not None:
        ends = [(NOW - timedelta(minutes=ago)).replace(tzinfo=None) for ago in minutes]
        times = np.array(ends, "datetime64[ms]")
    return MetricSeries(
        MIOU, "", "log", times, np.arange(count) if epochs else None, np.linspace(0.1, 0.5, count)
    )


def test_the_time_since_training_began_counts_per_epoch() -> None:
    """Five of 30 epochs in ten minutes: the other 25 take 50 minutes."""
    assert seconds_left(job(), series(5), NOW) == pytest.approx(50 * MINUTE)


def test_the_times_of_the_epochs_take_precedence() -> None:
    """With the time of each epoch, their mean duration counts, and the part of the current epoch that has passed."""
    left = seconds_left(job(began=90), series(3, minutes=(7, 4, 1)), NOW)
    assert left == pytest.approx(27 * 3 * MINUTE - MINUTE)


@pytest.mark.parametrize(
    ("running", "curve"),
    [
        (job(), None),
        (job(), series(0)),
        (job(), series(5, epochs=False)),
        (job("Completed"), series(5)),
        (job("Stopping"), series(5)),
        (job(HyperParameters={"epochs": "many"}), series(5)),
        (job(AlgorithmSpecification={"TrainingImage": "1.dkr.ecr.us-east-1.amazonaws.com/other:1"}), series(5)),
        (
            job(
                SecondaryStatusTransitions=[
                    {"Status": "Training", "StartTime": NOW - timedelta(hours=2), "StatusMessage": ""},
                    {"Status": "Interrupted", "StartTime": NOW - timedelta(hours=1), "StatusMessage": ""},
                    {"Status": "Training", "StartTime": NOW - timedelta(minutes=5), "StatusMessage": ""},
                ]
            ),
            series(5),
        ),
    ],
    ids=["no curve", "no epoch", "no epochs", "ended", "stopping", "no number", "another algorithm", "interrupted"],
)  # fmt: skip
def test_it_is_unknown_without_epochs_and_times(running: TrainingJob, curve: MetricSeries | None) -> None:
    """Before the first epoch, and where epochs or times do not say it, the time left is unknown."""
    assert seconds_left(running, curve, NOW) is None


def test_it_is_never_negative() -> None:
    """A job whose epochs are all completed has no time left, although it is still uploading the model."""
    assert seconds_left(job(), series(30), NOW) == 0
    assert seconds_left(job(), series(30, minutes=tuple(range(31, 1, -1))), NOW) == 0
