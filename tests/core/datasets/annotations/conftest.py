"""Draw the annotations of a small folder."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.datasets.prepare import ReadOptions, prepared_dataset
from core.datasets.source import Dataset


@dataclass(frozen=True)
class Drawn:
    """A dataset with drawn masks, and the notes on it."""

    source: Dataset
    notes: tuple[str, ...]

    @property
    def codes(self) -> dict[str, str]:
        """Return the messages by code, the last one of each."""
        return {problem.code: f"{problem.path}: {problem.message}" for problem in self.source.problems}

    @property
    def names(self) -> tuple[str, ...]:
        """Return the class names."""
        assert self.source.names.classes is not None
        return self.source.names.classes.names

    def mask(self, name: str = "") -> np.ndarray:
        """Return the mask of an image, or of the only one."""
        (sample,) = [each for each in self.source.samples if name in each.name]
        with Image.open(self.source.root / sample.mask) as image:
            return np.asarray(image)


Draw = Callable[..., Drawn]


@pytest.fixture
def draw(threads: Executor, tmp_path: Path) -> Draw:
    """draw(folder, **options) -> what becomes of the annotations in it."""

    def make(folder: Path, **options: Any) -> Drawn:
        def new_folder() -> Path:
            return tmp_path / f"drawn-{len(list(tmp_path.glob('drawn-*')))}"

        return Drawn(*prepared_dataset(folder, ReadOptions(**options), new_folder, threads))

    return make
