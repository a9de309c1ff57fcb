"""Read a dataset from a folder: detect its layout, and pair its images and masks.

channels       train, validation, train_annotation, validation_annotation, as the algorithm reads them (Amazon
               SageMaker Developer Guide, "Semantic Segmentation Algorithm")
pascal voc     JPEGImages, SegmentationClass, ImageSets/Segmentation (VOC2012 development kit); CVAT and Label Studio
               export the same layout with colors in the masks and a labelmap.txt, labelme with SegmentationClassPNG
ground truth   a SageMaker Ground Truth manifest, with local copies of its files
folders        one folder of images and one of masks, optionally with train and val in them
others         see `core.datasets.layouts`

Annotations without masks (`core.datasets.annotations`) are detected, and drawn by `core.datasets.prepare`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from unicodedata import normalize

from PIL import Image

from core.datasets import ground_truth
from core.datasets.annotations.detection import annotation_kinds
from core.datasets.annotations.model import TITLES, AnnotationKind
from core.datasets.choices import Choices
from core.datasets.label_map import LabelMap, read_label_map
from core.datasets.label_studio import NAME, LabelStudioExportError, layers_in
from core.datasets.layouts import (
    is_cityscapes,
    is_one_folder,
    is_roboflow,
    read_cityscapes,
    read_one_folder,
    read_roboflow,
    read_split_first,
    split_folders,
)
from core.datasets.matching import (
    assign_splits,
    by_stem,
    files_below,
    missing,
    paired,
    stem,
    without_ending,
)
from core.datasets.names import find_names, read_names
from core.datasets.problems import DataProblem, problem
from core.datasets.source import SPLITS, Dataset, Kind, Split, Splitting
from core.errors import InputError
from core.imaging.classes import Color
from core.imaging.image import FORMATS
from core.imaging.suffixes import IMAGE_SUFFIXES, LOSSLESS_MASK_SUFFIXES, MASK_SUFFIXES
from core.local_files import open_regular, read_regular, read_text, reason
from core.text import listing
from core.training.hyperparameters import Severity

IMAGE_FOLDERS = (
    "jpegimages",
    "images",
    "image",
    "imgs",
    "img",
    "photos",
    "photographs",
    "pictures",
    "leftimg8bit",
    "img_dir",
)
MASK_FOLDERS = (
    "segmentationclass", "masks", "mask", "labels", "label", "annotations", "annotation", "ground_truth", "gt",
    "ann_dir", "segmentations", "segmentation",
)  # fmt: skip
VOC_MASKS = ("SegmentationClassPNG", "SegmentationClass", "SegmentationClassAug")
"""Folders with masks in the layout of Pascal VOC; the first is that of labelme's labelme2voc."""

LISTS = "ImageSets/Segmentation"
LIST_SPLITS: dict[str, Split] = {"train": "train", "val": "validation", "validation": "validation"}
MOST_LABEL_MAP = 1_000_000
PALETTE_TRIES = 20
"""Number of masks that are opened to find a palette."""

DEPTH = 4
"""How many nested folders that contain only one folder are searched, as in VOCdevkit/VOC2012."""

WANTED = (
    "Choose a folder with images and masks, with train, validation, train_annotation and validation_annotation, or "
    "in the layout of Pascal VOC, Cityscapes or Roboflow; or with annotations of COCO, labelme, CVAT, YOLO, "
    "Supervisely, Label Studio or Ground Truth."
)


class AnnotationsError(InputError):
    """The folder has annotations without masks, which must be drawn first.

    root:    the folder of the annotations.
    choices: what has been chosen so far.
    """

    def __init__(self, root: Path, kind: AnnotationKind, choices: Choices) -> None:
        super().__init__(
            f"{root} has annotations as {TITLES[kind]}, and no masks.",
            why="A dataset has one mask per image.",
            todo=f"Draw the masks on the Datasets page, or with: segdeck dataset convert {root}",
        )
        self.root, self.kind, self.choices = root, kind, choices


def read_dataset(
    folder: Path,
    *,
    splitting: Splitting | None = None,
    classes: Path | None = None,
    called: str = "",
    choices: Sequence[str] = (),
) -> Dataset:
    """Detect the layout of a folder, and read it.

    splitting: how to split a dataset without lists.
    classes:   a class names file, instead of the dataset's own.
    called:    the name for messages, such as the ZIP file that it was extracted from; else its path.
    choices:   which masks or annotations to use, where there are several.

    Raises InputError: AnnotationsError and LabelStudioExportError where masks must be drawn first (see
    `core.datasets.prepare`), ChoiceNeededError where the user has to choose.
    """
    if not folder.is_dir():
        exists = folder.exists()
        what = (
            f"{folder} is neither a folder nor a ZIP file."
            if exists
            else f"The folder {folder} does not exist."
        )
        raise InputError(what, todo="Check the path.")
    chosen = Choices(choices)
    layout = find_root(folder, chosen)
    root = layout.root
    source = READERS[layout.kind](root, splitting or Splitting(), chosen)
    chosen.check()
    if classes is not None:
        source = replace(source, names=read_names(classes))
    shown = f"{called or folder}{str(root).removeprefix(str(folder))}"
    names = replace(source.names, palette=_palette(source))
    problems = (*source.problems, *_unused_annotations(layout))
    return replace(source, names=names, called=shown, problems=problems, choices=tuple(choices))


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a dataset. root: its folder; unused: formats of annotations that are there besides the masks."""

    root: Path
    kind: Kind
    unused: tuple[AnnotationKind, ...] = ()


def find_root(folder: Path, choices: Choices | None = None) -> Layout:
    """Return the folder of the dataset, which may be nested, and its layout.

    Raises InputError, AnnotationsError, LabelStudioExportError, ChoiceNeededError.
    """
    choices = choices or Choices()
    root = annotated = folder
    alone = True  # whether the folders so far contain nothing but the next one
    for _ in range(DEPTH):
        kind = _kind(root)
        if kind == "folders" and _holds_brush_layers(root / _folder(root, MASK_FOLDERS)):
            break
        if kind is not None:
            return _masks_or_annotations(root, kind, choices)
        content = [path for path in root.iterdir() if not path.name.startswith((".", "__"))]
        below = [path for path in content if path.is_dir()]
        if len(below) != 1:
            break
        root = below[0]
        alone = alone and len(content) == 1
        annotated = root if alone else annotated
    if layers_in(folder):
        raise LabelStudioExportError(folder)
    kinds = annotation_kinds(annotated)
    if kinds:
        question = f"{folder} has annotations in several formats."
        picked = choices.among(kinds) if len(kinds) == 1 else choices.pick(question, kinds)
        raise AnnotationsError(
            annotated, next(kind for kind in kinds if kind == (picked or kinds[0])), choices
        )
    names = listing(sorted(path.name for path in root.iterdir())) or "nothing"
    raise InputError(
        f"{folder} is not a dataset in a supported layout.", why=f"It contains {names}.", todo=WANTED
    )


def _masks_or_annotations(root: Path, kind: Kind, choices: Choices) -> Layout:
    """Return the layout of a folder with masks, which are used unless annotations next to them are chosen."""
    if kind not in ("pascal voc", "folders", "split first", "one folder"):
        return Layout(root, kind)
    kinds = annotation_kinds(root)
    if not kinds:
        return Layout(root, kind)
    if _has_masks(root, kind):
        picked = choices.among(("masks", *kinds))
        if picked in ("", "masks"):
            return Layout(root, kind, kinds)
    else:
        question = f"{root} has annotations in several formats."
        picked = choices.pick(question, kinds) if len(kinds) > 1 else choices.among(kinds) or kinds[0]
    raise AnnotationsError(root, next(each for each in kinds if each == picked), choices)


def _has_masks(root: Path, kind: Kind) -> bool:
    """Return whether the folders for masks have a file that can be one."""
    if kind == "one folder":
        return True
    if kind == "split first":
        folders = [f"{split}/{_folder(root / split, MASK_FOLDERS)}" for split in split_folders(root)]
    else:
        folders = [_voc_masks(root)] if kind == "pascal voc" else [_folder(root, MASK_FOLDERS)]
    return any(files_below(root / folder, MASK_SUFFIXES) for folder in folders if (root / folder).is_dir())


def _unused_annotations(layout: Layout) -> list[DataProblem]:
    if not layout.unused:
        return []
    kinds = listing([TITLES[kind] for kind in layout.unused])
    todo = f"To draw them instead of the masks, choose {' or '.join(layout.unused)} with --annotations."
    message = f"It also has annotations as {kinds}, which are not used, as there are masks."
    return [problem("annotations_unused", layout.root.name, message, todo=todo)]


def _holds_brush_layers(masks: Path) -> bool:
    return any(NAME.fullmatch(path.name) for path in islice(masks.iterdir(), PALETTE_TRIES))


def _palette(source: Dataset) -> tuple[Color, ...]:
    """Return the palette of the first indexed mask among the first few; validation reports unreadable masks."""
    for path in islice((sample.mask for sample in source.samples if sample.mask), PALETTE_TRIES):
        try:
            with open_regular(source.root / path) as file, Image.open(file, formats=FORMATS) as image:
                flat = image.getpalette() if image.mode == "P" else None
        except Exception:  # noqa: BLE001,S112  # Pillow raises any exception; validation reports the file
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
    if is_cityscapes(root):
        return "cityscapes"
    if (root / LISTS).is_dir() or _voc_masks(root):
        return "pascal voc"
    if _folder(root, IMAGE_FOLDERS) and _folder(root, MASK_FOLDERS):
        return "folders"
    splits = split_folders(root)
    if splits and all(
        _folder(root / split, names) for split in splits for names in (IMAGE_FOLDERS, MASK_FOLDERS)
    ):
        return "split first"
    if is_roboflow(root):
        return "roboflow"
    return "one folder" if is_one_folder(root) else None


def _voc_masks(root: Path) -> str:
    """Return the folder with the masks; of two, the first in `VOC_MASKS` that has any; empty where there is none."""
    folders = [name for name in VOC_MASKS if (root / name).is_dir()]
    with_masks = [name for name in folders if any(files_below(root / name, LOSSLESS_MASK_SUFFIXES))]
    return next(iter(with_masks or folders), "")


def _folder(root: Path, names: tuple[str, ...]) -> str:
    """Return the folder below the root with one of these names; empty where there is none."""
    folders = {path.name.lower(): path.name for path in root.iterdir() if path.is_dir()}
    return next((folders[name] for name in names if name in folders), "")


def _read_channels(root: Path, _: Splitting, __: Choices) -> Dataset:
    samples, problems = [], []
    for split in SPLITS:
        images, twice = by_stem(root, split, IMAGE_SUFFIXES)
        masks, twice_too = by_stem(root, f"{split}_annotation", MASK_SUFFIXES)
        channel_samples = paired(dict.fromkeys([*images, *masks], split), images, masks)
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


def _read_voc(root: Path, splitting: Splitting, choices: Choices) -> Dataset:
    image_folder = _folder(root, IMAGE_FOLDERS) or "JPEGImages"
    mask_folder = _voc_masks(root) or "SegmentationClass"
    others = [
        name
        for name in VOC_MASKS
        if name != mask_folder
        and (root / name).is_dir()
        and any(files_below(root / name, LOSSLESS_MASK_SUFFIXES))
    ]
    if others:
        mask_folder = choices.pick("There are masks in several folders.", [mask_folder, *others])
    images, twice = by_stem(root, image_folder, IMAGE_SUFFIXES)
    masks, twice_too = by_stem(root, mask_folder, MASK_SUFFIXES)
    complete = images.keys() & masks.keys()
    names, list_problems = _listed(root, complete, splitting)
    if not names:
        names, list_problems = assign_splits({*images, *masks}, complete, splitting)
    samples = paired(names, images, masks)
    problems = [*twice, *twice_too, *list_problems, *missing(samples, image_folder, mask_folder)]
    unlisted = sorted(masks.keys() - names.keys()) if (root / LISTS).is_dir() else []
    if unlisted:
        message = f"{len(unlisted):,} masks are not in any list and are skipped: {listing(unlisted)}."
        problems.append(problem("not_listed", LISTS, message))
    return Dataset("pascal voc", root, tuple(samples), find_names(root), problems=tuple(problems))


def _listed(
    root: Path, complete: Set[str], splitting: Splitting
) -> tuple[dict[str, Split], list[DataProblem]]:
    """Return name -> split, by the lists named train and val; without both, all listed names are split at random."""
    lists = {path.stem.lower(): path for path in sorted((root / LISTS).glob("*.txt"))}
    split_lists = {name: path for name, path in lists.items() if name in LIST_SPLITS}
    names: dict[str, Split] = {}
    problems = []
    for list_name, path in (split_lists if _names_split(split_lists) else lists).items():
        split = LIST_SPLITS.get(list_name, "train")
        for line in _lines(path):
            name = _named(line, complete)
            if name in names and _names_split(split_lists):
                code = "name_twice" if names[name] == split else "photo_in_both"
                problems.append(_twice_listed(code, path.relative_to(root).as_posix(), name))
            names.setdefault(name, split)
    if _names_split(split_lists):
        return names, problems
    drawn, notes = assign_splits(names, names.keys() & complete, splitting)
    problems += notes
    return drawn, [*problems, _missing_list(split_lists or lists, drawn, splitting)] if lists else problems


def _missing_list(lists: Mapping[str, Path], drawn: Mapping[str, Split], splitting: Splitting) -> DataProblem:
    """Return the problem that a list is missing. lists: those that exist, which do not define both splits."""
    existing = {LIST_SPLITS.get(name) for name in lists}
    missing_splits = " and ".join(split for split in SPLITS if split not in existing)
    count = sum(split == "validation" for split in drawn.values())
    message = (
        f"There is a list {listing([path.name for path in lists.values()])}, but none for {missing_splits}, which "
        f"training needs: {count:,} of the {len(drawn):,} names were randomly assigned to validation "
        f"(validation split {splitting.validation:g}, split seed {splitting.seed})."
    )
    severity: Severity = "warning" if existing - {None} else "note"  # CVAT exports a single list, default.txt
    return problem("list_missing", LISTS, message, severity=severity)


def _named(line: str, complete: Set[str]) -> str:
    """Return the line, or the name of the first file in it if only that is a pair: some lists have both paths."""
    name = stem((line.split() or [line])[0].rpartition("/")[2])
    return line if line in complete or name not in complete else name


def _names_split(lists: Mapping[str, Path]) -> bool:
    return {LIST_SPLITS[name] for name in lists} == set(SPLITS)


def _twice_listed(code: str, path: str, name: str) -> DataProblem:
    where = "in this list twice" if code == "name_twice" else "also in the training list"
    return problem(code, path, f"{name} is {where}.", todo="Remove one of the two lines.", severity="warning")


def _lines(path: Path) -> list[str]:
    """Return the names in a list: one per line, optionally with a suffix and VOC's 1 or -1 at the end."""
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The list {path} cannot be read.", why=reason(error), todo="Save it as UTF-8."
        ) from error
    names = [line.strip().removesuffix(" -1").removesuffix(" 1").strip() for line in lines]
    return [
        stem(name) if name.lower().endswith(IMAGE_SUFFIXES) else normalize("NFC", name)
        for name in names
        if name
    ]


def _read_folders(root: Path, splitting: Splitting, _: Choices) -> Dataset:
    image_folder, mask_folder = _folder(root, IMAGE_FOLDERS), _folder(root, MASK_FOLDERS)
    images, twice = by_stem(root, image_folder, IMAGE_SUFFIXES)
    masks, twice_too = by_stem(root, mask_folder, MASK_SUFFIXES)
    masks = without_ending(masks, images)
    split, notes = assign_splits({*images, *masks}, images.keys() & masks.keys(), splitting)
    samples = paired(split, images, masks)
    problems = [*twice, *twice_too, *notes, *missing(samples, image_folder, mask_folder)]
    return Dataset("folders", root, tuple(samples), find_names(root), problems=tuple(problems))


def _read_split_first(root: Path, splitting: Splitting, _: Choices) -> Dataset:
    splits = split_folders(root)
    return read_split_first(
        root,
        splitting,
        {split: _folder(root / split, IMAGE_FOLDERS) for split in splits},
        {split: _folder(root / split, MASK_FOLDERS) for split in splits},
    )


def _read_ground_truth(root: Path, splitting: Splitting, _: Choices) -> Dataset:
    path = ground_truth.find_manifest(root)
    assert path is not None  # noqa: S101  # for the type checker: the layout was detected by it
    manifest = ground_truth.read_manifest(path, files_below(root), root)
    complete = [row.name for row in manifest.samples if row.image and row.mask]
    names, notes = assign_splits([row.name for row in manifest.samples], complete, splitting)
    samples = [replace(row, split=names[row.name]) for row in manifest.samples if row.name in names]
    own = find_names(root)
    class_names = own if own.classes is not None else manifest.names
    problems = (*manifest.problems, *notes)
    return Dataset("ground truth", root, tuple(samples), class_names, problems=problems)


Reader = Callable[[Path, Splitting, Choices], Dataset]

READERS: dict[str, Reader] = {
    "channels": _read_channels,
    "pascal voc": _read_voc,
    "folders": _read_folders,
    "split first": _read_split_first,
    "cityscapes": read_cityscapes,
    "roboflow": lambda root, splitting, _: read_roboflow(root, splitting),
    "one folder": lambda root, splitting, _: read_one_folder(root, splitting),
    "ground truth": _read_ground_truth,
}
