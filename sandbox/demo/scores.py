"""The measured scores of a demo's model: `scores.json`, and how to measure them again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sandbox.algorithm.predict import Predictor, most_likely_class
from sandbox.algorithm.scores import confusion
from sandbox.demo.demo import Demo, Example, read_example

Counts = NDArray[np.int64]
"""Confusion matrix, (classes, classes) int64: rows are the ground truth, columns the prediction."""


@dataclass(frozen=True, slots=True, eq=False)
class DemoScores:
    """Scores of the weights as they ship.

    validation: confusion matrix of the held-out examples.
    images:     how many those are.
    shown:      confusion matrix of each example image, by its name.
    seconds:    CPU time of training.
    """

    validation: Counts
    images: int
    shown: Mapping[str, Counts]
    seconds: int

    def to_json(self) -> str:
        """Return the text of `scores.json`."""
        shown = {name: counts.tolist() for name, counts in self.shown.items()}
        values = {
            "rows are the ground truth, columns the prediction": True,
            "validation": self.validation.tolist(),
            "images": self.images,
            "shown": shown,
            "seconds": self.seconds,
        }
        return json.dumps(values)

    @classmethod
    def read(cls, folder: Path) -> DemoScores:
        """Read `scores.json` of a demo's folder. Raises FileNotFoundError, KeyError, ValueError."""
        values = json.loads((folder / "scores.json").read_bytes())
        shown = {name: np.array(counts, np.int64) for name, counts in values["shown"].items()}
        return cls(np.array(values["validation"], np.int64), values["images"], shown, values["seconds"])


def count(predictor: Predictor, examples: Iterable[Example]) -> Counts:
    """Return the confusion matrix over examples, with the same code that serves."""
    total = np.zeros((predictor.classes, predictor.classes), np.int64)
    for image, labels in examples:
        predicted = most_likely_class(predictor.probabilities(image))
        total += confusion(labels, predicted, predictor.classes)
    return total


def measure_examples(predictor: Predictor, demo: Demo, names: Iterable[str]) -> dict[str, Counts]:
    """Return the confusion matrix of each example image."""
    return {name: count(predictor, [read_example(demo.folder, name)]) for name in names}


def measure_validation(predictor: Predictor, demo: Demo, shown: Mapping[str, Counts]) -> Counts:
    """Return the confusion matrix of the held-out examples, or the sum of `shown` if those are the same images."""
    examples = demo.validation()
    return count(predictor, examples) if examples else np.sum(list(shown.values()), axis=0)


def measure(predictor: Predictor, demo: Demo, names: Iterable[str], seconds: int) -> DemoScores:
    """Return all scores, with the weights and the images as they ship."""
    shown = measure_examples(predictor, demo, names)
    images = len(demo.validation()) or len(shown)
    return DemoScores(measure_validation(predictor, demo, shown), images, shown, seconds)
