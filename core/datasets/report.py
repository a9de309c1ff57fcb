"""What was found in a data set, as a page and the terminal show it."""

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
    """How often a class occurs. images and pixels: by split."""

    class_id: int
    name: str
    images: Mapping[Split, int]
    pixels: Mapping[Split, int]


@dataclass(frozen=True, slots=True)
class LayoutReport:
    """A data set, checked.

    kind, root:   what it is, and where.
    counts:       channel -> how many files it has or would have.
    classes:      None where nothing of them is known.
    named:        whether a file names them; else names and colours are assumed.
    class_ids:    that stand in masks, after a label map, without 255.
    histogram:    a row a class, and one for 255 where it occurs.
    sizes:        ((width, height) in pixels, how many photographs), the commonest first.
    label_tables: split -> pixel value -> label, for the values that occur; empty where no label map is.
    problems:     errors first.
    facts:        of each pair, without those where a file is missing twice.
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
        """Whether a job can be trained on it as it is."""
        return not any(each.is_error for each in self.problems)

    @property
    def verdict(self) -> str:
        """The same in words."""
        if any(each.code == "channel_unknown" for each in self.problems):
            return "Whether a job can be trained on it is not known: not every channel could be listed."
        return "A job can be trained on it." if self.usable else "A job would fail with it."

    @property
    def pairs(self) -> int:
        """Photographs of training and validation together."""
        return sum(self.counts.get(split, 0) for split in SPLITS)

    @property
    def num_training_samples(self) -> int:
        """What the algorithm asks for."""
        return self.counts.get("train", 0)

    def at_fault(self) -> frozenset[str]:
        """Paths of the files with an error."""
        return frozenset(each.path for each in self.problems if each.is_error)

    def select(self, *, class_id: int | None = None, code: str = "") -> Iterator[PairFacts]:
        """The pairs that show a class, and those that have a problem."""
        paths = {each.path for each in self.problems if each.code == code}
        for facts in self.facts:
            if class_id is not None and class_id not in self.labels(facts):
                continue
            if code and not paths & {facts.sample.photo, facts.sample.mask}:
                continue
            yield facts

    def labels(self, facts: PairFacts) -> set[int]:
        """The class ids that a pair shows, after a label map."""
        table = self.label_tables.get(facts.sample.split)
        return set(facts.values) if table is None else {table[value] for value in facts.values}

    def to_dict(self) -> dict[str, Any]:
        """For JSON: everything but the pairs."""
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
