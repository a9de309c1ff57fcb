"""The gallery of a job's masks as they arrive: search, class filter, order, thumbnails, and the viewer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from core.aws.batch import Outputs
from core.batch.gallery import BY_AREA, ORDERS, PAGE_SIZES, GalleryFilter, Order, class_ids, page_of, select
from core.batch.objects import input_key
from core.batch.results import ImageResult
from core.escaping import file_name, terminal
from core.text import plural
from pages.parts import messages
from pages.parts.batch import slots
from pages.parts.batch.images import MaskVersion, ShownBatch, Thumbnail, class_share
from pages.parts.batch.measure import Measurement
from pages.parts.gallery.gallery import Tile, gallery
from pages.parts.shared_cache import OptionalPart
from pages.parts.viewer.viewer import viewer

TEXT, CLASS, LEAST, ORDER, SIZE = "name", "class", "least", "order", "per_page"
"""Keys of the widgets. The search is bound to the URL under the same name."""

ORDER_LABELS: dict[Order, str] = {
    "name": "Name",
    "newest": "Newest first",
    "largest": "Largest area first",
    "smallest": "Smallest area first",
    "uncertain": "Least confident first",
}


def masks_of(outputs: Outputs) -> dict[str, MaskVersion]:
    """Return image -> its mask as it was listed."""
    masks = {}
    for name, (size, written) in outputs.objects.items():
        if (key := input_key(name)) is not None:
            masks[key] = MaskVersion(key, size, written)
    return masks


def show(batch: ShownBatch, masks: Mapping[str, MaskVersion], measured: Measurement) -> None:
    """Draw the measurement, the filters, the viewer if an image is open, and a page of thumbnails."""
    if not masks:
        st.caption(
            "No masks yet: they appear here as the job writes them."
            if batch.job.running
            else "This job has written no masks."
        )
        return
    _measurement(batch, masks, measured)
    results = dict(measured.results)  # the task may change it meanwhile
    wanted, size = _filters(batch, results)
    keys = select({key: mask.written for key, mask in masks.items()}, results, wanted)
    _viewer(batch, masks, keys)
    if not keys:
        st.info("**No masks match these filters.**", icon=":material/filter_alt:")
        return
    shown, number, pages = page_of(keys, slots.gallery_page(batch.job.name), size)
    thumbnails, part = batch.read_thumbnails([masks[key] for key in shown])
    tiles = [_tile(key, thumbnails.get(key), part) for key in shown]
    if wanted.class_id is not None:
        tiles = [
            replace(tile, note=class_share(results[tile.id], wanted.class_id, batch.classes))
            if tile.jpeg
            else tile
            for tile in tiles
        ]
    if part.failure is not None:
        st.warning(messages.line(part.failure), icon=":material/history:")
    gallery(
        tiles,
        key="batch-gallery",
        label="Images with their masks",
        on_pick=slots.IMAGE.set,
        selected=slots.IMAGE.get(),
        wrap=True,
    )
    _pager(batch.job.name, number, pages, len(keys), size)


def _tile(key: str, thumbnail: Thumbnail | None, part: OptionalPart[dict[str, str]]) -> Tile:
    if thumbnail is not None:
        return Tile(key, key, thumbnail.note, thumbnail.jpeg)
    if reason := part.value.get(key):
        return Tile(key, key, reason, state="failed")
    return Tile(key, key, state="busy")


def _measurement(batch: ShownBatch, masks: Mapping[str, MaskVersion], measured: Measurement) -> None:
    """Draw the button that measures all masks, its progress, and the download of the result."""
    left = measured.left(masks)
    task = measured.task
    if task is not None and task.error is not None and not task.stopped:
        st.error(messages.any_card(task.error), icon=":material/error:")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if task is not None and measured.running:
            st.progress(
                task.done / task.total if task.total else 0.0,
                f"Measuring: {task.done:,} of {plural(task.total, 'mask')}",
                width="stretch",
            )
            st.button("Stop measuring", icon=":material/stop_circle:", on_click=task.stop.set)
            return
        done = len(measured.results)
        text = f"{done:,} of {plural(len(masks), 'mask')} measured."
        if measured.invalid:
            text += f" {plural(len(measured.invalid), 'mask')} not valid."
        if not done:
            text = "Measure the masks to filter by class, sort by area and download the areas as CSV."
        st.caption(text, width="stretch")
        if left and masks:
            st.button(
                f"Measure {plural(len(left), 'mask')}",
                icon=":material/square_foot:",
                on_click=measured.start,
                args=(batch.connection, batch.job, batch.classes, left),
                help="Reads every mask from S3 once.",
            )
        if done:
            # Not made by the click: where the page runs again at that moment, Streamlit forgets how to make it.
            st.download_button(
                "Download areas (CSV)",
                measured.areas(batch.classes),
                f"{file_name(batch.job.name)}-areas.csv",
                "text/csv",
                icon=":material/download:",
                on_click="ignore",
            )


def _filters(batch: ShownBatch, results: Mapping[str, ImageResult]) -> tuple[GalleryFilter, int]:
    """Draw search, class, share and order; return the filter and how many thumbnails a page has."""
    ids = class_ids(results.values())
    names = {
        str(class_id): batch.classes.name(class_id) if batch.classes else f"class {class_id}"
        for class_id in ids
    }
    probabilities = any(result.mean_confidence is not None for result in results.values())
    with st.grid(5, min_column_width=150, gap="small", vertical_alignment="bottom"):
        text = st.text_input(
            "Search by name", key=TEXT, icon=":material/search:", bind="query-params", max_chars=200
        )
        chosen = st.selectbox(
            "Class",
            ["", *names],
            format_func=lambda key: terminal(names.get(key, key)) if key else "All classes",
            key=CLASS,
            disabled=not ids,
            help=None if ids else "Measure the masks first.",
        )
        least = st.number_input(
            "At least % of the image", 0.0, 100.0, 0.0, 5.0, key=LEAST, disabled=not chosen, format="%g"
        )
        orders = [
            order
            for order in ORDERS
            if (order not in BY_AREA or chosen) and (order != "uncertain" or probabilities)
        ]
        no_confidence = "This job writes masks only: sorting by confidence needs probabilities."
        order = st.selectbox(
            "Sort by",
            orders,
            format_func=lambda each: ORDER_LABELS[each],
            key=ORDER,
            help=no_confidence
            if batch.job.kind == "mask"
            else "By confidence once the outputs are measured.",
        )
        size = st.selectbox("Per page", PAGE_SIZES, key=SIZE)
    class_id = int(chosen) if chosen and chosen in names else None
    return GalleryFilter(text.strip(), class_id, least / 100, order or "name"), size or PAGE_SIZES[0]


def _viewer(batch: ShownBatch, masks: Mapping[str, MaskVersion], keys: list[str]) -> None:
    """Draw the image that the URL names, if there is one, with buttons to its neighbors and to close it."""
    key = slots.IMAGE.get()
    if not key:
        return
    place = keys.index(key) if key in keys else None
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{messages.plain(key)}**", width="stretch")
            before = keys[place - 1] if place else None
            after = keys[place + 1] if place is not None and place + 1 < len(keys) else None
            for label, icon, target in (
                ("Previous", ":material/chevron_left:", before),
                ("Next", ":material/chevron_right:", after),
            ):
                st.button(
                    label, icon=icon, disabled=target is None, on_click=slots.IMAGE.set, args=(target or key,)
                )
            st.button(
                "Close", icon=":material/close:", on_click=slots.IMAGE.set, args=("",), key="close-image"
            )
        if key not in masks:
            st.info("**There is no mask of this image.**", icon=":material/image_not_supported:")
            return
        frame, part = batch.read_frame(masks[key])
        if frame is not None:
            viewer(frame, key="batch-viewer")
        elif part.failure is not None:
            st.error(messages.card(part.failure), icon=":material/error:")
        elif part.waiting is not None:
            messages.waiting(part.waiting)


def _pager(job: str, number: int, pages: int, total: int, size: int) -> None:
    first = (number - 1) * size + 1
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(
            f"{first:,} to {min(total, first + size - 1):,} of {plural(total, 'mask')}", width="stretch"
        )
        if pages > 1:
            st.button(
                "Previous page",
                icon=":material/chevron_left:",
                disabled=number == 1,
                on_click=slots.show_gallery_page,
                args=(job, number - 1),
            )
            st.button(
                "Next page",
                icon=":material/chevron_right:",
                disabled=number == pages,
                on_click=slots.show_gallery_page,
                args=(job, number + 1),
            )
