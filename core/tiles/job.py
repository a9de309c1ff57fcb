"""Make the map of one scene: all between a plan and the files of the result. The page and the command both use this.

The steps: `open_scene` → `read_area` → `make_plan` → `MapJob.of` → `completed` → `run`. Nothing here reads the clock,
prints, or reaches AWS: the function that invokes the endpoint is an argument, and so are those that get the progress.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.cost.tiles import TilePrice
from core.endpoints.endpoint import EndpointInfo
from core.errors import InputError
from core.failures import failure_row
from core.imaging.classes import Classes
from core.inference.batch import printable, read_json
from core.inference.export import unique_stems
from core.inference.gate import CallGate
from core.inference.invoke import Invoke, Want
from core.render.palette import Table, table
from core.text import byte_size, plural
from core.tiles.area import Area
from core.tiles.blend import Strip
from core.tiles.outputs import MapFiles, MapWriter, all_classes
from core.tiles.plan import Tile, TilePlan
from core.tiles.polygons import PolygonFormat, polygons_of_map
from core.tiles.result import stored_bytes
from core.tiles.run import TileOutcome, TileTask, run_tiles
from core.tiles.scene import Scene, SceneReader
from core.tiles.store import TileStore

STRIP_BYTES = 2
"""Bytes per pixel of the files of the strips, while the maps are made."""

ASSUMED_CLASSES = 21
DEFAULT_MIN_SIZE = 16
"""Pixels of a patch that becomes a polygon."""


@dataclass(frozen=True, slots=True)
class MapOptions:
    """What a map is made with, besides the scene and its plan.

    palette:     a name of `core.render.palette.PALETTES`.
    concurrency: tiles that are sent at once.
    overwrite:   whether results are replaced, and finished tiles are sent again.
    resume:      whether an interrupted run is continued, and a complete one is left as it is.
    area:        the area as it was given; empty for the whole scene.
    polygons:    the format of the polygons; None: none are written.
    min_size:    pixels of a patch: smaller ones become part of their largest neighbor, in the polygons.
    """

    want: Want
    palette: str
    concurrency: int
    overwrite: bool = False
    resume: bool = False
    area: str = ""
    polygons: PolygonFormat | None = None
    min_size: int = DEFAULT_MIN_SIZE


@dataclass(frozen=True, slots=True)
class Progress:
    """Functions that get the progress, in the thread that makes the map, and how to stop it.

    say:      gets sentences on what happens.
    on_tile:  called after each tile that is sent, with the outcome so far.
    on_strip: gets each finished strip, from the top.
    clock:    returns seconds of a clock that never goes back.
    gate:     stop it to stop the run: tiles in progress end, and no other is sent. None: it cannot be stopped.
    """

    clock: Callable[[], float]
    say: Callable[[str], None] = lambda _: None
    on_tile: Callable[[TileOutcome], None] = lambda _: None
    on_strip: Callable[[Strip], None] = lambda _: None
    gate: CallGate | None = None


@dataclass(slots=True)
class MapOutcome:
    """What became of a map.

    tiles:   what happened to the tiles.
    row:     the summary, as in STEM.json; None where no map was written.
    seconds: how long it took.
    """

    tiles: TileOutcome = field(default_factory=TileOutcome)
    row: dict[str, Any] | None = None
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Return whether there is a map, and no tile of it failed."""
        return self.row is not None and not self.tiles.failed


@dataclass(frozen=True, slots=True)
class MapJob:
    """One scene with all that determines its map.

    files:   the paths of the results.
    store:   the finished tiles.
    request: what the results depend on in addition to the file of the image.
    """

    options: MapOptions
    info: EndpointInfo
    scene: Scene
    plan: TilePlan
    files: MapFiles
    store: TileStore
    request: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        options: MapOptions,
        folder: Path,
        scene: Scene,
        plan: TilePlan,
        *,
        area: Area | None,
        info: EndpointInfo,
        origin: str,
    ) -> MapJob:
        """Return the job of a scene.

        folder: of the results; existing. info, origin: of the endpoint, see `Connection.origin`.
        """
        (stem,) = unique_stems([scene.name])
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

    @property
    def polygons(self) -> Path | None:
        """Return the path of the polygons; None if they were not asked for."""
        kind = self.options.polygons
        name = self.files.summary.with_name(f"{self.files.summary.stem}_polygons.{kind}")
        return None if kind is None else name

    def completed(self) -> dict[str, Any] | None:
        """Return the summary of an earlier run that is complete; None if there is none. Raises InputError."""
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

    def write_polygons(
        self, names: Sequence[str], say: Callable[[str], None], *, replace: bool
    ) -> dict[str, Any] | None:
        """Write the polygons of the finished map, if they were asked for; return a row on them. Raises InputError."""
        if self.polygons is None:
            return None
        least = self.options.min_size
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

    def remove_leftovers(self, say: Callable[[str], None]) -> None:
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

    def run(
        self,
        reader: SceneReader,
        area: Area | None,
        price: TilePrice,
        invoke: Invoke,
        progress: Progress,
    ) -> MapOutcome:
        """Segment the tiles and write the files. Raises InputError, ImageError.

        area: that of the job.
        """
        outcome = MapOutcome()
        with self.store.turn():
            self._check_space()
            replace = self._prepare(progress.say)
            started = progress.clock()
            with MapWriter(self.scene, self.files, self.store.folder, self.colors()) as writer:
                task = self._task(reader, area, invoke, progress)
                self._segment(task, writer, outcome.tiles, progress)
                reader.check_unchanged()
                if outcome.tiles.whole and outcome.tiles.sent + outcome.tiles.kept:
                    outcome.seconds = progress.clock() - started
                    outcome.row = self._finish(writer, outcome, price, progress.say, replace=replace)
            if outcome.tiles.whole and not outcome.tiles.failed:
                self.store.clear_tiles()
        outcome.seconds = progress.clock() - started
        return outcome

    def colors(self) -> Table:
        """Return the colors of the class ids, (256, 3) uint8."""
        return table(self.options.palette, self.info.classes or Classes.numbered(ASSUMED_CLASSES))

    def _prepare(self, say: Callable[[str], None]) -> bool:
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
        files = (read_json(self.files.summary) or {}).get("files")
        earlier = {Path(name).name for name in files.values() if name} if isinstance(files, dict) else set()
        self.files.summary.unlink(missing_ok=True)
        for kind in ("mask", "confidence"):
            for suffix in (".tif", ".png"):
                path = self.files.summary.with_name(f"{self.files.summary.stem}_{kind}{suffix}")
                if path.name in earlier and path not in self.files.all():
                    path.unlink(missing_ok=True)

    def _task(self, reader: SceneReader, area: Area | None, invoke: Invoke, progress: Progress) -> TileTask:
        info = self.info
        gate = progress.gate or CallGate(self.options.concurrency)
        return TileTask(self.plan, reader, self.store, info.name, info.classes, invoke, gate, area)

    def _segment(self, task: TileTask, writer: MapWriter, outcome: TileOutcome, progress: Progress) -> None:
        def on_tile() -> None:
            progress.on_tile(outcome)
            if self.options.overwrite and outcome.sent == 1:
                self._remove_earlier_summary()

        def on_strip(strip: Strip) -> None:
            writer.write(strip)
            progress.on_strip(strip)

        run_tiles(task, self.options.concurrency, outcome, on_strip, on_tile)
        gate = task.gate
        if gate.throttled:
            progress.say(
                f"The endpoint throttled {plural(gate.throttled, 'call')}, which were repeated; the tiles in "
                f"flight went down to {gate.lowest}."
            )
        if damaged := self.store.damaged:
            progress.say(
                f"{plural(len(damaged), 'stored tile')} were damaged and were sent again: {damaged[0]}"
            )

    def _finish(
        self,
        writer: MapWriter,
        made: MapOutcome,
        price: TilePrice,
        say: Callable[[str], None],
        *,
        replace: bool,
    ) -> dict[str, Any]:
        """Write the files; return the summary."""
        outcome = made.tiles
        labels = writer.areas.pixels[:-1].nonzero()[0].tolist()
        classes = all_classes(self.info.classes, outcome.classes, labels)
        tags = {"ENDPOINT": self.info.name, "MODEL": self.info.model_uri or self.info.config}
        tags |= {"TRAINING_JOB": self.info.job} if self.info.job else {}
        rows = writer.finish(classes, tags, overwrite=replace)
        for note in writer.notes:
            say(note)
        notes = [*self.scene.notes, *writer.notes, *([writer.areas.note] if writer.areas.note else [])]
        problems = [f"{text} ({plural(count, 'tile')})" for text, count in sorted(outcome.problems.items())]
        row = {
            "image": printable(self.scene.name),
            "file": self._file(),
            "scene": self.scene.to_dict() | {"name": printable(self.scene.name)},
            "area": printable(self.options.area),
            "endpoint": self.info.name,
            "request": self.request,
            **plan_rows(self.plan, price),
            "classes": rows,
            "class_names": list(classes.names),
            "mean_confidence": writer.areas.mean_confidence,
            "polygons": self.write_polygons(classes.names, say, replace=replace),
            "pixels_without_class": int(writer.areas.pixels[-1]),
            "areas_counted_on": "the mask's pixels; m2: on the ellipsoid",
            "sent": outcome.sent,
            "kept_from_earlier_run": outcome.kept,
            "failed": [failed_tile(tile, error) for tile, error in outcome.failed],
            "seconds": {"endpoint": outcome.seconds, "total": made.seconds},
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

    def _file(self) -> dict[str, int | str]:
        return {"bytes": self.scene.file_size, "fingerprint": self.scene.fingerprint}

    def _check_space(self) -> None:
        """Raise InputError if the disk has too little space for the finished tiles and the maps."""
        tiles = stored_bytes(self.plan, self.plan.classes or ASSUMED_CLASSES) - self.store.size()
        needed = max(0, tiles) + 2 * STRIP_BYTES * self.scene.width * self.scene.height
        free = shutil.disk_usage(self.files.mask.parent).free
        if free < needed:
            raise InputError(
                f"{self.files.mask.parent} has {byte_size(free)} of free space.",
                why=f"Finished tiles and maps may take {byte_size(needed)} while it runs.",
                todo="Choose a folder on another disk.",
            )


def plan_rows(plan: TilePlan, price: TilePrice) -> dict[str, Any]:
    """Return the plan and its price for JSON."""
    return {"plan": plan.to_dict(), "price": price.to_dict()}


def failed_tile(tile: Tile, error: Exception) -> dict[str, Any]:
    """Return a failed tile for JSON, with the pixels that have no data because of it."""
    place = f"row {tile.row}, column {tile.column}"
    box = [tile.x.own, tile.y.own, tile.x.end, tile.y.end]
    return failure_row(place, error) | {"row": tile.row, "column": tile.column, "pixels": box}
