"""The commands that put a model behind an endpoint: `endpoints deploy`, `update` and `serve-here`."""

# ruff: noqa: PLC0415 - each command imports what it needs, so that --help comes at once

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.common import AsJson, Backend, Debug, open_backend, open_sandbox, print_json, reporting, say
from commands.model_options import (
    ClassesFile,
    FromFile,
    FromJob,
    FromModel,
    FromS3,
    ModelOptions,
    ServableModel,
    To,
    inspect_model,
)
from commands.plans import DryRun, Yes, confirmed, execute_plan, journal
from commands.waiting import print_result, wait_until_settled
from core.errors import InputError, NotFoundError, SettingsError
from core.settings import Settings

if TYPE_CHECKING:
    from core.cost.training import PriceTable
    from core.plans.plan import Plan

INSTANCE = "ml.c5.xlarge"
"""What AWS's own notebook for this algorithm serves with; the plan shows its price before anybody pays."""

ENDPOINT_CHANGES = ("CreateEndpoint", "UpdateEndpoint")
"""The steps that give an endpoint a configuration, whose name stands in their parameters."""

Endpoint = Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint's name.")]
NewName = Annotated[str, typer.Option("--name", metavar="NAME", help="Default: that of what is served.")]
Instance = Annotated[
    str, typer.Option("--instance-type", metavar="TYPE", help="Such as ml.g4dn.xlarge (GPU).")
]
Role = Annotated[str, typer.Option("--role", metavar="ARN", help="The role that SageMaker takes on.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait until it is in service.")]


def deploy(
    *,
    from_job: FromJob = "",
    artifact: FromS3 = "",
    file: FromFile = None,
    model: FromModel = "",
    classes: ClassesFile = None,
    to: To = "",
    name: NewName = "",
    instance_type: Instance = INSTANCE,
    count: Annotated[int, typer.Option(min=1, help="How many instances.")] = 1,
    role: Role = "",
    no_wait: NoWait = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Serve a model: look into it, show the plan and its price, ask, and wait until it is in service."""
    options = ModelOptions(from_job, artifact, file, model, classes, to)
    options.check(fewest=1)
    with reporting(debug), open_backend() as backend:
        source = inspect_model(backend.clients, options)
        plan = _deploy_plan(backend, source, name=name, instance_type=instance_type, count=count, role=role)
        _confirm_and_execute(backend, plan, wait=not no_wait, dry_run=dry_run, yes=yes, as_json=as_json)


def update(
    endpoint: Endpoint,
    *,
    from_job: FromJob = "",
    artifact: FromS3 = "",
    file: FromFile = None,
    model: FromModel = "",
    classes: ClassesFile = None,
    to: To = "",
    variant: Annotated[str, typer.Option(metavar="NAME", help="A new name adds a variant.")] = "",
    weight: Annotated[
        float | None, typer.Option(min=0, help="Its share of the calls, beside others'.")
    ] = None,
    instance_type: Instance = "",
    count: Annotated[int | None, typer.Option(min=1, help="How many instances.")] = None,
    role: Role = "",
    no_wait: NoWait = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Give an endpoint another model or other instances. What it serves now answers until the new one does."""
    options = ModelOptions(from_job, artifact, file, model, classes, to)
    options.check(fewest=0)
    given: dict[str, Any] = {
        "weight": weight,
        "instance_type": instance_type,
        "instance_count": count,
        "role_arn": role,
    }
    changes = {key: value for key, value in given.items() if value not in (None, "")}
    with reporting(debug), open_backend() as backend:
        from core.aws.endpoint_detail import endpoint_detail
        from core.plans.deploy import plan_update, spec_of

        detail = endpoint_detail(backend.clients, endpoint)
        source = inspect_model(backend.clients, options) if options.named else ServableModel("", {})
        known = detail.endpoint.variant(variant) is not None
        spec = spec_of(detail, variant if known else "")
        own = {key: value for key, value in source.fields.items() if key != "role_arn" or not spec.role_arn}
        spec = replace(spec, **{**own, **changes, "variant": variant or spec.variant})
        plan = plan_update(
            detail,
            spec,
            _prices(backend),
            warnings=source.warnings,
            upload=source.upload,
            classes=source.classes,
        )
        _confirm_and_execute(backend, plan, wait=not no_wait, dry_run=dry_run, yes=yes, as_json=as_json)


def serve_here(
    *,
    artifact: Annotated[
        str, typer.Option("--artifact", metavar="S3-URI", help="In your AWS account, read with your keys.")
    ] = "",
    file: FromFile = None,
    classes: ClassesFile = None,
    name: NewName = "",
    no_wait: NoWait = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Serve a model that was trained on AWS in the sandbox, on this machine: the same masks, and no bill."""
    if bool(artifact) == bool(file):
        raise typer.BadParameter("Give one of --artifact and --file.")
    with reporting(debug), tempfile.TemporaryDirectory(prefix="segdeck-") as folder:
        path = file or _fetched(artifact, Path(folder))
        _require_model(path)
        with open_sandbox() as backend:
            source = inspect_model(backend.clients, ModelOptions(file=path, classes=classes))
            plan = _deploy_plan(backend, source, name=name or _name_of(artifact))
            _confirm_and_execute(backend, plan, wait=not no_wait, dry_run=dry_run, yes=yes, as_json=as_json)


def _fetched(uri: str, folder: Path) -> Path:
    """An artifact from the AWS account of the person's own credentials, with the names beside it."""
    from core.aws.artifacts import fetch
    from core.aws.connection import clients, connect

    say(f"Fetching {uri} ...")
    notes: list[str] = []
    path = fetch(clients(connect(Settings.from_environ(os.environ))), uri, folder, notes=notes)
    for note in notes:
        say(note)
    return path


def _require_model(path: Path) -> None:
    """Look into a local archive before a sandbox is started for it. Raises ArtifactError, InputError."""
    from core.artifacts.artifact import inspect_artifact_file
    from core.errors import InputError
    from core.local_files import reason

    try:
        inspect_artifact_file(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read.", why=reason(error), todo="Check the path.") from error


def _name_of(uri: str) -> str:
    from core.endpoints.spec import endpoint_name
    from core.plans.model_source import base_name

    return endpoint_name(base_name(uri)) if uri else ""


def _deploy_plan(
    backend: Backend,
    source: ServableModel,
    *,
    name: str,
    instance_type: str = INSTANCE,
    count: int = 1,
    role: str = "",
) -> Plan:
    """Raises SettingsError where AWS needs a role and nobody gave one."""
    from core.endpoints.spec import EndpointSpec, endpoint_name
    from core.plans.deploy import plan_deploy
    from core.training.defaults import SANDBOX_ROLE

    role = (
        role
        or source.fields.get("role_arn", "")
        or (SANDBOX_ROLE if backend.clients.connection.is_sandbox else "")
    )
    if not role and not source.fields["model"]:
        raise SettingsError(
            "--role must be given.", todo="It is the ARN of a role that SageMaker may take on."
        )
    spec = EndpointSpec(
        **{
            **source.fields,
            "name": name or endpoint_name(source.name),
            "role_arn": role,
            "instance_type": instance_type,
            "instance_count": count,
        }
    )
    plan = plan_deploy(
        spec, _prices(backend), warnings=source.warnings, upload=source.upload, classes=source.classes
    )
    _check_name(backend, plan)
    return plan


def _check_name(backend: Backend, plan: Plan) -> None:
    """Raises InputError where the name is another endpoint's: before a file is uploaded, and not behind that."""
    from core.aws.endpoints import describe_endpoint

    try:
        endpoint = describe_endpoint(backend.clients, plan.target)
    except NotFoundError:
        return
    if endpoint.config != _config(plan):
        raise InputError(
            f"There is an endpoint {plan.target} already, which serves something else.",
            todo=f"Choose another --name, or change that one: python cli.py endpoints update {plan.target}",
        )


def _config(plan: Plan) -> str:
    """The name of the configuration that a plan gives its endpoint; empty where it gives none."""
    return next(
        (step.params["EndpointConfigName"] for step in plan.steps if step.operation in ENDPOINT_CHANGES), ""
    )


def _prices(backend: Backend) -> PriceTable:
    from core.aws.prices import prices

    reasons: list[str] = []
    table = prices(backend.clients, notes=reasons)
    for reason in reasons:
        say(reason)
    return table


def _confirm_and_execute(
    backend: Backend, plan: Plan, *, wait: bool, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Ask, carry out, and wait for the endpoint. Raises Exit where it fails."""
    if not confirmed(plan, yes=yes, dry_run=dry_run, as_json=as_json):
        return
    outcome = execute_plan(
        backend.clients, plan, journal=journal(sandbox=backend.clients.connection.is_sandbox)
    )
    config = _config(plan)
    result = wait_until_settled(backend, plan.target, config=config) if wait and config else None
    if as_json:
        print_json(**plan.to_dict(), done=True, recovered=outcome.recovered, endpoint=result)
    if backend.ends_with_us:
        say(
            "The sandbox was started for this call alone. `make sandbox` keeps one, with the endpoint, running."
        )
    if result is not None:
        print_result(result)
    elif config:
        say(f"The endpoint {plan.target} comes up. To look: python cli.py endpoints show {plan.target}")
