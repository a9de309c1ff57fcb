"""Label Studio's export of brush labels: a PNG a region, brought together into a mask for each photograph.

    task-3-annotation-7-by-1-tag-tree-0.png     task 3, label tree: 255 where it was painted, else 0

The names do not tell which photograph a task is about. Label Studio's JSON export does, of the same project:

    [{"id": 3, "data": {"image": "/data/upload/1/61148fa2-street.jpg"}, ...}]      JSON
    [{"id": 3, "image": "/data/upload/1/61148fa2-street.jpg", ...}]                JSON-MIN
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from core.datasets.matching import PHOTOS, files_below, stem
from core.datasets.names import colors_of, find_names
from core.datasets.source import CLASSES_FILE
from core.errors import InputError
from core.imaging.classes import IGNORE, Classes
from core.imaging.image import open_mask
from core.local_files import read_regular
from core.render.masks import mask_png
from core.strict_json import parse_json
from core.text import listing

NAME = re.compile(r"task-(\d+)-annotation-(\d+)-by-[^-]*-[^-]+-(?P<label>.+)-\d+\.png")
UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""What Label Studio puts before the name of a file that is uploaded."""

PAINTED = 128
BACKGROUND = "background"
JSON_TODO = "Export the same project as JSON too, and put that file and the photographs into the folder."


class LabelStudioExportError(InputError):
    """The folder holds such an export, which must be brought together first."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder} holds a PNG for each brushed region: Label Studio's export of brush labels.",
            why="A data set has one mask a photograph.",
            todo=f"The page Data sets brings them together, and so does: segdeck dataset convert {folder}",
        )


@dataclass(frozen=True, slots=True)
class Layer:
    """One PNG. path: below the folder."""

    path: str
    task: int
    annotation: int
    label: str


def layers_in(folder: Path) -> list[Layer]:
    """The PNGs of such an export; empty where it is none."""
    names = ((path, NAME.fullmatch(path.rpartition("/")[2])) for path in files_below(folder, (".png",)))
    return [Layer(path, int(name[1]), int(name[2]), name["label"]) for path, name in names if name]


def merge(folder: Path, into: Path, on_progress: Callable[[int, int], None]) -> tuple[str, ...]:
    """Write images, masks and a classes.json into a new folder; sentences on what was decided. Raises InputError.

    Of a task with several annotations the last one counts. Where regions overlap, the smaller one does.
    """
    try:
        return _bring_together(folder, into, on_progress)
    except OSError as error:
        raise InputError(
            f"What {folder} holds cannot be brought together in {into}.",
            why=f"{error.strerror}.",
            todo="Check that the files can be read, and that there is room.",
        ) from error


def _bring_together(folder: Path, into: Path, on_progress: Callable[[int, int], None]) -> tuple[str, ...]:
    all_layers = layers_in(folder)
    tasks = _last(all_layers)
    classes, rest = _classes(folder, {layer.label for layers in tasks.values() for layer in layers})
    photos = _photos(folder, tasks)
    for name in ("images", "masks"):
        (into / name).mkdir(parents=True)
    (into / CLASSES_FILE).write_text(classes.to_json(), "utf-8")
    overlaps = 0
    for number, (task, photo) in enumerate(photos.items(), 1):
        ids, shared = _merged(folder, tasks[task], classes, rest)
        overlaps += shared
        name = f"{stem(Path(photo).name)}-{task}"
        copyfile(folder / photo, into / "images" / f"{name}{Path(photo).suffix}")
        (into / "masks" / f"{name}.png").write_bytes(mask_png(ids, classes.table()))
        on_progress(number, len(photos))
    taken = sum(map(len, tasks.values()))
    return _notes(taken, len(all_layers) - taken, overlaps, rest)


def _last(layers: Sequence[Layer]) -> dict[int, list[Layer]]:
    """Task -> the PNGs of its last annotation."""
    latest: dict[int, list[Layer]] = {}
    for layer in sorted(layers, key=lambda each: (each.task, each.annotation, each.path)):
        before = latest.get(layer.task)
        if before is None or before[0].annotation < layer.annotation:
            latest[layer.task] = [layer]
        else:
            before.append(layer)
    return latest


def _notes(layers: int, earlier: int, overlaps: int, rest: int) -> tuple[str, ...]:
    unpainted = "are ignored" if rest == IGNORE else f"became {BACKGROUND}, class {rest}"
    notes = [
        f"Label Studio's brush labels: {layers:,} PNGs were brought together; unpainted pixels {unpainted}."
    ]
    if overlaps:
        notes.append(f"{overlaps:,} pixels were painted more than once: the smaller region counts there.")
    if earlier:
        notes.append(f"{earlier:,} PNGs are of earlier annotations of the same tasks, and were left out.")
    return tuple(notes)


def _classes(folder: Path, labels: set[str]) -> tuple[Classes, int]:
    """The set's own names, else the labels by the alphabet after the background; and what unpainted pixels become."""
    names = find_names(folder)
    if names.classes is None:
        words = (BACKGROUND, *sorted(labels - {BACKGROUND}))
        return Classes(words, colors_of(len(words))), 0
    unnamed = sorted(labels - set(names.classes.names))
    if unnamed:
        raise InputError(
            f"{names.path} does not name the labels {listing(unnamed)}.",
            why="The PNGs of Label Studio's brush labels have them in their names.",
            todo="Add them to it, or take it away.",
        )
    known = names.classes.names
    return names.classes, known.index(BACKGROUND) if BACKGROUND in known else IGNORE


def _merged(
    folder: Path, layers: Sequence[Layer], classes: Classes, rest: int
) -> tuple[NDArray[np.uint8], int]:
    """One mask, (H, W) uint8, and how many of its pixels were painted more than once."""
    painted = [
        (open_mask(read_regular(folder / layer.path), layer.path) >= PAINTED, layer) for layer in layers
    ]
    shape = painted[0][0].shape
    other = next((layer for region, layer in painted if region.shape != shape), None)
    if other:
        raise InputError(
            f"{other.path} has another size than {layers[0].path}, of the same task.",
            todo="Export both again.",
        )
    ids, times = np.full(shape, rest, np.uint8), np.zeros(shape, np.uint16)
    for region, layer in sorted(painted, key=lambda pair: (-int(pair[0].sum()), pair[1].path)):
        ids[region] = classes.names.index(layer.label)
        times += region
    return ids, int((times > 1).sum())


def _photos(folder: Path, tasks: Iterable[int]) -> dict[int, str]:
    """Task -> its photograph below the folder. Raises InputError where one is not told, or is not there."""
    task_names = _task_names(folder)
    unknown = [str(task) for task in tasks if task not in task_names]
    if unknown:
        raise InputError(
            f"Which photographs the tasks {listing(unknown)} are about is not told.",
            why="The names of Label Studio's PNGs do not tell it; its JSON export does.",
            todo=JSON_TODO,
        )
    there: dict[str, list[str]] = {}
    for path in files_below(folder, PHOTOS):
        name = path.rpartition("/")[2]
        if not NAME.fullmatch(name):
            for known in {name, UPLOADED.sub("", name)}:
                there.setdefault(known, []).append(path)
    candidates = {
        task: there.get(task_names[task]) or there.get(UPLOADED.sub("", task_names[task]), [])
        for task in tasks
    }
    several = [paths for paths in candidates.values() if len(paths) > 1]
    if several:
        raise InputError(
            f"Photographs have the same name: {listing(several[0])}.", todo="Give each a name of its own."
        )
    gone = [task_names[task] for task, paths in candidates.items() if not paths]
    if gone:
        raise InputError(
            f"{len(gone):,} photographs are not in {folder}: {listing(gone)}.",
            why="Label Studio's export of brush labels holds the masks alone.",
            todo="Put the photographs into the folder, under their own names.",
        )
    return {task: paths[0] for task, paths in candidates.items()}


def _task_names(folder: Path) -> dict[int, str]:
    """Task -> the name of its photograph, by every JSON export below the folder."""
    names: dict[int, str] = {}
    for path in files_below(folder, (".json",)):
        try:
            rows = parse_json(read_regular(folder / path))
        except (OSError, ValueError):  # some other program's: what is missing without it is told
            continue
        for row in rows if isinstance(rows, list) else ():
            if not isinstance(row, dict):
                continue
            task, data = row.get("id"), row.get("data")
            if isinstance(task, int) and (name := _photo_of(data if isinstance(data, dict) else row)):
                names[task] = name
    return names


def _photo_of(data: Mapping[str, Any]) -> str:
    """The last part of the first value that is the address of a picture; empty where none is."""
    texts = (unquote(value) for value in data.values() if isinstance(value, str))
    return next((re.split(r"[/=?]", text)[-1] for text in texts if text.lower().endswith(PHOTOS)), "")
