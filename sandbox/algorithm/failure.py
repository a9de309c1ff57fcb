"""Errors that end a training job because of its input, in AWS's words."""

from __future__ import annotations

EXIT_CLIENT_ERROR = 2
"""Exit code of a program that refuses its input."""


class ClientError(Exception):
    """A hyperparameter, a channel or a file is invalid; the text becomes the job's FailureReason.

    SageMaker calls it ClientError.
    """


def invalid_hyperparameters(cause: str) -> ClientError:
    """Return an error worded as AWS's containers word it ("Common Information About Built-in Algorithms")."""
    return ClientError(
        "Unable to initialize the algorithm. Failed to validate hyperparameters. (caused by ValidationError)"
        f"\n\nCaused by: {cause}"
    )


def invalid_channels(cause: str) -> ClientError:
    """Return the corresponding error for the channels."""
    return ClientError(
        "Unable to initialize the algorithm. Failed to validate input data configuration. "
        f"(caused by ValidationError)\n\nCaused by: {cause}"
    )
