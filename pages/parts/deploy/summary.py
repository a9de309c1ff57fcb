"""Next to the deploy form: contents of the artifact, price, and problems."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.artifacts.artifact import Artifact
from core.cost.hosting import hosting_price
from core.cost.training import SANDBOX_NOTE, PriceTable, cost_label
from core.endpoints.endpoint import Variant
from core.endpoints.spec import EndpointSpec
from core.errors import CoreError
from core.plans.comparison import Comparison
from core.training.hyperparameters import LIGHT, Problem
from pages.parts import messages, problem_list


def contents(artifact: Artifact) -> None:
    """Draw what the artifact contains, as badges."""
    network = artifact.algorithm or "unknown network"
    if artifact.backbone and artifact.backbone != LIGHT:
        network = f"{network} · {artifact.backbone}"
    with st.container(horizontal=True, gap="xsmall"):
        st.badge(messages.plain(network), icon=":material/account_tree:", color="green")
        st.badge(
            f"{artifact.num_classes} classes" if artifact.num_classes else "classes unknown",
            icon=":material/palette:",
            color="gray",
        )
        if artifact.crop_size:
            st.badge(f"crop size {artifact.crop_size}", icon=":material/crop:", color="gray")
        st.badge(
            f"{artifact.size / 1e6:,.1f} MB",
            icon=":material/folder_zip:",
            color="gray",
            help=messages.plain(", ".join(member.name for member in artifact.members)),
        )


def refused(error: CoreError) -> None:
    """Draw why an artifact cannot be served."""
    st.error(f"**This model cannot be deployed.** {messages.card(error)}", icon=":material/block:")


def comparison(rows: Sequence[Comparison]) -> None:
    """Draw what the update changes: current and new values."""
    for row in rows:
        icon = ":orange[:material/change_circle:]" if row.changed else ":gray[:material/check:]"
        st.markdown(f"{icon} :small[{messages.plain(str(row).replace(' -> ', ' → '))}]")


def price(spec: EndpointSpec, prices: PriceTable, *, sandbox: bool) -> None:
    """Draw the price per hour, month and year: an endpoint is billed until it is deleted."""
    estimate = hosting_price([Variant("", spec.instance_type, spec.instance_count, "")], prices)
    hourly, monthly, yearly = (str(amount) if amount else "unknown" for _, amount in estimate.amounts)
    with st.grid(2, min_column_width=150, gap="small"):
        label = cost_label("Cost per hour", sandbox=sandbox)
        st.metric(label, hourly, help=messages.plain(estimate.source))
        st.metric(cost_label("Cost per month", sandbox=sandbox), monthly)
    if sandbox:
        st.caption(f":material/computer: {SANDBOX_NOTE}")
    else:
        year = messages.plain(f"{yearly} per year")
        st.caption(f":material/hourglass: Billed until deleted, with or without calls: {year}.")


def problems(sorted_problems: Sequence[Problem]) -> None:
    """Draw the problems, errors first."""
    problem_list.heading(sorted_problems, before="deployment")
    for problem in sorted_problems:
        problem_list.line(problem)
