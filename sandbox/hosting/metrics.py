"""CloudWatch metrics of invocations, collected and published in the background, as SageMaker does every minute.

Source: SageMaker developer guide, "Monitor SageMaker AI with Amazon CloudWatch" (namespace AWS/SageMaker).
"""

from __future__ import annotations

import threading
import time
from collections import Counter

from sandbox.common.clients import Loopback
from sandbox.common.publish import Datum, publish

NAMESPACE = "AWS/SageMaker"
INTERVAL = 1.0  # seconds
MAX_VALUES = 150  # in one datum of PutMetricData
Key = tuple[str, str, str, str]  # endpoint, variant, metric, unit


class Metrics:
    """Collects invocations; a thread publishes them."""

    def __init__(self, loopback: Loopback) -> None:
        self._loopback = loopback
        self._values: dict[Key, Counter[float]] = {}
        self._change = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._publish_all, name="metrics", daemon=True)
        self._thread.start()

    def record(
        self,
        endpoint: str,
        variant: str,
        *,
        status: int,
        instances: int,
        model_us: float | None,
        overhead_us: float,
    ) -> None:
        """Record one invocation: the container's HTTP status (0: no response) and the times in microseconds.

        instances: of the variant; the sum of InvocationsPerInstance is the load of one of them.
        model_us:  None when the container was not called; then no ModelLatency is published.
        """
        server_error = status == 0 or status >= 500
        values = {
            ("Invocations", "Count"): 1.0,
            ("InvocationsPerInstance", "None"): 1 / instances,
            ("Invocation4XXErrors", "Count"): float(400 <= status < 500),
            ("Invocation5XXErrors", "Count"): float(server_error),
            ("InvocationModelErrors", "Count"): float(server_error or status >= 400),
            ("OverheadLatency", "Microseconds"): round(overhead_us),
        }
        if model_us is not None:
            values["ModelLatency", "Microseconds"] = round(model_us)
        with self._change:
            for (metric, unit), value in values.items():
                self._values.setdefault((endpoint, variant, metric, unit), Counter())[value] += 1
            self._change.notify_all()

    def close(self) -> None:
        """Publish the waiting values and stop; the sandbox must still be answering."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        self._thread.join(timeout=5)

    def _publish_all(self) -> None:
        """Publish at intervals until closed and empty."""
        while True:
            with self._change:
                self._change.wait_for(lambda: self._values or self._closing)
                self._change.wait_for(lambda: self._closing, timeout=INTERVAL)
                values, self._values = self._values, {}
                closing = self._closing
            if values:
                self._publish(values)
            elif closing:
                return

    def _publish(self, values: dict[Key, Counter[float]]) -> None:
        now = time.time()
        data = [datum for key, counts in values.items() for datum in _data(key, counts, now)]
        publish(self._loopback, NAMESPACE, data)


def _data(key: Key, counts: Counter[float], now: float) -> list[Datum]:
    """Return one metric's values as data of PutMetricData."""
    endpoint, variant, metric, unit = key
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
    pairs = list(counts.items())
    parts = [pairs[start : start + MAX_VALUES] for start in range(0, len(pairs), MAX_VALUES)]
    fixed = {"MetricName": metric, "Unit": unit, "Dimensions": dimensions, "Timestamp": now}
    return [
        {**fixed, "Values": [v for v, _ in part], "Counts": [float(n) for _, n in part]} for part in parts
    ]
