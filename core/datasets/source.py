"""A dataset in a folder: its pairs of image and mask, and its class names."""

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
"""The class names file of a dataset in channels, see `core.imaging.classes`."""

Kind = Literal[
    "channels", "pascal voc", "ground truth", "folders", "cityscapes", "split first", "roboflow", "one folder",
    "coco", "labelme", "cvat", "yolo", "supervisely",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """An image and its mask.

    name:        the name of both, without folder and suffix.
    image, mask: paths below the dataset's folder, with `/`; empty where a file is missing.
    """

    name: str
    split: Split
    image: str
    mask: str


@dataclass(frozen=True, slots=True)
class Names:
    """Class names and colors.

    classes:    None where only colors are known.
    path:       the class names file, relative to the dataset's folder or absolute.
    colors:     color in an RGB mask -> class id, 255 for colors to ignore.
    has_colors: whether the file defines colors for the classes.
    palette:    the palette of the first indexed mask, by class id; empty where there is none.
    notes:      sentences on how the file was read.
    """

    classes: Classes | None
    path: str = ""
    colors: Mapping[Color, int] = field(default_factory=dict)
    has_colors: bool = False
    palette: tuple[Color, ...] = ()
    notes: tuple[str, ...] = ()

    def in_own_colors(self, classes: Classes) -> Classes:
        """Return these classes in the palette of the masks, unless a file defines their colors or it is too short."""
        if self.has_colors or len(self.palette) < len(classes):
            return classes
        return replace(classes, colors=self.palette[: len(classes)])


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset whose folder has been read, but not its files.

    root:       the folder that all paths are relative to.
    called:     its name for messages: the folder's path, or the ZIP file that it came in.
    choices:    which masks were chosen, where there are several.
    label_maps: by split; empty: the masks contain class ids.
    problems:   those that reading the folder revealed.
    """

    kind: Kind
    root: Path
    samples: tuple[Sample, ...]
    names: Names
    label_maps: Mapping[Split, LabelMap] = field(default_factory=dict)
    problems: tuple[DataProblem, ...] = ()
    called: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Splitting:
    """How a dataset without lists is split. validation: share for validation, 0 to 1; seed: of the random split."""

    validation: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.validation < 1:
            raise InputError(
                f"The validation split is {self.validation:g}.", todo="Use a number between 0 and 1."
            )

    def divide(self, names: Sequence[str]) -> dict[str, Split]:
        """Return name -> split. The same names always give the same split; each split gets at least one."""
        shuffled = sorted(names)
        random.Random(self.seed).shuffle(shuffled)
        most = max(len(shuffled) - 1, 0)
        count = min(max(1, round(len(shuffled) * self.validation)), most)
        return {name: VALIDATION if index < count else TRAIN for index, name in enumerate(shuffled)}
