"""Segdeck in the terminal: the verbs of the pages. `python cli.py --help` lists them.

Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 something failed, 2 wrong
usage, 130 stopped with Ctrl-C.
"""

# ruff: noqa: PLC0415 - each command imports what it needs, so that --help comes at once

from __future__ import annotations

import os
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from commands import datasets, endpoints, evaluate, jobs
from commands.common import (
    FAILED,
    STOPPED,
    AsJson,
    Debug,
    connected,
    print_error,
    print_json,
    progress,
    reporting,
    say,
    say_block,
    write,
)
from commands.inference_options import endpoint_to_invoke, make_folder, parse_fit
from commands.memory import limit_memory
from core.errors import CoreError, ModelError, SettingsError
from core.settings import Settings
from core.text import plural

if TYPE_CHECKING:
    from core.inference.batch import BatchRequest
    from core.inference.invoke import Invoke

SHOWN_CLASSES = 3

app = typer.Typer(
    help="Segment photographs with Amazon SageMaker's semantic segmentation, or with the sandbox on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(endpoints.endpoints, name="endpoints")
app.add_typer(jobs.jobs, name="jobs")
app.add_typer(datasets.dataset, name="dataset")

Palette = Literal["model", "voc", "jet", "safe"]


@dataclass(slots=True)
class SegmentOutcome:
    """What became of the images so far: rows for the JSON document. skipped: done by an earlier run."""

    skipped: list[dict[str, Any]] = field(default_factory=list)
    done: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    stopped: bool = False


@app.command()
def segment(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Files, folders or patterns.")],
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go; made if need be.")],
    endpoint: Annotated[str, typer.Option(metavar="NAME", help="Default: the only one in service.")] = "",
    format_: Annotated[
        Literal["probabilities", "mask"],
        typer.Option("--format", help="mask: class ids alone, a much smaller answer without confidence."),
    ] = "probabilities",
    palette: Annotated[Palette, typer.Option(help="Colours.")] = "model",
    opacity: Annotated[float, typer.Option(min=0, max=1, help="Of the mask in the overlay.")] = 0.5,
    size: Annotated[
        str, typer.Option(metavar="WxH|own", help="The box the model sees the image in.")
    ] = "800x600",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files of an earlier run.")] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue an interrupted run: skip images that have a STEM.json, replace what is left of others.",
        ),
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write STEM_mask.png, STEM_overlay.png and, last, STEM.json for each image.

    An image that fails does not stop the others; the exit code is then 1.
    """
    from core.inference.batch import BatchRequest, find_images, remove_parts

    fit = parse_fit(size)
    if overwrite and resume:
        raise typer.BadParameter("Choose one of --resume and --overwrite.", param_hint="--resume")
    with reporting(debug):
        limit_memory()
        paths, missing = find_images(images)
        make_folder(out)
        with connected() as clients:
            from core.aws.runtime import invoker

            info = endpoint_to_invoke(clients, endpoint)
            inputs = frozenset(path.resolve() for path in paths)
            order = BatchRequest(
                info.name, info.classes, format_, palette, opacity, fit, out, overwrite, inputs, resume
            )
            outcome = SegmentOutcome(failed=[_failure(name, error) for name, error in missing])
            if resume and (parts := remove_parts(out)):
                say(f"Removed {plural(parts, 'unfinished file')} of an interrupted run from {out}.")
            _segment_all(paths, order, invoker(clients, info.name), outcome, debug)
            _report(outcome, order, as_json)


@app.command("image-uri")
def image_uri(
    region: Annotated[str, typer.Option(help="Default: AWS_REGION, then AWS_DEFAULT_REGION.")] = "",
    debug: Debug = False,
) -> None:
    """Print the container image of AWS's algorithm, to train and serve with."""
    with reporting(debug):
        from core.aws.images import image_uri as look_up

        chosen = region or Settings.from_environ(os.environ).region
        if not chosen:
            raise SettingsError(
                "No AWS region is given.", todo="Add --region, for example --region eu-west-1."
            )
        write(look_up(chosen))


app.command()(evaluate.evaluate)

# The work.


def _segment_all(
    paths: list[Path], order: BatchRequest, invoke: Invoke, outcome: SegmentOutcome, debug: bool
) -> None:
    """Each image in turn. Ctrl-C ends it with what is done so far."""
    from core.inference.batch import done_before, segment_file
    from core.inference.export import unique_stems

    accepts: dict[str, str] = {}
    with progress() as bar:
        task = bar.add_task(f"Asking {order.endpoint}", total=len(paths))
        for path, stem in zip(paths, unique_stems([path.name for path in paths]), strict=True):
            try:
                if order.resume and (row := done_before(path, stem, order)) is not None:
                    outcome.skipped.append(row)
                else:
                    outcome.done.append(segment_file(path, stem, order, invoke, accepts))
            except KeyboardInterrupt:
                outcome.stopped = True
                return
            except Exception as error:  # noqa: BLE001 - one image never stops the rest; each is told at the end
                if debug:
                    say_block(traceback.format_exc())
                outcome.failed.append(_failure(str(path), error))
            bar.advance(task)


def _failure(name: str, error: Exception) -> dict[str, Any]:
    if not isinstance(error, CoreError):
        error = CoreError(
            f"Segdeck stumbled: {error!r}.", todo="Run it with --debug, and report what it shows."
        )
    row = {"path": name, "error": type(error).__name__, "what": error.what}
    row |= {"why": error.why, "todo": error.todo}
    return row | ({"log_url": error.log_url} if isinstance(error, ModelError) else {})


# What is said.


def _report(outcome: SegmentOutcome, order: BatchRequest, as_json: bool) -> None:
    """The results on standard output, the failures on standard error; raises Exit when not all is well."""
    if as_json:
        rows = {
            "images": outcome.done,
            "skipped": outcome.skipped,
            "failed": outcome.failed,
            "stopped": outcome.stopped,
        }
        print_json(endpoint=order.endpoint, **rows)
    else:
        for row in outcome.done:
            write(_line(row))
    for row in outcome.done:
        for problem in row["problems"]:
            say(f"{row['path']}: {problem}")
    for row in outcome.failed:
        print_error(
            row["what"], row["why"], row["todo"], _log_line(row.get("log_url", "")), where=row["path"]
        )
    total = len(outcome.skipped) + len(outcome.done) + len(outcome.failed)
    if order.resume:
        say(
            f"{len(outcome.skipped)} of {total} images were done by an earlier run: "
            "skipped, without invoking the endpoint."
        )
    if outcome.stopped:
        say(
            f"Stopped. {len(outcome.done)} images are done; their files are in {order.out}. "
            "The same command with --resume continues."
        )
        raise typer.Exit(STOPPED)
    if outcome.failed:
        say(f"{len(outcome.failed)} of {total} images failed.")
        raise typer.Exit(FAILED)


def _line(row: dict[str, Any]) -> str:
    largest = row["classes"][:SHOWN_CLASSES]
    shares = ", ".join(f"{area['name']} {area['share']:.1%}" for area in largest)
    return f"{row['files']['mask']}  {shares}  {row['seconds']['endpoint']:.2f} s"


def _log_line(url: str) -> str:
    return f"The container's log: {url}" if url else ""


if __name__ == "__main__":
    sys.exit(app())
