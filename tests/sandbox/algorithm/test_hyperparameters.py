"""Hyperparameters of a training job: AWS's table and error texts; early stopping; incremental training."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.algorithm.early_stopping import EarlyStopping
from sandbox.algorithm.failure import ClientError
from sandbox.algorithm.hyperparameters import check_same, read
from sandbox.algorithm.stated import contradictions, read_stated

NEEDED = {"num_classes": "6", "num_training_samples": "96"}


def test_what_is_not_given_has_the_default_of_the_guide() -> None:
    """num_classes and num_training_samples are enough; the rest has the developer guide's defaults."""
    params = read(NEEDED)
    assert (params.algorithm, params.backbone, params.crop_size, params.epochs) == (
        "fcn",
        "resnet-50",
        240,
        10,
    )
    assert (params.optimizer, params.learning_rate, params.mini_batch_size) == ("sgd", 0.001, 16)
    assert params.use_pretrained_model is True
    assert params.early_stopping is False


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_classes", "1"),
        ("num_classes", "255"),
        ("num_classes", "six"),
        ("num_training_samples", "0"),
        ("base_size", "16"),
        ("crop_size", "16"),
        ("crop_size", "240.0"),
        ("epochs", "-1"),
        ("algorithm", "unet"),
        ("backbone", "resnet-18"),
        ("optimizer", "adadelta"),
        ("learning_rate", "0"),
        ("learning_rate", "1.5"),
        ("learning_rate", "nan"),
        ("momentum", "0"),
        ("weight_decay", "1"),
        ("gamma1", "1.01"),
        ("lr_scheduler", "linear"),
        ("lr_scheduler_step", "10; 20"),
        ("early_stopping", "yes"),
        ("syncbn", "yes"),
        ("early_stopping_tolerance", "-0.1"),
    ],
)
def test_a_value_outside_the_table_is_refused_in_awss_words(name: str, value: str) -> None:
    """The reason has the value, AWS's sentence, and the name of the hyperparameter."""
    with pytest.raises(ClientError) as caught:
        read({**NEEDED, name: value})
    text = str(caught.value)
    assert f"u'{value}' is not valid under any of the given schemas" in text
    assert f"u'{name}'" in text


def test_a_bound_that_is_allowed_is_taken() -> None:
    """The bounds of each range in the table are valid values."""
    edge = {"num_classes": "254", "base_size": "17", "learning_rate": "1", "gamma1": "0", "momentum": "1"}
    params = read({**NEEDED, **edge})
    assert (params.num_classes, params.base_size, params.learning_rate) == (254, 17, 1.0)


def test_an_unknown_name_is_refused_in_awss_words() -> None:
    """An unknown hyperparameter fails the job, as in AWS's container."""
    with pytest.raises(
        ClientError, match=r"Additional properties are not allowed \(u'mini_batch_siz' was unexp"
    ):
        read({**NEEDED, "mini_batch_siz": "8"})


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"num_classes": "6"}, "num_training_samples"),
        ({"num_training_samples": "6"}, "num_classes"),
        ({**NEEDED, "lr_scheduler": "step"}, "lr_scheduler_step"),
    ],
)
def test_required_hyperparameters_must_be_given(given: dict[str, str], missing: str) -> None:
    """lr_scheduler_step is required with the schedule `step`, the two counts always."""
    with pytest.raises(ClientError, match=f"u'{missing}' is a required property"):
        read(given)


def test_crop_size_and_steps_are_normalized() -> None:
    """crop_size is rounded up to a multiple of 8; the epochs of a step schedule are sorted, else ignored."""
    params = read({**NEEDED, "crop_size": "241", "lr_scheduler": "step", "lr_scheduler_step": "8, 4,8"})
    assert (params.crop_size, params.lr_scheduler_step) == (248, (4, 8))
    assert read({**NEEDED, "lr_scheduler_step": "4"}).lr_scheduler_step == ()
    assert read(params.text()) == params


def test_incremental_training_needs_the_same_network() -> None:
    """backbone, algorithm, crop_size (rounded) and num_classes must be those of the model."""
    params = read({**NEEDED, "crop_size": "100"})
    check_same(params, {**params.text(), "crop_size": "99", "epochs": "99"})
    with pytest.raises(ClientError, match="num_classes is 6, but was 7"):
        check_same(params, {**params.text(), "num_classes": "7"})


def test_training_stops_early_once_patience_is_used_up() -> None:
    """Epochs whose relative improvement is below the tolerance count against patience, not before min_epochs."""
    stopping = EarlyStopping(min_epochs=1, patience=2, tolerance=0.1)
    assert [stopping.update(score) for score in (0.5, 0.54, 0.6, 0.61, 0.62)] == [False] * 4 + [True]
    patient = EarlyStopping(min_epochs=6, patience=2, tolerance=0.0)
    assert [patient.update(0.5) for _ in range(6)] == [False] * 5 + [True]


@pytest.mark.parametrize(
    ("text", "value"), [("True", True), ("true", True), ("False", False), ("false", False)]
)
def test_booleans(text: str, value: bool) -> None:
    """A boolean is True or False, or in lower case as version 3 of the SDK sends it."""
    given = {"num_classes": "3", "num_training_samples": "8", "use_pretrained_model": text}
    assert read(given).use_pretrained_model is value


@pytest.mark.parametrize(
    "content",
    [
        {"algorithm": "fcn", "backbone": "resnet-50", "num_classes": "21", "syncbn": "True"},
        {"algorithm": '"fcn"', "backbone": '"resnet-50"', "num_classes": '"21"', "syncbn": '"True"'},
        {"algorithm": " FCN ", "backbone": "ResNet50", "num_classes": 21.0, "syncbn": True},
        {" algorithm": "Fcn", "backbone": "resnet_50", "num_classes": "21.0", "syncbn": "true"},
        {"algorithm": "fcn", "backbone": "resnet-50", "num_classes": 21, "syncbn": True, "unknown": None},
        {
            "hyperparameters": {
                "algorithm": "fcn",
                "backbone": "resnet-50",
                "num_classes": 21,
                "syncbn": "True",
            }
        },
        json.dumps({"algorithm": "fcn", "backbone": "resnet-50", "num_classes": " 21", "syncbn": "True"}),
    ],
    ids=["AWS", "encoded", "spaces", "names", "numbers", "wrapped", "encoded twice"],
)
def test_plausible_hyperparams_json(content: Any) -> None:
    """Every plausible form of hyperparams.json states the same hyperparameters."""
    stated = read_stated(b"\xef\xbb\xbf" + json.dumps(content).encode())
    assert stated == {"algorithm": "fcn", "backbone": "resnet-50", "num_classes": "21", "syncbn": "True"}


@pytest.mark.parametrize("content", [b"{", b"[1]", b'"x"', b"3", b"null", b"\xff", b'{"hyperparameters": 3}'])
def test_hyperparams_json_of_another_kind(content: bytes) -> None:
    """What is not a JSON object is refused."""
    with pytest.raises(ValueError, match=r".+"):
        read_stated(content)


def test_contradictions() -> None:
    """A difference names both values; a hyperparameter that is not stated is none."""
    actual = {"algorithm": "psp", "num_classes": "5"}
    assert contradictions(actual, {"num_classes": "7", "epochs": "3"}) == [
        "hyperparams.json says num_classes 7, but the parameters are those of num_classes 5."
    ]
