"""Write a fixed copy of a dataset in the four channels: plan it, then write it.

The user's files are only read. The copy is written to a temporary folder and renamed at the end, so it is complete or
does not exist.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from core.datasets.check import OnProgress, chunks, in_parallel
from core.datasets.masks import Colors, read_ids
from core.datasets.names import mask_colors
from core.datasets.problems import DataProblem
from core.datasets.report import LayoutReport
from core.datasets.source import CLASSES_FILE, SPLITS, Dataset, Sample
from core.errors import InputError
from core.escaping import json_text, terminal
from core.imaging.classes import Classes
from core.imaging.counting import remap
from core.imaging.image import UPRIGHT, encode, image_share, mask_share, open_image, rotate_upright
from core.inference.export import unique_stems
from core.local_files import read_regular
from core.render.masks import mask_png
from core.text import listing, plural

IMAGE_CODES = ("photo_not_jpeg", "photo_not_rgb", "photo_turned")
MASK_CODES = (
    "mask_rgb",
    "mask_16bit",
    "mask_nodata",
    "mask_not_png",
    "mask_low_depth",
    "mask_index",
    "mask_lying",
)
LEFT_OUT_CODES = ("annotation_unreadable", "annotation_size", "annotation_image", "annotation_unused_image")
"""Problems of images and annotations that are not in the dataset because of them."""

DRAWING_CODES = ("shape_left_out", "shape_empty", "shape_outside", "shape_overlap", "annotation_note")
UNBOUNDED = 1 << 40
QUALITY = 95

Action = Literal["copied", "rewritten"]


@dataclass(frozen=True, slots=True)
class ConvertedPair:
    """How one pair is converted.

    name:        the new name.
    image, mask: whether the files are copied or rewritten.
    rotate_mask: whether the mask is rotated like its image.
    """

    sample: Sample
    name: str
    image: Action
    mask: Action
    rotate_mask: bool = False


@dataclass(frozen=True, slots=True)
class Conversion:
    """A planned conversion.

    out:      the new folder.
    colors:   color -> class id in RGB masks.
    left_out: paths of pairs that cannot be fixed, and of images and annotations that have no pair.
    notes:    sentences on what was decided when the dataset was read.
    """

    source: Dataset
    out: Path
    classes: Classes
    colors: Colors
    pairs: tuple[ConvertedPair, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def renamed(self) -> dict[str, str]:
        """Return old name -> new name, where they differ."""
        return {pair.sample.name: pair.name for pair in self.pairs if pair.sample.name != pair.name}

    def to_dict(self) -> dict[str, Any]:
        """Return the plan for JSON."""
        return {
            "from": self.source.called,
            "to": str(self.out),
            "pairs": {split: sum(pair.sample.split == split for pair in self.pairs) for split in SPLITS},
            "photographs_written_anew": sum(pair.image == "rewritten" for pair in self.pairs),
            "masks_written_anew": sum(pair.mask == "rewritten" for pair in self.pairs),
            "masks_turned": sum(pair.rotate_mask for pair in self.pairs),
            "renamed": self.renamed,
            "left_out": list(self.left_out),
            "num_classes": len(self.classes),
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        """Return the dry run as JSON."""
        return json_text(self.to_dict(), indent=2)

    def __str__(self) -> str:
        """Return the dry run as text."""
        counts = self.to_dict()
        train, validation = counts["pairs"].values()
        lines = [
            f"Plan: convert {self.source.called}",
            f"Into: {self.out}",
            f"Pairs: {train:,} training, {validation:,} validation, {len(self.classes)} classes",
            f"Images converted to JPEG or rotated upright: {counts['photographs_written_anew']:,}; others are copied",
            f"Masks converted to 8-bit PNG with class ids: {counts['masks_written_anew']:,}; others are copied",
        ]
        if counts["masks_turned"]:
            lines.append(f"Masks rotated to match their images: {counts['masks_turned']:,}")
        if self.renamed:
            shown = listing([f"{old} -> {new}" for old, new in self.renamed.items()])
            lines.append(f"Files renamed: {len(self.renamed):,}: {shown}")
        if self.left_out:
            lines.append(
                f"Skipped, because they cannot be fixed: {len(self.left_out):,}: {listing(self.left_out)}"
            )
        lines += self.notes
        return "\n".join(map(terminal, [*lines, f"To undo: delete {self.out}; nothing else is changed."]))


def plan_conversion(
    source: Dataset, report: LayoutReport, out: Path, notes: Sequence[str] = ()
) -> Conversion:
    """Plan the conversion. Raises InputError if nothing would be left, no class is known, or `out` is not empty.

    notes: see `Conversion`; notes in the report on single files are added to them.
    """
    _check_out(source, out)
    codes: dict[str, set[str]] = {}
    unfixable: set[str] = set()
    for problem in report.problems:
        codes.setdefault(problem.path, set()).add(problem.code)
        if problem.is_error and not problem.fixable:
            unfixable.add(problem.path)
    _check_dataset(report, unfixable, source)
    usable = [
        sample
        for sample in source.samples
        if sample.image and sample.mask and not unfixable & {sample.image, sample.mask}
    ]
    pairs = [
        ConvertedPair(
            sample,
            name,
            _action(codes.get(sample.image, set()), IMAGE_CODES),
            "rewritten"
            if sample.split in source.label_maps
            else _action(codes.get(sample.mask, set()), MASK_CODES),
            "mask_lying" in codes.get(sample.mask, set()),
        )
        for sample, name in zip(usable, safe_names(usable), strict=True)
    ]
    left_out = {sample.image or sample.mask for sample in source.samples} - {
        sample.image for sample in usable
    }
    left_out |= {problem.path for problem in report.problems if problem.code in LEFT_OUT_CODES}
    classes = report.classes
    if classes is None or {pair.sample.split for pair in pairs} != set(SPLITS):
        why = "The classes are unknown." if classes is None else "Training or validation would be empty."
        raise InputError(
            "There is nothing to convert.", why=why, todo="Fix the problems in the report first."
        )
    return Conversion(
        source,
        out,
        classes,
        mask_colors(source.names),
        tuple(pairs),
        tuple(sorted(left_out)),
        (*notes, *_drawing_notes(report)),
    )


def _drawing_notes(report: LayoutReport) -> list[str]:
    """Return a sentence for each kind of note on shapes, with its first file."""
    by_code: dict[str, list[DataProblem]] = {}
    for problem in report.problems:
        if problem.code in DRAWING_CODES:
            by_code.setdefault(problem.code, []).append(problem)
    return [
        f"{problems[0].path}: {problems[0].message}"
        + (f" {plural(len(problems) - 1, 'more image')} like it." if len(problems) > 1 else "")
        for problems in by_code.values()
    ]


def safe_names(samples: Sequence[Sample]) -> list[str]:
    """Return unique names of letters, digits, dots, hyphens and underscores."""
    return unique_stems([re.sub(r"[^A-Za-z0-9._-]", "_", sample.name) + ".jpg" for sample in samples])


def convert(plan: Conversion, executor: Executor, *, on_progress: OnProgress | None = None) -> None:
    """Write the copy. Raises InputError where the folder is not empty any more, or a file has changed."""
    _check_out(plan.source, plan.out)
    part = plan.out.with_name(f".{plan.out.name}.part")
    try:
        part.mkdir()
    except OSError as error:
        raise _not_created(part, error) from error
    try:
        _fill(plan, part, executor, on_progress)
        part.rename(plan.out)  # replaces at most an empty folder
    except OSError as error:
        raise InputError(
            f"{plan.out} cannot be written.", why=f"{error.strerror or error}.", todo="Choose another folder."
        ) from error
    finally:
        if part.exists():
            shutil.rmtree(part)


def _fill(plan: Conversion, part: Path, executor: Executor, on_progress: OnProgress | None) -> None:
    for split in SPLITS:
        (part / split).mkdir()
        (part / f"{split}_annotation").mkdir()
    jobs = ((plan.source, piece, plan.classes, plan.colors, part) for piece in chunks(plan.pairs))
    done = 0
    for count in in_parallel(executor, write_pairs, jobs):
        done += count
        if on_progress is not None:
            on_progress(done, len(plan.pairs))
    (part / CLASSES_FILE).write_text(plan.classes.to_json(), "utf-8")


def _not_created(part: Path, error: OSError) -> InputError:
    if isinstance(error, FileExistsError):
        return InputError(
            f"{part} already exists.",
            why="Another conversion is writing it, or one was interrupted.",
            todo="Wait for it to finish, or delete that folder.",
        )
    return InputError(f"{part} cannot be created.", why=f"{error.strerror}.", todo="Choose another folder.")


def write_pairs(
    source: Dataset, pairs: Sequence[ConvertedPair], classes: Classes, colors: Colors, part: Path
) -> int:
    """Write pairs into the copy; return how many. Raises InputError, OSError."""
    tables = {split: label_map.table() for split, label_map in source.label_maps.items()}
    for pair in pairs:
        split = pair.sample.split
        image, mask = source.root / pair.sample.image, source.root / pair.sample.mask
        data, orientation = read_regular(image), UPRIGHT
        if pair.image == "rewritten":
            data, orientation = _jpeg(data, pair.sample.image)
        (part / split / f"{pair.name}.jpg").write_bytes(data)
        data = read_regular(mask)
        if pair.mask == "rewritten":
            with mask_share(data, pair.sample.mask):
                ids = read_ids(data, pair.sample.mask, colors, nodata_as_ignore=True)
                ids = rotate_upright(ids, orientation) if pair.rotate_mask else ids
                data = mask_png(remap(ids, tables[split]) if split in tables else ids, classes.table())
                del ids  # before its share of the memory budget is released
        (part / f"{split}_annotation" / f"{pair.name}.png").write_bytes(data)
    return len(pairs)


def _jpeg(data: bytes, path: str) -> tuple[bytes, int]:
    """Return an image as an upright JPEG of its own size, and its EXIF orientation."""
    with image_share(data, path, extra=4):
        image = open_image(data, path)
        return encode(image, fit=None, max_bytes=UNBOUNDED, quality=QUALITY).body, image.orientation


def _action(codes: set[str], reasons: tuple[str, ...]) -> Action:
    return "rewritten" if codes & set(reasons) else "copied"


def _check_out(source: Dataset, out: Path) -> None:
    if out.resolve().is_relative_to(source.root.resolve()):
        raise InputError(
            f"{out} is inside the dataset.",
            why="The dataset itself is not changed.",
            todo="Choose another folder.",
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"{out} is not empty.",
            why="Existing files are not overwritten.",
            todo="Choose a new or empty folder.",
        )
    if not out.parent.is_dir():
        raise InputError(f"The folder {out.parent} does not exist.", todo="Create it, or choose another one.")


def _check_dataset(report: LayoutReport, unfixable: set[str], source: Dataset) -> None:
    """Raise InputError for an error that is about the dataset and not a pair, so skipping a pair does not help."""
    files = {path for sample in source.samples for path in (sample.image, sample.mask)}
    wrong = [
        problem
        for problem in report.problems
        if problem.path in unfixable - files and problem.is_error and not problem.fixable
    ]
    wrong = [
        problem for problem in wrong if problem.code not in ("photo_missing", "mask_missing", "name_twice")
    ]
    if wrong:
        raise InputError(f"{wrong[0].path} must be fixed first.", why=wrong[0].message, todo=wrong[0].todo)
