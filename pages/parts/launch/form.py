"""The launch form: job, hyperparameters and compute. The hyperparameter fields come from `HYPERPARAMETERS`."""

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
from core.training.job import TrainingSpec, carried_names
from core.training.preflight import FAMILIES
from pages.parts import messages, state
from pages.parts.launch.fields import (
    CHANNEL_FIELDS,
    LABEL,
    LAUNCH,
    MANIFEST_FIELDS,
    MANIFESTS,
    SHUFFLE,
    TAGS,
    VALUE_FIELDS,
)

OPEN = (NETWORK, DATA, TRAINING)
"""Hyperparameter groups that are always shown; most users do not change the others."""

MIN_FIELD_WIDTH = 170
"""Pixels; narrower fields move to the next line."""

MIN_VALUE_WIDTH = 210
"""The same of a hyperparameter; below it, the switch `use_pretrained_model` would be truncated."""


def job(spec: TrainingSpec) -> None:
    """Draw the fields for name, data, output and role."""
    with st.container(border=True):
        st.header("Job")
        _text("Name", "name", "Letters, digits and hyphens. AWS never accepts the same name twice.")
        _data()
        previous = spec.channel(MODEL_CHANNEL)
        if previous is not None:
            st.caption(f":material/history: Continues from {messages.code(previous.uri)}")
        _text("Output", "output_uri", "S3 prefix for the model artifact.", "s3://my-bucket/models/")
        _text(
            "IAM role",
            "role_arn",
            "The role that SageMaker assumes. It must be able to read the data and write the output.",
            "arn:aws:iam::123456789012:role/MyTrainingRole",
        )


def hyperparameters(spec: TrainingSpec, *, locked: Collection[str], sandbox: bool) -> None:
    """Draw a field for each hyperparameter that the algorithm uses. locked: names of those that must not change."""
    with st.container(border=True):
        st.header("Hyperparameters")
        for group in GROUPS:
            rows = [
                row for row in HYPERPARAMETERS if row.group == group and applies(row, spec.hyperparameters)
            ]
            section = st.container() if group in OPEN else st.expander(_heading(group, rows, spec))
            with section:
                if group in OPEN:
                    st.markdown(f"**{group}**")
                with st.grid(3, min_column_width=MIN_VALUE_WIDTH, gap="small", vertical_alignment="bottom"):
                    for row in rows:
                        _value(row, disabled=row.name in locked, sandbox=sandbox)


def compute(spec: TrainingSpec, prices: PriceTable) -> None:
    """Draw the fields for the instance, its limits, spot and the container image."""
    with st.container(border=True):
        st.header("Compute")
        _instance(spec.instance_type, prices)
        with st.grid(2, min_column_width=MIN_FIELD_WIDTH, gap="small"):
            _minutes(
                "Max run time (minutes)",
                "max_minutes",
                "The job is stopped after this time; its model is kept.",
            )
            st.number_input("Volume (GB)", key=LAUNCH.field("volume_gb"), step=10, persist_state="session")
        st.toggle(
            "Managed spot training: up to 90% cheaper, may be interrupted",
            key=LAUNCH.field("spot"),
            persist_state="session",
        )
        if spec.spot:
            with st.grid(2, min_column_width=MIN_FIELD_WIDTH, gap="small"):
                _minutes(
                    "Max wait (minutes)",
                    "wait_minutes",
                    "Maximum total time: waiting for capacity plus training.",
                )
                _text(
                    "Checkpoints S3 prefix",
                    "checkpoint_uri",
                    "The algorithm saves checkpoints there and resumes from them. Without it, an interrupted job "
                    "starts over.",
                    "s3://...",
                )
        with st.expander("Container image"):
            _text(
                "Container image URI", "image", "AWS's container image for the algorithm in the job's region."
            )


def security(spec: TrainingSpec) -> None:
    """Draw the fields for network, encryption and tags, and what a copy takes over without a field."""
    with st.container(border=True):
        st.header("Network, encryption and tags")
        with st.grid(2, min_column_width=220, gap="small"):
            _text("Subnets", "subnets", "VPC subnet IDs, separated by commas.", "subnet-0abc, subnet-0def")
            _text("Security groups", "security_groups", "VPC security group IDs.", "sg-0abc")
            _text("Output KMS key", "output_kms_key", "Encrypts the model in S3.", "alias/training")
            _text(
                "Volume KMS key",
                "volume_kms_key",
                "Encrypts the instance's volume. Not for instances with local storage, such as g4dn and g5.",
                "alias/training",
            )
        st.toggle(
            "Network isolation",
            key=LAUNCH.field("network_isolation"),
            help="The container gets no network access; SageMaker still transfers its data and model.",
            persist_state="session",
        )
        st.toggle(
            "Encrypt inter-container traffic",
            key=LAUNCH.field("traffic_encryption"),
            help="It may make the job slower; this algorithm trains in a single container.",
            persist_state="session",
        )
        st.text_area(
            "Tags",
            key=LAUNCH.field(TAGS),
            placeholder="team=maps",
            help="One KEY=VALUE per line.",
            height=90,
            persist_state="session",
        )
        if spec.origin is not None and (others := carried_names(spec)):
            text = messages.plain(", ".join(others))
            st.caption(f"Also copied from {messages.plain(spec.origin.name)}, see the API request: {text}")


def _data() -> None:
    """Draw one field for the prefix of all channels, one per channel, or those of augmented manifests."""
    if LAUNCH.get(MANIFESTS):
        _manifests()
    elif LAUNCH.get("separate"):
        with st.grid(2, min_column_width=220, gap="small"):
            for name, field in CHANNEL_FIELDS.items():
                _text(f"Channel {name}", field, "S3 prefix of this channel.", "s3://my-bucket/data/train/")
    else:
        folders = ", ".join(f"`{name}/`" for name in CHANNEL_FIELDS)
        _text(
            "Data", "base_uri", f"S3 prefix that contains the folders {folders}.", "s3://my-bucket/dataset/"
        )
    with st.container(horizontal=True):
        if not LAUNCH.get(MANIFESTS):
            st.toggle(
                "Set each channel's S3 URI separately", key=LAUNCH.field("separate"), persist_state="session"
            )
        st.toggle(
            "Use augmented manifests",
            key=LAUNCH.field(MANIFESTS),
            help="JSON Lines files with the S3 URIs of images and masks, such as the output of a Ground Truth "
            "labeling job. SageMaker streams them in Pipe mode.",
            persist_state="session",
        )


def _manifests() -> None:
    """Draw the fields of a job on augmented manifests."""
    with st.grid(2, min_column_width=220, gap="small"):
        for label, name in (("Training manifest", "train"), ("Validation manifest", "validation")):
            _text(label, MANIFEST_FIELDS[name], "S3 URI of a manifest.", f"s3://my-bucket/{name}.manifest")
    _text(
        "Label attribute",
        LABEL,
        "The attribute with the masks' S3 URIs. Filled in if the manifest has only one.",
        "city-streets-ref",
    )
    st.toggle(
        "Shuffle the training manifest",
        key=LAUNCH.field(SHUFFLE),
        help="Each epoch reads the lines in another order.",
        persist_state="session",
    )


def _heading(group: str, rows: list[Hyperparameter], spec: TrainingSpec) -> str:
    """Return the title of a collapsed group, with its first values."""
    values = ", ".join(
        f"{row.name} {spec.hyperparameters.get(row.name, row.default or '')}" for row in rows[:3]
    )
    return f"**{group}** :gray[{messages.plain(values)}{' …' if len(rows) > 3 else ''}]"


def _value(row: Hyperparameter, *, disabled: bool, sandbox: bool) -> None:
    key = LAUNCH.field(VALUE_FIELDS[row.name])
    options: dict[str, Any] = {
        "key": key,
        "help": messages.plain(_help(row, disabled)),
        "disabled": disabled,
        "persist_state": "session",
    }
    label = f"{row.name} *" if row.required else row.name
    if row.kind == "boolean":
        st.toggle(label, **options)
    elif row.kind == "choice":
        st.selectbox(label, _choices(row, state.chosen(key), sandbox=sandbox), **options)
    elif row.kind == "epochs":
        st.text_input(label, placeholder="10, 20", **options)
    elif row.kind == "integer":
        step = 8 if row.name == "crop_size" else 1
        st.number_input(label, step=step, placeholder=row.default or "", value=None, **options)
    else:
        st.number_input(
            label, step=_step(row), format="%g", placeholder=row.default or "", value=None, **options
        )


def _help(row: Hyperparameter, disabled: bool) -> str:
    default = f" Default: {row.default}." if row.default else ""
    locked = " Locked: it must match the job that this one continues." if disabled else ""
    return f"{row.help} {row.range[:1].upper()}{row.range[1:]}.{default}{locked}"


def _choices(row: Hyperparameter, value: Any, *, sandbox: bool) -> list[str]:
    """Return the allowed choices, and the current value where it is not one of them, so that the user sees it."""
    sandbox_only = [LIGHT] if sandbox and row.name == "algorithm" else []
    allowed = [*sandbox_only, *row.choices]
    return allowed if value in allowed or not value else [value, *allowed]


def _step(row: Hyperparameter) -> float:
    """Return one unit of the default's first significant digit: 0.001 for 0.004."""
    default = Decimal(row.default or "0.01")
    return float(Decimal(1).scaleb(default.adjusted())) if default else 0.01


def _instance(selected: str, prices: PriceTable) -> None:
    supported = sorted(
        (name for name in prices.training if name.split(".")[1] in FAMILIES),
        key=lambda name: prices.training[name],
    )
    options = supported if selected in supported or not selected else [selected, *supported]
    st.selectbox(
        "Instance",
        options,
        format_func=_price_label(prices),
        key=LAUNCH.field("instance_type"),
        help=f"The algorithm trains on a single GPU instance of these families: {', '.join(FAMILIES)}.",
        persist_state="session",
    )


def _price_label(prices: PriceTable) -> Callable[[str], str]:
    def label(name: str) -> str:
        price = prices.per_hour(name)
        aws = "AWS price " if prices.sandbox else ""
        return f"{name} · {aws}{price} per hour" if price else name

    return label


def _minutes(label: str, field: str, help_text: str) -> None:
    value = LAUNCH.get(field)
    current = f" Now: {duration(value * 60)}." if value else ""
    st.number_input(
        label,
        key=LAUNCH.field(field),
        value=None,
        step=30.0,
        format="%g",
        help=f"{help_text}{current}",
        persist_state="session",
    )


def _text(label: str, field: str, help_text: str, placeholder: str = "") -> None:
    st.text_input(
        label, key=LAUNCH.field(field), help=help_text, placeholder=placeholder, persist_state="session"
    )
