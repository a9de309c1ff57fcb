"""Turn annotations into a folder of images and masks, which the other modules read.

A folder with masks is used as it is. Shapes (`core.datasets.annotations`) and the brush labels of Label Studio are
drawn into a new folder.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.datasets.annotations.detection import read_annotations
from core.datasets.annotations.drawing import Unlabeled, draw_annotations
from core.datasets.check import OnProgress
from core.datasets.label_studio import LabelStudioExportError, merge
from core.datasets.readers import AnnotationsError, read_dataset
from core.datasets.source import Dataset, Splitting


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a dataset.

    splitting: how to split a dataset that does not define its split.
    classes:   a class names file, instead of the dataset's own.
    choices:   which masks or annotations to use, if there are several.
    unlabeled: what becomes of pixels without a shape.
    """

    splitting: Splitting = field(default_factory=Splitting)
    classes: Path | None = None
    choices: tuple[str, ...] = ()
    unlabeled: Unlabeled = "background"


def prepared_dataset(
    folder: Path,
    options: ReadOptions,
    new_folder: Callable[[], Path],
    executor: Executor,
    *,
    called: str = "",
    on_progress: OnProgress | None = None,
) -> tuple[Dataset, tuple[str, ...]]:
    """Read a dataset; if it has annotations without masks, draw them into a new folder first.

    new_folder: returns a folder that exists as long as the dataset is used.
    called:     the name of the dataset for messages.

    Return the dataset and sentences on what was decided. Raises InputError, ChoiceNeededError.
    """
    shown = called or str(folder)
    try:
        source = read_dataset(
            folder,
            splitting=options.splitting,
            classes=options.classes,
            called=shown,
            choices=options.choices,
        )
    except LabelStudioExportError:
        into = new_folder() / folder.name
        notes = merge(folder, into, on_progress or (lambda *_: None))
        source = read_dataset(into, splitting=options.splitting, classes=options.classes, called=shown)
        return source, notes
    except AnnotationsError as error:
        annotations = read_annotations(error.root, error.kind, error.choices)
        error.choices.check()
        into = new_folder() / folder.name
        drawn = draw_annotations(
            error.root,
            annotations,
            into,
            executor,
            unlabeled=options.unlabeled,
            class_file=options.classes,
            on_progress=on_progress,
        )
        source = read_dataset(into, splitting=options.splitting, called=shown)
        problems = (*source.problems, *drawn.problems)
        return replace(source, kind=error.kind, problems=problems), drawn.notes
    return source, ()
