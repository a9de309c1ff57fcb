"""Find the images of annotations, and the split that a path names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal
from unicodedata import normalize

from core.datasets.matching import SPLIT_FOLDERS, files_below
from core.datasets.problems import DataProblem, problem
from core.datasets.source import Split
from core.errors import InputError
from core.imaging.suffixes import IMAGE_SUFFIXES
from core.local_files import read_regular, reason
from core.strict_json import parse_json
from core.text import listing

WORD = re.compile("[a-z]+")
TEST: Literal["test"] = "test"
COPY = "Copy it again, or export the annotations again."

NamedSplit = Split | Literal["", "test"]
"""The split that a path names; empty where it names none."""


class ImageIndex:
    """The images below a folder, found by the paths in annotation files."""

    def __init__(self, root: Path) -> None:
        self.paths = files_below(root, IMAGE_SUFFIXES)
        self._by_name: dict[str, list[str]] = {}
        for path in self.paths:
            self._by_name.setdefault(normalize("NFC", path.rpartition("/")[2]), []).append(path)

    def find(self, name: str, near: str = "") -> list[str]:
        """Return the images that a path in an annotation file can mean: one, several, or none.

        The longest common end of the paths decides, then the folder of the annotation file, then its split.

        near: the annotation file, below the root.
        """
        parts = normalize("NFC", name.replace("\\", "/")).split("/")
        candidates = self._by_name.get(parts[-1], [])
        folder = near.rpartition("/")[0]
        for rank in (
            lambda path: _common_end(normalize("NFC", path).split("/"), parts),
            lambda path: path.rpartition("/")[0] == folder,
            lambda path: bool(near) and folder_split(path) == named_split(near),
        ):
            best = max(map(rank, candidates), default=0)
            candidates = [path for path in candidates if rank(path) == best]
        return candidates


def image_or_problem(index: ImageIndex, name: str, file: str) -> tuple[str, list[DataProblem]]:
    """Return the path of an image that an annotation file names, or the problem that there is not exactly one."""
    paths = index.find(name, file)
    if len(paths) == 1:
        return paths[0], []
    if paths:
        message = f"It names {name}, which can be {listing(paths)}; the image is left out."
        return "", [problem("annotation_image", file, message, todo="Give each image a unique name.")]
    return "", [problem("annotation_image", file, f"It names {name}, which is not in the dataset's folder.")]


def named_split(path: str) -> NamedSplit:
    """Return the split that a path names, from its last part to its first: instances_val2017.json is validation."""
    for part in reversed(PurePosixPath(path).parts):
        for word in WORD.findall(part.lower().removesuffix(".json")):
            if word in SPLIT_FOLDERS:
                return SPLIT_FOLDERS[word]
            if word in ("test", "testing"):
                return TEST
    return ""


def folder_split(path: str) -> NamedSplit:
    """Return the split that the folders of a path name; the name of an image may have the word train by chance."""
    return named_split(path.rpartition("/")[0])


@dataclass(frozen=True, slots=True)
class SplitRule:
    """Whether the splits that paths name are used.

    known: whether training and validation are named, and each path names a split.
    tests: whether images for testing are left out: other paths name a split.
    """

    known: bool
    tests: bool

    @property
    def notes(self) -> tuple[str, ...]:
        """Return a sentence if named splits are not used."""
        if self.known or not self.tests:
            return ()
        return ("Not all images are for training or validation by their paths, so the split is random.",)

    def split(self, named: NamedSplit) -> Split | Literal[""]:
        """Return the split of an image that is not left out."""
        return named if self.known and named != TEST else ""

    def leaves_out(self, named: NamedSplit) -> bool:
        """Return whether an image is left out because it is for testing."""
        return self.tests and named == TEST


def split_rule(named: Iterable[NamedSplit]) -> SplitRule:
    """Return the rule for the splits that all paths name."""
    splits = set(named)
    return SplitRule(
        splits >= {"train", "validation"} and "" not in splits, bool(splits & {"train", "validation"})
    )


def read_json(root: Path, path: str) -> Any:
    """Return the value of a JSON file. Raises InputError."""
    try:
        return parse_json(read_regular(root / path))
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else f"It is not JSON: {str(error).rstrip('.')}."
        raise InputError(f"{path} cannot be read.", why=why, todo=COPY) from error


def last_name(path: str) -> str:
    """Return the file name at the end of a path of any system."""
    return PureWindowsPath(path).name


def rows(value: Any) -> list[dict[str, Any]]:
    """Return the JSON objects in a list; empty for anything else."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def number(value: Any) -> float:
    """Return a JSON number. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")  # noqa: TRY004  # of a file
    return float(value)


def points_of(values: Any) -> tuple[tuple[float, float], ...]:
    """Return points from [[x, y], ...]. Raises ValueError."""
    if not isinstance(values, list) or not all(isinstance(pair, list) and len(pair) >= 2 for pair in values):
        raise ValueError("its points are not a list of [x, y]")
    return tuple((number(pair[0]), number(pair[1])) for pair in values)


def whole(value: Any) -> int:
    """Return a size in pixels; 0 where it is not a positive whole number."""
    return (
        int(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e9
        else 0
    )


def unused_images(paths: Iterable[str], annotated: Iterable[str], rule: SplitRule) -> list[DataProblem]:
    """Return a problem for each image that no annotation file names; those in a folder for testing are left out."""
    names = set(annotated)
    return [
        problem("annotation_unused_image", path, "No annotation file names it.")
        for path in paths
        if path not in names and not rule.leaves_out(folder_split(path))
    ]


def _common_end(first: Sequence[str], second: Sequence[str]) -> int:
    length = 0
    while length < min(len(first), len(second)) and first[-1 - length] == second[-1 - length]:
        length += 1
    return length
