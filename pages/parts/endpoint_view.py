"""One endpoint at a glance: what it is, how it does and why, how far a change is, its figures."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import streamlit as st

from core.diagnosis import Diagnosis
from core.endpoint_detail import EndpointDetail
from core.endpoints import Endpoint, in_words
from core.health import Health
from core.hosting_cost import EndpointCost
from core.traffic import Service, Traffic
from pages.parts import endpoint_chips, job_view, messages, times
from pages.parts.fleet import Row

StepState = Literal["running", "complete", "error"]

CREATING = ("Model and configuration are there", "The machines start and load the model", "It takes requests")
UPDATING = (
    "The new configuration is there",
    "New machines start and load the model; the old ones go on answering",
    "The calls move over, and the old machines go",
)
STEPS: dict[str, tuple[str, str, str]] = {
    "Creating": CREATING,
    "Updating": UPDATING,
    "SystemUpdating": UPDATING,
    "RollingBack": (
        "The new machines did not come up",
        "It goes back to what it was; the old machines go on answering",
        "It is as it was before",
    ),
    "Deleting": ("It takes no more requests", "The machines go", "It is gone, and bills no more"),
}
"""What happens in each status: before, now, and next."""


def facts(detail: EndpointDetail) -> None:
    """What it runs on and since when, in a line."""
    endpoint = detail.endpoint
    known = f"{len(detail.classes)} classes" if detail.classes else ""
    parts = [
        endpoint_chips.machines(endpoint.variants),
        endpoint_chips.shares(endpoint.variants) if endpoint.variants else "",
        known,
        f"created {times.moment(endpoint.created_at)}, {times.ago(endpoint.created_at)}",
    ]
    st.caption(messages.plain("  ·  ".join(part for part in parts if part)))


def verdict(row: Row, found: Diagnosis | None) -> None:
    """How it does, with the reason; what failed, with what to do."""
    if found is not None:
        job_view.diagnosis(found, failed=row.endpoint.failed)
    elif row.health.verdict == "idle":
        st.warning(_idle(row), icon=endpoint_chips.VERDICT_ICONS["idle"])
    elif row.health.verdict in ("erroring", "slow"):
        what = "**Calls fail.**" if row.health.verdict == "erroring" else "**It is slow.**"
        st.warning(f"{what} {_said(row.health)}", icon=endpoint_chips.VERDICT_ICONS[row.health.verdict])
    elif row.health.verdict != "changing":
        st.caption(f"{endpoint_chips.VERDICT_ICONS[row.health.verdict]} {_said(row.health)}")


def progress(endpoint: Endpoint, now: datetime) -> None:
    """While AWS is at work on it: what is done, what goes on and how long, what comes next."""
    if endpoint.status not in STEPS:
        return
    before, here, after = STEPS[endpoint.status]
    passed = times.duration((now - max(endpoint.created_at, endpoint.modified_at)).total_seconds())
    _step(before, "complete", f"The endpoint is {in_words(endpoint.status)}.")
    _step(f"{here} · {passed}", "running", f"Since {times.moment(endpoint.modified_at)}.")
    st.caption(f":gray[:material/radio_button_unchecked: Next: {after[:1].lower()}{after[1:]}]")


def figures(row: Row, *, sandbox: bool) -> None:
    """Last call, calls, latency, errors, money."""
    with st.grid(5, min_column_width=140, gap="small"):
        st.metric("Last call", _last(row.traffic), border=True, help="To within six hours, over thirty days.")
        st.metric(
            "Calls in 24 hours", *_calls(row.traffic), border=True, delta_color="off", delta_arrow="off"
        )
        st.metric("Latency", *_latency(row.service), border=True, delta_color="off", delta_arrow="off")
        st.metric(
            "Errors in 24 hours", *_errors(row.service), border=True, delta_color="off", delta_arrow="off"
        )
        _money(row.cost, sandbox=sandbox)


def _step(label: str, said: StepState, more: str) -> None:
    status = st.status(label, type="step", state=said)  # not by `with`, at whose end it counts as complete
    status.caption(messages.plain(more))


def _idle(row: Row) -> str:
    monthly, yearly = row.cost.price.per_month, row.cost.price.per_year
    money = f" Left as it is, it costs **{monthly}** a month and **{yearly}** a year." if monthly else ""
    return f"**It stands idle.** {_said(row.health)}{money}"


def _said(health: Health) -> str:
    return messages.plain(health.reason)


def _last(traffic: Traffic | None) -> str:
    if traffic is None:
        return "unknown"
    return "none in 30 days" if traffic.last_call is None else times.ago(min(traffic.last_call, times.now()))


def _calls(traffic: Traffic | None) -> tuple[str, str | None]:
    if traffic is None:
        return "unknown", None
    return f"{traffic.day:,}", f"{traffic.week:,} in 7 days"


def _latency(service: Service | None) -> tuple[str, str | None]:
    if service is None or service.p50_ms is None:
        return "no calls" if service is not None else "unknown", None
    return times.milliseconds(service.p50_ms), f"p90 {times.milliseconds(service.p90_ms or 0)}"


def _errors(service: Service | None) -> tuple[str, str | None]:
    if service is None or service.error_share is None:
        return "no calls" if service is not None else "unknown", None
    return f"{service.error_share:.1%}", f"{service.errors_4xx:,} 4xx, {service.errors_5xx:,} 5xx"


def _money(cost: EndpointCost, *, sandbox: bool) -> None:
    price = cost.price
    so_far = f" This month so far: {cost.so_far}." if cost.so_far else ""
    till = f" If left till Monday: {cost.till_monday} more." if cost.till_monday else ""
    free = " In the sandbox nothing is billed; AWS would." if sandbox else ""
    st.metric(
        "On AWS, an hour" if sandbox else "An hour",
        str(price.per_hour) if price.per_hour else "unknown",
        f"{price.per_month} a month" if price.per_month else None,
        border=True,
        delta_color="off",
        delta_arrow="off",
        help=messages.plain(f"A year: {price.per_year or 'unknown'}.{so_far}{till}{free} {price.source}"),
    )
