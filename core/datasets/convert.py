"""A copy of a data set in the four channels, with everything mended that can be: planned first, then written.

The person's files are only read. The copy is written beside its place and moved there at the end: it is there whole,
or not at all.
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
from core.datasets.report import LayoutReport
from core.datasets.source import CLASSES_FILE, SPLITS, Dataset, Sample
from core.errors import InputError
from core.escaping import json_text, terminal
from core.imaging.classes import Classes
from core.imaging.counting import remap
from core.imaging.image import UPRIGHT, encode, mask_share, open_photo, photo_share, turned_upright
from core.inference.export import unique_stems
from core.local_files import read_regular
from core.render.masks import mask_png
from core.text import listing

ABOUT_PHOTOS = ("photo_not_jpeg", "photo_not_rgb", "photo_turned")
ABOUT_MASKS = ("mask_rgb", "mask_16bit", "mask_not_png", "mask_low_depth", "mask_index", "mask_lying")
UNBOUNDED = 1 << 40
QUALITY = 95

Made = Literal["copied", "written anew"]


@dataclass(frozen=True, slots=True)
class ConvertedPair:
    """What becomes of one pair.

    name:        its new one.
    photo, mask: whether the files are copied or written anew.
    lying:       whether the mask is turned as its photograph is.
    """

    sample: Sample
    name: str
    photo: Made
    mask: Made
    lying: bool = False


@dataclass(frozen=True, slots=True)
class Conversion:
    """What is to be written.

    out:      the new folder.
    colors:   what colours mean in RGB masks.
    left_out: paths of pairs that cannot be mended.
    """

    source: Dataset
    out: Path
    classes: Classes
    colors: Colors
    pairs: tuple[ConvertedPair, ...]
    left_out: tuple[str, ...]

    @property
    def renamed(self) -> dict[str, str]:
        """Old name -> new name, where they differ."""
        return {pair.sample.name: pair.name for pair in self.pairs if pair.sample.name != pair.name}

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "from": self.source.called,
            "to": str(self.out),
            "pairs": {split: sum(pair.sample.split == split for pair in self.pairs) for split in SPLITS},
            "photographs_written_anew": sum(pair.photo == "written anew" for pair in self.pairs),
            "masks_written_anew": sum(pair.mask == "written anew" for pair in self.pairs),
            "masks_turned": sum(pair.lying for pair in self.pairs),
            "renamed": self.renamed,
            "left_out": list(self.left_out),
            "num_classes": len(self.classes),
        }

    def to_json(self) -> str:
        """The dry run, for another program."""
        return json_text(self.to_dict(), indent=2)

    def __str__(self) -> str:
        """The dry run."""
        counts = self.to_dict()
        train, validation = counts["pairs"].values()
        lines = [
            f"Plan: convert {self.source.called}",
            f"Into: {self.out}",
            f"Pairs: {train:,} for training, {validation:,} for validation, {len(self.classes)} classes",
            f"Photographs made JPEG or turned upright: {counts['photographs_written_anew']:,}; the others are copied",
            f"Masks made 8-bit PNGs of class ids: {counts['masks_written_anew']:,}; the others are copied",
        ]
        if counts["masks_turned"]:
            lines.append(f"Masks turned as their photographs are: {counts['masks_turned']:,}")
        if self.renamed:
            shown = listing([f"{old} -> {new}" for old, new in self.renamed.items()])
            lines.append(f"Names made safe: {len(self.renamed):,}: {shown}")
        if self.left_out:
            lines.append(
                f"Left out, as they cannot be mended: {len(self.left_out):,}: {listing(self.left_out)}"
            )
        return "\n".join(map(terminal, [*lines, f"To undo: delete {self.out}; nothing else is touched."]))


def plan_conversion(source: Dataset, report: LayoutReport, out: Path) -> Conversion:
    """Raises InputError where nothing would be left, no class is known, or the folder is not empty."""
    _check_out(source, out)
    codes: dict[str, set[str]] = {}
    beyond: set[str] = set()
    for each in report.problems:
        codes.setdefault(each.path, set()).add(each.code)
        if each.is_error and not each.fixable:
            beyond.add(each.path)
    _check_set(report, beyond, source)
    whole = [
        each for each in source.samples if each.photo and each.mask and not beyond & {each.photo, each.mask}
    ]
    pairs = [
        ConvertedPair(
            sample,
            name,
            _made(codes.get(sample.photo, set()), ABOUT_PHOTOS),
            "written anew"
            if sample.split in source.label_maps
            else _made(codes.get(sample.mask, set()), ABOUT_MASKS),
            "mask_lying" in codes.get(sample.mask, set()),
        )
        for sample, name in zip(whole, safe_names(whole), strict=True)
    ]
    left = {each.photo or each.mask for each in source.samples} - {each.photo for each in whole}
    classes = report.classes
    if classes is None or {pair.sample.split for pair in pairs} != set(SPLITS):
        why = "No class is known." if classes is None else "Training or validation would be empty."
        raise InputError("There is nothing to convert.", why=why, todo="Mend what the check found first.")
    return Conversion(source, out, classes, mask_colors(source.names), tuple(pairs), tuple(sorted(left)))


def safe_names(samples: Sequence[Sample]) -> list[str]:
    """Names of letters, digits, dots, hyphens and underscores; none twice."""
    return unique_stems([re.sub(r"[^A-Za-z0-9._-]", "_", sample.name) + ".jpg" for sample in samples])


def convert(plan: Conversion, executor: Executor, *, on_progress: OnProgress | None = None) -> None:
    """Carry it out. Raises InputError where the folder has been filled meanwhile, or a file has changed."""
    _check_out(plan.source, plan.out)
    part = plan.out.with_name(f".{plan.out.name}.part")
    try:
        part.mkdir()
    except OSError as error:
        raise _not_made(part, error) from error
    try:
        _fill(plan, part, executor, on_progress)
        part.rename(plan.out)  # in place of an empty folder at most
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


def _not_made(part: Path, error: OSError) -> InputError:
    if isinstance(error, FileExistsError):
        return InputError(
            f"{part} exists already.",
            why="Another conversion is at work on it, or one was cut off.",
            todo="Wait for it, or delete that folder.",
        )
    return InputError(f"{part} cannot be made.", why=f"{error.strerror}.", todo="Choose another folder.")


def write_pairs(
    source: Dataset, pairs: Sequence[ConvertedPair], classes: Classes, colors: Colors, part: Path
) -> int:
    """How many were written. Raises InputError, OSError."""
    tables = {split: label_map.table() for split, label_map in source.label_maps.items()}
    for pair in pairs:
        split = pair.sample.split
        photo, mask = source.root / pair.sample.photo, source.root / pair.sample.mask
        data, orientation = read_regular(photo), UPRIGHT
        if pair.photo == "written anew":
            data, orientation = _jpeg(data, pair.sample.photo)
        (part / split / f"{pair.name}.jpg").write_bytes(data)
        data = read_regular(mask)
        if pair.mask == "written anew":
            with mask_share(data, pair.sample.mask):
                ids = read_ids(data, pair.sample.mask, colors)
                ids = turned_upright(ids, orientation) if pair.lying else ids
                data = mask_png(remap(ids, tables[split]) if split in tables else ids, classes.table())
                del ids  # before its memory is given back
        (part / f"{split}_annotation" / f"{pair.name}.png").write_bytes(data)
    return len(pairs)


def _jpeg(data: bytes, path: str) -> tuple[bytes, int]:
    """Return a photo as an upright JPEG of its own size, and the orientation that it was stored in."""
    with photo_share(data, path, extra=4):
        photo = open_photo(data, path)
        return encode(photo, fit=None, max_bytes=UNBOUNDED, quality=QUALITY).body, photo.orientation


def _made(codes: set[str], reasons: tuple[str, ...]) -> Made:
    return "written anew" if codes & set(reasons) else "copied"


def _check_out(source: Dataset, out: Path) -> None:
    if out.resolve().is_relative_to(source.root.resolve()):
        raise InputError(
            f"{out} lies within the data set.",
            why="Its own folder stays as it is.",
            todo="Choose another folder.",
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"{out} is not empty.",
            why="Nothing is overwritten.",
            todo="Choose a folder that is new or empty.",
        )
    if not out.parent.is_dir():
        raise InputError(f"There is no folder {out.parent}.", todo="Make it, or choose another place.")


def _check_set(report: LayoutReport, beyond: set[str], source: Dataset) -> None:
    """Errors about the set, and not about a pair, cannot be left out with it."""
    files = {path for sample in source.samples for path in (sample.photo, sample.mask)}
    wrong = [
        problem
        for problem in report.problems
        if problem.path in beyond - files and problem.is_error and not problem.fixable
    ]
    wrong = [
        problem for problem in wrong if problem.code not in ("photo_missing", "mask_missing", "name_twice")
    ]
    if wrong:
        raise InputError(f"{wrong[0].path} must be mended first.", why=wrong[0].message, todo=wrong[0].todo)
