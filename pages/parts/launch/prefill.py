"""What the launch form is filled with: defaults, a dataset, a job to clone, or a job to continue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from core.aws.connection import Connection
from core.aws.images import image_uri
from core.training.channels import manifest_channels
from core.training.defaults import default_spec
from core.training.job import TrainingJob, TrainingSpec, clone_spec, continue_spec
from pages.parts import cached, messages, state

MANIFEST_ENDS = (".manifest", ".jsonl")
"""The end of an S3 URI in `data` that is an augmented manifest, not a prefix."""


@dataclass(frozen=True, slots=True)
class LaunchPrefill:
    """What the form is filled with.

    source:   what the spec was made from; a different source fills the form again.
    caption:  Markdown that explains where the values come from.
    previous: hyperparameters of the job to continue; None for any other source.
    """

    source: str
    spec: TrainingSpec
    caption: str
    previous: Mapping[str, str] | None = None


def from_url(connection: Connection) -> LaunchPrefill:
    """Return the prefill that the URL describes. Raises NotFoundError, InputError, AwsError, PendingError."""
    params = state.query((state.CLONE, state.CONTINUE, state.DATA, state.DATA_CLASSES, state.DATA_SAMPLES))
    if name := params.get(state.CONTINUE):
        job, tags_note = _job(connection, name)
        caption = (
            f"Continues from the model of **{messages.plain(name)}**. The network is fixed; "
            f"edit anything else before launch.{tags_note}"
        )
        return LaunchPrefill(f"continue {name}", continue_spec(job, name), caption, job.hyperparameters)
    if name := params.get(state.CLONE):
        job, tags_note = _job(connection, name)
        caption = f"Cloned from **{messages.plain(name)}**. Edit anything before launch.{tags_note}"
        return LaunchPrefill(f"clone {name}", clone_spec(job, name), caption)
    if data := params.get(state.DATA):
        names = (state.DATA_CLASSES, state.DATA_SAMPLES)
        values = {name: params[name] for name in names if params.get(name, "").isdecimal()}
        spec = default_spec(
            image_uri(connection.region), sandbox=connection.is_sandbox, data=data, values=values
        )
        if data.endswith(MANIFEST_ENDS):
            spec = replace(spec, channels=manifest_channels(data, "", "", shuffle=True), input_mode="Pipe")
        caption = f"Trains on the dataset at **{messages.plain(data)}**. Edit anything before launch."
        return LaunchPrefill(f"data {data}", replace(spec, name="segmentation"), caption)
    spec = default_spec(image_uri(connection.region), sandbox=connection.is_sandbox)
    caption = (
        "Train the built-in Amazon SageMaker Semantic Segmentation algorithm on your own images and masks."
    )
    return LaunchPrefill("new", replace(spec, name="segmentation"), caption)


def _job(connection: Connection, name: str) -> tuple[TrainingJob, str]:
    """Return a job with its tags, and a sentence where they cannot be read."""
    job = cached.training_job(connection, name).value
    tags = cached.job_tags(connection, job)
    if tags.waiting is not None:  # the form is filled once, and the tags go into what is launched
        raise tags.waiting
    note = f" Its tags were not copied. {messages.line(tags.failure)}" if tags.failure else ""
    return replace(job, tags=tags.value), note
