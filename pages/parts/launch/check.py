"""The pre-flight of what stands in the launch form, with the data as it lies in S3."""

from __future__ import annotations

from dataclasses import dataclass

from core.aws.connection import Connection
from core.training.channels import CONTENT_TYPES
from core.training.defaults import SANDBOX_DATA
from core.training.hyperparameters import Problem
from core.training.job import TrainingSpec
from core.training.preflight import S3_URI, preflight
from pages.parts import state
from pages.parts.jobs import data
from pages.parts.launch import fields
from pages.parts.launch.launch_fixes import counts_of
from pages.parts.launch.origin import LaunchPrefill

COUNTED = "counted"
"""What was put into num_training_samples here, and not by a person."""


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
    return fields.to_spec(state.LAUNCH.fields(fields.FIELDS), origin.spec)


def _listed(connection: Connection, spec: TrainingSpec) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """The objects of every channel whose address is one; and why some could not be listed."""
    found = [data.channel_keys(connection, one) for one in spec.channels if S3_URI.fullmatch(one.uri)]
    keys = {name: names for one in found for name, names in one.keys.items()}
    return keys, tuple(note for one in found for note in one.notes)


def _count(counts: dict[str, int]) -> None:
    """Where nobody said how many pictures there are, take what was counted; also when there are more now."""
    field = fields.VALUE_FIELDS["num_training_samples"]
    said, counted = state.LAUNCH.fields([field, COUNTED]).values()
    if counts.get("train") and said in (None, counted):
        state.LAUNCH.set(field, counts["train"])
        state.LAUNCH.set(COUNTED, counts["train"])


def _unreadable(origin: LaunchPrefill) -> list[str]:
    lost = fields.unreadable(origin.spec.hyperparameters)
    return [f"{name} was {text!r} there, which is no number: it is left out." for name, text in lost.items()]


def _wants_more_of_the_demonstration(spec: TrainingSpec, found: list[Problem]) -> bool:
    """Whether data is missing that a new sandbox has not drawn yet."""
    missing = any(problem.is_error and problem.name in CONTENT_TYPES for problem in found)
    return missing and any(channel.uri.startswith(SANDBOX_DATA) for channel in spec.channels)
