"""Download the input of a training job: channels in S3 become files below input/data, as in /opt/ml.

Source: SageMaker API reference, "S3DataSource"; developer guide, "How Amazon SageMaker AI Provides Training
Information".
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.common.disk import Disk, is_full
from sandbox.common.s3_uri import split_uri
from sandbox.common.store import Document

AT_ONCE = 8  # downloads of one job
_NOTHING = (
    'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket exists '
    'in the selected region ({region}), that objects exist under that S3 prefix, and that the role "{role}" has '
    '"s3:ListBucket" permissions on bucket "{bucket}".'
)


class DownloadError(Exception):
    """A channel cannot be downloaded; the text goes into the FailureReason."""


class JobStoppedError(Exception):
    """The job is being stopped."""


@dataclass(frozen=True, slots=True)
class ChannelObject:
    """One object and its destination. path: relative to the channel's folder."""

    bucket: str
    key: str
    path: PurePosixPath


@dataclass(frozen=True, slots=True)
class ChannelDownloader:
    """The source of channels. stop: set when the job is stopped."""

    s3: Any
    region: str
    role: str
    stop: threading.Event


def fetch_channels(source: ChannelDownloader, channels: Sequence[Document], folder: Path) -> None:
    """Download every channel into a folder of the same name. Raises DownloadError or JobStoppedError."""
    wanted = [
        (item, folder / channel["ChannelName"])
        for channel in channels
        for item in _objects(source, channel["DataSource"]["S3DataSource"])
    ]
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="channel") as pool:
        downloads = [pool.submit(_download, source, item, target) for item, target in wanted]
        try:
            for download in downloads:
                download.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def read_object(source: ChannelDownloader, uri: str) -> bytes:
    """Return the content of s3://bucket/key. Raises DownloadError or JobStoppedError."""
    _check_stopped(source)
    bucket, key = split_uri(uri)
    if not uri.startswith("s3://") or not key:
        raise DownloadError(f'Data download failed: "{uri}" is not the S3 URI of an object.')
    try:
        content: bytes = source.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as problem:
        raise DownloadError(f'{_refused(problem)} ("{uri}")') from problem
    except BotoCoreError as problem:
        raise DownloadError(f'Data download failed at "{uri}": {problem}') from problem
    return content


def _objects(source: ChannelDownloader, data: Document) -> list[ChannelObject]:
    """Return the objects of one data source. Raises DownloadError."""
    try:
        if data["S3DataType"] == "ManifestFile":
            return _by_manifest(source, data["S3Uri"])
        return _by_prefix(source, data["S3Uri"])
    except ClientError as problem:
        raise _refused(problem) from problem
    except BotoCoreError as problem:
        raise DownloadError(f"Data download failed: {problem}") from problem


def _by_prefix(source: ChannelDownloader, uri: str) -> list[ChannelObject]:
    """Return the object of that name, else the objects of that "folder", else all whose keys start with the prefix.

    So s3://bucket/train downloads nothing from s3://bucket/train_annotation, which AWS's own notebook relies on.
    """
    bucket, prefix = split_uri(uri)
    keys = _keys(source, bucket, prefix)
    folder = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
    inside = [key for key in keys if key.startswith(folder)]
    if prefix in keys and prefix != folder:
        chosen, start = [prefix], prefix.rfind("/") + 1
    elif inside:
        chosen, start = [key for key in inside if not key.endswith("/")], len(folder)
    else:
        chosen, start = [key for key in keys if not key.endswith("/")], prefix.rfind("/") + 1
    if not chosen:
        raise DownloadError(_NOTHING.format(uri=uri, region=source.region, role=source.role, bucket=bucket))
    return [ChannelObject(bucket, key, _inside(key, key[start:])) for key in chosen]


def _by_manifest(source: ChannelDownloader, uri: str) -> list[ChannelObject]:
    """Read a manifest: a JSON list of {"prefix": "s3://bucket/folder/"} and names below it. Raises DownloadError."""
    bucket, key = split_uri(uri)
    text = source.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    try:
        first, *names = json.loads(text)
        bucket, start = split_uri(first["prefix"])
        return [ChannelObject(bucket, start + name, _inside(start + name, name)) for name in names]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
        raise DownloadError(
            f'Data download failed: "{uri}" is not a valid manifest: {problem!r}'
        ) from problem


def _keys(source: ChannelDownloader, bucket: str, prefix: str) -> list[str]:
    """List all keys with a prefix. Raises JobStoppedError."""
    pages = source.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = []
    for page in pages:
        _check_stopped(source)
        keys += [item["Key"] for item in page.get("Contents", ())]
    return keys


def _inside(key: str, name: str) -> PurePosixPath:
    """Return a key's path in its channel. Raises DownloadError when it leads out of the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or not path.parts:
        raise DownloadError(f'Data download failed: the key "{key}" is outside of its channel\'s folder.')
    return path


def _download(source: ChannelDownloader, item: ChannelObject, folder: Path) -> None:
    """Download one object. Raises DownloadError or JobStoppedError."""
    _check_stopped(source)
    target, size = folder / item.path, None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        answer = source.s3.get_object(Bucket=item.bucket, Key=item.key)
        size = answer["ContentLength"]
        with target.open("xb") as file:
            shutil.copyfileobj(answer["Body"], file, 1 << 18)
    except ClientError as problem:
        raise _refused(problem) from problem
    except BotoCoreError as problem:
        raise DownloadError(f"Data download failed: {problem}") from problem
    except OSError as problem:
        if is_full(problem):
            text = Disk(folder).text(problem, size, "The channel in S3 is unchanged.")
            raise DownloadError(f'Data download failed at "{item.key}": {text}') from problem
        raise DownloadError(
            f'Data download failed: "{item.key}" cannot be written: {problem.strerror}.'
        ) from problem


def _check_stopped(source: ChannelDownloader) -> None:
    """Raise JobStoppedError when the job is being stopped."""
    if source.stop.is_set():
        raise JobStoppedError


def _refused(problem: ClientError) -> DownloadError:
    """Return an S3 error in the form of SageMaker's FailureReason."""
    error, status = problem.response["Error"], problem.response["ResponseMetadata"]["HTTPStatusCode"]
    return DownloadError(f"Data download failed:{error['Code']} ({status}): {error['Message']}")
