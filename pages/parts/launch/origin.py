"""What the launch form begins with: nothing, a job to clone, or a job to go on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from core.aws.connection import Connection
from core.aws.images import image_uri
from core.training.defaults import first_spec
from core.training.job import TrainingJob, TrainingSpec, clone_spec, continue_spec
from pages.parts import cached, messages, state


@dataclass(frozen=True, slots=True)
class LaunchPrefill:
    """What the form begins with.

    source:   what it was made from; another one fills the form anew.
    previous: hyperparameters of the job that the new one goes on from.
    """

    source: str
    spec: TrainingSpec
    said: str
    previous: Mapping[str, str] | None = None


def ask(connection: Connection) -> LaunchPrefill:
    """A job to clone, one to go on from, or nothing. Raises NotFoundError, InputError, AwsError."""
    asked = state.query((state.CLONE, state.CONTINUE, state.DATA, state.DATA_CLASSES, state.DATA_SAMPLES))
    if name := asked.get(state.CONTINUE):
        job, lost = _job(connection, name)
        said = f"Goes on from the model of **{messages.plain(name)}**: the network stays, the rest is yours.{lost}"
        return LaunchPrefill(f"continue {name}", continue_spec(job, name), said, job.hyperparameters)
    if name := asked.get(state.CLONE):
        job, lost = _job(connection, name)
        said = f"As **{messages.plain(name)}** was, under a new name. Change what you like.{lost}"
        return LaunchPrefill(f"clone {name}", clone_spec(job, name), said)
    if data := asked.get(state.DATA):
        names = (state.DATA_CLASSES, state.DATA_SAMPLES)
        values = {name: asked[name] for name in names if asked.get(name, "").isdecimal()}
        spec = first_spec(
            image_uri(connection.region), sandbox=connection.is_sandbox, data=data, values=values
        )
        said = f"On the data set at **{messages.plain(data)}**. Change what you like."
        return LaunchPrefill(f"data {data}", replace(spec, name="segmentation"), said)
    spec = first_spec(image_uri(connection.region), sandbox=connection.is_sandbox)
    said = "AWS's semantic segmentation algorithm on your own pictures and masks."
    return LaunchPrefill("new", replace(spec, name="segmentation"), said)


def _job(connection: Connection, name: str) -> tuple[TrainingJob, str]:
    """A job with its tags; where they cannot be read, a sentence on that."""
    job = cached.training_job(connection, name).value
    tags = cached.job_tags(connection, job)
    if tags.waiting is not None:  # the form is filled once, and the tags go into what is launched
        raise tags.waiting
    lost = f" Its tags are left out. {messages.line(tags.failure)}" if tags.failure else ""
    return replace(job, tags=tags.value), lost
