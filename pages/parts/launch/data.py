"""The cached reads of the launch form, shared by all users."""

from __future__ import annotations

from core.aws import training
from core.aws.connection import Connection, clients
from core.aws.training import ChannelKeys
from core.training.channels import Channel
from pages.parts import cached

KEYS_SECONDS = 30


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
