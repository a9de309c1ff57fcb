"""Plans that delete endpoints with the resources only they use, and that clean up after an interrupted change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from core.endpoints.detail import EndpointDetail, Users
from core.endpoints.endpoint import in_words
from core.errors import InputError
from core.plans.plan import ApiCall, Plan, StepState
from core.plans.steps import stop_autoscaling

MADE: tuple[StepState | None, ...] = ("start", "waiting", "done", "recovered")
"""States of a step that created something, or may have."""

CREATED_BY = {
    "DescribeEndpoint": ("CreateEndpoint", "EndpointName"),
    "DeleteEndpointConfig": ("CreateEndpointConfig", "EndpointConfigName"),
    "DeleteModel": ("CreateModel", "ModelName"),
}
"""Removal -> the step that created the resource, and the parameter with its name."""


def plan_delete(details: Sequence[EndpointDetail], users: Users) -> Plan:
    """Delete endpoints, and the configurations and models that only they use (see `core.aws.endpoint_detail.users`).

    The warnings list what is kept: the artifacts, and what others use. Raises InputError while one is being changed.
    """
    if not details:
        raise InputError("No endpoint is selected.", todo="Select at least one.")
    for detail in details:
        _deletable(detail)
    names = [detail.name for detail in details]
    configs, models = _configs(details, users), _models(details, users)
    removed_configs = [name for name in configs if not users.unreadable and not users.configs.get(name)]
    removed_models = [name for name in models if not users.unreadable and not users.models.get(name)]
    return Plan(
        "delete",
        ", ".join(names),
        (
            *(stop_autoscaling(detail.name, row.variant) for detail in details for row in detail.scaling),
            *(
                _delete_endpoint(detail.name, {"CreationTime": detail.endpoint.created_at.isoformat()})
                for detail in details
                if detail.endpoint.status != "Deleting"
            ),
            *map(_until_gone, names),
            *map(_delete_config, removed_configs),
            *map(_delete_model, removed_models),
        ),
        None,
        tuple(_kept(details, users, configs, models)),
        "this cannot be undone. The artifacts stay in S3 and can be deployed again.",
    )


def clean_up(plan: Plan, states: Sequence[StepState | None]) -> Plan:
    """Remove what an interrupted plan created. Raises InputError if it can only be finished.

    states: the state of each of its steps; None: not started. What existed before the plan is kept.
    """
    made = [step for step, state in zip(plan.steps, states, strict=False) if state in MADE]
    operations = {step.operation for step in made}
    if plan.verb not in ("deploy", "update") or "UpdateEndpoint" in operations:
        raise InputError(
            f"The changes to {plan.target} cannot be cleaned up.",
            why=f"This “{plan.verb}” has progressed too far, or creates no resources.",
            todo="Finish the change.",
        )
    steps = tuple(_removals(made))
    if not steps:
        raise InputError(f"There is nothing to clean up: {plan.verb} {plan.target} has created nothing yet.")
    uploads = [step.what for step in made if step.operation == "PutObject"]
    return Plan(
        "clean up",
        plan.target,
        steps,
        None,
        tuple(f"Uploaded files are kept: {what}" for what in uploads),
        f"{plan.verb} {plan.target} again.",
    )


def _removals(made: Iterable[ApiCall]) -> Iterator[ApiCall]:
    """Return the removals, last created first."""
    for step in reversed(list(made)):
        if step.operation == "CreateEndpoint":
            name = step.params["EndpointName"]
            what = f"Wait until the endpoint {name} has finished changing."
            yield ApiCall("sagemaker", "DescribeEndpoint", {"EndpointName": name}, what, "endpoint_settled")
            yield _delete_endpoint(name, _same(step, "EndpointConfigName"))
            yield _until_gone(name)
        elif step.operation == "CreateEndpointConfig":
            yield _delete_config(step.params["EndpointConfigName"], _same(step, "ProductionVariants"))
        elif step.operation == "CreateModel":
            same = {key: value for key, value in step.params.items() if key not in ("ModelName", "Tags")}
            yield _delete_model(step.params["ModelName"], same)


def _same(step: ApiCall, *keys: str) -> dict[str, Any]:
    """Return the fields that identify the resource as the one that this step created."""
    return {key: step.params[key] for key in keys}


def undone_step(plan: Plan, removal: ApiCall) -> int | None:
    """Return the number of the step of an interrupted plan whose work a step of its `clean_up` removes, else None.

    An endpoint counts as removed when the wait for its deletion ends.
    """
    if removal.then == "endpoint_settled" or removal.operation == "DeleteEndpoint":
        return None
    operation, key = CREATED_BY[removal.operation]
    for number, step in enumerate(plan.steps):
        if step.operation == operation and step.params[key] == removal.params[key]:
            return number
    return None


def _deletable(detail: EndpointDetail) -> None:
    endpoint = detail.endpoint
    if endpoint.changing and endpoint.status != "Deleting":
        raise InputError(
            f"The endpoint {endpoint.name} cannot be deleted now: it is {in_words(endpoint.status)}.",
            todo="Wait until the change has finished.",
        )


def _configs(details: Sequence[EndpointDetail], users: Users) -> list[str]:
    """Return the configuration of each endpoint, and those left by its earlier updates."""
    names = [
        name
        for detail in details
        for name in (detail.endpoint.config, *users.old_configs.get(detail.name, ()))
    ]
    return list(dict.fromkeys(filter(None, names)))


def _models(details: Sequence[EndpointDetail], users: Users) -> list[str]:
    """Return the models of each endpoint, and those left by its earlier updates."""
    names = [
        name
        for detail in details
        for name in (
            *(variant.model for variant in detail.endpoint.variants),
            *users.old_models.get(detail.name, ()),
        )
    ]
    return list(dict.fromkeys(filter(None, names)))


def _kept(
    details: Sequence[EndpointDetail], users: Users, configs: Sequence[str], models: Sequence[str]
) -> Iterator[str]:
    for uri in dict.fromkeys(
        model.model_uri for detail in details for model in detail.models if model.model_uri
    ):
        yield f"The artifact {uri} stays in S3."
    for detail in details:
        if not detail.scaling_known:
            yield f"The autoscaling of {detail.name} cannot be read, so its settings are kept."
    if users.unreadable:
        names = ", ".join(dict.fromkeys([*configs, *models]))
        yield f"Configurations and models are kept ({names or 'names unknown'}): {users.unreadable}"
        return
    yield from _used("configuration", configs, users.configs)
    yield from _used("model", models, users.models)
    for detail in details:
        if detail.config is None:
            yield f"The configuration of {detail.name} cannot be read, so one of its models may be left."


def _used(kind: str, names: Iterable[str], users: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for name in names:
        if users.get(name):
            yield f"The {kind} {name} is kept: it is also used by {' and '.join(users[name])}."


def _delete_endpoint(name: str, only_if: Mapping[str, Any]) -> ApiCall:
    what = f"Delete the endpoint {name}."
    return ApiCall("sagemaker", "DeleteEndpoint", {"EndpointName": name}, what, only_if=only_if)


def _until_gone(name: str) -> ApiCall:
    what = f"Wait until the endpoint {name} is deleted."
    return ApiCall("sagemaker", "DescribeEndpoint", {"EndpointName": name}, what, "endpoint_deleted")


def _delete_config(name: str, only_if: Mapping[str, Any] | None = None) -> ApiCall:
    what = f"Delete the endpoint configuration {name}."
    params = {"EndpointConfigName": name}
    return ApiCall("sagemaker", "DeleteEndpointConfig", params, what, only_if=only_if or {})


def _delete_model(name: str, only_if: Mapping[str, Any] | None = None) -> ApiCall:
    what = f"Delete the model {name}; its artifact stays in S3."
    return ApiCall("sagemaker", "DeleteModel", {"ModelName": name}, what, only_if=only_if or {})
