"""The commands `batch ...`: masks of many images in S3 by batch transform."""

# ruff: noqa: PLC0415 - each command imports what it needs, so that --help is fast

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from commands.batch_start import (
    ModelChoice,
    StartOptions,
    checked_batch,
    confirm_and_start,
    model_to_use,
    upload_images,
)
from commands.batch_state import (
    TOO_MANY,
    BatchState,
    MaskReader,
    read_state,
    rejected,
    say_failures,
    state_document,
    summary,
)
from commands.common import (
    FAILED,
    AsJson,
    CommandGroup,
    Debug,
    connected,
    label,
    open_backend,
    print_json,
    print_table,
    reporting,
    say,
    write,
)
from commands.inference_options import make_folder
from commands.plans import DryRun, Yes, confirm_and_execute
from core.errors import InputError
from core.text import listing, plural

if TYPE_CHECKING:
    from core.aws.connection import Clients
    from core.batch.job import TransformJob
    from core.batch.results import ImageResult
    from core.imaging.classes import Classes

INSTANCE = "ml.g4dn.xlarge"
DEFAULT_CONCURRENCY = 2
Status = Literal["InProgress", "Completed", "Failed", "Stopping", "Stopped"]

LABELS = {
    "arn": "ARN",
    "cost_usd": "cost",
    "seconds": "duration (s)",
    "seconds_left": "time left (s)",
    "per_second": "images per second",
    "input_uri": "input URI",
    "output_uri": "output URI",
}
"""How people read keys of the JSON document."""

batch = CommandGroup(help="Segment many images in S3 with batch transform jobs.")

Name = Annotated[str, typer.Argument(metavar="JOB", help="Transform job name.")]
NewName = Annotated[
    str, typer.Option("--name", metavar="NAME", help="Name of the new job. Default: model and time.")
]
Instance = Annotated[
    str, typer.Option("--instance-type", metavar="TYPE", help="Instance type, for example ml.g4dn.xlarge.")
]
Count = Annotated[int | None, typer.Option("--count", metavar="N", min=1, help="Number of instances.")]
Concurrency = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Concurrent requests to each instance.")
]
Payload = Annotated[
    int | None,
    typer.Option("--payload-mb", metavar="MB", min=1, help="Largest image in MB. Default: what fits all."),
]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show the progress until the job ends.")]


@batch.command()
def run(
    images: Annotated[
        str, typer.Argument(metavar="IMAGES", help="An S3 prefix, or a local folder that is uploaded first.")
    ],
    *,
    out: Annotated[
        str, typer.Option("--out", metavar="S3-PREFIX", help="Destination of the masks, an S3 prefix.")
    ],
    endpoint: Annotated[
        str, typer.Option(metavar="ENDPOINT", help="Use the model that this endpoint serves.")
    ] = "",
    model: Annotated[str, typer.Option(metavar="NAME", help="Use this SageMaker model.")] = "",
    from_job: Annotated[
        str, typer.Option("--from-job", metavar="JOB", help="Use the model of this training job.")
    ] = "",
    artifact: Annotated[
        str, typer.Option("--artifact", metavar="S3-URI", help="Use this model.tar.gz in S3.")
    ] = "",
    to: Annotated[
        str, typer.Option("--to", metavar="S3-PREFIX", help="Where a local folder is uploaded to.")
    ] = "",
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write probabilities instead of masks: much larger.")
    ] = False,
    name: NewName = "",
    instance_type: Instance = INSTANCE,
    count: Count = None,
    concurrency: Concurrency = None,
    payload_mb: Payload = None,
    role: Annotated[
        str,
        typer.Option(metavar="ARN", help="Execution role of a new model. Default: that of the training job."),
    ] = "",
    output_kms_key: Annotated[
        str, typer.Option(metavar="KEY", help="KMS key that encrypts the masks in S3.")
    ] = "",
    volume_kms_key: Annotated[
        str, typer.Option(metavar="KEY", help="KMS key that encrypts the instances' volumes.")
    ] = "",
    follow: Follow = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Start a transform job: check the images, show the plan and its expected price, and ask for confirmation."""
    choice = ModelChoice(endpoint, model, from_job, artifact, role)
    if choice.named != 1:
        raise typer.BadParameter("Specify exactly one of --endpoint, --model, --from-job and --artifact.")
    options = StartOptions(yes, dry_run, as_json, follow)
    with reporting(debug), open_backend() as backend:
        from core.batch.job import BatchSpec
        from core.batch.prepare import job_name

        source = model_to_use(backend.clients, choice)
        used, new = (source, None) if isinstance(source, str) else (source.model_name, source)
        uri = images if images.startswith("s3://") else upload_images(backend.clients, images, to, options)
        if uri is None:
            say("The job is planned once the images are uploaded.")
            return
        spec = BatchSpec(
            name=name or job_name(used, datetime.now(UTC)),
            model=used,
            input_uri=uri,
            output_uri=out,
            instance_type=instance_type,
            instance_count=count or 1,
            concurrency=concurrency or DEFAULT_CONCURRENCY,
            payload_mb=payload_mb or 0,
            kind="probabilities" if probabilities else "mask",
            output_kms_key=output_kms_key,
            volume_kms_key=volume_kms_key,
        )
        batch = checked_batch(backend.clients, spec, model=new, endpoint=endpoint)
        confirm_and_start(backend, batch, options)


@batch.command("list")
def list_jobs(
    *,
    status: Annotated[
        Status | None, typer.Option(metavar="STATUS", help="Only jobs with this status.")
    ] = None,
    text: Annotated[str, typer.Option(metavar="TEXT", help="Only jobs whose name contains this text.")] = "",
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="Maximum number of jobs.")] = 50,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List transform jobs, newest first."""
    with reporting(debug):
        with connected() as clients:
            from core.aws.batch import list_transform_jobs

            found = list_transform_jobs(clients, status=status or "", text=text, pages=-(-limit // 100))
        jobs = found.jobs[:limit]
        complete = found.complete and len(jobs) == len(found.jobs)
        if as_json:
            print_json(jobs=[summary(job) for job in jobs], complete=complete)
            return
        print_table("Transform jobs", [_table_row(job) for job in jobs])
        if not complete:
            say("There are more jobs. To list them, raise --limit.")


@batch.command()
def show(name: Name, as_json: AsJson = False, debug: Debug = False) -> None:
    """Show one job: status, progress, speed, cost, and the images that failed with the reason."""
    with reporting(debug):
        with connected() as clients:
            from core.aws.prices import prices

            document = state_document(clients, read_state(clients, name), prices(clients))
            sandbox = clients.connection.is_sandbox
        for note in document["notes"]:
            say(note)
        if as_json:
            print_json(**document)
            return
        special = ("failed", "hangs", "notes")
        for key, value in document.items():
            if key not in special and value not in (None, ""):
                _print_field(key, value, sandbox=sandbox)
        if document["hangs"]:
            say(document["hangs"])
        say_failures(document["failed"])


@batch.command()
def results(
    name: Name,
    *,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Also save the masks in this folder.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Read and check all outputs of a job: the area of each class, and with --out masks, areas.csv and totals.csv."""
    with reporting(debug):
        with connected() as clients:
            from core.aws.batch import model_classes
            from core.batch.results import total_rows

            state = read_state(clients, name)
            names = model_classes(clients, state.job.model)
            for note in (*state.notes, *names.notes):
                say(note)
            if out is not None:
                make_folder(out)
            read, invalid = MaskReader(clients, state.job, names.classes, out, overwrite).read(state.written)
        totals = total_rows(read, names.classes)
        if out is not None:
            _write_tables(out, read, totals, names.classes, overwrite=overwrite)
        missing = len({image.key for image in state.inputs.images} - set(state.written))
        if as_json:
            place = None if out is None else str(out)
            print_json(job=name, images=len(read), missing=missing, invalid=invalid, totals=totals, out=place)
        else:
            print_table(
                f"Classes in {plural(len(read), 'mask')}",
                [{key: _cell(key, value) for key, value in row.items()} for row in totals],
                empty="There are no masks yet.",
            )
        if missing:
            say(f"{plural(missing, 'image')} have no mask. To make them: segdeck batch resume {name}")
        say_failures(invalid)
        if invalid:
            raise typer.Exit(FAILED)


@batch.command()
def resume(
    name: Name,
    *,
    new_name: NewName = "",
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also send images that the algorithm rejected.")
    ] = False,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Trust existing outputs without reading them.")
    ] = False,
    instance_type: Instance = "",
    count: Count = None,
    concurrency: Concurrency = None,
    follow: Follow = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Start a new job for exactly the images of a job that have no valid output."""
    with reporting(debug), open_backend() as backend:
        from core.aws.batch import transform_job_tags
        from core.batch.job import clone_spec
        from core.batch.prepare import job_name, prepare_resume
        from core.cost.batch import speed_of

        clients = backend.clients
        state = read_state(clients, name)
        if state.job.running:
            raise InputError(
                f"The transform job {name} cannot be resumed: it is still running.",
                todo=f"Wait until it has ended, or stop it first: segdeck batch stop {name}",
            )
        if TOO_MANY in state.notes:
            raise InputError(
                f"The transform job {name} cannot be resumed.",
                why=TOO_MANY,
                todo="Start jobs for parts of the prefix instead.",
            )
        valid = set(state.outputs.objects) - (set() if no_check else _invalid_outputs(clients, state))
        tags = transform_job_tags(clients, state.job, state.notes)
        spec = clone_spec(state.job, new_name or job_name(name, datetime.now(UTC)), tags)
        spec = replace(spec, **_changes(instance_type, count, concurrency))
        failed = {} if retry_failed else rejected(clients, state)
        batch = prepare_resume(spec, state.prefix, state.inputs, valid, failed)
        for note in state.notes:
            say(note)
        if batch.excluded:
            say(
                f"Not sent again, because they failed: {listing(batch.excluded)}. To send them: --retry-failed"
            )
        if not batch.images:
            for problem in batch.problems:
                say(problem.message)
            if not batch.problems:
                say("There is nothing to resume: every other image has a valid output.")
            return
        batch = replace(batch, speed=speed_of(state.job, len(state.written)))
        confirm_and_start(backend, batch, StartOptions(yes, dry_run, as_json, follow))


@batch.command()
def clone(
    name: Name,
    *,
    new_name: NewName = "",
    out: Annotated[
        str, typer.Option("--out", metavar="S3-PREFIX", help="Destination of the masks. Default: the same.")
    ] = "",
    instance_type: Instance = "",
    count: Count = None,
    concurrency: Concurrency = None,
    follow: Follow = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Start the same job again for all of its images, under another name."""
    with reporting(debug), open_backend() as backend:
        from core.aws.batch import describe_transform_job, job_inputs, transform_job_tags
        from core.aws.batch_speed import own_outputs
        from core.batch.job import clone_spec
        from core.batch.prepare import Batch, job_name
        from core.cost.batch import speed_of
        from core.training.hyperparameters import Problem

        notes: list[str] = []
        job = describe_transform_job(backend.clients, name)
        spec = clone_spec(
            job,
            new_name or job_name(name, datetime.now(UTC)),
            transform_job_tags(backend.clients, job, notes),
        )
        spec = replace(spec, output_uri=out or spec.output_uri, **_changes(instance_type, count, concurrency))
        if not out:
            notes.append("Existing outputs of the same images are overwritten.")
        if spec.manifest:
            problems = tuple(Problem("input_uri", note, "warning") for note in notes)
            batch = Batch(spec, job_inputs(backend.clients, job)[1].images, problems=problems)
        else:
            batch = checked_batch(backend.clients, spec, notes=tuple(notes))
        speed = speed_of(job, own_outputs(backend.clients, job))
        batch = replace(batch, speed=speed or batch.speed)
        confirm_and_start(backend, batch, StartOptions(yes, dry_run, as_json, follow))


@batch.command()
def stop(
    name: Name, *, yes: Yes = False, dry_run: DryRun = False, as_json: AsJson = False, debug: Debug = False
) -> None:
    """Stop a job. The masks that it has written stay in S3."""
    with reporting(debug), connected() as clients:
        from core.aws.batch import describe_transform_job
        from core.plans.batch import plan_stop_batch

        billed = not clients.connection.is_sandbox
        plan = plan_stop_batch(describe_transform_job(clients, name), billed=billed)
        if confirm_and_execute(clients, plan, yes=yes, dry_run=dry_run, as_json=as_json):
            say(f"The job {name} is stopping.")


def _changes(instance_type: str, count: int | None, concurrency: int | None) -> dict[str, Any]:
    given = {"instance_type": instance_type, "instance_count": count, "concurrency": concurrency}
    return {key: value for key, value in given.items() if value}


def _invalid_outputs(clients: Clients, state: BatchState) -> set[str]:
    """Return the outputs that are not readable masks, which are reported."""
    from core.batch.objects import output_key

    _, invalid = MaskReader(clients, state.job, None).read(state.written)
    damaged = [row for row in invalid if not row.get("too_large")]
    for row in damaged:
        say(f"Invalid output, to be made again: {row['image']}: {row['reason']}")
    if len(damaged) < len(invalid):
        say(f"Not checked, because they are too large: {plural(len(invalid) - len(damaged), 'output')}.")
    return {output_key(row["image"]) for row in damaged}


def _write_tables(
    out: Path,
    read: list[ImageResult],
    totals: list[dict[str, Any]],
    classes: Classes | None,
    *,
    overwrite: bool,
) -> None:
    """Write areas.csv and totals.csv. Raises InputError."""
    from core.batch.results import areas_csv
    from core.escaping import csv_bytes
    from core.inference.export import write_new

    write_new(out / "areas.csv", areas_csv(read, classes), overwrite=overwrite)
    columns = ("class_id", "class", "images", "pixels", "share")
    write_new(out / "totals.csv", csv_bytes(totals, columns), overwrite=overwrite)


def _print_field(key: str, value: Any, *, sandbox: bool) -> None:
    """Print one line of `show`; amounts of the sandbox are labeled as AWS's prices."""
    from decimal import Decimal

    from core.cost.training import Money, cost_label

    if key == "cost_usd":
        write(f"{cost_label(label(key, LABELS), sandbox=sandbox)}: {Money(Decimal(value))}")
    else:
        write(f"{label(key, LABELS)}: {value}")


def _cell(key: str, value: Any) -> str:
    return f"{value:.2%}" if key == "share" else str(value)


def _table_row(job: TransformJob) -> dict[str, str]:
    return {
        "name": job.name,
        "status": job.status,
        "created": f"{job.created_at.astimezone():%Y-%m-%d %H:%M}",
        "reason": job.failure_reason,
    }
