"""Scores, compared with scikit-learn and with counting pixel by pixel."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.errors import InputError
from core.imaging.scores import (
    ConfusionMatrix,
    confusion_matrix,
    image_means,
    scores,
    trimap_band,
    trimap_ground_truth,
)

CLASSES = 4
IDS = st.sampled_from([*range(CLASSES), 255])


def masks(elements: st.SearchStrategy[int] = IDS) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    """Return ground truths and predictions of the same size; the prediction may have ids that are not classes."""
    shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
    predicted = st.integers(0, CLASSES - 1)
    return shapes.flatmap(
        lambda shape: st.tuples(
            arrays(np.uint8, shape, elements=elements), arrays(np.uint8, shape, elements=predicted)
        )
    )


def mask(*rows: str) -> np.ndarray:
    """Return a mask drawn with digits; a dot is 255."""
    return np.array([[255 if sign == "." else int(sign) for sign in row] for row in rows], np.uint8)


@given(masks())
@settings(max_examples=200, deadline=None)
def test_the_same_as_scikit_learn(pair):
    """Counts, IoU, Dice, accuracies and weighted IoU are those of scikit-learn on the counted pixels."""
    from sklearn import metrics  # slow to import

    truth, predicted = pair
    counted = truth != 255
    if not counted.any():
        return
    true, said = truth[counted], predicted[counted]
    found = confusion_matrix(truth, predicted, CLASSES)
    ours = scores(found)
    labels = list(range(CLASSES))
    assert np.array_equal(found.counts, metrics.confusion_matrix(true, said, labels=labels))
    there = [k for k in labels if (true == k).any() or (said == k).any()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        iou = metrics.jaccard_score(true, said, labels=there, average=None)
        dice = metrics.f1_score(true, said, labels=there, average=None)
        recall = metrics.recall_score(true, said, labels=np.unique(true), average=None)
        weighted = metrics.jaccard_score(true, said, labels=there, average="weighted")
    assert ours.iou[there] == pytest.approx(iou, abs=1e-12)
    assert ours.dice[there] == pytest.approx(dice, abs=1e-12)
    assert ours.mean_iou == pytest.approx(iou.mean(), abs=1e-12)
    assert ours.mean_dice == pytest.approx(dice.mean(), abs=1e-12)
    assert ours.mean_accuracy == pytest.approx(recall.mean(), abs=1e-12)
    assert ours.pixel_accuracy == pytest.approx(metrics.accuracy_score(true, said), abs=1e-12)
    assert ours.frequency_weighted_iou == pytest.approx(weighted, abs=1e-12)
    assert np.isnan(ours.iou[[k for k in labels if k not in there]]).all()


@given(masks(), masks())
@settings(deadline=None)
def test_confusion_matrices_add_up(one, other):
    """The confusion matrices of two images add up to that of all their pixels."""
    both = confusion_matrix(
        np.concatenate([one[0].ravel(), other[0].ravel()])[None],
        np.concatenate([one[1].ravel(), other[1].ravel()])[None],
        CLASSES,
    )
    added = confusion_matrix(*one, CLASSES) + confusion_matrix(*other, CLASSES)
    assert np.array_equal(added.counts, both.counts)
    assert added.ignored == both.ignored == int((one[0] == 255).sum() + (other[0] == 255).sum())


@given(masks())
@settings(deadline=None)
def test_triples_hold_the_whole_matrix(pair):
    """The nonzero counts restore the whole matrix, also for more classes."""
    found = confusion_matrix(*pair, CLASSES)
    again = ConfusionMatrix.from_triples(found.triples(), CLASSES, found.ignored)
    more = ConfusionMatrix.from_triples(found.triples(), CLASSES + 3, found.ignored)
    assert np.array_equal(again.counts, found.counts)
    assert again.ignored == more.ignored == found.ignored
    assert np.array_equal(more.counts[:CLASSES, :CLASSES], found.counts)


def test_by_hand():
    """A prediction with 3 of 4 counted pixels correct has these scores."""
    found = scores(confusion_matrix(mask("00.", "11."), mask("000", "010"), 3))
    assert found.iou[:2].tolist() == pytest.approx([2 / 3, 1 / 2])
    assert np.isnan(found.iou[2])
    assert found.mean_iou == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found.pixel_accuracy == pytest.approx(3 / 4)
    assert found.mean_accuracy == pytest.approx((1 + 1 / 2) / 2)


def test_ignored_pixels_change_nothing():
    """What is predicted where the ground truth is 255 does not change the scores."""
    truth = mask("01.", "1.0")
    one, other = (
        confusion_matrix(truth, mask("010", "110"), 2),
        confusion_matrix(truth, mask("011", "100"), 2),
    )
    assert np.array_equal(one.counts, other.counts)
    assert one.ignored == 2


def test_prediction_that_is_not_a_class():
    """A pixel predicted as 255, or as an id beyond the classes, counts only against its actual class."""
    found = confusion_matrix(mask("0011"), np.array([[0, 255, 1, 7]], np.uint8), 2)
    assert found.outside.tolist() == [1, 1]
    assert found.pixels == 4
    assert scores(found).iou.tolist() == [0.5, 0.5]
    assert scores(found).pixel_accuracy == 0.5
    assert found.triples() == ((0, 0, 1), (1, 1, 1), (0, 255, 1), (1, 255, 1))


def test_ground_truth_beyond_the_classes():
    """A ground truth with an id beyond the classes is refused with that id and the number of classes."""
    with pytest.raises(InputError, match="contains class 3, 7; there are 2 classes, 0 to 1"):
        confusion_matrix(mask("0137"), mask("0000"), 2)


def test_unused_class_is_not_in_any_mean():
    """A class in neither ground truth nor prediction is NaN, and does not lower any mean."""
    found = scores(confusion_matrix(mask("02"), mask("02"), 3))
    assert np.isnan(found.iou[1])
    assert found.mean_iou == found.mean_dice == found.mean_accuracy == 1


def test_nothing_to_count():
    """If the whole ground truth is 255, every score is NaN."""
    found = scores(confusion_matrix(mask("..."), mask("012"), 3))
    assert np.isnan(
        [found.mean_iou, found.pixel_accuracy, found.mean_accuracy, found.frequency_weighted_iou]
    ).all()


def test_per_image_and_cumulative_are_two_means():
    """A small image weighs as much as a large one per image, and less when all pixels are counted together."""
    large = confusion_matrix(mask("0" * 8, "1" * 8), mask("0" * 8, "1" * 8), 2)
    small = confusion_matrix(mask("01"), mask("10"), 2)
    assert image_means([scores(large).iou, scores(small).iou], 2).mean_iou == 0.5
    assert scores(large + small).mean_iou == pytest.approx(8 / 10)


def test_per_image_mean_of_a_class_is_over_its_images():
    """The per-image IoU of a class is the mean over the images with the class; NaN without any."""
    one, other = confusion_matrix(mask("00"), mask("00"), 3), confusion_matrix(mask("01"), mask("11"), 3)
    found = image_means([scores(one).iou, scores(other).iou], 3)
    assert found.iou[:2].tolist() == [0.5, 0.5]
    assert np.isnan(found.iou[2])


@given(masks(), st.integers(0, 4))
@settings(deadline=None)
def test_trimap_is_that_of_a_plain_loop(pair, width):
    """A pixel is in the trimap exactly if there are two classes in the square around it."""
    truth = pair[0]
    expected = np.zeros(truth.shape, bool)
    for row, column in np.ndindex(*truth.shape):
        around = truth[max(0, row - width) : row + width + 1, max(0, column - width) : column + width + 1]
        expected[row, column] = truth[row, column] != 255 and len(set(around.ravel()) - {255}) > 1
    assert np.array_equal(trimap_band(truth, width), expected)


def test_trimap_crosses_an_ignored_strip():
    """A class on each side of a narrow strip of 255 makes a border; 255 next to one class does not."""
    assert trimap_band(mask("00..11"), 2).tolist() == [[False, False, False, False, False, False]]
    assert trimap_band(mask("00..11"), 3).tolist() == [[False, True, False, False, True, False]]
    assert not trimap_band(mask("000...", "000..."), 4).any()


def test_trimap_iou_is_more_sensitive_at_borders():
    """An error along a border lowers the trimap IoU more than the IoU of all pixels."""
    truth = mask(*["0" * 30 + "1" * 30] * 20)
    predicted = mask(*["0" * 32 + "1" * 28] * 20)
    whole = scores(confusion_matrix(truth, predicted, 2)).mean_iou
    near = scores(confusion_matrix(trimap_ground_truth(truth, 5), predicted, 2)).mean_iou
    assert near == pytest.approx((5 / 7 + 3 / 5) / 2)
    assert whole > near


def test_arguments_are_not_changed():
    """Counting changes neither mask."""
    truth, predicted = mask("01.", "110"), mask("011", "100")
    before = truth.copy(), predicted.copy()
    confusion_matrix(truth, predicted, 2)
    trimap_ground_truth(truth)
    assert np.array_equal(truth, before[0])
    assert np.array_equal(predicted, before[1])


def test_different_sizes():
    """Masks of different sizes are refused."""
    with pytest.raises(ValueError, match=r"\(1, 2\), the prediction is \(1, 3\)"):
        confusion_matrix(mask("01"), mask("011"), 2)
