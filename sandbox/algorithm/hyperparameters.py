"""The hyperparameters of a training job: parsed from text, validated against AWS's table, refused in AWS's words.

Source: SageMaker developer guide, "Semantic Segmentation Hyperparameters". `light` is the sandbox's own algorithm.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.algorithm.failure import ClientError, invalid_hyperparameters

LIGHT = "light"
CROP_MULTIPLE = 8
"""AWS rounds crop_size up to a multiple of this."""
INCREMENTAL = ("backbone", "algorithm", "crop_size", "num_classes")
"""The hyperparameters that must match in incremental training."""
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_EPOCHS = re.compile(r"\s*\d{1,9}\s*(,\s*\d{1,9}\s*)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """All hyperparameters, parsed, under AWS's names.

    crop_size:         rounded up.
    lr_scheduler_step: epochs, ascending; empty for other schedules.
    """

    algorithm: str
    backbone: str
    use_pretrained_model: bool
    syncbn: bool
    num_classes: int
    num_training_samples: int
    base_size: int
    crop_size: int
    epochs: int
    mini_batch_size: int
    validation_mini_batch_size: int
    optimizer: str
    momentum: float
    weight_decay: float
    gamma1: float
    gamma2: float
    learning_rate: float
    lr_scheduler: str
    lr_scheduler_step: tuple[int, ...]
    lr_scheduler_factor: float
    early_stopping: bool
    early_stopping_min_epochs: int
    early_stopping_patience: int
    early_stopping_tolerance: float

    def text(self) -> dict[str, str]:
        """Return the content of the model's `hyperparams.json`: every value as text."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values["lr_scheduler_step"] = ",".join(map(str, self.lr_scheduler_step))
        return {name: str(value) for name, value in values.items() if value != ""}


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """The value is not valid."""


Reader = Callable[[str], Any]


def _choice(*allowed: str) -> Reader:
    """Return a parser of one of the allowed texts."""

    def read(text: str) -> str:
        if text not in allowed:
            raise _Refused
        return text

    return read


def _boolean(text: str) -> bool:
    """Parse "True" or "False", or "true" or "false" as version 3 of the SageMaker SDK sends them."""
    return bool(_choice("True", "False", "true", "false")(text).title() == "True")


def _integer(low: int, high: int = 10**9) -> Reader:
    """Return a parser of integers within bounds."""

    def read(text: str) -> int:
        if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
            raise _Refused
        return int(text)

    return read


def _number(low: float, high: float = 1, *, above: bool = False, below: bool = False) -> Reader:
    """Return a parser of numbers within bounds. above, below: whether the bounds themselves are excluded."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError as error:
            raise _Refused from error
        inside = low <= value <= high and not (above and value == low) and not (below and value == high)
        if not math.isfinite(value) or not inside:
            raise _Refused
        return value

    return read


def _epochs(text: str) -> tuple[int, ...]:
    """Parse a comma-separated list of epochs."""
    if not _EPOCHS.fullmatch(text):
        raise _Refused
    return tuple(sorted({int(part) for part in text.split(",")}))


READERS: dict[str, Reader] = {
    "algorithm": _choice("fcn", "psp", "deeplab", LIGHT),
    "backbone": _choice("resnet-50", "resnet-101"),
    "use_pretrained_model": _boolean,
    "syncbn": _boolean,
    "num_classes": _integer(2, 254),
    "num_training_samples": _integer(1),
    "base_size": _integer(17),
    "crop_size": _integer(17, 8192),
    "epochs": _integer(1),
    "mini_batch_size": _integer(1),
    "validation_mini_batch_size": _integer(1),
    "optimizer": _choice("adam", "adagrad", "nag", "rmsprop", "sgd"),
    "momentum": _number(0, above=True),
    "weight_decay": _number(0, above=True, below=True),
    "gamma1": _number(0),
    "gamma2": _number(0),
    "learning_rate": _number(0, above=True),
    "lr_scheduler": _choice("step", "poly", "cosine"),
    "lr_scheduler_step": _epochs,
    "lr_scheduler_factor": _number(0),
    "early_stopping": _boolean,
    "early_stopping_min_epochs": _integer(0),
    "early_stopping_patience": _integer(0),
    "early_stopping_tolerance": _number(0),
}
DEFAULTS: dict[str, str] = {
    "algorithm": "fcn",
    "backbone": "resnet-50",
    "use_pretrained_model": "True",
    "syncbn": "False",
    "base_size": "520",
    "crop_size": "240",
    "epochs": "10",
    "mini_batch_size": "16",
    "validation_mini_batch_size": "16",
    "optimizer": "sgd",
    "momentum": "0.9",
    "weight_decay": "0.0001",
    "gamma1": "0.9",
    "gamma2": "0.9",
    "learning_rate": "0.001",
    "lr_scheduler": "poly",
    "lr_scheduler_factor": "0.1",
    "early_stopping": "False",
    "early_stopping_min_epochs": "5",
    "early_stopping_patience": "4",
    "early_stopping_tolerance": "0.0",
}


def read(given: Mapping[str, str]) -> Hyperparameters:
    """Parse a job's hyperparameters, with AWS's defaults. Raises ClientError for the first invalid one."""
    unknown = sorted(set(given) - set(READERS))
    if unknown:
        names = ", ".join(f"u'{name}'" for name in unknown)
        verb = "was" if len(unknown) == 1 else "were"
        raise invalid_hyperparameters(f"Additional properties are not allowed ({names} {verb} unexpected)")
    texts = {**DEFAULTS, **given}
    _check_required(texts)
    values = {name: _read_one(name, text) for name, text in texts.items()}
    if values["lr_scheduler"] != "step":
        values["lr_scheduler_step"] = ()
    values["crop_size"] = round_up(values["crop_size"], CROP_MULTIPLE)
    if values["algorithm"] == LIGHT:
        values["backbone"] = LIGHT
    return Hyperparameters(**values)


def check_same(wanted: Hyperparameters, trained: Mapping[str, str]) -> None:
    """Compare a job with the `hyperparams.json` of the model it starts from. Raises ClientError."""
    texts = wanted.text()
    differences = [
        f"{name} is {texts[name]}, but was {trained[name]}"
        for name in INCREMENTAL
        if name in trained and _comparable(name, trained[name]) != _comparable(name, texts[name])
    ]
    if differences:
        raise ClientError(
            "Incremental training requires the hyperparameters of the model in the channel 'model': "
            f"{', '.join(differences)}. {', '.join(INCREMENTAL)} must be identical."
        )


def round_up(value: int, multiple: int) -> int:
    """Return the next multiple at or above a value."""
    return -(-value // multiple) * multiple


def _check_required(texts: Mapping[str, str]) -> None:
    """Raise ClientError for a missing hyperparameter."""
    required = ["num_classes", "num_training_samples"]
    if texts["lr_scheduler"] == "step":
        required.append("lr_scheduler_step")
    for name in required:
        if name not in texts:
            raise invalid_hyperparameters(f"u'{name}' is a required property")


def _read_one(name: str, text: str) -> Any:
    """Parse one hyperparameter. Raises ClientError."""
    try:
        return READERS[name](text)
    except _Refused as error:
        raise invalid_hyperparameters(
            f"u'{text}' is not valid under any of the given schemas\n\nOn hyperparameters[u'{name}']"
        ) from error


def _comparable(name: str, text: str) -> str:
    """Return a hyperparameter as it is compared."""
    if name == "crop_size" and _WHOLE.fullmatch(text):
        return str(round_up(int(text), CROP_MULTIPLE))
    return text
