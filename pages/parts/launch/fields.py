"""The launch form's fields as values: from a `TrainingSpec`, and back. Nothing is drawn here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.training.channels import DATA_CHANNELS, Channel, data_channels
from core.training.hyperparameters import BY_NAME, HYPERPARAMETERS, Hyperparameter, applies, number
from core.training.job import TrainingSpec
from pages.parts.state import Form

LAUNCH = Form("launch")
"""The form that starts a training job."""

JOB_FIELDS = ("name", "base_uri", "apart", "output_uri", "role_arn", "image")
MACHINE_FIELDS = ("instance_type", "volume_gb", "max_minutes", "spot", "wait_minutes", "checkpoint_uri")
EXTRA = "extra"
"""The field with hyperparameters that the algorithm does not have: those of a job that failed for them."""

CHANNEL_FIELDS = {name: f"channel-{name}" for name in DATA_CHANNELS}
VALUE_FIELDS = {row.name: f"value-{row.name}" for row in HYPERPARAMETERS}
FIELDS = (*JOB_FIELDS, *CHANNEL_FIELDS.values(), *MACHINE_FIELDS, *VALUE_FIELDS.values(), EXTRA)


def to_fields(spec: TrainingSpec) -> dict[str, Any]:
    """Every field's value for this spec; numbers that are none become None."""
    base = _base_of(spec)
    uris = {channel.name: channel.uri for channel in spec.channels}
    wait = spec.max_wait_seconds or spec.max_runtime_seconds
    values = spec.hyperparameters
    return {
        "name": spec.name,
        "base_uri": base or "",
        "apart": base is None,
        "output_uri": spec.output_uri,
        "role_arn": spec.role_arn,
        "image": spec.image,
        **{field: uris.get(name, "") for name, field in CHANNEL_FIELDS.items()},
        "instance_type": spec.instance_type,
        "volume_gb": spec.volume_gb,
        "max_minutes": spec.max_runtime_seconds / 60,
        "spot": spec.spot,
        "wait_minutes": wait / 60,
        "checkpoint_uri": spec.checkpoint_uri,
        **{field: _to_field(BY_NAME[name], values.get(name)) for name, field in VALUE_FIELDS.items()},
        EXTRA: {name: text for name, text in values.items() if name not in BY_NAME},
    }


def to_spec(fields: Mapping[str, Any], before: TrainingSpec) -> TrainingSpec:
    """What the fields say; what the form does not offer stays as it was before."""
    spot = bool(fields["spot"])
    return replace(
        before,
        name=(fields["name"] or "").strip(),
        role_arn=(fields["role_arn"] or "").strip(),
        image=(fields["image"] or "").strip(),
        instance_type=fields["instance_type"] or "",
        instance_count=1,
        hyperparameters=to_values(fields),
        channels=(
            *_data_channels(fields),
            *(one for one in before.channels if one.name not in DATA_CHANNELS),
        ),
        output_uri=(fields["output_uri"] or "").strip(),
        volume_gb=fields["volume_gb"] or 0,
        max_runtime_seconds=_seconds(fields["max_minutes"]),
        spot=spot,
        max_wait_seconds=_seconds(fields["wait_minutes"]) if spot else None,
        checkpoint_uri=(fields["checkpoint_uri"] or "").strip() if spot else "",
    )


def to_values(fields: Mapping[str, Any]) -> dict[str, str]:
    """The hyperparameters as they travel; without those that the algorithm would not look at."""
    given = {
        name: text for name, field in VALUE_FIELDS.items() if (text := to_text(fields.get(field))) is not None
    }
    counting = {name: text for name, text in given.items() if applies(BY_NAME[name], given)}
    return {**counting, **(fields.get(EXTRA) or {})}


def to_text(value: Any) -> str | None:
    """A field's value as it travels; None where it is empty."""
    if value is None or value == "":
        return None
    return f"{value:.12g}" if isinstance(value, float) else str(value).strip()


def from_text(row: Hyperparameter, text: str) -> Any:
    """A value as its field holds it; None where that field cannot hold it."""
    if row.kind == "boolean":
        return text.lower() == "true"
    if row.kind not in ("integer", "number"):
        return text
    found = number(text)
    if found is None or (row.kind == "integer" and not found.is_integer()):
        return None
    return int(found) if row.kind == "integer" else found


def unreadable(values: Mapping[str, str]) -> dict[str, str]:
    """Those of the values that no field can hold."""
    return {
        name: text
        for name, text in values.items()
        if name in BY_NAME and text and from_text(BY_NAME[name], text) is None
    }


def _to_field(row: Hyperparameter, text: str | None) -> Any:
    text = text or row.default
    return None if text is None else from_text(row, text)


def _base_of(spec: TrainingSpec) -> str | None:
    """The prefix below which the four channels lie as the documentation has it; None where they do not."""
    found = {channel.name: channel.uri.rstrip("/") for channel in spec.channels}
    if not any(name in found for name in DATA_CHANNELS):
        return ""
    base = found.get("train", "").removesuffix("train")
    usual = {channel.name: channel.uri.rstrip("/") for channel in data_channels(base)}
    return base if base and all(found.get(name) == uri for name, uri in usual.items()) else None


def _data_channels(fields: Mapping[str, Any]) -> tuple[Channel, ...]:
    if not fields["apart"]:
        base = (fields["base_uri"] or "").strip()
        return data_channels(base) if base else ()
    return tuple(
        Channel(name, uri, DATA_CHANNELS[name])
        for name, field in CHANNEL_FIELDS.items()
        if (uri := (fields[field] or "").strip())
    )


def _seconds(minutes: float | None) -> int:
    return round((minutes or 0) * 60)
