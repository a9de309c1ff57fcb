"""Combine the facts of all pairs into the report on a dataset: whatever depends on more than one pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from core.datasets.inspection import PairFacts
from core.datasets.label_map import UNNAMED, check_label_map, used_table
from core.datasets.problems import DataProblem, ordered, problem
from core.datasets.report import ClassCount, LayoutReport
from core.datasets.source import SPLITS, Dataset, Sample, Split
from core.imaging.classes import IGNORE, MAX_CLASSES, Classes
from core.text import listing, plural

MOST_EMPTY = 10
"""Empty classes that are reported one by one."""

SMALLEST_GAP = 5
"""The smallest gap between class ids that is reported, in ids."""

Tables = Mapping[Split, Mapping[int, int]]


def aggregate(source: Dataset, facts: Sequence[PairFacts]) -> LayoutReport:
    """Return the report with all facts and problems of a dataset."""
    images, pixels = _totals(source, facts)
    ids = tuple(int(number) for number in np.flatnonzero(images.sum(0)) if number != IGNORE)
    classes = _classes(source, ids)
    values = _values(facts)
    tables = {split: used_table(label_map, values[split]) for split, label_map in source.label_maps.items()}
    problems = [
        *source.problems,
        *(entry for fact in facts for entry in fact.problems),
        *(
            entry
            for split, label_map in source.label_maps.items()
            for entry in check_label_map(label_map, values[split])
        ),
        *_out_of_range(facts, classes, tables),
        *_duplicates(facts),
        *_name_conflicts(source.samples),
        *_class_problems(source, classes, images),
        *_stray_problems(source, ids, facts),
        *_split_problems(source, ids, images),
    ]
    return LayoutReport(
        kind=source.kind,
        root=source.called,
        counts=_counts(source.samples),
        classes=classes,
        named=source.names.classes is not None,
        class_ids=ids,
        histogram=_histogram(
            None if _stray_ids(ids) and source.names.classes is None else classes, images, pixels
        ),
        sizes=tuple(Counter((fact.width, fact.height) for fact in facts if fact.width).most_common()),
        label_tables=tables,
        problems=ordered(problems),
        facts=tuple(facts),
    )


def _counts(samples: Sequence[Sample]) -> dict[str, int]:
    counts = {f"{split}{end}": 0 for end in ("", "_annotation") for split in SPLITS}
    for sample in samples:
        counts[sample.split] += bool(sample.image)
        counts[f"{sample.split}_annotation"] += bool(sample.mask)
    return counts


def _values(facts: Sequence[PairFacts]) -> dict[Split, set[int]]:
    values: dict[Split, set[int]] = {split: set() for split in SPLITS}
    for fact in facts:
        values[fact.sample.split].update(fact.values)
    return values


def _totals(source: Dataset, facts: Sequence[PairFacts]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the images and the pixels with each label, (2, 256) int64 each; row 0 is training, row 1 validation."""
    images, pixels = np.zeros((2, 256), np.int64), np.zeros((2, 256), np.int64)
    tables = {split: label_map.table() for split, label_map in source.label_maps.items()}
    for fact in facts:
        row = SPLITS.index(fact.sample.split)
        labels = np.frombuffer(fact.values, np.uint8)
        if fact.sample.split in tables:
            labels = tables[fact.sample.split][labels]
        np.add.at(pixels[row], labels, fact.counts)
        images[row, np.unique(labels)] += 1
    return images, pixels


def _histogram(
    classes: Classes | None, images: NDArray[np.int64], pixels: NDArray[np.int64]
) -> tuple[ClassCount, ...]:
    known = range(len(classes)) if classes else ()
    shown = sorted({*known, *np.flatnonzero(images.sum(0)).tolist()})
    return tuple(
        ClassCount(
            number,
            classes.name(number) if classes else f"class {number}",
            {split: int(images[row, number]) for row, split in enumerate(SPLITS)},
            {split: int(pixels[row, number]) for row, split in enumerate(SPLITS)},
        )
        for number in shown
    )


def _classes(source: Dataset, ids: Sequence[int]) -> Classes | None:
    """Return the class names from a file, else numbered up to the highest id; colors from a file, else the masks'."""
    classes = source.names.classes
    if classes is None:
        if not ids or max(ids) >= MAX_CLASSES:
            return None
        classes = Classes.numbered(max(ids) + 1)
    return source.names.in_own_colors(classes)


def _out_of_range(facts: Sequence[PairFacts], classes: Classes | None, tables: Tables) -> list[DataProblem]:
    """Return a problem for each mask with class ids above the last class."""
    most = len(classes) if classes else MAX_CLASSES
    problems = []
    for fact in facts:
        table = tables.get(fact.sample.split)
        labels = set(fact.values) if table is None else {table[value] for value in fact.values} - {UNNAMED}
        wrong = [str(label) for label in sorted(labels - {IGNORE}) if label >= most]
        if wrong:
            message = f"It contains class ids {listing(wrong)}; there are {most} classes, 0 to {most - 1}."
            problems.append(problem("class_out_of_range", fact.sample.mask, message))
    return problems


def _duplicates(facts: Sequence[PairFacts]) -> list[DataProblem]:
    """Return a problem for each image file that exists under two names."""
    first: dict[bytes, Sample] = {}
    problems = []
    for fact in facts:
        other = first.setdefault(fact.digest, fact.sample) if fact.digest else fact.sample
        if other.image == fact.sample.image:
            continue
        code = "photo_twice" if other.split == fact.sample.split else "photo_in_both"
        where = "" if code == "photo_twice" else f" in {other.split}"
        problems.append(problem(code, fact.sample.image, f"It is the same file as {other.image}{where}."))
    return problems


def _name_conflicts(samples: Sequence[Sample]) -> list[DataProblem]:
    """Return a problem for each name that would occur twice in a channel.

    A channel has no subfolders, and case does not matter on some systems.
    """
    first: dict[tuple[Split, str], Sample] = {}
    problems = []
    for sample in samples:
        other = first.setdefault((sample.split, sample.name.rpartition("/")[2].casefold()), sample)
        if other is not sample:
            message = f"It has the same name as {other.image or other.mask}, in another folder or case."
            problems.append(problem("name_twice", sample.image or sample.mask, message))
    return problems


def _class_problems(source: Dataset, classes: Classes | None, images: NDArray[np.int64]) -> list[DataProblem]:
    """Return problems about unnamed classes, unused classes and classes in only one split."""
    path = source.names.path or source.root.name
    if classes is None:
        message = "The dataset has no class names file, and the masks do not show how many classes there are."
        return [problem("classes_unnamed", path, message)]
    problems = [problem("names_note", path, note) for note in source.names.notes]
    if source.names.classes is None:
        message = (
            f"The dataset has no class names file; the masks have {len(classes)} classes: "
            f"{listing(list(classes.names))}."
        )
        problems.append(problem("classes_unnamed", path, message))
    empty = [number for number in range(len(classes)) if not images[:, number].any()]
    summarized = len(empty) > MOST_EMPTY
    if summarized:
        numbers = listing(_spans(empty))
        problems.append(problem("class_empty", path, f"{len(empty)} classes are not in any mask: {numbers}."))
    for number, name in enumerate(classes.names):
        train, validation = (int(images[row, number]) for row in (0, 1))
        subject = f"Class {number} ({name})"
        if not train and not validation:
            if summarized:
                continue
            problems.append(problem("class_empty", path, f"{subject} is not in any mask."))
        elif not train:
            message = f"{subject} is only in validation masks ({validation})."
            problems.append(problem("class_not_in_train", path, message))
        elif not validation:
            message = f"{subject} is only in training masks ({train})."
            problems.append(problem("class_not_in_validation", path, message))
    return problems


def _spans(numbers: Sequence[int]) -> list[str]:
    """Return sorted numbers as ranges, such as 3 and 12-76."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][-1] == number - 1:
            spans[-1][1:] = [number]
        else:
            spans.append([number])
    return ["-".join(map(str, span)) for span in spans]


def _stray_ids(ids: Sequence[int]) -> tuple[int, ...]:
    """Return the ids above a gap that has more ids than are below it: probably values that are not classes."""
    for below, (before, after) in enumerate(pairwise(ids), 1):
        if after - before - 1 >= max(SMALLEST_GAP, below):
            return tuple(ids[below:])
    return ()


def _stray_problems(source: Dataset, ids: Sequence[int], facts: Sequence[PairFacts]) -> list[DataProblem]:
    """Return a problem for each stray id of a dataset without class names, at the first mask that has it."""
    if source.names.classes is not None or source.label_maps:
        return []
    problems = []
    for stray in _stray_ids(ids):
        masks = [fact for fact in facts if stray in fact.values]
        pixels = sum(fact.counts[fact.values.index(stray)] for fact in masks)
        others = f" in {len(masks):,} masks" if len(masks) > 1 else ""
        last = max(number for number in ids if number < stray)
        message = (
            f"It has the value {stray} ({plural(pixels, 'pixel')}{others}), and no mask has {last + 1} to "
            f"{stray - 1}: that makes {max(ids) + 1} classes."
        )
        problems.append(problem("class_stray", masks[0].sample.mask, message))
    return problems


def _split_problems(source: Dataset, ids: tuple[int, ...], images: NDArray[np.int64]) -> list[DataProblem]:
    """Return problems about splits without images, or without any class in their masks."""
    problems = []
    for row, split in enumerate(SPLITS):
        if not any(sample.split == split and sample.image for sample in source.samples):
            problems.append(problem("split_empty", source.root.name, f"The {split} split has no images."))
        elif ids in ((), (0,)) and images[row, IGNORE]:
            message = f"All masks in the {split} split contain only {'0 and 255' if ids else '255'}."
            problems.append(problem("only_zero_and_255", source.root.name, message))
    return problems
