"""The algorithm's array operations, which need no MXNet."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from sandbox.algorithm.augment import batches, random_crop, random_orientation
from sandbox.algorithm.mxnet_import import hidden
from sandbox.algorithm.predict import most_likely_class, normalize, pad, softmax
from sandbox.algorithm.scores import confusion, iou, mean_iou, pixel_accuracy


def test_confusion_counts_by_truth_and_prediction_without_ignored_pixels() -> None:
    """Rows are the ground truth, columns the prediction, and pixels labeled 255 are not counted."""
    ground_truth = np.array([[0, 0, 1], [1, 255, 2]], np.uint8)
    predicted = np.array([[0, 1, 1], [1, 0, 0]], np.uint8)
    assert confusion(ground_truth, predicted, 3).tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]


def test_an_absent_class_does_not_count_for_the_mean() -> None:
    """IoU of an absent class is NaN, and mean IoU is that of the other classes."""
    counts = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    assert iou(counts)[:2].tolist() == [0.75, 0.8]
    assert np.isnan(iou(counts)[2])
    assert mean_iou(counts) == pytest.approx(0.775)
    assert pixel_accuracy(counts) == 7 / 8


def test_scores_of_nothing_are_zero() -> None:
    """When no pixel counts, mean IoU and pixel accuracy are 0, not NaN."""
    assert (mean_iou(np.zeros((2, 2), np.int64)), pixel_accuracy(np.zeros((2, 2), np.int64))) == (0.0, 0.0)


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (16, 17), (31, 33)])
def test_padding_makes_multiples_and_keeps_the_image(size: tuple[int, int]) -> None:
    """Both sides become multiples of 16, and the upper left part is the image itself."""
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    padded = pad(image, 16)
    assert padded.shape[0] % 16 == padded.shape[1] % 16 == 0
    assert np.array_equal(padded[: size[0], : size[1]], image)


def test_normalization_is_that_of_imagenet() -> None:
    """A pixel at ImageNet's mean becomes about 0, and one deviation above it about 1."""
    image = np.array([[[124, 116, 104], [182, 173, 161]]], np.uint8)
    planes = normalize(image)
    assert planes.shape == (1, 3, 1, 2)
    assert planes.dtype == np.float32
    assert np.allclose(planes[0, :, 0], [[0, 1], [0, 1], [0, 1]], atol=0.02)


def test_softmax_sums_to_one_and_keeps_its_argument() -> None:
    """Probabilities sum to 1 over the classes, also for enormous scores and across blocks."""
    scores = np.random.default_rng(0).normal(0, 300, (4, 200, 300)).astype(np.float32)
    before = scores.copy()
    values = softmax(scores)
    assert np.allclose(values.sum(axis=0), 1, atol=1e-5)
    assert np.array_equal(values.argmax(axis=0), scores.argmax(axis=0))
    assert np.array_equal(scores, before)


def test_the_likeliest_class_is_the_first_of_equals() -> None:
    """Labels are those of argmax, also where classes tie and beyond the first block."""
    values = np.random.default_rng(0).integers(0, 4, (6, 190, 211)).astype(np.float32)
    assert np.array_equal(most_likely_class(values), values.argmax(axis=0))


def test_a_crop_beyond_the_image_is_ignored_there() -> None:
    """An image smaller than the crop is padded with pixels that are ignored in training."""
    example = np.full((10, 20, 3), 7, np.uint8), np.ones((10, 20), np.uint8)
    image, labels = random_crop(example, 16, np.random.default_rng(0))
    assert image.shape == (16, 16, 3)
    assert labels[:10].tolist() == [[1] * 16] * 10
    assert (labels[10:] == 255).all()


def test_orientations_keep_image_and_labels_together() -> None:
    """All eight orientations occur, and each keeps every pixel's label."""
    labels = np.arange(9, dtype=np.uint8).reshape(3, 3)
    image = np.repeat(labels[..., None], 3, axis=2)
    random = np.random.default_rng(0)
    turned = [random_orientation((image, labels), random) for _ in range(100)]
    assert all(np.array_equal(image[..., 0], other) for image, other in turned)
    assert len({other.tobytes() for _, other in turned}) == 8


def test_an_epoch_uses_every_image_once() -> None:
    """Batches have the given size, in an order that depends on the seed."""
    examples = [(np.zeros((8, 8, 3), np.uint8), np.full((8, 8), number, np.uint8)) for number in range(6)]
    runs = [
        [labels[:, 0, 0].tolist() for _, labels in batches(
            examples, size=2, crop=8, orientation=random_orientation, random=np.random.default_rng(5))]
        for _ in range(2)
    ]  # fmt: skip
    assert runs[0] == runs[1]
    assert sorted(number for batch in runs[0] for number in batch) == list(range(6))


def test_packages_can_be_hidden_from_an_import() -> None:
    """A hidden package cannot be imported until afterwards; one that is already imported stays."""
    with hidden("wave", "numpy"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("wave")
        assert importlib.import_module("numpy") is np
    assert importlib.import_module("wave").open
