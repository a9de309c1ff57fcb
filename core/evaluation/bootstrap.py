"""Confidence intervals of scores, and the comparison of two endpoints, by a bootstrap over images.

The images are drawn again, with replacement, as many as there are, and every score is computed from the counts of the
drawn ones. Pixels of one image are not independent; images are, so images are drawn and not pixels. Two endpoints are
compared on the same draws (paired): what is difficult about an image is difficult for both.

Sources:
    Bootstrap       B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", 1993.
    Interval        T. C. Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician
                    69, 2015: the expanded percentile interval. The plain one is too narrow for few images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
SEED = 20211

FEWEST_IMAGES = 10
"""With fewer images there is no interval: it would be too narrow, and of little use."""

CONFIDENCE = 0.95
"""Of the interval of a score."""

COMPARED_CONFIDENCE = 0.99
"""Of the interval of a difference. Of 100 pairs of equal models, about one is then reported to differ."""

HOW = (
    f"Intervals: {CONFIDENCE:.0%}, of a difference {COMPARED_CONFIDENCE:.0%}, by a bootstrap over images "
    f"({RESAMPLES:,} resamples, seed {SEED}; expanded percentiles, Hesterberg 2015). They need at least "
    f"{FEWEST_IMAGES} images. They cover the choice of the images, not that of another training run."
)
"""How intervals are computed, for readers of the scores."""

_BLOCK = 1 << 22
"""Numbers that are drawn at once."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval of a score or of a difference."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True, eq=False)
class ImageTable:
    """What is known of N images, in the same order: enough to compute all scores of any selection of them.

    pixels, trimap: (N, 3, K) float64: correct pixels, pixels in the ground truth and predicted pixels, by class.
    bands:          (N, 3, K) float64: pixels in both boundary bands, in that of the ground truth and of the
                    prediction; None if they were not counted.
    image_iou:      (N,) float64, the mean IoU of each image; NaN without any.
    image_f1:       (N,) float64, the boundary F1 of each image; None if it was not counted.
    """

    pixels: NDArray[np.float64]
    trimap: NDArray[np.float64]
    bands: NDArray[np.float64] | None
    image_iou: NDArray[np.float64]
    image_f1: NDArray[np.float64] | None


def resampled_scores(
    table: ImageTable, *, resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, NDArray[np.float64]]:
    """Return the scores of each resample by their key in `core.imaging.scores.MEASURES`, (resamples,) float64 each.

    The draws depend only on `seed` and the number of images, so that those of two endpoints are paired.
    """
    count = len(table.image_iou)
    parts = [_scores_of(table, weights) for weights in _draws(count, resamples, seed)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def interval(values: NDArray[np.float64], images: int, confidence: float = CONFIDENCE) -> Interval | None:
    """Return the interval of the resampled values; None for fewer than FEWEST_IMAGES images, and for NaN alone."""
    valid = values[~np.isnan(values)]
    if images < FEWEST_IMAGES or not len(valid):
        return None
    tail = expanded_tail(confidence, images)
    low, high = np.quantile(valid, [tail, 1 - tail])
    return Interval(float(low), float(high))


def expanded_tail(confidence: float, images: int) -> float:
    """Return the share of resamples to cut off at each end: for few images it is less than (1 - confidence) / 2."""
    quantile = student_quantile((1 + confidence) / 2, images - 1)
    return NormalDist().cdf(-math.sqrt(images / (images - 1)) * quantile)


def student_quantile(share: float, degrees: int) -> float:
    """Return a quantile of Student's t distribution, by the Cornish-Fisher expansion (Abramowitz, Stegun 26.7.5)."""
    z = NormalDist().inv_cdf(share)
    terms: tuple[float, ...] = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum((term / float(degrees) ** power for power, term in enumerate(terms, 1)), 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The first endpoint compared with the second, on the same images.

    differences: by score, the first minus the second; NaN where one of them is.
    intervals:   by score, of the difference; None where it cannot be computed.
    first_wins, second_wins, ties: images by their mean IoU; images without labeled pixels are not counted.
    """

    first: str
    second: str
    differences: Mapping[str, float]
    intervals: Mapping[str, Interval | None]
    first_wins: int
    second_wins: int
    ties: int

    @property
    def images(self) -> int:
        """Return the number of images that are compared."""
        return self.first_wins + self.second_wins + self.ties

    @property
    def better(self) -> str | None:
        """Return the endpoint with the higher mean IoU; empty for no difference beyond chance; None if unknown."""
        bounds = self.intervals["mean_iou"]
        if bounds is None:
            return None
        if 0 in bounds:
            return ""
        return self.first if bounds.low > 0 else self.second

    @property
    def sentence(self) -> str:
        """Return whether the difference is more than chance, with the numbers that say so."""
        ahead, bounds = self.differences["mean_iou"], self.intervals["mean_iou"]
        if math.isnan(ahead):
            return "The endpoints cannot be compared: no pixel is labeled."
        wins = (
            f"Of {self.images:,} images, {self.first} has the higher mean IoU in "
            f"{_share(self.first_wins, self.images)}, {self.second} in {_share(self.second_wins, self.images)}."
        )
        gap = f"mean IoU {self.first} minus {self.second}: {ahead * 100:+.1f} points"
        if bounds is None:
            return (
                f"Whether the difference is more than chance cannot be said with {self.images:,} "
                f"image{'' if self.images == 1 else 's'}: evaluate at least {FEWEST_IMAGES} ({gap}). {wins}"
            )
        gap += f", {COMPARED_CONFIDENCE:.0%} interval {bounds.low * 100:+.1f} to {bounds.high * 100:+.1f}"
        if self.better:
            other = self.second if self.better == self.first else self.first
            return f"{self.better} is better than {other} by more than chance ({gap}). {wins}"
        return f"No difference beyond chance ({gap}, which includes 0). {wins}"


def compared(
    names: Sequence[str],
    measures: Sequence[Mapping[str, float]],
    resampled: Sequence[Mapping[str, NDArray[np.float64]]],
    image_ious: Sequence[NDArray[np.float64]],
) -> Comparison:
    """Return the comparison of two endpoints. Each argument has an item for both.

    measures: the scores; resampled: see `resampled_scores`; image_ious: (N,) float64, in the same order of images.
    """
    differences = {name: measures[0][name] - measures[1][name] for name in measures[0]}
    count = len(image_ious[0])
    intervals = {
        name: interval(resampled[0][name] - resampled[1][name], count, COMPARED_CONFIDENCE)
        if name in resampled[0] and name in resampled[1]
        else None
        for name in differences
    }
    ahead = image_ious[0] - image_ious[1]
    wins = [int(np.count_nonzero(compare)) for compare in (ahead > 0, ahead < 0, ahead == 0)]
    return Comparison(names[0], names[1], differences, intervals, *wins)


def _share(part: int, whole: int) -> str:
    return f"{part / max(1, whole):.0%}"


def _draws(count: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield how often each image is drawn, (R, N) float64, for blocks of resamples."""
    random = np.random.default_rng(seed)
    step = max(1, _BLOCK // count)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = random.integers(0, count, (rows, count))
        drawn += np.arange(rows)[:, np.newaxis] * count
        yield np.bincount(drawn.reshape(-1), minlength=rows * count).reshape(rows, count).astype(np.float64)


def _scores_of(table: ImageTable, weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return the scores of the resamples, (R,) float64 each. weights: see `_draws`."""
    correct, actual, predicted = _sums(table.pixels, weights)
    union = actual + predicted - correct
    iou = _divided(correct, union)
    pixels = actual.sum(axis=1)
    values = {
        "mean_iou": _means(iou),
        "image_mean_iou": _weighted(table.image_iou, weights),
        "trimap_mean_iou": _means(_iou(_sums(table.trimap, weights))),
        "mean_dice": _means(_divided(2 * correct, actual + predicted)),
        "pixel_accuracy": _divided(correct.sum(axis=1), pixels),
        "mean_accuracy": _means(_divided(correct, actual)),
        "frequency_weighted_iou": _divided(
            np.where(actual > 0, actual * np.nan_to_num(iou), 0).sum(axis=1), pixels
        ),
    }
    if table.bands is not None:
        values["boundary_mean_iou"] = _means(_iou(_sums(table.bands, weights)))
    if table.image_f1 is not None:
        values["boundary_f1"] = _weighted(table.image_f1, weights)
    return values


def _sums(counts: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the counts of each resample, (3, R, K) float64."""
    flat = weights @ counts.reshape(len(counts), -1)
    return np.moveaxis(flat.reshape(len(weights), *counts.shape[1:]), 1, 0)


def _iou(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    both, actual, predicted = sums
    return _divided(both, actual + predicted - both)


def _means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of the classes that are not NaN, (R,) float64, of values (R, K)."""
    return _divided(np.nan_to_num(values).sum(axis=1), (~np.isnan(values)).sum(axis=1).astype(np.float64))


def _weighted(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the drawn images that are not NaN, (R,) float64, of values (N,)."""
    return _divided(weights @ np.nan_to_num(values), weights @ (~np.isnan(values)).astype(np.float64))


def _divided(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0)
