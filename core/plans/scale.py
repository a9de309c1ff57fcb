"""Plans that change the weights and instance counts of an endpoint's variants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.cost.hosting import hosting_price
from core.cost.training import PriceTable
from core.endpoints.detail import Scaling
from core.endpoints.endpoint import Endpoint, Variant
from core.endpoints.spec import MAX_INSTANCES
from core.errors import InputError
from core.plans.plan import ApiCall, Plan
from core.plans.steps import (
    price_warnings,
    require_settled,
    require_variant,
    scalable_target,
    stop_autoscaling,
    variant_in_words,
)

POLICY = "segdeck-calls"
"""The name of each variant's scaling policy."""

METRIC = "SageMakerVariantInvocationsPerInstance"


@dataclass(frozen=True, slots=True)
class VariantChange:
    """A change of a variant. weight, count: None for no change."""

    name: str
    weight: float | None = None
    count: int | None = None


def plan_scale(endpoint: Endpoint, changes: Sequence[VariantChange], prices: PriceTable) -> Plan:
    """Change weights and instance counts. Raises InputError for invalid changes.

    endpoint: with its configuration (`with_config`), for the price.
    """
    require_settled(endpoint, "scaled")
    changed = {change.name: _scaled(require_variant(endpoint, change.name), change) for change in changes}
    after = [changed.get(variant.name, variant) for variant in endpoint.variants]
    before = [variant for variant in endpoint.variants if changed.get(variant.name, variant) != variant]
    if not before:
        raise InputError(
            f"The endpoint {endpoint.name} would not change.", todo="Change a weight or an instance count."
        )
    if not sum(variant.desired_weight or 0 for variant in after):
        raise InputError(
            "All weights would be 0, so that no variant would serve requests.", todo="Set one weight above 0."
        )
    rows = [_capacity(change) for change in changes if change.name in {variant.name for variant in before}]
    call = ApiCall(
        "sagemaker",
        "UpdateEndpointWeightsAndCapacities",
        {"EndpointName": endpoint.name, "DesiredWeightsAndCapacities": rows},
        f"Scale the endpoint {endpoint.name}: {'; '.join(map(variant_in_words, [changed[v.name] for v in before]))}.",
    )
    price = hosting_price([replace(variant, count=None) for variant in after], prices)
    undo = f"scale it back: {'; '.join(map(variant_in_words, before))}."
    return Plan("scale", endpoint.name, (call,), price, price_warnings(price), undo)


def plan_autoscale(endpoint: Endpoint, scaling: Scaling, prices: PriceTable) -> Plan:
    """Autoscale a variant to about `scaling.target` invocations per instance per minute.

    endpoint: with its configuration, for the price at the maximum number of instances.
    """
    variant = require_variant(endpoint, scaling.variant)
    if variant.serverless or not 1 <= scaling.low <= scaling.high <= MAX_INSTANCES:
        raise InputError(
            f"The variant {variant.name} cannot be autoscaled between {scaling.low} and {scaling.high} instances.",
            why="A serverless variant has no instances." if variant.serverless else "",
            todo=f"Set a range within 1 to {MAX_INSTANCES}.",
        )
    if not scaling.target or scaling.target <= 0:
        raise InputError(
            f"The target of {scaling.target} invocations per minute is invalid.",
            todo="Set the target invocations per instance per minute, above 0.",
        )
    most, fewest = (
        hosting_price(
            [replace(each, count=count) if each.name == variant.name else each for each in endpoint.variants],
            prices,
        )
        for count in (scaling.high, scaling.low)
    )
    range_ = (
        f"The price is for {scaling.high} instances; with {scaling.low} it is {fewest.per_hour} per hour."
    )
    return Plan(
        "autoscale",
        endpoint.name,
        _autoscaling(endpoint, scaling),
        most,
        price_warnings(most) or (range_,),
        "stop autoscaling. The instance count then stays as it is.",
    )


def plan_stop_autoscale(endpoint: Endpoint, variant: str) -> Plan:
    """Stop autoscaling a variant."""
    return Plan(
        "stop autoscaling",
        endpoint.name,
        (stop_autoscaling(endpoint.name, variant),),
        None,
        (),
        "set up autoscaling again.",
    )


def _scaled(variant: Variant, change: VariantChange) -> Variant:
    if variant.serverless:
        raise InputError(f"The variant {variant.name} is serverless: it has no instances to scale.")
    if change.weight is not None and not 0 <= change.weight < math.inf:
        raise InputError(f"The weight of {variant.name} is {change.weight}.", todo="Set it to 0 or more.")
    if change.count is not None and not 1 <= change.count <= MAX_INSTANCES:
        raise InputError(
            f"The instance count of {variant.name} is {change.count}.",
            todo=f"Set it to 1 to {MAX_INSTANCES}.",
        )
    weight = variant.desired_weight if change.weight is None else change.weight
    count = variant.desired_count if change.count is None else change.count
    return replace(variant, desired_weight=weight, desired_count=count)


def _capacity(change: VariantChange) -> dict[str, Any]:
    row: dict[str, Any] = {"VariantName": change.name}
    row |= {} if change.weight is None else {"DesiredWeight": change.weight}
    return row | ({} if change.count is None else {"DesiredInstanceCount": change.count})


def _autoscaling(endpoint: Endpoint, scaling: Scaling) -> tuple[ApiCall, ApiCall]:
    target = scalable_target(endpoint.name, scaling.variant)
    policy = {
        "PolicyName": POLICY,
        **target,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": scaling.target,
            "PredefinedMetricSpecification": {"PredefinedMetricType": METRIC},
        },
    }
    return (
        ApiCall(
            "application-autoscaling",
            "RegisterScalableTarget",
            {**target, "MinCapacity": scaling.low, "MaxCapacity": scaling.high},
            f"Allow the variant {scaling.variant} {scaling.low} to {scaling.high} instances.",
        ),
        ApiCall(
            "application-autoscaling",
            "PutScalingPolicy",
            policy,
            f"Target {scaling.target:g} invocations per instance per minute.",
        ),
    )
