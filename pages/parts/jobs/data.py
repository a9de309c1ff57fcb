"""What the page of one training job asks for again and again, shared by all who look at it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

from core.aws import metrics, training
from core.aws.connection import Connection, clients
from core.aws.logs import LogToken, TailPage, tail
from core.aws.training import ChannelKeys
from core.errors import CoreError
from core.training.channels import Channel
from core.training.curves import MetricSeries
from core.training.job import TrainingJob
from core.training.log_lines import LogEvent, first_error
from pages.parts import cached, formatting
from pages.parts.shared_cache import PendingError, Snapshot

T = TypeVar("T")

SECONDS = 4
"""How old a running job's facts may be; of one that has ended they hardly change."""

ENDED_SECONDS = 60
MACHINE_SECONDS = 30
"""CloudWatch has a point a minute."""

KEYS_SECONDS = 30
TAGS_SECONDS = 300
LOG_LINES = 10_000
"""Kept of a log, the last ones."""


@dataclass(frozen=True, slots=True)
class OptionalPart(Snapshot[T]):
    """What a page can do without.

    waiting: set while it has never arrived; `value` is then an empty one.
    """

    waiting: PendingError | None = None


@dataclass(frozen=True, slots=True)
class JobLog:
    """The lines of a job's or an endpoint's log, oldest first.

    has_log: False where nothing was written.
    cut:     whether there are older lines.
    error:   the place of the first error; None where there is none.
    """

    events: tuple[LogEvent, ...] = ()
    has_log: bool = False
    cut: bool = False
    error: int | None = None


class LogReader:
    """Reads a log once, and from then on what came after. tail: gives its last lines, or those after a token."""

    def __init__(self, tail: Callable[[LogToken | None], TailPage]) -> None:
        self._tail = tail
        self._token: LogToken | None = None
        self._log = JobLog()

    def read(self) -> JobLog:
        """All that is kept of it. Raises AwsError."""
        page = self._tail(self._token)
        self._token = page.next_token or self._token
        events = (*self._log.events, *page.events)
        if page.events or page.has_log != self._log.has_log:
            kept = events[-LOG_LINES:]
            cut = self._log.cut or len(events) >= LOG_LINES
            self._log = JobLog(kept, page.has_log, cut, first_error(kept))
        return self._log


def job(connection: Connection, name: str) -> Snapshot[TrainingJob]:
    """The job as it is. Raises NotFoundError, AwsError."""
    return cached.shelf().read(
        ("open job", connection, name),
        lambda: training.describe_job(clients(connection), name),
        SECONDS,
        f"the training job {name}",
    )


def log(connection: Connection, job: TrainingJob) -> OptionalPart[JobLog]:
    """Its log; a machine that starts again after an interruption begins a new one."""
    starts = sum(step.status == "Interrupted" for step in job.transitions)
    key = ("log", connection, job.name, starts, job.running)
    reader = LogReader(lambda token: tail(clients(connection), job.name, token=token, limit=LOG_LINES))
    return optional(key, reader.read, _seconds(job), JobLog(), f"the log of {job.name}")


def curves(connection: Connection, job: TrainingJob) -> OptionalPart[tuple[MetricSeries, ...]]:
    """Its curves, from the first source that has them."""
    return optional(
        ("open curves", connection, job.name, job.running, job.started_at is not None),
        lambda: metrics.curves(clients(connection), [job])[job.name],
        _seconds(job),
        (),
        f"the training metrics of {job.name}",
    )


def machine(connection: Connection, job: TrainingJob) -> OptionalPart[tuple[MetricSeries, ...]]:
    """How busy its machine was, minute by minute."""
    return optional(
        ("machine", connection, job.name, job.running, job.started_at is not None),
        lambda: metrics.utilisation(clients(connection), job),
        MACHINE_SECONDS,
        (),
        f"the instance metrics of {job.name}",
    )


def tags(connection: Connection, job: TrainingJob) -> OptionalPart[dict[str, str]]:
    """Its tags, which a clone should keep: costs are told apart by them."""
    return optional(
        ("tags", connection, job.name),
        lambda: training.job_tags(clients(connection), job),
        TAGS_SECONDS,
        {},
        f"the tags of {job.name}",
    )


def channel_keys(connection: Connection, channel: Channel) -> ChannelKeys:
    """The objects of a channel; where they cannot be listed, a note says so."""
    return (
        cached.shelf()
        .read(
            ("keys", connection, channel),
            lambda: training.list_channels(clients(connection), [channel]),
            KEYS_SECONDS,
            f"the list of files of the channel {channel.name}",
        )
        .value
    )


def optional(key: Hashable, load: Callable[[], T], seconds: float, empty: T, what: str) -> OptionalPart[T]:
    """Read what the page can do without: what is pending or fails is a value here, and hides no other part."""
    try:
        reading = cached.shelf().read(key, load, seconds, what)
    except CoreError as error:
        return OptionalPart(empty, formatting.now(), error)
    except PendingError as waiting:
        return OptionalPart(empty, formatting.now(), waiting=waiting)
    return OptionalPart(reading.value, reading.at, reading.failure, reading.pending)


def _seconds(job: TrainingJob) -> int:
    return SECONDS if job.running else ENDED_SECONDS
