"""What the page of one endpoint asks for again and again, shared by all who look at it."""

from __future__ import annotations

from dataclasses import replace

from core.aws import traffic as cloudwatch
from core.aws.connection import Connection, clients
from core.aws.endpoint_detail import endpoint_detail
from core.aws.endpoints import describe_endpoint
from core.aws.logs import endpoint_streams, endpoint_tail
from core.aws.traffic import Window
from core.curves import MetricSeries
from core.diagnosis import Diagnosis
from core.endpoint_detail import EndpointDetail
from core.endpoint_diagnosis import diagnose_endpoint
from core.endpoints import Endpoint, with_config
from core.errors import NotFoundError
from pages.parts import cached, live, times
from pages.parts.latest import Reading

SECONDS = 4
"""How old an endpoint's facts may be."""

SERIES_SECONDS = 30
"""CloudWatch has a point a minute."""

LOG_SECONDS, STREAMS_SECONDS = 4, 15


class DetailReader:
    """Reads all of an endpoint; while AWS is at work on it, only how far that is: nothing else of it changes then."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection, self._name = connection, name
        self._last: EndpointDetail | None = None

    def read(self) -> EndpointDetail:
        """What is known of it now. Raises NotFoundError, AwsError."""
        self._last = self._progress(self._last) or endpoint_detail(clients(self._connection), self._name)
        return self._last

    def _progress(self, last: EndpointDetail | None) -> EndpointDetail | None:
        """The last look with the endpoint as it is now; None where all is to be read."""
        if last is None or not last.endpoint.changing:
            return None
        found = describe_endpoint(clients(self._connection), self._name)
        if not found.changing or found.config != last.endpoint.config:
            return None
        return replace(last, endpoint=replace(with_config(found, last.config), tags=last.endpoint.tags))


def detail(connection: Connection, name: str) -> Reading[EndpointDetail]:
    """The endpoint with all that belongs to it. Raises NotFoundError, also for one that is gone since; AwsError."""
    reader = DetailReader(connection, name)
    seen = cached.shelf().read(("endpoint", connection, name), reader.read, SECONDS)
    if isinstance(seen.failure, NotFoundError):
        raise seen.failure
    return seen


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
