"""Forecast what spot capacity saves and how much it delays a job, each number with its source.

AWS publishes neither the discount nor the rate of interruptions of managed spot training, only "up to 90%". So the
numbers come from the account's own jobs, where there are any, and from the job's own limits. All are estimates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from statistics import median
from typing import Any

from core.cost.training import Estimate, spot_saving
from core.text import duration, plural
from core.training.hyperparameters import effective
from core.training.job import TrainingJob, TrainingSpec

MOST = 0.9
"""The largest saving that AWS names (developer guide, "Managed Spot Training in Amazon SageMaker")."""

AWS_SOURCE = "AWS's developer guide; the actual saving follows the spot market"
NO_HISTORY = "AWS publishes no rate, and no spot job of this kind has ended yet"


@dataclass(frozen=True, slots=True)
class ForecastLine:
    """One line of a forecast: its label, the estimate as text, and where it comes from."""

    label: str
    value: str
    source: str

    def __str__(self) -> str:
        return f"{self.label}: {self.value} (estimate; source: {self.source})"

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"label": self.label, "value": self.value, "source": self.source}


@dataclass(frozen=True, slots=True)
class SpotHistory:
    """What spot jobs and epochs of the account have shown.

    savings:       the fraction saved by each spot job that has ended.
    interruptions: of those jobs.
    restarts:      seconds from each interruption until training continued.
    epochs:        seconds per epoch of each completed job with the same instance type, network, crop size and
                   number of images.
    of:            the instance type of the spot jobs; "" if they have several types.
    """

    savings: tuple[float, ...] = ()
    interruptions: int = 0
    restarts: tuple[float, ...] = ()
    epochs: tuple[float, ...] = ()
    of: str = ""


def spot_history(jobs: Iterable[TrainingJob], spec: TrainingSpec) -> SpotHistory:
    """Return what these jobs show for a new one: spot jobs of its instance type, else of all types."""
    ended = [job for job in jobs if not job.running and not job.summary]
    spot = [job for job in ended if spot_saving(job) is not None]
    same_type = [job for job in spot if job.instance_type == spec.instance_type]
    chosen = same_type or spot
    kind = _kind(spec.instance_type, spec.hyperparameters)
    return SpotHistory(
        savings=tuple(saving for job in chosen if (saving := spot_saving(job)) is not None),
        interruptions=sum(step.status == "Interrupted" for job in chosen for step in job.transitions),
        restarts=tuple(seconds for job in chosen for seconds in _restarts(job)),
        epochs=tuple(
            job.training_seconds / job.epochs
            for job in ended
            if job.status == "Completed"
            and job.training_seconds
            and job.epochs
            and _kind(job.instance_type, job.hyperparameters) == kind
        ),
        of=spec.instance_type if same_type else "",
    )


def forecast_spot(spec: TrainingSpec, price: Estimate, history: SpotHistory) -> tuple[ForecastLine, ...]:
    """Return the saving and the delay to expect from spot capacity; empty for a job without it."""
    if not spec.spot:
        return ()
    return (
        _saving(price, history),
        _interruptions(history),
        _delay_each(spec, history),
        _delay_at_most(spec),
    )


def _saving(price: Estimate, history: SpotHistory) -> ForecastLine:
    shares, source = ((MOST,), AWS_SOURCE) if not history.savings else (history.savings, _jobs(history))
    low, middle, high = min(shares), median(shares), max(shares)
    value = f"up to {high:.0%}" if not history.savings else f"about {middle:.0%}"
    if len(history.savings) > 1:
        value += f", {low:.0%} to {high:.0%}"
    if price.at_max is not None:
        amount = price.at_max.times(Decimal(str(round(middle, 4))))
        value += f": {amount} of {price.at_max} at the maximum run time"
    return ForecastLine("Saving", value, source)


def _interruptions(history: SpotHistory) -> ForecastLine:
    if not history.savings:
        return ForecastLine("Interruptions", "unknown", NO_HISTORY)
    count, jobs = plural(history.interruptions, "interruption"), plural(len(history.savings), "job")
    return ForecastLine("Interruptions", f"{count} in {jobs}", _jobs(history))


def _delay_each(spec: TrainingSpec, history: SpotHistory) -> ForecastLine:
    """Return the delay of one interruption: the restart, and the training that is repeated."""
    sources: list[str] = []
    if history.restarts:
        restart = f"about {duration(median(history.restarts))} to restart"
        sources.append(f"{plural(len(history.restarts), 'restart')} of your spot jobs")
    else:
        restart = "the wait for capacity and the download of the data"
        sources.append("no restart was measured yet")
    if not spec.checkpoint_uri:
        repeated = "all training up to then, as there are no checkpoints"
    elif history.epochs:
        repeated = f"at most one epoch, about {duration(median(history.epochs))}"
        count = plural(len(history.epochs), "job")
        sources.append(f"{count} with this network, crop size and number of images on {spec.instance_type}")
    else:
        repeated = "at most one epoch"
    return ForecastLine("Delay per interruption", f"{restart}, plus {repeated}", "; ".join(sources))


def _delay_at_most(spec: TrainingSpec) -> ForecastLine:
    longest = max(0, (spec.max_wait_seconds or spec.max_runtime_seconds) - spec.max_runtime_seconds)
    source = "this job's maximum wait, after which AWS stops it"
    if not longest:
        text = "none: a job that waits for capacity may be stopped unfinished"
        return ForecastLine("Delay at most", text, source)
    return ForecastLine("Delay at most", duration(longest), source)


def _jobs(history: SpotHistory) -> str:
    kind = f" on {history.of}" if history.of else " of other instance types"
    return f"{plural(len(history.savings), 'spot job')} of this account{kind}"


def _restarts(job: TrainingJob) -> Sequence[float]:
    """Return the seconds from each interruption of a job to its next training."""
    starts = [step for step in job.transitions if step.status in ("Interrupted", "Training")]
    return [
        (after.started_at - before.started_at).total_seconds()
        for before, after in pairwise(starts)
        if before.status == "Interrupted" and after.status == "Training"
    ]


def _kind(instance_type: str, hyperparameters: Mapping[str, str]) -> tuple[str | None, ...]:
    """Return what the time per epoch depends on most, besides the data."""
    values = effective(hyperparameters)
    keys = ("algorithm", "backbone", "crop_size", "num_training_samples")
    return (instance_type, *(values.get(key) for key in keys))
