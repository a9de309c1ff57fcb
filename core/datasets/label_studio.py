"""Read Label Studio's export of brush labels, one PNG per region, and merge the regions into one mask per image.

    task-3-annotation-7-by-1-tag-tree-0.png     task 3, label tree: 255 where it was painted, else 0

The part before the label, `tag`, is the name of the control in the labeling configuration. Both may contain hyphens.

The names do not show which image a task belongs to. Label Studio's JSON export of the same project does:

    [{"id": 3, "data": {"image": "/data/upload/1/61148fa2-street.jpg"}, ...}]      JSON
    [{"id": 3, "image": "/data/upload/1/61148fa2-street.jpg", ...}]                JSON-MIN

Source: label-studio-converter, `brush.py` (file names), and Label Studio documentation,
"Export annotations".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from core.datasets.matching import files_below, stem
from core.datasets.names import colors_of, find_names
from core.datasets.source import CLASSES_FILE
from core.errors import InputError
from core.imaging.classes import IGNORE, Classes
from core.imaging.image import open_mask
from core.imaging.suffixes import IMAGE_SUFFIXES
from core.local_files import read_regular
from core.render.masks import mask_png
from core.strict_json import parse_json
from core.text import listing, plural

NAME = re.compile(r"task-(\d+)-annotation-(\d+)-by-[^-]*-(?P<control_and_label>[^-]+-.+)-\d+\.png")
UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""The prefix that Label Studio adds to the name of an uploaded file."""

PAINTED = 128
BACKGROUND = "background"
JSON_TODO = "Also export the project as JSON, and put that file and the images into the folder."


class LabelStudioExportError(InputError):
    """The folder holds an export of brush labels, whose regions must be merged first."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder} is a Label Studio export of brush labels, with a PNG for each region.",
            why="A dataset has one mask per image.",
            todo=f"Merge the regions on the Datasets page, or with: segdeck dataset convert {folder}",
        )


@dataclass(frozen=True, slots=True)
class Layer:
    """One PNG of the export. path: below the folder."""

    path: str
    task: int
    annotation: int
    label: str


def layers_in(folder: Path) -> list[Layer]:
    """Return the PNGs of an export of brush labels; empty where the folder is not one."""
    paths = [(path, NAME.fullmatch(path.rpartition("/")[2])) for path in files_below(folder, (".png",))]
    names = [(path, name) for path, name in paths if name]
    labels = _labels(folder, {name["control_and_label"] for _, name in names})
    return [
        Layer(path, int(name[1]), int(name[2]), labels[name["control_and_label"]]) for path, name in names
    ]


def _labels(folder: Path, texts: Set[str]) -> dict[str, str]:
    """Return control and label, as in the file names -> the label.

    The labels are those of the class names file, or of the annotations in the JSON export. Without them, the control
    is what all names share up to a hyphen: brush-tool of brush-tool-grass and brush-tool-old-tree.
    """
    if not texts:
        return {}
    known = _known_labels(folder)
    shared = _shared_parts(texts)
    labels = {}
    for text in texts:
        parts = text.split("-")
        endings = ["-".join(parts[start:]) for start in range(1, len(parts))]
        labels[text] = next((ending for ending in endings if ending in known), endings[shared - 1])
    return labels


def _shared_parts(texts: Set[str]) -> int:
    """Return how many parts of a control's name all texts share, at least 1; each keeps a part for its label."""
    if len(texts) == 1:
        return 1
    split = [text.split("-") for text in texts]
    shared = 0
    for parts in zip(*(parts[:-1] for parts in split), strict=False):
        if len(set(parts)) > 1:
            break
        shared += 1
    return max(shared, 1)


def _known_labels(folder: Path) -> set[str]:
    """Return the labels in the class names file and in the annotations of the JSON exports."""
    classes = find_names(folder).classes
    labels = set(classes.names if classes is not None else ())
    for row in _json_rows(folder):
        for annotation in _dicts(row.get("annotations")):
            for region in _dicts(annotation.get("result")):
                value = region.get("value")
                names = value.get("brushlabels") if isinstance(value, dict) else None
                labels |= (
                    {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()
                )
    return labels


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def merge(folder: Path, into: Path, on_progress: Callable[[int, int], None]) -> tuple[str, ...]:
    """Write images, masks and classes.json into a new folder; return notes on what was decided.

    Of a task with several annotations, the last one is used. Where regions overlap, the smaller one is used.

    Raises InputError.
    """
    try:
        return _merge(folder, into, on_progress)
    except OSError as error:
        raise InputError(
            f"The regions in {folder} cannot be merged into {into}.",
            why=f"{error.strerror}.",
            todo="Check that the files can be read, and that there is enough disk space.",
        ) from error


def _merge(folder: Path, into: Path, on_progress: Callable[[int, int], None]) -> tuple[str, ...]:
    all_layers = layers_in(folder)
    tasks = _latest(all_layers)
    classes, rest = _classes(folder, {layer.label for layers in tasks.values() for layer in layers})
    images = _images(folder, tasks)
    for name in ("images", "masks"):
        (into / name).mkdir(parents=True)
    (into / CLASSES_FILE).write_text(classes.to_json(), "utf-8")
    overlaps = 0
    for number, (task, image) in enumerate(images.items(), 1):
        ids, shared = _merged(folder, tasks[task], classes, rest)
        overlaps += shared
        name = f"{stem(Path(image).name)}-{task}"
        copyfile(folder / image, into / "images" / f"{name}{Path(image).suffix}")
        (into / "masks" / f"{name}.png").write_bytes(mask_png(ids, classes.table()))
        on_progress(number, len(images))
    used = sum(map(len, tasks.values()))
    return (*_notes(used, len(all_layers) - used, overlaps, rest), *_classes_notes(folder, classes))


def _latest(layers: Sequence[Layer]) -> dict[int, list[Layer]]:
    """Return task -> the PNGs of its last annotation."""
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
    notes = [f"Merged {layers:,} PNGs of Label Studio brush labels; unpainted pixels {unpainted}."]
    if overlaps:
        notes.append(f"{overlaps:,} pixels were painted more than once; there, the smaller region is used.")
    if earlier:
        notes.append(f"Skipped {earlier:,} PNGs of earlier annotations of the same tasks.")
    return tuple(notes)


def _classes_notes(folder: Path, classes: Classes) -> tuple[str, ...]:
    """Return the classes, if they come from file names: where a control's name ends is ambiguous in them."""
    if find_names(folder).classes is not None:
        return ()
    names = listing(classes.names, 20)
    return (f"The classes are {names}. If a name is wrong, add a classes.txt with the right names.",)


def _classes(folder: Path, labels: set[str]) -> tuple[Classes, int]:
    """Return the classes, and the class id of unpainted pixels.

    The classes are those of the dataset's class names file, else the background and the labels in alphabetical order.
    """
    names = find_names(folder)
    if names.classes is None:
        class_names = (BACKGROUND, *sorted(labels - {BACKGROUND}))
        return Classes(class_names, colors_of(len(class_names))), 0
    unnamed = sorted(labels - set(names.classes.names))
    if unnamed:
        raise InputError(
            f"{names.path} does not have the labels {listing(unnamed)}.",
            why="Label Studio's PNGs use them in their names.",
            todo="Add them to the file, or remove the file.",
        )
    known = names.classes.names
    return names.classes, known.index(BACKGROUND) if BACKGROUND in known else IGNORE


def _merged(
    folder: Path, layers: Sequence[Layer], classes: Classes, rest: int
) -> tuple[NDArray[np.uint8], int]:
    """Return the mask of a task, (H, W) uint8, and the number of its pixels that were painted more than once."""
    painted = [
        (open_mask(read_regular(folder / layer.path), layer.path) >= PAINTED, layer) for layer in layers
    ]
    shape = painted[0][0].shape
    other = next((layer for region, layer in painted if region.shape != shape), None)
    if other:
        raise InputError(
            f"{other.path} and {layers[0].path} have different sizes, but belong to the same task.",
            todo="Export both again.",
        )
    ids, times = np.full(shape, rest, np.uint8), np.zeros(shape, np.uint16)
    for region, layer in sorted(painted, key=lambda pair: (-int(pair[0].sum()), pair[1].path)):
        ids[region] = classes.names.index(layer.label)
        times += region
    return ids, int((times > 1).sum())


def _images(folder: Path, tasks: Iterable[int]) -> dict[int, str]:
    """Return task -> its image below the folder. Raises InputError where one is unknown or missing."""
    task_names = _task_names(folder)
    unknown = [str(task) for task in tasks if task not in task_names]
    if unknown:
        raise InputError(
            f"The images of tasks {listing(unknown)} are unknown.",
            why="The names of Label Studio's PNGs do not contain them; its JSON export does.",
            todo=JSON_TODO,
        )
    by_name: dict[str, list[str]] = {}
    for path in files_below(folder, IMAGE_SUFFIXES):
        name = path.rpartition("/")[2]
        if not NAME.fullmatch(name):
            for known in {name, UPLOADED.sub("", name)}:
                by_name.setdefault(known, []).append(path)
    candidates = {
        task: by_name.get(task_names[task]) or by_name.get(UPLOADED.sub("", task_names[task]), [])
        for task in tasks
    }
    several = [paths for paths in candidates.values() if len(paths) > 1]
    if several:
        raise InputError(
            f"Several images have the same name: {listing(several[0])}.", todo="Give each a unique name."
        )
    missing = [task_names[task] for task, paths in candidates.items() if not paths]
    if missing:
        raise InputError(
            f"{plural(len(missing), 'image')} missing in {folder}: {listing(missing)}.",
            why="Label Studio's export of brush labels contains only the masks.",
            todo="Put the images into the folder, under their original names.",
        )
    return {task: paths[0] for task, paths in candidates.items()}


def _task_names(folder: Path) -> dict[int, str]:
    """Return task -> the name of its image, from all JSON exports below the folder."""
    names: dict[int, str] = {}
    for row in _json_rows(folder):
        task, data = row.get("id"), row.get("data")
        if isinstance(task, int) and (name := _image_of(data if isinstance(data, dict) else row)):
            names[task] = name
    return names


def _json_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the tasks in all JSON exports below the folder."""
    for path in files_below(folder, (".json",)):
        try:
            rows = parse_json(read_regular(folder / path))
        except (OSError, ValueError):  # not a JSON export; if a task's image is unknown, an error reports it
            continue
        yield from _dicts(rows)


def _image_of(data: Mapping[str, Any]) -> str:
    """Return the file name in the first value that is the path or URL of an image; empty where none is."""
    texts = (unquote(value) for value in data.values() if isinstance(value, str))
    return next((re.split(r"[/=?]", text)[-1] for text in texts if text.lower().endswith(IMAGE_SUFFIXES)), "")
