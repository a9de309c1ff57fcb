"""Change instance counts by load as target tracking does: out after 3 minutes, in after 15 minutes.

The load is InvocationsPerInstance, summed per minute; a minute without calls counts as 0, as SageMaker reports zeros
then. Counts are changed over the API, so they are visible and validated like any other change. Source: Application
Auto Scaling user guide, "How target tracking scaling works".
"""

from __future__ import annotations

import math
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.common.clients import Loopback
from sandbox.common.store import Document, RecordStore
from sandbox.hosting.autoscaling import ACTIVITY, DIMENSION, NAMESPACE, POLICY, TARGET
from sandbox.hosting.fleet import count_of
from sandbox.hosting.metrics import NAMESPACE as METRICS

OUT_MINUTES, IN_MINUTES = 3, 15
IN_SHARE = 0.9  # of the target: a lower load scales in
_SET = "Successfully set desired instance count to {}."
COOLDOWN = 300  # seconds, unless the policy sets its own


def wanted_count(count: int, loads: Sequence[float], policy: Document) -> int:
    """Return the count that a policy requests. loads: invocations per instance in the last minutes, newest last."""
    target: float = policy["TargetValue"]
    recent = loads[-OUT_MINUTES:]
    if min(recent) > target:
        return math.ceil(count * sum(recent) / len(recent) / target)
    if max(loads) < IN_SHARE * target and not policy.get("DisableScaleIn"):
        return max(1, math.ceil(count * max(loads) / target))
    return count


class Autoscaler:
    """Applies the scaling policies. max_instances: the instances that a variant may have on this machine."""

    def __init__(
        self,
        store: RecordStore,
        loopback: Loopback,
        *,
        max_instances: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._loopback, self._clock = store, loopback, clock
        self._max_instances = max_instances

    def check_targets(self) -> None:
        """Check every scalable target once."""
        for target in self._store.all(TARGET):
            try:
                self._check_target(target)
            except (ClientError, BotoCoreError) as problem:
                print(f"sandbox: {target['ResourceId']} was not scaled: {problem}", file=sys.stderr)

    def _check_target(self, target: Document) -> None:
        """Record a finished change of one target, and start the next one when its load requires it."""
        endpoint = self._store.get("endpoint", target["_endpoint"])
        if endpoint is None or endpoint["EndpointStatus"] != "InService" or endpoint.get("_imported"):
            return
        name = target["ResourceId"].rpartition("/")[2]
        count = next(
            (count_of(variant) for variant in endpoint["_variants"] if variant["VariantName"] == name), None
        )
        if count is None:
            return
        self._finish(target, endpoint, count)
        wanted, cause = self._wanted(target, name, count)
        if wanted != count:
            self._change(target, name, wanted, cause)

    def _wanted(self, target: Document, variant: str, count: int) -> tuple[int, str]:
        """Return the count for one variant, within its bounds and this machine's, and the cause."""
        low, high = max(1, target["MinCapacity"]), max(1, min(target["MaxCapacity"], self._max_instances))
        inside = min(max(count, low), high)
        if inside != count:
            return inside, f"the capacity was outside of the range {low} to {high}"
        policies = [
            policy for policy in self._store.all(POLICY) if policy["ResourceId"] == target["ResourceId"]
        ]
        if not policies:
            return count, ""
        loads = self._loads(target["_endpoint"], variant)
        proposals = [
            (self._proposed(target, policy, count, loads), policy["PolicyName"]) for policy in policies
        ]
        wanted, name = max(proposals)  # as in AWS, the policy with the largest count wins
        return min(max(wanted, low), high), f"the load triggered policy {name}"

    def _proposed(self, target: Document, policy: Document, count: int, loads: Sequence[float]) -> int:
        """Return the count of one policy; the current one during a cooldown or a suspension."""
        config, suspended = policy["TargetTrackingScalingPolicyConfiguration"], target["SuspendedState"]
        wanted = wanted_count(count, loads, config)
        way = "Out" if wanted > count else "In"
        waits = self._clock() - self._last_end(target) < config.get(f"Scale{way}Cooldown", COOLDOWN)
        return count if waits or suspended.get(f"DynamicScaling{way}Suspended") else wanted

    def _last_end(self, target: Document) -> float:
        """Return when the last activity of a target ended, seconds since 1970."""
        ends = [activity["EndTime"] for activity in self._activities(target, "Successful", "Failed")]
        return max(ends, default=-math.inf)

    def _activities(self, target: Document, *statuses: str) -> list[Document]:
        """Return a target's activities with one of these statuses."""
        activities = (
            activity
            for activity in self._store.view(ACTIVITY)
            if activity["ResourceId"] == target["ResourceId"]
        )
        return [activity for activity in activities if activity["StatusCode"] in statuses]

    def _loads(self, endpoint: str, variant: str) -> list[float]:
        """Return the invocations per instance in each of the last IN_MINUTES whole minutes."""
        end = int(self._clock()) // 60 * 60
        start = end - 60 * IN_MINUTES
        points: list[dict[str, Any]] = self._loopback.client("cloudwatch").get_metric_statistics(
            Namespace=METRICS,
            MetricName="InvocationsPerInstance",
            Dimensions=[
                {"Name": "EndpointName", "Value": endpoint},
                {"Name": "VariantName", "Value": variant},
            ],
            StartTime=datetime.fromtimestamp(start, UTC),
            EndTime=datetime.fromtimestamp(end, UTC),
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
        sums = {int(point["Timestamp"].timestamp()): point["Sum"] for point in points}
        return [sums.get(at, 0.0) for at in range(start, end, 60)]

    def _change(self, target: Document, variant: str, count: int, cause: str) -> None:
        """Request a new count with UpdateEndpointWeightsAndCapacities and record the activity."""
        now = self._clock()
        name = f"{9e9 - now:.6f}"  # newest first
        activity = {
            "ActivityId": str(uuid.uuid4()),
            "ServiceNamespace": NAMESPACE,
            "ResourceId": target["ResourceId"],
            "ScalableDimension": DIMENSION,
            "Description": f"Setting desired instance count to {count}.",
            "Cause": cause,
            "StartTime": now,
            "StatusCode": "InProgress",
            "StatusMessage": f"{_SET.format(count)} Waiting for change to be fulfilled.",
            "_name": name,
            "_count": count,
        }
        self._loopback.client("sagemaker").update_endpoint_weights_and_capacities(
            EndpointName=target["_endpoint"],
            DesiredWeightsAndCapacities=[{"VariantName": variant, "DesiredInstanceCount": count}],
        )
        self._store.insert(ACTIVITY, name, activity)

    def _finish(self, target: Document, endpoint: Document, count: int) -> None:
        """Record how the change in progress ended, now that the endpoint is in service again."""
        for activity in self._activities(target, "InProgress"):
            good = activity["_count"] == count
            done = f"{_SET.format(activity['_count'])} Change successfully fulfilled by sagemaker."
            ended = {
                "StatusCode": "Successful" if good else "Failed",
                "StatusMessage": done
                if good
                else endpoint.get("FailureReason", "Another change replaced it."),
                "EndTime": self._clock(),
            }
            self._store.update(ACTIVITY, activity["_name"], partial(_add, ended))


def _add(values: Document, document: Document) -> None:
    document.update(values)
