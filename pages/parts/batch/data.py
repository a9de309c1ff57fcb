"""The cached reads of the pages of transform jobs, shared by all users."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from core.aws import batch
from core.aws.batch import Outputs, TransformList
from core.aws.batch_model import artifact_model, job_model
from core.aws.batch_speed import expected_speed
from core.aws.batch_utilization import BatchUtilization, batch_utilization
from core.aws.class_names import FoundClasses
from core.aws.connection import Connection, clients
from core.aws.models import newest_models
from core.batch.filters import BatchFilter
from core.batch.job import TransformJob
from core.batch.objects import Inputs
from core.batch.prepare import ListedInputs
from core.batch.progress import Speed
from core.endpoints.spec import EndpointSpec
from pages.parts import cached, formatting
from pages.parts.log_view import LOG_LINES, JobLog, LogReader
from pages.parts.shared_cache import OptionalPart, Snapshot

MODEL_SECONDS, MODEL_LIMIT = 600, 600.0
"""Seconds that an inspected artifact is cached, and that reading one of several hundred megabytes may take."""

LIST_SECONDS, JOB_SECONDS, ENDED_SECONDS = 15, 4, 60
"""Seconds that the list may be cached; a running job with its outputs; and one that has ended."""

INPUT_SECONDS, CLASS_SECONDS, FORM_SECONDS = 300, 600, 30
"""The same of a job's inputs, which a running job does not change; of class names; of what the form checks."""


@dataclass(frozen=True, slots=True)
class JobInputs:
    """The images of a job. prefix: their S3 URI, which ends in /. complete: whether these are all."""

    prefix: str = ""
    inputs: Inputs = field(default_factory=lambda: Inputs((), ()))
    complete: bool = True


def jobs(connection: Connection, wanted: BatchFilter, pages: int) -> Snapshot[TransformList]:
    """Return the newest transform jobs: one call per 100. Raises AwsError, PendingError."""
    return cached.shelf().read(
        ("transform jobs", connection, wanted, pages),
        lambda: batch.list_transform_jobs(
            clients(connection), status=wanted.status, text=wanted.text, pages=pages
        ),
        LIST_SECONDS,
        "the transform jobs",
    )


def job(connection: Connection, name: str) -> Snapshot[TransformJob]:
    """Return one transform job. Raises NotFoundError, AwsError, PendingError."""
    return cached.shelf().read(
        ("transform job", connection, name),
        lambda: batch.describe_transform_job(clients(connection), name),
        JOB_SECONDS,
        f"the transform job {name}",
    )


def outputs(connection: Connection, job: TransformJob) -> OptionalPart[Outputs]:
    """Return what the job has written: one call per 1,000 objects."""
    return cached.optional(
        ("transform outputs", connection, job.name, job.running),
        lambda: batch.list_outputs(clients(connection), job),
        JOB_SECONDS if job.running else ENDED_SECONDS,
        Outputs({}, complete=True),
        f"the masks of {job.name}",
    )


def inputs(connection: Connection, job: TransformJob) -> OptionalPart[JobInputs]:
    """Return the images of a job: one call per 1,000 objects, or one for a manifest."""
    return cached.optional(
        ("transform inputs", connection, job.name),
        lambda: JobInputs(*batch.job_inputs(clients(connection), job)),
        INPUT_SECONDS,
        JobInputs(),
        f"the images of {job.name}",
    )


def rejected(connection: Connection, job: TransformJob, inputs: JobInputs) -> OptionalPart[dict[str, str]]:
    """Return the images that the job's log names as failed, with the reason."""
    empty: dict[str, str] = {}
    return cached.optional(
        ("transform failures", connection, job.name, inputs.prefix, inputs.inputs.outside, job.running),
        lambda: batch.rejected_images(clients(connection), job, inputs.prefix, inputs.inputs.outside),
        ENDED_SECONDS,
        empty,
        f"the reasons of failed images of {job.name}",
    )


def classes(connection: Connection, job: TransformJob) -> OptionalPart[FoundClasses]:
    """Return the class names of the job's model."""
    return cached.optional(
        ("transform classes", connection, job.model),
        lambda: batch.model_classes(clients(connection), job.model),
        CLASS_SECONDS,
        FoundClasses(),
        f"the class names of {job.model}",
    )


def streams(connection: Connection, job: TransformJob) -> OptionalPart[tuple[str, ...]]:
    """Return the log streams of the job, those of its containers before the data logs."""
    return cached.optional(
        ("transform streams", connection, job.name, job.running),
        lambda: tuple(
            sorted(
                batch.transform_streams(clients(connection), job.name),
                key=lambda stream: (stream.endswith("/data-log"), stream),
            )
        ),
        LIST_SECONDS if job.running else ENDED_SECONDS,
        (),
        f"the log streams of {job.name}",
    )


def utilization(
    connection: Connection, job: TransformJob, streams: tuple[str, ...]
) -> OptionalPart[BatchUtilization]:
    """Return how busy the instances are, one point per minute: one call."""
    return cached.optional(
        ("transform utilization", connection, job.name, job.running, streams),
        lambda: batch_utilization(clients(connection), job, streams, formatting.now()),
        ENDED_SECONDS,
        BatchUtilization(),
        f"the instance metrics of {job.name}",
    )


def log(connection: Connection, job: TransformJob, stream: str) -> OptionalPart[JobLog]:
    """Return one stream of the job's log."""
    reader = LogReader(
        lambda token: batch.transform_tail(clients(connection), stream, token=token, limit=LOG_LINES)
    )
    return cached.optional(
        ("transform log", connection, stream, job.running),
        reader.read,
        JOB_SECONDS if job.running else ENDED_SECONDS,
        JobLog(),
        f"the log of {job.name}",
    )


def listed_inputs(connection: Connection, uri: str) -> ListedInputs:
    """Return the images below a prefix for the form. Raises InputError, AwsError, PendingError."""
    return (
        cached.shelf()
        .read(
            ("batch form inputs", connection, uri),
            lambda: batch.read_inputs(clients(connection), uri),
            FORM_SECONDS,
            f"the images under {uri}",
        )
        .value
    )


def models(connection: Connection) -> OptionalPart[tuple[str, ...]]:
    """Return the names of the newest SageMaker models."""
    return cached.optional(
        ("batch form models", connection),
        lambda: newest_models(clients(connection)),
        FORM_SECONDS,
        (),
        "the models",
    )


def endpoint_model(connection: Connection, endpoint: str) -> str:
    """Return the model that an endpoint serves. Raises InputError, AwsError, PendingError."""
    return (
        cached.shelf()
        .read(
            ("batch form endpoint", connection, endpoint),
            lambda: batch.endpoint_model(clients(connection), endpoint),
            FORM_SECONDS,
            f"the model of {endpoint}",
        )
        .value
    )


def new_model(
    connection: Connection, *, job: str = "", artifact: str = "", role: str = ""
) -> tuple[EndpointSpec, tuple[str, ...]]:
    """Return the model to create from a training job or an artifact, and warnings.

    Raises InputError, ArtifactError, AwsError, PendingError.
    """

    def load() -> tuple[EndpointSpec, tuple[str, ...]]:
        own = clients(connection)
        return job_model(own, job) if job else artifact_model(own, artifact, role)

    key = ("batch form new model", connection, job, artifact, role)
    what = f"the model of {job or artifact}"
    return cached.shelf().read(key, load, MODEL_SECONDS, what, limit=MODEL_LIMIT).value


def speed(
    connection: Connection, model: str, instance_type: str, endpoint: str
) -> OptionalPart[tuple[Speed | None, tuple[str, ...]]]:
    """Return how long an image took in an earlier job of the model, else on the endpoint; and notes."""

    def load() -> tuple[Speed | None, tuple[str, ...]]:
        notes: list[str] = []
        known = expected_speed(
            clients(connection), model, instance_type, endpoint=endpoint, now=formatting.now(), notes=notes
        )
        return known, tuple(notes)

    empty: tuple[Speed | None, tuple[str, ...]] = (None, ())
    key = ("batch form speed", connection, model, instance_type, endpoint)
    return cached.optional(key, load, CLASS_SECONDS, empty, "the seconds per image")


def tags(connection: Connection, job: TransformJob) -> OptionalPart[tuple[dict[str, str], tuple[str, ...]]]:
    """Return the tags of a job, which a copy keeps, and notes on why they are missing."""
    empty: tuple[dict[str, str], tuple[str, ...]] = ({}, ())

    def load() -> tuple[dict[str, str], tuple[str, ...]]:
        notes: list[str] = []
        return batch.transform_job_tags(clients(connection), job, notes), tuple(notes)

    part = cached.optional(
        ("transform tags", connection, job.name), load, INPUT_SECONDS, empty, f"the tags of {job.name}"
    )
    if part.failure is None:
        return part
    known, notes = part.value
    return replace(part, value=(known, (*notes, f"The tags of {job.name} may be incomplete. {part.failure}")))
