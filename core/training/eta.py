"""How long a running job still takes, by the epochs that it has completed and when."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from core.training.curves import MetricSeries, epochs_done
from core.training.job import TrainingJob


def seconds_left(job: TrainingJob, series: MetricSeries | None, now: datetime) -> float | None:
    """Return the seconds until a running job has completed all its epochs; None where that is unknown.

    series: a metric with a point per epoch, such as the validation mean IoU. Where it has the time of each epoch,
            their mean duration counts; otherwise the time since training began, divided by the epochs completed.

    Early stopping ends a job sooner. Uploading the model, which takes seconds, is not included.
    """
    if not job.running or job.status == "Stopping" or not job.epochs:
        return None
    if not job.is_semantic_segmentation or series is None or series.epochs is None:
        return None
    done = epochs_done(series)
    if done <= 0:
        return None
    left = max(0, job.epochs - done)
    if (timed := _by_times(series)) is not None:
        per_epoch, last = timed
        return max(0.0, per_epoch * left - (now - last).total_seconds())
    if (began := _began(job)) is None:
        return None
    return max(0.0, (now - began).total_seconds() / done * left)


def _by_times(series: MetricSeries) -> tuple[float, datetime] | None:
    """Return the mean seconds of an epoch, and when the last one ended; None without the times of two epochs."""
    known = ~np.isnat(series.times)
    if series.epochs is None or known.sum() < 2:
        return None
    times, epochs = series.times[known], series.epochs[known]
    passed = int(epochs[-1] - epochs[0])
    seconds = (times[-1] - times[0]) / np.timedelta64(1000, "ms")
    if passed <= 0 or seconds <= 0 or epochs[-1] != series.epochs.max():
        return None
    return float(seconds) / passed, times[-1].astype("datetime64[ms]").item().replace(tzinfo=UTC)


def _began(job: TrainingJob) -> datetime | None:
    """Return when training began; None where that is unknown, also after an interruption of a spot job.

    An interrupted job repeats epochs, or continues after those of the first instance: its time per epoch is unknown.
    """
    if any(step.status == "Interrupted" for step in job.transitions):
        return None
    started = [step.started_at for step in job.transitions if step.status == "Training"]
    return started[-1] if started else job.started_at
