"""What the page of one endpoint asks for again and again, shared by all who look at it."""

from __future__ import annotations

from core.aws import traffic as cloudwatch
from core.aws.connection import Connection, clients
from core.aws.endpoint_detail import endpoint_detail
from core.aws.logs import endpoint_streams, endpoint_tail
from core.aws.traffic import Window
from core.curves import MetricSeries
from core.diagnosis import Diagnosis
from core.endpoint_detail import EndpointDetail
from core.endpoint_diagnosis import diagnose_endpoint
from core.endpoints import Endpoint
from pages.parts import cached, live, times
from pages.parts.latest import Reading

SECONDS = 4
"""How old an endpoint's facts may be."""

SERIES_SECONDS = 30
"""CloudWatch has a point a minute."""

LOG_SECONDS, STREAMS_SECONDS = 4, 15


def detail(connection: Connection, name: str) -> Reading[EndpointDetail]:
    """The endpoint with all that belongs to it. Raises NotFoundError, AwsError."""
    return cached.shelf().read(
        ("endpoint", connection, name), lambda: endpoint_detail(clients(connection), name), SECONDS
    )


def series(connection: Connection, endpoint: Endpoint, window: Window) -> Reading[tuple[MetricSeries, ...]]:
    """Its curves over a window."""
    names = tuple(variant.name for variant in endpoint.variants)
    return live.optional(
        ("endpoint series", connection, endpoint.name, names, window),
        lambda: cloudwatch.endpoint_series(clients(connection), endpoint, window, times.now()),
        SERIES_SECONDS,
        (),
    )


def streams(connection: Connection, name: str) -> Reading[tuple[str, ...]]:
    """Its log streams, one for each machine, the one written to last first."""
    return live.optional(
        ("endpoint streams", connection, name),
        lambda: endpoint_streams(clients(connection), name),
        STREAMS_SECONDS,
        (),
    )


def log(connection: Connection, name: str, stream: str) -> Reading[live.JobLog]:
    """One of its logs."""
    reader = live.LogReader(
        lambda token: endpoint_tail(
            clients(connection), name, stream=stream, token=token, limit=live.LOG_LINES
        )
    )
    return live.optional(("endpoint log", connection, name, stream), reader.read, LOG_SECONDS, live.JobLog())


def diagnosis(connection: Connection, endpoint: Endpoint) -> Diagnosis | None:
    """Why it, or its last update, failed; its log is read for that. None where nothing did."""
    if not endpoint.failed and not endpoint.failure_reason:
        return None
    found = streams(connection, endpoint.name).value
    lines = log(connection, endpoint.name, found[0]).value.events if found else ()
    kind = endpoint.variants[0].instance_type if endpoint.variants else ""
    return diagnose_endpoint(endpoint.failure_reason, [event.message for event in lines], kind)
