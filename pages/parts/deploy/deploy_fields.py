"""What stands in the deploy form before anybody has changed it: from the address, the endpoint, and the model."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from core.aws.connection import Connection
from core.endpoints.detail import EndpointDetail
from core.endpoints.spec import endpoint_name
from core.plans.deploy import spec_of
from core.plans.steps import at_rest
from core.training.defaults import SANDBOX_ROLE
from pages.parts import state
from pages.parts.deploy import source as deploy_source
from pages.parts.deploy.source import ModelChoice

FIRST_INSTANCE = "ml.c5.xlarge"
"""What AWS's own notebook of this algorithm serves on."""

SANDBOX_FOLDER = "s3://segdeck-sandbox/models/"

FIELDS = (
    "name", "variant", "own_variant", "weight", "instance_type", "count", "role_arn", "own_names", "names",
)  # fmt: skip
"""What `deploy_check` reads."""


def fill(connection: Connection, detail: EndpointDetail | None) -> None:
    """Once for each address; from then on the form is its visitor's. Raises InputError for who takes no update."""
    if detail is not None:
        at_rest(detail.endpoint, "updated")
    asked = deploy_source.asked_for()
    source = f"{detail.name if detail else ''} {asked}"
    if state.DEPLOY.filled_from() != source:
        sandbox = {"folder": SANDBOX_FOLDER, "role_arn": SANDBOX_ROLE} if connection.is_sandbox else {}
        state.DEPLOY.fill(source, {**_empty(), **sandbox, **_of_endpoint(detail), **asked})


def suggest(source: ModelChoice, detail: EndpointDetail | None, taken: Collection[str]) -> None:
    """A name and a role for this model, unless a person has given others."""
    if detail is None:
        _suggest("name", _free(endpoint_name(source.title), taken))
        _suggest("role_arn", source.role_arn)


def _empty() -> dict[str, Any]:
    return {
        "name": "",
        "variant": "",
        "own_variant": "",
        "weight": 1.0,
        "instance_type": FIRST_INSTANCE,
        "count": 1,
        "role_arn": "",
        "folder": "",
        "own_names": False,
        "names": "",
    }


def _of_endpoint(detail: EndpointDetail | None) -> dict[str, Any]:
    """As its first variant is. Raises InputError where nobody may know that."""
    if detail is None:
        return {}
    spec = spec_of(detail)
    return {
        "variant": spec.variant,
        "own_variant": _free("challenger", [one.name for one in detail.endpoint.variants]),
        "instance_type": spec.instance_type,
        "count": spec.instance_count,
        "role_arn": spec.role_arn,
    }


def _suggest(field: str, value: str) -> None:
    """Put it in, where nothing stands, or what was suggested for another model."""
    said, suggested = state.DEPLOY.get(field), state.DEPLOY.get(f"suggested-{field}")
    if value and said in (None, "", suggested):
        state.DEPLOY.set(field, value)
        state.DEPLOY.set(f"suggested-{field}", value)


def _free(name: str, taken: Collection[str]) -> str:
    """The name, with the first number behind it that nobody has."""
    numbered = (endpoint_name(name, str(number)) for number in range(2, len(taken) + 3))
    return next(one for one in (name, *numbered) if one not in taken)
