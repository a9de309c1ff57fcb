"""Data sets read from a folder: what kind it is, and which photograph belongs to which mask.

channels       train, validation, train_annotation, validation_annotation: as the algorithm takes it
pascal voc     JPEGImages, SegmentationClass, ImageSets/Segmentation; CVAT and Label Studio export the same with
               colours in the masks and a labelmap.txt
ground truth   a manifest of SageMaker Ground Truth, with local copies of what it names
folders        one folder of photographs and one of masks, with or without train and val in them
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from itertools import islice
from pathlib import Path
from unicodedata import normalize

from PIL import Image

from core.datasets import ground_truth
from core.datasets.label_map import LabelMap, read_label_map
from core.datasets.label_studio import NAME, LabelStudioExportError, layers_in
from core.datasets.matching import (
    MASKS,
    PHOTOS,
    by_stem,
    divided,
    files_below,
    missing,
    paired,
    stem,
    without_end,
)
from core.datasets.names import find_names, read_names
from core.datasets.problems import DataProblem, problem
from core.datasets.source import SPLITS, Dataset, Kind, Split, Splitting
from core.errors import InputError
from core.imaging.classes import Color
from core.imaging.image import FORMATS
from core.local_files import open_regular, read_regular, read_text, reason
from core.text import listing
from core.training.hyperparameters import Severity

PHOTO_FOLDERS = (
    "jpegimages",
    "images",
    "image",
    "imgs",
    "img",
    "photos",
    "photographs",
    "pictures",
    "leftimg8bit",
)
MASK_FOLDERS = (
    "segmentationclass", "masks", "mask", "labels", "label", "annotations", "annotation", "ground_truth", "gt",
)  # fmt: skip
LISTS = "ImageSets/Segmentation"
LIST_SPLITS: dict[str, Split] = {"train": "train", "val": "validation", "validation": "validation"}
MOST_LABEL_MAP = 1_000_000
PALETTE_TRIES = 20
"""Masks that are opened in search of a palette."""

DEPTH = 4
"""How many folders that hold nothing but one folder are looked through, as in VOCdevkit/VOC2012."""

WANTED = (
    "Give a folder with JPEGImages and SegmentationClass (Pascal VOC, CVAT, Label Studio), with images and masks, "
    "with a Ground Truth manifest, or with train, validation, train_annotation and validation_annotation."
)


def read_dataset(
    folder: Path, *, splitting: Splitting | None = None, classes: Path | None = None, called: str = ""
) -> Dataset:
    """Find out what the folder is, and read it.

    splitting: how to divide a set that has no lists. classes: a file of class names, instead of the set's own.
    called: what a person calls the folder, such as the zip that it was unpacked from; else its path.

    Raises InputError.
    """
    if not folder.is_dir():
        what = f"{folder} is no folder, and no zip." if folder.exists() else f"There is no folder {folder}."
        raise InputError(what, todo="Check the path.")
    root, kind = find_root(folder)
    source = READERS[kind](root, splitting or Splitting())
    if classes is not None:
        source = replace(source, names=read_names(classes))
    shown = f"{called or folder}{str(root).removeprefix(str(folder))}"
    return replace(source, names=replace(source.names, palette=_palette(source)), called=shown)


def find_root(folder: Path) -> tuple[Path, Kind]:
    """The folder that holds the set, perhaps deeper down, and what kind it is. Raises InputError."""
    root = folder
    for _ in range(DEPTH):
        kind = _kind(root)
        if kind == "folders" and _holds_brush_layers(root / _folder(root, MASK_FOLDERS)):
            break
        if kind is not None:
            return root, kind
        below = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))]
        if len(below) != 1:
            break
        root = below[0]
    if layers_in(folder):
        raise LabelStudioExportError(folder)
    names = listing(sorted(path.name for path in root.iterdir())) or "nothing"
    raise InputError(f"{folder} is no data set that is known here.", why=f"It holds {names}.", todo=WANTED)


def is_label_studio_export(folder: Path) -> bool:
    """Return whether the folder holds Label Studio's brush-label PNGs (see `core.datasets.label_studio`)."""
    try:
        find_root(folder)
    except LabelStudioExportError:
        return True
    except (InputError, OSError):  # what `read_dataset` tells
        return False
    return False


def _holds_brush_layers(masks: Path) -> bool:
    return any(NAME.fullmatch(path.name) for path in islice(masks.iterdir(), PALETTE_TRIES))


def _palette(source: Dataset) -> tuple[Color, ...]:
    """That of the first indexed mask among the first few. What cannot be read, the check tells."""
    for path in islice((sample.mask for sample in source.samples if sample.mask), PALETTE_TRIES):
        try:
            with open_regular(source.root / path) as file, Image.open(file, formats=FORMATS) as image:
                flat = image.getpalette() if image.mode == "P" else None
        except Exception:  # noqa: BLE001,S112  # Pillow raises anything; the check reports the file
            continue
        if flat:
            numbers = iter(flat)
            return tuple(zip(numbers, numbers, numbers, strict=True))
    return ()


def _kind(root: Path) -> Kind | None:
    if (root / "train_annotation").is_dir() or (root / "validation_annotation").is_dir():
        return "channels"
    if ground_truth.find_manifest(root) is not None:
        return "ground truth"
    if (root / LISTS).is_dir() or (root / "SegmentationClass").is_dir():
        return "pascal voc"
    if _folder(root, PHOTO_FOLDERS) and _folder(root, MASK_FOLDERS):
        return "folders"
    return None


def _folder(root: Path, names: tuple[str, ...]) -> str:
    """The folder below the root that has one of these names; empty where none has."""
    folders = {path.name.lower(): path.name for path in root.iterdir() if path.is_dir()}
    return next((folders[name] for name in names if name in folders), "")


def _read_channels(root: Path, _: Splitting) -> Dataset:
    samples, problems = [], []
    for split in SPLITS:
        photos, twice = by_stem(root, split, PHOTOS)
        masks, twice_too = by_stem(root, f"{split}_annotation", MASKS)
        channel_samples = paired(dict.fromkeys([*photos, *masks], split), photos, masks)
        problems += twice + twice_too + missing(channel_samples, split, f"{split}_annotation")
        samples += channel_samples
    label_maps, wrong = _label_maps(root)
    return Dataset("channels", root, tuple(samples), find_names(root), label_maps, (*problems, *wrong))


def _label_maps(root: Path) -> tuple[dict[Split, LabelMap], list[DataProblem]]:
    label_maps: dict[Split, LabelMap] = {}
    problems = []
    for split in SPLITS:
        path = f"label_map/{split}_label_map.json"
        if not (root / path).exists():
            continue
        try:
            label_maps[split] = read_label_map(read_regular(root / path, max_bytes=MOST_LABEL_MAP), path)
        except InputError as error:
            problems.append(problem("label_map_unreadable", path, error.why))
        except OSError as error:
            problems.append(problem("label_map_unreadable", path, reason(error)))
    return label_maps, problems


def _read_voc(root: Path, splitting: Splitting) -> Dataset:
    photo_folder = _folder(root, PHOTO_FOLDERS) or "JPEGImages"
    photos, twice = by_stem(root, photo_folder, PHOTOS)
    masks, twice_too = by_stem(root, "SegmentationClass", MASKS)
    whole = photos.keys() & masks.keys()
    names, listed = _listed(root, whole, splitting)
    if not names:
        names = divided({*photos, *masks}, whole, splitting)
    samples = paired(names, photos, masks)
    problems = [*twice, *twice_too, *listed, *missing(samples, photo_folder, "SegmentationClass")]
    left = sorted(masks.keys() - names.keys())
    if left:
        message = f"{len(left):,} masks stand in no list and are left out: {listing(left)}."
        problems.append(problem("not_listed", LISTS, message))
    return Dataset("pascal voc", root, tuple(samples), find_names(root), problems=tuple(problems))


def _listed(root: Path, whole: Set[str], splitting: Splitting) -> tuple[dict[str, Split], list[DataProblem]]:
    """Name -> split by the lists; all lists together are divided where none is called train and val."""
    lists = {path.stem.lower(): path for path in sorted((root / LISTS).glob("*.txt"))}
    split_lists = {name: path for name, path in lists.items() if name in LIST_SPLITS}
    names: dict[str, Split] = {}
    problems = []
    for list_name, path in (split_lists if _names_split(split_lists) else lists).items():
        split = LIST_SPLITS.get(list_name, "train")
        for line in _lines(path):
            name = _named(line, whole)
            if name in names and _names_split(split_lists):
                code = "name_twice" if names[name] == split else "photo_in_both"
                problems.append(_twice_listed(code, path.relative_to(root).as_posix(), name))
            names.setdefault(name, split)
    if _names_split(split_lists):
        return names, problems
    drawn = divided(names, names.keys() & whole, splitting)
    return drawn, [*problems, _missing_list(split_lists or lists, drawn, splitting)] if lists else problems


def _missing_list(lists: Mapping[str, Path], drawn: Mapping[str, Split], splitting: Splitting) -> DataProblem:
    """lists: those that are there, which do not tell both sides."""
    there = {LIST_SPLITS.get(name) for name in lists}
    missing = " and of ".join(split for split in SPLITS if split not in there)
    count = sum(split == "validation" for split in drawn.values())
    message = (
        f"{listing([path.name for path in lists.values()])} is there, and no list of {missing}, which a job needs: "
        f"{count:,} of the {len(drawn):,} names were drawn for validation "
        f"(share {splitting.validation:g}, seed {splitting.seed})."
    )
    severity: Severity = "warning" if there - {None} else "note"  # CVAT exports a single list, default.txt
    return problem("list_missing", LISTS, message, severity=severity)


def _named(line: str, whole: Set[str]) -> str:
    """A line as it stands; where no pair is called so, the first file's name in it: some lists hold paths of both."""
    name = stem((line.split() or [line])[0].rpartition("/")[2])
    return line if line in whole or name not in whole else name


def _names_split(lists: Mapping[str, Path]) -> bool:
    return {LIST_SPLITS[name] for name in lists} == set(SPLITS)


def _twice_listed(code: str, path: str, name: str) -> DataProblem:
    where = "this list" if code == "name_twice" else "the list of training too"
    return problem(
        code, path, f"{name} stands in {where}.", todo="Take one of the two lines out.", severity="warning"
    )


def _lines(path: Path) -> list[str]:
    """The names of a list: a line each, perhaps with an ending, perhaps with VOC's 1 or -1 behind."""
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The list {path} cannot be read.", why=reason(error), todo="Save it as UTF-8."
        ) from error
    names = [line.strip().removesuffix(" -1").removesuffix(" 1").strip() for line in lines]
    return [stem(name) if name.lower().endswith(PHOTOS) else normalize("NFC", name) for name in names if name]


def _read_folders(root: Path, splitting: Splitting) -> Dataset:
    photo_folder, mask_folder = _folder(root, PHOTO_FOLDERS), _folder(root, MASK_FOLDERS)
    photos, twice = by_stem(root, photo_folder, PHOTOS)
    masks, twice_too = by_stem(root, mask_folder, MASKS)
    masks = without_end(masks, photos)
    split = divided({*photos, *masks}, photos.keys() & masks.keys(), splitting)
    samples = paired(split, photos, masks)
    problems = [*twice, *twice_too, *missing(samples, photo_folder, mask_folder)]
    return Dataset("folders", root, tuple(samples), find_names(root), problems=tuple(problems))


def _read_ground_truth(root: Path, splitting: Splitting) -> Dataset:
    path = ground_truth.find_manifest(root)
    assert path is not None  # noqa: S101  # for the type checker: this is how the kind was told
    manifest = ground_truth.read_manifest(path, files_below(root), root)
    whole = [row.name for row in manifest.samples if row.photo and row.mask]
    names = divided([row.name for row in manifest.samples], whole, splitting)
    samples = [replace(row, split=names[row.name]) for row in manifest.samples]
    own = find_names(root)
    class_names = own if own.classes is not None else manifest.names
    return Dataset("ground truth", root, tuple(samples), class_names, problems=manifest.problems)


READERS: dict[Kind, Callable[[Path, Splitting], Dataset]] = {
    "channels": _read_channels,
    "pascal voc": _read_voc,
    "folders": _read_folders,
    "ground truth": _read_ground_truth,
}
