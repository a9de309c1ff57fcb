"""Draw annotations: copy the images into a new folder, with a mask of class ids for each and the class names."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.datasets.annotations.labelme import embedded_image
from core.datasets.annotations.model import TITLES, AnnotatedImage, Annotations
from core.datasets.annotations.raster import Drawing, draw
from core.datasets.check import OnProgress, chunks, in_parallel
from core.datasets.names import colors_of, find_names, read_names
from core.datasets.problems import DataProblem, problem
from core.datasets.source import CLASSES_FILE
from core.errors import ImageError, InputError
from core.imaging.classes import IGNORE, MAX_CLASSES, Classes
from core.imaging.image import has_stored_size, image_share, image_size
from core.inference.export import unique_stems
from core.local_files import read_regular, reason
from core.render.masks import mask_png
from core.text import listing, plural

Unlabeled = Literal["background", "ignore"]
"""What becomes of the pixels without a shape."""

MASK_BYTES = 8
"""Bytes per pixel in addition to the image: the mask, what is drawn and covered, a shape, and the PNG."""

BACKGROUND = "background"
BACKGROUND_NAMES = (BACKGROUND, "_background_")
EMBEDDED_SUFFIXES = {b"\xff\xd8": ".jpg", b"\x89P": ".png"}


@dataclass(frozen=True, slots=True)
class DrawnDataset:
    """What was drawn. notes: sentences on what was decided; problems: of single files."""

    notes: tuple[str, ...]
    problems: tuple[DataProblem, ...]


@dataclass(frozen=True, slots=True)
class _Task:
    """The work on one image.

    target: its path in the new folder, without images/ or masks/ and without suffix.
    """

    image: AnnotatedImage
    target: str


@dataclass(frozen=True, slots=True)
class ClassTable:
    """The classes of the masks. ids: label -> class id; rest: the id of pixels without a shape."""

    classes: Classes
    ids: Mapping[str, int]
    rest: int
    notes: tuple[str, ...] = ()


def draw_annotations(
    root: Path,
    annotations: Annotations,
    into: Path,
    executor: Executor,
    *,
    unlabeled: Unlabeled = "background",
    class_file: Path | None = None,
    on_progress: OnProgress | None = None,
) -> DrawnDataset:
    """Write images, masks and classes.json into a new folder.

    class_file: defines the class ids, instead of the order of the tool's labels; so does one in the dataset's folder.

    Raises InputError where there is nothing to draw.
    """
    if not annotations.images:
        first = f" The first reason: {annotations.problems[0]}" if annotations.problems else ""
        raise InputError(
            f"The {TITLES[annotations.kind]} annotations in {root} have no image that can be used.{first}",
            todo="Put the images into the folder, under the names in the annotation files.",
        )
    table = class_table(root, annotations, unlabeled, class_file)
    stems = unique_stems([image.image or image.file for image in annotations.images])
    splits = all(image.split for image in annotations.images)
    tasks = [
        _Task(image, f"{image.split}/{stem}" if splits else stem)
        for image, stem in zip(annotations.images, stems, strict=True)
    ]
    try:
        for task in tasks:
            for folder in ("images", "masks"):
                (into / folder / task.target).parent.mkdir(parents=True, exist_ok=True)
        (into / CLASSES_FILE).write_text(table.classes.to_json(), "utf-8")
        problems: list[DataProblem] = list(annotations.problems)
        done = 0
        for size, some in in_parallel(
            executor, draw_images, ((root, into, part, table) for part in chunks(tasks))
        ):
            problems += some
            done += size
            if on_progress is not None:
                on_progress(done, len(tasks))
    except OSError as error:
        raise InputError(
            f"The masks of {root} cannot be written to {into}.",
            why=reason(error),
            todo="Check that the files can be read, and that there is enough disk space.",
        ) from error
    return DrawnDataset((*_summary(annotations, tasks), *annotations.notes, *table.notes), tuple(problems))


def class_table(
    root: Path, annotations: Annotations, unlabeled: Unlabeled, class_file: Path | None
) -> ClassTable:
    """Return the classes: those of a class names file, else the background and the labels in the tool's order.

    A label named background is the class of pixels without a shape. Raises InputError for a label that the file
    does not have.
    """
    names = read_names(class_file) if class_file else find_names(root)
    labels = [label for label in annotations.labels if label not in annotations.ignored]
    used = {region.label for image in annotations.images for region in image.regions} - annotations.ignored
    ids = dict.fromkeys(annotations.ignored, IGNORE)
    own = next((label for label in labels if label.lower() in BACKGROUND_NAMES), None)
    if names.classes is not None and (class_file is not None or annotations.kind != "yolo"):
        known = names.classes.names
        missing = sorted(used - set(known))
        if missing:
            raise InputError(
                f"{names.path} does not have the labels {listing(missing)}.",
                why=f"The {TITLES[annotations.kind]} annotations use them.",
                todo="Add them to the file, or remove the file.",
            )
        background = next((name for name in known if name.lower() in BACKGROUND_NAMES), "")
        rest = known.index(background) if background and unlabeled == "background" else IGNORE
        ids |= {name: number for number, name in enumerate(known)}
        why = "" if background or unlabeled == "ignore" else f", as {names.path} does not name a {BACKGROUND}"
        return ClassTable(names.classes, ids, rest, (*names.notes, _rest_note(rest, names.classes, why)))
    ordered = [label for label in labels if label != own]
    if unlabeled == "background" or own is not None:
        ordered = [own or BACKGROUND, *ordered]
    if not 1 <= len(ordered) <= MAX_CLASSES:
        raise InputError(
            f"The annotations have {plural(len(labels), 'label')}.",
            why=f"A model has 1 to {MAX_CLASSES} classes.",
        )
    rest = 0 if unlabeled == "background" else IGNORE
    defaults = colors_of(len(ordered))
    colors = tuple(
        annotations.colors.get(label, color) for label, color in zip(ordered, defaults, strict=True)
    )
    classes = Classes(tuple(ordered), colors)
    ids |= {label: number for number, label in enumerate(ordered)}
    shown = listing([f"{number} {name}" for number, name in enumerate(ordered)], 20)
    return ClassTable(classes, ids, rest, (f"The classes are {shown}.", _rest_note(rest, classes, "")))


def _rest_note(rest: int, classes: Classes, why: str) -> str:
    became = "are ignored (255)" if rest == IGNORE else f"became {classes.name(rest)}, class {rest}"
    return f"Pixels without a shape {became}{why}."


def _summary(annotations: Annotations, tasks: Sequence[_Task]) -> list[str]:
    """Return sentences on how many shapes were drawn, and on images without any."""
    shapes = sum(len(task.image.regions) for task in tasks)
    empty = [task.image.image or task.image.file for task in tasks if not task.image.regions]
    drawn = f"{plural(shapes, 'shape')} of {TITLES[annotations.kind]} on {plural(len(tasks), 'image')}"
    notes = [f"Drew {drawn}; where shapes overlap, the upper one is used."]
    if empty:
        count = plural(len(empty), "image")
        notes.append(f"{count} without a shape have a mask of one value: {listing(empty)}.")
    return notes


def draw_images(
    root: Path, into: Path, tasks: Sequence[_Task], table: ClassTable
) -> tuple[int, list[DataProblem]]:
    """Write the images and masks of some tasks; return how many, and their problems. Raises OSError."""
    problems: list[DataProblem] = []
    for task in tasks:
        problems += _draw_image(root, into, task, table)
    return len(tasks), problems


def _draw_image(root: Path, into: Path, task: _Task, table: ClassTable) -> list[DataProblem]:
    image = task.image
    shown = image.image or image.file
    try:
        data = read_regular(root / image.image) if image.image else embedded_image(root, image.file)
    except (OSError, InputError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        return [problem("annotation_unreadable", shown, f"The image cannot be read. {why}")]
    try:
        with image_share(data, shown, extra=MASK_BYTES):
            size, orientation = image_size(data, shown)
            declared = image.size if all(image.size) else size
            if declared != size and not has_stored_size(declared, size, orientation):
                sizes = f"{size[0]} x {size[1]} pixels, but {image.file} says {declared[0]} x {declared[1]}"
                message = f"It is {sizes}, so the shapes would be in the wrong places: the image is left out."
                return [problem("annotation_size", shown, message)]
            drawing = draw(image.regions, table.ids, declared, table.rest)
            mask = mask_png(drawing.ids, table.classes.table())
    except ImageError as error:
        return [problem("annotation_unreadable", shown, f"It is left out. {error.what} {error.why}".strip())]
    suffix = Path(image.image).suffix if image.image else EMBEDDED_SUFFIXES.get(data[:2], ".jpg")
    target = f"images/{task.target}{suffix}"
    (into / "masks" / f"{task.target}.png").write_bytes(mask)
    _place(root / image.image if image.image else data, into / target)
    return _problems(target, image, drawing)


def _place(image: Path | bytes, target: Path) -> None:
    """Link to an image, so that a large dataset is not copied; or copy it where links are not supported."""
    if isinstance(image, bytes):
        target.write_bytes(image)
        return
    try:
        target.symlink_to(image.resolve())
    except OSError:  # Windows without the permission; a file system without links
        shutil.copyfile(image, target)


def _problems(path: str, image: AnnotatedImage, drawing: Drawing) -> list[DataProblem]:
    """Return what was decided about the shapes of an image. path: the image in the new folder."""
    source = f" ({image.file})" if image.file else ""
    problems = [
        problem("annotation_note", path, f"{note[0].upper()}{note[1:]}{source}.") for note in image.notes
    ]
    invalid = tuple(f"{label}: {why}" for label, why in drawing.invalid)
    for code, what, texts in (
        ("shape_left_out", "left out", (*image.left_out, *invalid)),
        ("shape_empty", "without a pixel in the image", drawing.empty),
        ("shape_outside", "cut off at the edge of the image", drawing.cut),
    ):
        if texts:
            message = f"{plural(len(texts), 'annotation')} {what}{source}: {_counted(texts)}."
            problems.append(problem(code, path, message))
    if drawing.covered:
        pixels = plural(drawing.covered, "pixel")
        message = f"{pixels} in shapes of different classes{source}; the upper shape is used."
        problems.append(problem("shape_overlap", path, message))
    return problems


def _counted(texts: Sequence[str]) -> str:
    """Return texts with how often each occurs."""
    return listing([f"{count} x {text}" if count > 1 else text for text, count in Counter(texts).items()])
