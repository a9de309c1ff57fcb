"""The values of the launch form's fields: from a `TrainingSpec`, and back. Nothing is drawn here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from core.training.channels import (
    DATA_CHANNELS,
    MANIFEST_CHANNELS,
    S3_PREFIX,
    Channel,
    data_channels,
    manifest_channel,
    with_shuffling,
)
from core.training.hyperparameters import BY_NAME, HYPERPARAMETERS, Hyperparameter, applies, number
from core.training.job import TrainingSpec
from core.training.preflight import uses_manifests
from core.training.security import SecuritySettings
from pages.parts.state import Form

LAUNCH = Form("launch")
"""The form that launches a training job."""

JOB_FIELDS = ("name", "base_uri", "separate", "output_uri", "role_arn", "image")
MACHINE_FIELDS = ("instance_type", "volume_gb", "max_minutes", "spot", "wait_minutes", "checkpoint_uri")
SECURITY_FIELDS = (
    "subnets",
    "security_groups",
    "output_kms_key",
    "volume_kms_key",
    "network_isolation",
    "traffic_encryption",
)
"""Named like the fields of `SecuritySettings`."""

MANIFESTS, LABEL, SHUFFLE = "manifests", "label_attribute", "shuffle"
"""The fields for augmented manifests: whether the job uses them, the attribute with the masks, and the shuffling."""

REQUIRED_SETTINGS = "required_settings"
"""Whether the settings that the algorithm needs replace those of a copied job on manifests; no widget shows it."""

MANIFEST_FIELDS = {name: f"manifest-{name}" for name in MANIFEST_CHANNELS}
"""Channel -> the field with the S3 URI of its manifest."""

TAGS = "tags"
CONTENT = "content_types"
"""The field with the content types of the data channels of a copied job; no widget shows it."""

EXTRA = "extra"
"""The field with hyperparameters that the algorithm does not have, copied from a job that failed because of them."""

CHANNEL_FIELDS = {name: f"channel-{name}" for name in DATA_CHANNELS}
VALUE_FIELDS = {row.name: f"value-{row.name}" for row in HYPERPARAMETERS}
FIELDS = (
    *JOB_FIELDS,
    *CHANNEL_FIELDS.values(),
    MANIFESTS,
    *MANIFEST_FIELDS.values(),
    LABEL,
    SHUFFLE,
    REQUIRED_SETTINGS,
    *MACHINE_FIELDS,
    *SECURITY_FIELDS,
    TAGS,
    CONTENT,
    *VALUE_FIELDS.values(),
    EXTRA,
)


def to_fields(spec: TrainingSpec) -> dict[str, Any]:
    """Return the value of every field for a spec; texts that are not numbers become None in number fields."""
    by_manifest = uses_manifests(spec)
    base = "" if by_manifest else _base_of(spec)
    uris = {channel.name: channel.uri for channel in spec.channels}
    wait = spec.max_wait_seconds or spec.max_runtime_seconds
    values = spec.hyperparameters
    return {
        "name": spec.name,
        "base_uri": base or "",
        "separate": base is None,
        "output_uri": spec.output_uri,
        "role_arn": spec.role_arn,
        "image": spec.image,
        **{field: "" if by_manifest else uris.get(name, "") for name, field in CHANNEL_FIELDS.items()},
        **_manifest_fields(spec, by_manifest=by_manifest),
        "instance_type": spec.instance_type,
        "volume_gb": spec.volume_gb,
        "max_minutes": spec.max_runtime_seconds / 60,
        "spot": spec.spot,
        "wait_minutes": wait / 60,
        "checkpoint_uri": spec.checkpoint_uri,
        **_security_fields(spec.security),
        TAGS: "\n".join(tag_lines(spec.tags)),
        CONTENT: {channel.name: channel.content_type for channel in spec.channels},
        **{field: _to_field(BY_NAME[name], values.get(name)) for name, field in VALUE_FIELDS.items()},
        EXTRA: {name: text for name, text in values.items() if name not in BY_NAME},
    }


def to_spec(fields: Mapping[str, Any], base: TrainingSpec) -> TrainingSpec:
    """Return the spec that the fields describe. base: the source of everything that the form has no field for."""
    spot = bool(fields["spot"])
    by_manifest = bool(fields[MANIFESTS])
    mode = "Pipe" if by_manifest else "File" if uses_manifests(base) else base.input_mode
    return replace(
        base,
        name=(fields["name"] or "").strip(),
        role_arn=(fields["role_arn"] or "").strip(),
        image=(fields["image"] or "").strip(),
        instance_type=fields["instance_type"] or "",
        instance_count=1,
        hyperparameters=to_values(fields),
        channels=(
            *(_manifest_channels(fields, base) if by_manifest else _data_channels(fields, base)),
            *(channel for channel in base.channels if channel.name not in DATA_CHANNELS),
        ),
        input_mode=mode,
        output_uri=(fields["output_uri"] or "").strip(),
        volume_gb=fields["volume_gb"] or 0,
        max_runtime_seconds=_seconds(fields["max_minutes"]),
        spot=spot,
        max_wait_seconds=_seconds(fields["wait_minutes"]) if spot else None,
        checkpoint_uri=(fields["checkpoint_uri"] or "").strip() if spot else "",
        security=_security(fields),
        tags=to_tags(fields[TAGS] or "", base.tags),
    )


def tag_lines(tags: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the line of each tag, such as "team=maps", with its key and value."""
    return {f"{key}={tags[key]}".strip(): (key, tags[key]) for key in sorted(tags)}


def to_tags(text: str, before: Mapping[str, str]) -> dict[str, str]:
    """Return the tags in a text with one KEY=VALUE per line.

    before: the tags that the text was made from; their lines are recognized, because a key may contain "=".
    """
    known = tag_lines(before)
    return dict(known.get(line) or _tag(line) for line in _lines(text))


def repeated_tags(text: str, before: Mapping[str, str]) -> list[str]:
    """Return the keys that several lines set."""
    keys = [key for line in _lines(text) for key in to_tags(line, before)]
    return sorted({key for key in keys if keys.count(key) > 1})


def _tag(line: str) -> tuple[str, str]:
    key, _, value = line.partition("=")
    return key.strip(), value.strip()


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _security_fields(settings: SecuritySettings) -> dict[str, Any]:
    return {
        "subnets": ", ".join(settings.subnets),
        "security_groups": ", ".join(settings.security_groups),
        "output_kms_key": settings.output_kms_key,
        "volume_kms_key": settings.volume_kms_key,
        "network_isolation": settings.network_isolation,
        "traffic_encryption": settings.traffic_encryption,
    }


def _security(fields: Mapping[str, Any]) -> SecuritySettings:
    return SecuritySettings(
        subnets=_ids(fields["subnets"]),
        security_groups=_ids(fields["security_groups"]),
        output_kms_key=(fields["output_kms_key"] or "").strip(),
        volume_kms_key=(fields["volume_kms_key"] or "").strip(),
        network_isolation=bool(fields["network_isolation"]),
        traffic_encryption=bool(fields["traffic_encryption"]),
    )


def _ids(text: str | None) -> tuple[str, ...]:
    """Return the IDs in a text, each once; commas and spaces separate them."""
    return tuple(dict.fromkeys((text or "").replace(",", " ").split()))


def to_values(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the hyperparameters as AWS takes them, without those that the algorithm would not use."""
    given = {
        name: text for name, field in VALUE_FIELDS.items() if (text := to_text(fields.get(field))) is not None
    }
    used = {name: text for name, text in given.items() if applies(BY_NAME[name], given)}
    return {**used, **(fields.get(EXTRA) or {})}


def to_text(value: Any) -> str | None:
    """Return a field's value as a hyperparameter's text; None where the field is empty."""
    if value is None or value == "":
        return None
    return f"{value:.12g}" if isinstance(value, float) else str(value).strip()


def from_text(row: Hyperparameter, text: str) -> Any:
    """Return a hyperparameter's text as its field's value; None where the field cannot hold it."""
    if row.kind == "boolean":
        return text.lower() == "true"
    if row.kind not in ("integer", "number"):
        return text
    value = number(text)
    if value is None or (row.kind == "integer" and not value.is_integer()):
        return None
    return int(value) if row.kind == "integer" else value


def unreadable(values: Mapping[str, str]) -> dict[str, str]:
    """Return the hyperparameters whose text no field can hold."""
    return {
        name: text
        for name, text in values.items()
        if name in BY_NAME and text and from_text(BY_NAME[name], text) is None
    }


def _to_field(row: Hyperparameter, text: str | None) -> Any:
    text = text or row.default
    return None if text is None else from_text(row, text)


def _base_of(spec: TrainingSpec) -> str | None:
    """Return the prefix that the four channels share in the documented layout; None where they share none.

    Empty where the spec has no data channels.
    """
    uris = {channel.name: channel.uri.rstrip("/") for channel in spec.channels}
    if not any(name in uris for name in DATA_CHANNELS):
        return ""
    base = uris.get("train", "").removesuffix("train")
    documented = {channel.name: channel.uri.rstrip("/") for channel in data_channels(base)}
    return base if base and all(uris.get(name) == uri for name, uri in documented.items()) else None


def _data_channels(fields: Mapping[str, Any], base: TrainingSpec) -> tuple[Channel, ...]:
    """Return the channels with their URIs in the form, and otherwise as in the copied job."""
    if fields["separate"]:
        uris = {name: (fields[field] or "").strip() for name, field in CHANNEL_FIELDS.items()}
    else:
        prefix = (fields["base_uri"] or "").strip()
        uris = {channel.name: channel.uri for channel in data_channels(prefix)} if prefix else {}
    return tuple(_channel(name, uri, fields, base) for name, uri in uris.items() if uri)


def _manifest_fields(spec: TrainingSpec, *, by_manifest: bool) -> dict[str, Any]:
    channels = {name: spec.channel(name) for name in MANIFEST_CHANNELS}
    manifests = {name: each for name, each in channels.items() if each is not None and each.is_manifest}
    train = manifests.get("train")
    return {
        MANIFESTS: by_manifest,
        **{
            field: manifests[name].uri if name in manifests else "" for name, field in MANIFEST_FIELDS.items()
        },
        LABEL: next((each.label_attribute for each in manifests.values()), ""),
        SHUFFLE: train is None or train.shuffled,
        REQUIRED_SETTINGS: False,
    }


def _manifest_channels(fields: Mapping[str, Any], base: TrainingSpec) -> Iterator[Channel]:
    """Yield the channels on the manifests in the form; one that the user did not change is as in the copied job."""
    label = (fields[LABEL] or "").strip()
    shown = _manifest_fields(base, by_manifest=True)[LABEL]
    for name, field in MANIFEST_FIELDS.items():
        uri, copied = (fields[field] or "").strip(), base.channel(name)
        if copied is None or not copied.is_manifest:
            shuffle = bool(fields[SHUFFLE]) and name == "train"
            yield manifest_channel(name, uri, label, shuffle=shuffle)
            continue
        shuffle = bool(fields[SHUFFLE]) if name == "train" else copied.shuffled
        own = copied.label_attribute if label == shown else label
        if fields[REQUIRED_SETTINGS] or own != copied.label_attribute:
            yield manifest_channel(name, uri, own, shuffle=shuffle, copied=copied)
        else:
            yield with_shuffling(copied.with_uri(uri), shuffle=shuffle)


def _channel(name: str, uri: str, fields: Mapping[str, Any], base: TrainingSpec) -> Channel:
    copied = base.channel(name)
    if copied is None:
        return Channel(name, uri, DATA_CHANNELS[name])
    if copied.is_manifest:
        return replace(copied.with_uri(uri, S3_PREFIX), content_type=DATA_CHANNELS[name])
    same = copied.uri.rstrip("/") == uri.rstrip("/")
    content_type = (fields[CONTENT] or {}).get(name, copied.content_type) or DATA_CHANNELS[name]
    other = copied.with_uri(uri, "" if fields["separate"] else S3_PREFIX)
    return replace(copied if same else other, content_type=content_type)


def _seconds(minutes: float | None) -> int:
    return round((minutes or 0) * 60)
