"""Single photos of an evaluation, worst first: in a row, and one of them large with truth, prediction, difference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import streamlit as st

from core.errors import CoreError
from core.escaping import terminal
from core.evaluation.pairs import LabeledImage
from core.evaluation.results import EndpointScores, Evaluation, ImageMeasures, confused_images
from core.evaluation.run import opened_pair
from core.evaluation.store import ImageScore, PredictionStore
from core.imaging.classes import IGNORE, Classes
from core.imaging.image import resize_labels, shrunk
from core.render.difference import DIFFERENCE, difference
from core.render.overlay import overlay_image
from core.text import plural
from pages.parts import cached, messages, state
from pages.parts.evaluate import slots
from pages.parts.evaluate.run import BackgroundEvaluation
from pages.parts.gallery.gallery import Tile, gallery
from pages.parts.viewer.mask_frame import KINDS, Kind, mask_frame
from pages.parts.viewer.viewer import viewer

TILES = 16
"""In the row at first, and each time more."""


def looked_at(found: Evaluation) -> EndpointScores:
    """The endpoint whose masks and confusion are shown."""
    if len(found.endpoints) == 1:
        return found.endpoints[0]
    names = [verdict.endpoint for verdict in found.endpoints]
    name = st.segmented_control(
        "Of the endpoint",
        names,
        format_func=messages.plain,
        default=names[0],
        required=True,
        key=slots.MASK_OF,
    )
    return found.endpoints[names.index(name) if name in names else 0]


def show(judging: BackgroundEvaluation, found: Evaluation) -> None:
    """The row, and the photo that is chosen in it."""
    pairs = {pair.name: pair for pair in judging.task.pairs}
    verdict = _of_choice(found)
    images, notes = _chosen(verdict, found.classes)
    if not images:
        return
    shown = images[: TILES * slots.rows()]
    _row(pairs, judging.store, shown, notes)
    if len(images) > len(shown):
        st.button(
            f"Show more of {len(images):,} photos", icon=":material/expand_more:", on_click=slots.show_more
        )
    image = next((one for one in images if one.score.name == slots.image()), images[0])
    _large(pairs[image.score.name], image, judging.store, found.classes)


def _of_choice(found: Evaluation) -> EndpointScores:
    return next(
        (one for one in found.endpoints if one.endpoint == state.chosen(slots.MASK_OF)), found.endpoints[0]
    )


def _chosen(verdict: EndpointScores, classes: Classes) -> tuple[list[ImageMeasures], Mapping[str, str]]:
    """The photos of the clicked cell, else all, with a line each."""
    cell = slots.cell()
    if cell is None:
        st.subheader("Worst photos first")
        return list(verdict.images), {one.score.name: _line(one) for one in verdict.images}
    truth, predicted = cell
    found = confused_images(verdict, _id(classes, truth), _id(classes, predicted))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        words = "taken for" if truth != predicted else "rightly called"
        st.subheader(
            f"{messages.plain(truth)} {words} {messages.plain(predicted)}: {plural(len(found), 'photo')}",
            width="content",
        )
        st.button("All photos", icon=":material/close:", on_click=slots.choose_cell, args=(None,))
    if not found:
        st.caption("There is no such pixel.")
    return [image for image, _ in found], {
        image.score.name: f"{plural(pixels, 'pixel')}" for image, pixels in found
    }


def _id(classes: Classes, name: str) -> int:
    """The class with this name, as the confusion shows it."""
    names = list(map(terminal, classes.names))
    return names.index(name) if name in names else IGNORE


def _line(image: ImageMeasures) -> str:
    return "nothing counted" if math.isnan(image.mean_iou) else f"mean IoU {image.mean_iou:.1%}"


def _row(
    pairs: Mapping[str, LabeledImage],
    store: PredictionStore,
    images: list[ImageMeasures],
    notes: Mapping[str, str],
) -> None:
    """The pictures are made side by side: of large photos each takes a moment."""
    with ThreadPoolExecutor(4) as pool:
        jpegs = list(pool.map(lambda one: _thumbnail(pairs[one.score.name], one.score, store), images))
    tiles = [
        Tile(one.score.name, one.score.photo, notes[one.score.name], jpeg)
        for one, jpeg in zip(images, jpegs, strict=True)
    ]
    selected = slots.image() or tiles[0].id
    gallery(tiles, key="judged", label="Judged photos", on_pick=slots.show_image, selected=selected)


def _thumbnail(pair: LabeledImage, judged: ImageScore, store: PredictionStore) -> bytes | None:
    """The difference over the photo; None where a file has gone, which the large view then tells."""
    try:
        return cached.judged_picture(judged.key, "thumbnail", partial(_small, pair, judged, store))
    except CoreError:
        return None


def _small(pair: LabeledImage, judged: ImageScore, store: PredictionStore) -> bytes:
    with opened_pair(pair) as opened:
        small = shrunk(opened.photo.pixels, cached.THUMBNAIL)
        width, height = small.size
        map_ = resize_labels(difference(opened.truth, store.predicted(judged.key)), height, width)
    return cached.thumbnail_of(overlay_image(small, map_, DIFFERENCE.table(), 0.6))


def _large(pair: LabeledImage, image: ImageMeasures, store: PredictionStore, classes: Classes) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        kind = st.segmented_control(
            "Beside the photo",
            list(KINDS),
            default="difference",
            format_func=KINDS.__getitem__,
            required=True,
            key=slots.MASK_SHOWN,
        )
        accuracy = (
            "" if math.isnan(image.pixel_accuracy) else f" · {image.pixel_accuracy:.1%} of pixels right"
        )
        st.markdown(f"**{messages.plain(image.score.photo)}** · {_line(image)}{accuracy}", width="stretch")
    for problem in image.score.problems:
        st.caption(f":material/warning: {messages.plain(problem)}")
    try:
        viewer(frame_of(pair, image.score, store, classes, kind or "difference"), key="judged-viewer")
    except CoreError as error:
        st.warning(messages.line(error), icon=":material/warning:")


def frame_of(
    pair: LabeledImage, judged: ImageScore, store: PredictionStore, classes: Classes, kind: Kind
) -> bytes:
    """What the viewer shows. Raises InputError where a file has gone."""

    def make() -> bytes:
        with opened_pair(pair) as opened:
            if kind == "truth":
                return mask_frame(opened.photo, opened.truth, classes, kind)
            predicted = store.predicted(judged.key)
            labels = predicted if kind == "prediction" else difference(opened.truth, predicted)
            return mask_frame(opened.photo, labels, classes, kind)

    return cached.judged_picture(judged.key, f"{kind} {hash(classes)}", make)
