"""The input channels of a training job, and their conversion to and from the AWS API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MODEL_CHANNEL = "model"
MODEL_CONTENT = "application/x-sagemaker-model"
DATA_CHANNELS = {
    "train": "image/jpeg",
    "validation": "image/jpeg",
    "train_annotation": "image/png",
    "validation_annotation": "image/png",
}
"""The four channels that every job needs, and their content types."""

CONTENT_TYPES = {**DATA_CHANNELS, "label_map": "application/json", MODEL_CHANNEL: MODEL_CONTENT}
"""All channels that the algorithm accepts (developer guide), in request order."""

S3_PREFIX = "S3Prefix"


@dataclass(frozen=True, slots=True)
class Channel:
    """One input channel.

    uri:          an S3 prefix, or an object.
    content_type: empty if none is set.
    input_mode:   "File", "Pipe" or "FastFile"; empty for the job's own mode.
    data_type:    "S3Prefix", "ManifestFile" or "AugmentedManifestFile".
    """

    name: str
    uri: str
    content_type: str = ""
    input_mode: str = ""
    data_type: str = S3_PREFIX


def data_channels(base_uri: str) -> tuple[Channel, ...]:
    """Return the four data channels under one prefix, in the folders that the developer guide names."""
    base = base_uri.rstrip("/")
    return tuple(Channel(name, f"{base}/{name}/", kind) for name, kind in DATA_CHANNELS.items())


def in_order(channels: Iterable[Channel]) -> list[Channel]:
    """Return the channels in the order of `CONTENT_TYPES`, unknown ones last."""
    order = list(CONTENT_TYPES)
    return sorted(
        channels,
        key=lambda channel: (
            order.index(channel.name) if channel.name in order else len(order),
            channel.name,
        ),
    )


def folder(uri: str) -> str:
    """Return an S3 prefix with its trailing slash, so that `train` does not match keys of `train_annotation/`."""
    return uri if uri.endswith(("/", ".json", ".jpg", ".jpeg", ".png")) else f"{uri}/"


def to_request(channel: Channel) -> dict[str, Any]:
    """Return an entry of CreateTrainingJob's `InputDataConfig`."""
    prefix = channel.data_type == S3_PREFIX and channel.name != MODEL_CHANNEL
    source = {
        "S3DataType": channel.data_type,
        "S3Uri": folder(channel.uri) if prefix else channel.uri,
        "S3DataDistributionType": "FullyReplicated",
    }
    request: dict[str, Any] = {"ChannelName": channel.name, "DataSource": {"S3DataSource": source}}
    content = channel.content_type or CONTENT_TYPES.get(channel.name, "")
    mode = "File" if channel.name == MODEL_CHANNEL else channel.input_mode
    request |= {"ContentType": content} if content else {}
    request |= {"InputMode": mode} if mode else {}
    return request


def from_description(row: Mapping[str, Any]) -> Channel:
    """Read an entry of `InputDataConfig`; keys may be missing."""
    source = row.get("DataSource") or {}
    s3, files = source.get("S3DataSource") or {}, source.get("FileSystemDataSource") or {}
    return Channel(
        name=row.get("ChannelName", ""),
        uri=s3.get("S3Uri") or files.get("DirectoryPath", ""),
        content_type=row.get("ContentType") or "",
        input_mode=row.get("InputMode") or "",
        data_type=s3.get("S3DataType") or files.get("FileSystemType") or S3_PREFIX,
    )
