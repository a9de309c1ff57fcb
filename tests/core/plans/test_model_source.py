"""Models to upload to S3, and their class names."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.artifacts.artifact import inspect_artifact_file
from core.errors import ArtifactError, InputError
from core.imaging.classes import Classes
from core.plans.model_source import (
    base_name,
    class_count_mismatch,
    class_name_uris,
    class_names_file,
    local_model,
    missing_model,
    read_classes,
)
from core.training.job import from_description
from tests.support.artifacts import archive, aws_files, special

AERIAL = Path(__file__).resolve().parents[3] / "sandbox/demo/aerial"
NAMES = Classes(("land", "water", "ice"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)))
JOB = {
    "TrainingJobName": "roads",
    "TrainingJobArn": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/roads",
    "TrainingJobStatus": "Completed",
    "SecondaryStatus": "Completed",
    "CreationTime": datetime(2026, 11, 22, tzinfo=UTC),
    "LastModifiedTime": datetime(2026, 11, 22, tzinfo=UTC),
    "AlgorithmSpecification": {"TrainingImage": "1.dkr.ecr.eu-west-1.amazonaws.com/semantic-segmentation:1"},
    "ModelArtifacts": {"S3ModelArtifacts": "s3://b/out/roads/output/model.tar.gz"},
    "InputDataConfig": [
        {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/data/train/"}}},
    ],
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(archive(aws_files()))
    return path


def test_the_same_model_goes_to_the_same_place_and_another_one_elsewhere(model: Path) -> None:
    """The S3 URI is derived from archive and class names, so that nothing is ever overwritten."""
    first = local_model(model, "s3://b/models/", NAMES)
    assert first == local_model(model, "s3://b/models", NAMES)
    assert first.upload.uri.startswith("s3://b/models/")
    assert first.upload.uri.endswith("/model.tar.gz")
    assert first.classes_uri == first.upload.uri.replace("model.tar.gz", "classes.json")
    renamed = local_model(model, "s3://b/models", replace(NAMES, names=("a", "b", "c")))
    nameless = local_model(model, "s3://b/models")
    model.write_bytes(archive(aws_files(crop_size=480)))
    other = local_model(model, "s3://b/models", NAMES)
    assert len({found.upload.uri for found in (first, renamed, nameless, other)}) == 4
    assert nameless.classes_uri == ""


def test_an_upload_tells_its_file_whole(model: Path) -> None:
    """Path, size and hash are those of the file."""
    found = local_model(model, "s3://b/models").upload
    content = model.read_bytes()
    assert found.path == str(model.resolve())
    assert (found.size, found.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_what_cannot_be_served_gets_no_place(model: Path) -> None:
    """An invalid archive and a missing file are reported."""
    model.write_bytes(archive(aws_files(), special("../escaped")))
    with pytest.raises(ArtifactError, match="leads out"):
        local_model(model, "s3://b/models")
    with pytest.raises(InputError, match="No such file"):
        local_model(model.with_name("none.tar.gz"), "s3://b/models")
    with pytest.raises(InputError, match="cannot be read"):
        local_model(model.parent, "s3://b/models")


def test_names_beside_a_local_archive_are_found(tmp_path: Path, model: Path) -> None:
    """`classes.json` next to `model.tar.gz` has the class names, locally as in S3."""
    assert class_names_file(model) is None
    shutil.copy(AERIAL / "classes.json", tmp_path)
    beside = class_names_file(model)
    assert beside is not None
    assert "water" in read_classes(beside).names


def test_names_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    """A missing file, a file of megabytes and invalid JSON are InputErrors."""
    file = tmp_path / "classes.json"
    with pytest.raises(InputError, match="cannot be read"):
        read_classes(file)
    file.write_text("no json")
    with pytest.raises(InputError, match="class names"):
        read_classes(file)
    file.write_bytes(b" " * 1_000_001)
    with pytest.raises(InputError, match="1,000,001 bytes"):
        read_classes(file)


def test_more_or_fewer_names_than_classes_are_told(model: Path) -> None:
    """Three classes need three names; if the number of classes is unknown, there is no message."""
    artifact = inspect_artifact_file(model)
    assert class_count_mismatch(artifact, NAMES) == ""
    assert class_count_mismatch(artifact, None) == ""
    assert "3 classes, but there are 2 class names" in class_count_mismatch(artifact, Classes.numbered(2))
    assert class_count_mismatch(replace(artifact, num_classes=None), Classes.numbered(2)) == ""


def test_a_jobs_names_are_looked_for_in_its_tag_beside_its_model_and_beside_its_data() -> None:
    """There are three URIs, in order of precedence, each once."""
    job = from_description(JOB)
    beside = ("s3://b/out/roads/output/classes.json", "s3://b/data/classes.json")
    assert class_name_uris(job) == beside
    assert class_name_uris(replace(job, tags={"segdeck:classes": "s3://b/own.json"})) == (
        "s3://b/own.json",
        *beside,
    )
    assert class_name_uris(replace(job, model_uri=None, channels=())) == ()


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("s3://b/out/roads-3/output/model.tar.gz", "roads-3"),
        ("s3://b/models/aerial/model.tar.gz", "aerial"),
        ("s3://b/roads.tar.gz", "roads"),
        ("s3://b/model.tar.gz", "model"),
    ],
)
def test_an_address_gives_a_name(uri: str, name: str) -> None:
    """The name is the last meaningful part of the S3 URI, never the bucket."""
    assert base_name(uri) == name


@pytest.mark.parametrize(
    ("status", "secondary", "reason", "words", "todo"),
    [
        ("InProgress", "Training", "", "has no model yet. It is training.", "Wait until it has ended"),
        (
            "Failed",
            "Failed",
            "CapacityError: none",
            "left no model. No capacity.",
            "Retry later",
        ),
        (
            "Failed",
            "Failed",
            "",
            "left no model. Failed. AWS gave no reason.",
            "Read the end of the log",
        ),
        ("Stopped", "Stopped", "", "left no model. It is stopped.", "Clone it to run it again"),
        (
            "Stopped",
            "MaxRuntimeExceeded",
            "",
            "Stopped at its maximum run time.",
            "Raise the maximum run time",
        ),
    ],
)
def test_a_job_without_a_model_says_why(
    status: str, secondary: str, reason: str, words: str, todo: str
) -> None:
    """Waiting is suggested only for a running job; for others the reason and a next step are given."""
    answer = JOB | {"TrainingJobStatus": status, "SecondaryStatus": secondary, "FailureReason": reason}
    told = missing_model(from_description(answer | {"ModelArtifacts": {}}))
    assert words in str(told)
    assert todo in told.todo
    assert "saved model" not in told.todo
    assert ("Wait" in told.todo) == (status == "InProgress")
