"""What runs now, what failed in the last day, what sits idle, and what it costs.

All of it comes from the readings that the pages of jobs and of endpoints share: this asks AWS for nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from core.aws.connection import Connection
from core.aws.training import JobList
from core.cost.hosting import NOT_BILLED
from core.cost.training import NOTHING, Money, PriceTable, training_cost
from core.endpoints.endpoint import REFUSING
from core.errors import CoreError
from core.training.filters import JobFilter
from core.training.job import TrainingJob
from pages.parts import cached, fleet, formatting
from pages.parts.fleet import FleetRow, FleetSnapshot
from pages.parts.shared_cache import PendingError, Snapshot

T = TypeVar("T")

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Now:
    """Jobs and endpoints at one moment. Each is None where it never came; `failures` says why, or why it is old.

    at:      when the older of the two was read; aware, UTC.
    waiting: those of the two that have not arrived yet.
    """

    at: datetime
    jobs: JobList | None
    look: FleetSnapshot | None
    failures: tuple[CoreError, ...]
    waiting: tuple[PendingError, ...] = ()

    @property
    def running(self) -> tuple[TrainingJob, ...]:
        """Jobs under way."""
        return tuple(job for job in self.jobs.jobs if job.running) if self.jobs else ()

    @property
    def failed_jobs(self) -> tuple[TrainingJob, ...]:
        """Those that failed in the last day."""
        since = self.at - DAY
        jobs = self.jobs.jobs if self.jobs else ()
        return tuple(
            job for job in jobs if job.status == "Failed" and (job.ended_at or job.modified_at) >= since
        )

    @property
    def rows(self) -> tuple[FleetRow, ...]:
        """All endpoints, what needs a hand first."""
        return self.look.rows if self.look else ()

    @property
    def serving(self) -> tuple[FleetRow, ...]:
        """Endpoints that are there and do not sit idle; of those that failed earlier, what bills all the same."""
        return tuple(
            row
            for row in self.rows
            if row.health.status not in ("failed", "idle")
            or (row.endpoint.failed and row.endpoint.status not in NOT_BILLED and row not in self.failing)
        )

    @property
    def answering(self) -> tuple[FleetRow, ...]:
        """Those of them that take requests."""
        return tuple(row for row in self.serving if row.endpoint.status not in REFUSING)

    @property
    def idle(self) -> tuple[FleetRow, ...]:
        """Endpoints that bill, and that nobody calls."""
        return tuple(row for row in self.rows if row.health.status == "idle")

    @property
    def failing(self) -> tuple[FleetRow, ...]:
        """Endpoints that failed in the last day, or answer with errors: errors are counted over a day, too."""
        since = self.at - DAY
        return tuple(
            row
            for row in self.rows
            if row.health.status == "erroring"
            or (row.health.status == "failed" and row.endpoint.modified_at >= since)
        )

    @property
    def whole(self) -> bool:
        """Whether both came, and of the endpoints all."""
        return bool(self.jobs and self.look and self.look.complete)

    @property
    def moving(self) -> bool:
        """Whether another look soon would see something new."""
        return bool(self.running or (self.look and self.look.moving))

    @property
    def empty(self) -> bool:
        """Whether this account has neither a job nor an endpoint."""
        return bool(self.jobs and self.look and not self.jobs.jobs and not self.look.rows)


def read(connection: Connection) -> Now:
    """Both readings; what fails is told, and hides nothing else."""
    jobs, no_jobs = _either(lambda: cached.jobs(connection, JobFilter()))
    look, no_look = _either(lambda: fleet.look(connection))
    found = [reading for reading in (jobs, look) if reading]
    absent = [error for error in (no_jobs, no_look) if error is not None]
    failures = [error for error in absent if isinstance(error, CoreError)]
    failures += [reading.failure for reading in found if reading.failure is not None]
    return Now(
        at=min((reading.at for reading in found), default=formatting.now()),
        jobs=jobs.value if jobs else None,
        look=look.value if look else None,
        failures=tuple({str(one): one for one in failures}.values()),
        waiting=tuple(error for error in absent if isinstance(error, PendingError)),
    )


def an_hour(now: Now, prices: PriceTable) -> tuple[Money, int]:
    """What all that runs costs an hour; and of how many things the price is unknown, which are left out."""
    costs = [training_cost(job, prices, now.at).per_hour for job in now.running]
    endpoints = now.look.cost.per_hour if now.look else NOTHING
    unknown = len(now.look.cost.unknown) if now.look else 0
    return sum((cost for cost in costs if cost), endpoints), unknown + costs.count(None)


def _either(load: Callable[[], Snapshot[T]]) -> tuple[Snapshot[T] | None, CoreError | PendingError | None]:
    try:
        return load(), None
    except (CoreError, PendingError) as error:
        return None, error
