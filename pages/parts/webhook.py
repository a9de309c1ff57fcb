"""Report ended jobs and idle endpoints to the webhook of `SEGDECK_WEBHOOK_URL`, in the background."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from functools import partial

import anyio
from anyio import to_thread

from core.aws import training
from core.aws.connection import Connection, clients
from core.endpoints.endpoint import Endpoint
from core.endpoints.health import Health
from core.errors import CoreError
from core.notifications import webhook
from core.notifications.events import document, observe
from core.notifications.store import WatchStore
from core.settings import Settings
from core.training.filters import JobFilter
from core.training.job import TrainingJob
from pages.parts import backend, fleet, formatting, shared_cache
from pages.parts.shared_cache import PendingError

LOG = logging.getLogger("segdeck")
CHECK_SECONDS = 60.0
"""Seconds between two looks."""

READ_SECONDS, READ_PAUSE = 30.0, 0.5
"""How long one look waits for all that it reads, and how often it checks."""

ENDED_LAST = JobFilter(sort="modified")
"""The jobs that changed last are on the first page."""


async def keep_reporting(settings: Settings, seconds: float = CHECK_SECONDS) -> None:
    """Look and report until canceled. Returns at once without a webhook."""
    if not settings.webhook_url:
        return
    store = WatchStore(settings.journal_dir / "notifications")
    post = webhook.poster(settings.webhook_url)
    problems = Problems(LOG.warning)
    try:
        while True:
            await to_thread.run_sync(partial(_check, store, post, problems), abandon_on_cancel=True)
            await anyio.sleep(seconds)
    finally:
        store.close()


class Problems:
    """Reports each problem once until it is solved, not at every look."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._told: dict[str, str] = {}

    def report(self, what: str, problem: str) -> None:
        """Report a problem with this part; an empty one means that the part works."""
        if problem and self._told.get(what) != problem:
            self._say(f"Notifications: {problem}")
        self._told[what] = problem


def _check(store: WatchStore, post: webhook.Post, problems: Problems) -> None:
    """Look once and deliver what is due. Nothing that fails here ends the dashboard or the next look."""
    try:
        if not store.own():
            problems.report("store", "another dashboard with the same state folder sends them.")
            return
        report(store, post, backend.connection(), problems)
        problems.report("store", "")
    except CoreError as error:
        problems.report("store", str(error))
    except Exception:  # a bug here must not end the dashboard; the next look may succeed
        LOG.exception("Notifications: unexpected error")


def report(store: WatchStore, post: webhook.Post, connection: Connection, problems: Problems) -> None:
    """Read jobs and endpoints, note what is new, and deliver what is due. Raises JournalError."""
    now = formatting.now()
    known = store.read()
    watch = observe(known, _jobs(connection, problems), _endpoints(connection, problems), now)
    if watch != known or any(delivery.due <= now for delivery in watch.waiting):
        store.write(
            watch
        )  # also shows that the file can be written, before an event is sent that it must note
    webhook.deliver(
        watch,
        post,
        now,
        describe=partial(document, region=connection.region, sandbox=connection.is_sandbox),
        keep=store.write,
        say=LOG.warning,
    )


def _jobs(connection: Connection, problems: Problems) -> Iterable[TrainingJob] | None:
    try:
        jobs = training.all_jobs(clients(connection), ENDED_LAST, pages=1).jobs
    except CoreError as error:
        problems.report("jobs", str(error))
        return None
    problems.report("jobs", "")
    return jobs


def _endpoints(connection: Connection, problems: Problems) -> list[tuple[Endpoint, Health]] | None:
    """Return the endpoints with their health, once traffic and configurations are read; None where they are not.

    An endpoint whose configuration is unknown is left out: whether it has instances is unknown, too.
    """
    until = time.monotonic() + READ_SECONDS
    while True:
        found = None
        with shared_cache.watching() as watch:
            try:
                found = fleet.look(connection).value
            except PendingError:
                pass  # it is still being read
            except CoreError as error:
                problems.report("endpoints", str(error))
                return None
        if found is not None and not watch.pending and not found.unread:
            break
        if time.monotonic() > until:
            return None  # the next look has them
        time.sleep(READ_PAUSE)
    problems.report("endpoints", "")
    return [
        (row.endpoint, row.health)
        for row in found.rows
        if row.endpoint.variants or row.health.status != "idle"
    ]
