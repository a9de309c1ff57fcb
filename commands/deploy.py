"""The commands that deploy a model to an endpoint: `endpoints deploy`, `update` and `serve-here`."""

# ruff: noqa: PLC0415 - each command imports what it needs, so that --help is fast

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.account import chosen_account
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
from core.errors import DeniedError, InputError, NotFoundError, RejectedError, SettingsError

if TYPE_CHECKING:
    from core.cost.training import PriceTable
    from core.endpoints.detail import Model
    from core.imaging.classes import Classes
    from core.plans.plan import Plan

INSTANCE = "ml.c5.xlarge"
"""Instance type of AWS's example notebook for this algorithm; the plan shows its price before launch."""

ENDPOINT_CHANGES = ("CreateEndpoint", "UpdateEndpoint")
"""The steps that assign an endpoint configuration, which they name in their parameters."""

Endpoint = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Endpoint name.")]
NewName = Annotated[
    str, typer.Option("--name", metavar="NAME", help="Endpoint name. Default: generated from the model.")
]
Instance = Annotated[
    str,
    typer.Option("--instance-type", metavar="TYPE", help="Instance type, for example ml.g4dn.xlarge (GPU)."),
]
Role = Annotated[str, typer.Option("--role", metavar="ARN", help="Execution role that SageMaker assumes.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait until the endpoint is in service.")]


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
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Number of instances.")] = 1,
    role: Role = "",
    no_wait: NoWait = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Deploy a model to a new endpoint: inspect it, show the plan and its price, and ask for confirmation."""
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
    variant: Annotated[
        str, typer.Option(metavar="NAME", help="Variant to update; a new name adds a variant.")
    ] = "",
    weight: Annotated[
        float | None,
        typer.Option(
            metavar="N", min=0, help="Traffic weight of the variant, relative to the other variants."
        ),
    ] = None,
    instance_type: Instance = "",
    count: Annotated[int | None, typer.Option(metavar="N", min=1, help="Number of instances.")] = None,
    role: Role = "",
    no_wait: NoWait = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Change the model or the instances of an endpoint. The current model serves until the new one is ready."""
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
        from core.plans.comparison import class_warnings, compare
        from core.plans.deploy import current_spec, plan_update

        detail = endpoint_detail(backend.clients, endpoint)
        source = inspect_model(backend.clients, options) if options.named else ServableModel("", {})
        exists = detail.endpoint.variant(variant) is not None
        spec = current_spec(detail, variant if exists else "")
        own = ("model_settings", *(("role_arn",) if spec.role_arn else ()))  # the endpoint keeps its own
        model_fields = {key: value for key, value in source.fields.items() if key not in own}
        spec = replace(spec, **{**model_fields, **changes, "variant": variant or spec.variant})
        new_classes = source.classes or (
            _classes_at(backend, spec.classes_uri) if options.named else detail.classes
        )
        existing = _existing_model(backend, options.model) if options.model else None
        for comparison in compare(detail, spec, new_classes, source.count):
            say(str(comparison))
        plan = plan_update(
            detail,
            spec,
            _prices(backend),
            warnings=(*source.warnings, *class_warnings(detail.classes, new_classes, source.count)),
            upload=source.upload,
            classes=source.classes,
            model=existing,
        )
        _confirm_and_execute(backend, plan, wait=not no_wait, dry_run=dry_run, yes=yes, as_json=as_json)


def _existing_model(backend: Backend, name: str) -> Model | None:
    """Read the model to deploy; report one that may not be read. Raises NotFoundError, AwsError."""
    from core.aws.models import describe_model

    try:
        return describe_model(backend.clients, name)
    except (DeniedError, RejectedError) as error:
        say(f"The model {name} was not compared with the current one. {error}")
        return None


def _classes_at(backend: Backend, uri: str) -> Classes | None:
    """Read the class names of the model to deploy; report an unreadable file."""
    from core.aws.class_names import find_classes

    names = find_classes(backend.clients, (uri,))
    for note in names.notes:
        say(note)
    return names.classes


def serve_here(
    *,
    artifact: Annotated[
        str,
        typer.Option(
            "--artifact",
            metavar="S3-URI",
            help="A model.tar.gz in your AWS account, read with your AWS credentials.",
        ),
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
    """Serve a model trained on AWS in the sandbox on this machine: the same masks, at no cost."""
    if bool(artifact) == bool(file):
        raise typer.BadParameter("Specify exactly one of --artifact and --file.")
    with reporting(debug), tempfile.TemporaryDirectory(prefix="segdeck-") as folder:
        path = file or _fetched(artifact, Path(folder))
        _require_model(path)
        with open_sandbox() as backend:
            source = inspect_model(backend.clients, ModelOptions(file=path, classes=classes))
            plan = _deploy_plan(backend, source, name=name or _name_of(artifact))
            _confirm_and_execute(backend, plan, wait=not no_wait, dry_run=dry_run, yes=yes, as_json=as_json)


def _fetched(uri: str, folder: Path) -> Path:
    """Download an artifact and the class names next to it, with the user's own AWS credentials."""
    from core.aws.artifacts import download_artifact
    from core.aws.connection import clients

    say(f"Downloading {uri} ...")
    notes: list[str] = []
    path = download_artifact(clients(chosen_account().connection), uri, folder, notes=notes)
    for note in notes:
        say(note)
    return path


def _require_model(path: Path) -> None:
    """Inspect a local archive before a sandbox is started for it. Raises ArtifactError, InputError."""
    from core.artifacts.artifact import inspect_artifact_file
    from core.errors import InputError
    from core.local_files import reason

    try:
        inspect_artifact_file(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read.", why=reason(error), todo="Check the path and its permissions."
        ) from error


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
    """Plan a new endpoint. Raises SettingsError if AWS needs a role and none is given."""
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
            "--role is required.", todo="Use the ARN of an execution role that SageMaker can assume."
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
    """Raise InputError if another endpoint has the name: before a file is uploaded, not after."""
    from core.aws.endpoints import describe_endpoint

    try:
        endpoint = describe_endpoint(backend.clients, plan.target)
    except NotFoundError:
        return
    if endpoint.config != _config(plan):
        raise InputError(
            f"The endpoint {plan.target} already exists and serves something else.",
            todo=f"Choose another --name, or update the endpoint: segdeck endpoints update {plan.target}",
        )


def _config(plan: Plan) -> str:
    """Return the name of the configuration that a plan assigns to its endpoint; empty if it assigns none."""
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
    """Ask for confirmation, execute the plan and wait for the endpoint. Raises Exit if it fails."""
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
            "The sandbox was started for this command and stops now, and the endpoint with it. "
            "`segdeck sandbox` keeps both running."
        )
    if result is not None:
        print_result(result)
    elif config:
        say(
            f"The endpoint {plan.target} is being created or updated. "
            f"To see its status: segdeck endpoints show {plan.target}"
        )
