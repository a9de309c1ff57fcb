"""Delete runs, after a confirmation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from core.runs.run import Run
from core.runs.store import RunStore
from core.text import plural
from pages.parts import dialogs, messages, state
from pages.parts.runs import text


def confirm(store: RunStore, runs: Sequence[Run], after: Callable[[], None]) -> None:
    """Ask whether to delete these runs; in a callback. after: called once they are deleted, to leave their page."""
    dialogs.ask("Delete runs" if len(runs) > 1 else "Delete run", partial(_body, store, runs, after))


def _body(store: RunStore, runs: Sequence[Run], after: Callable[[], None]) -> None:
    what = f"**{messages.plain(text.name(runs[0]))}**" if len(runs) == 1 else f"**{len(runs):,} runs**"
    st.markdown(f"Delete {what} with images, results and scores? Links to it stop working.")
    st.caption(
        "What another run shows too is kept. If images of a deleted run are segmented again, that is billed."
    )
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel", key="delete-run-cancel"):
            dialogs.close()
            st.rerun()
        sure = st.button(
            "Delete permanently", key="delete-run", type="primary", icon=":material/delete_forever:"
        )
    if sure:
        with messages.error_boundary("delete run"):
            for run in runs:
                store.delete(run.id)
            dialogs.close()
            state.notify(f"Deleted {plural(len(runs), 'run')}.")
            after()
            st.rerun()
