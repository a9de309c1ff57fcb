"""Endpoints of a sandbox in the process of a test."""

from __future__ import annotations

from sandbox.server import Sandbox
from tests.support.patience import SECONDS


def remove_endpoint(sandbox: Sandbox, name: str) -> None:
    """Delete an endpoint, its configuration and its model, if they still exist."""
    sandbox.wait_settled(SECONDS)
    sagemaker = sandbox.loopback.client("sagemaker")
    calls = (
        (sagemaker.delete_endpoint, "EndpointName"),
        (sagemaker.delete_endpoint_config, "EndpointConfigName"),
        (sagemaker.delete_model, "ModelName"),
    )
    for call, member in calls:
        try:
            call(**{member: name})
        except sagemaker.exceptions.ClientError as error:
            if "Could not find" not in str(error) and "in-progress" not in str(error):  # it is being deleted
                raise
