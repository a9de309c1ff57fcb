"""One endpoint at a glance: what it is, how it does and why, how far a change is, its figures."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import streamlit as st

from core.cost.hosting import EndpointCost
from core.endpoints.detail import EndpointDetail
from core.endpoints.endpoint import CHANGING, FAILED, IN_SERVICE, STATUS_WORDS, Endpoint, Variant, in_words
from core.endpoints.health import Health
from core.endpoints.traffic import DAYS, STEP, ServiceQuality, Traffic
from core.text import duration, listing, milliseconds
from core.training.diagnosis import Diagnosis
from pages.parts import formatting, messages
from pages.parts.fleet import VERDICT_COLORS, VERDICT_ICONS, Color, FleetRow

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


UNKNOWN, NO_CALLS = ("unknown", ""), ("–", "no calls")
"""Figures that CloudWatch did not tell, and those that there are none of."""

MANY = 3
"""Of more variants than these, only the first ones are told in a line."""


def facts(detail: EndpointDetail, at: datetime) -> None:
    """What it runs on, since when, and as of when, in a line."""
    endpoint = detail.endpoint
    parts = [
        machines(endpoint.variants),
        shares(endpoint.variants) if len(endpoint.variants) > 1 else "",
        f"{len(detail.classes)} classes" if detail.classes else "",
        f"created {formatting.ago(endpoint.created_at)}",
        f"data from {formatting.moment(at)}",
    ]
    st.caption(messages.plain("  ·  ".join(part for part in parts if part)))


def verdict(row: FleetRow, found: Diagnosis | None) -> None:
    """How it does, with the reason; what failed, with what to do."""
    if found is not None:
        if not row.endpoint.failed:
            st.caption(":material/undo: Its last update failed, and it is as it was before:")
        messages.diagnosis(found, failed=row.endpoint.failed)
    elif row.health.status == "idle":
        st.warning(_idle(row), icon=VERDICT_ICONS["idle"])
    elif row.health.status in ("erroring", "slow"):
        what = "**Calls fail.**" if row.health.status == "erroring" else "**It is slow.**"
        st.warning(f"{what} {_said(row.health)}", icon=VERDICT_ICONS[row.health.status])
    elif row.health.status != "changing":
        st.caption(f"{VERDICT_ICONS[row.health.status]} {_said(row.health)}")


def progress(endpoint: Endpoint, now: datetime) -> None:
    """While AWS is at work on it: what is done, what goes on and how long, what comes next."""
    if endpoint.status not in STEPS:
        return
    before, here, after = STEPS[endpoint.status]
    passed = duration((now - endpoint.modified_at).total_seconds())
    since = f"Since {formatting.moment(endpoint.modified_at)}"
    _step(before, "complete", f"{since} the endpoint is {in_words(endpoint.status)}.")
    _step(f"{here} · {passed}", "running", f"{since}.")
    st.caption(f":gray[:material/radio_button_unchecked: Next: {after[:1].lower()}{after[1:]}]")


def figures(row: FleetRow, *, sandbox: bool) -> None:
    """Last call, calls, latency, errors, money."""
    money, month = _money(row.cost)
    with st.grid(5, min_column_width=150, gap="small"):
        _figure("Last call", *_last(row.traffic), why="To within six hours, over thirty days.")
        _figure("Calls in 24 h", *_calls(row))
        _figure(
            "Latency in 24 h", *_latency(row.service), why="Half of the calls took less, and nine of ten."
        )
        _figure("Errors in 24 h", *_errors(row.service), why="4xx are the caller's fault, 5xx the model's.")
        _figure(
            "On AWS, an hour" if sandbox else "Cost an hour",
            money,
            month,
            why=_about(row.cost, sandbox=sandbox),
        )


def _figure(label: str, value: str, more: str, why: str = "") -> None:
    st.metric(
        label, value, more or None, border=True, height="stretch", delta_color="off", delta_arrow="off",
        help=messages.plain(why) or None,
    )  # fmt: skip


def _step(label: str, said: StepState, more: str) -> None:
    status = st.status(label, type="step", state=said)  # not by `with`, at whose end it counts as complete
    status.caption(messages.plain(more))


def _idle(row: FleetRow) -> str:
    monthly, yearly = row.cost.price.per_month, row.cost.price.per_year
    money = f" Left as it is, it costs **{monthly}** a month and **{yearly}** a year." if monthly else ""
    return f"**It stands idle.** {_said(row.health)}{money}"


def _said(health: Health) -> str:
    return messages.plain(health.reason)


def _last(traffic: Traffic | None) -> tuple[str, str]:
    if traffic is None:
        return UNKNOWN
    last = traffic.last_call
    if last is None:
        return "none", f"in {DAYS} days"
    return (
        ("today", f"in the last {STEP.seconds // 3600} h")
        if last > formatting.now()
        else (formatting.ago(last), "")
    )


def _calls(row: FleetRow) -> tuple[str, str]:
    if row.traffic is None:
        return UNKNOWN
    return f"{row.service.calls if row.service else row.traffic.day:,}", f"{row.traffic.week:,} in 7 days"


def _latency(service: ServiceQuality | None) -> tuple[str, str]:
    if service is None:
        return UNKNOWN
    if service.p50_ms is None:
        return NO_CALLS
    return milliseconds(service.p50_ms), f"p90 {milliseconds(service.p90_ms or 0)}"


def _errors(service: ServiceQuality | None) -> tuple[str, str]:
    if service is None:
        return UNKNOWN
    if service.error_share is None:
        return NO_CALLS
    return f"{service.error_share:.1%}", f"{service.errors_4xx:,} 4xx, {service.errors_5xx:,} 5xx"


def _money(cost: EndpointCost) -> tuple[str, str]:
    price = cost.price
    return ("unknown", "") if price.per_hour is None else (str(price.per_hour), f"{price.per_month} a month")


def _about(cost: EndpointCost, *, sandbox: bool) -> str:
    parts = [
        f"A year: {cost.price.per_year or 'unknown'}.",
        f"This month so far: {cost.so_far}." if cost.so_far else "",
        f"If left till Monday: {cost.through_monday} more." if cost.through_monday else "",
        "In the sandbox nothing is billed; AWS would." if sandbox else "",
        cost.price.source,
    ]
    return " ".join(part for part in parts if part)


def badges(endpoint: Endpoint, health: Health) -> None:
    """Both as badges."""
    st.badge(
        messages.plain(in_words(endpoint.status)), icon=_icon(endpoint), color=status_color(endpoint.status)
    )
    if health.status not in ("failed", "changing"):  # the status has said so
        st.badge(health.status, icon=VERDICT_ICONS[health.status], color=VERDICT_COLORS[health.status])


def status_color(status: str) -> Color:
    """The colour of a status."""
    if status == IN_SERVICE:
        return "green"
    return "red" if status in FAILED else "blue" if status in CHANGING else "gray"


def statuses() -> tuple[list[str], list[str]]:
    """Every status in words, and its colour."""
    return list(STATUS_WORDS.values()), [status_color(status) for status in STATUS_WORDS]


def machines(variants: tuple[Variant, ...]) -> str:
    """What it runs on, such as "2 × ml.g4dn.xlarge"; of several variants, all together."""
    counts: dict[str, int | None] = {}
    for variant in variants:
        kind = "serverless" if variant.serverless else variant.instance_type
        count = None if variant.serverless else variant.count
        counts[kind] = counts.get(kind) if count is None else (counts.get(kind) or 0) + count
    known = {kind: count for kind, count in counts.items() if kind}
    return " + ".join(kind if count in (1, None) else f"{count} × {kind}" for kind, count in known.items())


def shares(variants: tuple[Variant, ...]) -> str:
    """Who gets how much of the calls, such as "blue 90% · green 10%"; a single one's name."""
    if len(variants) == 1:
        return variants[0].name
    whole = sum(variant.weight or 0 for variant in variants)
    said = [
        f"{variant.name} {(variant.weight or 0) / whole:.0%}" if whole else variant.name
        for variant in variants
    ]
    return listing(said, MANY, separator=" · ")


def _icon(endpoint: Endpoint) -> str:
    if endpoint.in_service:
        return ":material/check_circle:"
    return ":material/error:" if endpoint.failed else ":material/progress_activity:"
