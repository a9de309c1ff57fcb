"""What a webhook reports: training jobs that ended, and endpoints that became idle.

`observe` compares what is read now with what was known before, and returns each event once. All of it is a value that
`core.notifications.store` keeps, so a restarted dashboard continues where it stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from core.endpoints.endpoint import Endpoint
from core.endpoints.health import Health
from core.training.curves import MIOU
from core.training.job import TrainingJob

KINDS = {
    "Completed": "training_job.completed",
    "Failed": "training_job.failed",
    "Stopped": "training_job.stopped",
}
"""Final status of a job -> its event."""

IDLE = "endpoint.idle"
REMEMBERED = timedelta(days=30)
"""How long the ids of ended jobs are kept. A job that ended before then is never reported."""

UNKNOWN_HEALTH = ("unknown", "changing")
"""Health that does not say whether an endpoint is idle."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something to report.

    id:      the same for the same event; a receiver can use it to drop a repetition.
    kind:    such as `training_job.failed`.
    name:    of the job or endpoint. at: when it happened, aware, UTC.
    text:    one sentence for a chat. It has only names, which AWS restricts, and nothing that a job's log contains.
    details: more fields for JSON.
    """

    id: str
    kind: str
    name: str
    at: datetime
    text: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that was not delivered yet. tries: attempts so far; due: of the next one, aware, UTC."""

    event: Event
    tries: int
    due: datetime


@dataclass(frozen=True, slots=True)
class Watch:
    """What is known so far.

    since:   jobs that ended before are not reported; None before the first look.
    seen:    ids of the jobs that were reported -> when they ended.
    idle:    endpoints that were idle when last seen.
    waiting: events to deliver, oldest first.
    """

    since: datetime | None = None
    seen: Mapping[str, datetime] = field(default_factory=dict)
    idle: frozenset[str] = frozenset()
    waiting: tuple[Delivery, ...] = ()


def observe(
    watch: Watch,
    jobs: Iterable[TrainingJob] | None,
    endpoints: Iterable[tuple[Endpoint, Health]] | None,
    now: datetime,
) -> Watch:
    """Return what is known after this look; new events wait for their delivery.

    jobs, endpoints: None where they could not be read.

    The first look only notes the state: what ended or was idle before is not news.
    """
    first = watch.since is None
    since = watch.since or now
    ended = [] if jobs is None else [job for job in jobs if job.status in KINDS and _end(job) >= since]
    events = [] if first else [event for job in ended if (event := _job_event(job)).id not in watch.seen]
    idle = watch.idle
    for endpoint, health in endpoints or ():
        key = _key(endpoint)
        if health.status in UNKNOWN_HEALTH:
            continue
        if health.status != "idle":
            idle -= {key}
        elif key not in idle:
            idle |= {key}
            events += [] if first else [_idle_event(endpoint, health, now)]
    oldest = max(since, now - REMEMBERED)
    seen = {**watch.seen, **{_job_event(job).id: _end(job) for job in ended}}
    return Watch(
        oldest,
        {event: at for event, at in seen.items() if at >= oldest},
        idle,
        (*watch.waiting, *(Delivery(event, 0, now) for event in events)),
    )


def document(event: Event, *, region: str, sandbox: bool) -> dict[str, Any]:
    """Return the JSON document that is sent; `docs/notifications.md` describes it."""
    return {
        "version": 1,
        "id": event.id,
        "event": event.kind,
        "at": event.at.isoformat(),
        "name": event.name,
        "region": region,
        "backend": "sandbox" if sandbox else "aws",
        "text": event.text,
        "details": dict(event.details),
    }


def without(watch: Watch, event: Event) -> Watch:
    """Return the same without this event: it was delivered, or given up."""
    return replace(
        watch, waiting=tuple(delivery for delivery in watch.waiting if delivery.event.id != event.id)
    )


def later(watch: Watch, event: Event, due: datetime) -> Watch:
    """Return the same with one more attempt at this event, due at this time."""
    return replace(
        watch,
        waiting=tuple(
            Delivery(event, delivery.tries + 1, due) if delivery.event.id == event.id else delivery
            for delivery in watch.waiting
        ),
    )


def _job_event(job: TrainingJob) -> Event:
    kind = KINDS[job.status]
    text = f"Training job {job.name} {job.status.lower()}."
    details = {
        "status": job.status,
        "secondary_status": job.secondary_status,
        "failure_reason": job.failure_reason or None,
        "seconds": None if job.summary else round(job.seconds(_end(job))),
        "mean_iou": job.final_metrics.get(MIOU),
        "model_uri": job.model_uri or None,
    }
    return Event(_id(kind, job.name, job.created_at.isoformat()), kind, job.name, _end(job), text, details)


def _idle_event(endpoint: Endpoint, health: Health, now: datetime) -> Event:
    text = f"Endpoint {endpoint.name} is idle. {health.reason}"
    details = {"status": endpoint.status, "reason": health.reason}
    return Event(_id(IDLE, _key(endpoint), now.isoformat()), IDLE, endpoint.name, now, text, details)


def _end(job: TrainingJob) -> datetime:
    return job.ended_at or job.modified_at


def _key(endpoint: Endpoint) -> str:
    """Return an endpoint's name with its creation: one created again under the same name is another."""
    return f"{endpoint.name} {endpoint.created_at.isoformat()}"


def _id(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
