"""Measure the machine usage of endpoints' replicas, every minute, for CloudWatch.

Under /aws/sagemaker/Endpoints, by endpoint and variant, in percent: CPUUtilization (all cores together, so up to 100
times their number), MemoryUtilization, and DiskUtilization of the model's disk. Each replica of a variant is one
sample, as AWS's instances are. GPU metrics are not published, as the sandbox uses no GPUs. Source: SageMaker
developer guide, "Monitor SageMaker AI with Amazon CloudWatch".
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

from sandbox.common.process_usage import ProcessUsage, usages
from sandbox.common.publish import Datum, publish
from sandbox.hosting.context import ContainerContext
from sandbox.hosting.fleet import ReplicaFleet
from sandbox.hosting.lifecycle import Endpoints
from sandbox.hosting.replica import Replica

NAMESPACE = "/aws/sagemaker/Endpoints"


class EndpointUsage:
    """Measures endpoints; keeps each process's usage between two measurements."""

    def __init__(self, endpoints: Endpoints, context: ContainerContext) -> None:
        self._endpoints, self._loopback, self._folder = endpoints, context.loopback, context.folder
        self._last: dict[int, tuple[ProcessUsage, float]] = {}  # process -> its usage, and when

    def measure(self) -> None:
        """Measure all endpoints once and publish to CloudWatch."""
        fleets = self._endpoints.fleets()
        if fleets:
            publish(self._loopback, NAMESPACE, self._measure(fleets))

    def _measure(self, fleets: dict[str, ReplicaFleet]) -> list[Datum]:
        """Return the data of all fleets and remember the processes' usage."""
        usage_by_group, now = usages(), time.monotonic()
        running = {
            process.pid
            for fleet in fleets.values()
            for replica in fleet.replicas
            if (process := replica.process)
        }
        data = [
            datum
            for endpoint, fleet in fleets.items()
            for variant in fleet.variants
            for datum in self._data(endpoint, variant["VariantName"], fleet, usage_by_group, now)
        ]
        self._last = {pid: (usage_by_group[pid], now) for pid in running & usage_by_group.keys()}
        return data

    def _data(
        self,
        endpoint: str,
        variant: str,
        fleet: ReplicaFleet,
        usage_by_group: dict[int, ProcessUsage],
        now: float,
    ) -> Iterator[Datum]:
        """Yield the data of one variant, one sample per replica."""
        values: dict[str, list[float]] = {}
        for replica in fleet.group(variant):
            for metric, value in self._sample(replica, usage_by_group, now).items():
                values.setdefault(metric, []).append(value)
        dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
        fixed = {"Dimensions": dimensions, "Unit": "Percent", "Timestamp": time.time()}
        for metric, samples in values.items():
            yield {**fixed, "MetricName": metric, "Values": samples}

    def _sample(
        self, replica: Replica, usage_by_group: dict[int, ProcessUsage], now: float
    ) -> dict[str, float]:
        """Return one replica's metrics, percent; empty without a process."""
        process = replica.process
        use = usage_by_group.get(process.pid) if process is not None else None
        if process is None or use is None:
            return {}
        sample = {"MemoryUtilization": use.memory_percent()}
        disk = shutil.disk_usage(self._folder)
        sample["DiskUtilization"] = 100 * disk.used / disk.total
        last, at = self._last.get(process.pid, (use, now))
        if now > at:
            sample["CPUUtilization"] = max(0.0, 100 * (use.processor - last.processor) / (now - at))
        return sample
