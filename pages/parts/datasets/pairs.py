"""A browser of photographs and their masks, by class, by problem and by side; the one chosen is in the viewer."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import islice

import streamlit as st

from core.datasets.inspection import PairFacts
from core.datasets.preview import opened_pair, stamp
from core.datasets.problems import count_by_code
from core.datasets.report import LayoutReport
from core.datasets.source import SPLITS, Dataset, Sample
from core.errors import CoreError
from core.escaping import terminal
from core.imaging.classes import Classes
from core.imaging.image import preview
from pages.parts import cached, messages, state
from pages.parts.gallery.gallery import Tile, gallery
from pages.parts.viewer.frame import build
from pages.parts.viewer.viewer import viewer

A_PAGE = 12


def show(source: Dataset, report: LayoutReport) -> None:
    """Filters, a row of pairs, and the chosen pair large."""
    st.subheader("Pairs")
    found = _filtered(report)
    if not found:
        st.info("**No pair fits these filters.**", icon=":material/filter_alt:")
        return
    lean = replace(source, samples=(), problems=())
    page = st.pagination(-(-len(found) // A_PAGE), key="pairs-page") if len(found) > A_PAGE else 1
    shown = list(islice(found, (page - 1) * A_PAGE, page * A_PAGE))
    chosen = next((one for one in shown if _id(one) == state.shown()), shown[0])
    tiles = [_tile(lean, report, one) for one in shown]
    gallery(tiles, key="pairs", label="Pairs", on_pick=state.show, selected=_id(chosen))
    _one(lean, report, chosen)


def _filtered(report: LayoutReport) -> list[PairFacts]:
    names = {row.class_id: row.name for row in report.histogram if any(row.images.values())}
    codes = list(count_by_code(report.problems))
    with st.container(horizontal=True, vertical_alignment="top"):
        class_id = st.selectbox(
            "Shows the class",
            [None, *names],
            format_func=lambda one: "Any" if one is None else terminal(names[one]),
        )
        code = st.selectbox("Has the problem", ["", *codes], format_func=lambda one: one or "Any or none")
        side = st.segmented_control("Side", SPLITS)
    found = report.select(class_id=class_id, code=code)
    chosen = [one for one in found if side in (None, one.sample.split)]
    st.caption(f"{len(chosen):,} of {len(report.facts):,} pairs")
    return chosen


def _id(facts: PairFacts) -> str:
    return f"{facts.sample.split}/{facts.sample.photo or facts.sample.mask}"


def _tile(source: Dataset, report: LayoutReport, facts: PairFacts) -> Tile:
    """A broken pair has its place in the row too, without a picture."""
    broken = facts.sample.photo in report.at_fault() or facts.sample.mask in report.at_fault()
    name = facts.sample.name.rpartition("/")[2]
    try:
        small = cached.pair_thumbnail(source, facts.sample, report.classes, stamp(source, facts.sample))
    except CoreError:  # told beside the pair itself
        return Tile(_id(facts), name, facts.sample.split, None, "failed")
    return Tile(_id(facts), name, facts.sample.split, small, "failed" if broken else "")


def _one(source: Dataset, report: LayoutReport, facts: PairFacts) -> None:
    sample = facts.sample
    for one in report.problems:
        if one.path and one.path in (sample.photo, sample.mask):
            st.warning(messages.plain(f"{one.path}: {one.message} {one.todo}"), icon=":material/warning:")
    try:
        frame = cached.pair_frame(
            source,
            sample,
            report.classes,
            stamp(source, sample),
            partial(_frame, source, sample, report.classes),
        )
    except CoreError as error:
        st.info(messages.line(error), icon=":material/broken_image:")
        return
    viewer(frame, key="pair-viewer")
    st.caption(f"{messages.plain(sample.photo)} · {messages.plain(sample.mask)} · {sample.split}")


def _frame(source: Dataset, sample: Sample, classes: Classes | None) -> bytes:
    with opened_pair(source, sample, classes) as (photo, labels):
        return build(preview(photo).body, (photo.width, photo.height), labels, title="Mask")
