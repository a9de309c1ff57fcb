"""Read layouts that public tools write with masks, besides those in `core.datasets.readers`.

cityscapes    leftImg8bit/{train,val,test}/CITY/X_leftImg8bit.png with gtFine/.../X_gtFine_labelIds.png or
              X_gtFine_labelTrainIds.png (cityscapes-dataset.com)
split first   {train,valid,test}/{images,masks}
roboflow      {train,valid,test}/X.jpg with X_mask.png and _classes.csv (Roboflow, "Semantic Segmentation Masks")
one folder    X.jpg with X.png or X_mask.png in the same folder, or in one for each split
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from core.datasets.choices import Choices
from core.datasets.cityscapes import ENDINGS, cityscapes_classes
from core.datasets.label_studio import NAME
from core.datasets.matching import (
    MASK_NAME_ENDINGS,
    SPLIT_FOLDERS,
    TEST_FOLDERS,
    assign_splits,
    by_stem,
    files_below,
    missing,
    paired,
    stem,
    without_ending,
)
from core.datasets.names import colors_of, find_names
from core.datasets.problems import DataProblem, problem
from core.datasets.source import Dataset, Names, Split, Splitting
from core.errors import InputError
from core.imaging.classes import MAX_CLASSES, Classes
from core.imaging.suffixes import IMAGE_SUFFIXES, JPEG_SUFFIXES, LOSSLESS_MASK_SUFFIXES, MASK_SUFFIXES
from core.local_files import read_text, reason
from core.text import listing, plural

CITYSCAPES_IMAGES = "leftImg8bit"
CITYSCAPES_MASKS = ("gtFine", "gtCoarse")
ROBOFLOW_CLASSES = "_classes.csv"
ROBOFLOW_MASK = "_mask"
MAX_DIGITS = 3
"""Digits of a pixel value."""

MOST_LOOKED_AT = 50
"""Files of a folder that decide whether it has images and masks side by side."""


def split_folders(root: Path) -> dict[str, Split]:
    """Return the folders for training and validation directly below a folder -> the split of each."""
    return {
        path.name: SPLIT_FOLDERS[path.name.lower()]
        for path in sorted(root.iterdir())
        if path.is_dir() and path.name.lower() in SPLIT_FOLDERS
    }


def is_cityscapes(root: Path) -> bool:
    """Return whether a folder has the layout of Cityscapes."""
    return (root / CITYSCAPES_IMAGES).is_dir() and any((root / name).is_dir() for name in CITYSCAPES_MASKS)


def is_roboflow(root: Path) -> bool:
    """Return whether a folder has the layout of Roboflow's masks."""
    return any((root / folder / ROBOFLOW_CLASSES).is_file() for folder in (*split_folders(root), "."))


def is_one_folder(root: Path) -> bool:
    """Return whether images and masks are side by side in the folder, or in its folders for splits."""
    return any(_has_pair(root / folder) for folder in (*split_folders(root), "."))


def _has_pair(folder: Path) -> bool:
    """Return whether one of the first images has a mask in the same folder, and none is a brush label."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    if any(NAME.fullmatch(name) for name in names):
        return False
    images, masks = side_by_side(names)
    return any(name in masks for name in list(images)[:MOST_LOOKED_AT])


def side_by_side(paths: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return images and masks in one folder, each as name -> path.

    A mask has the name of its image and one of `MASK_NAME_ENDINGS`; or it has the same name, is in a lossless format,
    and the image is a JPEG.
    """
    stems = {stem(path) for path in paths if path.lower().endswith(IMAGE_SUFFIXES)}
    masks: dict[str, str] = {}
    images: dict[str, str] = {}
    jpegs = {stem(path) for path in paths if path.lower().endswith(JPEG_SUFFIXES)}
    for path in sorted(paths):
        name = stem(path)
        ending = next(
            (end for end in MASK_NAME_ENDINGS if name.removesuffix(end) in stems and name.endswith(end)), ""
        )
        if ending and path.lower().endswith(MASK_SUFFIXES):
            masks[name.removesuffix(ending)] = path
        elif name in jpegs and path.lower().endswith(LOSSLESS_MASK_SUFFIXES):
            masks.setdefault(name, path)
        elif path.lower().endswith(IMAGE_SUFFIXES):
            images.setdefault(name, path)
    return images, masks


def read_cityscapes(root: Path, splitting: Splitting, choices: Choices) -> Dataset:
    """Read Cityscapes. Raises ChoiceNeededError if there are masks with labelIds and with trainIds."""
    mask_folders = [name for name in CITYSCAPES_MASKS if (root / name).is_dir()]
    mask_folder = mask_folders[0]
    if len(mask_folders) > 1:
        mask_folder = choices.pick("There are fine and coarse masks.", mask_folders)
    files = files_below(root / mask_folder, LOSSLESS_MASK_SUFFIXES)
    kinds = [kind for kind, end in ENDINGS.items() if any(stem(path).endswith(end) for path in files)]
    if not kinds:
        raise InputError(
            f"{root / mask_folder} has no masks with class ids.",
            why="The names of Cityscapes' masks end in _labelIds.png or _labelTrainIds.png.",
            todo="Copy them into the folder, or create them with createTrainIdLabelImgs.py of Cityscapes.",
        )
    question = (
        "There are masks with labelIds (34 classes) and with trainIds (19 classes, the others ignored)."
    )
    kind = choices.pick(question, kinds) if len(kinds) > 1 else choices.among(kinds) or kinds[0]
    masks = {
        stem(path).removesuffix(ENDINGS[kind]).removesuffix(f"_{mask_folder}"): f"{mask_folder}/{path}"
        for path in files
        if stem(path).endswith(ENDINGS[kind])
    }
    by_name, problems = by_stem(root, CITYSCAPES_IMAGES, IMAGE_SUFFIXES)
    images = {name.removesuffix(f"_{CITYSCAPES_IMAGES}"): path for name, path in by_name.items()}
    names, left_out = assign_splits({*images, *masks}, images.keys() & masks.keys(), splitting)
    samples = paired(names, images, masks)
    classes = cityscapes_classes(kind)
    message = (
        f"The masks with {kind} in {mask_folder} are used, with the {len(classes)} classes of Cityscapes."
    )
    problems = [
        *problems,
        *left_out,
        *missing(samples, CITYSCAPES_IMAGES, mask_folder),
        problem("layout_note", mask_folder, message),
    ]
    return Dataset("cityscapes", root, tuple(samples), Names(classes, mask_folder), problems=tuple(problems))


def read_roboflow(root: Path, splitting: Splitting) -> Dataset:
    """Read Roboflow's masks. Raises InputError where its class names are invalid or differ between the splits."""
    folders = [
        folder for folder in (*split_folders(root), ".") if (root / folder / ROBOFLOW_CLASSES).is_file()
    ]
    names = [_roboflow_classes(root, f"{folder}/{ROBOFLOW_CLASSES}".removeprefix("./")) for folder in folders]
    different = next((each for each in names if each.classes != names[0].classes), None)
    if different:
        raise InputError(
            f"{names[0].path} and {different.path} have different classes.", todo="Export the dataset again."
        )
    own = find_names(root)
    dataset = _read_side_by_side(root, splitting, ROBOFLOW_CLASSES)
    return replace(dataset, kind="roboflow", names=own if own.classes is not None else names[0])


def _roboflow_classes(root: Path, path: str) -> Names:
    """Return the class names in a table of pixel values and names."""
    try:
        lines = read_text(root / path, max_bytes=1_000_000).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read.", why=reason(error)) from error
    rows = [line.partition(",") for line in lines]
    by_value = {
        int(value): name.strip().strip('"')
        for value, comma, name in rows
        if comma and value.strip().isdecimal() and len(value.strip()) <= MAX_DIGITS
    }
    count = max(by_value, default=-1) + 1
    if not 1 <= count <= MAX_CLASSES:
        raise InputError(f"{path} has no class names.", why="Each line needs a pixel value and a name.")
    classes = tuple(by_value.get(value, f"class {value}") for value in range(count))
    return Names(Classes(classes, colors_of(count)), path)


def read_one_folder(root: Path, splitting: Splitting) -> Dataset:
    """Read images and masks that are side by side."""
    dataset = _read_side_by_side(root, splitting, "")
    return replace(dataset, kind="one folder", names=find_names(root))


def _read_side_by_side(root: Path, splitting: Splitting, known: str) -> Dataset:
    """Read images and masks in one folder, or in one per split. known: a file that is not reported as skipped."""
    splits = split_folders(root)
    problems: list[DataProblem] = []
    images: dict[str, str] = {}
    masks: dict[str, str] = {}
    for folder in splits or (".",):
        below = "" if folder == "." else f"{folder}/"
        files = [f"{below}{path}" for path in files_below(root / folder)]
        some_images, some_masks = side_by_side(files)
        images |= some_images
        masks |= some_masks
        used = {*some_images.values(), *some_masks.values()}
        others = [path for path in files if path not in used and path.rpartition("/")[2] != known]
        others = [
            path for path in others if not path.lower().endswith((".txt", ".json", ".csv", ".md", ".yaml"))
        ]
        if others:
            message = f"{plural(len(others), 'file')} skipped: {listing(others)}."
            problems.append(problem("file_left_out", folder, message))
    names, left_out = assign_splits({*images, *masks}, images.keys() & masks.keys(), splitting)
    samples = paired(names, images, masks)
    problems += [*left_out, *_test_folders(root), *missing(samples, root.name, root.name), *_endings(masks)]
    return Dataset("one folder", root, tuple(samples), Names(None), problems=tuple(problems))


def _endings(masks: Mapping[str, str]) -> list[DataProblem]:
    """Return a note on which files are used as masks: both are in one folder."""
    same = [path for name, path in masks.items() if stem(path) == name]
    if not same:
        return []
    message = (
        f"{plural(len(same), 'file')} with the name of a JPEG used as its mask: {listing(sorted(same))}."
    )
    return [problem("layout_note", same[0].rpartition("/")[0] or ".", message)]


def _test_folders(root: Path) -> list[DataProblem]:
    return [
        problem(
            "split_left_out", path.name, f"{plural(len(files_below(path)), 'file')} for testing left out."
        )
        for path in sorted(root.iterdir())
        if path.is_dir() and path.name.lower() in TEST_FOLDERS
    ]


def read_split_first(
    root: Path, splitting: Splitting, image_folders: Mapping[str, str], mask_folders: Mapping[str, str]
) -> Dataset:
    """Read a folder for each split with images and masks in it. image_folders, mask_folders: split folder -> name."""
    images: dict[str, str] = {}
    masks: dict[str, str] = {}
    problems: list[DataProblem] = []
    for folder, image_folder in image_folders.items():
        own, wrong = by_stem(root, f"{folder}/{image_folder}", IMAGE_SUFFIXES)
        images |= {f"{folder}/{name}": path for name, path in own.items()}
        own, more = by_stem(root, f"{folder}/{mask_folders[folder]}", MASK_SUFFIXES)
        masks |= {f"{folder}/{name}": path for name, path in own.items()}
        problems += [*wrong, *more]
    masks = without_ending(masks, images)
    names, left_out = assign_splits({*images, *masks}, images.keys() & masks.keys(), splitting)
    samples = paired(names, images, masks)
    places = listing([f"{folder}/{name}" for folder, name in image_folders.items()])
    mask_places = listing([f"{folder}/{name}" for folder, name in mask_folders.items()])
    problems += [*left_out, *_test_folders(root), *missing(samples, places, mask_places)]
    return Dataset("split first", root, tuple(samples), find_names(root), problems=tuple(problems))
