"""A map: while it is made, interrupted, or done. Opening one never invokes the endpoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from core.inference.batch import read_json
from core.inference.export import unique_stems
from core.runs.run import Run
from core.runs.store import RunStore
from core.text import duration, plural
from core.tiles.preview import FAILED
from pages.parts import downloads, elements, messages, refresh
from pages.parts.tiles import preview, task
from pages.parts.tiles.order import MapOrder
from pages.parts.tiles.task import MapTask

Resume = Callable[[bool], None]
"""Continues a map; takes whether its polygons are written."""

TICK = 1.0
"""Seconds between two drawings of a growing map."""

FEW_FAILED = 20
"""Failed tiles that are listed."""

MEDIA = {
    ".tif": "image/tiff",
    ".png": "image/png",
    ".csv": "text/csv",
    ".json": "application/json",
    ".gpkg": "application/geopackage+sqlite3",
    ".geojson": "application/geo+json",
}
LABELS = {
    "_mask": "Mask",
    "_confidence": "Confidence",
    "_polygons": "Polygons",
    "_areas": "Areas",
    "": "JSON",
}


def show(store: RunStore, run: Run, resume: Resume | None) -> None:
    """Draw the map of a run. resume: continues it, in a callback; None where that is done on another page."""
    current = task.find(run.id)
    if current is not None and not current.over:
        refresh.timed(_progress, TICK)(current)
        return
    folder = store.map_folder(run.id)
    row = _summary(folder, run)
    if current is not None and current.error is not None:
        st.error(messages.any_card(current.error), icon=":material/error:")
    if row is None:
        _interrupted(folder, run, current, resume)
        return
    _result(folder, run, row, resume)


def _progress(current: MapTask) -> None:
    if current.over:
        refresh.rerun_at_tick()
    stopping = current.stop.is_set()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        share = current.done / current.total if current.total else 0.0
        st.progress(min(share, 1.0), _status(current), width="stretch")
        st.button(
            "Stopping …" if stopping else "Stop",
            key="stop-map",
            icon=":material/stop_circle:",
            on_click=current.end,
            disabled=stopping,
            help="Tiles in progress are finished. Finished tiles are kept, so that you can continue later.",
        )
    if current.growing is not None:
        preview.show_growing(current.growing)
        failed = int((current.growing.tiles == FAILED).sum())
        if failed:
            st.warning(f"{plural(failed, 'tile')} failed (red).", icon=":material/warning:")
    st.caption("It continues when you leave or reload this page.")


def _status(current: MapTask) -> str:
    if not current.begun:
        return "Waiting for another map" if current.stage == "waiting" else "Planning ..."
    if current.done >= current.total:
        return f"{plural(current.total, 'tile')} done, writing the files ..."
    text = f"{current.done:,} of {plural(current.total, 'tile')}"
    seconds = time.monotonic() - current.begun
    if current.paid and seconds > 0:
        speed = current.paid / seconds
        left = (current.total - current.done) / speed
        text += f" · {speed:.1f} per second · about {duration(left)} left"
    return text


def _summary(folder: Path, run: Run) -> dict[str, Any] | None:
    (stem,) = unique_stems([run.title])
    return read_json(folder / f"{stem}.json")


def _interrupted(folder: Path, run: Run, current: MapTask | None, resume: Resume | None) -> None:
    kept = len(list(folder.glob(".*.tiles/*.tile")))
    requests = MapOrder.from_form(run.form).requests
    total = int(requests) if requests.isdecimal() else 0
    with st.container(border=True):
        st.markdown(
            f"**This map is not complete.** {plural(kept, 'tile')} of {total:,} are finished and kept."
            if total
            else f"**This map is not complete.** {plural(kept, 'tile')} are finished and kept."
        )
        outcome = current.result if current is not None else None
        if outcome is not None and outcome.tiles.fault is not None:
            st.error(messages.card(outcome.tiles.fault), icon=":material/error:")
        st.caption("Finished tiles are not sent again. The others are billed like any other call.")
        if resume is not None:
            left = max(0, total - kept)
            st.button(
                f"Continue: {plural(left, 'request')}" if total else "Continue",
                type="primary",
                icon=":material/play_arrow:",
                key="continue-map",
                on_click=resume,
                args=(True,),
            )
            if MapOrder.from_form(run.form).polygons and current is not None and current.error is not None:
                st.button(
                    "Continue without polygons",
                    icon=":material/play_arrow:",
                    key="continue-map-only",
                    on_click=resume,
                    args=(False,),
                )


def _result(folder: Path, run: Run, row: dict[str, Any], resume: Resume | None) -> None:
    preview.show_map(folder, run, row)
    seconds = row["seconds"]["total"]
    scene = row["scene"]
    st.caption(
        f":material/timer: {plural(row['plan']['requests'], 'tile')} in {duration(seconds)} · "
        f"{scene['width']:,} × {scene['height']:,} pixels"
    )
    for note in row["notes"]:
        st.caption(f":material/info: {messages.plain(note)}")
    for problem in row["problems"]:
        st.warning(messages.plain(problem), icon=":material/warning:")
    if row["failed"]:
        _failed(row["failed"], resume)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.header("Areas")
        _areas(row["classes"])
    with right:
        st.header("Downloads")
        _downloads(folder)


def _failed(failed: list[dict[str, Any]], resume: Resume | None) -> None:
    with st.container(border=True):
        st.markdown(f":material/error: **{plural(len(failed), 'tile')} failed** and have no data in the map.")
        lines = [
            f"- {messages.plain(each['path'])}: {messages.plain(each['what'])}"
            for each in failed[:FEW_FAILED]
        ]
        if len(failed) > FEW_FAILED:
            lines.append(f"- and {len(failed) - FEW_FAILED:,} more, in the JSON file")
        st.markdown("\n".join(lines))
        if resume is not None:
            st.button(
                f"Send again: {plural(len(failed), 'request')}",
                icon=":material/refresh:",
                key="continue-map",
                on_click=resume,
                args=(True,),
                help="The other tiles are not sent again.",
            )


def _areas(classes: list[dict[str, Any]]) -> None:
    hectares = all(each["hectares"] is not None for each in classes)
    table = pd.DataFrame(
        {
            "color": ["" for _ in classes],
            "name": [each["name"] for each in classes],
            "share": [100 * each["share"] for each in classes],
            "area": [each["hectares"] if hectares else each["pixels"] for each in classes],
            "confidence": 100 * pd.Series([each["mean_confidence"] for each in classes], dtype="float64"),
        }
    )
    colors = [f"background-color: {each['color']}" for each in classes]
    column = st.column_config
    columns = {
        "color": column.TextColumn("Color", width=60, pinned=True),
        "name": column.TextColumn("Class", width=130),
        "share": column.ProgressColumn("Share", format="%.1f%%", min_value=0, max_value=100, width=130),
        "area": column.NumberColumn(
            "Hectares" if hectares else "Pixels",
            format="%.2f" if hectares else "localized",
            width=90,
            help="On the ellipsoid, from the pixels of the mask." if hectares else None,
        ),
        "confidence": column.NumberColumn("Confidence", format="%.1f%%", width=90),
    }
    if all(each["mean_confidence"] is None for each in classes):
        del columns["confidence"]
        table = table.drop(columns="confidence")
    painted = table.style.apply(lambda _: colors, subset=["color"])
    elements.dataframe(painted, hide_index=True, column_config=columns, alt="Area of each class")


def _downloads(folder: Path) -> None:
    files = [
        path for path in sorted(folder.iterdir()) if path.suffix in MEDIA and not path.name.startswith(".")
    ]
    with st.grid(2, min_column_width=118, gap="xsmall"):
        for end, label in LABELS.items():
            matching = [path for path in files if path.stem.endswith(end)][:1]
            for path in matching:
                files.remove(path)
                downloads.button(
                    label,
                    partial(Path.read_bytes, path),
                    path.name,
                    MEDIA[path.suffix],
                    key=f"get-{label}",
                    icon=":material/download:",
                    width="stretch",
                    help=path.name,
                )
