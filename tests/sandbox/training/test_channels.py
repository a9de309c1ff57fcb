"""Channels: which objects become which files, and which are refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.server import Sandbox
from sandbox.training.channels import ChannelDownloader, DownloadError, JobStoppedError, fetch_channels

BUCKET = "channels"
KEYS = (
    "train/0.jpg",
    "train/deep/1.jpg",
    "train/",
    "train_annotation/0.png",
    "models/model.tar.gz",
    "part-0.jpg",
    "part-1.jpg",
    "bad/../../escape.jpg",
    "clash/a",
    "clash/a/b",
)
Fetch = Callable[..., list[str]]


@pytest.fixture(scope="module")
def filled(sandbox_server: Sandbox) -> Sandbox:
    """The shared sandbox with a bucket of keys; the content of each is its name."""
    s3 = sandbox_server.loopback.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for key in KEYS:
        s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    s3.put_object(
        Bucket=BUCKET, Key="list.json", Body=json.dumps([{"prefix": f"s3://{BUCKET}/train/"}, "0.jpg"])
    )
    s3.put_object(Bucket=BUCKET, Key="wrong.json", Body=b'{"prefix": 1}')
    return sandbox_server


@pytest.fixture
def source(filled: Sandbox) -> ChannelDownloader:
    return ChannelDownloader(
        filled.loopback.client("s3"), "us-east-1", "arn:aws:iam::123456789012:role/x", threading.Event()
    )


@pytest.fixture
def fetch(source: ChannelDownloader, tmp_path: Path) -> Fetch:
    """fetch(key, kind) -> the files of a channel with this source, relative to the channel's folder."""

    def run(key: str, kind: str = "S3Prefix") -> list[str]:
        data = {"S3DataType": kind, "S3Uri": f"s3://{BUCKET}/{key}"}
        fetch_channels(
            source, [{"ChannelName": "c", "DataSource": {"S3DataSource": data}}], tmp_path / "data"
        )
        files = [path for path in (tmp_path / "data/c").rglob("*") if path.is_file()]
        assert all(path.read_text().endswith(path.name) for path in files)
        return sorted(path.relative_to(tmp_path / "data/c").as_posix() for path in files)

    return run


@pytest.mark.parametrize(
    ("key", "kind", "files"),
    [
        ("train/", "S3Prefix", ["0.jpg", "deep/1.jpg"]),
        ("train", "S3Prefix", ["0.jpg", "deep/1.jpg"]),  # and nothing of train_annotation
        ("models/model.tar.gz", "S3Prefix", ["model.tar.gz"]),
        ("part", "S3Prefix", ["part-0.jpg", "part-1.jpg"]),
        ("list.json", "ManifestFile", ["0.jpg"]),
    ],
)
def test_a_prefix_is_a_folder_an_object_or_a_beginning(
    fetch: Fetch, key: str, kind: str, files: list[str]
) -> None:
    """Files have the paths of their keys without the prefix."""
    assert fetch(key, kind) == files


@pytest.mark.parametrize(
    ("key", "kind", "words"),
    [
        ("none/", "S3Prefix", "No S3 objects found under S3 URL"),
        ("bad/", "S3Prefix", "is outside of its channel's folder"),
        ("clash/", "S3Prefix", "cannot be written"),
        ("wrong.json", "ManifestFile", "is not a valid manifest"),
        ("missing.json", "ManifestFile", r"NoSuchKey \(404\)"),
    ],
)
def test_an_object_that_cannot_be_downloaded_is_named(
    fetch: Fetch, tmp_path: Path, key: str, kind: str, words: str
) -> None:
    """DownloadError names the object; nothing is written outside of the channel's folder."""
    with pytest.raises(DownloadError, match=words):
        fetch(key, kind)
    assert not list(tmp_path.parent.glob("**/escape.jpg"))


def test_a_stop_ends_the_download(source: ChannelDownloader, tmp_path: Path) -> None:
    """Nothing more is downloaded once the job is stopped."""
    source.stop.set()
    data: dict[str, Any] = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/train/"}
    with pytest.raises(JobStoppedError):
        fetch_channels(source, [{"ChannelName": "c", "DataSource": {"S3DataSource": data}}], tmp_path)
    assert not list(tmp_path.rglob("*.jpg"))
