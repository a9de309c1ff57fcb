"""`segment --tiles`: an image of any size is segmented in overlapping tiles, and becomes a map of classes."""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help is fast

from __future__ import annotations

import re
import shutil
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from commands.common import FAILED, STOPPED, connected, print_json, progress, say, say_block, write
from commands.inference_options import endpoint_to_invoke, make_folder
from commands.memory import limit_memory
from commands.segment_prefix import DEFAULT_CONCURRENCY
from commands.segment_report import failure_row, print_failures
from core.errors import AwsError, InputError
from core.text import byte_size, duration, plural

if TYPE_CHECKING:
    from core.aws.connection import Clients
    from core.cost.tiles import TilePrice
    from core.endpoints.endpoint import EndpointInfo
    from core.tiles.area import Area
    from core.tiles.outputs import MapFiles, MapWriter
    from core.tiles.plan import Tile, TilePlan
    from core.tiles.run import TileOutcome
    from core.tiles.scene import Scene, SceneReader
    from core.tiles.store import TileStore

LARGEST_SHOWN = 5
STRIP_BYTES = 2
"""Bytes per pixel of the files of the strips, while the maps are made."""

ASSUMED_CLASSES = 21
DEFAULT_MIN_SIZE = 16
"""Pixels of a patch that becomes a polygon."""

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
    from core.tiles.area import read_area
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
    with connected() as clients, SceneReader(scene) as reader:
        info = endpoint_to_invoke(clients, options.endpoint)
        plan = _plan(reader, info, area, tile or _default_tile(clients, info), options)
        price = _price(clients, info, plan, options)
        for line in (*plan.sentences(), *_price_lines(price)):
            (write if tiles.dry_run and not options.as_json else say)(line)
        if tiles.dry_run:
            if options.as_json:
                print_json(
                    image=str(path), endpoint=info.name, scene=scene.to_dict(), **_plan_rows(plan, price)
                )
            return
        job = _Job.of(options, clients.connection.origin, info, plan, (scene, area))
        if (row := job.completed()) is not None:
            job.remove_leftovers()
            say(f"{job.files.summary} is complete; the endpoint was not invoked.")
            if job.polygons is not None and job.polygons.exists():
                say(f"{job.polygons} exists, and was kept.")
            else:
                job.write_polygons(row["class_names"], replace=False)
            _show(row, as_json=options.as_json)
            return
        job.run(clients, reader, area, price)


@dataclass(frozen=True, slots=True)
class _Job:
    """One image with all that determines its results."""

    options: SceneOptions
    info: EndpointInfo
    scene: Scene
    plan: TilePlan
    files: MapFiles
    store: TileStore
    request: dict[str, Any]

    @classmethod
    def of(
        cls,
        options: SceneOptions,
        origin: str,
        info: EndpointInfo,
        plan: TilePlan,
        place: tuple[Scene, Area | None],
    ) -> _Job:
        from core.inference.batch import printable
        from core.inference.export import unique_stems
        from core.tiles.outputs import MapFiles
        from core.tiles.store import TileStore

        scene, area = place
        (stem,) = unique_stems([scene.name])
        folder = Path(options.out)
        make_folder(folder)
        sent = {
            "endpoint": info.name, "origin": origin, "model": info.config,
            "output": options.want, "tile": [plan.columns.tile, plan.rows.tile], "overlap": plan.overlap,
            "bands": list(scene.used), "stretched_from": [list(limits) for limits in scene.ranges],
        }  # fmt: skip
        files = MapFiles.of(folder, stem, scene, confidence=options.want == "probabilities")
        request = sent | {"palette": options.palette, "area_sha256": area.digest if area else ""}
        image = {"name": printable(scene.name), "bytes": scene.file_size, "fingerprint": scene.fingerprint}
        store = TileStore(folder / f".{stem}.tiles", sent, image)
        return cls(options, info, scene, plan, files, store, request)

    def completed(self) -> dict[str, Any] | None:
        """Return the summary of an earlier run that is complete; None if there is none. Raises InputError."""
        from core.inference.batch import read_json

        row = read_json(self.files.summary) if self.options.resume else None
        if row is None:
            return None
        changed = [name for name, value in self.request.items() if row.get("request", {}).get(name) != value]
        if not changed and row.get("file") == self._file():
            complete = not row.get("failed") and all(path.exists() for path in self.files.all())
            return row if complete else None
        names = f": {', '.join(changed)}" if changed else ""
        raise InputError(
            f"{self.files.summary} was written for another image, or with different settings{names}.",
            why="It is kept. The endpoint was not invoked.",
            todo="Choose another folder, or use --overwrite to replace all results.",
        )

    @property
    def polygons(self) -> Path | None:
        """Return the path of the polygons; None if they were not asked for."""
        kind = self.options.tiles.polygons
        name = self.files.summary.with_name(f"{self.files.summary.stem}_polygons.{kind}")
        return None if kind is None else name

    def write_polygons(self, names: Sequence[str], *, replace: bool) -> dict[str, Any] | None:
        """Write the polygons of the finished map, if they were asked for; return a row on them. Raises InputError."""
        if self.polygons is None:
            return None
        from core.inference.batch import printable
        from core.tiles.polygons import polygons_of_map

        least = self.options.tiles.min_size or DEFAULT_MIN_SIZE
        mask, confidence = self.files.mask, self.files.confidence
        result = polygons_of_map(
            mask, confidence, dict(enumerate(names)), self.polygons, min_size=least, overwrite=replace
        )
        say(
            f"{plural(result.polygons, 'polygon')} in {self.polygons}. {plural(result.sieved, 'pixel')} in patches "
            f"of fewer than {least:,} became part of their largest neighbor; the mask keeps them."
        )
        return {
            "file": printable(str(self.polygons)),
            "polygons": result.polygons,
            "vertices": result.vertices,
            "min_size_pixels": least,
            "sieved_pixels": result.sieved,
        }

    def remove_leftovers(self) -> None:
        """Remove the finished tiles that a run left which ended after its summary was written.

        Those of a run with other settings, which was to overwrite these results, are kept: they were paid for.
        """
        if not self.store.holds_tiles():
            return
        if differences := self.store.differences():
            say(
                f"{self.store.folder} has finished tiles of an interrupted run with other settings: "
                f"{', '.join(differences)}. They are kept: continue that run with its settings and --resume."
            )
            return
        with self.store.turn():
            self.store.clear_tiles()

    def run(self, clients: Clients, reader: SceneReader, area: Area | None, price: TilePrice) -> None:
        """Segment the tiles and write the files. Raises Exit (see `_report`), InputError."""
        from core.tiles.outputs import MapWriter
        from core.tiles.run import TileOutcome

        with self.store.turn():
            self._check_space()
            replace = self._prepare()
            outcome = TileOutcome()
            started = time.monotonic()
            with MapWriter(self.scene, self.files, self.store.folder, self._table()) as writer:
                self._segment(clients, reader, area, writer, outcome)
                row = None
                reader.check_unchanged()
                if outcome.whole and outcome.sent + outcome.kept:
                    row = self._finish(writer, outcome, price, time.monotonic() - started, replace=replace)
            if outcome.whole and not outcome.failed:
                self.store.clear_tiles()
        _report(self, outcome, row, time.monotonic() - started)

    def _prepare(self) -> bool:
        """Check what is in the folder before anything is paid for; return whether files may be replaced."""
        options, store = self.options, self.store
        if options.overwrite:
            store.clear_tiles()
        elif store.holds_tiles() and not options.resume:
            raise InputError(
                f"{store.folder} has the finished tiles of an interrupted run.",
                why="Without them, all tiles would be sent and paid for again. The endpoint was not invoked.",
                todo="Use --resume to continue it, or --overwrite to begin again.",
            )
        # Files next to the tiles of an interrupted run are those of that run.
        replace = options.overwrite or (options.resume and store.holds_tiles())
        for path in (*self.files.all(), *([self.polygons] if self.polygons else [])):
            if not replace and path.exists():
                raise InputError(
                    f"{path} already exists.",
                    why="Files are only overwritten if you ask for it. The endpoint was not invoked.",
                    todo="Choose another folder, or use --overwrite to replace.",
                )
        store.begin()
        if parts := store.remove_partial_files():
            say(f"Removed {plural(parts, 'unfinished file')} of an interrupted run from {store.folder}.")
        return replace

    def _remove_earlier_summary(self) -> None:
        """Remove what marks the earlier results as complete, and those that are not written again.

        From the first new tile on, those are what --resume completes.
        """
        from core.inference.batch import read_json

        files = (read_json(self.files.summary) or {}).get("files")
        earlier = {Path(name).name for name in files.values() if name} if isinstance(files, dict) else set()
        self.files.summary.unlink(missing_ok=True)
        for kind in ("mask", "confidence"):
            for suffix in (".tif", ".png"):
                path = self.files.summary.with_name(f"{self.files.summary.stem}_{kind}{suffix}")
                if path.name in earlier and path not in self.files.all():
                    path.unlink(missing_ok=True)

    def _segment(
        self,
        clients: Clients,
        reader: SceneReader,
        area: Area | None,
        writer: MapWriter,
        outcome: TileOutcome,
    ) -> None:
        from core.aws.runtime import invoker
        from core.inference.gate import CallGate
        from core.tiles.run import TileTask, run_tiles

        concurrency = self.options.concurrency or DEFAULT_CONCURRENCY
        gate = CallGate(concurrency)
        name, classes = self.info.name, self.info.classes
        task = TileTask(self.plan, reader, self.store, name, classes, invoker(clients, name), gate, area)
        with progress() as bar:
            line = bar.add_task(f"Invoking {name}", total=self.plan.requests)

            def on_tile() -> None:
                bar.advance(line)
                if self.options.overwrite and outcome.sent == 1:
                    self._remove_earlier_summary()

            run_tiles(task, concurrency, outcome, writer.write, on_tile)
        if gate.throttled:
            say(
                f"The endpoint throttled {plural(gate.throttled, 'call')}, which were repeated; the tiles in "
                f"flight went down to {gate.lowest}."
            )
        if damaged := self.store.damaged:
            say(f"{plural(len(damaged), 'stored tile')} were damaged and were sent again: {damaged[0]}")

    def _finish(
        self, writer: MapWriter, outcome: TileOutcome, price: TilePrice, seconds: float, *, replace: bool
    ) -> dict[str, Any]:
        """Write the files; return the summary."""
        from core.inference.batch import printable
        from core.tiles.outputs import all_classes

        labels = writer.areas.pixels[:-1].nonzero()[0].tolist()
        classes = all_classes(self.info.classes, outcome.classes, labels)
        tags = {"ENDPOINT": self.info.name, "MODEL": self.info.model_uri or self.info.config}
        tags |= {"TRAINING_JOB": self.info.job} if self.info.job else {}
        rows = writer.finish(classes, tags, overwrite=replace)
        notes = [*self.scene.notes, *([writer.areas.note] if writer.areas.note else [])]
        problems = [f"{text} ({plural(count, 'tile')})" for text, count in sorted(outcome.problems.items())]
        row = {
            "image": printable(self.scene.name),
            "file": self._file(),
            "scene": self.scene.to_dict() | {"name": printable(self.scene.name)},
            "area": printable(self.options.tiles.area),
            "endpoint": self.info.name,
            "request": self.request,
            **_plan_rows(self.plan, price),
            "classes": rows,
            "class_names": list(classes.names),
            "mean_confidence": writer.areas.mean_confidence,
            "polygons": self.write_polygons(classes.names, replace=replace),
            "pixels_without_class": int(writer.areas.pixels[-1]),
            "areas_counted_on": "the mask's pixels; m2: on the ellipsoid",
            "sent": outcome.sent,
            "kept_from_earlier_run": outcome.kept,
            "failed": [_failed_tile(tile, error) for tile, error in outcome.failed],
            "seconds": {"endpoint": outcome.seconds, "total": seconds},
            "notes": notes,
            "problems": problems,
            "files": {
                kind: None if path is None else printable(str(path))
                for kind, path in (
                    ("mask", self.files.mask), ("confidence", self.files.confidence),
                    ("areas", self.files.areas), ("json", self.files.summary),
                )
            },
        }  # fmt: skip
        writer.write_summary(row, overwrite=replace)
        return row

    def _table(self) -> Any:
        from core.imaging.classes import Classes
        from core.render.palette import table

        return table(self.options.palette, self.info.classes or Classes.numbered(ASSUMED_CLASSES))

    def _file(self) -> dict[str, int | str]:
        return {"bytes": self.scene.file_size, "fingerprint": self.scene.fingerprint}

    def _check_space(self) -> None:
        """Raise InputError if the disk has too little space for the finished tiles and the maps."""
        from core.tiles.result import stored_bytes

        tiles = stored_bytes(self.plan, self.plan.classes or ASSUMED_CLASSES) - self.store.size()
        needed = max(0, tiles) + 2 * STRIP_BYTES * self.scene.width * self.scene.height
        free = shutil.disk_usage(self.files.mask.parent).free
        if free < needed:
            raise InputError(
                f"{self.files.mask.parent} has {byte_size(free)} of free space.",
                why=f"Finished tiles and maps may take {byte_size(needed)} while it runs.",
                todo="Choose a folder on another disk.",
            )


def _plan(
    reader: SceneReader, info: EndpointInfo, area: Area | None, tile: tuple[int, int], options: SceneOptions
) -> TilePlan:
    from core.tiles.plan import DEFAULT_OVERLAP, make_plan

    overlap = DEFAULT_OVERLAP if options.tiles.overlap is None else options.tiles.overlap
    classes = len(info.classes) if info.classes else 0
    return make_plan(reader, tile=tile, overlap=overlap, want=options.want, area=area, classes=classes)


def _default_tile(clients: Clients, info: EndpointInfo) -> tuple[int, int]:
    from core.tiles.plan import default_tile

    side = default_tile(_crop_size(clients, info))
    return side, side


def _crop_size(clients: Clients, info: EndpointInfo) -> int | None:
    """Return the crop size that the model was trained with; None if unknown."""
    from core.aws.training import describe_job

    if not info.job:
        return None
    try:
        text = describe_job(clients, info.job).hyperparameters.get("crop_size", "")
    except AwsError as error:
        say(f"The crop size of the model is unknown. {error}")
        return None
    return int(text) if text.isdecimal() else None


def _price(clients: Clients, info: EndpointInfo, plan: TilePlan, options: SceneOptions) -> TilePrice:
    from core.aws.batch import endpoint_speed
    from core.aws.prices import prices
    from core.cost.tiles import tile_price

    try:
        speed = endpoint_speed(clients, info.name, datetime.now(UTC))
    except AwsError as error:
        say(f"The speed of {info.name} is unknown. {error}")
        speed = None
    concurrency = options.concurrency or DEFAULT_CONCURRENCY
    return tile_price(plan.requests, concurrency, speed, info.variants, prices(clients))


def _price_lines(price: TilePrice) -> Iterator[str]:
    label = "Price of the endpoint" if price.billed else "AWS price of the endpoint"
    if price.per_hour is not None:
        yield f"{label}: {price.per_hour} per hour."
    if price.seconds is not None:
        amount = "" if price.expected is None else f", {price.expected}"
        yield f"Expected: {duration(price.seconds)}{amount}."
    yield price.source


def _plan_rows(plan: TilePlan, price: TilePrice) -> dict[str, Any]:
    return {"plan": plan.to_dict(), "price": price.to_dict()}


def _failed_tile(tile: Tile, error: Exception) -> dict[str, Any]:
    """Return a failed tile, with the pixels that have no data because of it."""
    place = f"row {tile.row}, column {tile.column}"
    box = [tile.x.own, tile.y.own, tile.x.end, tile.y.end]
    return failure_row(place, error) | {"row": tile.row, "column": tile.column, "pixels": box}


def _report(job: _Job, outcome: TileOutcome, row: dict[str, Any] | None, seconds: float) -> None:
    """Print the result. Raises Exit: 1 for failed tiles, 130 for Ctrl-C."""
    options = job.options
    if row is not None:
        _show(row, as_json=options.as_json)
    elif options.as_json:
        print_json(
            image=str(job.scene.path), endpoint=job.info.name, sent=outcome.sent, stopped=outcome.stopped,
            kept_from_earlier_run=outcome.kept, not_attempted=outcome.not_attempted,
            failed=[_failed_tile(tile, error) for tile, error in outcome.failed],
        )  # fmt: skip
    if options.debug:
        for _, error in outcome.failed:
            say_block("".join(traceback.format_exception(error)))
    print_failures([_failed_tile(tile, error) for tile, error in outcome.failed])
    if outcome.kept:
        say(
            f"{plural(outcome.kept, 'tile')} of an earlier run were used; the endpoint was not invoked for them."
        )
    say(
        f"{outcome.sent:,} of {plural(job.plan.requests, 'tile')} sent in {duration(seconds)}, "
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
