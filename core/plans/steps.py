"""Steps and checks that the endpoint plans share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.cost.hosting import HostingPrice
from core.endpoints.endpoint import Endpoint, Variant, in_words, requested_variants
from core.endpoints.spec import EndpointSpec, model_request
from core.errors import InputError
from core.plans.plan import ApiCall
from core.s3_uri import split_uri

DIMENSION = "sagemaker:variant:DesiredInstanceCount"
SETTLED = ("InService", "UpdateRollbackFailed")
"""Statuses in which an endpoint accepts a change."""


def put_object(uri: str, more: Mapping[str, Any], what: str) -> ApiCall:
    """Write an object, never over an existing one. `Filename` means that the `Body` is read from that file.

    Raises InputError for the URI.
    """
    bucket, key = split_uri(uri)
    params = {"Bucket": bucket, "Key": key, **more, "IfNoneMatch": "*"}
    return ApiCall("s3", "PutObject", params, what)


def put_mask(bucket: str, key: str, body: bytes, *, overwrite: bool) -> ApiCall:
    """Write a mask, never over an existing object unless `overwrite` is set."""
    params: dict[str, Any] = {"Bucket": bucket, "Key": key, "Body": body, "ContentType": "image/png"}
    params |= {} if overwrite else {"IfNoneMatch": "*"}
    return ApiCall("s3", "PutObject", params, f"Write the mask s3://{bucket}/{key}.")


def new_model(spec: EndpointSpec) -> tuple[ApiCall, ...]:
    """Create the model; no step if the spec names an existing model."""
    if spec.model:
        return ()
    request = model_request(spec)
    what = f"Create the model {request['ModelName']} from {spec.model_uri}."
    return (ApiCall("sagemaker", "CreateModel", request, what),)


def new_config(request: Mapping[str, Any]) -> ApiCall:
    """Create the endpoint configuration."""
    rows = "; ".join(map(variant_in_words, requested_variants(request)))
    what = f"Create the endpoint configuration {request['EndpointConfigName']}: {rows}."
    return ApiCall("sagemaker", "CreateEndpointConfig", request, what)


def stop_autoscaling(endpoint: str, variant: str) -> ApiCall:
    """Stop autoscaling a variant; its scaling policies are deleted."""
    what = f"Stop autoscaling the variant {variant} of {endpoint}."
    return ApiCall(
        "application-autoscaling", "DeregisterScalableTarget", scalable_target(endpoint, variant), what
    )


def scalable_target(endpoint: str, variant: str) -> dict[str, str]:
    """Return a variant's identifiers in Application Auto Scaling."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/{variant}",
        "ScalableDimension": DIMENSION,
    }


def variant_in_words(variant: Variant) -> str:
    """Describe a variant, such as "AllTraffic on 2 × ml.c5.xlarge, weight 1"."""
    count = variant.count if variant.desired_count is None else variant.desired_count
    weight = variant.weight if variant.desired_weight is None else variant.desired_weight
    machines = (
        "serverless"
        if variant.serverless
        else f"on {count} × {variant.instance_type or 'unknown instance type'}"
    )
    return f"{variant.name} {machines}, weight {1.0 if weight is None else weight:g}"


def require_variant(endpoint: Endpoint, name: str) -> Variant:
    """Return the variant of this name. Raises InputError if there is none."""
    variant = endpoint.variant(name)
    if variant is None:
        names = ", ".join(each.name for each in endpoint.variants) or "none could be read"
        raise InputError(
            f"The endpoint {endpoint.name} has no variant {name!r}.",
            todo=f"Choose one of its variants: {names}.",
        )
    return variant


def require_settled(endpoint: Endpoint, change: str) -> None:
    """Raise InputError if the endpoint accepts no change now. change: such as "scaled"."""
    if endpoint.status in SETTLED:
        return
    raise InputError(
        f"The endpoint {endpoint.name} cannot be {change}: it is {in_words(endpoint.status)}.",
        why=endpoint.failure_reason,
        todo="Wait until it is deleted, then deploy it again."
        if endpoint.status == "Deleting"
        else "Delete it, then deploy it again."
        if endpoint.failed
        else "Wait until it is in service.",
    )


def price_warnings(price: HostingPrice) -> tuple[str, ...]:
    """Return a warning if the price is unknown."""
    return () if price.per_hour is not None else (price.source,)
