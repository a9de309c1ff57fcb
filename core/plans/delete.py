"""Plans that delete endpoints with what belongs to them alone, and that clean up after a cut change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from core.endpoints.detail import EndpointDetail, Users
from core.endpoints.endpoint import in_words
from core.errors import InputError
from core.plans.plan import ApiCall, Plan, StepState
from core.plans.steps import stop_autoscaling

MADE: tuple[StepState | None, ...] = ("start", "waiting", "done", "recovered")
"""States of a step that has made something, or may have."""

CREATED_BY = {
    "DescribeEndpoint": ("CreateEndpoint", "EndpointName"),
    "DeleteEndpointConfig": ("CreateEndpointConfig", "EndpointConfigName"),
    "DeleteModel": ("CreateModel", "ModelName"),
}
"""A removal -> the step that created the thing, and the parameter that names it."""


def plan_delete(details: Sequence[EndpointDetail], users: Users) -> Plan:
    """Delete endpoints, and the configurations and models that only they used (see `core.aws.endpoint_detail.users`).

    Its warnings list what stays: the artifacts, and what others use. Raises InputError while AWS is at work on one.
    """
    if not details:
        raise InputError("No endpoint is chosen.", todo="Choose one at least.")
    for detail in details:
        _deletable(detail)
    names = [detail.name for detail in details]
    configs, models = _configs(details, users), _models(details, users)
    leaving = [name for name in configs if not users.blind and not users.configs.get(name)]
    going = [name for name in models if not users.blind and not users.models.get(name)]
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
            *map(_delete_config, leaving),
            *map(_delete_model, going),
        ),
        None,
        tuple(_staying(details, users, configs, models)),
        "it cannot be taken back; the artifacts stay, and can be deployed again.",
    )


def clean_up(plan: Plan, states: Sequence[StepState | None]) -> Plan:
    """Remove what a cut plan has made. Raises InputError where that cannot be, and it can only be finished.

    states: what became of each of its steps; None: not begun. What was there before the plan stays.
    """
    made = [step for step, state in zip(plan.steps, states, strict=False) if state in MADE]
    operations = {step.operation for step in made}
    if plan.verb not in ("deploy", "update") or "UpdateEndpoint" in operations:
        raise InputError(
            f"What was done to {plan.target} cannot be cleaned up.",
            why=f"A change of the kind “{plan.verb}” has gone too far, or makes nothing of its own.",
            todo="Finish it.",
        )
    steps = tuple(_removals(made))
    if not steps:
        raise InputError(f"There is nothing to clean up: {plan.verb} {plan.target} has made nothing yet.")
    staying = [step.what for step in made if step.operation == "PutObject"]
    return Plan(
        "clean up",
        plan.target,
        steps,
        None,
        tuple(f"What was uploaded stays: {what}" for what in staying),
        f"{plan.verb} {plan.target} once more.",
    )


def _removals(made: Iterable[ApiCall]) -> Iterator[ApiCall]:
    """The last made goes first."""
    for step in reversed(list(made)):
        if step.operation == "CreateEndpoint":
            name = step.params["EndpointName"]
            what = f"Wait until AWS is no longer at work on the endpoint {name}."
            yield ApiCall("sagemaker", "DescribeEndpoint", {"EndpointName": name}, what, "endpoint_settled")
            yield _delete_endpoint(name, _same(step, "EndpointConfigName"))
            yield _until_gone(name)
        elif step.operation == "CreateEndpointConfig":
            yield _delete_config(step.params["EndpointConfigName"], _same(step, "ProductionVariants"))
        elif step.operation == "CreateModel":
            same = _same(step, "PrimaryContainer", "ExecutionRoleArn")
            yield _delete_model(step.params["ModelName"], same)


def _same(step: ApiCall, *keys: str) -> dict[str, Any]:
    """Return what shows that a thing is the one that this step created."""
    return {key: step.params[key] for key in keys}


def undone_step(plan: Plan, removal: ApiCall) -> int | None:
    """Return the number of the step of an interrupted plan whose work a step of its `clean_up` removes, else None.

    An endpoint is removed once it is gone, which is the end of the wait for that.
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
            todo="Wait until AWS is done with it.",
        )


def _configs(details: Sequence[EndpointDetail], users: Users) -> list[str]:
    """The configuration of each, and those that its earlier updates left."""
    names = [
        name
        for detail in details
        for name in (detail.endpoint.config, *users.old_configs.get(detail.name, ()))
    ]
    return list(dict.fromkeys(filter(None, names)))


def _models(details: Sequence[EndpointDetail], users: Users) -> list[str]:
    """The models of each, and those that its earlier updates left."""
    names = [
        name
        for detail in details
        for name in (
            *(variant.model for variant in detail.endpoint.variants),
            *users.old_models.get(detail.name, ()),
        )
    ]
    return list(dict.fromkeys(filter(None, names)))


def _staying(
    details: Sequence[EndpointDetail], users: Users, configs: Sequence[str], models: Sequence[str]
) -> Iterator[str]:
    for uri in dict.fromkeys(
        model.model_uri for detail in details for model in detail.models if model.model_uri
    ):
        yield f"The artifact {uri} stays in S3."
    for detail in details:
        if not detail.scaling_known:
            yield f"The autoscaling of {detail.name} cannot be read: what is set up of it stays."
    if users.blind:
        names = ", ".join(dict.fromkeys([*configs, *models]))
        yield f"Configurations and models stay ({names or 'none is known'}): {users.blind}"
        return
    yield from _used("configuration", configs, users.configs)
    yield from _used("model", models, users.models)
    for detail in details:
        if detail.config is None:
            yield f"What {detail.name} ran on cannot be read, so a model of it may stay."


def _used(kind: str, names: Iterable[str], users: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for name in names:
        if users.get(name):
            yield f"The {kind} {name} stays: it is used by {' and '.join(users[name])} too."


def _delete_endpoint(name: str, only_if: Mapping[str, Any]) -> ApiCall:
    what = f"Delete the endpoint {name}."
    return ApiCall("sagemaker", "DeleteEndpoint", {"EndpointName": name}, what, only_if=only_if)


def _until_gone(name: str) -> ApiCall:
    what = f"Wait until the endpoint {name} is gone."
    return ApiCall("sagemaker", "DescribeEndpoint", {"EndpointName": name}, what, "endpoint_deleted")


def _delete_config(name: str, only_if: Mapping[str, Any] | None = None) -> ApiCall:
    what = f"Delete the endpoint configuration {name}."
    params = {"EndpointConfigName": name}
    return ApiCall("sagemaker", "DeleteEndpointConfig", params, what, only_if=only_if or {})


def _delete_model(name: str, only_if: Mapping[str, Any] | None = None) -> ApiCall:
    what = f"Delete the model {name}; its artifact stays."
    return ApiCall("sagemaker", "DeleteModel", {"ModelName": name}, what, only_if=only_if or {})
