"""The algorithm's hyperparameters."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.training.hyperparameters import (
    BY_NAME,
    GROUPS,
    HYPERPARAMETERS,
    INCREMENTAL_KEYS,
    Hyperparameter,
    check,
    clean,
    complete,
    defaults,
    differences,
    effective,
)

GOOD = {"num_classes": "6", "num_training_samples": "96"}


def severities(name: str, values: dict[str, str]) -> list[str]:
    return [problem.severity for problem in check(GOOD | values) if problem.name == name]


def test_the_table_is_the_guides() -> None:
    """All hyperparameters of the developer guide are in the table, with its defaults."""
    assert len(HYPERPARAMETERS) == len(BY_NAME) == 24
    assert defaults() == {
        "algorithm": "fcn", "backbone": "resnet-50", "use_pretrained_model": "True", "syncbn": "False",
        "base_size": "520", "crop_size": "240", "epochs": "10", "mini_batch_size": "16",
        "validation_mini_batch_size": "16", "optimizer": "sgd", "momentum": "0.9", "weight_decay": "0.0001",
        "gamma1": "0.9", "gamma2": "0.9", "learning_rate": "0.001", "lr_scheduler": "poly",
        "lr_scheduler_factor": "0.1", "early_stopping": "False", "early_stopping_min_epochs": "5",
        "early_stopping_patience": "4", "early_stopping_tolerance": "0.0",
    }  # fmt: skip
    assert {row.name for row in HYPERPARAMETERS if row.required and not row.only_when} == set(GOOD)
    assert {row.group for row in HYPERPARAMETERS} == set(GROUPS)
    assert set(INCREMENTAL_KEYS) <= set(BY_NAME)


@pytest.mark.parametrize("row", HYPERPARAMETERS, ids=lambda row: row.name)
def test_every_row_can_be_shown(row: Hyperparameter) -> None:
    """Each row has help and a range in words, and its own default is valid."""
    assert row.help.endswith(".")
    assert row.range
    assert row.default is None or check(GOOD | {row.name: row.default}) == []


def test_the_defaults_are_valid() -> None:
    """Setting the two required values is enough."""
    assert check(GOOD) == []
    assert check(complete(GOOD)) == []


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("num_classes", ("2", "254"), ("1", "255", "2.0", "many", "", "٣", "²", "1e2", "9" * 5000)),
        ("num_training_samples", ("16", "1000000"), ("0", "-1")),
        ("base_size", ("17", "520"), ("16",)),
        ("crop_size", ("24", "480"), ("16", "0")),
        ("epochs", ("1",), ("0", "1.5")),
        (
            "learning_rate",
            ("1", "0.1", "1e-4"),
            ("0", "1.01", "nan", "inf", "-1", "0_1", "0x1", "1e-999", "٠.١"),
        ),
        ("weight_decay", ("0.5",), ("0", "1")),
        ("momentum", ("1",), ("0", "1.1")),
        ("gamma1", ("0", "1"), ("-0.1", "1.1")),
        ("early_stopping_tolerance", ("0", "1"), ("2",)),
        ("early_stopping", ("True", "False", "true", "false"), ("TRUE", "1", "yes")),
        ("optimizer", ("adam", "adagrad", "nag", "rmsprop", "sgd"), ("adadelta",)),
        ("algorithm", ("fcn", "psp", "deeplab"), ("unet", "light")),
        ("backbone", ("resnet-50", "resnet-101"), ("resnet50",)),
    ],
)
def test_bounds_are_those_of_the_guide(name: str, allowed: tuple[str, ...], refused: tuple[str, ...]) -> None:
    """Values at the bounds are accepted or rejected as the developer guide says."""
    for text in allowed:
        assert "error" not in severities(name, {name: text}), text
    for text in refused:
        assert "error" in severities(name, {name: text}) or (text == "" and name not in GOOD), text


def test_a_problem_names_the_value_and_the_range() -> None:
    """A rejected value is reported with the value and its range."""
    (problem,) = check(GOOD | {"num_classes": "255"})
    assert problem.message == "num_classes is '255'. Set it to a whole number from 2 up to 254."
    assert problem.is_error


def test_required_values_must_be_set() -> None:
    """num_classes and num_training_samples are always required, lr_scheduler_step with the step scheduler."""
    assert [problem.name for problem in check({})] == ["num_classes", "num_training_samples"]
    (step,) = check(GOOD | {"lr_scheduler": "step"})
    assert step.name == "lr_scheduler_step"
    assert "since lr_scheduler is step" in step.message
    assert check(GOOD | {"lr_scheduler": "step", "lr_scheduler_step": "3, 6"}) == []
    assert severities("lr_scheduler_step", {"lr_scheduler": "step", "lr_scheduler_step": "3; 6"}) == ["error"]


def test_steps_after_the_last_epoch_are_a_warning() -> None:
    """A step at or after the last epoch is never reached; that is a warning."""
    given_steps = {"lr_scheduler": "step", "lr_scheduler_step": "5,10,20"}
    (problem,) = check(GOOD | given_steps)
    assert (problem.severity, "10, 20" in problem.message) == ("warning", True)


def test_an_unknown_name_is_an_error_with_a_guess() -> None:
    """An unknown hyperparameter would fail the job, and the most similar known name is suggested."""
    (problem,) = check(GOOD | {"mini_batch_siz": "4"})
    assert problem.is_error
    assert "Did you mean mini_batch_size?" in problem.message
    (other,) = check(GOOD | {"zzz": "4"})
    assert "Remove it" in other.message


def test_an_unused_value_is_a_warning() -> None:
    """A value that is used only with another optimizer or scheduler is a warning, unless it is the default."""
    assert severities("gamma1", {"gamma1": "0.5"}) == ["warning"]
    assert severities("gamma1", {"gamma1": "0.9"}) == []
    assert severities("gamma1", {"gamma1": "0.5", "optimizer": "rmsprop"}) == []


def test_a_batch_is_not_larger_than_the_samples() -> None:
    """A batch larger than the number of images is a warning, also for the default batch size."""
    assert severities("mini_batch_size", {"num_training_samples": "15"}) == ["warning"]
    assert severities("mini_batch_size", {"num_training_samples": "15", "mini_batch_size": "15"}) == []


def test_the_crop_is_rounded_up() -> None:
    """A crop size that is not a multiple of 8 is rounded up, with a note."""
    assert severities("crop_size", {"crop_size": "241"}) == ["note"]
    assert effective(GOOD | {"crop_size": "241"})["crop_size"] == "248"
    assert effective(GOOD)["crop_size"] == "240"


def test_the_light_network_is_the_sandboxs_alone() -> None:
    """`algorithm=light` is rejected, except in the sandbox."""
    assert [problem.name for problem in check(GOOD | {"algorithm": "light"})] == ["algorithm"]
    assert check(GOOD | {"algorithm": "light"}, sandbox=True) == []


def test_unused_values_are_not_effective() -> None:
    """The effective values omit those that the optimizer or scheduler ignores."""
    found = effective(GOOD | {"optimizer": "adam"})
    assert {"momentum", "weight_decay", "gamma1", "lr_scheduler_factor"}.isdisjoint(found)
    assert found["optimizer"] == "adam"


def test_jobs_are_compared_by_their_effective_values() -> None:
    """Only effective differences are reported; an explicit default and an omitted value are equal."""
    found = differences(
        [GOOD | {"epochs": "10", "crop_size": "239"}, GOOD | {"optimizer": "adam", "crop_size": "240"}]
    )
    assert found == {"optimizer": ("sgd", "adam"), "momentum": ("0.9", ""), "weight_decay": ("0.0001", "")}
    assert differences([]) == {}


def test_values_are_cleaned() -> None:
    """Blanks and SDK quotes are removed, blank values are dropped, and the order is the table's."""
    assert clean({"zzz": " 1 ", "epochs": '"7"', "algorithm": " psp", "backbone": ""}) == {
        "algorithm": "psp", "epochs": "7", "zzz": "1",
    }  # fmt: skip
    assert list(complete(GOOD))[:2] == ["algorithm", "backbone"]


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*BY_NAME, "x"]), st.text(max_size=12)))
def test_any_values_are_checked(values: dict[str, str]) -> None:
    """Checking any values returns problems and raises no exception; completing them does not change the errors."""
    found = {problem.name for problem in check(values) if problem.is_error}
    assert found == {problem.name for problem in check(complete(values)) if problem.is_error}


def test_booleans_in_json_are_the_documented_ones() -> None:
    """Version 3 of the SageMaker SDK sends true and false as in JSON: they are valid, and count as True and False."""
    values = {"num_classes": "3", "num_training_samples": "20", "early_stopping": "true", "syncbn": "false"}
    assert (clean(values)["early_stopping"], clean(values)["syncbn"]) == ("True", "False")
    assert check({**values, "early_stopping_patience": "2"}) == []
    assert [problem.name for problem in check({**values, "syncbn": "no"})] == ["syncbn"]
