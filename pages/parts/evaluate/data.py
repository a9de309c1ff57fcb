"""What the Evaluate page reads from AWS, shared by all its users."""

from __future__ import annotations

from core.aws import evaluation
from core.aws.connection import Connection, clients
from core.endpoints.endpoint import EndpointInfo
from core.training.job import TrainingJob
from pages.parts import cached


def training_job(connection: Connection, endpoint: EndpointInfo) -> TrainingJob | None:
    """Return the training job behind an endpoint's model; None where it is unknown. Raises AwsError, PendingError."""
    read = cached.shelf().read(
        ("job behind", connection, endpoint),
        lambda: evaluation.job_behind(clients(connection), endpoint),
        cached.SERVING_SECONDS,
        f"the training job behind {endpoint.name}",
    )
    return read.value
