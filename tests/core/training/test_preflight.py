"""Pre-flight checks of a training job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.training.channels import Channel, data_channels
from core.training.hyperparameters import BY_NAME
from core.training.job import TrainingSpec
from core.training.preflight import check_spec, preflight

SPEC = TrainingSpec(
    name="roads-8",
    role_arn="arn:aws:iam::123456789012:role/service/Trainer",
    image="811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1",
    instance_type="ml.g4dn.xlarge",
    hyperparameters={"num_classes": "6", "num_training_samples": "20"},
    channels=data_channels("s3://bucket/data"),
    output_uri="s3://bucket/out",
)
LISTING = {
    "train": [f"data/train/{i:03}.jpg" for i in range(20)],
    "train_annotation": [f"data/train_annotation/{i:03}.png" for i in range(20)],
    "validation": [f"data/validation/{i:03}.jpg" for i in range(16)],
    "validation_annotation": [f"data/validation_annotation/{i:03}.png" for i in range(16)],
}
MODEL = Channel("model", "s3://bucket/out/roads-7/output/model.tar.gz", "application/x-sagemaker-model")


def found(listing: Mapping[str, list[str]] = LISTING, **changes: Any) -> list[tuple[str, str]]:
    return [(one.name, one.severity) for one in preflight(replace(SPEC, **changes), listing)]


def test_a_good_job_has_no_problems() -> None:
    """A job with matching data has no problems."""
    assert preflight(SPEC, LISTING) == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"name": ""}, "name"),
        ({"name": "-roads"}, "name"),
        ({"name": "roads-"}, "name"),
        ({"name": "ro_ads"}, "name"),
        ({"name": "r" * 64}, "name"),
        ({"name": "roäds"}, "name"),
        ({"role_arn": "Trainer"}, "role_arn"),
        ({"image": ""}, "image"),
        ({"instance_type": "g4dn.xlarge"}, "instance_type"),
        ({"instance_type": "ml.g6.xlarge"}, "instance_type"),
        ({"instance_type": "ml.p3dn.24xlarge"}, "instance_type"),
        ({"instance_count": 2}, "instance_count"),
        ({"volume_gb": 0}, "volume_gb"),
        ({"max_runtime_seconds": 0}, "max_runtime_seconds"),
        ({"max_runtime_seconds": 29 * 86_400}, "max_runtime_seconds"),
        (
            {"spot": True, "max_runtime_seconds": 600, "max_wait_seconds": 599},
            "max_wait_seconds",
        ),
        ({"output_uri": "bucket/out"}, "output_uri"),
        ({"checkpoint_uri": "bucket/checkpoints"}, "checkpoint_uri"),
        ({"tags": {"aws:team": "maps"}}, "tags"),
        ({"tags": {str(i): "" for i in range(51)}}, "tags"),
        ({"input_mode": "Stream"}, "input_mode"),
        ({"hyperparameters": {"num_training_samples": "20"}}, "num_classes"),
        ({"channels": SPEC.channels[1:]}, "train"),
        ({"channels": (*SPEC.channels, SPEC.channels[0])}, "train"),
        ({"channels": (*SPEC.channels, Channel("test", "s3://bucket/test"))}, "test"),
        ({"channels": (replace(SPEC.channels[0], uri="data/train"), *SPEC.channels[1:])}, "train"),
        ({"channels": (replace(SPEC.channels[0], data_type="ManifestFile"), *SPEC.channels[1:])}, "train"),
        ({"channels": (replace(SPEC.channels[0], content_type="image/png"), *SPEC.channels[1:])}, "train"),
        ({"channels": (*SPEC.channels, replace(MODEL, content_type="image/png"))}, "model"),
    ],
)
def test_a_request_that_would_fail_is_an_error(changes: dict[str, Any], name: str) -> None:
    """Each part of a request that AWS or the algorithm rejects is one error, under its own name."""
    errors = [one for one in check_spec(replace(SPEC, **changes)) if one.is_error]
    assert [one.name for one in errors] == [name]
    assert errors[0].message.endswith(".")


def test_missing_fields_are_reported_once() -> None:
    """An empty form gets one error per missing field, and a single one for all of its data channels."""
    found = check_spec(replace(SPEC, role_arn="", output_uri="", channels=()))
    said = [one.message for one in found if one.is_error]
    assert [text.partition(".")[0] for text in said] == [
        "No IAM role is set",
        "No S3 URI is set for output",
        "No data channels are set",
    ]
    two = check_spec(replace(SPEC, channels=SPEC.channels[2:]))
    assert [one.message.partition(".")[0] for one in two] == ["The channels train, validation are missing"]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"image": "1.dkr.ecr.us-east-1.amazonaws.com/my-own:1"}, "image"),
        ({"max_wait_seconds": 90_000}, "max_wait_seconds"),
        ({"spot": True, "max_wait_seconds": 90_000}, "checkpoint_uri"),
        ({"input_mode": "Pipe"}, "input_mode"),
        (
            {"channels": (replace(SPEC.channels[0], content_type="application/x-image"), *SPEC.channels[1:])},
            "train",
        ),
        ({"channels": (*SPEC.channels, replace(MODEL, uri="s3://bucket/out/"))}, "model"),
    ],
)
def test_a_doubtful_request_is_a_warning(changes: dict[str, Any], name: str) -> None:
    """What may work, but is unusual, is a warning."""
    assert [(one.name, one.severity) for one in check_spec(replace(SPEC, **changes))] == [(name, "warning")]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "r"},
        {"name": "r" * 63},
        {"name": "a--b-9"},
        {"role_arn": "arn:aws-cn:iam::123456789012:role/T"},
        {"instance_type": "ml.p3.2xlarge"},
        {"instance_type": "ml.g5.48xlarge"},
        {
            "spot": True,
            "max_runtime_seconds": 600,
            "max_wait_seconds": 600,
            "checkpoint_uri": "s3://bucket/saved",
        },
        {"spot": True, "max_wait_seconds": 90_000, "checkpoint_uri": "s3://bucket/checkpoints/"},
        {"channels": (*SPEC.channels, MODEL)},
    ],
)
def test_a_usual_request_has_no_problems(changes: dict[str, Any]) -> None:
    """What AWS accepts has no problem."""
    assert check_spec(replace(SPEC, **changes)) == []


def test_the_sandbox_allows_any_instance_type() -> None:
    """The families are an argument: None allows any instance type."""
    spec = replace(SPEC, instance_type="ml.c5.xlarge")
    assert [one.name for one in check_spec(spec)] == ["instance_type"]
    assert check_spec(spec, families=None) == []
    light = replace(spec, hyperparameters={**SPEC.hyperparameters, "algorithm": "light"})
    assert check_spec(light, families=None, sandbox=True) == []


def test_missing_masks_are_named() -> None:
    """Images without a mask are counted, and the first few are named; so are masks without an image."""
    listing = LISTING | {
        "train_annotation": LISTING["train_annotation"][8:],
        "validation": LISTING["validation"][:15],
    }
    messages = {one.name: one.message for one in preflight(replace(SPEC), listing) if "no " in one.message}
    assert messages["train_annotation"] == (
        "8 names have no mask in train_annotation: 000, 001, 002, 003, 004 and 3 more."
    )
    assert messages["validation"] == "1 name has no image in validation: 015."


def test_an_empty_channel_is_an_error() -> None:
    """A channel without objects is reported with its S3 URI; a channel that was not listed is not checked."""
    (problem,) = preflight(SPEC, LISTING | {"train_annotation": []})
    assert "s3://bucket/data/train_annotation/" in problem.message
    assert preflight(SPEC, {}) == []


def test_a_prefix_is_a_folder() -> None:
    """Folder markers are not files, and `train_annotation/` is not part of `train`."""
    channels = tuple(replace(one, uri=one.uri.rstrip("/")) for one in SPEC.channels)
    listing = LISTING | {"train": ["data/train/", *LISTING["train"], *LISTING["train_annotation"]]}
    assert found(listing, channels=channels) == []


def test_the_number_of_samples_is_that_of_the_files() -> None:
    """num_training_samples must be the number of images in `train`."""
    hyper = SPEC.hyperparameters | {"num_training_samples": "21"}  # type: ignore[operator]
    (problem,) = preflight(replace(SPEC, hyperparameters=hyper), LISTING)
    assert problem.message == "num_training_samples is 21, but the channel train has 20. Set it to 20."


def test_batches_fit_into_their_channels() -> None:
    """A batch larger than its channel is a warning, which is reported once."""
    small = LISTING | {
        "validation": LISTING["validation"][:3],
        "validation_annotation": LISTING["validation_annotation"][:3],
    }
    assert found(small) == [("validation_mini_batch_size", "warning")]
    few = LISTING | {"train": LISTING["train"][:9], "train_annotation": LISTING["train_annotation"][:9]}
    hyper = {"num_classes": "6", "num_training_samples": "9"}
    assert found(few, hyperparameters=hyper) == [("mini_batch_size", "warning")]
    assert ("mini_batch_size", "warning") in found(few)


@pytest.mark.parametrize(
    ("instance", "batch", "expected"),
    [("ml.p3.8xlarge", "3", ["warning"]), ("ml.p3.8xlarge", "4", []), ("ml.p3.2xlarge", "1", [])],
)
def test_a_batch_has_an_image_for_each_gpu(instance: str, batch: str, expected: list[str]) -> None:
    """A batch smaller than the number of GPUs of the instance is a warning with both numbers."""
    hyper = {**SPEC.hyperparameters, "mini_batch_size": batch}
    problems = preflight(replace(SPEC, instance_type=instance, hyperparameters=hyper), LISTING)
    assert [problem.severity for problem in problems if problem.name == "mini_batch_size"] == expected
    assert all(
        "mini_batch_size is 3, but ml.p3.8xlarge has 4 GPUs" in problem.message for problem in problems
    )


def test_png_images_are_a_warning() -> None:
    """Images in PNG are not documented, but train: they are a warning, and count as images."""
    listing = LISTING | {"train": [key.replace(".jpg", ".png") for key in LISTING["train"]]}
    (problem,) = preflight(SPEC, listing)
    assert (problem.name, problem.severity) == ("train", "warning")
    assert problem.message.startswith("20 images are PNG: ")


@pytest.mark.parametrize(
    ("classes", "channels", "severities"),
    [
        (None, (), []),
        (6, (), []),
        (11, (), ["error"]),
        (5, (), ["warning"]),
        (11, (Channel("label_map", "s3://bucket/label_map/", "application/json"),), ["warning"]),
    ],
)
def test_num_classes_is_that_of_the_dataset(
    classes: int | None, channels: tuple[Channel, ...], severities: list[str]
) -> None:
    """Fewer classes than the dataset's fail the job; more are a warning, as is any other number with a label map."""
    spec = replace(SPEC, channels=(*SPEC.channels, *channels))
    problems = preflight(spec, LISTING, classes=classes)
    assert [problem.severity for problem in problems] == severities
    assert all(problem.name == "num_classes" for problem in problems)
    assert all(f"num_classes is 6, but the dataset has {classes} classes." in one.message for one in problems)


@pytest.mark.parametrize(
    ("algorithm", "sizes", "severities"),
    [
        ("fcn", [(640, 512)], []),
        ("psp", [(640, 512)], ["warning"]),
        ("deeplab", [(240, 240), (512, 640)], ["warning"]),
        ("psp", [(240, 240)], []),
        ("deeplab", None, ["note"]),
    ],
)
def test_psp_and_deeplab_depend_on_the_size_of_images(
    algorithm: str, sizes: list[tuple[int, int]] | None, severities: list[str]
) -> None:
    """With psp and deeplab, images unlike crop_size are a warning; where their size is unknown, a note says so."""
    spec = replace(SPEC, hyperparameters={**SPEC.hyperparameters, "algorithm": algorithm})
    problems = preflight(spec, LISTING, sizes=sizes)
    assert [problem.severity for problem in problems] == severities
    assert all("reported to fail in validation" in problem.message for problem in problems)


def test_spot_advice_is_that_of_an_algorithm_with_checkpoints() -> None:
    """A long spot job without checkpoints is advised to save some, which the algorithm supports."""
    (problem,) = check_spec(replace(SPEC, spot=True, max_wait_seconds=90_000))
    assert (problem.name, problem.severity) == ("checkpoint_uri", "warning")
    assert "supports checkpoints" in problem.message
    assert "3600" not in problem.message
    assert "such as s3://bucket/out/roads-8/checkpoints/." in problem.message
    (short,) = check_spec(replace(SPEC, spot=True, max_runtime_seconds=600, max_wait_seconds=600))
    assert (short.name, short.severity) == ("checkpoint_uri", "note")
    (unnamed,) = [
        problem
        for problem in check_spec(replace(SPEC, spot=True, max_wait_seconds=90_000, name=""))
        if problem.name == "checkpoint_uri"
    ]
    assert "such as" not in unnamed.message


def test_other_files_and_duplicates_are_errors() -> None:
    """Files of another format, and two images of one name, are reported."""
    extra = LISTING | {"train": [*LISTING["train"][:19], "data/train/notes.txt"]}
    assert ("train", "error") in found(extra)
    double = LISTING | {"validation": [*LISTING["validation"], "data/validation/more/000.jpeg"]}
    (problem,) = preflight(SPEC, double)
    assert problem.message == "1 name is used more than once: 000."


def test_incremental_training_needs_the_same_network() -> None:
    """With a `model` channel, backbone, algorithm, crop size and classes must match the earlier job's."""
    spec = replace(SPEC, channels=(*SPEC.channels, MODEL))
    earlier = {"num_classes": "5", "crop_size": "239", "backbone": "resnet-101"}
    problems = preflight(spec, LISTING, previous=earlier)
    assert [one.name for one in problems] == ["backbone", "num_classes"]
    assert preflight(spec, LISTING, previous=SPEC.hyperparameters) == []
    assert [one.severity for one in preflight(spec, LISTING)] == ["note"]


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from([*BY_NAME, "x"]), st.text(max_size=8) | st.integers(0, 99).map(str)),
    st.dictionaries(
        st.sampled_from(list(LISTING)), st.lists(st.text(max_size=20).map("data/train/".__add__))
    ),
    st.text(max_size=70),
)
def test_anything_can_be_checked(hyper: dict[str, str], listing: dict[str, list[str]], text: str) -> None:
    """Checking any spec and any keys returns problems and raises no exception."""
    spec = replace(SPEC, hyperparameters=hyper, name=text, role_arn=text, instance_type=text, output_uri=text)
    assert preflight(spec, listing, previous=hyper)


def test_errors_come_first() -> None:
    """Errors are listed before warnings, and warnings before notes."""
    hyper = {"num_classes": "999", "num_training_samples": "20", "crop_size": "241", "gamma1": "0.1"}
    severities = [severity for _, severity in found(hyperparameters=hyper)]
    assert severities == ["error", "warning", "note"]
