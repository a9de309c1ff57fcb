"""The pre-flight of the launch form, with the data as it is in S3; and what one click could fix of what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.aws.connection import Connection
from core.training.channels import CONTENT_TYPES
from core.training.defaults import INSTANCE, SANDBOX_DATA
from core.training.hyperparameters import BY_NAME, INCREMENTAL_KEYS, Problem, effective
from core.training.job import TrainingSpec
from core.training.preflight import S3_URI, preflight
from pages.parts.launch import data, fields
from pages.parts.launch.fields import EXTRA, LAUNCH, VALUE_FIELDS, from_text
from pages.parts.launch.origin import LaunchPrefill

COUNTED = "counted"
"""What was put into num_training_samples here, and not by a person."""

BATCHES = {"mini_batch_size": "train", "validation_mini_batch_size": "validation"}
"""Hyperparameter -> the channel whose pictures a batch is taken from."""


@dataclass(frozen=True, slots=True)
class CheckedLaunch:
    """What the form says, and what is wrong with it, errors first.

    counts:  channel -> how many files lie there, where that is known.
    drawing: whether the sandbox is still drawing the pictures that are missing.
    """

    spec: TrainingSpec
    problems: tuple[Problem, ...]
    counts: dict[str, int]
    drawing: bool = False

    @property
    def blocked(self) -> bool:
        """Whether something must be mended first."""
        return any(problem.is_error for problem in self.problems)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to read before saying yes."""
        return tuple(problem.message for problem in self.problems if problem.severity == "warning")


def check(connection: Connection, origin: LaunchPrefill) -> CheckedLaunch:
    """Look at the form, before it is drawn, and at the data: one listing a channel, shared by all visitors."""
    keys, notes = _listed(connection, _spec(origin))
    counts = counts_of(keys)
    _count(counts)
    spec = _spec(origin)
    found = preflight(spec, keys, previous=origin.previous, sandbox=connection.is_sandbox)
    found += [Problem("channels", note, "warning") for note in (*notes, *_unreadable(origin))]
    drawing = connection.is_sandbox and _wants_more_of_the_demonstration(spec, found)
    if drawing:
        text = (
            "A new sandbox draws these pictures first, for a minute or two. The page looks again by itself."
        )
        found.append(Problem("channels", text, "note"))
    return CheckedLaunch(spec, tuple(found), counts, drawing)


def _spec(origin: LaunchPrefill) -> TrainingSpec:
    return fields.to_spec(LAUNCH.fields(fields.FIELDS), origin.spec)


def _listed(connection: Connection, spec: TrainingSpec) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """The objects of every channel whose address is one; and why some could not be listed."""
    found = [data.channel_keys(connection, one) for one in spec.channels if S3_URI.fullmatch(one.uri)]
    keys = {name: names for one in found for name, names in one.keys.items()}
    return keys, tuple(note for one in found for note in one.notes)


def _count(counts: dict[str, int]) -> None:
    """Where nobody said how many pictures there are, take what was counted; also when there are more now."""
    field = fields.VALUE_FIELDS["num_training_samples"]
    said, counted = LAUNCH.fields([field, COUNTED]).values()
    if counts.get("train") and said in (None, counted):
        LAUNCH.set(field, counts["train"])
        LAUNCH.set(COUNTED, counts["train"])


def _unreadable(origin: LaunchPrefill) -> list[str]:
    lost = fields.unreadable(origin.spec.hyperparameters)
    return [f"{name} was {text!r} there, which is no number: it is left out." for name, text in lost.items()]


def _wants_more_of_the_demonstration(spec: TrainingSpec, found: list[Problem]) -> bool:
    """Whether data is missing that a new sandbox has not drawn yet."""
    missing = any(problem.is_error and problem.name in CONTENT_TYPES for problem in found)
    return missing and any(channel.uri.startswith(SANDBOX_DATA) for channel in spec.channels)


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
