"""Who of an endpoint's variants gets how many calls, on how many machines; set by hand, or following the calls."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.aws.connection import Connection
from core.endpoints.detail import EndpointDetail, Scaling
from core.endpoints.endpoint import Endpoint, Variant
from core.endpoints.spec import MAX_INSTANCES
from core.plans.scale import VariantChange, plan_autoscale, plan_scale, plan_stop_autoscale
from pages.parts import cached, elements, messages, plan_dialog

USUAL_CALLS = 60.0
"""Calls a minute and instance: one a second."""


def show(connection: Connection, detail: EndpointDetail) -> None:
    """The variants as they are, the form for both, and the autoscaling."""
    endpoint = detail.endpoint
    if not endpoint.variants:
        st.caption("Its variants are not known: the configuration may not be read.")
        return
    _table(detail)
    by_hand, by_itself = st.columns(2, gap="medium")
    with by_hand, st.container(border=True):
        _by_hand(connection, endpoint)
    with by_itself, st.container(border=True):
        _by_itself(connection, detail)


def _table(detail: EndpointDetail) -> None:
    variants = detail.endpoint.variants
    whole = sum(variant.weight or 0 for variant in variants)
    frame = pd.DataFrame(
        {
            "name": [variant.name for variant in variants],
            "share": pd.Series([_share(variant, whole) for variant in variants], dtype="float64"),
            "instance": ["serverless" if one.serverless else one.instance_type or None for one in variants],
            "count": pd.Series([variant.count for variant in variants], dtype="Int64"),
            "wanted": pd.Series([variant.desired_count for variant in variants], dtype="Int64"),
            "model": [variant.model or None for variant in variants],
        }
    )
    column = st.column_config
    columns = {
        "name": column.TextColumn("Variant", width=150),
        "share": column.ProgressColumn("Share of the calls", format="percent", min_value=0, max_value=1),
        "instance": column.TextColumn("Instance"),
        "count": column.NumberColumn("Instances"),
        "wanted": column.NumberColumn("Wanted", help="As AWS was asked last."),
        "model": column.TextColumn("Model", width=280),
    }
    elements.dataframe(frame, column_config=columns, hide_index=True, placeholder="–", alt="The variants")


def _by_hand(connection: Connection, endpoint: Endpoint) -> None:
    """Sliders and numbers; a plan only once something is another way than now."""
    st.markdown("**Weights and instances**" if len(endpoint.variants) > 1 else "**Instances**")
    weights = _weights(endpoint)
    counts = {one.name: _count(endpoint, one) for one in endpoint.variants if not one.serverless}
    changes = [
        change
        for one in endpoint.variants
        if (change := _change(one, weights.get(one.name), counts.get(one.name))) is not None
    ]
    pressed = st.button(
        "Review the change", key="scale", icon=":material/tune:", disabled=not changes or endpoint.changing
    )
    if endpoint.changing:
        st.caption("AWS is at work on it, and takes no other change until it is done.")
    if pressed:
        with messages.error_boundary("scale"):
            plan_dialog.ask(plan_scale(endpoint, changes, cached.prices(connection)), connection, st.rerun)


def _weights(endpoint: Endpoint) -> dict[str, float]:
    """Of each variant: of two, one slider shares the calls out; of more, each has its own."""
    variants = endpoint.variants
    if len(variants) == 1:
        return {}
    if len(variants) == 2:
        first, second = variants
        now = _percent(first, variants)
        share = st.slider(
            f"Calls that go to **{messages.plain(first.name)}**",
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
    said = [f"{messages.plain(name)} **{value / whole:.0%}**" for name, value in chosen.items() if whole]
    st.caption(" · ".join(said) or "Without any weight nobody would get a call.")
    if all(value == _percent(endpoint.variant(name), variants) for name, value in chosen.items()):
        return {}
    return {name: value / 100 for name, value in chosen.items()}


def _count(endpoint: Endpoint, variant: Variant) -> int | None:
    now = variant.count if variant.desired_count is None else variant.desired_count
    found = _instances(
        f"Instances of {messages.plain(variant.name)}", now, f"count-{endpoint.name}-{variant.name}-{now}"
    )
    return None if found == now else found


def _instances(label: str, now: int | None, key: str, usual: int = 1) -> int:
    """How many. Others may have set what we would not: the field takes what there is now."""
    value = usual if now is None else now
    found: int = st.number_input(label, min(1, value), max(MAX_INSTANCES, value), value, 1, key=key)
    return found


def _change(variant: Variant, weight: float | None, count: int | None) -> VariantChange | None:
    return None if weight is None and count is None else VariantChange(variant.name, weight, count)


def _percent(variant: Variant | None, variants: Sequence[Variant]) -> int:
    share = _share(variant, sum(one.weight or 0 for one in variants)) if variant is not None else None
    return round(100 * (share or 0))


def _share(variant: Variant, whole: float) -> float | None:
    return (variant.weight or 0) / whole if whole else None


def _by_itself(connection: Connection, detail: EndpointDetail) -> None:
    """What scales by itself now, and the form that lets a variant do so."""
    endpoint = detail.endpoint
    st.markdown("**Autoscaling**")
    for scaling in detail.scaling:
        _scaled(connection, endpoint, scaling)
    fitting = [variant.name for variant in endpoint.variants if not variant.serverless]
    if not fitting:
        st.caption("A serverless variant scales by itself as it is.")
        return
    if not detail.scaling_known:
        st.caption("Whether it scales by itself is not known: that may not be read.")
    elif not detail.scaling:
        st.caption("The number of instances can follow the calls, between the bounds you set.")
    name: str = (
        st.selectbox("Variant", fitting, key=f"autoscale-{endpoint.name}") if len(fitting) > 1 else fitting[0]
    )
    now = next((one for one in detail.scaling if one.variant == name), None)
    with st.grid(3, min_column_width=110, gap="small"):
        low = _instances("Fewest", now.low if now else None, f"low-{endpoint.name}-{name}")
        high = _instances("Most", now.high if now else None, f"high-{endpoint.name}-{name}", 2)
        target = st.number_input(
            "Calls a minute", 1.0, None, (now and now.target) or USUAL_CALLS, 10.0, format="%g",
            key=f"target-{endpoint.name}-{name}", help="What one instance should get: above it another one is added.",
        )  # fmt: skip
    wanted = Scaling(name, low, high, float(target), now.policies if now else ())
    pressed = st.button(
        "Review the autoscaling", key="autoscale", icon=":material/swap_vert:", disabled=wanted == now
    )
    if pressed:
        with messages.error_boundary("autoscale"):
            plan_dialog.ask(plan_autoscale(endpoint, wanted, cached.prices(connection)), connection, st.rerun)


def _scaled(connection: Connection, endpoint: Endpoint, scaling: Scaling) -> None:
    follows = f", about {scaling.target:g} calls a minute each" if scaling.target else ""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f":green[:material/swap_vert:] {messages.plain(scaling.variant)}: {scaling.low} to {scaling.high} "
            f"instances{follows}",
            width="stretch",
        )
        if st.button("End it", key=f"end-{scaling.variant}", type="tertiary", icon=":material/close:"):
            plan_dialog.ask(plan_stop_autoscale(endpoint, scaling.variant), connection, st.rerun)
