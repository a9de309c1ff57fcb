"""The cached reads of the launch form, shared by all users."""

from __future__ import annotations

from collections.abc import Mapping

from core.aws import training
from core.aws.connection import Connection, clients
from core.aws.job_data import JobData, read_job_data
from core.aws.training import ChannelKeys
from core.training.channels import Channel
from core.training.filters import JobFilter
from core.training.hyperparameters import Problem, effective
from core.training.job import TrainingJob, TrainingSpec
from pages.parts import cached, formatting
from pages.parts.shared_cache import OptionalPart

KEYS_SECONDS = 30
HISTORY_SECONDS = 300


def past_jobs(connection: Connection, spec: TrainingSpec) -> OptionalPart[tuple[TrainingJob, ...]]:
    """Return the account's newest jobs, for the forecast of a spot job; none for any other job."""
    if not spec.spot:
        return OptionalPart((), formatting.now())
    return cached.optional(
        ("past jobs", connection),
        lambda: training.all_jobs(clients(connection), JobFilter(), pages=1).jobs,
        HISTORY_SECONDS,
        (),
        "the spot jobs of the account",
    )


def job_data(connection: Connection, spec: TrainingSpec, keys: Mapping[str, tuple[str, ...]]) -> JobData:
    """Return the number of classes, the sizes of images and the manifests, as far as the checks need them."""
    algorithm = effective(spec.hyperparameters).get("algorithm")
    first = keys.get("validation", ())[:1]
    return (
        cached.shelf()
        .read(
            ("job data", connection, spec.channels, algorithm, first),
            lambda: read_job_data(clients(connection), spec, keys),
            KEYS_SECONDS,
            "the classes of the dataset",
        )
        .value
    )


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
