"""Confidence intervals and paired comparisons, compared with SciPy and with resampling one image after the other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from core.evaluation.bootstrap import (
    COMPARED_CONFIDENCE,
    Comparison,
    ImageTable,
    compared,
    interval,
    resampled_scores,
    student_quantile,
)
from core.evaluation.results import endpoint_scores
from core.evaluation.store import ImageScore
from core.imaging.contours import ContourCounts

CLASSES = 4


def rows(seed: int, images: int) -> list[ImageScore]:
    """Return the counts of random images; some classes are in few of them."""
    random = np.random.default_rng(seed)
    scores = []
    for index in range(images):
        matrix = random.integers(0, 50, (CLASSES, CLASSES)) + np.diag(random.integers(0, 200, CLASSES))
        matrix[:, random.random(CLASSES) < 0.4] = 0
        triples = tuple((int(a), int(p), int(matrix[a, p])) for a, p in zip(*np.nonzero(matrix), strict=True))
        contours = tuple(
            ContourCounts(k, *random.integers(20, 40, 2).tolist(), 15, 30, int(random.integers(30)), 30, 9)
            for k in range(CLASSES)
        )
        scores.append(
            ImageScore("", "x", f"{index:03}", "", "", 9, 9, triples, triples[::2], 0, 1.0, (), contours)
        )
    return scores


def test_each_resample_is_scored_as_a_dataset():
    """The scores of a resample are those of a dataset made of the drawn images, repeated as often as drawn."""
    images = rows(1, 12)
    whole = endpoint_scores("x", images, CLASSES)
    random = np.random.default_rng(20211)
    drawn = random.integers(0, 12, (1000, 12))
    for resample in (0, 17, 999):
        again = endpoint_scores("x", [images[index] for index in drawn[resample]], CLASSES)
        assert {name: values[resample] for name, values in whole.resampled.items()} == pytest.approx(
            again.measures, nan_ok=True
        )


def test_interval_of_a_mean_is_that_of_student():
    """For the mean of normal values the interval is that of the t distribution, as the expansion promises."""
    values = np.random.default_rng(3).normal(0.6, 0.1, 25)
    zeros = np.zeros((25, 3, 2))
    resampled = resampled_scores(ImageTable(zeros, zeros, None, values, None), resamples=20_000)
    bounds = interval(resampled["image_mean_iou"], 25)
    assert bounds is not None
    low, high = stats.t.interval(0.95, 24, values.mean(), values.std(ddof=1) / 5)
    assert (bounds.low, bounds.high) == pytest.approx((low, high), abs=0.004)


@pytest.mark.parametrize("degrees", [9, 15, 40, 1000])
@pytest.mark.parametrize("share", [0.975, 0.995])
def test_quantiles_are_those_of_scipy(degrees, share):
    """Quantiles of the t distribution are those of SciPy, to three digits, for the sizes that are used."""
    assert student_quantile(share, degrees) == pytest.approx(stats.t.ppf(share, degrees), rel=1e-3)


def test_few_images_have_no_interval():
    """With fewer than 10 images there is no interval, and the comparison says that it cannot be said."""
    assert endpoint_scores("x", rows(1, 9), CLASSES).intervals["mean_iou"] is None
    assert endpoint_scores("x", rows(1, 10), CLASSES).intervals["mean_iou"] is not None
    comparison = paired(rows(1, 9), rows(2, 9))
    assert comparison.better is None
    assert "cannot be said with 9 images: evaluate at least 10" in comparison.sentence


def paired(first: list[ImageScore], second: list[ImageScore]) -> Comparison:
    results = [endpoint_scores(name, images, CLASSES) for name, images in (("A", first), ("B", second))]
    ious = [
        np.array([image.mean_iou for image in sorted(result.images, key=lambda image: image.score.name)])
        for result in results
    ]
    return compared(
        ["A", "B"], [each.measures for each in results], [each.resampled for each in results], ious
    )


def test_the_same_model_twice():
    """Two endpoints with the same predictions have a difference of exactly 0, and tie in every image."""
    comparison = paired(rows(1, 12), rows(1, 12)[::-1])
    assert (comparison.better, comparison.ties) == ("", 12)
    bounds = comparison.intervals["mean_iou"]
    assert bounds is not None
    assert (bounds.low, bounds.high) == (0, 0)
    assert comparison.sentence.startswith("No difference beyond chance")


def counts_of(random: np.random.Generator, skill: np.ndarray, actual: np.ndarray) -> ImageTable:
    """Return the counts of a model that gets a share of each image's pixels right: `skill`, and some luck."""
    share = np.clip(skill + random.normal(0, 0.05, len(skill)), 0, 1)
    correct = random.binomial(actual, share[:, np.newaxis])
    wrong = (actual - correct).sum(axis=1)
    predicted = correct + random.multinomial(wrong, np.full(CLASSES, 1 / CLASSES))
    table = np.stack([correct, actual, predicted], axis=1).astype(np.float64)
    iou = (correct / np.maximum(actual + predicted - correct, 1)).mean(axis=1)
    return ImageTable(table, table, None, iou, None)


def verdicts(edge: float) -> list[str | None]:
    """Return which of two models is better in 100 seeded trials of 20 images; `edge`: how much better A is."""
    answers = []
    for seed in range(100):
        random = np.random.default_rng(seed)
        actual = random.multinomial(1000, np.full(CLASSES, 1 / CLASSES), 20)
        skill = random.beta(4, 1, 20) * 0.9
        tables = [counts_of(random, skill + ahead, actual) for ahead in (edge, 0.0)]
        resampled = [resampled_scores(table)["mean_iou"] for table in tables]
        bounds = interval(resampled[0] - resampled[1], 20, COMPARED_CONFIDENCE)
        assert bounds is not None
        answers.append("" if 0 in bounds else "A" if bounds.low > 0 else "B")
    return answers


def test_equal_models_do_not_differ():
    """Two equally good models with independent errors are reported as equal in at least 95 of 100 trials."""
    assert verdicts(0.0).count("") >= 95


def test_a_better_model_is_recognized():
    """A model that gets 8 % more of the pixels right is recognized in at least 90 of 100 trials, the other never."""
    answers = verdicts(0.08)
    assert answers.count("A") >= 90
    assert "B" not in answers
