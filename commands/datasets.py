"""The commands `dataset ...`: a folder, a zip or an S3 prefix checked, mended in a copy, brought into S3."""

# ruff: noqa: PLC0415 - each command imports what it needs, so that --help comes at once

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.common import (
    FAILED,
    AsJson,
    Debug,
    connected,
    print_json,
    print_table,
    progress,
    reporting,
    say,
    write,
)
from commands.memory import limit_memory, memory_column
from commands.plans import DryRun, Yes, confirmed
from core.errors import SettingsError

if TYPE_CHECKING:
    from core.datasets.problems import DataProblem
    from core.datasets.report import LayoutReport
    from core.datasets.source import Dataset, Splitting
    from core.datasets.upload_plan import UploadOrder

SANDBOX_DATASETS = "s3://segdeck-sandbox/datasets/"
"""Where a set goes in the sandbox, unless said otherwise."""

OnCount = Callable[[int, int], None]

dataset = typer.Typer(
    help="Data sets: check them before you pay, mend them, upload them.", no_args_is_help=True
)

Place = Annotated[str, typer.Argument(metavar="DIR", help="A folder or a zip.")]
Names = Annotated[
    Path | None,
    typer.Option("--classes", metavar="FILE", help="Names of the classes, instead of the set's own."),
]
Share = Annotated[float, typer.Option("--validation", metavar="SHARE", help="Where no list divides the set.")]
Seed = Annotated[int, typer.Option("--seed", help="Of that division: the same seed, the same sides.")]


@dataset.command()
def check(
    place: Annotated[
        str, typer.Argument(metavar="DIR", help="A folder, a zip, or an S3 prefix with channels.")
    ],
    *,
    classes: Names = None,
    validation: Share = 0.2,
    seed: Seed = 0,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Say what is wrong with a data set, file by file. Exit code 1 where a job would fail with it."""
    with reporting(debug):
        if place.startswith("s3://"):
            report = _check_objects(place)
        else:
            with _open_dataset(place) as folder:
                _, report = _check_dataset(folder, place, _splitting(validation, seed), classes)
        if as_json:
            print_json(**report.to_dict())
        else:
            _print_report(report)
        if not report.usable:
            raise typer.Exit(FAILED)


@dataset.command()
def convert(
    place: Place,
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A new folder. Default: beside the set.")
    ] = None,
    classes: Names = None,
    validation: Share = 0.2,
    seed: Seed = 0,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write a mended copy of a data set in the algorithm's four channels. The set itself is only read."""
    with reporting(debug), _open_dataset(place) as folder:
        from core.datasets.check import processes
        from core.datasets.convert import convert as carry_out_conversion
        from core.datasets.convert import plan_conversion

        source, report = _check_dataset(folder, place, _splitting(validation, seed), classes)
        _say_problems(report)
        plan = plan_conversion(source, report, out or _default_output(Path(place)))
        if not confirmed(plan, yes=yes, dry_run=dry_run, as_json=as_json):
            return
        with _counting("Writing") as on_count, processes() as executor:
            carry_out_conversion(plan, executor, on_progress=on_count)
        if as_json:
            print_json(**plan.to_dict(), done=True)
        say(f"The copy is in {plan.out}.")


@dataset.command()
def upload(
    place: Place,
    *,
    to: Annotated[
        str, typer.Option(metavar="S3-PREFIX", help="Where it goes; the sandbox has a place.")
    ] = "",
    classes: Names = None,
    validation: Share = 0.2,
    seed: Seed = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace objects with other content.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Bring a data set into S3, after a check and a yes. Cut off, it goes on where it was the next time."""
    with reporting(debug), _open_dataset(place) as folder:
        from core.datasets.upload_plan import order_upload, warnings_of
        from core.plans.plan import plan_upload

        splitting = _splitting(validation, seed)
        source, report = _check_dataset(folder, place, splitting, classes)
        _say_problems(report)
        with connected() as clients:
            from core.aws.execute import execute

            uri = to or _default_prefix(place, sandbox=clients.connection.is_sandbox)
            order = order_upload(source, report, uri, splitting=splitting, overwrite=overwrite)
            plan = plan_upload(order, warnings=warnings_of(report))
            if not confirmed(plan, yes=yes, dry_run=dry_run, as_json=as_json):
                return
            with _counting("Uploading") as on_count:
                outcome = execute(clients, plan, on_progress=lambda now: on_count(now.files, now.total))
        sent = outcome.done[0].answer["Sent"]
        say(f"{sent:,} files were sent; {order.files - sent:,} stood there already.")
        if as_json:
            print_json(**plan.to_dict(), **_training_values(order, report), sent=sent, done=True)
        else:
            _print_training_values(order, report)


# The set.


@contextmanager
def _open_dataset(place: str) -> Iterator[Path]:
    """The folder, or that which a zip is unpacked into for the length of this call."""
    path = Path(place).expanduser()
    if path.suffix.lower() != ".zip" or not path.is_file():
        with _with_labels_merged(path) as whole:
            yield whole
        return
    from core.datasets.temp_zip import Unpacked

    with _counting(f"Unpacking {path.name}") as on_count:
        unpacked = Unpacked(path, on_progress=on_count)
    with closing(unpacked), unpacked.named(), _with_labels_merged(unpacked.folder) as whole:
        yield whole


@contextmanager
def _with_labels_merged(folder: Path) -> Iterator[Path]:
    """The folder, or, for the length of this call, that in which its brush labels are brought together."""
    from core.datasets.readers import is_label_studio_export

    if not folder.is_dir() or not is_label_studio_export(folder):
        yield folder
        return
    from core.datasets.label_studio import merge
    from core.datasets.temp_zip import TempFolder

    with closing(TempFolder()) as home:
        with _counting("Bringing together") as on_count:
            notes = merge(folder, home.path / "set", on_count)
        for note in notes:
            say(note)
        yield home.path / "set"


def _check_dataset(
    folder: Path, place: str, splitting: Splitting, classes: Path | None
) -> tuple[Dataset, LayoutReport]:
    from core.datasets.check import check as check_all
    from core.datasets.check import processes
    from core.datasets.readers import read_dataset

    called = str(Path(place).expanduser())
    source = read_dataset(folder, splitting=splitting, classes=classes, called=called)
    with _counting("Checking") as on_count, processes() as executor:
        return source, check_all(source, executor, on_progress=on_count)


def _check_objects(uri: str) -> LayoutReport:
    """Raises InputError for what is no address."""
    with connected() as clients:
        from core.aws.prefix import check_prefix

        report, notes = check_prefix(clients, uri)
    for note in notes:
        say(note)
    return report


def _splitting(validation: float, seed: int) -> Splitting:
    from core.datasets.source import Splitting

    return Splitting(validation, seed)


def _default_output(place: Path) -> Path:
    path = place.expanduser().resolve()
    return path.with_name(f"{path.stem if path.suffix.lower() == '.zip' else path.name}-channels")


def _default_prefix(place: str, *, sandbox: bool) -> str:
    if not sandbox:
        raise SettingsError("--to must be given.", todo="Such as --to s3://BUCKET/datasets/NAME/.")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(place).expanduser().resolve().stem).strip("-")
    return f"{SANDBOX_DATASETS}{name or 'set'}/"


@contextmanager
def _counting(title: str) -> Iterator[OnCount]:
    """A bar that appears with the first count. Raises SettingsError."""
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


# What is said.


def _print_report(report: LayoutReport) -> None:
    from core.datasets.source import SPLITS

    classes = f"{len(report.classes)} classes" if report.classes else "classes unknown"
    train, validation = (f"{report.counts.get(split, 0):,}" for split in SPLITS)
    write(f"{report.kind}: {report.root}")
    write(f"{train} photographs for training, {validation} for validation, {classes}")
    if report.sizes:
        shown = ", ".join(f"{width} x {height} ({count:,})" for (width, height), count in report.sizes[:5])
        write(f"Sizes: {shown}{' ...' if len(report.sizes) > 5 else ''}")
    if report.histogram:
        print_table("Classes", _class_rows(report))
    for split, table in report.label_tables.items():
        rows = [{"pixel value": str(value), "label": str(label)} for value, label in table.items()]
        print_table(f"Label map of {split}", rows)
    if report.problems:
        print_table("Problems", _problem_rows(report.problems))
    write(report.verdict)


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
    """A row a code: the JSON has them one by one."""
    from core.text import listing

    by_code: dict[str, list[DataProblem]] = {}
    for problem in problems:
        by_code.setdefault(problem.code, []).append(problem)
    return [
        {
            "severity": alike[0].severity,
            "code": code,
            "count": f"{len(alike):,}",
            "where": listing([problem.path for problem in alike]),
            "what, of the first": alike[0].message,
            "what to do": alike[0].todo,
        }
        for code, alike in by_code.items()
    ]


def _say_problems(report: LayoutReport) -> None:
    """Where they are not what was asked for: a line a code."""
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
    """What a training job takes."""
    for name, uri in order.channels.items():
        write(f"{name}: {uri}")
    write(f"num_training_samples: {report.num_training_samples}")
    if report.classes:
        write(f"num_classes: {len(report.classes)}")
        say(f"To train: python cli.py jobs launch --data {order.uri} -p num_classes={len(report.classes)}")
