"""Files below a folder, and which of them belong together by their names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from unicodedata import normalize

from core.datasets.problems import DataProblem, problem
from core.datasets.source import TRAIN, Sample, Split, Splitting
from core.errors import InputError

PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
MASKS = (".png", ".tif", ".tiff", ".bmp", ".gif", ".jpg", ".jpeg", ".webp")
ENDS = ("_mask", "_label", "_labels", "_gt", "_seg", "_annotation")
"""What some programs hang on a mask's name."""

LEFT_OUT = ("__MACOSX", "Thumbs.db", "desktop.ini")


def files_below(folder: Path, suffixes: tuple[str, ...] = ()) -> list[str]:
    """Paths below a folder, with `/`, in order; hidden files and what systems leave behind are left out."""
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
    """Return the links to folders below a folder, with `/`, in order; nothing below them is read."""
    return sorted(
        Path(base, name).relative_to(folder).as_posix()
        for base, folders, _ in os.walk(folder, onerror=_unreadable)
        for name in folders
        if _counts(name) and Path(base, name).is_symlink()
    )


def stem(path: str) -> str:
    """A path without its ending. Accents are written in one way: macOS has another in the names of files."""
    head, dot, tail = path.rpartition(".")
    bare = head if dot and "/" not in tail and head and not head.endswith("/") else path
    return normalize("NFC", bare)


def by_stem(root: Path, folder: str, suffixes: tuple[str, ...]) -> tuple[dict[str, str], list[DataProblem]]:
    """Name within the folder, without ending -> path below the root; and what stands there twice."""
    by_name: dict[str, str] = {}
    problems = [
        problem(
            "link_left_out", f"{folder}/{path}", "It is a link to a folder, and what is in it is left out."
        )
        for path in linked_folders(root / folder)
    ]
    for path in files_below(root / folder, suffixes):
        name, whole = stem(path), f"{folder}/{path}"
        if name in by_name:
            first = by_name[name].rpartition("/")[2]
            problems.append(
                problem(
                    "name_twice",
                    whole,
                    f"{first} in the same folder has the same name before its ending; that one is taken.",
                    todo="Take one of the two out, or give it another name.",
                    fixable=False,
                )
            )
        else:
            by_name[name] = whole
    return by_name, problems


def without_end(masks: Mapping[str, str], photos: Mapping[str, str]) -> dict[str, str]:
    """Masks by the names of their photographs, where a program has hung something on them."""
    return {_bare(name, photos): path for name, path in masks.items()}


def paired(names: Mapping[str, Split], photos: Mapping[str, str], masks: Mapping[str, str]) -> list[Sample]:
    """A sample for each name, whether its files are there or not."""
    return [
        Sample(name, split, photos.get(name, ""), masks.get(name, ""))
        for name, split in sorted(names.items())
    ]


def missing(samples: Iterable[Sample], photo_folder: str, mask_folder: str) -> list[DataProblem]:
    """A problem for each sample that is not whole."""
    problems = []
    for sample in samples:
        if not sample.photo:
            where = sample.mask or f"{photo_folder}/{sample.name}"
            problems.append(
                problem("photo_missing", where, f"There is no photograph {sample.name} in {photo_folder}.")
            )
        if not sample.mask:
            where = sample.photo or f"{mask_folder}/{sample.name}"
            problems.append(
                problem("mask_missing", where, f"There is no mask {sample.name} in {mask_folder}.")
            )
    return problems


def divided(names: Iterable[str], whole: Iterable[str], splitting: Splitting) -> dict[str, Split]:
    """Names -> split: by their first folder where it says so, else by a draw among those that are whole."""
    names = list(names)
    assigned = {
        name: SPLIT_FOLDERS[first] for name in names if (first := name.partition("/")[0]) in SPLIT_FOLDERS
    }
    if len(assigned) == len(names):
        return assigned
    return dict.fromkeys(names, TRAIN) | splitting.divide(list(whole))


SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}


def _bare(name: str, photos: Mapping[str, str]) -> str:
    if name in photos:
        return name
    return next((name.removesuffix(end) for end in ENDS if name.removesuffix(end) in photos), name)


def _counts(name: str) -> bool:
    return not name.startswith(".") and name not in LEFT_OUT


def _unreadable(error: OSError) -> None:
    gone = isinstance(error, FileNotFoundError)
    raise InputError(
        f"The folder {error.filename} cannot be read.",
        why=f"{error.strerror}.",
        todo="Add it: the set is not whole without." if gone else "Check its permissions.",
    ) from error
