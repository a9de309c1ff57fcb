"""A segmented image against its ground-truth mask: scores, and views of the mask and of the errors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.errors import CoreError, InputError
from core.evaluation.pairs import InputFile
from core.evaluation.run import MASK_BYTES
from core.imaging.classes import MAX_CLASSES
from core.imaging.image import (
    DecodedImage,
    image_share,
    mask_share,
    match_orientation,
    open_image,
    open_mask,
    resize_labels,
)
from core.imaging.scores import Scores, confusion_matrix, scores, trimap_ground_truth
from core.render.difference import difference
from core.runs.responses import content_id
from core.text import percent
from pages.parts import cached, messages
from pages.parts.segment.run import InferenceTask, SegmentResult
from pages.parts.viewer.mask_frame import KINDS, Kind, mask_frame

VIEW = "truth_shown"
"""The key of the choice of what is shown."""


@dataclass(frozen=True, slots=True)
class GroundTruthScores:
    """The scores of one image. scores: of all pixels; trimap: of those near a border of the ground truth."""

    scores: Scores
    trimap: Scores


def frame(task: InferenceTask, result: SegmentResult, mask: InputFile) -> bytes:
    """Draw the scores, and return the viewer's frame of the chosen view.

    Where the mask cannot be used, draw why, and return the frame of the prediction.
    """
    try:
        key = _key(task, mask)
        kind = _view(cached.image_scores(key, lambda: _scores(task, result, mask)))
        if kind == "prediction":
            return result.frame
        return cached.evaluated_image(key, kind, lambda: _frame(task, result, mask, kind))
    except CoreError as error:
        st.warning(messages.line(error), icon=":material/warning:")
        return result.frame


def _view(image_scores: GroundTruthScores) -> Kind:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        kind = st.segmented_control(
            "View",
            list(KINDS),
            default="prediction",
            format_func=KINDS.__getitem__,
            required=True,
            key=VIEW,
        )
        st.metric("Mean IoU", percent(image_scores.scores.mean_iou), width="content")
        st.metric("Trimap IoU", percent(image_scores.trimap.mean_iou), width="content")
        st.metric("Pixel accuracy", percent(image_scores.scores.pixel_accuracy), width="content")
    return kind or "prediction"


def iou_by_class(task: InferenceTask, result: SegmentResult, mask: InputFile) -> NDArray[np.float64] | None:
    """Return the IoU of each class id, (254,); None where the mask cannot be used, which `frame` reports."""
    try:
        return cached.image_scores(_key(task, mask), lambda: _scores(task, result, mask)).scores.iou
    except CoreError:
        return None


def mean_iou(task: InferenceTask, result: SegmentResult, mask: InputFile) -> float | None:
    """Return the mean IoU of an image; None where the mask cannot be used, or has no labeled pixel."""
    try:
        value = _scores(task, result, mask).scores.mean_iou
    except CoreError:
        return None
    return None if math.isnan(value) else value


def _key(task: InferenceTask, mask: InputFile) -> str:
    return f"{task.request!r} {content_id(mask.read())}"


def _scores(task: InferenceTask, result: SegmentResult, mask: InputFile) -> GroundTruthScores:
    with _opened(task, mask) as (photo, truth):
        predicted = _predicted(photo, result)
        return GroundTruthScores(
            scores(confusion_matrix(truth, predicted, MAX_CLASSES)),
            scores(confusion_matrix(trimap_ground_truth(truth), predicted, MAX_CLASSES)),
        )


def _frame(task: InferenceTask, result: SegmentResult, mask: InputFile, kind: Kind) -> bytes:
    with _opened(task, mask) as (photo, truth):
        labels = truth if kind == "ground_truth" else difference(truth, _predicted(photo, result))
        return mask_frame(photo, labels, result.inference.segmentation.classes, kind)


@contextmanager
def _opened(task: InferenceTask, mask: InputFile) -> Iterator[tuple[DecodedImage, NDArray[np.uint8]]]:
    """Give the image and its ground truth, (H, W) uint8; their memory is reserved until the block ends."""
    data, mask_data = task.image.read(), mask.read()
    with image_share(data, task.image.name, extra=MASK_BYTES), mask_share(mask_data, mask.name):
        photo = open_image(data, task.image.name)
        truth = match_orientation(open_mask(mask_data, mask.name), photo)
        _check_size(photo, truth, mask)
        yield photo, truth


def _check_size(photo: DecodedImage, truth: NDArray[np.uint8], mask: InputFile) -> None:
    if truth.shape != (photo.height, photo.width):
        raise InputError(
            f"{mask.name} is {truth.shape[1]} x {truth.shape[0]} pixels, but its image is "
            f"{photo.width} x {photo.height}.",
            why="Only masks of the same size can be compared.",
            todo="Resize the mask to its image with nearest-neighbor interpolation.",
        )


def _predicted(photo: DecodedImage, result: SegmentResult) -> NDArray[np.uint8]:
    return resize_labels(result.inference.segmentation.labels, photo.height, photo.width)
