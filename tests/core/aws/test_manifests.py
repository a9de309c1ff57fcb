"""The augmented manifests of a job, read from a server that responds like S3."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from core.aws.job_data import read_job_data
from core.aws.manifests import fetch_manifest, read_manifests
from core.training.channels import manifest_channels
from core.training.job import TrainingSpec

SPEC = TrainingSpec(
    name="roads",
    role_arn="",
    image="",
    instance_type="ml.g4dn.xlarge",
    hyperparameters={},
    channels=manifest_channels("s3://bucket/train.manifest", "", "city-ref", shuffle=True),
    output_uri="s3://bucket/out",
    input_mode="Pipe",
)
MISSING = b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"
DENIED = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
COLORS = {"internal-color-map": {"0": {"class-name": "road"}, "2": {"class-name": "tree"}}}


def manifest(count: int, bucket: str = "bucket") -> bytes:
    rows = [
        {
            "source-ref": f"s3://{bucket}/images/{number}.jpg",
            "city-ref": f"s3://{bucket}/masks/{number}.png",
            "city-ref-metadata": COLORS,
        }
        for number in range(count)
    ]
    return "\n".join(map(json.dumps, rows)).encode()


def bucket(server: Any, region: str) -> Any:
    """Return the response to HeadBucket."""
    return replace(server.raw(200, b""), headers={"x-amz-bucket-region": region})


def test_the_objects_of_a_few_lines_are_looked_up(canned_server: Any) -> None:
    """A manifest costs one read, one for each bucket, and one for the objects of its first, middle and last line."""
    canned_server.says(
        canned_server.raw(200, manifest(9)), bucket(canned_server, "us-east-1"), canned_server.raw(200, b"")
    )
    reading = read_manifests(canned_server.clients(), SPEC)
    assert (reading.problems, reading.notes) == ((), ())
    assert len(reading.files["train"].lines) == 9
    paths = [path for _, path in canned_server.asked]
    assert paths[:2] == ["/bucket/train.manifest", "/bucket"]
    assert paths[2:] == [
        *(f"/bucket/images/{number}.jpg" for number in (0, 4, 8)),
        *(f"/bucket/masks/{number}.png" for number in (0, 4, 8)),
    ]


def test_a_bucket_in_another_region_is_an_error(canned_server: Any) -> None:
    """SageMaker reads data from its own region only: a bucket elsewhere fails the job."""
    canned_server.says(
        canned_server.raw(200, manifest(2, "elsewhere")),
        bucket(canned_server, "eu-west-1"),
        bucket(canned_server, "us-east-1"),
        canned_server.raw(200, b""),
    )
    (problem,) = read_manifests(canned_server.clients(), SPEC).problems
    assert (problem.name, problem.severity) == ("train", "error")
    assert problem.message.startswith(
        "The bucket elsewhere is in eu-west-1, and the job runs in us-east-1: SageMaker reads data only from its own"
    )
    assert problem.message.endswith("4 S3 URIs of s3://bucket/train.manifest are in it.")
    assert not any("/elsewhere/images" in path for _, path in canned_server.asked)


def test_a_missing_object_is_an_error(canned_server: Any) -> None:
    """An image that does not exist is named once."""
    canned_server.says(
        canned_server.raw(200, manifest(2)),
        bucket(canned_server, "us-east-1"),
        canned_server.raw(404, b""),
        canned_server.raw(200, b""),
    )
    (problem,) = read_manifests(canned_server.clients(), SPEC).problems
    assert "names s3://bucket/images/0.jpg, which does not exist" in problem.message


def test_a_missing_manifest_is_an_error(canned_server: Any) -> None:
    """A manifest that does not exist is an error of its channel; nothing else is looked up."""
    canned_server.says(canned_server.raw(404, MISSING))
    (problem,) = read_manifests(canned_server.clients(), SPEC).problems
    assert problem.message.startswith("Could not read the manifest s3://bucket/train.manifest.")
    assert len(canned_server.asked) == 1


def test_what_may_not_be_read_is_a_note(canned_server: Any) -> None:
    """A manifest, a bucket and objects that may not be read give notes and no problem."""
    canned_server.says(canned_server.raw(403, DENIED))
    reading = read_manifests(canned_server.clients(), SPEC)
    assert (reading.files, reading.problems) == ({}, ())
    assert reading.notes[0].startswith("The manifest of the channel train was not checked.")
    canned_server.says(canned_server.raw(200, manifest(1)), canned_server.raw(403, b""))
    reading = read_manifests(canned_server.clients(), SPEC)
    assert reading.problems == ()
    assert [note.partition(".")[0] for note in reading.notes] == [
        "Segdeck did not check the region of the bucket bucket",
        "Whether the objects of source-ref in s3://bucket/train",
        "Whether the objects of city-ref in s3://bucket/train",
    ]


def test_a_manifest_has_the_classes_and_the_number_of_images(canned_server: Any) -> None:
    """The number of classes comes from the color map, the number of images from the lines."""
    canned_server.says(
        canned_server.raw(200, manifest(4)), bucket(canned_server, "us-east-1"), canned_server.raw(200, b"")
    )
    data = read_job_data(canned_server.clients(), SPEC, {})
    assert (data.classes, data.images(SPEC)) == (3, {"train": 4})


def test_the_label_attributes_of_a_manifest(canned_server: Any) -> None:
    """The attributes that can be the masks are those that end in -ref, without the image."""
    canned_server.says(canned_server.raw(200, manifest(1)))
    read = fetch_manifest(canned_server.clients(), "s3://bucket/train.manifest")
    assert read.label_attributes == ("city-ref",)
