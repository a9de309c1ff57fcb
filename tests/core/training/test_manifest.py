"""Augmented manifests: what is read of one, and what is wrong with its channel and its lines."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.training.channels import (
    Channel,
    data_channels,
    from_description,
    manifest_channel,
    manifest_channels,
    to_request,
)
from core.training.hyperparameters import Problem
from core.training.job import TrainingSpec
from core.training.manifest import ManifestFile, check_manifests, read_manifest
from core.training.preflight import check_spec, preflight

TRAIN, VALIDATION = "s3://bucket/train.manifest", "s3://bucket/validation.manifest"
CHANNELS = manifest_channels(TRAIN, VALIDATION, "city-ref", shuffle=True)
SPEC = TrainingSpec(
    name="roads-8",
    role_arn="arn:aws:iam::123456789012:role/service/Trainer",
    image="811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1",
    instance_type="ml.g4dn.xlarge",
    hyperparameters={"num_classes": "6", "num_training_samples": "20"},
    channels=CHANNELS,
    output_uri="s3://bucket/out",
    input_mode="Pipe",
)


def line(number: int, folder: str = "train", **more: Any) -> dict[str, Any]:
    row = {
        "source-ref": f"s3://bucket/{folder}/{number:03}.jpg",
        "city-ref": f"s3://bucket/masks/{number:03}.png",
    }
    return row | more


def manifest(*rows: Any) -> ManifestFile:
    """Return the manifest with these lines; a text stands for itself."""
    texts = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    return read_manifest("\n".join(texts).encode())


FULL = {
    "train": manifest(*map(line, range(20))),
    "validation": manifest(*(line(number, "validation") for number in range(16))),
}


def found(train: ManifestFile, channel: Channel = CHANNELS[0]) -> list[Problem]:
    return check_manifests([channel], {"train": train})


def test_a_job_on_two_manifests_has_no_problems() -> None:
    """Train and validation manifests are enough: no annotation channels, and no advice against Pipe mode."""
    assert preflight(SPEC, {}, manifests=FULL) == []


def test_the_request_has_what_the_algorithm_needs() -> None:
    """Channels ask for Pipe mode, RecordIO, the image before its mask; only training data is shuffled."""
    train, validation = map(to_request, CHANNELS)
    assert train == {
        "ChannelName": "train",
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "AugmentedManifestFile",
                "S3Uri": TRAIN,
                "S3DataDistributionType": "FullyReplicated",
                "AttributeNames": ["source-ref", "city-ref"],
            }
        },
        "ContentType": "application/x-recordio",
        "InputMode": "Pipe",
        "RecordWrapperType": "RecordIO",
        "ShuffleConfig": {"Seed": 1},
    }
    assert "ShuffleConfig" not in validation
    assert [to_request(from_description(row)) for row in (train, validation)] == [train, validation]


def test_a_copied_channel_keeps_its_other_settings() -> None:
    """Another label attribute keeps the compression and the seed of the copied channel."""
    copied = replace(
        CHANNELS[0],
        carried={**CHANNELS[0].carried, "CompressionType": "Gzip", "ShuffleConfig": {"Seed": 7}},
    )
    again = to_request(manifest_channel("train", TRAIN, "other-ref", shuffle=True, copied=copied))
    assert (again["CompressionType"], again["ShuffleConfig"]) == ("Gzip", {"Seed": 7})
    assert again["DataSource"]["S3DataSource"]["AttributeNames"] == ["source-ref", "other-ref"]


def test_a_prefix_replaces_a_manifest() -> None:
    """A channel that reads a prefix instead has none of the manifest's settings."""
    request = to_request(CHANNELS[0].with_uri("s3://bucket/train/", "S3Prefix"))
    assert request == to_request(replace(data_channels("s3://bucket")[0], input_mode="File")) | {
        "ShuffleConfig": {"Seed": 1}
    }


def changed(**carried: Any) -> Channel:
    """Return the training channel with these settings; None removes one."""
    settings = {**CHANNELS[0].carried, **carried}
    return replace(CHANNELS[0], carried={key: value for key, value in settings.items() if value is not None})


def attributes(*names: str) -> Channel:
    return changed(DataSource={"S3DataSource": {"AttributeNames": list(names)}})


@pytest.mark.parametrize(
    ("channel", "severity", "words"),
    [
        (changed(DataSource=None), "error", "AttributeNames is not set"),
        (attributes("city-ref"), "error", "without source-ref"),
        (attributes("source-ref"), "error", "AttributeNames has 1 attribute: source-ref"),
        (attributes("source-ref", "a-ref", "b-ref"), "error", "AttributeNames has 3 attributes"),
        (attributes("source-ref", "source-ref"), "error", "has a name twice"),
        (attributes("source-ref", "city"), "error", "city does not end in -ref"),
        (attributes("city-ref", "source-ref"), "error", "the image must come first"),
        (changed(RecordWrapperType=None), "error", "RecordWrapperType is not set"),
        (changed(RecordWrapperType="None"), "error", "RecordWrapperType is None"),
        (replace(CHANNELS[0], input_mode="File"), "error", "The input mode is File"),
        (replace(CHANNELS[0], content_type="image/jpeg"), "error", "Set it to application/x-recordio"),
        (changed(ShuffleConfig=None), "warning", "in the same order in every epoch"),
    ],
)
def test_a_setting_that_fails_the_job_is_named(channel: Channel, severity: str, words: str) -> None:
    """Each setting that the algorithm or AWS does not accept is one problem, with the value found and wanted."""
    (problem,) = check_spec(replace(SPEC, channels=(channel, CHANNELS[1])))
    assert (problem.name, problem.severity) == ("train", severity)
    assert words in problem.message


@pytest.mark.parametrize(
    ("channels", "problems"),
    [
        (CHANNELS[:1], [("validation", "error")]),
        ((CHANNELS[0], data_channels("s3://bucket/d")[1]), [("validation", "error")]),
        ((*CHANNELS, data_channels("s3://bucket/d")[2]), [("train_annotation", "warning")]),
        (
            (*CHANNELS, manifest_channel("label_map", TRAIN, "city-ref", shuffle=False)),
            [("label_map", "error")],
        ),
        (
            (*CHANNELS, Channel("model", "s3://bucket/model.tar.gz")),
            [("model", "warning")],
        ),
    ],
)
def test_other_channels_of_a_job_on_manifests(
    channels: tuple[Channel, ...], problems: list[tuple[str, str]]
) -> None:
    """Both manifests are required, file channels of images are refused, and continued training is a warning."""
    found = check_spec(replace(SPEC, channels=channels))
    assert [(problem.name, problem.severity) for problem in found] == problems


@pytest.mark.parametrize(
    ("rows", "severity", "words"),
    [
        ([], "error", "has no lines"),
        ([line(0), "{", "["], "error", "Line 2 of s3://bucket/train.manifest is invalid: it is not JSON"),
        (["3", line(0)], "error", "Line 1 of s3://bucket/train.manifest is invalid: it is not a JSON object"),
        (['{"a": "\\ud800"}', line(0)], "error", "lone surrogate"),
        ([line(0), {"source-ref": "s3://bucket/a.jpg"}], "warning", "1 line has no city-ref"),
        (
            [{"source-ref": "s3://bucket/a.jpg"}],
            "error",
            "1 line has no city-ref in s3://bucket/train.manifest: line 1",
        ),
        ([line(0, **{"city-ref": "masks/0.png"})], "error", "is 'masks/0.png', which is not the S3 URI"),
        ([line(0, **{"city-ref": "s3://bucket/masks/0.jpg"})], "warning", "may not be a PNG mask"),
        ([line(0, **{"source-ref": "s3://bucket/0.tif"})], "warning", "may not be a JPEG image"),
        ([line(0, **{"source-ref": "s3://bucket/0.png"})], "warning", "1 image is PNG"),
        ([line(0, **{"source-ref": "s3://bucket/0001 to 0017.jpg"})], "warning", "1 S3 key has spaces"),
        ([line(0), line(0)], "warning", "1 image is in several lines"),
    ],
)
def test_a_line_that_fails_the_job_is_named(rows: list[Any], severity: str, words: str) -> None:
    """Each kind of invalid line is one problem, with its number or its value."""
    (problem,) = found(manifest(*rows))
    assert (problem.name, problem.severity) == ("train", severity)
    assert words in problem.message


def test_the_attributes_of_the_manifest_are_offered() -> None:
    """A label attribute that no line has is an error that lists those that exist."""
    other = manifest_channel("train", TRAIN, "town-ref", shuffle=True)
    (problem,) = found(FULL["train"], other)
    assert "No line of s3://bucket/train.manifest has the attribute town-ref." in problem.message
    assert "Attributes that end in -ref: city-ref." in problem.message


def test_lines_whose_labeling_failed_are_explained() -> None:
    """Ground Truth writes a line without a mask where the labeling failed: it is not counted as an image."""
    failed = {"source-ref": "s3://bucket/x.jpg", "city-metadata": {"failure-reason": "no workers"}}
    train = manifest(line(0), failed)
    (problem,) = found(train)
    assert "The labeling of 1 image failed." in problem.message
    assert train.images(CHANNELS[0].attributes) == ["s3://bucket/train/000.jpg"]


def test_images_in_both_manifests_are_a_warning() -> None:
    """An image that is trained on and validated on makes the scores too good."""
    problems = check_manifests(CHANNELS, {"train": FULL["train"], "validation": FULL["train"]})
    assert [(problem.name, problem.severity) for problem in problems] == [("validation", "warning")]
    assert "20 images are in both manifests" in problems[0].message


def test_counts_are_those_of_the_lines() -> None:
    """num_training_samples and the batches are compared with the number of lines."""
    few = {"train": manifest(*map(line, range(9))), "validation": FULL["validation"]}
    problems = preflight(SPEC, {}, manifests=few)
    assert [(problem.name, problem.severity) for problem in problems] == [
        ("num_training_samples", "error"),
        ("mini_batch_size", "warning"),
    ]
    assert "num_training_samples is 20, but the channel train has 9." in problems[0].message


def test_classes_come_from_the_color_map() -> None:
    """The number of classes is the highest id of any line's color map plus one; 255 is not a class."""
    colors = {"internal-color-map": {"0": {"class-name": "a"}, "255": {"class-name": "ignore"}}}
    more = {"internal-color-map": {"4": {"class-name": "e"}}}
    read = manifest(line(0, **{"city-ref-metadata": colors}), line(1, **{"city-ref-metadata": more}))
    assert read.classes == 5
    assert FULL["train"].classes is None


def test_a_byte_order_mark_and_blank_lines_are_skipped() -> None:
    """A manifest from Windows has the same lines, with their numbers in the file."""
    text = "\ufeff" + json.dumps(line(0)) + "\r\n\r\n" + json.dumps(line(1)) + "\r\n"
    assert [each.number for each in read_manifest(text.encode()).lines] == [1, 3]


@settings(deadline=None)
@given(
    st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: json.dumps({"source-ref": text}).encode())
)
def test_anything_can_be_read(content: bytes) -> None:
    """Any content is a manifest or problems with it, and raises no exception."""
    problems = found(read_manifest(content))
    assert all(problem.message.endswith(".") for problem in problems)
