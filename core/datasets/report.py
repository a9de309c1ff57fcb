"""The report on a validated dataset, as the page and the command line show it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.datasets.inspection import PairFacts
from core.datasets.problems import DataProblem, count_by_code
from core.datasets.source import SPLITS, Split
from core.imaging.classes import IGNORE, Classes


@dataclass(frozen=True, slots=True)
class ClassCount:
    """The frequency of a class. images, pixels: by split."""

    class_id: int
    name: str
    images: Mapping[Split, int]
    pixels: Mapping[Split, int]


@dataclass(frozen=True, slots=True)
class LayoutReport:
    """The report on a validated dataset.

    kind, root:   its layout, and where it is.
    counts:       channel -> number of files in it.
    classes:      None if unknown.
    named:        whether a class names file defines them; else names and colors are defaults.
    class_ids:    the ids in the masks, after a label map, without 255.
    histogram:    one row per class, and one for 255 where it occurs.
    sizes:        ((width, height) in pixels, number of images), the most common first.
    label_tables: split -> pixel value -> label, for the values that occur; empty without a label map.
    problems:     errors first.
    facts:        of each pair.
    """

    kind: str
    root: str
    counts: Mapping[str, int]
    classes: Classes | None
    named: bool
    class_ids: tuple[int, ...]
    histogram: tuple[ClassCount, ...]
    sizes: tuple[tuple[tuple[int, int], int], ...]
    label_tables: Mapping[Split, Mapping[int, int]]
    problems: tuple[DataProblem, ...]
    facts: tuple[PairFacts, ...] = field(default=(), repr=False)

    @property
    def usable(self) -> bool:
        """Return whether it can be used for training without changes."""
        return not any(each.is_error for each in self.problems)

    @property
    def summary(self) -> str:
        """Return `usable` as a sentence."""
        if any(each.code == "channel_unknown" for each in self.problems):
            return (
                "It is unknown whether the dataset is ready for training: not every channel could be listed."
            )
        return "Ready for training." if self.usable else "Not ready for training: fix the errors first."

    @property
    def pairs(self) -> int:
        """Return the number of images in training and validation."""
        return sum(self.counts.get(split, 0) for split in SPLITS)

    @property
    def num_training_samples(self) -> int:
        """Return the value of the algorithm's hyperparameter `num_training_samples`."""
        return self.counts.get("train", 0)

    def at_fault(self) -> frozenset[str]:
        """Return the paths of the files with an error."""
        return frozenset(each.path for each in self.problems if each.is_error)

    def select(self, *, class_id: int | None = None, code: str = "") -> Iterator[PairFacts]:
        """Yield the pairs that show a class, have a problem, or both where both are given."""
        paths = {each.path for each in self.problems if each.code == code}
        for facts in self.facts:
            if class_id is not None and class_id not in self.labels(facts):
                continue
            if code and not paths & {facts.sample.image, facts.sample.mask}:
                continue
            yield facts

    def labels(self, facts: PairFacts) -> set[int]:
        """Return the class ids in a pair's mask, after a label map."""
        table = self.label_tables.get(facts.sample.split)
        return set(facts.values) if table is None else {table[value] for value in facts.values}

    def to_dict(self) -> dict[str, Any]:
        """Return everything except the pairs, for JSON."""
        classes = self.classes
        return {
            "kind": self.kind,
            "root": self.root,
            "usable": self.usable,
            "counts": dict(self.counts),
            "num_training_samples": self.num_training_samples,
            "num_classes": len(classes) if classes else None,
            "classes_named": self.named,
            "class_ids": list(self.class_ids),
            "histogram": [_row(row) for row in self.histogram],
            "sizes": [{"width": size[0], "height": size[1], "images": count} for size, count in self.sizes],
            "label_maps": {
                split: {str(value): label for value, label in table.items()}
                for split, table in self.label_tables.items()
            },
            "problem_counts": count_by_code(self.problems),
            "problems": [_problem(each) for each in self.problems],
        }


def _row(row: ClassCount) -> dict[str, Any]:
    return {
        "class_id": row.class_id,
        "name": row.name,
        "ignored": row.class_id == IGNORE,
        "images": dict(row.images),
        "pixels": dict(row.pixels),
    }


def _problem(problem: DataProblem) -> dict[str, Any]:
    return {
        "code": problem.code,
        "severity": problem.severity,
        "path": problem.path,
        "message": problem.message,
        "todo": problem.todo,
        "fixable": problem.fixable,
    }
