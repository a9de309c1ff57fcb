"""The input channels of a training job, and their conversion to and from the AWS API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from core.training.carried import merged, without

MODEL_CHANNEL = "model"
FILE_CHANNELS = (MODEL_CHANNEL, "label_map")
"""Channels that are always files, whatever the mode of the job."""

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
MANIFEST = "AugmentedManifestFile"
"""One S3 object with a JSON line per image, such as the output of a Ground Truth labeling job."""

MANIFEST_CONTENT = "application/x-recordio"
RECORDIO = "RecordIO"
"""What the algorithm needs of an augmented manifest's channel: this content type and RecordWrapperType, and Pipe mode
(developer guide, "Training with the augmented manifest format")."""

MANIFEST_CHANNELS = ("train", "validation")
"""The channels of a job on augmented manifests: each has the masks of its images."""

MANIFEST_SETTINGS = ("DataSource.S3DataSource.AttributeNames", "RecordWrapperType", "ShuffleConfig")
"""Settings of a manifest's channel that Segdeck has fields for, as `core.training.carried.names` lists them."""

SOURCE_REF, REF = "source-ref", "-ref"
"""The attribute with the image's S3 URI, and the end of every attribute whose value is one."""

FILE_SYSTEMS = ("EFS", "FSxLustre")
DATASET = "Dataset"

WITH_FIELDS = ("ChannelName", "DataSource", "ContentType", "InputMode")
"""Members of a channel that have a field in `Channel`; so do these two of each kind of data source:"""
SOURCE_FIELDS = {
    "S3DataSource": ("S3DataType", "S3Uri"),
    "FileSystemDataSource": ("FileSystemType", "DirectoryPath"),
    "DatasetSource": ("DatasetArn",),
}


@dataclass(frozen=True, slots=True)
class Channel:
    """One input channel.

    uri:          an S3 prefix, or an object; of a file system the directory, of a SageMaker dataset the ARN.
    content_type: empty if none is set.
    input_mode:   "File", "Pipe" or "FastFile"; empty for the job's own mode.
    data_type:    "S3Prefix", "ManifestFile" or "AugmentedManifestFile"; "EFS" or "FSxLustre"; "Dataset".
    carried:      settings without a field, such as AttributeNames and ShuffleConfig, in the structure of the request.
    """

    name: str
    uri: str
    content_type: str = ""
    input_mode: str = ""
    data_type: str = S3_PREFIX
    carried: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def is_manifest(self) -> bool:
        """Return whether it reads an augmented manifest."""
        return self.data_type == MANIFEST

    @property
    def attributes(self) -> tuple[str, ...]:
        """Return AttributeNames: what SageMaker sends of each line of an augmented manifest, in this order."""
        source = self.carried.get("DataSource", {}).get("S3DataSource", {})
        return tuple(source.get("AttributeNames") or ())

    @property
    def label_attribute(self) -> str:
        """Return the attribute with the mask's S3 URI; empty if none is set."""
        return next((name for name in self.attributes if name != SOURCE_REF), "")

    @property
    def record_wrapper(self) -> str:
        """Return RecordWrapperType; empty if it is not set."""
        return self.carried.get("RecordWrapperType") or ""

    @property
    def shuffled(self) -> bool:
        """Return whether SageMaker shuffles the lines or keys before each epoch."""
        return "ShuffleConfig" in self.carried

    def with_uri(self, uri: str, data_type: str = "") -> Channel:
        """Return the channel for other data, with the same settings.

        data_type: the new kind of data, without the settings of the old one; by default the same kind, except that
                   an S3 URI replaces a file system or a dataset.
        """
        replaced = self.data_type in (*FILE_SYSTEMS, DATASET) and uri.startswith("s3://")
        data_type = data_type or (S3_PREFIX if replaced else self.data_type)
        if data_type == self.data_type:
            return replace(self, uri=uri)
        settings = without(self.carried, ("DataSource", "RecordWrapperType"))
        changed = replace(self, uri=uri, data_type=data_type, carried=settings)
        return replace(changed, content_type="", input_mode="File") if self.is_manifest else changed


def data_channels(base_uri: str) -> tuple[Channel, ...]:
    """Return the four data channels under one prefix, in the folders that the developer guide names."""
    base = base_uri.rstrip("/")
    return tuple(Channel(name, f"{base}/{name}/", kind) for name, kind in DATA_CHANNELS.items())


def manifest_channel(
    name: str, uri: str, label_attribute: str, *, shuffle: bool, copied: Channel | None = None
) -> Channel:
    """Return a channel on an augmented manifest, with the settings that the algorithm needs.

    copied: the channel of an earlier job, whose other settings are kept.
    """
    carried = without(copied.carried, ("DataSource", "RecordWrapperType", "ShuffleConfig")) if copied else {}
    settings = {
        **carried,
        "DataSource": {"S3DataSource": {"AttributeNames": [SOURCE_REF, *filter(None, [label_attribute])]}},
        "RecordWrapperType": RECORDIO,
    }
    before = (
        {"ShuffleConfig": copied.carried["ShuffleConfig"]} if copied is not None and copied.shuffled else {}
    )
    channel = Channel(name, uri, MANIFEST_CONTENT, "Pipe", MANIFEST, {**settings, **before})
    return with_shuffling(channel, shuffle=shuffle)


def with_shuffling(channel: Channel, *, shuffle: bool) -> Channel:
    """Return the channel with its shuffling turned on or off; one that is on already keeps its seed."""
    if shuffle == channel.shuffled:
        return channel
    others = without(channel.carried, ("ShuffleConfig",))
    return replace(
        channel, carried={**others, **({"ShuffleConfig": {"Seed": SHUFFLE_SEED}} if shuffle else {})}
    )


def manifest_channels(
    train: str, validation: str, label_attribute: str, *, shuffle: bool
) -> tuple[Channel, ...]:
    """Return the channels of a new job on two augmented manifests; one without an S3 URI is left out.

    shuffle: whether the lines of the training manifest are shuffled before each epoch.
    """
    uris = zip(MANIFEST_CHANNELS, (train, validation), strict=True)
    return tuple(
        manifest_channel(name, uri, label_attribute, shuffle=shuffle and name == "train")
        for name, uri in uris
        if uri
    )


SHUFFLE_SEED = 1
"""The order of each epoch depends on the seed and the epoch, so that one number serves all jobs."""


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
    request: dict[str, Any] = {"ChannelName": channel.name, "DataSource": _data_source(channel)}
    usual = MANIFEST_CONTENT if channel.is_manifest else CONTENT_TYPES.get(channel.name, "")
    content = channel.content_type or usual
    mode = "File" if channel.name in FILE_CHANNELS else channel.input_mode
    request |= {"ContentType": content} if content else {}
    request |= {"InputMode": mode} if mode else {}
    return merged(request, {key: value for key, value in channel.carried.items() if key != "DataSource"})


def _data_source(channel: Channel) -> dict[str, Any]:
    """Return the `DataSource` of a channel; AWS accepts one kind of source."""
    if channel.data_type in FILE_SYSTEMS:
        kind = "FileSystemDataSource"
        source = {"FileSystemType": channel.data_type, "DirectoryPath": channel.uri}
    elif channel.data_type == DATASET:
        kind, source = "DatasetSource", {"DatasetArn": channel.uri}
    else:
        kind = "S3DataSource"
        prefix = channel.data_type == S3_PREFIX and channel.name != MODEL_CHANNEL
        source = {
            "S3DataType": channel.data_type,
            "S3Uri": folder(channel.uri) if prefix else channel.uri,
            "S3DataDistributionType": "FullyReplicated",
        }
    carried = channel.carried.get("DataSource", {}).get(kind, {})
    return {kind: {**source, **merged({}, carried)}}


def from_description(row: Mapping[str, Any]) -> Channel:
    """Read an entry of `InputDataConfig`; keys may be missing."""
    source = row.get("DataSource") or {}
    s3, files = source.get("S3DataSource") or {}, source.get("FileSystemDataSource") or {}
    dataset = (source.get("DatasetSource") or {}).get("DatasetArn", "")
    return Channel(
        name=row.get("ChannelName", ""),
        uri=s3.get("S3Uri") or files.get("DirectoryPath") or dataset,
        content_type=row.get("ContentType") or "",
        input_mode=row.get("InputMode") or "",
        data_type=s3.get("S3DataType")
        or files.get("FileSystemType")
        or (DATASET if dataset and not s3 else S3_PREFIX),
        carried=_carried_from(row),
    )


def _carried_from(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an entry of `InputDataConfig` that have no field."""
    sources = {
        kind: settings
        for kind, source in (row.get("DataSource") or {}).items()
        if (settings := without(source or {}, SOURCE_FIELDS.get(kind, ())))
    }
    return {**({"DataSource": sources} if sources else {}), **without(row, WITH_FIELDS)}
