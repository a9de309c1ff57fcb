"""Start a transform job for `batch ...`: its model, its images, the plan with its price, and its progress."""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help is fast

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from commands.batch_state import read_state, say_failures, state_document
from commands.common import (
    FAILED,
    MAX_FAILURES,
    STOPPED,
    TRANSIENT_ERRORS,
    Backend,
    print_json,
    progress,
    say,
)
from commands.plans import confirm_and_execute, confirmed, execute_plan, journal
from core.errors import InputError, SettingsError, ThrottledError
from core.text import listing, plural

if TYPE_CHECKING:
    from core.aws.connection import Clients
    from core.batch.job import BatchSpec, TransformJob
    from core.batch.objects import Inputs
    from core.batch.prepare import Batch
    from core.endpoints.spec import EndpointSpec

POLL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class StartOptions:
    """The options of every command that starts a job."""

    yes: bool
    dry_run: bool
    as_json: bool
    follow: bool


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The options that name a model."""

    endpoint: str = ""
    model: str = ""
    job: str = ""
    artifact: str = ""
    role: str = ""

    @property
    def named(self) -> int:
        """Return how many models were named."""
        return sum(map(bool, (self.endpoint, self.model, self.job, self.artifact)))


def upload_images(clients: Clients, folder: str, to: str, options: StartOptions) -> str | None:
    """Upload a local folder; return its S3 prefix, None in a dry run. Raises InputError, SettingsError, AwsError."""
    from core.datasets.upload_plan import order_images
    from core.plans.plan import plan_upload

    path = Path(folder).expanduser()
    if not path.is_dir():
        raise InputError(
            f"{folder} is not a folder.",
            todo="Name a folder with images, or an S3 prefix such as s3://bucket/images/.",
        )
    if not to:
        raise SettingsError(
            "--to is required: the S3 prefix to upload the images to.",
            todo="For example: --to s3://my-bucket/images/",
        )
    order, left_out = order_images(path, to)
    if left_out:
        say(f"Not uploaded, because they are not JPEG files: {listing(left_out)}.")
    plan = plan_upload(order)
    if not confirmed(plan, yes=options.yes, dry_run=options.dry_run, as_json=False):
        return None
    execute_plan(clients, plan, journal=journal())
    return order.uri


def model_to_use(clients: Clients, choice: ModelChoice) -> str | EndpointSpec:
    """Return the name of an existing model, or the spec of one to create. Raises InputError, AwsError."""
    if choice.model:
        from core.aws.models import describe_model

        return describe_model(clients, choice.model).name
    if choice.endpoint:
        from core.aws.batch import endpoint_model

        return endpoint_model(clients, choice.endpoint)
    return _new_model(clients, choice)


def _new_model(clients: Clients, choice: ModelChoice) -> EndpointSpec:
    from commands.model_options import ModelOptions, inspect_model
    from core.endpoints.spec import EndpointSpec, endpoint_name
    from core.training.defaults import SANDBOX_ROLE

    source = inspect_model(clients, ModelOptions(job=choice.job, artifact=choice.artifact))
    for warning in source.warnings:
        say(warning)
    role = choice.role or source.fields.get("role_arn", "")
    role = role or (SANDBOX_ROLE if clients.connection.is_sandbox else "")
    if not role:
        raise SettingsError(
            "--role is required.", todo="Use the ARN of an execution role that SageMaker can assume."
        )
    fields = {**source.fields, "role_arn": role}
    return EndpointSpec(name=endpoint_name(source.name), instance_type="", **fields)


def checked_batch(
    clients: Clients,
    spec: BatchSpec,
    *,
    model: EndpointSpec | None = None,
    endpoint: str = "",
    notes: tuple[str, ...] = (),
) -> Batch:
    """Check the images below a prefix; where not all objects are images, a manifest names those that are.

    endpoint: whose speed the estimate is made from where the model has no earlier job. Raises InputError, AwsError.
    """
    from core.aws.batch import read_inputs
    from core.aws.batch_speed import expected_speed
    from core.batch.prepare import prepare
    from core.training.hyperparameters import Problem

    batch = prepare(spec, read_inputs(clients, spec.input_uri))
    if errors := batch.errors:
        raise InputError(
            f"The transform job {spec.name} was not started. {errors[0]}", why=" ".join(errors[1:])
        )
    noted = tuple(Problem("input_uri", note, "warning") for note in notes)
    unread: list[str] = []
    try:
        speed = expected_speed(
            clients, spec.model, spec.instance_type, endpoint=endpoint, now=datetime.now(UTC), notes=unread
        )
    except ThrottledError as error:  # it is only an estimate
        speed = None
        unread.append(f"The seconds per image are unknown. {error}")
    for note in unread:
        say(note)
    return replace(batch, model=model, speed=speed, problems=(*noted, *batch.problems))


def confirm_and_start(backend: Backend, batch: Batch, options: StartOptions) -> None:
    """Show the plan, ask, start the job, and follow it. Raises Exit if declined; InputError, AwsError."""
    from core.aws.prices import prices
    from core.cost.batch import SANDBOX_STARTUP_SECONDS, STARTUP_SECONDS, batch_price
    from core.plans.batch import plan_batch

    spec, clients = batch.spec, backend.clients
    startup = SANDBOX_STARTUP_SECONDS if clients.connection.is_sandbox else STARTUP_SECONDS
    machines = spec.instance_type, spec.instance_count
    count = len(batch.images)
    price = batch_price(*machines, count, batch.speed, prices(clients), startup=startup)
    plan = plan_batch(spec, price, model=batch.model, manifest=batch.manifest, warnings=batch.warnings)
    say(f"{plural(count, 'image')} to segment.")
    started = confirm_and_execute(
        clients,
        plan,
        yes=options.yes,
        dry_run=options.dry_run,
        as_json=options.as_json and (options.dry_run or not options.follow),
        journal=journal(),
    )
    if not started:
        return
    say(f"The job {spec.name} was started.")
    if options.follow:
        follow(backend, spec.name, as_json=options.as_json)
    elif backend.ends_with_us:
        say("The sandbox was started for this command and stops now, and the job with it. To wait: --follow")


def follow(backend: Backend, name: str, *, as_json: bool) -> None:
    """Show the progress until the job has ended. Raises Exit: 1 where it did not complete, 130 for Ctrl-C."""
    from core.aws.prices import prices
    from core.batch.job import status_in_words

    try:
        job = _watched(backend.clients, name)
    except KeyboardInterrupt:
        say(
            f"The sandbox was started for this command and stops now, and the job {name} with it."
            if backend.ends_with_us
            else f"The job {name} is still running. To stop it: segdeck batch stop {name}"
        )
        raise typer.Exit(STOPPED) from None
    say(f"The job {name} {status_in_words(job)}. {job.failure_reason}".strip())
    state = read_state(backend.clients, name)
    document = state_document(backend.clients, state, prices(backend.clients))
    say(f"{document['done']:,} of {plural(document['images'], 'image')} have a mask in {job.output_uri}.")
    for note in state.notes:
        say(note)
    say_failures(document["failed"])
    if as_json:
        print_json(**document)
    if job.status != "Completed":
        raise typer.Exit(FAILED)


def _watched(clients: Clients, name: str) -> TransformJob:
    """Return the job once it has ended, with a progress bar until then. Raises AwsError."""
    from core.aws.batch import describe_transform_job, job_inputs, list_outputs

    inputs: Inputs | None = None
    failed, warned = 0, False
    with progress() as bar:
        task = bar.add_task("Images", total=None)
        while True:
            try:
                job = describe_transform_job(clients, name)
                inputs = job_inputs(clients, job)[1] if inputs is None else inputs
                state = list_outputs(clients, job).of(inputs).progress(len(inputs.images), datetime.now(UTC))
            except TRANSIENT_ERRORS as error:
                failed += 1
                if failed >= MAX_FAILURES:
                    raise
                say(f"{error} Trying again.")
            else:
                failed = 0
                bar.update(task, total=len(inputs.images), completed=state.done)
                if not job.running:
                    return job
                if not warned and (hangs := state.hangs(job.started_at)):
                    warned = True
                    say(hangs)
            time.sleep(POLL_SECONDS)
