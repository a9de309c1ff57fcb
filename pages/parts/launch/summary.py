"""Beside the launch form: what it costs, what is wrong with it, and the way on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from core.cost.training import PriceTable, estimate
from core.text import duration
from core.training.hyperparameters import Problem, Severity
from core.training.job import TrainingSpec
from pages.parts import messages, state
from pages.parts.launch.launch_fixes import fix_for

ICONS: dict[Severity, str] = {
    "error": ":red[:material/error:]",
    "warning": ":orange[:material/warning:]",
    "note": ":blue[:material/info:]",
}
SHOWN = 12
"""Problems at once; the first ones often cause the others."""


def price(spec: TrainingSpec, prices: PriceTable, *, sandbox: bool) -> None:
    """By the hour and at most."""
    found = estimate(spec.instance_type, spec.max_runtime_seconds, prices)
    hourly, most = (str(amount) if amount else "unknown" for amount in (found.per_hour, found.at_max))
    with st.grid(2, min_column_width=120, gap="small"):
        st.metric("On AWS, an hour" if sandbox else "Cost an hour", hourly, help=messages.plain(found.source))
        st.metric(f"In {duration(spec.max_runtime_seconds)} at most", most)
    if sandbox:
        st.caption(":material/computer: The sandbox trains on this machine, and costs nothing.")


def counts(found: Mapping[str, int]) -> None:
    """How many files lie in each channel."""
    said = " · ".join(f"{messages.plain(name)} **{count:,}**" for name, count in found.items())
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f":material/folder_open: {said or 'No data was looked at yet.'}", width="stretch")
        st.button(
            "Look again",
            icon=":material/refresh:",
            type="tertiary",
            key="look-again",
            on_click=state.ask_retry,
        )


def problems(
    found: Sequence[Problem],
    spec: TrainingSpec,
    counts: Mapping[str, int],
    previous: Mapping[str, str] | None,
) -> None:
    """Errors first, each with the click that mends it where there is one."""
    errors = sum(problem.is_error for problem in found)
    if errors:
        st.markdown(f":red-badge[{errors} to mend before it can start]")
    else:
        st.markdown(":green-badge[:material/check: Nothing stands in its way]")
    for number, problem in enumerate(found[:SHOWN]):
        with st.container(gap="xsmall"):
            st.markdown(f"{ICONS[problem.severity]} {messages.plain(problem.message)}")
            fix = fix_for(problem, spec, counts, previous)
            if fix is not None:
                st.button(
                    messages.plain(fix.label),
                    key=f"fix-{number}-{problem.name}",
                    icon=":material/build:",
                    on_click=state.LAUNCH.set,
                    args=(fix.field, fix.value),
                )
    if len(found) > SHOWN:
        st.caption(f"And {len(found) - SHOWN} more.")
