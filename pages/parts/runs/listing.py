"""The list of stored runs: search, table, deletion of several."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import pandas as pd
import streamlit as st

from core.runs.run import Run
from core.runs.store import RunStore
from core.text import plural
from pages.parts import elements, links, messages, state
from pages.parts.run_store import RUN
from pages.parts.runs import deletion, text

SEARCH, KIND = "search", "type"
"""Keys of the filters, which are bound to the URL under the same names."""

MEGABYTE = 1_000_000
ROW, HEADER, ROWS = 37, 39, 14
"""Heights in pixels of a row and of the header, and how many rows are visible before the table scrolls."""


def show(store: RunStore) -> None:
    """Draw the filters and the runs that match, the newest first. Raises InputError."""
    stored = store.all()
    if stored.unreadable:
        st.warning(
            f"{plural(len(stored.unreadable), 'file')} in {messages.code(str(store.folder / 'runs'))} cannot be "
            "read: not written by this version of Segdeck, or damaged.",
            icon=":material/warning:",
        )
    if not stored.runs:
        _empty()
        return
    runs = _filtered(stored.runs)
    shown = f", {len(runs):,} shown" if len(runs) < len(stored.runs) else ""
    st.caption(
        f"{plural(len(stored.runs), 'run')}{shown} · {store.size() / MEGABYTE:,.1f} of "
        f"{store.limit / MEGABYTE:,.0f} MB used. Above that, the oldest are removed."
    )
    if runs:
        _table(store, runs)
    else:
        st.info("**No runs match.**", icon=":material/filter_alt:")
        st.button("Clear filters", icon=":material/filter_alt_off:", on_click=_clear)


def _filtered(runs: Sequence[Run]) -> list[Run]:
    with st.container(horizontal=True, vertical_alignment="top", gap="small"):
        kind = st.pills(
            "Type", list(text.KINDS), format_func=text.KINDS.__getitem__, key=KIND, bind="query-params"
        )
        words = st.text_input(
            "Search",
            key=SEARCH,
            bind="query-params",
            max_chars=200,
            icon=":material/search:",
            width=280,
            placeholder="File, endpoint, model, user",
        )
    return [run for run in runs if (kind is None or run.kind == kind) and run.matches(words)]


def _clear() -> None:
    state.choose(SEARCH, "")
    state.choose(KIND, None)


def _table(store: RunStore, runs: Sequence[Run]) -> None:
    """Draw a row per run. A click on its name opens it; selected rows can be deleted."""
    # Streamlit identifies selected rows and clicked cells by position, so other rows get another key.
    key = f"runs-{crc32(''.join(run.id for run in runs).encode())}"
    clicked = state.clicked_row(f"{key}-open")
    if clicked is not None and clicked < len(runs):
        links.open_page(links.RUNS, {RUN.name: runs[clicked].id})
    column = st.column_config
    elements.dataframe(
        frame(runs),
        column_config={
            "name": column.ButtonColumn(
                "Run", type="tertiary", alignment="left", pinned=True, width=230, help="Open the run",
                key=f"{key}-open",
            ),
            "kind": column.TextColumn("Type", width=105),
            "endpoint": column.TextColumn("Endpoint", width=180),
            "images": column.TextColumn("Images", width=120),
            "miou": column.NumberColumn(
                "Mean IoU", format="%.1f%%", width=85,
                help="Of an evaluation, its first endpoint; of a segmentation, the average over its images with "
                "ground truth.",
            ),
            "started": column.DatetimeColumn("Started", format="distance", width=140),
            "user": column.TextColumn("By", width=140),
        },
        hide_index=True,
        row_height=ROW,
        placeholder="–",
        height=HEADER + ROW * min(len(runs), ROWS),
        key=key,
        selection_mode="multi-row",
        on_select="rerun",
        alt="Runs, newest first",
    )  # fmt: skip
    chosen = [runs[row] for row in state.ticked_rows(key) if row < len(runs)]
    if chosen:
        st.button(
            f"Delete {plural(len(chosen), 'run')}",
            icon=":material/delete:",
            on_click=deletion.confirm,
            args=(store, chosen, lambda: None),
        )


def frame(runs: Sequence[Run]) -> pd.DataFrame:
    """Return one row per run, in this order."""
    ious = [run.mean_iou for run in runs]
    return pd.DataFrame(
        {
            "name": [text.name(run) for run in runs],
            "kind": [text.KINDS[run.kind] for run in runs],
            "endpoint": [text.endpoints(run) for run in runs],
            "images": [text.images(run) for run in runs],
            "miou": 100 * pd.Series(ious, dtype="float64"),
            "started": [run.started_at for run in runs],
            "user": [text.user(run) or None for run in runs],
        }
    )


def _empty() -> None:
    with st.container(border=True):
        st.markdown("**No runs yet.**")
        st.caption(
            "Each segmentation and each evaluation is stored here with its images, scores and downloads. Open it "
            "again, or send its link to a colleague, without invoking the endpoint."
        )
        with st.container(horizontal=True, gap="small"):
            links.page_link(links.SEGMENT, label="Segment images", icon=":material/imagesmode:")
            links.page_link(links.EVALUATE, label="Evaluate an endpoint", icon=":material/grading:")
