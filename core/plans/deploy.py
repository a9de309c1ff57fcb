"""Plans that make an endpoint, or give it another model or other instances."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from core.cost.hosting import hosting_price
from core.cost.training import PriceTable
from core.endpoints.detail import EndpointDetail
from core.endpoints.endpoint import (
    CLASSES_TAG,
    EXAMPLES_TAG,
    JOB_TAG,
    Endpoint,
    EndpointConfig,
    classes_beside,
    requested_variants,
)
from core.endpoints.spec import (
    EndpointSpec,
    check_spec,
    config_request,
    endpoint_tags,
    lineage_tags,
    tag_rows,
    variant_request,
)
from core.errors import InputError
from core.imaging.classes import Classes
from core.plans.plan import ApiCall, Plan
from core.plans.steps import (
    at_rest,
    new_config,
    new_model,
    price_warnings,
    put_object,
    stop_autoscaling,
    the_variant,
)

BILLS = "It bills by the hour from the moment it is in service until it is deleted, whether anybody calls it or not."
OF_A_MACHINE = (
    "VolumeSizeInGB",
    "AcceleratorType",
    "InferenceAmiVersion",
    "CapacityReservationConfig",
    "ServerlessConfig",
)
"""What a variant has for its kind of machine, and loses with it."""

Row = dict[str, Any]
"""One of ProductionVariants of CreateEndpointConfig."""


@dataclass(frozen=True, slots=True)
class ModelUpload:
    """A file of this machine that a plan brings to S3 first; never over another object.

    path:   of the file.
    uri:    where it goes; the spec's `model_uri`.
    size:   bytes.
    sha256: hexadecimal, of its bytes: kept with the object, so that the same file is known again.
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
    """Make model, configuration and endpoint. Raises InputError, with all that `check_spec` finds.

    upload:  a local artifact that goes to `spec.model_uri` first.
    classes: class names that go to `spec.classes_uri` first; by default beside the artifact.
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
        (*warnings, *price_warnings(price), BILLS),
        "delete the endpoint, which takes its configuration and model with it; the artifact stays.",
    )


def spec_of(detail: EndpointDetail, variant: str = "") -> EndpointSpec:
    """A variant as it is now (by default the first), to change with `dataclasses.replace` and give to `plan_update`.

    For another model: `EndpointSpec.with_model`. Raises InputError where its configuration cannot be read, or there
    is no such variant.
    """
    _config_of(detail)
    name = variant or next((row.name for row in detail.endpoint.variants), "")
    row = the_variant(detail.endpoint, name)
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
) -> Plan:
    """Give the variant `spec.variant` another model or other instances; a name not there yet is a variant more.

    The old configuration answers until the new one does; the other variants stay as they are. Raises InputError for a
    bad spec, where nothing would change, and while AWS is at work on the endpoint.
    """
    endpoint, old = detail.endpoint, _config_of(detail)
    at_rest(endpoint, "updated")
    spec = _checked(spec, classes)
    before = _rows(endpoint, old)
    rows = _with_variant(before, spec)
    tags = _new_tags(endpoint, spec)
    config = config_request(endpoint.name, {**old.request, "ProductionVariants": rows})
    same = rows == before or config["EndpointConfigName"] == old.name
    if same and not tags:
        raise InputError(
            f"Nothing about the endpoint {endpoint.name} would change.",
            todo="Choose another model, or other instances. Weights and numbers of instances are changed by scaling.",
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
        (*warnings, *price_warnings(price), *(_staying(detail, old, spec) if not same else ())),
        f"update it again, to what it has now (configuration {old.name}).",
    )


def _checked(spec: EndpointSpec, classes: Classes | None) -> EndpointSpec:
    """The spec, with a place for the class names. Raises InputError."""
    if classes is not None and not spec.classes_uri:
        spec = replace(spec, classes_uri=classes_beside(spec.model_uri) or "")
    problems = check_spec(spec)
    if problems:
        raise InputError(
            f"The endpoint {spec.name!r} cannot be made as asked for. {problems[0]}",
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
            todo="Deploy another endpoint, and delete this one.",
        )
    return detail.config


def _rows(endpoint: Endpoint, config: EndpointConfig) -> list[Row]:
    """The variants as they are now: with the weights and the instances that they have been given since."""
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
    """The rows with the spec's in place of the one of its name, or behind them."""
    new = variant_request(spec)
    old = next((row for row in rows if row["VariantName"] == spec.variant), None)
    if old is None:
        return [*rows, new]
    same = old.get("InstanceType") == spec.instance_type
    kept = {key: value for key, value in old.items() if same or key not in OF_A_MACHINE}
    return [{**kept, **new} if row is old else row for row in rows]


def _move(detail: EndpointDetail, spec: EndpointSpec, config: Row) -> tuple[ApiCall, ...]:
    params = {"EndpointName": detail.name, "EndpointConfigName": config["EndpointConfigName"]}
    what = f"Move the endpoint {detail.name} to it; the old one answers until the new one does."
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
    """AWS refuses another instance type for a variant that is scaled automatically."""
    variant = detail.endpoint.variant(spec.variant)
    scaled = spec.variant in {row.variant for row in detail.scaling}
    return (spec.variant,) if variant and scaled and variant.instance_type != spec.instance_type else ()


def _new_tags(endpoint: Endpoint, spec: EndpointSpec) -> dict[str, str]:
    """The lineage is told of the first variant; what is no longer so is made empty."""
    if endpoint.variants and endpoint.variants[0].name != spec.variant:
        return {}
    return {key: text for key, text in lineage_tags(spec).items() if text != endpoint.tags.get(key, "")}


def _tagging(endpoint: Endpoint, tags: dict[str, str]) -> tuple[ApiCall, ...]:
    if not tags:
        return ()
    rows = [{"Key": key, "Value": tags[key]} for key in sorted(tags)]
    what = f"Note on the endpoint {endpoint.name} where its model and its class names come from."
    return (ApiCall("sagemaker", "AddTags", {"ResourceArn": endpoint.arn, "Tags": rows}, what),)


def _staying(detail: EndpointDetail, old: EndpointConfig, spec: EndpointSpec) -> tuple[str, ...]:
    variant = detail.endpoint.variant(spec.variant)
    left = f" and the model {variant.model}" if variant and variant.model not in ("", spec.model_name) else ""
    stays = f"The configuration {old.name}{left} stay{'' if left else 's'}, for the way back."
    scaled = tuple(
        f"The variant {name} is no longer scaled automatically; set that up again afterwards."
        for name in _no_longer_scaled(detail, spec)
    )
    paid = f"The variant {spec.variant} is serverless now, and gets instances, which bill by the hour."
    return (
        *scaled,
        *((paid,) if variant and variant.serverless else ()),
        "While it moves, the old instances and the new ones bill side by side.",
        f"{stays} Deleting the endpoint takes what is left along.",
    )
