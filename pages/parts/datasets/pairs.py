"""The browser of image and mask pairs, filtered by class, issue and split; the selected pair is in the viewer."""

from __future__ import annotations

from itertools import islice

import streamlit as st

from core.datasets.inspection import PairFacts
from core.datasets.problems import count_by_code
from core.datasets.report import LayoutReport
from core.datasets.source import SPLITS, Dataset
from core.errors import CoreError
from core.escaping import terminal
from pages.parts import messages
from pages.parts.datasets import data
from pages.parts.gallery.gallery import Tile, gallery
from pages.parts.state import Slot
from pages.parts.viewer.viewer import viewer

PAGE_SIZE = 12

_SHOWN: Slot[str] = Slot("datasets.shown_pair")
"""The id of the pair that is shown large."""


def show(source: Dataset, report: LayoutReport) -> None:
    """Draw the filters, one page of thumbnails, and the selected pair in the viewer."""
    st.header("Pairs")
    pairs = _filtered(report)
    if not pairs:
        st.info("**No pairs match these filters.**", icon=":material/filter_alt:")
        return
    page = st.pagination(-(-len(pairs) // PAGE_SIZE), key="pairs-page") if len(pairs) > PAGE_SIZE else 1
    shown = list(islice(pairs, (page - 1) * PAGE_SIZE, page * PAGE_SIZE))
    selected = next((pair for pair in shown if _id(pair) == _SHOWN.get()), shown[0])
    tiles = [_tile(source, report, pair) for pair in shown]
    gallery(tiles, key="pairs", label="Pairs", on_pick=_SHOWN.set, selected=_id(selected))
    _pair(source, report, selected)


def _filtered(report: LayoutReport) -> list[PairFacts]:
    names = {row.class_id: row.name for row in report.histogram if any(row.images.values())}
    codes = list(count_by_code(report.problems))
    with st.container(horizontal=True, vertical_alignment="top"):
        class_id = st.selectbox(
            "Class",
            [None, *names],
            format_func=lambda class_id: "Any" if class_id is None else terminal(names[class_id]),
        )
        code = st.selectbox("Issue", ["", *codes], format_func=lambda code: code or "Any or none")
        split = st.segmented_control("Split", SPLITS)
    pairs = [
        pair for pair in report.select(class_id=class_id, code=code) if split in (None, pair.sample.split)
    ]
    st.caption(f"{len(pairs):,} of {len(report.facts):,} pairs")
    return pairs


def _id(pair: PairFacts) -> str:
    return f"{pair.sample.split}/{pair.sample.image or pair.sample.mask}"


def _tile(source: Dataset, report: LayoutReport, pair: PairFacts) -> Tile:
    """Return the thumbnail of a pair. A pair that cannot be opened gets an empty tile."""
    at_fault = report.at_fault()
    broken = pair.sample.image in at_fault or pair.sample.mask in at_fault
    name = pair.sample.name.rpartition("/")[2]
    try:
        thumbnail = data.thumbnail(source, pair.sample, report.classes)
    except CoreError:  # shown when the pair is selected
        return Tile(_id(pair), name, pair.sample.split, None, "failed")
    return Tile(_id(pair), name, pair.sample.split, thumbnail, "failed" if broken else "")


def _pair(source: Dataset, report: LayoutReport, pair: PairFacts) -> None:
    """Draw the issues of a pair, and its image and mask in the viewer."""
    sample = pair.sample
    for problem in report.problems:
        if problem.path and problem.path in (sample.image, sample.mask):
            st.warning(
                messages.plain(f"{problem.path}: {problem.message} {problem.todo}"), icon=":material/warning:"
            )
    try:
        frame = data.viewer_frame(source, sample, report.classes)
    except CoreError as error:
        st.info(messages.line(error), icon=":material/broken_image:")
        return
    viewer(frame, key="pair-viewer")
    st.caption(f"{messages.plain(sample.image)} · {messages.plain(sample.mask)} · {sample.split}")
