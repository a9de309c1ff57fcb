"""An answered picture beside the mask that says what is right: its scores, the truth, and the difference."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.errors import CoreError, InputError
from core.evaluation.pairs import Given
from core.evaluation.run import MASK_BYTES
from core.imaging.classes import MAX_CLASSES
from core.imaging.image import Photo, as_seen, mask_share, open_mask, open_photo, photo_share, resize_labels
from core.imaging.scores import Scores, confusion, in_band, scores
from core.render.difference import difference
from core.text import percent
from pages.parts import cached, messages
from pages.parts.segment.run import InferenceTask, SegmentResult, digest
from pages.parts.viewer.mask_frame import KINDS, Kind, mask_frame

TRUTH_SHOWN = "truth_shown"
"""The key of the choice of what is shown."""


@dataclass(frozen=True, slots=True)
class GroundTruthScores:
    """How right a picture's mask is. scores: of all its pixels; boundary: of those near a border of the truth."""

    scores: Scores
    boundary: Scores


def frame(work: InferenceTask, result: SegmentResult, given: Given) -> bytes:
    """Show the scores; gives what the viewer is to show. A truth that cannot be used is told, and changes nothing."""
    try:
        key = _key(work, given)
        checked = cached.checked_picture(key, lambda: _checked(work, result, given))
        kind = _choice(checked)
        if kind == "prediction":
            return result.frame
        return cached.judged_picture(key, kind, lambda: _frame(work, result, given, kind))
    except CoreError as error:
        st.warning(messages.line(error), icon=":material/warning:")
        return result.frame


def _choice(checked: GroundTruthScores) -> Kind:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        kind = st.segmented_control(
            "Beside the photo",
            list(KINDS),
            default="prediction",
            format_func=KINDS.__getitem__,
            required=True,
            key=TRUTH_SHOWN,
        )
        st.metric("Mean IoU", percent(checked.scores.mean_iou), width="content")
        st.metric("Boundary IoU", percent(checked.boundary.mean_iou), width="content")
        st.metric("Pixels right", percent(checked.scores.pixel_accuracy), width="content")
    return kind or "prediction"


def by_class(work: InferenceTask, result: SegmentResult, given: Given) -> NDArray[np.float64] | None:
    """IoU of each class id, (254,); None where the truth cannot be used, which `frame` tells."""
    try:
        return cached.checked_picture(_key(work, given), lambda: _checked(work, result, given)).scores.iou
    except CoreError:
        return None


def _key(work: InferenceTask, given: Given) -> str:
    return f"{work.request!r} {digest(given.read())}"


def _checked(work: InferenceTask, result: SegmentResult, given: Given) -> GroundTruthScores:
    with _opened(work, given) as (photo, truth):
        predicted = _predicted(photo, result)
        return GroundTruthScores(
            scores(confusion(truth, predicted, MAX_CLASSES)),
            scores(confusion(in_band(truth), predicted, MAX_CLASSES)),
        )


def _frame(work: InferenceTask, result: SegmentResult, given: Given, kind: Kind) -> bytes:
    with _opened(work, given) as (photo, truth):
        labels = truth if kind == "truth" else difference(truth, _predicted(photo, result))
        return mask_frame(photo, labels, result.inference.segmentation.classes, kind)


@contextmanager
def _opened(work: InferenceTask, given: Given) -> Iterator[tuple[Photo, NDArray[np.uint8]]]:
    """Give the photo and its ground truth; their memory is held until the block ends."""
    data, mask = work.picture.read(), given.read()
    with photo_share(data, work.picture.name, extra=MASK_BYTES), mask_share(mask, given.name):
        photo = open_photo(data, work.picture.name)
        truth = as_seen(open_mask(mask, given.name), photo)
        _check_size(photo, truth, given)
        yield photo, truth


def _check_size(photo: Photo, truth: NDArray[np.uint8], given: Given) -> None:
    if truth.shape != (photo.height, photo.width):
        raise InputError(
            f"{given.name} is {truth.shape[1]} x {truth.shape[0]} pixels, and its photo is "
            f"{photo.width} x {photo.height}: nothing can be compared.",
            todo="Scale the mask to its photo by nearest neighbour.",
        )


def _predicted(photo: Photo, result: SegmentResult) -> NDArray[np.uint8]:
    return resize_labels(result.inference.segmentation.labels, photo.height, photo.width)
