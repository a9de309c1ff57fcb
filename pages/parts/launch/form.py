"""The launch form: what to train on, how, and on which machine. Its hyperparameters are the table's."""

from __future__ import annotations

from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Any

import streamlit as st

from core.cost.training import PriceTable
from core.text import duration
from core.training.channels import MODEL_CHANNEL
from core.training.hyperparameters import (
    DATA,
    GROUPS,
    HYPERPARAMETERS,
    LIGHT,
    NETWORK,
    TRAINING,
    Hyperparameter,
    applies,
)
from core.training.job import TrainingSpec
from core.training.preflight import FAMILIES
from pages.parts import messages, state
from pages.parts.launch.fields import CHANNEL_FIELDS, LAUNCH, VALUE_FIELDS

OPEN = (NETWORK, DATA, TRAINING)
"""Groups in full view; the others most people leave as they are."""

NARROW = 170
"""Pixels below which fields go to the next line."""


def job(spec: TrainingSpec) -> None:
    """Name, data, where the model goes."""
    with st.container(border=True):
        st.subheader("Job")
        _text("Name", "name", "Letters, digits and hyphens. It can never be used again.")
        _data()
        previous = spec.channel(MODEL_CHANNEL)
        if previous is not None:
            st.caption(f":material/history: It goes on from {messages.code(previous.uri)}")
        _text("Output", "output_uri", "The S3 prefix below which the model is put.", "s3://my-bucket/models/")
        _text(
            "Role",
            "role_arn",
            "What SageMaker acts as: it must read the data and write the output.",
            "arn:aws:iam::123456789012:role/MyTrainingRole",
        )


def hyperparameters(spec: TrainingSpec, *, locked: Collection[str], sandbox: bool) -> None:
    """A field for each hyperparameter that counts. locked: those that must stay as they are."""
    with st.container(border=True):
        st.subheader("Hyperparameters")
        for group in GROUPS:
            rows = [
                row for row in HYPERPARAMETERS if row.group == group and applies(row, spec.hyperparameters)
            ]
            place = st.container() if group in OPEN else st.expander(_heading(group, rows, spec))
            with place:
                if group in OPEN:
                    st.markdown(f"**{group}**")
                with st.grid(4, min_column_width=NARROW, gap="small", vertical_alignment="bottom"):
                    for row in rows:
                        _value(row, disabled=row.name in locked, sandbox=sandbox)


def machine(spec: TrainingSpec, prices: PriceTable, *, sandbox: bool) -> None:
    """Instance, limits, spot."""
    with st.container(border=True):
        st.subheader("Machine")
        with st.grid(3, min_column_width=NARROW, gap="small"):
            _instance(spec.instance_type, prices)
            _minutes(
                "Maximum run time, minutes", "max_minutes", "After that it is stopped; its model is kept."
            )
            st.number_input("Volume, GB", key=LAUNCH.field("volume_gb"), step=10, persist_state="session")
        st.toggle(
            "Spot: spare capacity, up to 90% cheaper, may be interrupted",
            key=LAUNCH.field("spot"),
            persist_state="session",
        )
        if spec.spot:
            with st.grid(2, min_column_width=NARROW, gap="small"):
                _minutes("Maximum wait, minutes", "wait_minutes", "Waiting and running together.")
                if not sandbox:
                    _text(
                        "Checkpoints",
                        "checkpoint_uri",
                        "Without, an interrupted job starts anew.",
                        "s3://...",
                    )
        with st.expander("Container image"):
            _text("Image", "image", "AWS's own, in the region the job runs in.")


def _data() -> None:
    """One prefix for all channels, or an address for each."""
    if LAUNCH.get("apart"):
        with st.grid(2, min_column_width=220, gap="small"):
            for name, field in CHANNEL_FIELDS.items():
                _text(f"Channel {name}", field, "An S3 prefix.", "s3://my-bucket/data/train/")
    else:
        folders = ", ".join(f"`{name}/`" for name in CHANNEL_FIELDS)
        _text("Data", "base_uri", f"The S3 prefix with the folders {folders}.", "s3://my-bucket/dataset/")
    st.toggle("Each channel has an address of its own", key=LAUNCH.field("apart"), persist_state="session")


def _heading(group: str, rows: list[Hyperparameter], spec: TrainingSpec) -> str:
    """A closed group tells what it holds."""
    said = ", ".join(
        f"{row.name} {spec.hyperparameters.get(row.name, row.default or '')}" for row in rows[:3]
    )
    return f"**{group}** :gray[{messages.plain(said)}{' …' if len(rows) > 3 else ''}]"


def _value(row: Hyperparameter, *, disabled: bool, sandbox: bool) -> None:
    key = LAUNCH.field(VALUE_FIELDS[row.name])
    said: dict[str, Any] = {
        "key": key,
        "help": messages.plain(_help(row, disabled)),
        "disabled": disabled,
        "persist_state": "session",
    }
    label = f"{row.name} *" if row.required else row.name
    if row.kind == "boolean":
        st.toggle(label, **said)
    elif row.kind == "choice":
        st.selectbox(label, _choices(row, state.chosen(key), sandbox=sandbox), **said)
    elif row.kind == "epochs":
        st.text_input(label, placeholder="10, 20", **said)
    elif row.kind == "integer":
        step = 8 if row.name == "crop_size" else 1
        st.number_input(label, step=step, placeholder=row.default or "", value=None, **said)
    else:
        st.number_input(
            label, step=_step(row), format="%g", placeholder=row.default or "", value=None, **said
        )


def _help(row: Hyperparameter, disabled: bool) -> str:
    usual = f" Usually {row.default}." if row.default else ""
    kept = " It must stay as it was, for the job goes on from an earlier model." if disabled else ""
    return f"{row.help} {row.range[:1].upper()}{row.range[1:]}.{usual}{kept}"


def _choices(row: Hyperparameter, value: Any, *, sandbox: bool) -> list[str]:
    """What is allowed, and what an old job had, so that it can be seen and corrected."""
    more = [LIGHT] if sandbox and row.name == "algorithm" else []
    allowed = [*more, *row.choices]
    return allowed if value in allowed or not value else [value, *allowed]


def _step(row: Hyperparameter) -> float:
    """One in the first digit of the default."""
    usual = Decimal(row.default or "0.01")
    return float(Decimal(1).scaleb(usual.adjusted())) if usual else 0.01


def _instance(chosen: str, prices: PriceTable) -> None:
    offered = sorted(
        (name for name in prices.training if name.split(".")[1] in FAMILIES),
        key=lambda name: prices.training[name],
    )
    options = offered if chosen in offered or not chosen else [chosen, *offered]
    st.selectbox(
        "Instance",
        options,
        format_func=_priced(prices),
        key=LAUNCH.field("instance_type"),
        help=f"This algorithm trains on one machine with GPUs of the families {', '.join(FAMILIES)}.",
        persist_state="session",
    )


def _priced(prices: PriceTable) -> Callable[[str], str]:
    def label(name: str) -> str:
        price = prices.per_hour(name)
        return f"{name} · {price} an hour" if price else name

    return label


def _minutes(label: str, field: str, why: str) -> None:
    value = LAUNCH.get(field)
    spoken = f" Now: {duration(value * 60)}." if value else ""
    st.number_input(
        label,
        key=LAUNCH.field(field),
        value=None,
        step=30.0,
        format="%g",
        help=f"{why}{spoken}",
        persist_state="session",
    )


def _text(label: str, field: str, why: str, placeholder: str = "") -> None:
    st.text_input(label, key=LAUNCH.field(field), help=why, placeholder=placeholder, persist_state="session")
