"""One answered picture: the viewer, how long it took, what is in it, and the files to take along."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from core.evaluation.pairs import Given
from core.imaging.image import open_photo, photo_share
from core.inference import export
from core.render.legend import ClassArea
from core.text import milliseconds
from pages.parts import elements, messages, state
from pages.parts.gallery.gallery import Mark, Tile, gallery
from pages.parts.segment import truth as segment_truth
from pages.parts.segment.run import InferenceTask, SegmentResult, queue
from pages.parts.viewer.viewer import viewer

BUTTONS: dict[export.Kind, tuple[str, str, str]] = {
    "mask": (
        "Mask",
        ":material/grid_on:",
        "PNG of class ids with the palette inside, at the photo's own size.",
    ),
    "overlay": ("Overlay", ":material/layers:", "PNG: the photo with the mask over it, at its own size."),
    "areas": ("Areas", ":material/table:", "CSV: a row a class, with pixels, share and mean confidence."),
    "figure": (
        "Figure",
        ":material/insert_chart:",
        "PNG: photo, mask and overlay with a legend, for a report.",
    ),
    "probabilities": (
        "Probabilities",
        ":material/blur_on:",
        "npz: (classes, rows, columns) float32 as answered.",
    ),
    "json": ("JSON", ":material/data_object:", "What was asked, of whom, what was found, how long it took."),
}
"""Label, icon and help of each file's button, in this order."""

FOR_ALL: tuple[export.Kind, ...] = ("mask", "overlay", "json", "areas", "figure")
"""Of every picture in one zip: no probabilities, which would make it gigabytes."""


def strip(works: Sequence[InferenceTask], selected: InferenceTask) -> None:
    """All pictures as a row to choose from."""
    tiles = [_tile(work) for work in works]
    gallery(tiles, key="pictures", label="Pictures", on_pick=state.show, selected=selected.picture.id)


def _tile(work: InferenceTask) -> Tile:
    if (result := work.result) is not None:
        largest = result.areas[0]
        note = f"{largest.name} {largest.share:.0%} · {work.seconds:.1f} s"
        return Tile(work.picture.id, work.picture.name, note, result.thumbnail, "done")
    mark: Mark = "failed" if work.stage == "failed" else "waiting" if work.stage == "waiting" else "busy"
    return Tile(work.picture.id, work.picture.name, work.stage, work.thumbnail, mark)


def selected(works: Sequence[InferenceTask]) -> InferenceTask:
    """The picture to show: what was last asked for, else the first."""
    return next((work for work in works if work.picture.id == state.shown()), works[0])


def show(work: InferenceTask, stem: str, truth: Given | None = None) -> None:
    """Everything about one picture. truth: a mask that says what is right."""
    if (result := picture(work, truth)) is None:
        return
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.subheader("What is in it")
        _areas(result.areas, None if truth is None else segment_truth.by_class(work, result, truth))
    with right:
        st.subheader("Take it along")
        _downloads(work, result, stem)


def picture(work: InferenceTask, truth: Given | None = None) -> SegmentResult | None:
    """The picture with its mask, and how long it took; a skeleton while it is on its way. None before it is done."""
    if (result := work.result) is None:
        if not work.over:
            st.skeleton(height=420)
        return None
    viewer(result.frame if truth is None else segment_truth.frame(work, result, truth), key="viewer")
    st.caption(_facts(result))
    for problem in result.inference.segmentation.problems:
        st.warning(messages.plain(problem), icon=":material/warning:")
    return result


def _facts(result: SegmentResult) -> str:
    """How long each step took, and what the model was shown."""
    found = result.inference
    image = found.image
    times = (
        f":material/timer: endpoint **{milliseconds(1000 * found.endpoint_seconds)}** · decode "
        f"**{milliseconds(1000 * found.decode_seconds)}** · draw **{milliseconds(1000 * result.draw_seconds)}**"
    )
    if not image.reduced:
        return f"{times} · the model saw the photo at its own {image.width} × {image.height} pixels"
    return (
        f"{times} · the model saw **{image.width} × {image.height}** of your "
        f"{image.photo_width} × {image.photo_height} photo; the mask is scaled back by nearest neighbour"
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
        "color": st.column_config.TextColumn("", width=24, pinned=True),
        "name": st.column_config.TextColumn("Class", width=130),
        "share": st.column_config.ProgressColumn(
            "Share", format="%.1f%%", min_value=0, max_value=100, width=130
        ),
        "pixels": st.column_config.NumberColumn("Pixels", format="localized", width=90),
        "confidence": st.column_config.NumberColumn(
            "Confidence",
            format="%.1f%%",
            width=80,
            help="Mean of the model's confidence over the class's pixels.",
        ),
    }
    if iou is not None:
        table["iou"] = [100 * iou[area.id] if area.id < len(iou) else np.nan for area in areas]
        columns["iou"] = st.column_config.NumberColumn(
            "IoU", format="%.1f%%", width=70, help="Against the mask beside the photo."
        )
    if all(area.mean_confidence is None for area in areas):
        del columns["confidence"]
        table = table.drop(columns="confidence")
    painted = table.style.apply(lambda _: colors, subset=["color"])
    elements.dataframe(painted, hide_index=True, column_config=columns, alt="Area of each class")


def _downloads(work: InferenceTask, result: SegmentResult, stem: str) -> None:
    """A button a file. Each file is made when its button is pressed."""
    kinds = [kind for kind in BUTTONS if kind != "probabilities" or _has_probabilities(result)]
    with st.grid(3, min_column_width=118, gap="xsmall"):
        for kind in kinds:
            label, icon, why = BUTTONS[kind]
            st.download_button(
                label, partial(_file, work, stem, kind), stem + export.SUFFIXES[kind], export.MEDIA_TYPES[kind],
                key=f"get-{kind}", icon=icon, help=why, on_click="ignore", width="stretch",
            )  # fmt: skip
    st.download_button(
        "Everything of this picture", partial(_zip, ((work, stem),), tuple(kinds)), f"{stem}.zip", "application/zip",
        key="get-zip", icon=":material/folder_zip:", on_click="ignore", width="stretch",
    )  # fmt: skip
    if not result.raw_bytes:
        st.caption("The probabilities of this picture were let go to save memory.")
        st.button("Ask for them again", icon=":material/refresh:", on_click=queue().retry, args=([work],))


def download_all(works: Sequence[InferenceTask], stems: Sequence[str]) -> None:
    """One zip with the files of every picture that is done."""
    done = tuple((work, stem) for work, stem in zip(works, stems, strict=True) if work.result is not None)
    if len(done) > 1:
        st.download_button(
            f"All {len(done)} pictures", partial(_zip, done, FOR_ALL), "segdeck.zip", "application/zip",
            key="get-all", icon=":material/folder_zip:", on_click="ignore",
            help="Masks, overlays, tables and figures of all pictures in one zip, without probabilities.",
        )  # fmt: skip


def _has_probabilities(result: SegmentResult) -> bool:
    return result.inference.segmentation.probabilities is not None


def _file(work: InferenceTask, stem: str, kind: export.Kind) -> bytes:
    with _exported(work, stem) as exported:
        return export.file(exported, kind).data


def _zip(items: tuple[tuple[InferenceTask, str], ...], kinds: tuple[export.Kind, ...]) -> bytes:
    return export.zip_files(file for work, stem in items for file in _files(work, stem, kinds))


def _files(work: InferenceTask, stem: str, kinds: tuple[export.Kind, ...]) -> tuple[export.File, ...]:
    with _exported(work, stem) as exported:
        return export.files(exported, kinds)


@contextmanager
def _exported(work: InferenceTask, stem: str) -> Iterator[export.ExportResult]:
    """The photo is opened again: keeping it opened would hold 36 MB a picture for a click that may never come."""
    result = work.future.result()
    data, name = work.picture.read(), work.picture.name
    with photo_share(data, name, extra=export.BYTES_PER_PIXEL):
        yield export.result(open_photo(data, name), result.inference, stem=stem)
