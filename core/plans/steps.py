"""What the plans about endpoints have in common: their steps, and the words for what they cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from core.cost.hosting import HostingPrice
from core.endpoints.endpoint import Endpoint, Variant, in_words, requested_variants
from core.endpoints.spec import EndpointSpec, model_request
from core.errors import InputError
from core.plans.plan import ApiCall

DIMENSION = "sagemaker:variant:DesiredInstanceCount"
AT_REST = ("InService", "UpdateRollbackFailed")
"""Statuses in which an endpoint takes a change."""


def put_object(uri: str, more: Mapping[str, Any], what: str) -> ApiCall:
    """Write an object, never over another one. `Filename` stands for a `Body` that is read from that file."""
    parts = urlsplit(uri, allow_fragments=False)
    params = {"Bucket": parts.netloc, "Key": parts.path[1:], **more, "IfNoneMatch": "*"}
    return ApiCall("s3", "PutObject", params, what)


def new_model(spec: EndpointSpec) -> tuple[ApiCall, ...]:
    """Nothing where the spec names a model that is there."""
    if spec.model:
        return ()
    request = model_request(spec)
    what = f"Create the model {request['ModelName']} from {spec.model_uri}."
    return (ApiCall("sagemaker", "CreateModel", request, what),)


def new_config(request: Mapping[str, Any]) -> ApiCall:
    rows = "; ".join(map(variant_in_words, requested_variants(request)))
    what = f"Create the endpoint configuration {request['EndpointConfigName']}: {rows}."
    return ApiCall("sagemaker", "CreateEndpointConfig", request, what)


def stop_autoscaling(endpoint: str, variant: str) -> ApiCall:
    """The variant's scaling policies go with it."""
    what = f"Stop autoscaling the variant {variant} of {endpoint}."
    return ApiCall(
        "application-autoscaling", "DeregisterScalableTarget", scalable_target(endpoint, variant), what
    )


def scalable_target(endpoint: str, variant: str) -> dict[str, str]:
    """How application-autoscaling calls a variant."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/{variant}",
        "ScalableDimension": DIMENSION,
    }


def variant_in_words(variant: Variant) -> str:
    """Such as "AllTraffic on 2 × ml.c5.xlarge, weight 1"."""
    count = variant.count if variant.desired_count is None else variant.desired_count
    weight = variant.weight if variant.desired_weight is None else variant.desired_weight
    machines = (
        "serverless" if variant.serverless else f"on {count} × {variant.instance_type or 'its instance type'}"
    )
    return f"{variant.name} {machines}, weight {1.0 if weight is None else weight:g}"


def the_variant(endpoint: Endpoint, name: str) -> Variant:
    """Raises InputError where there is no such variant."""
    wanted_variant = endpoint.variant(name)
    if wanted_variant is None:
        names = ", ".join(variant.name for variant in endpoint.variants) or "none that can be read"
        raise InputError(
            f"The endpoint {endpoint.name} has no variant {name!r}.",
            todo=f"Choose one of its variants: {names}.",
        )
    return wanted_variant


def at_rest(endpoint: Endpoint, change: str) -> None:
    """Raises InputError where it takes no change now. change: such as "scaled"."""
    if endpoint.status in AT_REST:
        return
    raise InputError(
        f"The endpoint {endpoint.name} cannot be {change}: it is {in_words(endpoint.status)}.",
        why=endpoint.failure_reason,
        todo="Wait until it is gone, and deploy it again."
        if endpoint.status == "Deleting"
        else "Delete it, and deploy it again."
        if endpoint.failed
        else "Wait until it is in service.",
    )


def price_warnings(price: HostingPrice) -> tuple[str, ...]:
    """A price that is not known is worth a warning."""
    return () if price.per_hour is not None else (price.source,)
