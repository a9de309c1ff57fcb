"""`segment --tiles`: an image of any size is segmented in overlapping tiles, and becomes a map of classes."""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help is fast

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from commands.common import FAILED, STOPPED, connected, print_json, progress, say, say_block, write
from commands.inference_options import endpoint_to_invoke, make_folder
from commands.memory import limit_memory
from commands.segment_prefix import DEFAULT_CONCURRENCY
from commands.segment_report import print_failures
from core.text import duration, plural

if TYPE_CHECKING:
    from core.aws.connection import Clients
    from core.cost.tiles import TilePrice
    from core.tiles.area import Area
    from core.tiles.job import MapJob, MapOptions, MapOutcome
    from core.tiles.scene import SceneReader

LARGEST_SHOWN = 5

Tiles = Annotated[
    bool,
    typer.Option(
        "--tiles",
        help="Segment one image of any size, such as a GeoTIFF, in overlapping tiles. Writes STEM_mask.tif, "
        "STEM_confidence.tif, STEM_areas.csv and STEM.json, with the coordinates of the image.",
    ),
]
TileSize = Annotated[
    str,
    typer.Option(
        "--tile",
        metavar="N|WxH",
        help="With --tiles: pixels of a tile, multiples of 16. Default: 512, or the crop size of the model if it is "
        "larger.",
    ),
]
Overlap = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=0,
        help="With --tiles: pixels that neighbors overlap and are blended over. Default: 64.",
    ),
]
Bands = Annotated[
    str,
    typer.Option(
        metavar="R,G,B",
        help="With --tiles: bands to send, from 1, or one band as gray. Default: red, green, blue.",
    ),
]
Stretch = Annotated[
    str,
    typer.Option(
        metavar="LOW,HIGH",
        help="With --tiles: percentiles of each band that become black and white. Default: 2,98 for values of more "
        "than 8 bits; 8-bit values are sent unchanged.",
    ),
]
AreaOption = Annotated[
    str,
    typer.Option(
        "--area",
        metavar="FILE|BOX",
        help="With --tiles: segment only inside the polygons of a GeoJSON file, or a box LEFT,BOTTOM,RIGHT,TOP in "
        "the coordinates of the image.",
    ),
]
Polygons = Annotated[
    Literal["gpkg", "geojson"] | None,
    typer.Option(
        help="With --tiles: also write the map as polygons, STEM_polygons.gpkg or STEM_polygons.geojson.",
    ),
]
MinSize = Annotated[
    int | None,
    typer.Option(
        metavar="PIXELS",
        min=1,
        help="With --polygons: patches of fewer pixels become part of their largest neighbor. Default: 16.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="With --tiles: print the plan with its requests and price, and send nothing."
    ),
]


@dataclass(frozen=True, slots=True)
class TileOptions:
    """The options that only tiles have, as they were given."""

    tile: str
    overlap: int | None
    bands: str
    stretch: str
    area: str
    dry_run: bool
    polygons: Literal["gpkg", "geojson"] | None
    min_size: int | None

    def check_unused(self) -> None:
        """Raise BadParameter for the first option that was given without --tiles."""
        given = {
            "--tile": self.tile, "--overlap": self.overlap is not None, "--bands": self.bands,
            "--stretch": self.stretch, "--area": self.area, "--dry-run": self.dry_run,
            "--polygons": self.polygons, "--min-size": self.min_size is not None,
        }  # fmt: skip
        for name, value in given.items():
            if value:
                raise typer.BadParameter("This option needs --tiles.", param_hint=name)


@dataclass(frozen=True, slots=True)
class SceneOptions:
    """The options of `segment --tiles`."""

    images: list[str]
    out: str
    endpoint: str
    want: Literal["probabilities", "mask"]
    palette: str
    concurrency: int | None
    overwrite: bool
    resume: bool
    as_json: bool
    debug: bool
    tiles: TileOptions

    def check(self, *, size: str | None, opacity: float | None) -> None:
        """Raise BadParameter for options that tiles do not have."""
        if len(self.images) != 1 or self.images[0].startswith("s3://") or self.out.startswith("s3://"):
            raise typer.BadParameter("Name one local image and a local folder.", param_hint="--tiles")
        if size is not None:
            raise typer.BadParameter("The size of the tiles is set with --tile.", param_hint="--size")
        if opacity is not None:
            raise typer.BadParameter("No overlay is written for tiles.", param_hint="--opacity")
        if self.tiles.min_size is not None and self.tiles.polygons is None:
            raise typer.BadParameter("This option needs --polygons.", param_hint="--min-size")


def segment_tiles(options: SceneOptions) -> None:
    """Plan, segment and write the map of one image. Raises Exit (see `_report`), BadParameter, CoreError."""
    from core.aws.tiles import price_of_tiles, tile_size_of
    from core.tiles.area import read_area
    from core.tiles.job import MapJob, plan_rows
    from core.tiles.plan import DEFAULT_OVERLAP, make_plan
    from core.tiles.scene import SceneReader, open_scene

    tiles, path = options.tiles, Path(options.images[0]).expanduser()
    tile, bands, stretch = _tile_size(tiles.tile), _bands(tiles.bands), _stretch(tiles.stretch)
    limit_memory()
    scene = open_scene(path, bands=bands, stretch=stretch)
    for note in scene.notes:
        say(note)
    if tiles.polygons is not None:
        from core.tiles.polygons import check_polygons

        check_polygons(scene)
    area = read_area(tiles.area, scene) if tiles.area else None
    concurrency = options.concurrency or DEFAULT_CONCURRENCY
    with connected() as clients, SceneReader(scene) as reader:
        info = endpoint_to_invoke(clients, options.endpoint)
        plan = make_plan(
            reader,
            tile=tile or tile_size_of(clients, info, say),
            overlap=DEFAULT_OVERLAP if tiles.overlap is None else tiles.overlap,
            want=options.want,
            area=area,
            classes=len(info.classes) if info.classes else 0,
        )
        price = price_of_tiles(
            clients, info, plan.requests, concurrency=concurrency, now=datetime.now(UTC), say=say
        )
        for line in (*plan.sentences(), *_price_lines(price)):
            (write if tiles.dry_run and not options.as_json else say)(line)
        if tiles.dry_run:
            if options.as_json:
                print_json(
                    image=str(path), endpoint=info.name, scene=scene.to_dict(), **plan_rows(plan, price)
                )
            return
        folder, origin = Path(options.out), clients.connection.origin
        make_folder(folder)
        job = MapJob.of(_map_options(options), folder, scene, plan, area=area, info=info, origin=origin)
        if (row := job.completed()) is not None:
            _complete(job, row, as_json=options.as_json)
            return
        _report(job, options, _run(job, clients, reader, area, price))


def _map_options(options: SceneOptions) -> MapOptions:
    from core.tiles.job import DEFAULT_MIN_SIZE, MapOptions

    tiles = options.tiles
    return MapOptions(
        options.want,
        options.palette,
        options.concurrency or DEFAULT_CONCURRENCY,
        overwrite=options.overwrite,
        resume=options.resume,
        area=tiles.area,
        polygons=tiles.polygons,
        min_size=tiles.min_size or DEFAULT_MIN_SIZE,
    )


def _complete(job: MapJob, row: dict[str, Any], *, as_json: bool) -> None:
    """Print the result of an earlier run that is complete; add the polygons if they are missing."""
    job.remove_leftovers(say)
    say(f"{job.files.summary} is complete; the endpoint was not invoked.")
    if job.polygons is not None and job.polygons.exists():
        say(f"{job.polygons} exists, and was kept.")
    else:
        job.write_polygons(row["class_names"], say, replace=False)
    _show(row, as_json=as_json)


def _run(
    job: MapJob, clients: Clients, reader: SceneReader, area: Area | None, price: TilePrice
) -> MapOutcome:
    """Segment the tiles and write the files, with a progress bar. Raises InputError, ImageError."""
    from core.aws.runtime import invoker
    from core.tiles.job import Progress

    name = job.info.name
    with progress() as bar:
        line = bar.add_task(f"Invoking {name}", total=job.plan.requests)
        return job.run(
            reader,
            area,
            price,
            invoker(clients, name),
            Progress(time.monotonic, say, lambda _: bar.advance(line)),
        )


def _price_lines(price: TilePrice) -> Iterator[str]:
    label = "Price of the endpoint" if price.billed else "AWS price of the endpoint"
    if price.per_hour is not None:
        yield f"{label}: {price.per_hour} per hour."
    if price.seconds is not None:
        amount = "" if price.expected is None else f", {price.expected}"
        yield f"Expected: {duration(price.seconds)}{amount}."
    yield price.source


def _report(job: MapJob, options: SceneOptions, made: MapOutcome) -> None:
    """Print the result. Raises Exit: 1 for failed tiles, 130 for Ctrl-C."""
    from core.tiles.job import failed_tile

    outcome, row = made.tiles, made.row
    failed = [failed_tile(tile, error) for tile, error in outcome.failed]
    if row is not None:
        _show(row, as_json=options.as_json)
    elif options.as_json:
        print_json(
            image=str(job.scene.path), endpoint=job.info.name, sent=outcome.sent, stopped=outcome.stopped,
            kept_from_earlier_run=outcome.kept, not_attempted=outcome.not_attempted,
            failed=failed,
        )  # fmt: skip
    if options.debug:
        for _, error in outcome.failed:
            say_block("".join(traceback.format_exception(error)))
    print_failures(failed)
    if outcome.kept:
        say(
            f"{plural(outcome.kept, 'tile')} of an earlier run were used; the endpoint was not invoked for them."
        )
    say(
        f"{outcome.sent:,} of {plural(job.plan.requests, 'tile')} sent in {duration(made.seconds)}, "
        f"{len(outcome.failed):,} failed."
    )
    if outcome.fault is not None:
        from core.batch.client import MAX_FAILURES

        say(f"Stopped after {MAX_FAILURES} consecutive failures. {outcome.fault}")
    if row is None or outcome.failed:
        stopped = "Stopped. " if outcome.stopped else ""
        if job.store.holds_tiles():
            again = "with --resume instead of --overwrite" if options.overwrite else "with --resume"
            say(f"{stopped}Finished tiles are in {job.store.folder}.")
        else:
            again = "again"
            say(f"{stopped}No tile was finished.")
        say(f"To send the others, run the same command {again}.")
    if outcome.stopped:
        raise typer.Exit(STOPPED)
    if row is None or outcome.failed:
        raise typer.Exit(FAILED)


def _show(row: dict[str, Any], *, as_json: bool) -> None:
    """Print the result on standard output: JSON, or the mask and the largest classes."""
    if as_json:
        print_json(**row)
        return
    shares = ", ".join(
        f"{area['name']} {area['share']:.1%}"
        + ("" if area["hectares"] is None else f" ({area['hectares']:,.2f} ha)")
        for area in row["classes"][:LARGEST_SHOWN]
    )
    write(f"{row['files']['mask']}  {shares}")
    for note in row["problems"]:
        say(note)


def _tile_size(text: str) -> tuple[int, int] | None:
    """Return the width and height of --tile; None if it was not given. Raises BadParameter."""
    if not text:
        return None
    match = re.fullmatch(r"([1-9]\d{0,4})(?:[x×]([1-9]\d{0,4}))?", text)
    if match is None:
        raise typer.BadParameter(
            f"{text!r} is neither a number of pixels nor a size such as 800x608.", param_hint="--tile"
        )
    return int(match[1]), int(match[2] or match[1])


def _bands(text: str) -> tuple[int, ...]:
    if text and not re.fullmatch(r"\d{1,5}(,\d{1,5})*", text):
        raise typer.BadParameter(f"{text!r} is not a list of bands such as 3,2,1.", param_hint="--bands")
    return tuple(int(band) for band in text.split(",")) if text else ()


def _stretch(text: str) -> tuple[float, float] | None:
    match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?),(\d{1,3}(?:\.\d+)?)", text)
    if text and match is None:
        raise typer.BadParameter(
            f"{text!r} is not a pair of percentiles such as 2,98.", param_hint="--stretch"
        )
    return (float(match[1]), float(match[2])) if match else None
