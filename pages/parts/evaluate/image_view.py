"""The images of an evaluation, worst first: in a gallery, and one of them large with its masks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import streamlit as st

from core.errors import CoreError
from core.escaping import terminal
from core.evaluation.pairs import LabeledImage
from core.evaluation.results import EndpointScores, Evaluation, ImageMeasures, confused_images
from core.evaluation.run import opened_pair
from core.evaluation.store import ImageScore, PredictedMasks
from core.imaging.classes import IGNORE, Classes
from core.imaging.image import resize_labels, shrunk
from core.render.difference import DIFFERENCE, difference
from core.render.overlay import overlay_image
from core.text import plural
from pages.parts import cached, messages, state
from pages.parts.evaluate import slots
from pages.parts.gallery.gallery import Tile, gallery
from pages.parts.viewer.mask_frame import KINDS, Kind, mask_frame
from pages.parts.viewer.viewer import viewer

TILES = 16
"""Images in a batch of the gallery."""


def choose_endpoint(evaluation: Evaluation) -> EndpointScores:
    """Draw the choice of the endpoint whose masks and confusion matrix are shown; return its scores."""
    if len(evaluation.endpoints) == 1:
        return evaluation.endpoints[0]
    names = [scores.endpoint for scores in evaluation.endpoints]
    name = st.segmented_control(
        "Results of",
        names,
        format_func=messages.plain,
        default=names[0],
        required=True,
        key=slots.MASK_OF,
    )
    return evaluation.endpoints[names.index(name) if name in names else 0]


def show(labeled: Sequence[LabeledImage], masks: PredictedMasks, evaluation: Evaluation) -> None:
    """Draw the gallery, and the image that is selected in it."""
    pairs = {pair.name: pair for pair in labeled}
    images, notes = _selected(_chosen_endpoint(evaluation), evaluation.classes)
    if not images:
        return
    shown = images[: TILES * slots.rows()]
    _gallery(pairs, masks, shown, notes)
    if len(images) > len(shown):
        st.button(
            f"Show more of {len(images):,} images", icon=":material/expand_more:", on_click=slots.show_more
        )
    image = next((image for image in images if image.score.name == slots.image()), images[0])
    _large(pairs[image.score.name], image, masks, evaluation.classes)


def _chosen_endpoint(evaluation: Evaluation) -> EndpointScores:
    chosen = state.chosen(slots.MASK_OF)
    return next((each for each in evaluation.endpoints if each.endpoint == chosen), evaluation.endpoints[0])


def _selected(scores: EndpointScores, classes: Classes) -> tuple[list[ImageMeasures], Mapping[str, str]]:
    """Draw the heading; return the images of the selected cell, else all, and a line for each by its name."""
    cell = slots.cell()
    if cell is None:
        st.header("Images, worst first")
        return list(scores.images), {image.score.name: _line(image) for image in scores.images}
    actual, predicted = cell
    confused = confused_images(scores, _id(classes, actual), _id(classes, predicted))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        words = f"predicted as {messages.plain(predicted)}" if actual != predicted else "predicted correctly"
        st.header(
            f"{messages.plain(actual)} {words}: {plural(len(confused), 'image')}",
            width="content",
        )
        st.button("All images", icon=":material/close:", on_click=slots.choose_cell, args=(None,))
    if not confused:
        st.caption("No image has such pixels.")
    return [image for image, _ in confused], {
        image.score.name: plural(pixels, "pixel") for image, pixels in confused
    }


def _id(classes: Classes, name: str) -> int:
    """Return the id of the class with this name, as the confusion matrix shows it."""
    names = list(map(terminal, classes.names))
    return names.index(name) if name in names else IGNORE


def _line(image: ImageMeasures) -> str:
    return "no labeled pixels" if math.isnan(image.mean_iou) else f"mean IoU {image.mean_iou:.1%}"


def _gallery(
    pairs: Mapping[str, LabeledImage],
    store: PredictedMasks,
    images: list[ImageMeasures],
    notes: Mapping[str, str],
) -> None:
    """Draw the gallery. Thumbnails are made in threads: of large images each takes a moment."""
    with ThreadPoolExecutor(4) as pool:
        jpegs = list(pool.map(lambda image: _thumbnail(pairs[image.score.name], image.score, store), images))
    tiles = [
        Tile(image.score.name, image.score.image, notes[image.score.name], jpeg)
        for image, jpeg in zip(images, jpegs, strict=True)
    ]
    selected = slots.image() or tiles[0].id
    gallery(tiles, key="evaluated", label="Evaluated images", on_pick=slots.show_image, selected=selected)


def _thumbnail(pair: LabeledImage, score: ImageScore, store: PredictedMasks) -> bytes | None:
    """Return the image with its errors as a small JPEG; None where a file is missing, as the large view reports."""
    try:
        return cached.evaluated_image(score.key, "thumbnail", partial(_make_thumbnail, pair, score, store))
    except CoreError:
        return None


def _make_thumbnail(pair: LabeledImage, score: ImageScore, store: PredictedMasks) -> bytes:
    with opened_pair(pair) as opened:
        thumbnail = shrunk(opened.image.pixels, cached.THUMBNAIL)
        width, height = thumbnail.size
        errors = resize_labels(difference(opened.ground_truth, store.predicted(score.key)), height, width)
    return cached.thumbnail_of(overlay_image(thumbnail, errors, DIFFERENCE.table(), 0.6))


def _large(pair: LabeledImage, image: ImageMeasures, store: PredictedMasks, classes: Classes) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        kind = st.segmented_control(
            "View",
            list(KINDS),
            default="errors",
            format_func=KINDS.__getitem__,
            required=True,
            key=slots.MASK_VIEW,
        )
        accuracy = "" if math.isnan(image.pixel_accuracy) else f" · pixel accuracy {image.pixel_accuracy:.1%}"
        st.markdown(f"**{messages.plain(image.score.image)}** · {_line(image)}{accuracy}", width="stretch")
    for problem in image.score.problems:
        st.caption(f":material/warning: {messages.plain(problem)}")
    try:
        viewer(frame_of(pair, image.score, store, classes, kind or "errors"), key="evaluated-viewer")
    except CoreError as error:
        st.warning(messages.line(error), icon=":material/warning:")


def frame_of(
    pair: LabeledImage, score: ImageScore, store: PredictedMasks, classes: Classes, kind: Kind
) -> bytes:
    """Return the viewer's frame. Raises InputError where a file is missing."""

    def make() -> bytes:
        with opened_pair(pair) as opened:
            if kind == "ground_truth":
                return mask_frame(opened.image, opened.ground_truth, classes, kind)
            predicted = store.predicted(score.key)
            labels = predicted if kind == "prediction" else difference(opened.ground_truth, predicted)
            return mask_frame(opened.image, labels, classes, kind)

    return cached.evaluated_image(score.key, f"{kind} {hash(classes)}", make)
