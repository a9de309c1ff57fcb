"""List the newest SageMaker Models, and read one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.aws.connection import Clients
from core.aws.endpoints import read_tags
from core.aws.errors import required
from core.endpoints.detail import Model
from core.endpoints.endpoint import JOB_TAG, MODEL_NOT_REQUESTED, container_of

PAGE = 100


def newest_models(clients: Clients) -> tuple[str, ...]:
    """Return the names of the newest hundred, newest first, by one call. Raises AwsError."""
    doing = "list the models"
    with clients.calling(doing):
        answer = clients.sagemaker.list_models(SortBy="CreationTime", SortOrder="Descending", MaxResults=PAGE)
    return tuple(required(row, "ModelName", doing) for row in required(answer, "Models", doing))


def describe_model(clients: Clients, name: str) -> Model:
    """Return one model without its training job. Raises NotFoundError, AwsError."""
    with clients.calling(f"describe the model {name}"):
        answer = clients.sagemaker.describe_model(ModelName=name)
    container: Mapping[str, Any] = answer.get("PrimaryContainer") or next(
        iter(answer.get("Containers", [])), {}
    )
    image, model_uri = container_of(answer)
    return Model(
        name=name,
        arn=answer.get("ModelArn", ""),
        image=image,
        model_uri=model_uri,
        role_arn=answer.get("ExecutionRoleArn", ""),
        created_at=answer.get("CreationTime"),
        environment=container.get("Environment", {}),
        request={key: value for key, value in answer.items() if key not in MODEL_NOT_REQUESTED},
    )


def model_with_job(clients: Clients, name: str) -> Model:
    """Return one model with the job in its tag; without it if the tags may not be read."""
    model = describe_model(clients, name)
    tags = read_tags(clients, model.arn, [])
    return replace(model, job=tags.get(JOB_TAG, ""), tags=tags)
