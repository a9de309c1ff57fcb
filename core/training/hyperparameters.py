"""The hyperparameters of SageMaker's semantic segmentation, in one table for the form, the commands and the checks.

Source: the SageMaker developer guide, "Semantic Segmentation Hyperparameters". The defaults changed over time
(crop_size 480 and epochs 30 in older revisions, 240 and 10 now), so Segdeck sends every value explicitly.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

Kind = Literal["choice", "boolean", "integer", "number", "epochs"]
"""epochs: comma-separated whole numbers, such as "10, 20"."""

Severity = Literal["error", "warning", "note"]

BOOLEANS = ("True", "False")
LIGHT = "light"
"""A small network that only the sandbox has; it trains on a CPU in minutes. AWS rejects it."""

INCREMENTAL_KEYS = ("backbone", "algorithm", "crop_size", "num_classes")
"""Must match the earlier model's values in incremental training (developer guide)."""

CROP_MULTIPLE = 8
DECIMAL = re.compile(r"[+-]?(?:\d{1,30}\.?\d{0,30}|\.\d{1,30})(?:[eE][+-]?\d{1,3})?", re.ASCII)
WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
EPOCH_LIST = re.compile(r"\s*\d{1,9}\s*(,\s*\d{1,9}\s*)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with a job's settings or data.

    name:     the hyperparameter, channel or field it is about.
    message:  sentences, with the value found and the value expected.
    severity: "error" (the job would fail, or must not start), "warning" (check it) or "note" (information).
    """

    name: str
    message: str
    severity: Severity = "error"

    @property
    def is_error(self) -> bool:
        """Return whether it must be fixed before launch."""
        return self.severity == "error"


@dataclass(frozen=True, slots=True)
class Condition:
    """A hyperparameter is used only if another one has one of these values."""

    name: str
    values: tuple[str, ...]

    def holds(self, values: Mapping[str, str]) -> bool:
        """Return whether the condition holds; missing values have their defaults."""
        return values.get(self.name, default(self.name)) in self.values

    def __str__(self) -> str:
        return f"{self.name} is {' or '.join(self.values)}"


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """One row of the table.

    default:           a string, as in the request; None if there is none.
    choices:           for the kinds "choice" and "boolean".
    minimum, maximum:  bounds of a number; None if there is none.
    exclusive_minimum, exclusive_maximum: whether the bound itself is excluded.
    required:          must be set; if `only_when` is set, only when that holds.
    only_when:         ignored by the algorithm unless this holds.
    """

    name: str
    kind: Kind
    group: str
    help: str
    default: str | None = None
    required: bool = False
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: bool = False
    exclusive_maximum: bool = False
    only_when: Condition | None = None

    @property
    def range(self) -> str:
        """Return the valid range in words, such as "a whole number from 2 up to 254"."""
        if self.kind in ("choice", "boolean"):
            return "one of " + ", ".join(self.choices)
        if self.kind == "epochs":
            return 'comma-separated whole numbers, such as "10, 20"'
        words = ["a whole number" if self.kind == "integer" else "a number"]
        if self.minimum is not None:
            words.append(f"{'above' if self.exclusive_minimum else 'from'} {self.minimum:g}")
        if self.maximum is not None:
            words.append(f"{'and below' if self.exclusive_maximum else 'up to'} {self.maximum:g}")
        return " ".join(words)


NETWORK, DATA, TRAINING, OPTIMIZER, RATE, STOPPING = (
    "Network", "Data", "Training", "Optimizer", "Learning rate", "Early stopping",
)  # fmt: skip
GROUPS = (NETWORK, DATA, TRAINING, OPTIMIZER, RATE, STOPPING)

_STEP = Condition("lr_scheduler", ("step",))
_EARLY = Condition("early_stopping", ("True",))
_RMSPROP = Condition("optimizer", ("rmsprop",))
_SGD = Condition("optimizer", ("sgd",))

HYPERPARAMETERS: tuple[Hyperparameter, ...] = (
    Hyperparameter(
        "algorithm", "choice", NETWORK, default="fcn", choices=("fcn", "psp", "deeplab"),
        help="The decoder: FCN (fast), PSP or DeepLabV3 (more context, slower).",
    ),
    Hyperparameter(
        "backbone", "choice", NETWORK, default="resnet-50", choices=("resnet-50", "resnet-101"),
        help="The encoder. ResNet-101 is larger and slower.",
    ),
    Hyperparameter(
        "use_pretrained_model", "boolean", NETWORK, default="True", choices=BOOLEANS,
        help="Initialize the backbone with ImageNet weights. Decoders are always trained from scratch.",
    ),
    Hyperparameter(
        "syncbn", "boolean", NETWORK, default="False", choices=BOOLEANS,
        help="Synchronize batch normalization across all GPUs of the instance.",
    ),
    Hyperparameter(
        "num_classes", "integer", DATA, required=True, minimum=2, maximum=254,
        help="Number of classes in the masks. IDs start at 0; 255 (ignore) is not counted.",
    ),
    Hyperparameter(
        "num_training_samples", "integer", DATA, required=True, minimum=1,
        help="Number of training images; the learning rate schedule depends on it.",
    ),
    Hyperparameter(
        "base_size", "integer", DATA, default="520", minimum=16, exclusive_minimum=True,
        help="Before the crop, the long side is scaled to this size times a random factor from 0.5 to 2.",
    ),
    Hyperparameter(
        "crop_size", "integer", DATA, default="240", minimum=16, exclusive_minimum=True,
        help="Side of the random square crop in pixels, rounded up to a multiple of 8.",
    ),
    Hyperparameter(
        "epochs", "integer", TRAINING, default="10", minimum=1, help="Number of passes over the training images."
    ),
    Hyperparameter(
        "mini_batch_size", "integer", TRAINING, default="16", minimum=1, help="Images per training step."
    ),
    Hyperparameter(
        "validation_mini_batch_size", "integer", TRAINING, default="16", minimum=1,
        help="Images per validation step.",
    ),
    Hyperparameter(
        "optimizer", "choice", OPTIMIZER, default="sgd", choices=("adam", "adagrad", "nag", "rmsprop", "sgd"),
        help="Optimization algorithm.",
    ),
    Hyperparameter(
        "momentum", "number", OPTIMIZER, default="0.9", minimum=0, maximum=1, exclusive_minimum=True,
        only_when=_SGD, help="Momentum of sgd.",
    ),
    Hyperparameter(
        "weight_decay", "number", OPTIMIZER, default="0.0001", minimum=0, maximum=1, exclusive_minimum=True,
        exclusive_maximum=True, only_when=_SGD, help="Weight decay of sgd.",
    ),
    Hyperparameter(
        "gamma1", "number", OPTIMIZER, default="0.9", minimum=0, maximum=1, only_when=_RMSPROP,
        help="Decay factor of rmsprop's moving average of squared gradients.",
    ),
    Hyperparameter(
        "gamma2", "number", OPTIMIZER, default="0.9", minimum=0, maximum=1, only_when=_RMSPROP,
        help="Momentum of rmsprop.",
    ),
    Hyperparameter(
        "learning_rate", "number", RATE, default="0.001", minimum=0, maximum=1, exclusive_minimum=True,
        help="Initial learning rate.",
    ),
    Hyperparameter(
        "lr_scheduler", "choice", RATE, default="poly", choices=("step", "poly", "cosine"),
        help="Learning rate schedule over the epochs.",
    ),
    Hyperparameter(
        "lr_scheduler_step", "epochs", RATE, required=True, only_when=_STEP,
        help="Epochs after which the learning rate is multiplied by lr_scheduler_factor.",
    ),
    Hyperparameter(
        "lr_scheduler_factor", "number", RATE, default="0.1", minimum=0, maximum=1, only_when=_STEP,
        help="Factor applied to the learning rate at each step.",
    ),
    Hyperparameter(
        "early_stopping", "boolean", STOPPING, default="False", choices=BOOLEANS,
        help="Stop once the validation mean IoU no longer improves.",
    ),
    Hyperparameter(
        "early_stopping_min_epochs", "integer", STOPPING, default="5", minimum=0, only_when=_EARLY,
        help="Minimum number of epochs before early stopping.",
    ),
    Hyperparameter(
        "early_stopping_patience", "integer", STOPPING, default="4", minimum=0, only_when=_EARLY,
        help="Epochs without sufficient improvement before stopping.",
    ),
    Hyperparameter(
        "early_stopping_tolerance", "number", STOPPING, default="0.0", minimum=0, maximum=1, only_when=_EARLY,
        help="Smallest relative gain in mean IoU that counts as an improvement.",
    ),
)  # fmt: skip
"""In the order of the form and of the request."""

BY_NAME: dict[str, Hyperparameter] = {row.name: row for row in HYPERPARAMETERS}


def default(name: str) -> str | None:
    """Return a hyperparameter's default; None if it has none or is unknown."""
    row = BY_NAME.get(name)
    return row.default if row else None


def defaults() -> dict[str, str]:
    """Return every default, in table order."""
    return {row.name: row.default for row in HYPERPARAMETERS if row.default is not None}


def applies(row: Hyperparameter, values: Mapping[str, str]) -> bool:
    """Return whether the algorithm uses it, given the other values."""
    return row.only_when is None or row.only_when.holds(values)


def clean(values: Mapping[str, str]) -> dict[str, str]:
    """Return the values in table order, unknown ones last, without blanks or the quotes that some SDKs add.

    Version 3 of the SageMaker SDK sends booleans as in JSON: "false" is the documented "False".
    """
    stripped = {name: _plain(name, str(value)) for name, value in values.items()}
    known = [row.name for row in HYPERPARAMETERS if stripped.get(row.name)]
    return {name: stripped[name] for name in [*known, *sorted(set(stripped) - set(BY_NAME))]}


def _plain(name: str, text: str) -> str:
    text = text.strip().strip('"').strip()
    row = BY_NAME.get(name)
    return text.title() if row and row.kind == "boolean" and text in ("true", "false") else text


def complete(values: Mapping[str, str]) -> dict[str, str]:
    """Return the values to send: the given ones, and the default of every other one."""
    return clean({**defaults(), **clean(values)})


def effective(values: Mapping[str, str]) -> dict[str, str]:
    """Return the values the algorithm uses: complete, the crop size rounded up, ignored ones removed."""
    completed = complete(values)
    crop = whole(completed.get("crop_size", ""))
    if crop is not None:
        completed["crop_size"] = str(-(-crop // CROP_MULTIPLE) * CROP_MULTIPLE)
    return {
        name: text
        for name, text in completed.items()
        if name not in BY_NAME or applies(BY_NAME[name], completed)
    }


def differences(several: Sequence[Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return name -> each set's effective value, for values that differ; defaults are filled in, "" if unused."""
    rows = [effective(values) for values in several]
    names = clean({name: "-" for row in rows for name in row})
    by_name = {name: tuple(row.get(name, "") for row in rows) for name in names}
    return {name: texts for name, texts in by_name.items() if len(set(texts)) > 1}


def check(values: Mapping[str, str], *, sandbox: bool = False) -> list[Problem]:
    """Return the problems of a set of values, in table order; unknown names last.

    sandbox: allow the sandbox's `algorithm=light`.
    """
    given = clean(values)
    problems = [
        problem for row in HYPERPARAMETERS if (problem := _check_one(row, given, sandbox=sandbox)) is not None
    ]
    problems += [_unknown(name) for name in sorted(values) if name not in BY_NAME]
    return problems + _across(given)


def number(text: str) -> float | None:
    """Parse a finite number; None for anything else, including `nan` and `inf`."""
    value = float(text) if DECIMAL.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None


def whole(text: str) -> int | None:
    """Parse a whole number of at most 18 digits; None for anything else."""
    return int(text) if WHOLE.fullmatch(text) else None


def _check_one(row: Hyperparameter, given: Mapping[str, str], *, sandbox: bool) -> Problem | None:
    text = given.get(row.name)
    if text is None:
        if row.required and applies(row, given):
            when = f", since {row.only_when}" if row.only_when else ""
            return Problem(row.name, f"{row.name} is not set{when}. Set it to {row.range}.")
        return None
    if not _allowed(row, text) and not (sandbox and row.name == "algorithm" and text == LIGHT):
        return Problem(row.name, f"{row.name} is {text!r}. Set it to {row.range}.")
    if not applies(row, given) and text != row.default:
        return Problem(row.name, f"{row.name} is unused: it applies only if {row.only_when}.", "warning")
    return None


def _allowed(row: Hyperparameter, text: str) -> bool:
    if row.choices:
        return text in row.choices
    if row.kind == "epochs":
        return EPOCH_LIST.fullmatch(text) is not None
    value = whole(text) if row.kind == "integer" else number(text)
    return value is not None and _within(row, value)


def _within(row: Hyperparameter, value: float) -> bool:
    low, high = row.minimum, row.maximum
    above = low is None or value > low or (value == low and not row.exclusive_minimum)
    below = high is None or value < high or (value == high and not row.exclusive_maximum)
    return above and below


def _unknown(name: str) -> Problem:
    """Return an error for an unknown name: the algorithm rejects jobs with unknown hyperparameters."""
    near = get_close_matches(name, BY_NAME, n=1)
    hint = f" Did you mean {near[0]}?" if near else " Remove it."
    return Problem(name, f"{name!r} is not a hyperparameter of this algorithm: the job would fail.{hint}")


def _across(given: Mapping[str, str]) -> list[Problem]:
    """Check values against each other."""
    problems = []
    samples, batch = (
        whole(given.get("num_training_samples", "")),
        whole(_or_default(given, "mini_batch_size")),
    )
    if samples is not None and batch is not None and 0 < samples < batch:
        problems.append(
            Problem(
                "mini_batch_size",
                f"mini_batch_size is {batch}, but there are {samples} training samples. Set it to {samples} or less.",
                "warning",
            )
        )
    crop = whole(_or_default(given, "crop_size"))
    if crop is not None and crop > 16 and crop % CROP_MULTIPLE:
        rounded = -(-crop // CROP_MULTIPLE) * CROP_MULTIPLE
        problems.append(
            Problem("crop_size", f"crop_size {crop} is rounded up to {rounded}, a multiple of 8.", "note")
        )
    return problems + _late_steps(given)


def _late_steps(given: Mapping[str, str]) -> list[Problem]:
    steps, epochs = given.get("lr_scheduler_step", ""), whole(_or_default(given, "epochs"))
    if not EPOCH_LIST.fullmatch(steps) or epochs is None or not applies(BY_NAME["lr_scheduler_step"], given):
        return []
    late = [step.strip() for step in steps.split(",") if int(step) >= epochs]
    if not late:
        return []
    return [
        Problem(
            "lr_scheduler_step",
            f"The job ends after {epochs} epochs, before step {', '.join(late)}.",
            "warning",
        )
    ]


def _or_default(given: Mapping[str, str], name: str) -> str:
    return given.get(name) or default(name) or ""
