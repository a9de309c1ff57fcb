"""The question which of several masks or annotations of a dataset to use."""

from __future__ import annotations

import streamlit as st

from core.datasets.choices import ChoiceNeededError
from pages.parts import messages
from pages.parts.datasets import session
from pages.parts.datasets.session import CheckedDataset
from pages.parts.tasks import PATIENCE, BackgroundTask, wait_for_any


def show(task: BackgroundTask[CheckedDataset]) -> bool:
    """Draw the question and its answers, if the validation needs one; return whether it does."""
    wait_for_any([task], PATIENCE)
    if not isinstance(task.error, ChoiceNeededError):
        return False
    with st.container(border=True):
        st.header("Which annotations?")
        st.write(messages.plain(task.error.question))
        with st.container(horizontal=True):
            for option in task.error.options:
                st.button(
                    messages.plain(option), key=f"annotations-{option}", on_click=_choose, args=(option,)
                )
    return True


def _choose(option: str) -> None:
    choose = session.current().choose
    if choose is not None:
        choose(option)
