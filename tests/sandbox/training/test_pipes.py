"""Pipe mode: what a job's program reads from the pipes of a channel on an augmented manifest."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.common.recordio import framed, records
from sandbox.server import Sandbox
from sandbox.training.channels import ChannelDownloader, DownloadError
from sandbox.training.pipes import ChannelPipes
from tests.support.patience import SECONDS

BUCKET = "manifests"
COUNT = 5
Open = Callable[..., ChannelPipes]


def row(number: int, **more: Any) -> dict[str, Any]:
    image, mask = f"s3://{BUCKET}/{number}.jpg", f"s3://{BUCKET}/{number}.png"
    return {"source-ref": image, "city-ref": mask, "year": 2000 + number, **more}


@pytest.fixture(scope="module")
def filled(sandbox_server: Sandbox) -> Any:
    """Return S3 with images and masks, the content of each its own name, and manifests of them."""
    s3 = sandbox_server.loopback.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for number in range(COUNT):
        for end in ("jpg", "png"):
            s3.put_object(Bucket=BUCKET, Key=f"{number}.{end}", Body=f"{number}.{end}".encode())
    manifests = {
        "all": [row(number) for number in range(COUNT)],
        "some": [row(0), {"source-ref": "s3://x/y.jpg", "city-metadata": {"failure-reason": "x"}}, row(1)],
        "gone": [row(0), row(99)],
        "odd": [row(0), row(1, **{"city-ref": 3})],
    }
    for name, rows in manifests.items():
        body = "\n".join(map(json.dumps, rows)).encode()
        s3.put_object(Bucket=BUCKET, Key=f"{name}.manifest", Body=body)
    s3.put_object(Bucket=BUCKET, Key="wrong.manifest", Body=b'{"source-ref": "s3://a/b"}\n{')
    s3.put_object(Bucket=BUCKET, Key="list.manifest", Body=b"[1]")
    return s3


@pytest.fixture
def open_pipes(filled: Any, tmp_path: Path) -> Iterator[Open]:
    """Return a function: open_pipes("all", names, **members) streams the channel train until the end of the test."""
    source = ChannelDownloader(filled, "us-east-1", "arn:aws:iam::123456789012:role/x", threading.Event())
    opened: list[ChannelPipes] = []

    def start(
        manifest: str,
        names: tuple[str, ...] = ("source-ref", "city-ref"),
        *,
        failed: Any = None,
        **members: Any,
    ) -> ChannelPipes:
        data = {"S3Uri": f"s3://{BUCKET}/{manifest}.manifest", "AttributeNames": list(names)}
        channel = {"ChannelName": "train", "DataSource": {"S3DataSource": data}, **members}
        opened.append(ChannelPipes(source, [channel], tmp_path, failed or (lambda: None)))
        return opened[-1]

    yield start
    for pipes in opened:
        pipes.close()


def read(folder: Path, epoch: int) -> list[str]:
    """Return the records of an epoch."""
    stream = io.BytesIO((folder / f"train_{epoch}").read_bytes())
    return [content.decode() for content in records(stream)]


PAIRS = [f"{number}.{end}" for number in range(COUNT) for end in ("jpg", "png")]


def test_each_epoch_has_a_pipe_of_its_own(open_pipes: Open, tmp_path: Path) -> None:
    """Each pipe has the image and the mask of every line as records, in the order of the manifest."""
    open_pipes("all", RecordWrapperType="RecordIO")
    assert [read(tmp_path, epoch) for epoch in range(3)] == [PAIRS] * 3


def test_shuffling_changes_the_order_of_each_epoch(open_pipes: Open, tmp_path: Path) -> None:
    """With a ShuffleConfig the lines have another order in each epoch, and each image still comes with its mask."""
    open_pipes("all", RecordWrapperType="RecordIO", ShuffleConfig={"Seed": 1})
    epochs = [read(tmp_path, epoch) for epoch in range(3)]
    assert len(set(map(tuple, epochs))) == 3
    for contents in epochs:
        assert sorted(contents) == PAIRS
        assert [name.removesuffix(".jpg") for name in contents[::2]] == [
            name.removesuffix(".png") for name in contents[1::2]
        ]


def test_attributes_have_the_order_of_the_request(open_pipes: Open, tmp_path: Path) -> None:
    """AttributeNames decides on the order; an attribute that does not end in -ref is sent as text."""
    open_pipes("all", ("city-ref", "year", "source-ref"), RecordWrapperType="RecordIO")
    assert read(tmp_path, 0)[:3] == ["0.png", "2000", "0.jpg"]


def test_a_line_without_an_attribute_is_skipped(open_pipes: Open, tmp_path: Path) -> None:
    """A line whose labeling failed is left out; if no line has the attribute, the stream is empty."""
    open_pipes("some", RecordWrapperType="RecordIO")
    assert read(tmp_path, 0) == ["0.jpg", "0.png", "1.jpg", "1.png"]
    assert read(tmp_path, 1) == ["0.jpg", "0.png", "1.jpg", "1.png"]


def test_other_names_give_an_empty_stream(open_pipes: Open, tmp_path: Path) -> None:
    """AttributeNames that no line has give a stream without records."""
    open_pipes("all", ("source-ref", "town-ref"), RecordWrapperType="RecordIO")
    assert read(tmp_path, 0) == []


def test_without_a_wrapper_files_have_no_boundary(open_pipes: Open, tmp_path: Path) -> None:
    """With RecordWrapperType None the files follow one another, so that no reader can tell them apart."""
    open_pipes("all")
    assert (tmp_path / "train_0").read_bytes() == "".join(PAIRS).encode()


def test_a_reader_may_leave_early(open_pipes: Open, tmp_path: Path) -> None:
    """A program that closes a pipe before its end gets the next epoch from its beginning."""
    open_pipes("all", RecordWrapperType="RecordIO")
    with (tmp_path / "train_0").open("rb") as stream:
        assert stream.read(4) == framed(b"")[:4]
    assert read(tmp_path, 1) == PAIRS


@pytest.mark.parametrize(
    ("manifest", "words"), [("gone", "99.jpg"), ("odd", '"3" is not the S3 URI of an object')]
)
def test_an_object_that_is_missing_fails_the_job(
    open_pipes: Open, tmp_path: Path, manifest: str, words: str
) -> None:
    """A missing object is the job's failure, and is reported when the stream reaches it."""
    failed = threading.Event()
    pipes = open_pipes(manifest, failed=failed.set, RecordWrapperType="RecordIO")
    assert read(tmp_path, 0)[:2] == ["0.jpg", "0.png"]
    assert failed.wait(SECONDS)
    assert pipes.failure.startswith("Data download failed")
    assert words in pipes.failure


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ("wrong", "line 2 of .* is not valid JSON"),
        ("list", "line 1 of .* is not a JSON object"),
        ("none", "NoSuchKey"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_named(open_pipes: Open, manifest: str, words: str) -> None:
    """A missing manifest, and one with an invalid line, end the download with a reason."""
    with pytest.raises(DownloadError, match=words):
        open_pipes(manifest)


def test_pipes_that_nobody_reads_can_be_closed(open_pipes: Open, tmp_path: Path) -> None:
    """Closing ends the stream before its first reader and in the middle of an epoch, and leaves no pipe."""
    open_pipes("all", RecordWrapperType="RecordIO").close()
    assert list(tmp_path.iterdir()) == []
    pipes = open_pipes("all", RecordWrapperType="RecordIO")
    read(tmp_path, 0)
    pipes.close()
    assert list(tmp_path.iterdir()) == []


def test_a_job_reads_its_pipes(filled: Any, train: Any, job: Any, client: Any) -> None:
    """A job in Pipe mode streams one epoch after another, has no folder for the channel, and completes."""
    data = {
        "S3DataType": "AugmentedManifestFile",
        "S3Uri": f"s3://{BUCKET}/all.manifest",
        "AttributeNames": ["source-ref", "city-ref"],
    }
    channel = {
        "ChannelName": "train",
        "DataSource": {"S3DataSource": data},
        "InputMode": "Pipe",
        "RecordWrapperType": "RecordIO",
    }
    name = train(members={"InputDataConfig": [channel]}, epochs="2", pipe="train")
    description = job(name)
    assert description["TrainingJobStatus"] == "Completed"
    assert (
        description["InputDataConfig"][0]["DataSource"]["S3DataSource"]["AttributeNames"]
        == data["AttributeNames"]
    )
    events = client("logs").filter_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/"
    )["events"]
    size = sum(len(framed(content.encode())) for content in PAIRS)
    lines = [event["message"] for event in events if event["message"].startswith("pipe")]
    assert lines == [f"pipe 0: {size}", f"pipe 1: {size}"]


def test_a_missing_object_fails_the_job(filled: Any, train: Any, job: Any) -> None:
    """A job whose manifest names a missing object fails with that object as the reason, while its program waits."""
    data = {
        "S3DataType": "AugmentedManifestFile",
        "S3Uri": f"s3://{BUCKET}/gone.manifest",
        "AttributeNames": ["source-ref"],
    }
    channel = {"ChannelName": "train", "DataSource": {"S3DataSource": data}, "InputMode": "Pipe"}
    name = train(members={"InputDataConfig": [channel]}, wait=False, epochs="9", pipe="train")
    description = job(name, "Completed", "Failed")
    assert description["TrainingJobStatus"] == "Failed"
    assert description["FailureReason"].startswith("ClientError: Data download failed")
    assert "99.jpg" in description["FailureReason"]
