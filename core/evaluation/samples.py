"""Evaluated images with ground truth and predictions, for the viewer and the report."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.evaluation.pairs import LabeledImage
from core.evaluation.run import opened_pair
from core.evaluation.store import ImageScore, PredictedMasks
from core.imaging.image import fitted_size, resize_labels


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationSample:
    """One evaluated image.

    image:        RGB or L.
    ground_truth: (H, W) uint8 class ids of the image's size.
    predicted:    (H, W) uint8 class ids, for each endpoint.
    scores:       for each endpoint.
    """

    image: Image.Image
    ground_truth: NDArray[np.uint8]
    predicted: tuple[NDArray[np.uint8], ...]
    scores: tuple[ImageScore, ...]

    @property
    def name(self) -> str:
        """Return the name of the pair."""
        return self.scores[0].name


def read_sample(
    pair: LabeledImage, scores: tuple[ImageScore, ...], store: PredictedMasks, longest: int
) -> EvaluationSample:
    """Read an evaluated image, resized to at most `longest` pixels per side, since whole images would take gigabytes.

    Raises InputError where a file no longer exists or has another size now.
    """
    with opened_pair(pair) as opened:
        predicted = tuple(store.predicted(score.key) for score in scores)
        return smaller(EvaluationSample(opened.image.pixels, opened.ground_truth, predicted, scores), longest)


def smaller(sample: EvaluationSample, longest: int) -> EvaluationSample:
    """Return the sample resized to at most `longest` pixels per side; masks by nearest neighbor."""
    width, height = fitted_size(*sample.image.size, (longest, longest))
    return replace(
        sample,
        image=sample.image.resize((width, height), reducing_gap=2.0).convert("RGB"),
        ground_truth=resize_labels(sample.ground_truth, height, width),
        predicted=tuple(resize_labels(mask, height, width) for mask in sample.predicted),
    )
