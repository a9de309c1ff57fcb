"""List the files below a folder, and pair images and masks by name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from unicodedata import normalize

from core.datasets.problems import DataProblem, problem
from core.datasets.source import SPLITS, TRAIN, Sample, Split, Splitting
from core.errors import InputError
from core.text import listing, plural

MASK_NAME_ENDINGS = (
    "_mask", "_label", "_labels", "_gt", "_seg", "_annotation", "_segmentation", "_labelTrainIds", "_labelIds",
)  # fmt: skip
"""Endings that some programs add to a mask's name."""

LEFT_OUT = ("__MACOSX", "Thumbs.db", "desktop.ini")


def files_below(folder: Path, suffixes: tuple[str, ...] = ()) -> list[str]:
    """Return the paths below a folder, with `/`, sorted; hidden files and system files are skipped."""
    files: list[str] = []
    for base, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = [name for name in folders if _counts(name)]
        files += [
            Path(base, name).relative_to(folder).as_posix()
            for name in names
            if _counts(name) and (not suffixes or name.lower().endswith(suffixes))
        ]
    return sorted(files)


def linked_folders(folder: Path) -> list[str]:
    """Return the links to folders below a folder, with `/`, sorted; their content is not read."""
    return sorted(
        Path(base, name).relative_to(folder).as_posix()
        for base, folders, _ in os.walk(folder, onerror=_unreadable)
        for name in folders
        if _counts(name) and Path(base, name).is_symlink()
    )


def stem(path: str) -> str:
    """Return a path without its suffix, in Unicode NFC: macOS decomposes accented characters in file names."""
    head, dot, tail = path.rpartition(".")
    bare = head if dot and "/" not in tail and head and not head.endswith("/") else path
    return normalize("NFC", bare)


def by_stem(root: Path, folder: str, suffixes: tuple[str, ...]) -> tuple[dict[str, str], list[DataProblem]]:
    """Return name in the folder, without suffix -> path below the root; and problems.

    Problems are duplicates, links to folders, and files with other suffixes, which are skipped.
    """
    by_name: dict[str, str] = {}
    problems = [
        problem("link_left_out", f"{folder}/{path}", "It is a link to a folder; its content is skipped.")
        for path in linked_folders(root / folder)
    ]
    files = files_below(root / folder)
    skipped = [path for path in files if not path.lower().endswith(suffixes)]
    if skipped:
        message = (
            f"{plural(len(skipped), 'file')} without one of the suffixes {', '.join(suffixes)} skipped: "
            f"{listing(skipped)}."
        )
        problems.append(problem("file_left_out", folder, message))
    for path in files:
        if not path.lower().endswith(suffixes):
            continue
        name, whole = stem(path), f"{folder}/{path}"
        if name in by_name:
            first = by_name[name].rpartition("/")[2]
            problems.append(
                problem(
                    "name_twice",
                    whole,
                    f"{first} in the same folder has the same name except for the suffix; that file is used.",
                    todo="Remove or rename one of the two files.",
                    fixable=False,
                )
            )
        else:
            by_name[name] = whole
    return by_name, problems


def without_ending(masks: Mapping[str, str], images: Mapping[str, str]) -> dict[str, str]:
    """Return the masks by the names of their images, without the ending that some programs add."""
    return {_without_ending(name, images): path for name, path in masks.items()}


def paired(names: Mapping[str, Split], images: Mapping[str, str], masks: Mapping[str, str]) -> list[Sample]:
    """Return a sample for each name, whether its files exist or not."""
    return [
        Sample(name, split, images.get(name, ""), masks.get(name, ""))
        for name, split in sorted(names.items())
    ]


def missing(samples: Iterable[Sample], image_folder: str, mask_folder: str) -> list[DataProblem]:
    """Return a problem for each missing file."""
    problems = []
    for sample in samples:
        if not sample.image:
            where = sample.mask or f"{image_folder}/{sample.name}"
            problems.append(
                problem("photo_missing", where, f"The image {sample.name} is missing in {image_folder}.")
            )
        if not sample.mask:
            where = sample.image or f"{mask_folder}/{sample.name}"
            problems.append(
                problem("mask_missing", where, f"The mask {sample.name} is missing in {mask_folder}.")
            )
    return problems


def assign_splits(
    names: Iterable[str], complete: Iterable[str], splitting: Splitting
) -> tuple[dict[str, Split], list[DataProblem]]:
    """Return name -> split, and notes on what was decided.

    The split is that of the top folder of each name; without folders for both, it is drawn at random from the
    complete pairs. Images for testing are left out where other folders are for training or validation.
    """
    names = list(names)
    tops = {name: name.partition("/")[0].lower() for name in names}
    by_folder = {name: SPLIT_FOLDERS[top] for name, top in tops.items() if top in SPLIT_FOLDERS}
    tests = [name for name in names if by_folder and tops[name] in TEST_FOLDERS]
    notes = []
    if tests:
        folder = tests[0].partition("/")[0]
        notes.append(
            problem("split_left_out", folder, f"{plural(len(tests), 'image')} for testing left out.")
        )
    left_out = set(tests)
    left = [name for name in names if name not in left_out]
    if len(by_folder) == len(left) and set(by_folder.values()) == set(SPLITS):
        return by_folder, notes
    if by_folder:
        folders = sorted({name.partition("/")[0] for name in by_folder})
        message = (
            f"Not all images are in folders for training and validation (there is {listing(folders)}), so the split "
            f"is random (validation split {splitting.validation:g}, split seed {splitting.seed})."
        )
        notes.append(problem("layout_note", folders[0], message))
    drawn = splitting.divide([name for name in complete if name not in left_out])
    return dict.fromkeys(left, TRAIN) | drawn, notes


TEST_FOLDERS = ("test", "testing")

SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}


def _without_ending(name: str, images: Mapping[str, str]) -> str:
    if name in images:
        return name
    return next(
        (name.removesuffix(end) for end in MASK_NAME_ENDINGS if name.removesuffix(end) in images), name
    )


def _counts(name: str) -> bool:
    return not name.startswith(".") and name not in LEFT_OUT


def _unreadable(error: OSError) -> None:
    absent = isinstance(error, FileNotFoundError)
    raise InputError(
        f"The folder {error.filename} cannot be read.",
        why=f"{error.strerror}.",
        todo="Add it: the dataset is incomplete without it." if absent else "Check its permissions.",
    ) from error
