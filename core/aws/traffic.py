"""How much endpoints are called and how well they answer, from CloudWatch: many endpoints in one call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from core.aws.connection import Clients
from core.curves import MetricSeries
from core.endpoints import Endpoint
from core.traffic import Service, Traffic

Window = Literal["1 h", "6 h", "24 h", "7 d", "30 d"]
WINDOWS: dict[Window, tuple[timedelta, timedelta]] = {
    "1 h": (timedelta(hours=1), timedelta(minutes=1)),
    "6 h": (timedelta(hours=6), timedelta(minutes=5)),
    "24 h": (timedelta(hours=24), timedelta(minutes=15)),
    "7 d": (timedelta(days=7), timedelta(hours=1)),
    "30 d": (timedelta(days=30), timedelta(hours=6)),
}
"""A stretch of time until now, and the steps it is shown in."""


def traffic(clients: Clients, endpoints: Sequence[Endpoint], now: datetime) -> dict[str, Traffic]:
    """Endpoint -> its calls in thirty days: ONE call for each 500 variants. Raises AwsError.

    An endpoint whose variants are not known (ListEndpoints tells none) is left out.
    """
    raise NotImplementedError


def service(clients: Clients, endpoints: Sequence[Endpoint], now: datetime) -> dict[str, Service]:
    """Endpoint -> how it answered in the last 24 hours: one call for each 100 variants. Raises AwsError."""
    raise NotImplementedError


def endpoint_series(
    clients: Clients, endpoint: Endpoint, window: Window, now: datetime
) -> tuple[MetricSeries, ...]:
    """Curves of one endpoint over a window, its variants together: one call. Raises AwsError.

    By their names: "Invocations" (calls a step), "p50" and "p90" (ms), "Errors 4xx", "Errors 5xx" (calls a step),
    "CPUUtilization", "MemoryUtilization", "GPUUtilization", "GPUMemoryUtilization" (percent; CPU and GPU are summed
    over the cores and cards). Those without points are left out.
    """
    raise NotImplementedError
