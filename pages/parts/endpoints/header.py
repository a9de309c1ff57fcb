"""One endpoint at a glance: facts, status and health, progress of a change, and metrics."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import streamlit as st

from core.cost.hosting import EndpointCost
from core.cost.training import SANDBOX_NOTE, cost_label
from core.endpoints.detail import EndpointDetail
from core.endpoints.endpoint import CHANGING, FAILED, IN_SERVICE, STATUS_WORDS, Endpoint, Variant, in_words
from core.endpoints.health import Health
from core.endpoints.traffic import DAYS, STEP, ServiceQuality, Traffic
from core.text import duration, listing, milliseconds
from core.training.diagnosis import Diagnosis
from pages.parts import formatting, messages
from pages.parts.fleet import VERDICT_COLORS, VERDICT_ICONS, Color, FleetRow

StepState = Literal["running", "complete", "error"]

CREATING = ("Model and configuration created", "Instances start and load the model", "In service")
UPDATING = (
    "New configuration created",
    "New instances start and load the model; the old ones keep serving",
    "Traffic shifts to the new instances, and the old ones are removed",
)
STEPS: dict[str, tuple[str, str, str]] = {
    "Creating": CREATING,
    "Updating": UPDATING,
    "SystemUpdating": UPDATING,
    "RollingBack": (
        "The new instances failed to start",
        "Rolling back; the old instances keep serving",
        "Back in service with the previous configuration",
    ),
    "Deleting": ("No more requests accepted", "Instances are removed", "Deleted; billing stops"),
}
"""The steps of each status: completed, current, and next."""


UNKNOWN, NO_CALLS = ("unknown", ""), ("–", "no calls")
"""Values that CloudWatch did not report, and those without any calls."""

MANY = 3
"""Variants listed in one line; the others are counted."""


def facts(detail: EndpointDetail, at: datetime) -> None:
    """Draw instances, variants, classes, age, and when this was read, in one line."""
    endpoint = detail.endpoint
    parts = [
        machines(endpoint.variants),
        shares(endpoint.variants) if len(endpoint.variants) > 1 else "",
        f"{len(detail.classes)} classes" if detail.classes else "",
        f"created {formatting.ago(endpoint.created_at)}",
        f"updated {formatting.moment(at)}",
    ]
    st.caption(messages.plain("  ·  ".join(part for part in parts if part)))


def health_line(row: FleetRow, diagnosis: Diagnosis | None) -> None:
    """Draw the health with its reason; if something failed, the diagnosis and what to do."""
    if diagnosis is not None:
        if not row.endpoint.failed:
            st.caption(":material/undo: The last update failed and was rolled back:")
        messages.diagnosis(diagnosis, failed=row.endpoint.failed)
    elif row.health.status == "idle":
        st.warning(_idle(row), icon=VERDICT_ICONS["idle"])
    elif row.health.status in ("erroring", "slow"):
        what = "**Calls are failing.**" if row.health.status == "erroring" else "**Responses are slow.**"
        st.warning(f"{what} {_reason(row.health)}", icon=VERDICT_ICONS[row.health.status])
    elif row.health.status != "changing":
        st.caption(f"{VERDICT_ICONS[row.health.status]} {_reason(row.health)}")


def progress(endpoint: Endpoint, now: datetime) -> None:
    """Draw the progress of a change: the completed step, the current one with its duration, the next one."""
    if endpoint.status not in STEPS:
        return
    before, here, after = STEPS[endpoint.status]
    passed = duration((now - endpoint.modified_at).total_seconds())
    _step(
        before,
        "complete",
        f"Status {in_words(endpoint.status)} since {formatting.moment(endpoint.modified_at)}.",
    )
    _step(f"{here} · {passed}", "running", f"Since {formatting.moment(endpoint.modified_at)}.")
    st.caption(f":gray[:material/radio_button_unchecked: Next: {after[:1].lower()}{after[1:]}]")


def metrics_row(row: FleetRow, *, sandbox: bool) -> None:
    """Draw last call, calls, latency, errors and cost."""
    money, month = _money(row.cost)
    with st.grid(5, min_column_width=150, gap="small"):
        _metric("Last call", *_last(row.traffic), why=_about_calls(row.traffic))
        _metric("Calls in 24 h", *_calls(row))
        _metric("Latency in 24 h", *_latency(row.service), why="Median and 90th percentile.")
        _metric(
            "Errors in 24 h", *_errors(row.service), why="4xx: rejected requests. 5xx: failures of the model."
        )
        _metric(
            cost_label("Cost per hour", sandbox=sandbox),
            money,
            month,
            why=_about(row.cost),
        )


def _metric(label: str, value: str, more: str, why: str = "") -> None:
    st.metric(
        label, value, more or None, border=True, height="stretch", delta_color="off", delta_arrow="off",
        help=messages.plain(why) or None,
    )  # fmt: skip


def _step(label: str, step_state: StepState, more: str) -> None:
    status = st.status(label, type="step", state=step_state)  # not in `with`, whose end marks it complete
    status.caption(messages.plain(more))


def _idle(row: FleetRow) -> str:
    monthly, yearly = row.cost.price.per_month, row.cost.price.per_year
    costs = "On AWS, it would cost" if SANDBOX_NOTE in row.cost.price.source else "It costs"
    money = f" {costs} **{monthly}** per month and **{yearly}** per year." if monthly else ""
    return f"**Idle.** {_reason(row.health)}{money}"


def _reason(health: Health) -> str:
    return messages.plain(health.reason)


def _last(traffic: Traffic | None) -> tuple[str, str]:
    if traffic is None:
        return UNKNOWN
    last = traffic.last_call
    if last is None:
        new = traffic.created is not None and traffic.created > traffic.begin
        return "none", "since its creation" if new else f"in {DAYS} days"
    return (
        ("today", f"in the last {STEP.seconds // 3600} h")
        if last > formatting.now()
        else (formatting.ago(last), "")
    )


def _about_calls(traffic: Traffic | None) -> str:
    note = traffic.earlier_note if traffic else ""
    return f"Accurate to within 6 hours; covers the last {DAYS} days. {note}".rstrip()


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
    return (
        ("unknown", "") if price.per_hour is None else (str(price.per_hour), f"{price.per_month} per month")
    )


def _about(cost: EndpointCost) -> str:
    parts = [
        f"Per year: {cost.price.per_year or 'unknown'}.",
        f"This month so far: {cost.so_far}." if cost.so_far else "",
        f"Through Monday: another {cost.through_monday}." if cost.through_monday else "",
        cost.price.source,
    ]
    return " ".join(part for part in parts if part)


def badges(endpoint: Endpoint, health: Health) -> None:
    """Draw status and health as badges."""
    st.badge(
        messages.plain(in_words(endpoint.status)), icon=_icon(endpoint), color=status_color(endpoint.status)
    )
    if health.status not in ("failed", "changing"):  # the status badge shows that
        st.badge(health.status, icon=VERDICT_ICONS[health.status], color=VERDICT_COLORS[health.status])


def status_color(status: str) -> Color:
    """Return the color of a status."""
    if status == IN_SERVICE:
        return "green"
    return "red" if status in FAILED else "blue" if status in CHANGING else "gray"


def statuses() -> tuple[list[str], list[str]]:
    """Return every status in words, and its color."""
    return list(STATUS_WORDS.values()), [status_color(status) for status in STATUS_WORDS]


def machines(variants: tuple[Variant, ...]) -> str:
    """Return its instances, such as "2 × ml.g4dn.xlarge", summed over all variants."""
    counts: dict[str, int | None] = {}
    for variant in variants:
        kind = "serverless" if variant.serverless else variant.instance_type
        count = None if variant.serverless else variant.count
        counts[kind] = counts.get(kind) if count is None else (counts.get(kind) or 0) + count
    known = {kind: count for kind, count in counts.items() if kind}
    return " + ".join(kind if count in (1, None) else f"{count} × {kind}" for kind, count in known.items())


def shares(variants: tuple[Variant, ...]) -> str:
    """Return each variant's share of the traffic, such as "blue 90% · green 10%"; of a single variant, its name."""
    if len(variants) == 1:
        return variants[0].name
    whole = sum(variant.weight or 0 for variant in variants)
    labels = [
        f"{variant.name} {(variant.weight or 0) / whole:.0%}" if whole else variant.name
        for variant in variants
    ]
    return listing(labels, MANY, separator=" · ")


def _icon(endpoint: Endpoint) -> str:
    if endpoint.in_service:
        return ":material/check_circle:"
    return ":material/error:" if endpoint.failed else ":material/progress_activity:"
