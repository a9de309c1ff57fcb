"""Beside the launch form: what it costs, what is wrong with it, and the way on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from core.cost.training import PriceTable, estimate
from core.text import duration
from core.training.hyperparameters import Problem
from core.training.job import TrainingSpec
from pages.parts import messages, problem_list, state
from pages.parts.launch.check import fix_for
from pages.parts.launch.fields import LAUNCH

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
    problem_list.heading(found)
    for number, problem in enumerate(found[:SHOWN]):
        with st.container(gap="xsmall"):
            problem_list.line(problem)
            fix = fix_for(problem, spec, counts, previous)
            if fix is not None:
                st.button(
                    messages.plain(fix.label),
                    key=f"fix-{number}-{problem.name}",
                    icon=":material/build:",
                    on_click=LAUNCH.set,
                    args=(fix.field, fix.value),
                )
    if len(found) > SHOWN:
        st.caption(f"And {len(found) - SHOWN} more.")
