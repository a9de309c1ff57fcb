"""What the page of one endpoint asks for again and again, shared by all who look at it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.aws import traffic as cloudwatch
from core.aws.connection import Connection, clients
from core.aws.endpoint_detail import resources_of, with_description
from core.aws.endpoints import describe_endpoint
from core.aws.logs import endpoint_streams, endpoint_tail
from core.aws.traffic import Window
from core.endpoints.detail import EndpointDetail
from core.endpoints.diagnosis import diagnose_endpoint
from core.endpoints.endpoint import Endpoint, with_config
from core.errors import CoreError, NotFoundError
from core.training.curves import MetricSeries
from core.training.diagnosis import Diagnosis
from pages.parts import cached, formatting
from pages.parts.log_view import LOG_LINES, JobLog, LogReader
from pages.parts.shared_cache import OptionalPart, PendingError, Snapshot

SECONDS = 4
"""How old an endpoint's facts may be."""

CHANGING_SECONDS, DESCRIPTION_SECONDS = 3600, 30
"""How old its configuration may be while AWS changes the endpoint to it; and tags, lineage and class names."""

SERIES_SECONDS = 30
"""CloudWatch has a point a minute."""

LOG_SECONDS, STREAMS_SECONDS = 4, 15


@dataclass(frozen=True, slots=True)
class EndpointSnapshot:
    """One look at an endpoint.

    seen:   the endpoint as it is now, with as much of what belongs to it as has arrived.
    absent: why the rest has not: it is pending, or its read failed; None where all is there.
    """

    seen: Snapshot[EndpointDetail]
    absent: CoreError | PendingError | None = None


def look(connection: Connection, name: str) -> EndpointSnapshot:
    """Return the endpoint with what has arrived of all that belongs to it.

    Raises NotFoundError, also for one that is gone since; AwsError, PendingError where nothing of it is known.
    """
    seen = cached.shelf().read(
        ("endpoint", connection, name),
        lambda: describe_endpoint(clients(connection), name),
        SECONDS,
        f"the endpoint {name}",
    )
    if isinstance(seen.failure, NotFoundError):
        raise seen.failure
    detail, failure = EndpointDetail(endpoint=seen.value, scaling_known=False), seen.failure
    absent: CoreError | PendingError | None = None
    try:
        parts = _belongings(connection, seen.value)
        detail, failure = _with_parts(detail, parts.value), failure or parts.failure
        described = _description(connection, parts.value)
        detail, failure = _with_description(detail, described.value), failure or described.failure
    except (CoreError, PendingError) as error:
        absent = error
    return EndpointSnapshot(Snapshot(detail, seen.at, failure, seen.pending), absent)


def detail(connection: Connection, name: str) -> Snapshot[EndpointDetail]:
    """Return the endpoint with all that belongs to it. Raises as `look`, and where any of that is missing."""
    found = look(connection, name)
    if found.absent is not None:
        raise found.absent
    return found.seen


def _belongings(connection: Connection, endpoint: Endpoint) -> Snapshot[EndpointDetail]:
    """Read configuration, models and autoscaling. While AWS is at work on the endpoint, none of these changes."""
    return cached.shelf().read(
        ("belongings", connection, endpoint.name, endpoint.config, endpoint.changing),
        lambda: resources_of(clients(connection), endpoint),
        CHANGING_SECONDS if endpoint.changing else SECONDS,
        f"the configuration of {endpoint.name}",
    )


def _description(connection: Connection, parts: EndpointDetail) -> Snapshot[EndpointDetail]:
    """Read what only describes it: tags, lineage, class names."""
    models = tuple((model.name, model.model_uri) for model in parts.models)
    return cached.shelf().read(
        ("description", connection, parts.name, parts.endpoint.config, models),
        lambda: with_description(clients(connection), replace(parts, notes=())),
        CHANGING_SECONDS if parts.endpoint.changing else DESCRIPTION_SECONDS,
        f"lineage and class names of {parts.name}",
    )


def _with_parts(detail: EndpointDetail, parts: EndpointDetail) -> EndpointDetail:
    return replace(parts, endpoint=with_config(detail.endpoint, parts.config))


def _with_description(detail: EndpointDetail, described: EndpointDetail) -> EndpointDetail:
    """Return it with what was read earlier about it: the endpoint's own state is newer."""
    return replace(
        described,
        endpoint=replace(detail.endpoint, tags=described.endpoint.tags),
        config=detail.config,
        scaling=detail.scaling,
        scaling_known=detail.scaling_known,
        notes=(*detail.notes, *described.notes),
    )


def series(
    connection: Connection, endpoint: Endpoint, window: Window
) -> OptionalPart[tuple[MetricSeries, ...]]:
    """Its curves over a window."""
    names = tuple(variant.name for variant in endpoint.variants)
    return cached.optional(
        ("endpoint series", connection, endpoint.name, names, window),
        lambda: cloudwatch.endpoint_series(clients(connection), endpoint, window, formatting.now()),
        SERIES_SECONDS,
        (),
        f"the metrics of {endpoint.name}",
    )


def streams(connection: Connection, name: str) -> OptionalPart[tuple[str, ...]]:
    """Its log streams, one for each machine, the one written to last first."""
    return cached.optional(
        ("endpoint streams", connection, name),
        lambda: endpoint_streams(clients(connection), name),
        STREAMS_SECONDS,
        (),
        f"the log streams of {name}",
    )


def log(connection: Connection, name: str, stream: str) -> OptionalPart[JobLog]:
    """One of its logs."""
    reader = LogReader(
        lambda token: endpoint_tail(clients(connection), name, stream=stream, token=token, limit=LOG_LINES)
    )
    return cached.optional(
        ("endpoint log", connection, name, stream),
        reader.read,
        LOG_SECONDS,
        JobLog(),
        f"the log of {name}",
    )


def diagnosis(connection: Connection, endpoint: Endpoint) -> Diagnosis | None:
    """Why it, or its last update, failed; its log is read for that. None where nothing did."""
    if not endpoint.failed and not endpoint.failure_reason:
        return None
    found = streams(connection, endpoint.name).value
    lines = log(connection, endpoint.name, found[0]).value.events if found else ()
    kind = endpoint.variants[0].instance_type if endpoint.variants else ""
    return diagnose_endpoint(endpoint.failure_reason, [event.message for event in lines], kind)
