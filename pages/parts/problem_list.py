"""The result of a pre-flight check, next to the form that it checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import streamlit as st

from core.text import plural
from core.training.hyperparameters import Problem, Severity
from pages.parts import messages

ICONS: dict[Severity, str] = {
    "error": ":red[:material/error:]",
    "warning": ":orange[:material/warning:]",
    "note": ":blue[:material/info:]",
}

Action = Literal["launch", "deployment", "the start"]
READY: dict[Action, str] = {
    "launch": "Ready to launch",
    "deployment": "Ready to deploy",
    "the start": "Ready to start",
}


def heading(problems: Sequence[Problem], *, before: Action) -> None:
    """Draw how many errors there are, or that there are none. before: the action that they block."""
    errors = sum(problem.is_error for problem in problems)
    if errors:
        st.markdown(f":red-badge[{plural(errors, 'issue')} to fix before {before}]")
    else:
        st.markdown(f":green-badge[:material/check: {READY[before]}]")


def line(problem: Problem) -> None:
    """Draw one problem as a line."""
    st.markdown(f"{ICONS[problem.severity]} {messages.plain(problem.message)}")
