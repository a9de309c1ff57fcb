"""Plans that create an endpoint, or change its model or instances."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from core.cost.hosting import hosting_price
from core.cost.training import PriceTable
from core.endpoints.detail import EndpointDetail, Model
from core.endpoints.endpoint import (
    CLASSES_TAG,
    EXAMPLES_TAG,
    JOB_TAG,
    Endpoint,
    EndpointConfig,
    classes_uri_for,
    requested_variants,
)
from core.endpoints.spec import (
    EndpointSpec,
    check_spec,
    config_request,
    dropped_settings,
    endpoint_tags,
    instance_warnings,
    lineage_tags,
    model_request,
    tag_rows,
    variant_request,
)
from core.errors import InputError
from core.imaging.classes import Classes
from core.plans.plan import ApiCall, Plan
from core.plans.steps import (
    new_config,
    new_model,
    price_warnings,
    put_object,
    require_settled,
    require_variant,
    stop_autoscaling,
)
from core.text import listing
from core.training.security import has_local_storage

BILLS = "It is billed per hour from when it is in service until it is deleted, whether it is called or not."
BILLED_TWICE = "During the update, both the old and the new instances are billed."
INSTANCE_FIELDS = (
    "AcceleratorType",
    "AcceleratorPartitionLayouts",
    "CapacityReservationConfig",
    "InferenceAmiVersion",
    "InstancePools",
    "ServerlessConfig",
)
"""Fields of a variant that are specific to its instance type, and dropped when that changes."""

Row = dict[str, Any]
"""An entry of CreateEndpointConfig's ProductionVariants."""


@dataclass(frozen=True, slots=True)
class ModelUpload:
    """A local file that a plan uploads to S3 first, never over an existing object.

    path:   of the file.
    uri:    its S3 URI; the spec's `model_uri`.
    size:   bytes.
    sha256: hexadecimal hash, stored with the object to recognize the same file.
    """

    path: str
    uri: str
    size: int
    sha256: str


def plan_deploy(
    spec: EndpointSpec,
    prices: PriceTable,
    *,
    warnings: tuple[str, ...] = (),
    upload: ModelUpload | None = None,
    classes: Classes | None = None,
) -> Plan:
    """Create model, configuration and endpoint. Raises InputError with all problems of `check_spec`.

    upload:  a local artifact to upload to `spec.model_uri` first.
    classes: class names to upload to `spec.classes_uri` first; by default next to the artifact.
    """
    spec = _checked(spec, classes)
    config = config_request(spec.name, {"ProductionVariants": [variant_request(spec)]})
    create = {
        "EndpointName": spec.name,
        "EndpointConfigName": config["EndpointConfigName"],
        "Tags": tag_rows(endpoint_tags(spec)),
    }
    price = hosting_price(requested_variants(config), prices)
    return Plan(
        "deploy",
        spec.name,
        (
            *_uploads(spec, upload, classes),
            *new_model(spec),
            new_config(config),
            ApiCall("sagemaker", "CreateEndpoint", create, f"Create the endpoint {spec.name}."),
        ),
        price,
        (
            *dict.fromkeys((*warnings, *instance_warnings(spec), *_network_notes(spec))),
            *price_warnings(price),
            *(() if prices.sandbox else (BILLS,)),
        ),
        "delete the endpoint; its configuration and model are deleted with it. The artifact stays in S3.",
    )


def current_spec(detail: EndpointDetail, variant: str = "") -> EndpointSpec:
    """Return a variant's current spec (by default the first), to change with `dataclasses.replace` for `plan_update`.

    For another model use `EndpointSpec.with_model`. Raises InputError if its configuration cannot be read, or there
    is no such variant.
    """
    _config_of(detail)
    name = variant or next((row.name for row in detail.endpoint.variants), "")
    row = require_variant(detail.endpoint, name)
    model, tags = detail.model(row.model), detail.endpoint.tags
    return EndpointSpec(
        name=detail.name,
        role_arn=model.role_arn if model else "",
        instance_type=row.instance_type,
        model=row.model,
        instance_count=row.desired_count or 1,
        variant=row.name,
        weight=1.0 if row.desired_weight is None else row.desired_weight,
        environment=model.environment if model else {},
        model_settings=model.request if model else {},
        model_tags=model.tags if model else {},
        classes_uri=tags.get(CLASSES_TAG, ""),
        examples_uri=tags.get(EXAMPLES_TAG, ""),
        job=tags.get(JOB_TAG, ""),
    )


def plan_update(
    detail: EndpointDetail,
    spec: EndpointSpec,
    prices: PriceTable,
    *,
    warnings: tuple[str, ...] = (),
    upload: ModelUpload | None = None,
    classes: Classes | None = None,
    model: Model | None = None,
) -> Plan:
    """Change the model or instances of the variant `spec.variant`; a new name adds a variant.

    The old configuration serves until the new one is ready; the other variants are unchanged. Raises InputError for
    an invalid spec, if nothing would change, while the endpoint is being changed, and for an instance type that does
    not fit the KMS key of the configuration.

    model: the existing model that `spec.model` names, to compare its network with the current one's.
    """
    endpoint, old = detail.endpoint, _config_of(detail)
    require_settled(endpoint, "updated")
    variant = endpoint.variant(spec.variant)
    current = variant.instance_type if variant else None
    spec = _checked(spec, classes, current)
    current_rows = _rows(endpoint, old)
    rows = _with_variant(current_rows, spec)
    _check_volume_key(old, current_rows, rows)
    tags = _new_tags(endpoint, spec)
    config = config_request(endpoint.name, {**old.request, "ProductionVariants": rows}, detail.config_tags)
    same = rows == current_rows or config["EndpointConfigName"] == old.name
    if same and not tags:
        raise InputError(
            f"The endpoint {endpoint.name} would not change.",
            todo="Choose another model or instance type. To change weights and instance counts, scale the endpoint.",
        )
    price = hosting_price(requested_variants(config), prices)
    return Plan(
        "update",
        endpoint.name,
        (
            *_uploads(spec, upload, classes),
            *(_move(detail, spec, config) if not same else ()),
            *_tagging(endpoint, tags),
        ),
        price,
        (
            *dict.fromkeys((*warnings, *instance_warnings(spec, current), *_weaker(detail, spec, model))),
            *price_warnings(price),
            *(_update_notes(detail, old, spec, billed=not prices.sandbox) if not same else ()),
        ),
        f"update it again to its current configuration, {old.name}.",
    )


def _checked(spec: EndpointSpec, classes: Classes | None, current: str | None = None) -> EndpointSpec:
    """Return the spec with a URI for the class names. current: see `check_spec`. Raises InputError."""
    if classes is not None and not spec.classes_uri:
        spec = replace(spec, classes_uri=classes_uri_for(spec.model_uri) or "")
    problems = check_spec(spec, current)
    if problems:
        raise InputError(
            f"The endpoint {spec.name!r} cannot be created. {problems[0]}",
            why=" ".join(problems[1:]),
        )
    return spec


def _uploads(spec: EndpointSpec, upload: ModelUpload | None, classes: Classes | None) -> tuple[ApiCall, ...]:
    steps = []
    if upload is not None:
        more = {"Filename": upload.path, "Metadata": {"sha256": upload.sha256}}
        what = f"Upload {upload.path} ({upload.size / 1e6:,.1f} MB) to {upload.uri}."
        steps.append(put_object(upload.uri, more, what))
    if classes is not None:
        more = {"Body": classes.to_json(), "ContentType": "application/json"}
        steps.append(put_object(spec.classes_uri, more, f"Write the class names to {spec.classes_uri}."))
    return tuple(steps)


def _config_of(detail: EndpointDetail) -> EndpointConfig:
    if detail.config is None:
        raise InputError(
            f"The endpoint {detail.name} cannot be updated: its configuration cannot be read.",
            why=" ".join(detail.notes),
            todo="Deploy a new endpoint, then delete this one.",
        )
    return detail.config


def _rows(endpoint: Endpoint, config: EndpointConfig) -> list[Row]:
    """Return the current variants, with the weights and instance counts set since the configuration was created."""
    rows = []
    for requested in config.request["ProductionVariants"]:
        row, now = dict(requested), endpoint.variant(requested["VariantName"])
        if now and now.desired_weight is not None:
            row["InitialVariantWeight"] = now.desired_weight
        if now and now.desired_count is not None and not now.serverless:
            row["InitialInstanceCount"] = now.desired_count
        rows.append(row)
    return rows


def _with_variant(rows: list[Row], spec: EndpointSpec) -> list[Row]:
    """Return the rows with the spec's variant replaced by name, or added at the end."""
    new = variant_request(spec)
    old = next((row for row in rows if row["VariantName"] == spec.variant), None)
    if old is None:
        return [*rows, new]
    if not spec.instance_type:  # serverless, or with instance pools
        del new["InstanceType"]
        if "ServerlessConfig" in old:
            del new["InitialInstanceCount"]
    dropped = _dropped_fields(old, spec)
    kept = {key: value for key, value in old.items() if key not in dropped}
    return [{**kept, **new} if row is old else row for row in rows]


def _check_volume_key(config: EndpointConfig, current: list[Row], new: list[Row]) -> None:
    """Raise InputError if AWS refuses the configuration's KMS key for a new instance type.

    An instance type that the current configuration has is one that AWS accepted with the key.
    """
    accepted = {row.get("InstanceType", "") for row in current}
    types = (row.get("InstanceType", "") for row in new)
    refused = next((name for name in types if name not in accepted and has_local_storage(name)), "")
    if refused and config.request.get("KmsKeyId"):
        raise InputError(
            f"The endpoint cannot use {refused}: its configuration {config.name} has the KMS key "
            f"{config.request['KmsKeyId']}.",
            why="AWS accepts no KMS key for instances with local storage, which their hardware encrypts.",
            todo="Choose an instance type without local storage, such as ml.c5.xlarge or ml.p3.2xlarge, "
            "or deploy a new endpoint, which has no KMS key.",
        )


def _dropped_fields(row: Row, spec: EndpointSpec) -> tuple[str, ...]:
    """Return the fields of a variant that do not fit its new instance type; AWS fixes the size of local storage."""
    if row.get("InstanceType", "") == spec.instance_type:
        return ()
    volume = ("VolumeSizeInGB",) if has_local_storage(spec.instance_type) else ()
    return tuple(key for key in (*INSTANCE_FIELDS, *volume) if key in row)


def _move(detail: EndpointDetail, spec: EndpointSpec, config: Row) -> tuple[ApiCall, ...]:
    params = {
        "EndpointName": detail.name,
        "EndpointConfigName": config["EndpointConfigName"],
        "RetainDeploymentConfig": True,  # AWS otherwise forgets the guardrails of an earlier update
    }
    what = (
        f"Update the endpoint {detail.name} to the new configuration; the old one serves until it is ready."
    )
    return (
        *new_model(spec),
        new_config(config),
        *(stop_autoscaling(detail.name, name) for name in _no_longer_scaled(detail, spec)),
        ApiCall(
            "sagemaker",
            "UpdateEndpoint",
            params,
            what,
            only_if={"EndpointConfigName": detail.endpoint.config},
        ),
    )


def _no_longer_scaled(detail: EndpointDetail, spec: EndpointSpec) -> tuple[str, ...]:
    """Return the variants to stop autoscaling: AWS does not change the instance type of an autoscaled variant."""
    variant = detail.endpoint.variant(spec.variant)
    scaled = spec.variant in {row.variant for row in detail.scaling}
    return (spec.variant,) if variant and scaled and variant.instance_type != spec.instance_type else ()


def _new_tags(endpoint: Endpoint, spec: EndpointSpec) -> dict[str, str]:
    """Return the changed lineage tags; they describe the first variant, and outdated ones become empty."""
    if endpoint.variants and endpoint.variants[0].name != spec.variant:
        return {}
    return {key: text for key, text in lineage_tags(spec).items() if text != endpoint.tags.get(key, "")}


def _tagging(endpoint: Endpoint, tags: dict[str, str]) -> tuple[ApiCall, ...]:
    if not tags:
        return ()
    rows = [{"Key": key, "Value": tags[key]} for key in sorted(tags)]
    what = f"Tag the endpoint {endpoint.name} with the source of its model and class names."
    return (ApiCall("sagemaker", "AddTags", {"ResourceArn": endpoint.arn, "Tags": rows}, what),)


def _network_notes(spec: EndpointSpec) -> tuple[str, ...]:
    """Return what a new endpoint takes over from the network of its training job."""
    names = {"VpcConfig": "VPC", "EnableNetworkIsolation": "network isolation"}
    network = " and ".join(text for key, text in names.items() if spec.model_settings.get(key))
    return (
        (f"The model has the {network} of the training job {spec.job}.",)
        if network and not spec.model
        else ()
    )


def _weaker(detail: EndpointDetail, spec: EndpointSpec, chosen: Model | None) -> tuple[str, ...]:
    """Return warnings about what the variant's model had, and its new one has not, or is not known to have."""
    variant = detail.endpoint.variant(spec.variant)
    if variant is None or spec.model_name == variant.model:
        return ()
    old = detail.model(variant.model)
    if old is None:
        what = f"The model {variant.model or 'of the variant'} cannot be read"
        return (f"{what}, so the new model may lack its VPC, its network isolation and other settings.",)
    if spec.model and chosen is None:
        return (
            f"The network settings of the model {spec.model} were not compared with those of {old.name}.",
        )
    new = chosen.request if chosen and spec.model else model_request(spec)
    lost = [
        f"The model {old.name} has {text}, which the new one does not have."
        for key, text in (("VpcConfig", "a VPC"), ("EnableNetworkIsolation", "network isolation"))
        if old.request.get(key) and not new.get(key)
    ]
    dropped = dropped_settings(spec) if not spec.model else ()
    if dropped:
        lost.append(
            f"Not copied from the model {old.name}, because it does not fit the new one: {listing(dropped)}."
        )
    return tuple(lost)


def _update_notes(
    detail: EndpointDetail, old: EndpointConfig, spec: EndpointSpec, *, billed: bool
) -> tuple[str, ...]:
    variant = detail.endpoint.variant(spec.variant)
    left = f" and the model {variant.model}" if variant and variant.model not in ("", spec.model_name) else ""
    kept = f"The configuration {old.name}{left} {'are' if left else 'is'} kept, so that you can go back."
    scaled = tuple(
        f"Autoscaling of the variant {name} stops; set it up again afterwards."
        for name in _no_longer_scaled(detail, spec)
    )
    rows: list[Row] = old.request["ProductionVariants"]
    row: Row = next((row for row in rows if row["VariantName"] == spec.variant), {})
    dropped = _dropped_fields(row, spec)
    machine = f"Settings of {spec.variant} that belong to its old instances are dropped: {listing(dropped)}."
    pools = [
        pool["ModelNameOverride"] for pool in row.get("InstancePools", ()) if pool.get("ModelNameOverride")
    ]
    own = f"Instance pools of {spec.variant} keep their own models: {listing(pools)}."
    untagged = "The tags of the configuration or of its models cannot be read, so they are not copied."
    paid = f"The variant {spec.variant} is serverless now, and will get instances"
    paid += ", which are billed per hour." if billed else "."
    return (
        *scaled,
        *((untagged,) if not detail.tags_known else ()),
        *((machine,) if dropped else ()),
        *((own,) if pools and "InstancePools" not in dropped else ()),
        *((paid,) if variant and variant.serverless and spec.instance_type else ()),
        *((BILLED_TWICE,) if billed else ()),
        f"{kept} Deleting the endpoint also deletes {'them' if left else 'it'}.",
    )
