"""The scores and images of an evaluation, as its run stores them, so that it is shown again without a call.

All scores are stored, and the worst images with their ground truth and predictions: a dataset may be larger than the
whole store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core import errors
from core.errors import AwsError, CoreError, InputError
from core.escaping import json_bytes
from core.evaluation.pairs import LabeledImage
from core.evaluation.report import failure_rows, number_or_none
from core.evaluation.results import Evaluation, JobScore, endpoint_scores
from core.evaluation.run import EvaluationFailure
from core.evaluation.store import ImageScore, PredictedMasks
from core.imaging.classes import Classes, voc_colors
from core.imaging.image import open_mask
from core.render.masks import mask_png
from core.runs.run import CONTENT_ID, MOST_NAMES
from core.runs.store import RunStore
from core.strict_json import parse_json

MOST_IMAGES = 200
"""Images of an evaluation that are stored, the worst first."""

NO_CONTOURS = (
    "Boundary IoU and boundary F1: not computed. This evaluation was stored by an earlier version of Segdeck. "
    "Evaluate again to get them; cached predictions are reused."
)
"""The note on an evaluation that was stored before contours were counted."""

HEAD = {"segdeck": "evaluation scores", "version": 1}


@dataclass(frozen=True, slots=True)
class StoredImage:
    """The ids, in the store, of an evaluated image, its ground truth and its predictions by cache key."""

    image: str
    mask: str
    predicted: Mapping[str, str]

    @property
    def contents(self) -> tuple[str, ...]:
        """Return all of them."""
        return (self.image, self.mask, *self.predicted.values())


@dataclass(frozen=True, slots=True, eq=False)
class StoredMasks:
    """The predicted masks of a stored evaluation; see `PredictedMasks`. names: cache key -> id in the store."""

    store: RunStore
    names: Mapping[str, str] = field(default_factory=dict)

    def predicted(self, key: str) -> NDArray[np.uint8]:
        """Return the predicted mask, (H, W) uint8 class ids. Raises InputError where it is not stored."""
        return open_mask(self.store.content(self.names.get(key, "")), "the predicted mask")


@dataclass(frozen=True, slots=True, eq=False)
class StoredEvaluation:
    """An evaluation from the store. seconds: how long it took."""

    evaluation: Evaluation
    pairs: tuple[LabeledImage, ...]
    masks: StoredMasks
    seconds: float


def measures_of(evaluation: Evaluation) -> tuple[dict[str, float | None], ...]:
    """Return the overall scores of each endpoint in JSON types."""
    return tuple(
        {name: number_or_none(value) for name, value in scores.measures.items()}
        for scores in evaluation.endpoints
    )


def names_of(evaluation: Evaluation) -> tuple[str, ...]:
    """Return file names of the evaluation to search for, the worst first."""
    return tuple(image.score.image for image in evaluation.endpoints[0].images[:MOST_NAMES])


def store_image(
    store: RunStore, pair: LabeledImage, keys: Sequence[str], masks: PredictedMasks
) -> StoredImage:
    """Store an evaluated image with its ground truth and predictions. Raises InputError, AwsError, OSError."""
    table = voc_colors(256)
    ground_truth = pair.ids(pair.read_mask(), pair.mask)
    return StoredImage(
        store.add_content(pair.read_image()),
        store.add_content(mask_png(ground_truth, table)),
        {key: store.add_content(mask_png(masks.predicted(key), table)) for key in keys},
    )


def to_bytes(evaluation: Evaluation, seconds: float, images: Mapping[str, StoredImage]) -> bytes:
    """Return the scores as JSON. images: name of the pair -> its files in the store."""
    return json_bytes(
        {
            **HEAD,
            "classes": evaluation.classes.to_json(),
            "endpoints": [
                {"name": scores.endpoint, "images": [image.score.to_row() for image in scores.images]}
                for scores in evaluation.endpoints
            ],
            "failures": failure_rows(evaluation),
            "notes": list(evaluation.notes),
            "jobs": {name: asdict(job) for name, job in (evaluation.jobs or {}).items()},
            "seconds": seconds,
            "files": {name: asdict(image) for name, image in images.items()},
        },
        indent=None,
    )


def reopen(store: RunStore, scores: str) -> StoredEvaluation:
    """Return a stored evaluation. scores: the id of its scores. Raises InputError."""
    data = store.content(scores)
    try:
        return _reopened(store, parse_json(data))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            "The stored scores of this evaluation cannot be read.",
            why=f"They were not written by this version of Segdeck, or are damaged: {error!r}.",
            todo="Evaluate again; cached predictions are reused.",
        ) from error


def _reopened(store: RunStore, document: Mapping[str, Any]) -> StoredEvaluation:
    if any(document[name] != value for name, value in HEAD.items()):
        raise ValueError("it is of another version")
    classes = Classes.from_json(document["classes"])
    rows = {
        endpoint["name"]: [ImageScore.from_row(row) for row in endpoint["images"]]
        for endpoint in document["endpoints"]
    }
    notes = [*map(str, document["notes"])]
    if any(score.contours is None for scores in rows.values() for score in scores):
        notes.append(NO_CONTOURS)
    evaluation = Evaluation(
        classes,
        tuple(endpoint_scores(name, scores, len(classes)) for name, scores in rows.items()),
        tuple(map(_failure, document["failures"])),
        tuple(notes),
        {name: JobScore(**job) for name, job in document["jobs"].items()},
    )
    images = {name: StoredImage(**row) for name, row in document["files"].items()}
    for image in images.values():
        if not all(map(CONTENT_ID.fullmatch, image.contents)):
            raise ValueError("the id of a file is invalid")
    names = {key: name for image in images.values() for key, name in image.predicted.items()}
    pairs = tuple(_pair(store, score, images.get(score.name)) for score in next(iter(rows.values())))
    return StoredEvaluation(evaluation, pairs, StoredMasks(store, names), float(document["seconds"]))


def _pair(store: RunStore, score: ImageScore, stored: StoredImage | None) -> LabeledImage:
    read_image, read_mask = (
        _reader(store, name, score) for name in (("", "") if stored is None else (stored.image, stored.mask))
    )
    return LabeledImage(score.name, score.image, score.mask, read_image, read_mask)


def _reader(store: RunStore, name: str, score: ImageScore) -> Callable[[], bytes]:
    return partial(store.content, name) if name else partial(_not_stored, score.image)


def _not_stored(image: str) -> bytes:
    raise InputError(
        f"The image {image} is not stored with this run.",
        why=f"A run stores the {MOST_IMAGES} worst images of an evaluation, as long as they could be read.",
        todo="Evaluate again to inspect it; cached predictions are reused.",
    )


def _failure(row: Mapping[str, Any]) -> EvaluationFailure:
    """Return a failure as it was: with the same kind of error, as far as `core.errors` has it."""
    kind = vars(errors).get(row["error"])
    plain = isinstance(kind, type) and issubclass(kind, AwsError | InputError)
    error = (kind if plain and kind else CoreError)(row["what"], why=row["why"], todo=row["todo"])
    return EvaluationFailure(row["name"], row["endpoint"] or "", error)
