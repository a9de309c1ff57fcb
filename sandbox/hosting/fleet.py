"""The replicas behind an endpoint: one per instance of each variant, chosen by weight, then by load."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sandbox.common.store import Document
from sandbox.hosting.container import StartError
from sandbox.hosting.context import ContainerContext
from sandbox.hosting.replica import Replica, for_each

NO_CAPACITY = (
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. "
    "Please retry using a different ML instance type."
)
"""AWS's FailureReason of an endpoint."""


def weight_of(variant: Document) -> float:
    """Return a stored variant's weight: the last one set, else that of its configuration."""
    return float(variant["DesiredWeight" if "DesiredWeight" in variant else "InitialVariantWeight"])


def count_of(variant: Document) -> int:
    """Return a stored variant's number of instances: the last one set, else that of its configuration."""
    return int(
        variant["DesiredInstanceCount" if "DesiredInstanceCount" in variant else "InitialInstanceCount"]
    )


@dataclass(frozen=True, slots=True)
class Lease:
    """A replica assigned to one request until `release`. instances: how many its variant has."""

    replica: Replica
    instances: int

    def release(self) -> None:
        """End the request."""
        self.replica.release()


class ReplicaFleet:
    """The replicas of all variants. variants: stored variants; current: the fleet whose replicas are reused.

    `choose` is not thread-safe: callers hold the lock that also guards swapping fleets.
    """

    def __init__(
        self,
        endpoint: str,
        variants: Sequence[Document],
        context: ContainerContext,
        current: ReplicaFleet | None = None,
    ) -> None:
        """Reuse the replicas of `current`, and create the missing ones without starting them."""
        self.variants, self._faults = variants, context.faults
        self._groups: dict[str, list[Replica]] = {}
        self._new: list[Replica] = []
        self._turns: Iterator[int] = current._turns if current is not None else itertools.count(1)
        for variant in variants:
            name, count = variant["VariantName"], count_of(variant)
            kept = current.group(name)[:count] if current is not None else []
            new = [Replica(endpoint, variant, context) for _ in range(count - len(kept))]
            self._groups[name] = kept + new
            self._new += new

    def group(self, variant: str) -> list[Replica]:
        """Return the replicas of a variant; an empty list for an unknown variant."""
        return self._groups.get(variant, [])

    @property
    def replicas(self) -> list[Replica]:
        """Return all replicas."""
        return [replica for group in self._groups.values() for replica in group]

    def bring_up(self) -> None:
        """Start the new replicas in parallel. Raises StartError when one does not start: then call `abandon`."""
        if not self._new:
            return
        for instance_type in {replica.variant["InstanceType"] for replica in self._new}:
            if self._faults.take("capacity", instance_type):
                raise StartError(NO_CAPACITY)
        with ThreadPoolExecutor(len(self._new)) as pool:
            starts = [pool.submit(replica.bring_up) for replica in self._new]
        for start in starts:
            start.result()

    def abandon(self) -> None:
        """Stop the new replicas; those of the current fleet keep serving."""
        for_each(self._new, Replica.stop)

    def beyond(self, other: ReplicaFleet) -> list[Replica]:
        """Return the replicas that the other fleet does not use."""
        used = set(other.replicas)
        return [replica for replica in self.replicas if replica not in used]

    def choose(self, variant: str | None) -> Lease | None:
        """Return a replica for one request: of the given variant, else by weight; None when there is none.

        Among a variant's replicas, prefer a running process, then the fewest requests, then the longest idle.
        """
        if variant is None:
            weights = [weight_of(item) for item in self.variants]
            names = [item["VariantName"] for item in self.variants]
            variant = random.choices(names, weights if sum(weights) > 0 else None)[0]
        group = self.group(variant)
        if not group:
            return None
        best = min(
            group, key=lambda candidate: (candidate.process is None, candidate.requests, candidate.turn)
        )
        best.take(next(self._turns))
        return Lease(best, len(group))


def summary(variant: Document, now: float) -> Document:
    """Return a variant in service as a ProductionVariantSummary of DescribeEndpoint."""
    weight, count = weight_of(variant), count_of(variant)
    return {
        "VariantName": variant["VariantName"],
        "DeployedImages": _images(variant, now),
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": count,
    }


def pending(config: str, variants: Sequence[Document], now: float) -> Document:
    """Return a deployment in progress as PendingDeploymentSummary of DescribeEndpoint."""
    shown = [
        {
            "VariantName": variant["VariantName"],
            "DeployedImages": _images(variant, now),
            "CurrentWeight": 0.0,
            "DesiredWeight": weight_of(variant),
            "CurrentInstanceCount": 0,
            "DesiredInstanceCount": count_of(variant),
            "InstanceType": variant["InstanceType"],
            "VariantStatus": [{"Status": "Creating", "StartTime": now}],
        }
        for variant in variants
    ]
    return {"EndpointConfigName": config, "ProductionVariants": shown, "StartTime": now}


def _images(variant: Document, now: float) -> list[Document]:
    """Return a variant's DeployedImages."""
    image = variant["_container"].get("Image", "")
    return [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": now}]
