"""The cached reads behind the page of one endpoint, shared by all users."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.aws import traffic as cloudwatch
from core.aws.connection import Connection, clients
from core.aws.endpoint_detail import resources_of, with_description
from core.aws.endpoints import read_endpoint
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
"""Seconds that an endpoint's description may be cached."""

CHANGING_SECONDS, DESCRIPTION_SECONDS = 3600, 30
"""Seconds that its configuration may be cached while AWS changes it; and tags, lineage and class names."""

SERIES_SECONDS = 30
"""CloudWatch has one point per minute."""

LOG_SECONDS, STREAMS_SECONDS = 4, 15


@dataclass(frozen=True, slots=True)
class EndpointSnapshot:
    """An endpoint as it was last read.

    seen:   the endpoint, with the parts that have arrived.
    absent: why other parts have not: they are pending, or a read failed; None if all are there.
    """

    seen: Snapshot[EndpointDetail]
    absent: CoreError | PendingError | None = None


def look(connection: Connection, name: str) -> EndpointSnapshot:
    """Return the endpoint with the parts that have arrived.

    Raises NotFoundError, also if it was deleted since; AwsError or PendingError if nothing about it is known.
    """
    seen = cached.shelf().read(
        ("endpoint", connection, name),
        lambda: read_endpoint(clients(connection), name),
        SECONDS,
        f"the endpoint {name}",
    )
    if isinstance(seen.failure, NotFoundError):
        raise seen.failure
    endpoint, notes = seen.value
    detail, failure = EndpointDetail(endpoint=endpoint, scaling_known=False, notes=notes), seen.failure
    absent: CoreError | PendingError | None = None
    try:
        parts = _belongings(connection, endpoint)
        detail, failure = _with_parts(detail, parts.value), failure or parts.failure
        described = _description(connection, parts.value)
        detail, failure = _with_description(detail, described.value), failure or described.failure
    except (CoreError, PendingError) as error:
        absent = error
    return EndpointSnapshot(Snapshot(detail, seen.at, failure, seen.pending), absent)


def detail(connection: Connection, name: str) -> Snapshot[EndpointDetail]:
    """Return the endpoint with all its parts. Raises as `look`, and if any part is missing."""
    snapshot = look(connection, name)
    if snapshot.absent is not None:
        raise snapshot.absent
    return snapshot.seen


def _belongings(connection: Connection, endpoint: Endpoint) -> Snapshot[EndpointDetail]:
    """Read configuration, models and autoscaling. None of these changes while AWS changes the endpoint."""
    return cached.shelf().read(
        ("belongings", connection, endpoint.name, endpoint.config, endpoint.changing),
        lambda: resources_of(clients(connection), endpoint),
        CHANGING_SECONDS if endpoint.changing else SECONDS,
        f"the configuration of {endpoint.name}",
    )


def _description(connection: Connection, parts: EndpointDetail) -> Snapshot[EndpointDetail]:
    """Read tags, lineage and class names."""
    models = tuple((model.name, model.model_uri) for model in parts.models)
    return cached.shelf().read(
        ("description", connection, parts.name, parts.endpoint.config, models),
        lambda: with_description(clients(connection), replace(parts, notes=())),
        CHANGING_SECONDS if parts.endpoint.changing else DESCRIPTION_SECONDS,
        f"the lineage and class names of {parts.name}",
    )


def _with_parts(detail: EndpointDetail, parts: EndpointDetail) -> EndpointDetail:
    endpoint = with_config(detail.endpoint, parts.config)
    return replace(parts, endpoint=endpoint, notes=(*detail.notes, *parts.notes))


def _with_description(detail: EndpointDetail, described: EndpointDetail) -> EndpointDetail:
    """Return the detail with its description added; the endpoint's own state is the newer one."""
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
    """Return its CloudWatch metrics over a time window."""
    names = tuple(variant.name for variant in endpoint.variants)
    return cached.optional(
        ("endpoint series", connection, endpoint.name, endpoint.created_at, names, window),
        lambda: cloudwatch.endpoint_series(clients(connection), endpoint, window, formatting.now()),
        SERIES_SECONDS,
        (),
        f"the metrics of {endpoint.name}",
    )


def streams(connection: Connection, name: str) -> OptionalPart[tuple[str, ...]]:
    """Return its log streams, one per instance, the most recently written first."""
    return cached.optional(
        ("endpoint streams", connection, name),
        lambda: endpoint_streams(clients(connection), name),
        STREAMS_SECONDS,
        (),
        f"the log streams of {name}",
    )


def log(connection: Connection, name: str, stream: str) -> OptionalPart[JobLog]:
    """Return one of its logs."""
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
    """Return why it or its last update failed, using its log; None if nothing failed."""
    if not endpoint.failed and not endpoint.failure_reason:
        return None
    names = streams(connection, endpoint.name).value
    lines = log(connection, endpoint.name, names[0]).value.events if names else ()
    kind = endpoint.variants[0].instance_type if endpoint.variants else ""
    return diagnose_endpoint(endpoint.failure_reason, [event.message for event in lines], kind)
