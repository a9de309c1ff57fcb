"""The overview's figures and lists: a line for each thing that runs, failed or sits idle, with a link to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import streamlit as st

from core.cost.training import NOTHING, Money, PriceTable, training_cost
from core.text import duration
from core.training.job import TrainingJob, status_in_words
from pages.parts import formatting, links, messages, state
from pages.parts.fleet import VERDICT_COLORS, VERDICT_ICONS, FleetRow
from pages.parts.overview import data
from pages.parts.overview.data import Now

T = TypeVar("T")

FEW = 6
"""Lines of one kind; for more there is the page of all."""

JOB_ICON, ENDPOINT_ICON = ":material/model_training:", ":material/dns:"


def figures(found: Now, prices: PriceTable, *, sandbox: bool) -> None:
    """How much of each, and the money."""
    hourly, unknown = data.an_hour(found, prices)
    wasted = found.look.cost.wasted_per_month if found.look else None
    failed = len(found.failed_jobs) + len(found.failing)
    with st.grid(4, min_column_width=150, gap="small"):
        st.metric(
            "Jobs running", _count(found.jobs, found.running), border=True, icon=":material/play_circle:"
        )
        st.metric("Endpoints serving", _count(found.look, found.answering), border=True, icon=ENDPOINT_ICON)
        st.metric(
            "On AWS, an hour" if sandbox else "Cost an hour",
            f"{'≥ ' if unknown or not found.whole else ''}{hourly}",
            border=True,
            icon=":material/payments:",
            help=_about_money(prices, unknown, whole=found.whole, sandbox=sandbox),
        )
        st.metric(
            "Failed in 24 h",
            f"{'' if found.whole else '≥ '}{failed}",
            border=True,
            icon=":material/error:",
            help="Training jobs and endpoints that failed in the last 24 hours, and endpoints that err.",
        )
    if found.idle and wasted is not None:
        _idle_money(found.idle, wasted, sandbox=sandbox)


def running(found: Now, prices: PriceTable) -> None:
    """What is at work: jobs first, then endpoints."""
    st.subheader("Running now")
    _lines(found.running, lambda job: _running_job(job, found, prices), links.TRAINING_JOBS, "jobs")
    _lines(found.serving, _serving, links.ENDPOINTS, "endpoints")
    if not found.running and not found.serving:
        st.caption("Nothing runs." if not found.failures else "Nothing is known to run.")


def failed(found: Now) -> None:
    """What failed in the last day, and why."""
    st.subheader("Failed in 24 h")
    _lines(found.failed_jobs, _failed_job, links.TRAINING_JOBS, "jobs")
    _lines(found.failing, _failing, links.ENDPOINTS, "endpoints")
    if not found.failed_jobs and not found.failing:
        st.caption(":material/check: Nothing failed." if found.whole else "Nothing is known to have failed.")


def idle(found: Now) -> None:
    """What nobody calls."""
    st.subheader("Idle endpoints")
    _lines(found.idle, _serving, links.ENDPOINTS, "endpoints")
    if not found.idle:
        st.caption(
            ":material/check: Nothing bills without being called."
            if found.look and found.look.complete and not found.look.untold
            else "None is known to sit idle."
        )


def first_steps(*, sandbox: bool) -> None:
    """For an account that has nothing yet: the two ways to a model that serves."""
    with st.container(border=True):
        st.markdown("**Nothing is here yet.** There are two ways to a model that segments your photographs:")
        with st.container(horizontal=True, gap="medium"):
            st.page_link(
                links.LAUNCH_TRAINING, label="Train one on your pictures", icon=":material/rocket_launch:"
            )
            st.page_link(links.DEPLOY, label="Deploy one that you have", icon=":material/deployed_code:")
        if not sandbox:
            st.caption(
                "To look around first, `make run` without `MODE=aws` starts a sandbox here, with two models."
            )


def _count(known: object | None, found: Sequence[object]) -> str:
    return "unknown" if known is None else str(len(found))


def _about_money(prices: PriceTable, unknown: int, *, whole: bool, sandbox: bool) -> str:
    parts = ["All endpoints, and the training jobs that run, as long as they do."]
    parts += [] if whole else ["What could not be read is left out."]
    parts += [f"{unknown} with an unknown price are left out."] if unknown else []
    parts += ["In the sandbox nothing is billed; AWS would."] if sandbox else []
    return messages.plain(" ".join([*parts, prices.attribution]))


def _idle_money(rows: Sequence[FleetRow], wasted: Money, *, sandbox: bool) -> None:
    """One sentence, and the way to where they are deleted."""
    several = len(rows) > 1
    subject = f"{len(rows)} endpoints sit idle" if several else "One endpoint sits idle"
    would = "would cost" if sandbox else ("cost" if several else "costs")
    least = "" if all(row.cost.price.per_hour for row in rows) else " at least"
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f":orange[:material/bedtime:] **{subject}** and {would}{least} **{messages.plain(str(wasted))} a month** "
            f"{'on AWS ' if sandbox else ''}for nothing.",
            width="stretch",
        )
        st.page_link(links.ENDPOINTS, label="Look at them", icon=":material/arrow_forward:")


def _lines(things: Sequence[T], draw: Callable[[T], None], page: Path, kind: str) -> None:
    for thing in things[:FEW]:
        draw(thing)
    if len(things) > FEW:
        st.page_link(page, label=f"And {len(things) - FEW} more {kind}", icon=":material/more_horiz:")


def _line(page: Path, name: str, said: str, at_right: Sequence[str], *, key: str, icon: str) -> None:
    """A link to the thing, what is said of it below, and badges and a figure at its right, as Markdown."""
    with st.container(border=True, gap=None):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.page_link(
                page, label=messages.plain(name), icon=icon, query_params={key: name}, width="stretch"
            )
            st.markdown(" ".join(filter(None, at_right)), width="content")
        st.caption(messages.plain(said))


def _job_line(job: TrainingJob, said: str, badge: str, price: Money | None = None) -> None:
    _line(links.TRAINING_JOB, job.name, said, (badge, _hourly(price)), key=state.JOB, icon=JOB_ICON)


def _endpoint_line(row: FleetRow, said: str) -> None:
    verdict = row.health.status
    badge = f":{VERDICT_COLORS[verdict]}-badge[{VERDICT_ICONS[verdict]} {verdict}]"
    at_right = (badge, _hourly(row.cost.price.per_hour))
    _line(links.ENDPOINT, row.endpoint.name, said, at_right, key=state.ENDPOINT, icon=ENDPOINT_ICON)


def _hourly(price: Money | None) -> str:
    return f":small[{messages.plain(f'{price} an hour')}]" if price and price > NOTHING else ""


def _running_job(job: TrainingJob, found: Now, prices: PriceTable) -> None:
    cost = training_cost(job, prices, found.at)
    began = f"for {duration(job.seconds(found.at))}" if job.started_at else "not begun"
    badge = ":blue-badge[:material/progress_activity: running]"
    _job_line(job, f"{status_in_words(job)} · {began} · {job.instance_type}", badge, cost.per_hour)


def _failed_job(job: TrainingJob) -> None:
    when = formatting.ago(job.ended_at or job.modified_at)
    said = f"{when} · {_short(job.failure_reason or 'AWS gave no reason.')}"
    _job_line(job, said, ":red-badge[:material/error: failed]")


def _serving(row: FleetRow) -> None:
    _endpoint_line(row, _short(row.health.reason))


def _failing(row: FleetRow) -> None:
    when = formatting.ago(row.endpoint.modified_at) if row.endpoint.failed else "in service"
    _endpoint_line(row, f"{when} · {_short(row.endpoint.failure_reason or row.health.reason)}")


def _short(text: str, most: int = 200) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
