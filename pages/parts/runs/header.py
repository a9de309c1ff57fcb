"""The head of a run's page: what ran when and by whom, its link, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

import streamlit as st

from core.runs.run import Run
from core.runs.store import RunStore
from pages.parts import account, elements, formatting, links, messages, state
from pages.parts.run_store import RUN
from pages.parts.runs import deletion, text


def show(store: RunStore, run: Run, run_again: Callable[[], None]) -> None:
    """Draw it. run_again: opens the page where the run can be repeated."""
    links.page_link(links.RUNS, label="Runs", icon=":material/arrow_back:")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title(messages.plain(text.name(run)), width="stretch")
        with st.popover("Link", icon=":material/link:", type="tertiary"):
            st.caption("Anyone who can open this dashboard can open the run. It costs nothing.")
            elements.code(
                f"{_base_address()}?{urlencode({**account.choice().query, RUN.name: run.id})}",
                language=None,
                wrap_lines=True,
            )
        if st.button("Run again", icon=":material/replay:", help=_again_help(run)):
            run_again()
        st.button(
            "Delete",
            icon=":material/delete:",
            on_click=deletion.confirm,
            args=(store, [run], lambda: links.open_page(links.RUNS, {})),
        )
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.badge(text.KINDS[run.kind], icon=_icon(run), color="gray")
        st.badge(text.images(run), icon=":material/photo_library:", color="red" if run.failures else "gray")
        st.badge(formatting.moment(run.started_at), icon=":material/schedule:", color="gray")
        st.badge(
            messages.plain(text.user(run)) or "user unknown", icon=":material/person:", color="gray",
            help=f"{messages.code(run.user) if run.user else 'Unknown'}: without a sign-in, this is the AWS identity "
            "of the dashboard or, in the sandbox, its user on this machine.",
        )  # fmt: skip
        st.badge(messages.plain(run.location), icon=":material/cloud:", color="gray")
        st.badge(text.options(run), icon=":material/tune:", color="gray")
    for endpoint in run.endpoints:
        _endpoint(endpoint.name, endpoint.config, endpoint.model_uri, endpoint.job)


def _endpoint(name: str, config: str, model_uri: str, job: str) -> None:
    """Draw which model an endpoint served during the run."""
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        links.page_link(
            links.ENDPOINT,
            label=messages.plain(name),
            icon=":material/monitor_heart:",
            query_params={state.ENDPOINT: name},
        )
        if job:
            links.page_link(
                links.TRAINING_JOB,
                label=messages.plain(job),
                icon=":material/monitoring:",
                query_params={state.JOB: job},
            )
        parts = [f"model {messages.code(model_uri)}" if model_uri else "model unknown"]
        parts += [f"configuration {messages.code(config.partition(' ')[0])}"] if config else []
        st.caption(" · ".join(parts), width="content")


def _again_help(run: Run) -> str:
    if run.kind == "map":
        return "Opens Segment with this endpoint and tiles. Nothing is sent before you confirm the plan."
    if run.kind == "evaluation":
        return "Opens Evaluate with the same endpoints and data. Cached predictions are not sent again."
    return (
        "Opens these images in Segment, with the endpoint as it is now. Images are sent, and billed, unless the "
        "response of the current model is cached."
    )


def _icon(run: Run) -> str:
    if run.kind == "map":
        return ":material/map:"
    return ":material/grading:" if run.kind == "evaluation" else ":material/imagesmode:"


def _base_address() -> str:
    """Return the address of this page without its query."""
    return str(st.context.url or "").partition("?")[0]
