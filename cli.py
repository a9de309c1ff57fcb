"""The command line of Segdeck: `segdeck`, or `python cli.py` where it is not installed.

Results go to standard output, everything else to standard error. Exit codes: 0 success, 1 failure, 2 wrong usage,
130 stopped with Ctrl-C.
"""

# ruff: noqa: PLC0415 - each command imports what it needs, so that --help is fast

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from commands import batch, change, datasets, doctor, endpoints, evaluate, jobs, runs, serve, zones
from commands.account import account_choice, chosen_account
from commands.common import (
    FAILED,
    STOPPED,
    AsJson,
    CommandGroup,
    Debug,
    connected,
    print_json,
    progress,
    reporting,
    say,
    say_block,
    write,
)
from commands.inference_options import clear_partial_files, endpoint_to_invoke, make_folder, parse_fit
from commands.memory import limit_memory
from commands.segment_compare import (
    check_compared,
    check_files,
    print_comparison,
    say_prices,
    write_comparison,
)
from commands.segment_prefix import DEFAULT_CONCURRENCY, MAX_CONCURRENCY, PrefixOptions, segment_prefix
from commands.segment_report import print_failures, say_notes, write_rows
from commands.segment_tiles import (
    AreaOption,
    Bands,
    DryRun,
    MinSize,
    Overlap,
    Polygons,
    SceneOptions,
    Stretch,
    TileOptions,
    Tiles,
    TileSize,
    segment_tiles,
)
from core.errors import SettingsError
from core.failures import failure_row
from core.settings import PROJECT, Settings
from core.text import listing, plural

if TYPE_CHECKING:
    from core.aws.connection import Clients
    from core.endpoints.endpoint import EndpointInfo
    from core.inference.batch import BatchRequest
    from core.inference.invoke import Invoke

app = CommandGroup(
    help="Train, deploy and evaluate Amazon SageMaker semantic segmentation models, and segment images with them.",
    pretty_exceptions_enable=False,
)
app.command(account=False)(serve.run)
app.command(account=False)(serve.sandbox)
app.command()(doctor.doctor)
app.command("create-role")(doctor.new_role)
app.add_typer(endpoints.endpoints, name="endpoints")
app.add_typer(jobs.jobs, name="jobs")
app.add_typer(batch.batch, name="batch")
app.add_typer(datasets.dataset, name="dataset")
app.add_typer(datasets.dataset, name="datasets", hidden=True)  # plural like the other groups
app.add_typer(runs.runs, name="runs")

Palette = Literal["model", "voc", "jet", "safe"]


def main() -> None:
    """Run the command line under its installed name, which usage lines and shell completion show."""
    app(prog_name="segdeck")


def _print_version(requested: bool) -> None:
    if requested:
        import tomllib

        project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
        write(f"{project['name']} {project['version']}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


@dataclass(slots=True)
class SegmentOutcome:
    """The images processed so far, as rows for the JSON document. skipped: done by an earlier run."""

    skipped: list[dict[str, Any]] = field(default_factory=list)
    done: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """The options of `segment` on local images. compare: a second endpoint; empty for none."""

    images: list[str]
    out: Path
    endpoint: str
    compare: str
    want: Literal["probabilities", "mask"]
    palette: Palette
    opacity: float
    fit: tuple[int, int] | None
    threshold: float | None
    overwrite: bool
    resume: bool
    as_json: bool
    debug: bool


@app.command()
def segment(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE",
            help="Image files, folders or glob patterns; or one S3 prefix, s3://bucket/images/.",
        ),
    ],
    *,
    out: Annotated[
        str,
        typer.Option(
            metavar="DIR",
            help="Output folder; created if it does not exist. For an S3 prefix: a folder or another S3 prefix.",
        ),
    ],
    endpoint: Annotated[
        str, typer.Option(metavar="NAME", help="Endpoint to invoke. Default: the only one in service.")
    ] = "",
    compare: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Second endpoint: write both masks, STEM_diff.png, and comparison.csv with the images that differ "
            "most first. Needs no ground truth.",
        ),
    ] = "",
    format_: Annotated[
        Literal["probabilities", "mask"] | None,
        typer.Option(
            "--format",
            help="Endpoint output: probabilities, or mask (labels only), a much smaller response without confidence. "
            "Default: probabilities; mask for an S3 prefix.",
        ),
    ] = None,
    palette: Annotated[
        Palette,
        typer.Option(help="Mask colors: of the model, of Pascal VOC, jet, or safe for color-blind readers."),
    ] = "model",
    opacity: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION", min=0, max=1, help="Opacity of the mask in the overlay. Default: 0.5."
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH|original",
            help="Input size: fit each image into WxH pixels, or send the original. Default: 800x600.",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION",
            min=0,
            max=1,
            help="Write 255, unsure, for pixels whose confidence is below this. Needs probabilities.",
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            min=1,
            max=MAX_CONCURRENCY,
            help="For an S3 prefix, and with --tiles: images or tiles in progress at once. Default: 4.",
        ),
    ] = None,
    tiles: Tiles = False,
    tile: TileSize = "",
    overlap: Overlap = None,
    bands: Bands = "",
    stretch: Stretch = "",
    area: AreaOption = "",
    polygons: Polygons = None,
    min_size: MinSize = None,
    dry_run: DryRun = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output files of an earlier run.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue an interrupted run: skip images that have a STEM.json, or for an S3 prefix a valid mask, "
            "and redo the others. With --tiles: send only the tiles that are not finished.",
        ),
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Segment images: write STEM_mask.png, STEM_overlay.png and STEM.json for each.

    For an S3 prefix, the images below it are segmented several at once, and STEM_mask.png is written for each, in the
    same subfolders.

    With --tiles, one image of any size is segmented in overlapping tiles and becomes a map of classes, in the same
    coordinates where it has them, with the area of each class.

    An image that fails does not stop the others; the exit code is then 1.
    """
    if overwrite and resume:
        raise typer.BadParameter("Choose one of --resume and --overwrite.", param_hint="--resume")
    if threshold is not None:
        _check_threshold(images, format_, tiles=tiles)
    if compare and (tiles or any(argument.startswith("s3://") for argument in images)):
        raise typer.BadParameter("Only local images without --tiles are compared.", param_hint="--compare")
    tiling = TileOptions(tile, overlap, bands, stretch, area, dry_run, polygons, min_size)
    if tiles:
        scene = SceneOptions(
            images, out, endpoint, format_ or "probabilities", palette, concurrency,
            overwrite, resume, as_json, debug, tiling,
        )  # fmt: skip
        scene.check(size=size, opacity=opacity)
        with reporting(debug):
            segment_tiles(scene)
        return
    tiling.check_unused()
    fit = parse_fit(size or "800x600")
    if any(argument.startswith("s3://") for argument in images):
        if len(images) > 1:
            raise typer.BadParameter("Name one S3 prefix, or local images.", param_hint="IMAGE")
        if opacity is not None:
            raise typer.BadParameter("No overlay is written for an S3 prefix.", param_hint="--opacity")
        options = PrefixOptions(
            images[0], out, endpoint, format_ or "mask", palette, fit, concurrency or DEFAULT_CONCURRENCY,
            overwrite, resume, as_json, debug,
        )  # fmt: skip
        with reporting(debug):
            segment_prefix(options)
        return
    if out.startswith("s3://"):
        raise typer.BadParameter("The masks of local images are written to a folder.", param_hint="--out")
    if concurrency is not None:
        raise typer.BadParameter("Local images are segmented one by one.", param_hint="--concurrency")
    local = LocalOptions(
        images, Path(out), endpoint, compare, format_ or "probabilities", palette,
        0.5 if opacity is None else opacity, fit, threshold, overwrite, resume, as_json, debug,
    )  # fmt: skip
    with reporting(debug):
        _segment_local(local)


@app.command("image-uri")
def image_uri(debug: Debug = False) -> None:
    """Print the URI of the container image of the built-in algorithm, for training and hosting."""
    with reporting(debug):
        from core.aws.images import image_uri as uri_in

        settings = Settings.from_environ(os.environ)
        choice = account_choice()
        aws_region = choice.region or ("" if choice.account or choice.profile else settings.region)
        if not aws_region and settings.mode == "aws":
            aws_region = chosen_account().connection.region
        if not aws_region:
            raise SettingsError("No AWS region is set.", todo="Add --region, for example --region eu-west-1.")
        write(uri_in(aws_region))


app.command(account=False)(change.change)
app.command(account=False)(zones.zones)
app.command()(evaluate.evaluate)

# Segmentation.


def _check_threshold(images: list[str], format_: str | None, *, tiles: bool) -> None:
    """Raise BadParameter for a threshold on a segmentation without probabilities, before anything is billed."""
    where = "--threshold"
    if format_ == "mask":
        reason = "--format mask returns labels only: the response has no confidence to compare."
        raise typer.BadParameter(f"{reason} Use --format probabilities.", param_hint=where)
    if tiles or any(argument.startswith("s3://") for argument in images):
        raise typer.BadParameter("A threshold applies to local images without --tiles.", param_hint=where)


def _segment_local(options: LocalOptions) -> None:
    """Segment local images with one endpoint, or with two to compare. Raises Exit, InputError, AwsError."""
    from core.inference.batch import find_images

    limit_memory()
    paths, missing, skipped = find_images(options.images)
    make_folder(options.out)
    with connected() as clients:
        names = (options.endpoint, *([options.compare] if options.compare else []))
        infos = [endpoint_to_invoke(clients, name) for name in names]
        if options.compare:
            check_compared(infos)
            check_files(options.out, paths, replace=options.overwrite or options.resume)
            say_prices(clients, infos, len(paths))
        if skipped:
            say(f"Skipped results, subfolders and files that are not images: {listing(skipped)}.")
        done: list[tuple[SegmentOutcome, BatchRequest]] = []
        for info in infos:
            outcome = SegmentOutcome(failed=[failure_row(name, error) for name, error in missing])
            done.append((outcome, _segment_with(clients, info, paths, options, outcome)))
            if outcome.stopped:
                break
        if options.compare and not done[-1][0].stopped:
            _report_comparison(done, infos, options)
        else:
            _report(*done[-1], options.as_json)


def _segment_with(
    clients: Clients, info: EndpointInfo, paths: list[Path], options: LocalOptions, outcome: SegmentOutcome
) -> BatchRequest:
    """Segment the images with one endpoint, into a folder of its name if two are compared; return the request."""
    from core.aws.runtime import invoker
    from core.inference.batch import BatchRequest

    out = options.out / info.name if options.compare else options.out
    make_folder(out)
    request = BatchRequest(
        info.name, info.classes, options.want, options.palette, options.opacity, options.fit, out, options.overwrite,
        frozenset(path.resolve() for path in paths), options.resume, clients.connection.origin, info.config,
        options.threshold,
    )  # fmt: skip
    if options.resume:
        clear_partial_files(out, out.iterdir())
    _segment_all(paths, request, invoker(clients, info.name), outcome, options.debug)
    return request


def _segment_all(
    paths: list[Path], request: BatchRequest, invoke: Invoke, outcome: SegmentOutcome, debug: bool
) -> None:
    """Segment the images in order and record each in `outcome`. Ctrl-C stops after the images already done."""
    from core.inference.batch import completed_summary, segment_file
    from core.inference.export import unique_stems

    accepts: dict[str, str] = {}
    with progress() as bar:
        task = bar.add_task(f"Invoking {request.endpoint}", total=len(paths))
        for path, stem in zip(paths, unique_stems([path.name for path in paths]), strict=True):
            try:
                if request.resume and (row := completed_summary(path, stem, request)) is not None:
                    outcome.skipped.append(row)
                else:
                    outcome.done.append(segment_file(path, stem, request, invoke, accepts))
            except KeyboardInterrupt:
                outcome.stopped = True
                return
            except Exception as error:  # noqa: BLE001 - one image never stops the rest; all failures are reported at the end
                if debug:
                    say_block(traceback.format_exc())
                outcome.failed.append(failure_row(str(path), error))
            bar.advance(task)


# Output.


def _report_comparison(
    done: Sequence[tuple[SegmentOutcome, BatchRequest]], infos: Sequence[EndpointInfo], options: LocalOptions
) -> None:
    """Write and print the comparison of two endpoints, and report failures. Raises Exit if an image failed."""
    summaries = [{row["path"]: row for row in (*outcome.skipped, *outcome.done)} for outcome, _ in done]
    rows = write_comparison(summaries, infos, options.out, replace=options.overwrite or options.resume)
    failed = [row | {"endpoint": request.endpoint} for outcome, request in done for row in outcome.failed]
    if options.as_json:
        print_json(endpoint=infos[0].name, compared_with=infos[1].name, images=rows, failed=failed)
    else:
        print_comparison(rows, infos, options.out)
    for outcome, _ in done:
        say_notes(outcome.done)
    print_failures([row | {"path": f"{row['path']} at {row['endpoint']}"} for row in failed])
    if failed:
        count = len({row["path"] for row in failed})
        say(f"{plural(count, 'image')} failed, and cannot be compared.")
        raise typer.Exit(FAILED)


def _report(outcome: SegmentOutcome, request: BatchRequest, as_json: bool) -> None:
    """Print results on standard output and failures on standard error. Raises Exit if an image failed."""
    if as_json:
        rows = {
            "images": outcome.done,
            "skipped": outcome.skipped,
            "failed": outcome.failed,
            "stopped": outcome.stopped,
        }
        print_json(endpoint=request.endpoint, **rows)
    else:
        write_rows(outcome.done)
    say_notes(outcome.done)
    print_failures(outcome.failed)
    total = len(outcome.skipped) + len(outcome.done) + len(outcome.failed)
    if request.resume:
        say(
            f"Skipped {len(outcome.skipped)} of {total} images that an earlier run had done; "
            "the endpoint was not invoked for them."
        )
    if outcome.stopped:
        say(
            f"Stopped. {plural(len(outcome.done), 'image')} done; the files are in {request.out}. "
            "To continue, run the same command with --resume."
        )
        raise typer.Exit(STOPPED)
    if outcome.failed:
        say(f"{len(outcome.failed)} of {total} images failed.")
        raise typer.Exit(FAILED)


if __name__ == "__main__":
    main()
