"""How long an image takes, measured in AWS: in an earlier transform job of a model, or on its endpoint."""

from __future__ import annotations

from datetime import datetime

from core.aws.batch import describe_transform_job, job_inputs, list_outputs, list_transform_jobs
from core.aws.connection import Clients
from core.aws.endpoints import describe_endpoint
from core.aws.traffic import service
from core.batch.job import TransformJob
from core.batch.progress import Speed
from core.cost.batch import speed_of
from core.errors import AwsError, CredentialsError, InputError, NotFoundError, ThrottledError

JOBS = 10
"""Completed jobs that are described, because a list does not name their models."""


def expected_speed(
    clients: Clients, model: str, instance_type: str, *, endpoint: str, now: datetime, notes: list[str]
) -> Speed | None:
    """Return how long an image took in an earlier job of the model, else on the endpoint; None if unknown.

    model, endpoint: empty for none. notes: gets a sentence about each source that could not be read. Raises
    CredentialsError, ThrottledError.
    """
    try:
        if model and (speed := earlier_speed(clients, model, instance_type)):
            return speed
    except (CredentialsError, ThrottledError):
        raise
    except AwsError as error:
        notes.append(f"The speed of earlier jobs is unknown. {error}")
    try:
        return endpoint_speed(clients, endpoint, now) if endpoint else None
    except (CredentialsError, ThrottledError):
        raise
    except AwsError as error:
        notes.append(f"The speed of {endpoint} is unknown. {error}")
        return None


def earlier_speed(clients: Clients, model: str, instance_type: str) -> Speed | None:
    """Return how long an image took in the newest completed job of a model; None without one. Raises AwsError.

    One with the same instance type is preferred. Of the newest hundred jobs, those named after the model come first,
    and at most `JOBS` are described.
    """
    jobs = list(list_transform_jobs(clients, status="Completed", pages=1).jobs)
    jobs.sort(key=lambda job: not job.name.startswith(f"{model}-"))
    best: TransformJob | None = None
    for summary in jobs[:JOBS]:
        job = describe_transform_job(clients, summary.name)
        if job.model != model:
            continue
        if job.instance_type == instance_type:
            best = job
            break
        best = best or job
    return None if best is None else speed_of(best, own_outputs(clients, best))


def endpoint_speed(clients: Clients, endpoint: str, now: datetime) -> Speed | None:
    """Return how long an image took on the endpoint in the last 24 hours; None if unknown. Raises AwsError."""
    quality = service(clients, [describe_endpoint(clients, endpoint)], now).get(endpoint)
    if quality is None or quality.p50_ms is None:
        return None
    seconds = quality.p50_ms / 1000
    return Speed(seconds, f"{seconds:.2f} s per image, the median of {endpoint} in the last 24 hours.")


def own_outputs(clients: Clients, job: TransformJob) -> int:
    """Return how many outputs a job has written; those of other jobs below its prefix too if its inputs are gone."""
    outputs = list_outputs(clients, job)
    try:
        _, inputs, complete = job_inputs(clients, job)
    except (NotFoundError, InputError):
        return len(outputs.objects)
    return len((outputs.of(inputs) if complete and inputs.images else outputs).objects)
