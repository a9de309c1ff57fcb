"""The report files of an evaluation, for the page's downloads and the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from core.errors import InputError
from core.escaping import csv_bytes
from core.evaluation.html_report import LONGEST, WORST, to_html
from core.evaluation.pairs import LabeledImage
from core.evaluation.report import (
    SUSPECT_COLUMNS,
    class_rows,
    confusion_rows,
    image_rows,
    score_rows,
    suspect_rows,
    to_json,
)
from core.evaluation.results import Evaluation
from core.evaluation.samples import EvaluationSample, read_sample
from core.evaluation.store import FILES, ImageScore, PredictedMasks, PredictionStore
from core.inference.export import write_new


def make(
    of: Evaluation, name: str, samples: Callable[[], Sequence[EvaluationSample]], made_at: datetime
) -> bytes:
    """Return the content of one of `core.evaluation.store.FILES`. samples: called for the file that shows images."""
    makers: Mapping[str, Callable[[], bytes]] = {
        "suspects.csv": lambda: csv_bytes(suspect_rows(of), SUSPECT_COLUMNS),
        "scores.csv": lambda: csv_bytes(score_rows(of)),
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
    """Write all report files into the store's folder, replacing those of an earlier run. Raises InputError."""
    paths = []
    for name in FILES:
        path = store.folder / name
        write_new(path, make(of, name, lambda: worst_samples(of, pairs, store), made_at), overwrite=True)
        paths.append(path)
    return paths


def worst_samples(
    of: Evaluation, pairs: Sequence[LabeledImage], store: PredictedMasks, most: int = WORST
) -> list[EvaluationSample]:
    """Return the worst images of the first endpoint, with the predictions of all; those without files are skipped."""
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
    """Return the scores of one image at each endpoint."""
    return tuple(
        image.score for result in of.endpoints for image in result.images if image.score.name == name
    )
