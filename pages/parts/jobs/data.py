"""The cached reads of the page of one training job, shared by all users."""

from __future__ import annotations

from dataclasses import dataclass

from core.aws import metrics
from core.aws.connection import Connection, clients
from core.aws.logs import all_events, tail
from core.training.curves import MetricSeries
from core.training.interruptions import Interruption
from core.training.interruptions import interruptions as find_interruptions
from core.training.job import TrainingJob
from pages.parts import cached, formatting
from pages.parts.cached import JOB_SECONDS
from pages.parts.log_view import LOG_LINES, JobLog, LogReader
from pages.parts.shared_cache import OptionalPart

ENDED_SECONDS = 60
INSTANCE_SECONDS = 30
"""CloudWatch has one point per minute."""


def log(connection: Connection, job: TrainingJob) -> OptionalPart[JobLog]:
    """Return the job's log. A spot instance that restarts after an interruption begins a new one."""
    starts = sum(step.status == "Interrupted" for step in job.transitions)
    key = ("log", connection, job.name, starts, job.running)
    reader = LogReader(lambda token: tail(clients(connection), job.name, token=token, limit=LOG_LINES))
    return cached.optional(key, reader.read, _seconds(job), JobLog(), f"the log of {job.name}")


def interruptions(connection: Connection, job: TrainingJob) -> OptionalPart[tuple[Interruption, ...]]:
    """Return a spot job's interruptions, with where it resumed by the logs of all its instances."""
    without_log = find_interruptions(job, ())
    if not without_log:
        return OptionalPart((), formatting.now())
    steps = tuple((step.status, step.started_at) for step in job.transitions)
    return cached.optional(
        ("interruptions", connection, job.name, steps),
        lambda: find_interruptions(job, all_events(clients(connection), job.name).events),
        _seconds(job),
        without_log,
        f"where {job.name} resumed",
    )


@dataclass(frozen=True, slots=True)
class JobCurves:
    """The training curves of a job. notes: sentences on sources that could not be read."""

    series: tuple[MetricSeries, ...] = ()
    notes: tuple[str, ...] = ()


def curves(connection: Connection, job: TrainingJob) -> OptionalPart[JobCurves]:
    """Return the job's training curves, from the first source that has them."""

    def load() -> JobCurves:
        notes: list[str] = []
        series = metrics.curves(clients(connection), [job], notes=notes)[job.name]
        return JobCurves(series, tuple(dict.fromkeys(notes)))

    return cached.optional(
        ("open curves", connection, job.name, job.running, job.started_at is not None),
        load,
        _seconds(job),
        JobCurves(),
        f"the training metrics of {job.name}",
    )


def instance_metrics(connection: Connection, job: TrainingJob) -> OptionalPart[tuple[MetricSeries, ...]]:
    """Return the utilization of the job's instance, one point per minute."""
    return cached.optional(
        ("instance metrics", connection, job.name, job.running, job.started_at is not None),
        lambda: metrics.utilization(clients(connection), job),
        INSTANCE_SECONDS,
        (),
        f"the instance metrics of {job.name}",
    )


def _seconds(job: TrainingJob) -> int:
    return JOB_SECONDS if job.running else ENDED_SECONDS
