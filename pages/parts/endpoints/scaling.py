"""Traffic weights and instance counts of an endpoint's variants, set manually or by autoscaling."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.aws.connection import Connection
from core.endpoints.detail import EndpointDetail, Scaling
from core.endpoints.endpoint import Endpoint, Variant
from core.endpoints.spec import MAX_INSTANCES
from core.plans.scale import VariantChange, plan_autoscale, plan_scale, plan_stop_autoscale
from pages.parts import buttons, cached, elements, messages, plan_dialog

USUAL_CALLS = 60.0
"""Calls per minute and instance: one per second."""


def show(connection: Connection, detail: EndpointDetail) -> None:
    """Draw the variants, the form for weights and instances, and the autoscaling."""
    endpoint = detail.endpoint
    if not endpoint.variants:
        st.caption("The variants are unknown: no permission to read the configuration.")
        return
    _table(detail)
    manual, automatic = st.columns(2, gap="medium")
    with manual, st.container(border=True):
        _manual(connection, endpoint)
    with automatic, st.container(border=True):
        _autoscaling(connection, detail)


def _table(detail: EndpointDetail) -> None:
    variants = detail.endpoint.variants
    whole = sum(variant.weight or 0 for variant in variants)
    frame = pd.DataFrame(
        {
            "name": [variant.name for variant in variants],
            "share": pd.Series([_share(variant, whole) for variant in variants], dtype="float64"),
            "instance": [
                "serverless" if variant.serverless else variant.instance_type or None for variant in variants
            ],
            "count": pd.Series([variant.count for variant in variants], dtype="Int64"),
            "desired": pd.Series([variant.desired_count for variant in variants], dtype="Int64"),
            "model": [variant.model or None for variant in variants],
        }
    )
    column = st.column_config
    columns = {
        "name": column.TextColumn("Variant", width=150),
        "share": column.ProgressColumn("Traffic share", format="percent", min_value=0, max_value=1),
        "instance": column.TextColumn("Instance"),
        "count": column.NumberColumn("Instances"),
        "desired": column.NumberColumn("Desired", help="The instance count that was last requested."),
        "model": column.TextColumn("Model", width=280),
    }
    elements.dataframe(frame, column_config=columns, hide_index=True, placeholder="–", alt="Variants")


def _manual(connection: Connection, endpoint: Endpoint) -> None:
    """Draw sliders and numbers, and the button that plans the change once something differs."""
    st.markdown("**Weights and instances**" if len(endpoint.variants) > 1 else "**Instances**")
    weights = _weights(endpoint)
    counts = {
        variant.name: _count(endpoint, variant) for variant in endpoint.variants if not variant.serverless
    }
    changes = [
        change
        for variant in endpoint.variants
        if (change := _change(variant, weights.get(variant.name), counts.get(variant.name))) is not None
    ]
    pressed = buttons.button(
        "Review change",
        key=f"scale-{endpoint.name}",
        acts_on=endpoint.name,
        icon=":material/tune:",
        disabled=not changes or endpoint.changing,
    )
    if endpoint.changing:
        st.caption("AWS is changing this endpoint and accepts no other change until that is done.")
    if pressed:
        with messages.error_boundary("scale"):
            plan_dialog.open_plan(
                plan_scale(endpoint, changes, cached.prices(connection)), connection, st.rerun
            )


def _weights(endpoint: Endpoint) -> dict[str, float]:
    """Return the changed weight of each variant: one slider splits two variants; of more, each has its own slider."""
    variants = endpoint.variants
    if len(variants) == 1:
        return {}
    if len(variants) == 2:
        first, second = variants
        now = _percent(first, variants)
        share = st.slider(
            f"Traffic to **{messages.plain(first.name)}**",
            0, 100, now, 1, format="%d%%", key=f"share-{endpoint.name}-{now}",
        )  # fmt: skip
        st.caption(
            f"{messages.plain(first.name)} **{share}%** · {messages.plain(second.name)} **{100 - share}%**"
        )
        return {first.name: share / 100, second.name: 1 - share / 100} if share != now else {}
    chosen = {}
    for variant in variants:
        now = _percent(variant, variants)
        key = f"weight-{endpoint.name}-{variant.name}-{now}"
        chosen[variant.name] = st.slider(f"Weight of {messages.plain(variant.name)}", 0, 100, now, 1, key=key)
    whole = sum(chosen.values())
    shares = [f"{messages.plain(name)} **{value / whole:.0%}**" for name, value in chosen.items() if whole]
    st.caption(" · ".join(shares) or "At least one variant needs a weight above 0.")
    if all(value == _percent(endpoint.variant(name), variants) for name, value in chosen.items()):
        return {}
    return {name: value / 100 for name, value in chosen.items()}


def _count(endpoint: Endpoint, variant: Variant) -> int | None:
    now = variant.count if variant.desired_count is None else variant.desired_count
    count = _instances(
        f"Instances of {messages.plain(variant.name)}", now, f"count-{endpoint.name}-{variant.name}-{now}"
    )
    return None if count == now else count


def _instances(label: str, now: int | None, key: str, usual: int = 1) -> int:
    """Ask for a number of instances. The bounds include the current number, which another tool may have set."""
    value = usual if now is None else now
    count: int = st.number_input(label, min(1, value), max(MAX_INSTANCES, value), value, 1, key=key)
    return count


def _change(variant: Variant, weight: float | None, count: int | None) -> VariantChange | None:
    return None if weight is None and count is None else VariantChange(variant.name, weight, count)


def _percent(variant: Variant | None, variants: Sequence[Variant]) -> int:
    share = _share(variant, sum(each.weight or 0 for each in variants)) if variant is not None else None
    return round(100 * (share or 0))


def _share(variant: Variant, whole: float) -> float | None:
    return (variant.weight or 0) / whole if whole else None


def _autoscaling(connection: Connection, detail: EndpointDetail) -> None:
    """Draw the variants that autoscale now, and the form that sets up autoscaling."""
    endpoint = detail.endpoint
    st.markdown("**Autoscaling**")
    for scaling in detail.scaling:
        _scaled(connection, endpoint, scaling)
    fitting = [variant.name for variant in endpoint.variants if not variant.serverless]
    if not fitting:
        st.caption("Serverless variants scale automatically.")
        return
    if not detail.scaling_known:
        st.caption("Autoscaling status is unknown: no permission to read it.")
    elif not detail.scaling:
        st.caption("Let the instance count follow the traffic, between a minimum and a maximum.")
    name: str = (
        st.selectbox("Variant", fitting, key=f"autoscale-{endpoint.name}") if len(fitting) > 1 else fitting[0]
    )
    now = next((scaling for scaling in detail.scaling if scaling.variant == name), None)
    with st.grid(3, min_column_width=150, gap="small"):
        low = _instances("Min instances", now.low if now else None, f"low-{endpoint.name}-{name}")
        high = _instances("Max instances", now.high if now else None, f"high-{endpoint.name}-{name}", 2)
        target = st.number_input(
            "Target invocations", 1.0, None, (now and now.target) or USUAL_CALLS, 10.0, format="%g",
            key=f"target-{endpoint.name}-{name}", help="Per instance per minute. Above this, AWS adds instances.",
        )  # fmt: skip
    wanted = Scaling(name, low, high, float(target), now.policies if now else ())
    pressed = buttons.button(
        "Review autoscaling",
        key=f"review-autoscaling-{endpoint.name}",
        acts_on=(endpoint.name, name),
        icon=":material/swap_vert:",
        disabled=wanted == now,
    )
    if pressed:
        with messages.error_boundary("autoscale"):
            plan_dialog.open_plan(
                plan_autoscale(endpoint, wanted, cached.prices(connection)), connection, st.rerun
            )


def _scaled(connection: Connection, endpoint: Endpoint, scaling: Scaling) -> None:
    follows = f", target {scaling.target:g} invocations per instance per minute" if scaling.target else ""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f":green[:material/swap_vert:] {messages.plain(scaling.variant)}: {scaling.low} to {scaling.high} "
            f"instances{follows}",
            width="stretch",
        )
        if st.button("Remove", key=f"end-{scaling.variant}", type="tertiary", icon=":material/close:"):
            plan_dialog.open_plan(plan_stop_autoscale(endpoint, scaling.variant), connection, st.rerun)
