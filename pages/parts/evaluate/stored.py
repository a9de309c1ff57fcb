"""A stored evaluation: its results, read from the disk. No endpoint is invoked here."""

from __future__ import annotations

import streamlit as st

from core.runs.evaluation import StoredEvaluation, reopen
from core.runs.run import Run
from core.runs.store import RunStore
from core.text import duration, plural
from pages.parts import cached, messages
from pages.parts.evaluate import results


def show(store: RunStore, run: Run) -> None:
    """Draw the results of a run. Raises InputError where its scores are no longer stored."""
    stored = _read(store, run)
    failed = f", {run.failed:,} failed" if run.failed else ""
    st.caption(
        f":material/timer: {plural(run.image_count, 'image')} from {messages.plain(run.title)} in "
        f"{duration(stored.seconds)}{failed}."
    )
    results.show(stored.pairs, stored.masks, stored.evaluation)


def _read(store: RunStore, run: Run) -> StoredEvaluation:
    return cached.image_scores(f"stored evaluation {run.scores}", lambda: reopen(store, run.scores))
