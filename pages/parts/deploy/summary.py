"""Beside the deploy form: what is in the artifact, what it costs, what is wrong, and the way on."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.artifacts.artifact import Artifact
from core.cost.hosting import hosting_price
from core.cost.training import PriceTable
from core.endpoints.endpoint import Variant
from core.endpoints.spec import EndpointSpec
from core.errors import CoreError
from core.training.hyperparameters import LIGHT, Problem
from pages.parts import messages, problem_list


def contents(artifact: Artifact) -> None:
    """What the look inside told."""
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
    """Why an artifact cannot be served."""
    st.error(f"**It cannot be served.** {messages.card(error)}", icon=":material/block:")


def price(spec: EndpointSpec, prices: PriceTable, *, sandbox: bool) -> None:
    """An hour, a month, a year: an endpoint bills until it is deleted."""
    found = hosting_price([Variant("", spec.instance_type, spec.instance_count, "")], prices)
    hourly, monthly, yearly = (str(amount) if amount else "unknown" for _, amount in found.amounts)
    with st.grid(2, min_column_width=120, gap="small"):
        label = "On AWS, an hour" if sandbox else "Cost an hour"
        st.metric(label, hourly, help=messages.plain(found.source))
        st.metric("On AWS, a month" if sandbox else "Cost a month", monthly)
    if sandbox:
        st.caption(":material/computer: The sandbox serves on this machine, and costs nothing.")
    else:
        year = messages.plain(f"{yearly} a year")
        st.caption(f":material/hourglass: It bills until it is deleted, called or not: {year}.")


def problems(found: Sequence[Problem]) -> None:
    """Errors first."""
    problem_list.heading(found, before="deployment")
    for problem in found:
        problem_list.line(problem)
