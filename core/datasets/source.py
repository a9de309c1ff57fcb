"""A data set as it was found: which photograph belongs to which mask, and what its classes are called."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from core.datasets.label_map import LabelMap
from core.datasets.problems import DataProblem
from core.errors import InputError
from core.imaging.classes import Classes, Color

Split = Literal["train", "validation"]
TRAIN: Split = "train"
VALIDATION: Split = "validation"
SPLITS: tuple[Split, ...] = (TRAIN, VALIDATION)

CLASSES_FILE = "classes.json"
"""Where a set in channels has its names, see `core.imaging.classes`."""

Kind = Literal["channels", "pascal voc", "ground truth", "folders"]


@dataclass(frozen=True, slots=True)
class Sample:
    """A photograph and its mask.

    name:        what both are called, without folder and ending of their own.
    photo, mask: paths below the set's folder, with `/`; empty where there is none.
    """

    name: str
    split: Split
    photo: str
    mask: str


@dataclass(frozen=True, slots=True)
class Names:
    """What the classes are called.

    classes: None where only colours are known.
    path:    the file it came from, below the set's folder or whole.
    colors:  colour in an RGB mask -> class id, 255 for what is to be ignored.
    painted: whether the file itself gave colours to the classes.
    palette: that of the first indexed mask, by class id; empty where there is none.
    """

    classes: Classes | None
    path: str = ""
    colors: Mapping[Color, int] = field(default_factory=dict)
    painted: bool = False
    palette: tuple[Color, ...] = ()

    def in_own_colors(self, classes: Classes) -> Classes:
        """These classes in the colours of the masks, where no file gives them others and the palette has enough."""
        if self.painted or len(self.palette) < len(classes):
            return classes
        return replace(classes, colors=self.palette[: len(classes)])


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set, read but for its pictures.

    root:       the folder that all paths are below.
    called:     what a person calls it: where it lies, or the zip that it came in.
    label_maps: by split; empty: class ids stand in the masks as they are.
    problems:   what was found while reading.
    """

    kind: Kind
    root: Path
    samples: tuple[Sample, ...]
    names: Names
    label_maps: Mapping[Split, LabelMap] = field(default_factory=dict)
    problems: tuple[DataProblem, ...] = ()
    called: str = ""


@dataclass(frozen=True, slots=True)
class Splitting:
    """How a set without lists is divided: the share of validation, 0 to 1, and the seed of the draw."""

    validation: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.validation < 1:
            raise InputError(
                f"The share of validation is {self.validation:g}.", todo="Give a number between 0 and 1."
            )

    def divide(self, names: Sequence[str]) -> dict[str, Split]:
        """Name -> split. The same names give the same split, in any order; each side gets one at least."""
        drawn = sorted(names)
        random.Random(self.seed).shuffle(drawn)
        most = max(len(drawn) - 1, 0)
        count = min(max(1, round(len(drawn) * self.validation)), most)
        return {name: VALIDATION if place < count else TRAIN for place, name in enumerate(drawn)}
