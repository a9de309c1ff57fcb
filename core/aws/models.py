"""SageMaker's Models: the newest of them, and one."""

from __future__ import annotations

from core.aws.connection import Clients
from core.aws.errors import required
from core.endpoint_detail import Model
from core.endpoints import JOB_TAG, container_of

PAGE = 100


def newest_models(clients: Clients) -> tuple[str, ...]:
    """The names of the newest hundred, newest first, by one call. Raises AwsError."""
    doing = "list the models"
    with clients.calling(doing):
        answer = clients.sagemaker.list_models(SortBy="CreationTime", SortOrder="Descending", MaxResults=PAGE)
    return tuple(row["ModelName"] for row in required(answer, "Models", doing))


def describe_model(clients: Clients, name: str) -> Model:
    """One model with the job it came from, where a tag says so. Raises NotFoundError, AwsError."""
    doing = f"look at the model {name}"
    with clients.calling(doing):
        answer = clients.sagemaker.describe_model(ModelName=name)
    arn = required(answer, "ModelArn", doing)
    with clients.calling(f"read the tags of the model {name}"):
        tags = clients.sagemaker.list_tags(ResourceArn=arn, MaxResults=PAGE).get("Tags", [])
    image, model_uri = container_of(answer)
    return Model(
        name=name,
        arn=arn,
        image=image,
        model_uri=model_uri,
        role_arn=answer.get("ExecutionRoleArn", ""),
        created_at=answer.get("CreationTime"),
        environment=(answer.get("PrimaryContainer") or {}).get("Environment", {}),
        job=next((tag["Value"] for tag in tags if tag["Key"] == JOB_TAG), ""),
    )
