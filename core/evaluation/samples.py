"""A judged photo with its truth and what was predicted: what a viewer or a report shows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.evaluation.pairs import LabeledImage
from core.evaluation.run import opened_pair
from core.evaluation.store import ImageScore, PredictionStore
from core.imaging.image import fitted_size, resize_labels


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationSample:
    """One photo.

    photo:     RGB or L.
    truth:     (H, W) uint8 class ids of the photo's size.
    predicted: of each endpoint, likewise.
    scores:    of each endpoint.
    """

    photo: Image.Image
    truth: NDArray[np.uint8]
    predicted: tuple[NDArray[np.uint8], ...]
    scores: tuple[ImageScore, ...]

    @property
    def name(self) -> str:
        """The pair's."""
        return self.scores[0].name


def read_sample(
    pair: LabeledImage, scores: tuple[ImageScore, ...], store: PredictionStore, longest: int
) -> EvaluationSample:
    """Read what is needed, with no side above `longest` pixels: shots of whole photos would take gigabytes.

    Raises InputError where a file has gone or changed its size since.
    """
    with opened_pair(pair) as opened:
        predicted = tuple(store.predicted(score.key) for score in scores)
        return smaller(EvaluationSample(opened.photo.pixels, opened.truth, predicted, scores), longest)


def smaller(sample: EvaluationSample, longest: int) -> EvaluationSample:
    """The same with no side above `longest` pixels; masks by nearest neighbour."""
    width, height = fitted_size(*sample.photo.size, (longest, longest))
    return replace(
        sample,
        photo=sample.photo.resize((width, height), reducing_gap=2.0).convert("RGB"),
        truth=resize_labels(sample.truth, height, width),
        predicted=tuple(resize_labels(mask, height, width) for mask in sample.predicted),
    )
