"""The model that a batch creates first, from a training job or from an artifact in S3: inspected, not yet created."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.aws.artifacts import inspect_s3_artifact
from core.aws.class_names import class_uris_of_job, find_classes
from core.aws.connection import Clients
from core.aws.images import image_uri
from core.aws.training import describe_job, job_tags
from core.endpoints.endpoint import classes_uri_for
from core.endpoints.spec import EndpointSpec, endpoint_name
from core.errors import DeniedError, RejectedError
from core.plans.model_source import base_name, class_count_mismatch, missing_model


def job_model(clients: Clients, name: str) -> tuple[EndpointSpec, tuple[str, ...]]:
    """Return a spec with the model of a training job, and warnings. Raises InputError, ArtifactError, AwsError."""
    job = describe_job(clients, name)
    notes: list[str] = list(job.notes)
    try:
        job = replace(job, tags=job_tags(clients, job))
    except (DeniedError, RejectedError) as error:
        notes.append(str(error))
    if job.model_uri is None:
        raise missing_model(job)
    settings = job.security.model_settings
    more = {"image": job.image, "role_arn": job.role_arn, "job": job.name, "model_settings": settings}
    spec, warnings = _model_at(clients, job.model_uri, class_uris_of_job(job), job.name, more)
    return spec, (*notes, *warnings)


def artifact_model(clients: Clients, uri: str, role_arn: str) -> tuple[EndpointSpec, tuple[str, ...]]:
    """Return a spec with a `model.tar.gz` in S3, and warnings. Raises InputError, ArtifactError, AwsError."""
    more = {"image": image_uri(clients.connection.region), "role_arn": role_arn}
    return _model_at(clients, uri, (classes_uri_for(uri) or "",), base_name(uri), more)


def _model_at(
    clients: Clients, uri: str, class_uris: tuple[str, ...], name: str, more: dict[str, Any]
) -> tuple[EndpointSpec, tuple[str, ...]]:
    artifact = inspect_s3_artifact(clients, uri)
    if (refusal := artifact.refusal(sandbox=clients.connection.is_sandbox)) is not None:
        raise refusal
    names = find_classes(clients, class_uris)
    warnings = (*artifact.warnings, *names.notes, class_count_mismatch(artifact, names.classes))
    spec = EndpointSpec(
        name=endpoint_name(name), instance_type="", model_uri=uri, classes_uri=names.uri, **more
    )
    return spec, tuple(filter(None, warnings))
