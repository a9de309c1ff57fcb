"""Read an endpoint with its resources, and find their other users."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.aws.connection import Clients
from core.aws.endpoints import (
    OPTIONAL,
    PAGE,
    all_endpoints,
    configs,
    read_classes,
    read_endpoint,
    read_tags,
)
from core.aws.errors import required
from core.aws.images import is_semantic_segmentation
from core.aws.models import describe_model
from core.aws.training import job_for_artifact
from core.endpoints.detail import EndpointDetail, Model, Scaling, Users
from core.endpoints.endpoint import (
    CLASSES_TAG,
    EXAMPLES_TAG,
    Endpoint,
    EndpointConfig,
    classes_uri_for,
    with_config,
)
from core.endpoints.spec import is_derived
from core.errors import DeniedError, RejectedError

MAX_LISTED = 2000
"""Maximum configurations, and models, searched for other users."""

INVOCATIONS = "SageMakerVariantInvocationsPerInstance"


def endpoint_detail(clients: Clients, name: str) -> EndpointDetail:
    """Return one endpoint with all details. Raises NotFoundError, AwsError.

    Everything but the endpoint itself is optional: what may not be read is left out, with a note.
    """
    return with_description(clients, endpoint_resources(clients, name))


def with_description(clients: Clients, bare: EndpointDetail) -> EndpointDetail:
    """Return it with its description: tags, lineage, class names. Raises AwsError."""
    notes = list(bare.notes)
    tags = read_tags(clients, bare.endpoint.arn, notes)
    endpoint = replace(bare.endpoint, tags=tags)
    unread: list[str] = []
    tagged_models = _with_tags(clients, bare.models, unread)
    config_tags = read_tags(clients, bare.config.arn, unread, "configuration") if bare.config else {}
    notes += dict.fromkeys(unread)
    names = bare.config.models if bare.config else ()
    models = _with_jobs(clients, endpoint, tagged_models, notes, only=len(names) == 1)
    first = next((model for model in models if model.name in names[:1]), None)
    model_uri = first.model_uri if first else ""
    tagged = tags.get(CLASSES_TAG, "")
    classes = read_classes(clients, tagged, model_uri, notes)
    return replace(
        bare,
        endpoint=endpoint,
        models=models,
        config_tags=config_tags,
        tags_known=not unread,
        aws_algorithm=is_semantic_segmentation(first.image) if first else None,
        classes=classes,
        classes_uri=tagged or (classes_uri_for(model_uri) or "" if classes else ""),
        examples_uri=tags.get(EXAMPLES_TAG, ""),
        notes=tuple(notes),
    )


def endpoint_resources(clients: Clients, name: str) -> EndpointDetail:
    """Return one endpoint with configuration, models and autoscaling, by few calls. Raises as above.

    Its description stays empty: tags, lineage, class names.
    """
    endpoint, notes = read_endpoint(clients, name)
    detail = resources_of(clients, endpoint)
    return replace(detail, notes=(*notes, *detail.notes))


def resources_of(clients: Clients, bare: Endpoint) -> EndpointDetail:
    """Return the same for an endpoint that was already read. Raises AwsError."""
    notes: list[str] = []
    config = configs(clients, [bare.config], notes=notes).get(bare.config)
    endpoint = with_config(bare, config)
    names = config.models if config else ()
    scaling = _scaling(clients, endpoint, notes)
    return EndpointDetail(
        endpoint=endpoint,
        config=config,
        models=tuple(model for name in names if (model := _model(clients, name, notes))),
        scaling=scaling or (),
        scaling_known=scaling is not None,
        notes=tuple(notes),
    )


def users(
    clients: Clients, details: Sequence[EndpointDetail], known: Mapping[str, EndpointConfig] | None = None
) -> Users:
    """Return which other endpoints and configurations use the resources of these, and what their updates left.

    known: configurations already read (see `core.aws.endpoints.configs`); only the others are read. Raises AwsError.
    """
    try:
        fleet = all_endpoints(clients)
        names = listed_names(clients, "endpoint configurations", "EndpointConfigs", "EndpointConfigName")
        models = listed_names(clients, "models", "Models", "ModelName")
    except (DeniedError, RejectedError) as error:
        return Users(unreadable=str(error))
    if not fleet.complete or fleet.notes or names is None or models is None:
        why = fleet.notes or ("There are too many to check.",)
        return Users(unreadable=f"Their users could not be determined. {why[0]}")
    notes: list[str] = []
    configurations = {name: config for name, config in (known or {}).items() if name in names}
    configurations |= configs(clients, [name for name in names if name not in configurations], notes=notes)
    if notes:
        return Users(unreadable=f"Their users could not be determined. {notes[0]}")
    selected = {detail.name for detail in details}
    others = [endpoint for endpoint in fleet.endpoints if endpoint.name not in selected]
    return _users(details, others, configurations, models)


def _users(
    details: Sequence[EndpointDetail],
    others: Sequence[Endpoint],
    configurations: Mapping[str, EndpointConfig],
    models: Iterable[str],
) -> Users:
    used = {
        name: [f"the endpoint {other.name}" for other in others if other.config == name]
        for name in configurations
    }
    old = {
        detail.name: tuple(
            name
            for name in configurations
            if is_derived(name, detail.name) and name != detail.endpoint.config and not used[name]
        )
        for detail in details
    }
    unused = {name for names in old.values() for name in names} | {
        detail.endpoint.config for detail in details if not used.get(detail.endpoint.config)
    }
    by_model: dict[str, list[str]] = {}
    for name, config in configurations.items():
        for model in config.models if name not in unused else ():
            by_model.setdefault(model, []).extend(used[name] or [f"the configuration {name}"])
    present = {variant.model for detail in details for variant in detail.endpoint.variants}
    return Users(
        configs={name: tuple(names) for name, names in used.items() if names},
        models={name: tuple(dict.fromkeys(names)) for name, names in by_model.items()},
        old_configs=old,
        old_models={
            detail.name: tuple(
                model
                for model in models
                if is_derived(model, detail.name) and model not in present and model not in by_model
            )
            for detail in details
        },
    )


def listed_names(clients: Clients, what: str, key: str, member: str) -> list[str] | None:
    """Return the names of all configurations or models in the account; None if there are too many."""
    names: list[str] = []
    query: dict[str, Any] = {"MaxResults": PAGE}
    doing = f"list the {what}"
    for _ in range(MAX_LISTED // PAGE):
        with clients.calling(doing):
            if key == "Models":
                answer = clients.lists.list_models(**query)
            else:
                answer = clients.lists.list_endpoint_configs(**query)
        names += [row[member] for row in required(answer, key, doing)]
        if not answer.get("NextToken"):
            return names
        query["NextToken"] = answer["NextToken"]
    return None


def _with_jobs(
    clients: Clients, endpoint: Endpoint, models: tuple[Model, ...], notes: list[str], *, only: bool
) -> tuple[Model, ...]:
    """Return the models with their training jobs.

    only: whether the variants have a single model, so that the endpoint's tag names its job.
    """
    if only and models and endpoint.job:
        return (replace(models[0], job=endpoint.job),)
    return tuple(replace(model, job=_job_of(clients, model.model_uri, notes)) for model in models)


def _with_tags(clients: Clients, models: tuple[Model, ...], notes: list[str]) -> tuple[Model, ...]:
    """Return the models with their tags, which a new model of the endpoint gets too."""
    return tuple(replace(model, tags=read_tags(clients, model.arn, notes, "model")) for model in models)


def _model(clients: Clients, name: str, notes: list[str]) -> Model | None:
    try:
        return describe_model(clients, name)
    except OPTIONAL as error:
        notes.append(str(error))
        return None


def _job_of(clients: Clients, model_uri: str, notes: list[str]) -> str:
    """Return the name of the training job that created an artifact; empty if unknown."""
    try:
        job = job_for_artifact(clients, model_uri) if model_uri else None
    except OPTIONAL as error:
        notes.append(str(error))
        return ""
    return job.name if job else ""


def _scaling(clients: Clients, endpoint: Endpoint, notes: list[str]) -> tuple[Scaling, ...] | None:
    """Read the autoscaling with one call, and one more per autoscaled variant; None if it may not be read."""
    resources = [f"endpoint/{endpoint.name}/variant/{variant.name}" for variant in endpoint.variants]
    if not resources:
        return ()
    doing = f"read the autoscaling of {endpoint.name}"
    try:
        with clients.calling(doing):
            answer = clients.autoscaling.describe_scalable_targets(
                ServiceNamespace="sagemaker", ResourceIds=resources
            )
    except OPTIONAL as error:
        notes.append(str(error))
        return None
    return tuple(_scaled(clients, row, notes) for row in required(answer, "ScalableTargets", doing))


def _scaled(clients: Clients, target: Mapping[str, Any], notes: list[str]) -> Scaling:
    policies = _policies(clients, target["ResourceId"], notes)
    configurations = [row.get("TargetTrackingScalingPolicyConfiguration", {}) for row in policies]
    values = [
        each["TargetValue"]
        for each in configurations
        if each.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType") == INVOCATIONS
    ]
    return Scaling(
        variant=target["ResourceId"].rpartition("/")[2],
        low=target["MinCapacity"],
        high=target["MaxCapacity"],
        target=values[0] if values else None,
        policies=tuple(row["PolicyName"] for row in policies),
    )


def _policies(clients: Clients, resource: str, notes: list[str]) -> list[Mapping[str, Any]]:
    """Return the scaling policies; none, with a note, if they may not be read."""
    doing = f"read the scaling policies of {resource}"
    try:
        with clients.calling(doing):
            answer = clients.autoscaling.describe_scaling_policies(
                ServiceNamespace="sagemaker", ResourceId=resource
            )
    except OPTIONAL as error:
        notes.append(str(error))
        return []
    policies: list[Mapping[str, Any]] = required(answer, "ScalingPolicies", doing)
    return policies
