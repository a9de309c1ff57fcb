"""The panel next to the launch form: the price, the number of files, and the issues with their fixes."""

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

MAX_SHOWN = 12
"""Problems shown at once; the first ones often cause the others."""


def price(spec: TrainingSpec, prices: PriceTable, *, sandbox: bool) -> None:
    """Draw the price per hour and at the maximum run time."""
    cost = estimate(spec.instance_type, spec.max_runtime_seconds, prices)
    hourly, most = (str(amount) if amount else "unknown" for amount in (cost.per_hour, cost.at_max))
    with st.grid(2, min_column_width=120, gap="small"):
        st.metric(
            "AWS price per hour" if sandbox else "Cost per hour", hourly, help=messages.plain(cost.source)
        )
        st.metric(f"Max cost ({duration(spec.max_runtime_seconds)})", most)
    if sandbox:
        st.caption(":material/computer: Sandbox: nothing is billed. Prices are AWS estimates.")


def counts(files: Mapping[str, int]) -> None:
    """Draw how many files each channel has. files: channel -> number of files."""
    text = " · ".join(f"{messages.plain(name)} **{count:,}**" for name, count in files.items())
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f":material/folder_open: {text or 'No data listed yet.'}", width="stretch")
        st.button(
            "Check again",
            icon=":material/refresh:",
            type="tertiary",
            key="check-again",
            on_click=state.request_retry,
        )


def problems(
    problems: Sequence[Problem],
    spec: TrainingSpec,
    counts: Mapping[str, int],
    previous: Mapping[str, str] | None,
    classes: int | None = None,
) -> None:
    """Draw the problems, errors first, each with the button that fixes it where there is one."""
    problem_list.heading(problems, before="launch")
    for number, problem in enumerate(problems[:MAX_SHOWN]):
        with st.container(gap="xsmall"):
            problem_list.line(problem)
            fix = fix_for(problem, spec, counts, previous, classes)
            if fix is not None:
                st.button(
                    messages.plain(fix.label),
                    key=f"fix-{number}-{problem.name}",
                    icon=":material/build:",
                    on_click=LAUNCH.set,
                    args=(fix.field, fix.value),
                )
    if len(problems) > MAX_SHOWN:
        st.caption(f"And {len(problems) - MAX_SHOWN} more.")
