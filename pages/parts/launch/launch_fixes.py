"""What one click could mend of what the pre-flight found. Nothing is drawn here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.training.defaults import INSTANCE
from core.training.hyperparameters import BY_NAME, INCREMENTAL_KEYS, Problem, effective
from core.training.job import TrainingSpec
from pages.parts.launch.fields import EXTRA, VALUE_FIELDS, from_text

BATCHES = {"mini_batch_size": "train", "validation_mini_batch_size": "validation"}
"""Hyperparameter -> the channel whose pictures a batch is taken from."""


@dataclass(frozen=True, slots=True)
class Fix:
    """A field of the form, the value to put into it, and the button's words."""

    label: str
    field: str
    value: Any


def fix_for(
    problem: Problem,
    spec: TrainingSpec,
    counts: Mapping[str, int],
    previous: Mapping[str, str] | None = None,
) -> Fix | None:
    """How to mend it; None where only a person can.

    counts:   channel -> how many files lie there, where that is known.
    previous: hyperparameters of the job that this one goes on from.
    """
    name = problem.name
    if previous is not None and name in INCREMENTAL_KEYS and effective(previous).get(name):
        return _set(name, effective(previous)[name])
    if name == "num_training_samples" and counts.get("train"):
        return _set(name, str(counts["train"]))
    if name in BATCHES and counts.get(BATCHES[name]):
        return _set(name, str(min(counts[BATCHES[name]], _whole(spec.hyperparameters.get(name), 16))))
    if name == "crop_size" and problem.severity == "note":
        return _set(name, effective(spec.hyperparameters)["crop_size"])
    if name == "lr_scheduler_step":
        return _set(name, _steps(_whole(effective(spec.hyperparameters).get("epochs"), 10)))
    if name in spec.hyperparameters and name not in BY_NAME:
        return _without(name, spec.hyperparameters)
    if name == "instance_type":
        return Fix(f"Take {INSTANCE}", "instance_type", INSTANCE)
    if name == "max_wait_seconds" and spec.spot:
        return Fix("Wait as long as it may run", "wait_minutes", spec.max_runtime_seconds / 60)
    return None


def counts_of(keys: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Channel -> number of its files, folder markers not counted."""
    return {name: sum(not key.endswith("/") for key in found) for name, found in keys.items()}


def _set(name: str, text: str) -> Fix:
    return Fix(f"Set to {text}", VALUE_FIELDS[name], from_text(BY_NAME[name], text))


def _without(name: str, values: Mapping[str, str]) -> Fix:
    others = {key: text for key, text in values.items() if key not in BY_NAME and key != name}
    return Fix(f"Leave {name} out", EXTRA, others)


def _steps(epochs: int) -> str:
    """After a half and after three quarters of the epochs."""
    return ", ".join(map(str, sorted({max(1, epochs // 2), max(1, epochs * 3 // 4)})))


def _whole(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else otherwise
