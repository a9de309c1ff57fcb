"""The pre-flight checks of the launch form against the data in S3, and the problems that one click can fix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.aws.connection import Connection
from core.aws.job_data import JobData
from core.training.channels import CONTENT_TYPES, DATA_CHANNELS, Channel, manifest_channel
from core.training.defaults import INSTANCE, SANDBOX_DATA
from core.training.hyperparameters import BY_NAME, INCREMENTAL_KEYS, Problem, effective
from core.training.job import TrainingSpec
from core.training.manifest import check_manifest_channel
from core.training.preflight import GPUS, S3_URI, checkpoint_prefix, preflight
from core.training.security import has_local_storage
from pages.parts.launch import data, fields
from pages.parts.launch.fields import CONTENT, EXTRA, LAUNCH, TAGS, VALUE_FIELDS, from_text
from pages.parts.launch.prefill import LaunchPrefill

COUNTED = {"num_training_samples": "counted", "num_classes": "counted-classes"}
"""Hyperparameter -> the form field with the number that Segdeck counted, as opposed to one that the user entered."""

FROM_DATA = {*CONTENT_TYPES, "num_training_samples", "mini_batch_size", "validation_mini_batch_size"}
"""What problems with missing data are named after: none of them matters while the demo data is being generated."""

BATCHES = {"mini_batch_size": "train", "validation_mini_batch_size": "validation"}
"""Hyperparameter -> the channel whose images make up a batch."""


@dataclass(frozen=True, slots=True)
class CheckedLaunch:
    """The form's values as a request, and the problems with it, errors first.

    counts:     channel -> number of its files, for the channels that could be listed.
    classes:    number of the dataset's classes; None if unknown.
    generating: whether the sandbox is still generating the demo images that are missing.
    labels:     the attributes of the manifest that can be the masks, the most frequent first.
    """

    spec: TrainingSpec
    problems: tuple[Problem, ...]
    counts: dict[str, int]
    classes: int | None = None
    generating: bool = False
    labels: tuple[str, ...] = ()

    @property
    def blocked(self) -> bool:
        """Whether there are errors, which must be fixed before launch, or data that is still to come."""
        return self.generating or any(problem.is_error for problem in self.problems)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings to read before confirming."""
        return tuple(problem.message for problem in self.problems if problem.severity == "warning")


def check(connection: Connection, prefill: LaunchPrefill) -> CheckedLaunch:
    """Check the form before it is drawn, and the data: one listing per channel, shared by all users.

    Fills in num_training_samples and num_classes where the user has not. Raises PendingError.
    """
    keys, notes = _list_channels(connection, _spec(prefill))
    facts = data.job_data(connection, _spec(prefill), keys)
    if _fill_label(facts):
        facts = data.job_data(connection, _spec(prefill), keys)
    counts = count_files(keys) | facts.images(_spec(prefill))
    _fill("num_training_samples", counts.get("train"))
    _fill("num_classes", facts.classes)
    spec = _spec(prefill)
    problems = preflight(
        spec,
        keys,
        previous=prefill.previous,
        sandbox=connection.is_sandbox,
        classes=facts.classes,
        sizes=facts.sizes,
        manifests=facts.manifests,
    )
    problems += [Problem("num_classes", note, "note") for note in facts.notes]
    missing, unchecked = data.bucket_problems(connection, _destinations(spec))
    problems = [*missing, *facts.problems, *problems]
    problems += [Problem("channels", note, "warning") for note in (*notes, *unchecked, *_unreadable(prefill))]
    repeated = fields.repeated_tags(LAUNCH.get(TAGS) or "", prefill.spec.tags)
    problems += [Problem("tags", f"The tag {key} is set more than once. Keep one line.") for key in repeated]
    generating = connection.is_sandbox and _demo_data_missing(spec, problems)
    if generating:
        problems = [problem for problem in problems if problem.name not in FROM_DATA]
    labels = next((each.label_attributes for each in facts.manifests.values()), ())
    return CheckedLaunch(spec, tuple(problems), counts, facts.classes, generating, labels)


def _destinations(spec: TrainingSpec) -> tuple[tuple[str, str], ...]:
    """Return the fields with the S3 URIs that the job writes to, as far as they are valid."""
    uris = {"output_uri": spec.output_uri, "checkpoint_uri": spec.checkpoint_uri}
    return tuple((field, uri) for field, uri in uris.items() if S3_URI.fullmatch(uri))


def _spec(prefill: LaunchPrefill) -> TrainingSpec:
    return fields.to_spec(LAUNCH.fields(fields.FIELDS), prefill.spec)


def _list_channels(
    connection: Connection, spec: TrainingSpec
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Return channel -> object keys for every channel with a valid S3 URI, and notes on those that failed."""
    listings = [
        data.channel_keys(connection, channel) for channel in spec.channels if S3_URI.fullmatch(channel.uri)
    ]
    keys = {name: names for listing in listings for name, names in listing.keys.items()}
    return keys, tuple(note for listing in listings for note in listing.notes)


def _fill(name: str, count: int | None) -> None:
    """Set a hyperparameter to the number that was counted, and update it until the user enters another one."""
    field = fields.VALUE_FIELDS[name]
    value, counted = LAUNCH.fields([field, COUNTED[name]]).values()
    if count and value in (None, counted):
        LAUNCH.set(field, count)
        LAUNCH.set(COUNTED[name], count)


def _fill_label(facts: JobData) -> bool:
    """Set the label attribute where the user has not and the manifest has a single one; return whether it was set."""
    names = next((manifest.label_attributes for manifest in facts.manifests.values()), ())
    if len(names) != 1 or LAUNCH.get(fields.LABEL):
        return False
    LAUNCH.set(fields.LABEL, names[0])
    return True


def _unreadable(prefill: LaunchPrefill) -> list[str]:
    values = fields.unreadable(prefill.spec.hyperparameters)
    return [
        f"The original job has {name} {text!r}, which is not a number. It was not copied."
        for name, text in values.items()
    ]


def _demo_data_missing(spec: TrainingSpec, problems: list[Problem]) -> bool:
    """Return whether data is missing that a new sandbox may not have generated yet."""
    missing = any(problem.is_error and problem.name in CONTENT_TYPES for problem in problems)
    return missing and any(channel.uri.startswith(SANDBOX_DATA) for channel in spec.channels)


@dataclass(frozen=True, slots=True)
class Fix:
    """A field of the form, the value that fixes a problem, and the button's label."""

    label: str
    field: str
    value: Any


def fix_for(
    problem: Problem,
    spec: TrainingSpec,
    counts: Mapping[str, int],
    previous: Mapping[str, str] | None = None,
    classes: int | None = None,
    *,
    labels: Sequence[str] = (),
) -> Fix | None:
    """Return the fix for a problem; None where only the user can fix it.

    counts:   channel -> number of its files, for the channels that could be listed.
    previous: hyperparameters of the job that this one continues; None for any other job.
    classes:  number of the dataset's classes; None if unknown.
    labels:   the attributes of the manifest that can be the masks, the most frequent first.
    """
    name = problem.name
    channel = spec.channel(name)
    if channel is not None and channel.is_manifest:
        return _manifest_fix(problem, channel, labels)
    if previous is not None and name in INCREMENTAL_KEYS and effective(previous).get(name):
        return _set(name, effective(previous)[name])
    if name == "num_training_samples" and counts.get("train"):
        return _set(name, str(counts["train"]))
    if name == "num_classes" and classes:
        return _set(name, str(classes))
    if name in BATCHES and counts.get(BATCHES[name]):
        least = max(GPUS.get(spec.instance_type, 1), _whole(spec.hyperparameters.get(name), 16))
        return _set(name, str(min(counts[BATCHES[name]], least)))
    if name == "crop_size" and problem.severity == "note":
        return _set(name, effective(spec.hyperparameters)["crop_size"])
    if name == "lr_scheduler_step":
        return _set(name, _default_steps(_whole(effective(spec.hyperparameters).get("epochs"), 10)))
    if name in spec.hyperparameters and name not in BY_NAME:
        return _without(name, spec.hyperparameters)
    if name in DATA_CHANNELS and problem.message.startswith("The content type"):
        types = {each.name: each.content_type for each in spec.channels}
        return Fix(f"Set to {DATA_CHANNELS[name]}", CONTENT, {**types, name: DATA_CHANNELS[name]})
    return _instance_fix(name, spec)


def _instance_fix(name: str, spec: TrainingSpec) -> Fix | None:
    """Return the fix for a problem with the instance, its volume, or spot capacity."""
    if name == "volume_kms_key" and has_local_storage(spec.instance_type):
        return Fix("Remove the volume KMS key", "volume_kms_key", "")
    if name == "instance_type":
        return Fix(f"Use {INSTANCE}", "instance_type", INSTANCE)
    if name == "checkpoint_uri" and not spec.checkpoint_uri and (uri := checkpoint_prefix(spec)):
        return Fix("Save checkpoints next to the model", "checkpoint_uri", uri)
    if name == "max_wait_seconds" and spec.spot:
        return Fix("Set to max run time", "wait_minutes", spec.max_runtime_seconds / 60)
    return None


def _manifest_fix(problem: Problem, channel: Channel, labels: Sequence[str]) -> Fix | None:
    """Return the fix for a problem with the settings of a channel on an augmented manifest."""
    if problem not in check_manifest_channel(channel, ""):
        missing = labels and channel.label_attribute not in labels
        return Fix(f"Use {labels[0]}", fields.LABEL, labels[0]) if missing else None
    if not problem.is_error:
        return Fix("Shuffle", fields.SHUFFLE, True)
    if labels and channel.label_attribute not in labels:
        return Fix(f"Use {labels[0]}", fields.LABEL, labels[0])
    repaired = manifest_channel(channel.name, channel.uri, channel.label_attribute, shuffle=channel.shuffled)
    if any(other.is_error for other in check_manifest_channel(repaired, "")):
        return None
    return Fix("Use the settings that the algorithm needs", fields.REQUIRED_SETTINGS, True)


def count_files(keys: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return channel -> number of its files, without folder markers. keys: channel -> object keys."""
    return {name: sum(not key.endswith("/") for key in channel) for name, channel in keys.items()}


def _set(name: str, text: str) -> Fix:
    return Fix(f"Set to {text}", VALUE_FIELDS[name], from_text(BY_NAME[name], text))


def _without(name: str, values: Mapping[str, str]) -> Fix:
    others = {key: text for key, text in values.items() if key not in BY_NAME and key != name}
    return Fix(f"Remove {name}", EXTRA, others)


def _default_steps(epochs: int) -> str:
    """Return steps after half and after three quarters of the epochs, such as "7, 10"."""
    return ", ".join(map(str, sorted({max(1, epochs // 2), max(1, epochs * 3 // 4)})))


def _whole(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else default
