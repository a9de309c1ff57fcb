"""The cached reads of the launch form, shared by all users."""

from __future__ import annotations

from core.aws import training
from core.aws.connection import Connection, clients
from core.aws.training import ChannelKeys
from core.training.channels import Channel
from core.training.hyperparameters import Problem
from pages.parts import cached

KEYS_SECONDS = 30


def bucket_problems(
    connection: Connection, uris: tuple[tuple[str, str], ...]
) -> tuple[list[Problem], tuple[str, ...]]:
    """Return an error for each field whose bucket does not exist, and notes. uris: fields with their S3 URIs."""
    return (
        cached.shelf()
        .read(
            ("buckets", connection, uris),
            lambda: training.check_buckets(clients(connection), dict(uris)),
            KEYS_SECONDS,
            "the check of the buckets",
        )
        .value
    )


def channel_keys(connection: Connection, channel: Channel) -> ChannelKeys:
    """Return the object keys of a channel; where they cannot be listed, a note explains why."""
    return (
        cached.shelf()
        .read(
            ("keys", connection, channel),
            lambda: training.list_channels(clients(connection), [channel]),
            KEYS_SECONDS,
            f"the list of files of the channel {channel.name}",
        )
        .value
    )
