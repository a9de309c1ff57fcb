"""The metrics and lists of the overview: a line with a link per running, failed or idle job or endpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import streamlit as st

from core.cost.training import NOTHING, SANDBOX_NOTE, Money, PriceTable, cost_label, training_cost
from core.text import duration, plural
from core.training.job import TrainingJob, status_in_words
from pages.parts import cards, formatting, links, messages, state
from pages.parts.fleet import VERDICT_COLORS, VERDICT_ICONS, FleetRow
from pages.parts.overview import data
from pages.parts.overview.data import Now

T = TypeVar("T")

FEW = 6
"""Lines per list; the full list has its own page."""


@dataclass(frozen=True, slots=True)
class Action:
    """A task that starts on another page. help: what it does, in one line."""

    label: str
    page: Path
    icon: str
    help: str


ACTIONS = (
    Action(
        "Segment an image",
        links.SEGMENT,
        ":material/imagesmode:",
        "Upload images and inspect their masks.",
    ),
    Action(
        "Launch training",
        links.LAUNCH_TRAINING,
        ":material/rocket_launch:",
        "Train a model on your labeled images.",
    ),
    Action(
        "Deploy a model",
        links.DEPLOY,
        ":material/deployed_code:",
        "Serve a trained model or a model file.",
    ),
)

JOB_ICON, ENDPOINT_ICON = ":material/model_training:", ":material/dns:"


def metrics_row(now: Now, prices: PriceTable, *, sandbox: bool) -> None:
    """Draw the numbers of jobs, endpoints and failures, and the cost."""
    hourly, unknown = data.cost_per_hour(now, prices)
    wasted = now.fleet.cost.wasted_per_month if now.fleet else None
    failed = len(now.failed_jobs) + len(now.failing)
    left, right = cards.four_cards()
    with left:
        least = "≥ " if now.jobs and not now.jobs.complete else ""
        st.metric("Jobs running", f"{least}{_count(now.jobs, now.running)}", border=True)
        st.metric("Endpoints in service", _count(now.fleet, now.answering), border=True)
    with right:
        st.metric(
            cost_label("Cost per hour", sandbox=sandbox),
            f"{'≥ ' if unknown or not now.whole else ''}{hourly}",
            border=True,
            help=_about_money(prices, unknown, whole=now.whole),
        )
        st.metric(
            "Failed in 24 h",
            f"{'' if now.failures_known else '≥ '}{failed}",
            border=True,
            help="Training jobs and endpoints that failed in the last 24 hours, and endpoints that return errors.",
        )
    if now.idle and wasted is not None:
        _idle_money(now.idle, wasted, sandbox=sandbox)


def running(now: Now, prices: PriceTable) -> None:
    """Draw what is running: jobs first, then endpoints."""
    st.header("Running now")
    _lines(now.running, lambda job: _running_job(job, now, prices), links.TRAINING_JOBS, "jobs")
    _lines(now.serving, _serving, links.ENDPOINTS, "endpoints")
    if not now.running and not now.serving:
        st.caption("Nothing is running." if not now.failures else "Nothing known to be running.")


def failed(now: Now) -> None:
    """Draw what failed in the last day, and why."""
    st.header("Failed in 24 h")
    _lines(now.failed_jobs, _failed_job, links.TRAINING_JOBS, "jobs")
    _lines(now.failing, _failing, links.ENDPOINTS, "endpoints")
    if not now.failed_jobs and not now.failing:
        st.caption(":material/check: No failures." if now.failures_known else "No known failures.")


def idle(now: Now) -> None:
    """Draw endpoints that get no calls."""
    st.header("Idle endpoints")
    _lines(now.idle, _serving, links.ENDPOINTS, "endpoints")
    if not now.idle:
        st.caption(
            ":material/check: No idle endpoints."
            if now.fleet and now.fleet.complete and not now.fleet.usage_unknown
            else "No known idle endpoints."
        )


def actions(*, introduced: bool) -> None:
    """Draw the links to the main tasks. introduced: say what Segdeck is, and what each task does."""
    if not introduced:
        with st.container(horizontal=True, gap="medium"):
            for action in ACTIONS:
                links.page_link(action.page, label=action.label, icon=action.icon)
        return
    st.markdown(
        "Segdeck trains, deploys and evaluates **semantic segmentation** models on Amazon SageMaker: models that "
        "assign a class to every pixel."
    )
    with st.grid(len(ACTIONS), min_column_width=195, gap="small"):
        for action in ACTIONS:
            with st.container(border=True, gap=None, height="stretch"):
                links.page_link(action.page, label=f"**{action.label}**", icon=action.icon)
                st.caption(action.help)


def _count(source: object | None, items: Sequence[object]) -> str:
    return "unknown" if source is None else str(len(items))


def _about_money(prices: PriceTable, unknown: int, *, whole: bool) -> str:
    parts = ["All endpoints and running training jobs."]
    parts += [] if whole else ["Excludes what could not be read."]
    left_out = plural(unknown, "endpoint or job", "endpoints or jobs")
    parts += [f"Excludes {left_out} with an unknown price."] if unknown else []
    return messages.plain(" ".join([*parts, prices.attribution]))


def _idle_money(rows: Sequence[FleetRow], wasted: Money, *, sandbox: bool) -> None:
    """Draw the cost of idle endpoints, and a link to the list where they can be deleted."""
    several = len(rows) > 1
    subject = f"{len(rows)} endpoints are idle" if several else "1 endpoint is idle"
    would = "would cost" if sandbox else ("cost" if several else "costs")
    least = "" if all(row.cost.price.per_hour for row in rows) else " at least"
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f":orange[:material/bedtime:] **{subject}** and {would}{least} **{messages.plain(str(wasted))} per "
            f"month**{' on AWS' if sandbox else ''}.",
            width="stretch",
        )
        links.page_link(links.ENDPOINTS, label="View endpoints", icon=":material/arrow_forward:")


def _lines(items: Sequence[T], draw: Callable[[T], None], page: Path, kind: str) -> None:
    for item in items[:FEW]:
        draw(item)
    if len(items) > FEW:
        links.page_link(page, label=f"{len(items) - FEW} more {kind}", icon=":material/more_horiz:")


def _line(page: Path, name: str, note: str, at_right: Sequence[str], *, key: str, icon: str) -> None:
    """Draw a link, a note below it, and badge and price on its right. at_right: Markdown."""
    with st.container(border=True, gap=None):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            links.page_link(
                page, label=messages.plain(name), icon=icon, query_params={key: name}, width="stretch"
            )
            st.markdown(" ".join(filter(None, at_right)), width="content")
        st.caption(messages.plain(note))


def _job_line(job: TrainingJob, note: str, badge: str, price: str = "") -> None:
    _line(links.TRAINING_JOB, job.name, note, (badge, price), key=state.JOB, icon=JOB_ICON)


def _endpoint_line(row: FleetRow, note: str) -> None:
    verdict = row.health.status
    badge = f":{VERDICT_COLORS[verdict]}-badge[{VERDICT_ICONS[verdict]} {verdict}]"
    at_right = (badge, _hourly(row.cost.price.per_hour, row.cost.price.source))
    _line(links.ENDPOINT, row.endpoint.name, note, at_right, key=state.ENDPOINT, icon=ENDPOINT_ICON)


def _hourly(price: Money | None, source: str) -> str:
    """Return a price in small type. source: of the price, which says when it is an estimate."""
    label = "AWS price " if SANDBOX_NOTE in source else ""
    return f":small[{messages.plain(f'{label}{price} per hour')}]" if price and price > NOTHING else ""


def _running_job(job: TrainingJob, now: Now, prices: PriceTable) -> None:
    cost = training_cost(job, prices, now.at)
    if job.summary:
        parts = [f"created {formatting.ago(job.created_at)}"]
    else:
        elapsed = f"for {duration(job.seconds(now.at))}" if job.started_at else "not started"
        parts = [elapsed, job.instance_type]
    badge = ":blue-badge[:material/progress_activity: running]"
    _job_line(job, " · ".join([status_in_words(job), *parts]), badge, _hourly(cost.per_hour, cost.source))


def _failed_job(job: TrainingJob) -> None:
    when = formatting.ago(job.ended_at or job.modified_at)
    unknown = "Open the job to see why." if job.summary else "AWS gave no reason."
    note = f"{when} · {_short(job.failure_reason or unknown)}"
    _job_line(job, note, ":red-badge[:material/error: failed]")


def _serving(row: FleetRow) -> None:
    _endpoint_line(row, _short(row.health.reason))


def _failing(row: FleetRow) -> None:
    when = formatting.ago(row.endpoint.modified_at) if row.endpoint.failed else "in service"
    _endpoint_line(row, f"{when} · {_short(row.endpoint.failure_reason or row.health.reason)}")


def _short(text: str, most: int = 200) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
