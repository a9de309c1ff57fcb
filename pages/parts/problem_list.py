"""What a pre-flight found, next to the form that it is about."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.training.hyperparameters import Problem, Severity
from pages.parts import messages

ICONS: dict[Severity, str] = {
    "error": ":red[:material/error:]",
    "warning": ":orange[:material/warning:]",
    "note": ":blue[:material/info:]",
}


def heading(problems: Sequence[Problem]) -> None:
    """Draw how many errors there are, or that there is none."""
    errors = sum(problem.is_error for problem in problems)
    if errors:
        st.markdown(f":red-badge[{errors} to mend before it can start]")
    else:
        st.markdown(":green-badge[:material/check: Nothing stands in its way]")


def line(problem: Problem) -> None:
    """Draw one problem as a line."""
    st.markdown(f"{ICONS[problem.severity]} {messages.plain(problem.message)}")
