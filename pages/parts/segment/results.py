"""One segmented image: the viewer, timings, the class breakdown and the downloads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from core.evaluation.pairs import InputFile
from core.imaging.image import image_share, open_image
from core.inference import export
from core.render.legend import ClassArea
from core.text import milliseconds, percent, plural
from pages.parts import downloads, elements, messages, state, tasks
from pages.parts.gallery.gallery import Mark, Tile, gallery
from pages.parts.segment import ground_truth, many_images, progress, slots
from pages.parts.segment.run import InferenceTask, SegmentationQueue, SegmentResult, queue
from pages.parts.state import Slot
from pages.parts.tasks import BackgroundTask, OnCount
from pages.parts.viewer import viewer
from pages.parts.viewer.frame import split

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

BUTTONS: dict[export.Kind, tuple[str, str, str]] = {
    "mask": (
        "Mask",
        ":material/grid_on:",
        "PNG of class IDs with an embedded palette, at the image's original size.",
    ),
    "overlay": ("Overlay", ":material/layers:", "PNG: the mask over the image, at its original size."),
    "areas": ("Areas", ":material/table:", "CSV: one row per class, with pixels, share and mean confidence."),
    "figure": (
        "Figure",
        ":material/insert_chart:",
        "PNG: image, mask and overlay with a legend, for a report.",
    ),
    "probabilities": (
        "Probabilities",
        ":material/blur_on:",
        "NPZ: float32 array (classes, rows, columns), as the endpoint returned it.",
    ),
    "json": ("JSON", ":material/data_object:", "Request, endpoint, results and timings."),
}
"""Label, icon and help of each file's button, in this order."""

FOR_ALL: tuple[export.Kind, ...] = ("mask", "overlay", "json", "areas", "figure")
"""In a ZIP unless the probabilities are included as well, which take some 13 MB per image."""

WITH_PROBABILITIES = "zip_probabilities"
"""Key of the checkbox that includes them."""

HEIGHT = 420
"""Pixels of the placeholder of an image."""

PATIENCE = 3.0
"""Seconds from the start of the first image that a run of the page waits for it; then the browser's timer asks."""

SHRUNK = 0.25
"""An image that was sent with this share of its pixels, or less, is offered to be segmented in tiles."""

PAINT_SECONDS = 0.2
"""Seconds in which the browser paints a new frame."""

Items = tuple[tuple[InferenceTask, str], ...]
"""Images that are done, each with the stem of its files."""


OnTiles = Callable[[str, Callable[[], bytes]], None]
"""Takes the name of an image, and a function that returns its file."""


@dataclass(frozen=True, slots=True, eq=False)
class ZipTask:
    """A ZIP of many images that is being written. items, kinds: what it contains."""

    items: Items
    kinds: tuple[export.Kind, ...]
    task: BackgroundTask[bytes]


ZIP: Slot[ZipTask] = Slot("segment.zip")
PAINTED: Slot[int] = Slot("segment.painted")
"""The hash of the frame that the browser has had the time to paint."""


def progress_of_many(
    inferences: Sequence[InferenceTask],
    queue: SegmentationQueue | None,
    on_remove: Callable[[list[str]], None] | None = None,
) -> InferenceTask:
    """Draw the progress of many images and a row of them to choose from; return the image to show.

    queue, on_remove: see `progress.show`.
    """
    return progress.show(
        inferences, queue, on_remove,
        selected=partial(selected, inferences), strip=partial(_strip, inferences),
    )  # fmt: skip


def _strip(inferences: Sequence[InferenceTask], selected: InferenceTask) -> None:
    """Draw all images as a row to choose from."""
    tiles = [_tile(inference) for inference in inferences]
    gallery(tiles, key="images", label="Images", on_pick=slots.show, selected=selected.image.id, follow=True)


def _tile(inference: InferenceTask) -> Tile:
    if (result := inference.result) is not None:
        largest = result.areas[0]
        note = f"{largest.name} {largest.share:.0%} · {inference.seconds:.1f} s"
        return Tile(inference.image.id, inference.image.name, note, result.thumbnail, "done")
    mark: Mark = (
        "failed" if inference.stage == "failed" else "waiting" if inference.stage == "waiting" else "busy"
    )
    return Tile(inference.image.id, inference.image.name, inference.stage, inference.thumbnail, mark)


def selected(inferences: Sequence[InferenceTask]) -> InferenceTask:
    """Return the image to show: the one chosen last, else the first that has a mask, else the first."""
    current = next(
        (inference for inference in inferences if inference.image.id == slots.shown()), inferences[0]
    )
    if slots.chosen_by_user() or current.result is not None:
        return current
    first = next((inference for inference in inferences if inference.result is not None), current)
    if first.result is not None:
        slots.show_first(first.image.id)  # it stays, when another one before it is done
    return first


def awaited(inference: InferenceTask, *, wait: bool) -> DeltaGenerator:
    """Return where the image is shown. wait: first wait for its result, where it is the only image.

    Among many, the browser's timer asks for each: a click on one in their row belongs to a part of the page, and
    does not end the wait.

    Most results are there after that, and the page needs no other run to show them. What was there before, such as
    the areas of another image, is gone at once.
    """
    if inference.over:
        return st.container()
    place = st.empty()
    left = PATIENCE - (time.monotonic() - inference.started)
    if wait and left > 0:
        with place.container():
            st.skeleton(height=HEIGHT)
            line = st.empty()
        tasks.wait_in_run(inference, left, lambda: progress.stage(inference, line))
        line.empty()
    return place.container()


def show(
    inference: InferenceTask,
    stem: str,
    mask: InputFile | None = None,
    *,
    offer_again: bool = True,
    on_tiles: OnTiles | None = None,
) -> None:
    """Draw everything about one image.

    mask:        its ground truth, if there is one.
    offer_again: offer to run inference again where the probabilities are gone.
    on_tiles:    opens the image with tiles as the input size, in a callback; None: not offered.
    """
    if (result := inference.result) is None:
        show_image(inference)
        return
    frame, planes = split(_frame(inference, result, mask))
    viewer.viewer(frame, key="viewer")
    _notes(inference, result, on_tiles)
    _let_paint(frame)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.header("Class breakdown")
        _areas(result.areas, None if mask is None else ground_truth.iou_by_class(inference, result, mask))
    with right:
        st.header("Downloads")
        _downloads(inference, result, stem, offer_again=offer_again)
        if planes:
            viewer.planes(planes, key="viewer-planes")


def _let_paint(frame: bytes) -> None:
    """Pause after a new frame, so that the browser paints it before it draws all else about the image.

    Tables and buttons take it longer than the mask does, and what comes together is drawn together.
    """
    shown = hash(frame)
    if PAINTED.get() != shown:
        tasks.pause(PAINT_SECONDS)
        PAINTED.set(shown)


def show_image(inference: InferenceTask) -> None:
    """Draw the image with its mask and the timings; before that, a placeholder."""
    if (result := inference.result) is not None:
        viewer.viewer(result.frame, key="viewer")
        _notes(inference, result)
    elif not inference.over:
        st.skeleton(height=HEIGHT)


def _frame(inference: InferenceTask, result: SegmentResult, mask: InputFile | None) -> bytes:
    return result.frame if mask is None else ground_truth.frame(inference, result, mask)


def _notes(inference: InferenceTask, result: SegmentResult, on_tiles: OnTiles | None = None) -> None:
    """Draw the timings, and what else there is to know about the result."""
    st.caption(_facts(result))
    for note in result.notes:
        st.caption(f":material/info: {messages.plain(note)}")
    for problem in result.inference.segmentation.problems:
        st.warning(messages.plain(problem), icon=":material/warning:")
    _offer_tiles(inference, result, on_tiles)


def _offer_tiles(inference: InferenceTask, result: SegmentResult, on_tiles: OnTiles | None) -> None:
    """Draw how to segment an image in tiles: one that was shrunk a lot, or that has coordinates."""
    image = result.inference.image
    share = image.width * image.height / (image.original_width * image.original_height)
    if share > SHRUNK and not result.georeferenced:
        return
    why = f"Sent with {percent(share)} of its pixels." if share <= SHRUNK else "This image has coordinates."
    st.caption(
        f":material/grid_view: {why} In overlapping tiles, an image of any size is segmented at full resolution, "
        "and a GeoTIFF keeps its coordinates."
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if on_tiles is not None:
            st.button(
                "Segment in tiles",
                key="in-tiles",
                icon=":material/grid_view:",
                on_click=on_tiles,
                args=(inference.image.name, inference.image.read),
                help="Shows the plan with its requests and price first.",
            )
        words = many_images.command(inference.image.name, inference.request.endpoint, "maps", "--tiles")
        elements.code(words, language=None, wrap_lines=True)


def _facts(result: SegmentResult) -> str:
    """Return how long each step took, and the size of the model's input."""
    inference = result.inference
    image = inference.image
    cached = " (cached response, not sent again)" if inference.cached else ""
    times = (
        f":material/timer: endpoint **{milliseconds(1000 * inference.endpoint_seconds)}**{cached} · "
        f"decode **{milliseconds(1000 * inference.decode_seconds)}** · "
        f"render **{milliseconds(1000 * result.render_seconds)}**"
    )
    if not image.reduced:
        return f"{times} · input {image.width} × {image.height} (not resized)"
    return (
        f"{times} · input **{image.width} × {image.height}**, resized from {image.original_width} × "
        f"{image.original_height}; the mask is scaled back with nearest-neighbor interpolation"
    )


def _areas(areas: tuple[ClassArea, ...], iou: NDArray[np.float64] | None) -> None:
    table = pd.DataFrame(
        {
            "color": ["" for _ in areas],
            "name": [area.name for area in areas],
            "share": [100 * area.share for area in areas],
            "pixels": [area.pixels for area in areas],
            "confidence": 100 * pd.Series([area.mean_confidence for area in areas], dtype="float64"),
        }
    )
    colors = ["background-color: #{:02x}{:02x}{:02x}".format(*area.color) for area in areas]
    columns = {
        "color": st.column_config.TextColumn("Color", width=60, pinned=True),
        "name": st.column_config.TextColumn("Class", width=130),
        "share": st.column_config.ProgressColumn(
            "Share", format="%.1f%%", min_value=0, max_value=100, width=130
        ),
        "pixels": st.column_config.NumberColumn("Pixels", format="localized", width=90),
        "confidence": st.column_config.NumberColumn(
            "Confidence",
            format="%.1f%%",
            width=80,
            help="The model's mean confidence over the pixels of the class.",
        ),
    }
    if iou is not None:
        table["iou"] = [100 * iou[area.id] if area.id < len(iou) else np.nan for area in areas]
        columns["iou"] = st.column_config.NumberColumn(
            "IoU", format="%.1f%%", width=70, help="Against the ground-truth mask."
        )
    if all(area.mean_confidence is None for area in areas):
        del columns["confidence"]
        table = table.drop(columns="confidence")
    painted = table.style.apply(lambda _: colors, subset=["color"])
    elements.dataframe(painted, hide_index=True, column_config=columns, alt="Area of each class")


def _downloads(inference: InferenceTask, result: SegmentResult, stem: str, *, offer_again: bool) -> None:
    """Draw a button per file. Each file is made when its button is clicked."""
    kinds = [kind for kind in BUTTONS if kind != "probabilities" or _has_probabilities(result)]
    with st.grid(3, min_column_width=118, gap="xsmall"):
        for kind in kinds:
            label, icon, help_text = BUTTONS[kind]
            downloads.button(
                label, partial(_file, inference, stem, kind), stem + export.SUFFIXES[kind], export.MEDIA_TYPES[kind],
                key=f"get-{kind}", icon=icon, help=help_text, width="stretch",
            )  # fmt: skip
    downloads.button(
        "Download all (ZIP)", partial(_zip, ((inference, stem),), _zip_kinds()), f"{stem}.zip", "application/zip",
        key="get-zip", icon=":material/folder_zip:", width="stretch",
        help=None if "probabilities" not in kinds else "Without probabilities, unless they are included below.",
    )  # fmt: skip
    if "probabilities" in kinds:
        _probabilities_checkbox()
    if result.labels_only:
        st.caption("The probability maps of this image were removed to free memory or disk space.")
        if offer_again:
            st.button(
                "Run inference again",
                icon=":material/refresh:",
                on_click=queue().retry,
                args=([inference],),
                help="Reads the complete response from the disk if it is stored. Otherwise it sends the image again, "
                "which is billed like any other call.",
            )


def download_all(inferences: Sequence[InferenceTask], stems: Sequence[str]) -> None:
    """Draw a button that writes a ZIP of all images that are done, its progress, and the download."""
    done = tuple(
        (inference, stem)
        for inference, stem in zip(inferences, stems, strict=True)
        if inference.result is not None
    )
    if len(done) < 2:
        return
    kinds = _zip_kinds()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            f"All {len(done)} images (ZIP)",
            key="get-all",
            icon=":material/folder_zip:",
            on_click=_start_zip,
            args=(done, kinds),
            help="Masks, overlays, tables and comparison figures of all images in one ZIP.",
        )
    started = ZIP.get()
    if started is None or started.kinds != kinds or not set(started.items) <= set(done):
        return  # another image may be done since the click
    data = tasks.show(started.task, "zip", stop_help="The ZIP is discarded.")
    if data is not None:
        _missing_probabilities(started.items, kinds)
        st.download_button(
            f"Download segdeck.zip ({len(data) / 1e6:,.1f} MB)", data, "segdeck.zip", "application/zip",
            key="get-all-file", type="primary", icon=":material/download:", on_click="ignore",
        )  # fmt: skip


def _probabilities_checkbox() -> None:
    st.checkbox(
        "Include probabilities",
        key=WITH_PROBABILITIES,
        help="In ZIP files. They take some 13 MB per image of 800 × 600 pixels and 21 classes.",
    )


def _zip_kinds() -> tuple[export.Kind, ...]:
    return (*FOR_ALL, "probabilities") if state.chosen(WITH_PROBABILITIES) else FOR_ALL


def _start_zip(items: Items, kinds: tuple[export.Kind, ...]) -> None:
    if (before := ZIP.get()) is not None:
        before.task.stop.set()
    task = tasks.start(f"ZIP of {len(items)} images", partial(_zip, items, kinds))
    ZIP.set(ZipTask(items, kinds, task))


def _missing_probabilities(items: Items, kinds: tuple[export.Kind, ...]) -> None:
    """Draw how many images are in the ZIP without the probabilities that were asked for."""
    missing = sum(
        inference.result is not None and not _has_probabilities(inference.result) for inference, _ in items
    )
    if "probabilities" in kinds and missing:
        st.caption(
            f":material/info: {plural(missing, 'image')} without probabilities: the endpoint returned a mask only, "
            "or they were discarded to free memory."
        )


def _has_probabilities(result: SegmentResult) -> bool:
    return result.inference.segmentation.probabilities is not None


def _file(inference: InferenceTask, stem: str, kind: export.Kind) -> bytes:
    with _exported(inference, stem) as exported:
        return export.file(exported, kind).data


def _zip(items: Items, kinds: tuple[export.Kind, ...], on_count: OnCount | None = None) -> bytes:
    """Return the ZIP. on_count: gets the number of images that are in it."""

    counted = count()

    def files(inference: InferenceTask, stem: str) -> tuple[export.File, ...]:
        if on_count is not None:
            on_count(next(counted), len(items))
        return _files(inference, stem, kinds)

    return export.zip_files(export.made_ahead([partial(files, *item) for item in items]))


def _files(inference: InferenceTask, stem: str, kinds: tuple[export.Kind, ...]) -> tuple[export.File, ...]:
    result = inference.future.result()
    kept = tuple(kind for kind in kinds if kind != "probabilities" or _has_probabilities(result))
    with _exported(inference, stem) as exported:
        return export.files(exported, kept)


@contextmanager
def _exported(inference: InferenceTask, stem: str) -> Iterator[export.ExportResult]:
    """Open the image again: kept open, each would hold 36 MB for a click that may never come."""
    result = inference.future.result()
    data, name = inference.image.read(), inference.image.name
    with image_share(data, name, extra=export.BYTES_PER_PIXEL):
        yield export.result(open_image(data, name), result.inference, stem=stem)
