"""The panel next to the launch form: the price, the number of files, and the issues with their fixes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from core.cost.spot import ForecastLine
from core.cost.training import SANDBOX_NOTE, PriceTable, cost_label, estimate
from core.text import duration
from core.training.hyperparameters import Problem
from core.training.job import TrainingJob, TrainingSpec
from pages.parts import messages, problem_list, state
from pages.parts.launch.check import fix_for
from pages.parts.launch.fields import LAUNCH
from pages.parts.shared_cache import OptionalPart

MAX_SHOWN = 12
"""Problems shown at once; the first ones often cause the others."""


def price(spec: TrainingSpec, prices: PriceTable, *, sandbox: bool) -> None:
    """Draw the price per hour and at the maximum run time."""
    cost = estimate(spec.instance_type, spec.max_runtime_seconds, prices)
    hourly, most = (str(amount) if amount else "unknown" for amount in (cost.per_hour, cost.at_max))
    with st.grid(2, min_column_width=170 if sandbox else 120, gap="small"):
        st.metric(cost_label("Cost per hour", sandbox=sandbox), hourly, help=messages.plain(cost.source))
        st.metric(cost_label(f"Max cost ({duration(spec.max_runtime_seconds)})", sandbox=sandbox), most)
    if sandbox:
        st.caption(f":material/computer: {SANDBOX_NOTE}")


def forecast(lines: Sequence[ForecastLine], past: OptionalPart[tuple[TrainingJob, ...]]) -> None:
    """Draw what spot capacity is expected to save and to delay, each estimate with its source.

    past: the jobs that the forecast is from.
    """
    if not lines:
        return
    with st.container(border=True, gap="xsmall"):
        st.markdown("**Spot forecast** :gray-badge[estimate]")
        for line in lines:
            st.markdown(f"**{line.label}:** {messages.plain(line.value)}")
            st.caption(f"Source: {messages.plain(line.source)}")
        if past.waiting is not None:
            messages.waiting(past.waiting)
        elif past.failure is not None:
            st.caption(f"The account's own jobs could not be read. {messages.line(past.failure)}")


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


def preparing() -> None:
    """Draw that a new sandbox does not have its demo data yet."""
    st.info(
        "**Preparing the demo data.** A new sandbox generates these demo images first, which takes a minute or two. "
        "This page refreshes automatically.",
        icon=":material/hourglass_top:",
    )


def problems(
    problems: Sequence[Problem],
    spec: TrainingSpec,
    counts: Mapping[str, int],
    previous: Mapping[str, str] | None,
    classes: int | None = None,
    *,
    labels: Sequence[str] = (),
    generating: bool = False,
) -> None:
    """Draw the problems, errors first, each with the button that fixes it where there is one.

    generating: whether data is still to come, so that no problems does not mean ready.
    """
    if not generating or any(problem.is_error for problem in problems):
        problem_list.heading(problems, before="launch")
    for number, problem in enumerate(problems[:MAX_SHOWN]):
        with st.container(gap="xsmall"):
            problem_list.line(problem)
            fix = fix_for(problem, spec, counts, previous, classes, labels=labels)
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
