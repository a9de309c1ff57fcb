"""The commands `dataset ...`: check a folder, a ZIP file or an S3 prefix, write a fixed copy, upload to S3."""

# ruff: noqa: PLC0415 - each command imports what it needs, so that --help is fast

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from commands.common import (
    FAILED,
    AsJson,
    CommandGroup,
    Debug,
    connected,
    iso,
    print_json,
    print_table,
    progress,
    reporting,
    say,
    write,
)
from commands.memory import limit_memory, memory_column
from commands.plans import DryRun, Yes, confirmed, datasets_dir
from core.errors import SettingsError
from core.text import plural

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from core.datasets.history import DatasetRecord
    from core.datasets.prepare import ReadOptions
    from core.datasets.problems import DataProblem
    from core.datasets.report import LayoutReport
    from core.datasets.source import Dataset
    from core.datasets.upload_plan import UploadOrder
    from core.training.job import TrainingJob

SANDBOX_DATASETS = "s3://segdeck-sandbox/datasets/"
"""Where the sandbox stores a dataset by default."""

OnCount = Callable[[int, int], None]

dataset = CommandGroup(help="Validate, fix and upload training datasets.")

Place = Annotated[str, typer.Argument(metavar="DIR", help="A folder or a ZIP file.")]
Names = Annotated[
    Path | None,
    typer.Option(
        "--classes", metavar="FILE", help="File with the class names. Default: those of the dataset."
    ),
]
Share = Annotated[
    float,
    typer.Option(
        "--validation",
        metavar="FRACTION",
        help="Validation split; not used if the dataset has its own split.",
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="N", help="Split seed: the same seed gives the same split.")
]
Which = Annotated[
    list[str] | None,
    typer.Option(
        "--annotations",
        metavar="NAME",
        help="The masks or annotations to use, if there are several, such as labelIds, coco or masks.",
    ),
]
Unlabeled = Annotated[
    Literal["background", "ignore"],
    typer.Option(help="What pixels without a shape become, for annotations without masks."),
]


@dataset.command()
def check(
    place: Annotated[
        str, typer.Argument(metavar="DIR", help="A folder, a ZIP file, or an S3 prefix with channels.")
    ],
    *,
    classes: Names = None,
    validation: Share = 0.2,
    seed: Seed = 0,
    annotations: Which = None,
    unlabeled: Unlabeled = "background",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Validate a dataset and list the issues by file. Exit code 1 if a training job would fail on it."""
    with reporting(debug):
        if place.startswith("s3://"):
            report = _check_objects(place)
        else:
            options = _options(validation, seed, classes, annotations, unlabeled)
            with _open_dataset(place, options) as (source, _, executor):
                report = _check_dataset(source, executor)
        if as_json:
            print_json(**report.to_dict())
        else:
            _print_report(report)
        if not report.usable:
            raise typer.Exit(FAILED)


@dataset.command(account=False)
def convert(
    place: Place,
    *,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="New folder for the copy. Default: next to the dataset."),
    ] = None,
    classes: Names = None,
    validation: Share = 0.2,
    seed: Seed = 0,
    annotations: Which = None,
    unlabeled: Unlabeled = "background",
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write a fixed copy of a dataset, in the four channels of the algorithm. The dataset itself is not changed."""
    with (
        reporting(debug),
        _open_dataset(place, _options(validation, seed, classes, annotations, unlabeled)) as (
            source,
            notes,
            executor,
        ),
    ):
        from core.datasets.convert import convert as carry_out_conversion
        from core.datasets.convert import plan_conversion

        report = _check_dataset(source, executor)
        _say_problems(report)
        plan = plan_conversion(source, report, out or _default_output(Path(place)), notes)
        if not confirmed(plan, yes=yes, dry_run=dry_run, as_json=as_json):
            return
        with _counting("Writing") as on_count:
            carry_out_conversion(plan, executor, on_progress=on_count)
        if as_json:
            print_json(**plan.to_dict(), done=True)
        say(f"The fixed copy is in {plan.out}.")


@dataset.command()
def upload(
    place: Place,
    *,
    to: Annotated[
        str,
        typer.Option(metavar="S3-PREFIX", help="Destination; required on AWS, has a default in the sandbox."),
    ] = "",
    classes: Names = None,
    validation: Share = 0.2,
    seed: Seed = 0,
    annotations: Which = None,
    unlabeled: Unlabeled = "background",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace objects that have different content.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Validate a dataset and upload it to S3, after confirmation.

    Unchanged files are skipped; an interrupted upload resumes when the command is run again.
    """
    with (
        reporting(debug),
        _open_dataset(place, _options(validation, seed, classes, annotations, unlabeled)) as (
            source,
            _,
            executor,
        ),
    ):
        from core.datasets.source import Splitting
        from core.datasets.upload_plan import order_upload, warnings_of
        from core.plans.plan import plan_upload

        report = _check_dataset(source, executor)
        _say_problems(report)
        with connected() as clients:
            from core.aws.execute import execute

            uri = to or _default_prefix(place, sandbox=clients.connection.is_sandbox)
            order = order_upload(
                source, report, uri, splitting=Splitting(validation, seed), overwrite=overwrite
            )
            plan = plan_upload(order, warnings=warnings_of(report))
            if not confirmed(plan, yes=yes, dry_run=dry_run, as_json=as_json):
                return
            with _counting("Uploading") as on_count:
                outcome = execute(clients, plan, on_progress=lambda now: on_count(now.files, now.total))
        _remember(report, source, order)
        sent = outcome.done[0].answer["Sent"]
        say(
            f"Uploaded {plural(sent, 'file')}; skipped {order.files - sent:,} that were already in S3, unchanged."
        )
        if as_json:
            print_json(**plan.to_dict(), **_training_values(order, report), sent=sent, done=True)
        else:
            _print_training_values(order, report)


@dataset.command("list")
def list_datasets(*, as_json: AsJson = False, debug: Debug = False) -> None:
    """List the datasets that were validated or uploaded: classes, size, when, and the jobs that used them."""
    with reporting(debug):
        from core.datasets.history import read_history

        history = read_history(datasets_dir())
        uploaded = any(record.uris for record in history.records)
        jobs, notes = _training_jobs() if uploaded else ((), ())
        for note in (*history.notes, *notes):
            say(note)
        if as_json:
            print_json(
                datasets=[_dataset_row(record, jobs) for record in history.records],
                notes=[*history.notes, *notes],
            )
        elif history.records:
            print_table("Datasets", [_list_row(record, jobs) for record in history.records])
        else:
            say("No dataset was validated yet. To validate one: segdeck dataset check DIR")


def _training_jobs() -> tuple[tuple[TrainingJob, ...], tuple[str, ...]]:
    """Return the training jobs, and notes on what could not be read."""
    from core.errors import AwsError
    from core.training.filters import JobFilter

    try:
        with connected() as clients:
            from core.aws.training import all_jobs

            listed = all_jobs(clients, JobFilter(only_segmentation=False))
    except AwsError as error:
        return (), (f"The jobs that used a dataset are unknown. {error}",)
    more = () if listed.complete else (f"Only the newest {len(listed.jobs):,} training jobs were searched.",)
    return listed.jobs, (*listed.notes, *more)


def _dataset_row(record: DatasetRecord, jobs: tuple[TrainingJob, ...]) -> dict[str, Any]:
    from core.datasets.history import jobs_using

    return {**record.to_dict(), "jobs": list(jobs_using(record, jobs))}


def _list_row(record: DatasetRecord, jobs: tuple[TrainingJob, ...]) -> dict[str, str]:
    from core.datasets.history import jobs_using
    from core.text import byte_size, listing

    upload = record.uploads[0] if record.uploads else None
    return {
        "dataset": record.location,
        "layout": record.kind,
        "classes": f"{len(record.classes)}: {listing(record.classes)}" if record.classes else "unknown",
        "training": f"{record.train:,}",
        "validation": f"{record.validation:,}",
        "size": byte_size(record.size) if record.size else "unknown",
        "issues": f"{plural(record.errors, 'error')}, {plural(record.warnings, 'warning')}",
        "validated": iso(record.validated_at) or "",
        "uploaded to": f"{upload.uri} ({iso(upload.at)})" if upload else "",
        "jobs": listing(jobs_using(record, jobs), 3),
    }


# Reading a dataset.


@contextmanager
def _open_dataset(place: str, options: ReadOptions) -> Iterator[tuple[Dataset, tuple[str, ...], Executor]]:
    """Yield a dataset, notes on how it was read, and worker processes.

    What is extracted or drawn is in a temporary folder.
    """
    from core.datasets.check import processes

    limit_memory()
    path = Path(place).expanduser()
    with ExitStack() as opened:
        if path.suffix.lower() == ".zip" and path.is_file():
            from core.datasets.temp_zip import ExtractedZip

            with _counting(f"Extracting {path.name}") as on_count:
                extracted = ExtractedZip(path, on_progress=on_count)
            opened.enter_context(closing(extracted))
            opened.enter_context(extracted.named())
            path = extracted.folder
        executor = opened.enter_context(processes())  # they start with the first work
        source, notes = _read(path, place, options, opened, executor)
        for note in notes:
            say(note)
        yield source, notes, executor


def _read(
    folder: Path, place: str, options: ReadOptions, opened: ExitStack, executor: Executor
) -> tuple[Dataset, tuple[str, ...]]:
    """Read a dataset; annotations are drawn into a temporary folder. opened: closes it."""
    from core.datasets.prepare import prepared_dataset
    from core.datasets.temp_zip import TempFolder

    def new_folder() -> Path:
        return opened.enter_context(closing(TempFolder())).path

    called = str(Path(place).expanduser())
    with _counting("Drawing masks") as on_count:
        return prepared_dataset(folder, options, new_folder, executor, called=called, on_progress=on_count)


def _options(
    validation: float,
    seed: int,
    classes: Path | None,
    annotations: list[str] | None,
    unlabeled: Literal["background", "ignore"],
) -> ReadOptions:
    from core.datasets.prepare import ReadOptions
    from core.datasets.source import Splitting

    return ReadOptions(Splitting(validation, seed), classes, tuple(annotations or ()), unlabeled)


def _check_dataset(source: Dataset, executor: Executor) -> LayoutReport:
    from core.datasets.check import check as check_all

    with _counting("Checking") as on_count:
        report = check_all(source, executor, on_progress=on_count)
    _remember(report, source)
    return report


def _remember(report: LayoutReport, source: Dataset | None, upload: UploadOrder | None = None) -> None:
    """Add a dataset to the list of `datasets list`; a list that cannot be written is reported, and not an error."""
    from core.datasets.history import UploadRecord, record_of, remember
    from core.errors import InputError

    now = datetime.now(UTC)
    record = record_of(report, source, now)
    if upload is not None:
        record = replace(record, uploads=(UploadRecord(upload.uri, now, upload.files, upload.size),))
    try:
        remember(datasets_dir(), record)
    except InputError as error:
        say(f"Note: {error}")


def _check_objects(uri: str) -> LayoutReport:
    """Check the channels under an S3 prefix. Raises InputError for a URI that is not valid."""
    with connected() as clients:
        from core.aws.prefix import check_prefix

        report, notes = check_prefix(clients, uri)
    for note in notes:
        say(note)
    _remember(report, None)
    return report


def _default_output(place: Path) -> Path:
    path = place.expanduser().resolve()
    return path.with_name(f"{path.stem if path.suffix.lower() == '.zip' else path.name}-channels")


def _default_prefix(place: str, *, sandbox: bool) -> str:
    if not sandbox:
        raise SettingsError("--to is required.", todo="For example: --to s3://BUCKET/datasets/NAME/")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(place).expanduser().resolve().stem).strip("-")
    return f"{SANDBOX_DATASETS}{name or 'dataset'}/"


@contextmanager
def _counting(title: str) -> Iterator[OnCount]:
    """Yield a callback that shows a progress bar from its first call on. Raises SettingsError."""
    limit_memory()
    bar = progress(memory_column())
    task = bar.add_task(title, total=None)

    def on_count(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield on_count
    finally:
        if bar.live.is_started:
            bar.stop()


# Output.


def _print_report(report: LayoutReport) -> None:
    from core.datasets.source import SPLITS

    classes = f"{len(report.classes)} classes" if report.classes else "classes unknown"
    train, validation = (f"{report.counts.get(split, 0):,}" for split in SPLITS)
    write(f"{report.kind}: {report.root}")
    write(f"{train} training images, {validation} validation images, {classes}")
    if report.sizes:
        shown = ", ".join(f"{width} x {height} ({count:,})" for (width, height), count in report.sizes[:5])
        write(f"Image sizes: {shown}{' ...' if len(report.sizes) > 5 else ''}")
    if report.histogram:
        print_table("Classes", _class_rows(report))
    for split, table in report.label_tables.items():
        rows = [{"pixel value": str(value), "label": str(label)} for value, label in table.items()]
        print_table(f"Label map of {split}", rows)
    if report.problems:
        print_table("Issues", _problem_rows(report.problems))
    write(report.summary)


def _class_rows(report: LayoutReport) -> list[dict[str, str]]:
    total = {
        split: sum(row.pixels[split] for row in report.histogram) or 1 for split in report.histogram[0].pixels
    }
    return [
        {"id": str(row.class_id), "name": row.name}
        | {f"{split} images": f"{count:,}" for split, count in row.images.items()}
        | {f"{split} pixels": f"{count / total[split]:.2%}" for split, count in row.pixels.items()}
        for row in report.histogram
    ]


def _problem_rows(problems: tuple[DataProblem, ...]) -> list[dict[str, str]]:
    """Return one row per kind of problem; the JSON document has every problem."""
    from core.text import listing

    by_code: dict[str, list[DataProblem]] = {}
    for problem in problems:
        by_code.setdefault(problem.code, []).append(problem)
    return [
        {
            "severity": same_code[0].severity,
            "code": code,
            "count": f"{len(same_code):,}",
            "where": listing([problem.path for problem in same_code]),
            "first message": same_code[0].message,
            "what to do": same_code[0].todo,
        }
        for code, same_code in by_code.items()
    ]


def _say_problems(report: LayoutReport) -> None:
    """Print one line per kind of problem on standard error."""
    for row in _problem_rows(report.problems):
        say(f"{row['severity']}: {row['code']}, {row['count']} times: {row['where']}")


def _training_values(order: UploadOrder, report: LayoutReport) -> dict[str, Any]:
    return {
        "data": order.uri,
        "channels": order.channels,
        "num_training_samples": report.num_training_samples,
        "num_classes": len(report.classes) if report.classes else None,
    }


def _print_training_values(order: UploadOrder, report: LayoutReport) -> None:
    """Print the settings with which a training job uses the uploaded dataset."""
    for name, uri in order.channels.items():
        write(f"{name}: {uri}")
    write(f"num_training_samples: {report.num_training_samples}")
    if report.classes:
        write(f"num_classes: {len(report.classes)}")
        say(f"To train on it: segdeck jobs launch --data {order.uri} -p num_classes={len(report.classes)}")
