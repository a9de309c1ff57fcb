"""The data of the overview: what runs now, what failed in the last day, what is idle, and the cost.

All of it comes from the cached reads of the job and endpoint pages, without further calls to AWS.
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
from pages.parts import cached, formatting
from pages.parts import fleet as fleet_reads
from pages.parts.fleet import FleetRow, FleetSnapshot
from pages.parts.shared_cache import PendingError, Snapshot

T = TypeVar("T")

DAY = timedelta(days=1)

FEW = 2
"""An account with at most this many jobs of its own and this many endpoints is new: it gets a live example."""

RECORDED_TAG = "segdeck:recorded"
"""The tag of training jobs that the sandbox brings along."""


@dataclass(frozen=True, slots=True)
class Now:
    """Jobs and endpoints as last read. Each is None if it never arrived; `failures` says why, or why it is stale.

    at:      when the older of the two was read; aware, UTC.
    waiting: those of the two that are still pending.
    """

    at: datetime
    jobs: JobList | None
    fleet: FleetSnapshot | None
    failures: tuple[CoreError, ...]
    waiting: tuple[PendingError, ...] = ()

    @property
    def running(self) -> tuple[TrainingJob, ...]:
        """Return the running jobs."""
        return tuple(job for job in self.jobs.jobs if job.running) if self.jobs else ()

    @property
    def failed_jobs(self) -> tuple[TrainingJob, ...]:
        """Return the jobs that failed in the last day."""
        since = self.at - DAY
        jobs = self.jobs.jobs if self.jobs else ()
        return tuple(
            job for job in jobs if job.status == "Failed" and (job.ended_at or job.modified_at) >= since
        )

    @property
    def rows(self) -> tuple[FleetRow, ...]:
        """Return all endpoints, those that need attention first."""
        return self.fleet.rows if self.fleet else ()

    @property
    def serving(self) -> tuple[FleetRow, ...]:
        """Return endpoints that are not idle; of those that failed over a day ago, the ones that are still billed."""
        return tuple(
            row
            for row in self.rows
            if row.health.status not in ("failed", "idle")
            or (row.endpoint.failed and row.endpoint.status not in NOT_BILLED and row not in self.failing)
        )

    @property
    def answering(self) -> tuple[FleetRow, ...]:
        """Return those of them that accept requests."""
        return tuple(row for row in self.serving if row.endpoint.status not in REFUSING)

    @property
    def idle(self) -> tuple[FleetRow, ...]:
        """Return endpoints that are billed but get no calls."""
        return tuple(row for row in self.rows if row.health.status == "idle")

    @property
    def failing(self) -> tuple[FleetRow, ...]:
        """Return endpoints that failed in the last day, or returned errors in the last day."""
        since = self.at - DAY
        return tuple(
            row
            for row in self.rows
            if row.health.status == "erroring"
            or (row.health.status == "failed" and row.endpoint.modified_at >= since)
        )

    @property
    def whole(self) -> bool:
        """Return whether both arrived, with every job and every endpoint."""
        return bool(self.jobs and self.jobs.complete and self.fleet and self.fleet.complete)

    @property
    def failures_known(self) -> bool:
        """Return whether all failures are known: unlisted jobs and endpoints without metrics can hide some."""
        return self.whole and bool(self.fleet and not self.fleet.usage_unknown)

    @property
    def moving(self) -> bool:
        """Whether a refresh soon would show something new."""
        return bool(self.running or (self.fleet and self.fleet.moving))

    @property
    def empty(self) -> bool:
        """Whether this account has neither jobs nor endpoints."""
        return bool(self.jobs and self.fleet and not self.jobs.jobs and not self.fleet.rows)

    @property
    def new(self) -> bool:
        """Whether this account is known to have few jobs and endpoints, such as a sandbox with its demo models."""
        return bool(self.jobs and self.fleet and max(len(self.own_jobs), len(self.fleet.rows)) <= FEW)

    @property
    def preparing(self) -> bool:
        """Whether endpoints are being created or, in a sandbox, its demo models may not have been added yet.

        A sandbox adds its recorded jobs after its demo endpoints: with those jobs, the endpoints were deleted.
        """
        if any(row.endpoint.changing for row in self.rows):
            return True
        return bool(self.jobs and self.fleet and not self.rows and len(self.own_jobs) == len(self.jobs.jobs))

    @property
    def own_jobs(self) -> tuple[TrainingJob, ...]:
        """Return all training jobs but those that the sandbox brings along."""
        return tuple(job for job in self.jobs.jobs if RECORDED_TAG not in job.tags) if self.jobs else ()


def read(connection: Connection) -> Now:
    """Read jobs and endpoints; a failure of one is returned and does not hide the other."""
    jobs, no_jobs = _either(lambda: cached.jobs(connection, JobFilter()))
    endpoints, no_endpoints = _either(lambda: fleet_reads.look(connection))
    arrived = [snapshot for snapshot in (jobs, endpoints) if snapshot]
    absent = [error for error in (no_jobs, no_endpoints) if error is not None]
    failures = [error for error in absent if isinstance(error, CoreError)]
    failures += [snapshot.failure for snapshot in arrived if snapshot.failure is not None]
    return Now(
        at=min((snapshot.at for snapshot in arrived), default=formatting.now()),
        jobs=jobs.value if jobs else None,
        fleet=endpoints.value if endpoints else None,
        failures=tuple({str(failure): failure for failure in failures}.values()),
        waiting=tuple(error for error in absent if isinstance(error, PendingError)),
    )


def cost_per_hour(now: Now, prices: PriceTable) -> tuple[Money, int]:
    """Return what everything running costs per hour, and how many items were left out as their price is unknown."""
    costs = [training_cost(job, prices, now.at).per_hour for job in now.running]
    endpoints = now.fleet.cost.per_hour if now.fleet else NOTHING
    unknown = len(now.fleet.cost.unknown) if now.fleet else 0
    return sum((cost for cost in costs if cost), endpoints), unknown + costs.count(None)


def _either(load: Callable[[], Snapshot[T]]) -> tuple[Snapshot[T] | None, CoreError | PendingError | None]:
    try:
        return load(), None
    except (CoreError, PendingError) as error:
        return None, error
