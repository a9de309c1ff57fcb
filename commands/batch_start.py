"""Start a transform job for `batch ...`: its model, its images, the plan with its price, and its progress."""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help is fast

from __future__ import annotations

import re
import time
from collections.abc import Iterable
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
from core.errors import AwsError, InputError, SettingsError
from core.text import listing, plural

if TYPE_CHECKING:
    from core.aws.connection import Clients
    from core.batch.job import BatchSpec, TransformJob
    from core.cost.batch import Speed
    from core.endpoints.spec import EndpointSpec
    from core.training.hyperparameters import Problem

POLL_SECONDS = 2.0
SANDBOX_STARTUP = 1.0
TIME_SUFFIX = re.compile(r"-\d{8}-\d{6}$")


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


@dataclass(frozen=True, slots=True)
class Batch:
    """A job to start. images: how many; model: one to create first; manifest: one to write first."""

    spec: BatchSpec
    images: int
    model: EndpointSpec | None = None
    manifest: str = ""
    warnings: tuple[str, ...] = ()
    speed: Speed | None = None


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
        from core.aws.endpoint_detail import endpoint_resources

        variants = endpoint_resources(clients, choice.endpoint).endpoint.variants
        names = list(dict.fromkeys(variant.model for variant in variants if variant.model))
        if len(names) == 1:
            return names[0]
        raise InputError(
            f"The endpoint {choice.endpoint} serves {plural(len(names), 'known model')}.",
            todo=f"Choose one with --model: {', '.join(names)}." if names else "Name its model with --model.",
        )
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


def job_name(base: str) -> str:
    """Return a name for a new job: that of its model or of the job before it, and the time."""
    from core.endpoints.spec import endpoint_name

    return endpoint_name(TIME_SUFFIX.sub("", base), f"{datetime.now(UTC):%Y%m%d-%H%M%S}")


def checked_batch(
    clients: Clients,
    spec: BatchSpec,
    *,
    model: EndpointSpec | None = None,
    endpoint: str = "",
    notes: tuple[str, ...] = (),
) -> Batch:
    """Check the images below a prefix; where not all objects are images, a manifest names those that are.

    endpoint: whose speed the estimate is made from. Raises InputError, AwsError.
    """
    from core.aws.batch import folder_uri, list_objects, sample_sizes
    from core.batch.objects import check_inputs, manifest, sort_inputs

    uri = folder_uri(spec.input_uri)
    found = list_objects(clients, uri)
    inputs = sort_inputs(found.objects)
    spec = _fitting(replace(spec, input_uri=uri, payload_mb=spec.payload_mb or inputs.payload_mb))
    sizes, unread = sample_sizes(clients, uri, inputs.images)
    problems = check_inputs(inputs, spec, sizes=sizes, complete=found.complete)
    _refuse(spec, problems)
    warnings = (*notes, *(problem.message for problem in problems), *unread)
    speed = _speed(clients, endpoint) if endpoint else None
    batch = Batch(spec, len(inputs.images), model, "", warnings, speed)
    if not inputs.skipped:
        return batch
    return replace(batch, spec=with_manifest(spec), manifest=manifest(uri, inputs.images))


def with_manifest(spec: BatchSpec) -> BatchSpec:
    """Return the spec with its own manifest as the input, next to its outputs."""
    from core.aws.batch import folder_uri

    return replace(spec, input_uri=f"{folder_uri(spec.output_uri)}{spec.name}.manifest", manifest=True)


def _fitting(spec: BatchSpec) -> BatchSpec:
    """Return the spec with fewer concurrent requests where AWS's limit of all payloads together needs that."""
    from core.batch.job import MAX_PAYLOAD_MB

    most = max(1, MAX_PAYLOAD_MB // spec.payload_mb)
    if spec.concurrency <= most:
        return spec
    say(f"{plural(most, 'concurrent request')} instead of {spec.concurrency}: the images are large.")
    return replace(spec, concurrency=most)


def _refuse(spec: BatchSpec, problems: Iterable[Problem]) -> None:
    errors = [problem.message for problem in problems if problem.is_error]
    if errors:
        raise InputError(
            f"The transform job {spec.name} was not started. {errors[0]}", why=" ".join(errors[1:])
        )


def _speed(clients: Clients, endpoint: str) -> Speed | None:
    """Return how long an image took on the endpoint in the last 24 hours; None if unknown, which is said."""
    from core.aws.endpoints import describe_endpoint
    from core.aws.traffic import service
    from core.cost.batch import Speed

    try:
        quality = service(clients, [describe_endpoint(clients, endpoint)], datetime.now(UTC)).get(endpoint)
    except AwsError as error:
        say(f"The speed of {endpoint} is unknown. {error}")
        return None
    if quality is None or quality.p50_ms is None:
        return None
    seconds = quality.p50_ms / 1000
    return Speed(seconds, f"{seconds:.2f} s per image, the median of {endpoint} in the last 24 hours.")


def confirm_and_start(backend: Backend, batch: Batch, options: StartOptions) -> None:
    """Show the plan, ask, start the job, and follow it. Raises Exit if declined; InputError, AwsError."""
    from core.aws.prices import prices
    from core.cost.batch import STARTUP_SECONDS, batch_price
    from core.plans.batch import plan_batch

    spec, clients = batch.spec, backend.clients
    startup = SANDBOX_STARTUP if clients.connection.is_sandbox else STARTUP_SECONDS
    machines = spec.instance_type, spec.instance_count
    price = batch_price(*machines, batch.images, batch.speed, prices(clients), startup=startup)
    plan = plan_batch(spec, price, model=batch.model, manifest=batch.manifest, warnings=batch.warnings)
    say(f"{plural(batch.images, 'image')} to segment.")
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

    total: int | None = None
    failed, warned = 0, False
    with progress() as bar:
        task = bar.add_task("Images", total=None)
        while True:
            try:
                job = describe_transform_job(clients, name)
                total = len(job_inputs(clients, job)[1].images) if total is None else total
                state = list_outputs(clients, job).progress(total, datetime.now(UTC))
            except TRANSIENT_ERRORS as error:
                failed += 1
                if failed >= MAX_FAILURES:
                    raise
                say(f"{error} Trying again.")
            else:
                failed = 0
                bar.update(task, total=total, completed=state.done)
                if not job.running:
                    return job
                if not warned and (hangs := state.hangs(job.started_at)):
                    warned = True
                    say(hangs)
            time.sleep(POLL_SECONDS)
