"""What a demo's model was measured to do: `figures.json`, and how to measure it again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sandbox.algorithm.predict import Predictor, likeliest
from sandbox.algorithm.scores import confusion
from sandbox.demo.demo import Demo, Example, read_shown

Counts = NDArray[np.int64]
"""Pixels by class, (classes, classes) int64: rows are the truth, columns the prediction."""


@dataclass(frozen=True, slots=True, eq=False)
class DemoScores:
    """Measured with the weights as they ship.

    validation: over the examples that training never saw.
    pictures:   how many those are.
    shown:      over each shipped picture, by its name.
    seconds:    that training took of one processor core.
    """

    validation: Counts
    pictures: int
    shown: Mapping[str, Counts]
    seconds: int

    def to_json(self) -> str:
        """The text of `figures.json`."""
        shown = {name: counts.tolist() for name, counts in self.shown.items()}
        values = {
            "rows are the truth, columns the prediction": True,
            "validation": self.validation.tolist(),
            "pictures": self.pictures,
            "shown": shown,
            "seconds": self.seconds,
        }
        return json.dumps(values)

    @classmethod
    def read(cls, folder: Path) -> DemoScores:
        """What `figures.json` of a demo's folder says. Raises FileNotFoundError, KeyError, ValueError."""
        values = json.loads((folder / "figures.json").read_bytes())
        shown = {name: np.array(counts, np.int64) for name, counts in values["shown"].items()}
        return cls(np.array(values["validation"], np.int64), values["pictures"], shown, values["seconds"])


def count(predictor: Predictor, examples: Iterable[Example]) -> Counts:
    """The confusion over the examples, by the same path that serves."""
    total = np.zeros((predictor.classes, predictor.classes), np.int64)
    for picture, labels in examples:
        predicted = likeliest(predictor.probabilities(picture))
        total += confusion(labels, predicted, predictor.classes)
    return total


def measure_shown(predictor: Predictor, demo: Demo, names: Iterable[str]) -> dict[str, Counts]:
    """The confusion over each of the shipped pictures."""
    return {name: count(predictor, [read_shown(demo.folder, name)]) for name in names}


def measure_validation(predictor: Predictor, demo: Demo, shown: Mapping[str, Counts]) -> Counts:
    """The confusion over what training never saw; where those are the shipped pictures, `shown` is the answer."""
    examples = demo.validation()
    return count(predictor, examples) if examples else np.sum(list(shown.values()), axis=0)


def measure(predictor: Predictor, demo: Demo, names: Iterable[str], seconds: int) -> DemoScores:
    """All figures, with the weights and the pictures as they ship."""
    shown = measure_shown(predictor, demo, names)
    pictures = len(demo.validation()) or len(shown)
    return DemoScores(measure_validation(predictor, demo, shown), pictures, shown, seconds)
