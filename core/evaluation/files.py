"""The files that an evaluation leaves behind, made for the page's downloads and written by the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from core.errors import InputError
from core.escaping import csv_bytes
from core.evaluation.html_report import LONGEST, WORST, to_html
from core.evaluation.pairs import LabeledImage
from core.evaluation.report import class_rows, confusion_rows, image_rows, to_json
from core.evaluation.results import Evaluation
from core.evaluation.samples import EvaluationSample, read_sample
from core.evaluation.store import FILES, ImageScore, PredictionStore
from core.inference.export import write_new


def make(
    of: Evaluation, name: str, samples: Callable[[], Sequence[EvaluationSample]], made_at: datetime
) -> bytes:
    """One of `core.evaluation.store.FILES`. shots: called where pictures are wanted."""
    makers: Mapping[str, Callable[[], bytes]] = {
        "classes.csv": lambda: csv_bytes(class_rows(of)),
        "images.csv": lambda: csv_bytes(image_rows(of)),
        "confusion.csv": lambda: csv_bytes(confusion_rows(of)),
        "report.json": lambda: to_json(of),
        "report.html": lambda: to_html(of, samples(), made_at),
    }
    return makers[name]()


def write_all(
    of: Evaluation, pairs: Sequence[LabeledImage], store: PredictionStore, made_at: datetime
) -> list[Path]:
    """Write them into the store's folder, where they replace those of an earlier run. Raises InputError."""
    paths = []
    for name in FILES:
        path = store.folder / name
        write_new(path, make(of, name, lambda: worst_samples(of, pairs, store), made_at), overwrite=True)
        paths.append(path)
    return paths


def worst_samples(
    of: Evaluation, pairs: Sequence[LabeledImage], store: PredictionStore, most: int = WORST
) -> list[EvaluationSample]:
    """The worst photos of the first endpoint, with the answers of all; those whose files have gone are left out."""
    by_name = {pair.name: pair for pair in pairs}
    samples = []
    for image in of.endpoints[0].images[:most]:
        name = image.score.name
        try:
            samples.append(read_sample(by_name[name], scores_of(of, name), store, LONGEST))
        except InputError:
            continue
    return samples


def scores_of(of: Evaluation, name: str) -> tuple[ImageScore, ...]:
    """One photo's rows, of each endpoint."""
    return tuple(
        image.score for result in of.endpoints for image in result.images if image.score.name == name
    )
