"""Maps in the background. They belong to the server: a page that is loaded again finds its map by the run's id."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Semaphore

import numpy as np

from core.aws.connection import Connection, clients
from core.aws.runtime import invoker
from core.endpoints.endpoint import EndpointInfo
from core.errors import InputError
from core.imaging.classes import IGNORE, Classes
from core.imaging.segmentation import Segmentation
from core.inference.export import write_new
from core.inference.gate import CallGate
from core.local_files import reason
from core.runs.run import Run
from core.runs.store import RunStore
from core.tiles.job import MapJob, MapOptions, MapOutcome, Progress
from core.tiles.plan import encode_tile
from core.tiles.preview import GrowingMap, preview_image
from core.tiles.run import TileOutcome
from pages.parts import cached
from pages.parts.tasks import BackgroundTask
from pages.parts.tiles.order import AT_ONCE, MapOrder, planned
from pages.parts.viewer.frame import build

FRAME = "viewer.bin"
"""The file of a map's preview, as the viewer shows it."""

_TURNS = Semaphore(1)
"""Maps that are made at the same time: each takes hundreds of megabytes."""


@dataclass(eq=False)
class MapTask(BackgroundTask[MapOutcome]):
    """A map that is being made. done, total: tiles.

    gate:    stops the run.
    growing: what there is of the map; None before the plan is made.
    notes:   sentences on what happened.
    begun:   when the first tile was sent, in seconds of the monotonic clock; 0 before that.
    paid:    tiles that the endpoint segmented in this run.
    """

    gate: CallGate = field(default_factory=lambda: CallGate(AT_ONCE))
    growing: GrowingMap | None = None
    notes: list[str] = field(default_factory=list)
    begun: float = 0.0
    paid: int = 0

    def end(self) -> None:
        """Stop the map: tiles in progress are finished, and kept."""
        self.stop.set()
        self.gate.stop()


def find(run_id: str) -> MapTask | None:
    """Return the task of a run of this process, also one that is over."""
    return _tasks().get(run_id)


def _tasks() -> dict[str, MapTask]:
    return cached.singleton("maps", dict)


def begin(store: RunStore, run: Run, connection: Connection, info: EndpointInfo) -> MapTask:
    """Start or continue the map of a run; if it is in progress already, return its task."""
    tasks = _tasks()
    task = tasks.get(run.id)
    if task is None or task.over:
        for run_id in [each for each, other in tasks.items() if other.over]:
            tasks.pop(run_id, None)
        task = tasks[run.id] = MapTask(run.title)
        task.begin(partial(_make, task, store, run, connection, info), _TURNS)
    return task


def take_upload(store: RunStore, run_id: str, path: Path) -> Path:
    """Move a temporary file into the folder of a run, and return its new path. Raises InputError."""
    folder = store.make_map_folder(run_id) / "input"
    try:
        folder.mkdir(exist_ok=True)
        return Path(shutil.move(path, folder / path.name))
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be stored.",
            why=reason(error),
            todo="Free some disk space, or give the path of the image.",
        ) from error


def _make(task: MapTask, store: RunStore, run: Run, connection: Connection, info: EndpointInfo) -> MapOutcome:
    order = MapOrder.from_form(run.form)
    folder = store.make_map_folder(run.id)
    task.stage = "planning"
    aws = clients(connection)
    with planned(order, aws, info) as (plan, reader):
        task.total = plan.plan.requests
        options = MapOptions(
            order.output, "model", AT_ONCE, resume=True, area=order.area, polygons=order.polygon_format
        )
        job = MapJob.of(
            options, folder, plan.scene, plan.plan, area=plan.area, info=info, origin=connection.origin
        )
        growing = task.growing = GrowingMap(preview_image(reader), plan.plan, job.colors())
        if (row := job.completed()) is not None:
            return MapOutcome(row=row)

        def on_tile(outcome: TileOutcome) -> None:
            growing.add_tile(outcome)
            task.paid, task.done = outcome.sent, task.done + 1

        progress = Progress(time.monotonic, task.notes.append, on_tile, growing.add_strip, task.gate)
        task.stage, task.begun = "segmenting", time.monotonic()
        outcome = job.run(reader, plan.area, plan.price, invoker(aws, info.name), progress)
    if outcome.row is not None:
        _keep_frame(folder, growing, outcome)
        _count(store, run, done=1)
    return outcome


def _keep_frame(folder: Path, growing: GrowingMap, outcome: MapOutcome) -> None:
    """Store the preview, so that the map can be shown without reading the image."""
    row = outcome.row or {}
    names: list[str] = row["class_names"]
    colors = tuple((int(red), int(green), int(blue)) for red, green, blue in growing.table[: len(names)])
    confidence = None
    if row["files"]["confidence"]:
        percents = growing.confidence
        confidence = np.where(percents == IGNORE, 0, percents).astype(np.float32) / np.float32(100)
    shown = Segmentation(growing.labels, confidence, None, Classes(tuple(names), colors))
    size = row["scene"]["width"], row["scene"]["height"]
    frame = build(encode_tile(growing.image).body, size, shown, title="Map")
    write_new(folder / FRAME, frame, overwrite=True, private=True)


def _count(store: RunStore, run: Run, *, done: int) -> None:
    store.update(run.id, lambda stored: replace(stored, image_count=done))
    store.prune()
