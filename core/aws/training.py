"""List training jobs with Search, read one, and list the objects of its channels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.aws.connection import Clients
from core.aws.errors import required
from core.errors import (
    AwsError,
    CredentialsError,
    DeniedError,
    InputError,
    NotFoundError,
    RejectedError,
    TimedOutError,
    UnreachableError,
)
from core.training.channels import MODEL_CHANNEL, S3_PREFIX, Channel, folder
from core.training.filters import JobFilter
from core.training.hyperparameters import Problem
from core.training.job import TrainingJob, from_description

MAX_PAGES = 10
MAX_SECONDS = 20.0
MAX_KEYS = 20_000
ONLY_SUMMARIES = "Only names, statuses and times of the jobs are shown."
FROM_INDEX = "This is from SageMaker's search index, which can be a few seconds behind."


@dataclass(frozen=True, slots=True)
class JobPage:
    """One page of jobs.

    next_token: the token for the next page; None on the last.
    total:      how many jobs match in all; None if AWS does not report it.
    exact:      whether the total is exact, or a minimum.
    """

    jobs: tuple[TrainingJob, ...]
    next_token: str | None
    total: int | None
    exact: bool = True


@dataclass(frozen=True, slots=True)
class JobList:
    """Jobs of several pages.

    complete: whether these are all.
    notes:    sentences on what could not be read.
    """

    jobs: tuple[TrainingJob, ...]
    total: int | None
    complete: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyList:
    """Keys of objects. complete: whether these are all."""

    keys: tuple[str, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class ChannelKeys:
    """The object keys for `core.training.preflight.preflight`.

    keys:  channel -> its objects' keys; a channel that could not be listed completely is left out.
    notes: sentences about those.
    """

    keys: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]


def search_jobs(clients: Clients, job_filter: JobFilter, *, next_token: str | None = None) -> JobPage:
    """Return a page of up to 100 jobs with all that DescribeTrainingJob returns, by one call. Raises AwsError.

    Search finds a new job some seconds after its start.
    """
    doing = "list the training jobs"
    with clients.calling(doing):
        answer = clients.lists.search(**job_filter.to_search(next_token=next_token))
    rows = [row["TrainingJob"] for row in required(answer, "Results", doing) if row.get("TrainingJob")]
    hits = answer.get("TotalHits") or {}
    return JobPage(
        jobs=tuple(map(from_description, rows)),
        next_token=answer.get("NextToken") or None,
        total=hits.get("Value"),
        exact=hits.get("Relation", "EqualTo") == "EqualTo",
    )


def list_jobs(clients: Clients, job_filter: JobFilter, *, next_token: str | None = None) -> JobPage:
    """Return a page of up to 100 jobs by one ListTrainingJobs call, as summaries. Raises AwsError.

    A page can have fewer jobs than there are, even none, and still have a next one: some filters apply afterwards.
    """
    doing = "list the training jobs"
    with clients.calling(doing):
        answer = clients.lists.list_training_jobs(**job_filter.to_list(next_token=next_token))
    rows = required(answer, "TrainingJobSummaries", doing)
    jobs = [replace(from_description(row), summary=True) for row in rows]
    return JobPage(
        jobs=tuple(job for job in jobs if job_filter.matches(job.status, job.created_at)),
        next_token=answer.get("NextToken") or None,
        total=None,
    )


def all_jobs(
    clients: Clients, job_filter: JobFilter, *, pages: int = MAX_PAGES, seconds: float = MAX_SECONDS
) -> JobList:
    """Return the jobs, with at most this many calls and seconds; a job that moved between pages is listed once.

    Where Search is denied or does not accept a filter, ListTrainingJobs is called instead, and notes say what is
    missing then. Raises AwsError.
    """
    try:
        return _all_pages(search_jobs, clients, job_filter, pages, seconds)
    except (DeniedError, RejectedError) as error:
        try:
            listing = _all_pages(list_jobs, clients, job_filter, pages, seconds)
        except (DeniedError, RejectedError):
            raise error from None  # Search is what a policy should allow
        return replace(listing, notes=(f"{ONLY_SUMMARIES} {error}", *job_filter.not_listed()))


ReadPage = Callable[..., JobPage]


def _all_pages(
    read: ReadPage, clients: Clients, job_filter: JobFilter, pages: int, seconds: float
) -> JobList:
    jobs: dict[str, TrainingJob] = {}
    token, total = None, None
    until = time.monotonic() + seconds
    for _ in range(pages):
        page = read(clients, job_filter, next_token=token)
        jobs |= {job.name: job for job in page.jobs if job.name not in jobs}
        token, total = page.next_token, page.total if total is None else total
        if token is None or time.monotonic() > until:
            break
    return JobList(tuple(jobs.values()), total, complete=token is None)


def describe_job(clients: Clients, name: str) -> TrainingJob:
    """Return one job's current state, without tags. Raises NotFoundError, AwsError.

    Where DescribeTrainingJob is denied, the job is searched for, and a note says so.
    """
    try:
        with clients.calling(f"describe the training job {name}"):
            answer = clients.sagemaker.describe_training_job(TrainingJobName=name)
    except DeniedError as error:
        job = _searched_job(clients, "TrainingJobName", name)
        if job is None:
            raise
        return replace(job, notes=(f"{FROM_INDEX} {error}",))
    return from_description(answer)


def _searched_job(clients: Clients, field: str, value: str) -> TrainingJob | None:
    """Return the job by Search; None where there is none, or where Search is denied too."""
    try:
        return _search_one(clients, field, value, f"find the training job {value}")
    except (DeniedError, RejectedError):
        return None  # the caller raises the first error, which names the operation that is needed


def _search_one(clients: Clients, field: str, value: str, doing: str) -> TrainingJob | None:
    filters = [{"Name": field, "Operator": "Equals", "Value": value}]
    with clients.calling(doing):
        answer = clients.lists.search(
            Resource="TrainingJob", SearchExpression={"Filters": filters}, MaxResults=1
        )
    rows = required(answer, "Results", doing)
    return from_description(rows[0]["TrainingJob"]) if rows else None


def job_for_artifact(clients: Clients, model_uri: str) -> TrainingJob | None:
    """Return the job that created this artifact, by one Search; None if there is none. Raises AwsError."""
    doing = f"find the training job that created {model_uri}"
    return _search_one(clients, "ModelArtifacts.S3ModelArtifacts", model_uri, doing)


def job_tags(clients: Clients, job: TrainingJob) -> dict[str, str]:
    """Return a job's tags, which DescribeTrainingJob does not include. Raises AwsError."""
    doing = f"read the tags of {job.name}"
    with clients.calling(doing):
        answer = clients.sagemaker.list_tags(ResourceArn=job.arn, MaxResults=100)
    return {
        required(row, "Key", doing): required(row, "Value", doing) for row in required(answer, "Tags", doing)
    }


def list_channel_keys(
    clients: Clients, uri: str, *, cap: int = MAX_KEYS, seconds: float = MAX_SECONDS
) -> KeyList:
    """Return the keys that begin with an S3 URI, up to `cap`. Raises InputError for the URI, AwsError."""
    bucket, prefix = _bucket_and_prefix(uri)
    query: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix}
    keys: list[str] = []
    until = time.monotonic() + seconds
    doing = f"list {uri}"
    while len(keys) < cap and time.monotonic() < until:
        with clients.calling(doing):
            answer = clients.s3.list_objects_v2(**query, MaxKeys=min(1000, cap - len(keys)))
        keys += [row["Key"] for row in answer.get("Contents", ())]
        if not required(answer, "IsTruncated", doing):
            return KeyList(tuple(keys), complete=True)
        query["ContinuationToken"] = required(answer, "NextContinuationToken", doing)
    return KeyList(tuple(keys), complete=False)


NO_ANSWER = (CredentialsError, TimedOutError, UnreachableError)
"""Errors that every other call would have too, each after its own timeout."""


def list_channels(clients: Clients, channels: Iterable[Channel], *, cap: int = MAX_KEYS) -> ChannelKeys:
    """List the objects of a job's channels before launch.

    Channels that cannot be listed (a manifest of names, too many objects, no permission) get a note. Augmented
    manifests are left out: `core.aws.manifests` reads them.
    """
    keys: dict[str, tuple[str, ...]] = {}
    notes: list[str] = []
    for channel in channels:
        if channel.is_manifest:
            continue
        if channel.data_type != S3_PREFIX:
            notes.append(f"The channel {channel.name} was not checked: it reads a {channel.data_type}.")
            continue
        uri = channel.uri if channel.name == MODEL_CHANNEL else folder(channel.uri)
        try:
            listing = list_channel_keys(clients, uri, cap=cap)
        except NotFoundError:  # the bucket: a prefix without objects is an empty list
            keys[channel.name] = ()
            notes.append(_no_bucket(clients, uri))
            continue
        except (AwsError, InputError) as error:
            notes.append(f"The channel {channel.name} was not checked. {error}")
            if isinstance(error, NO_ANSWER):
                notes.append("The channels after it were not checked either: each would take as long.")
                break
            continue
        if listing.complete:
            keys[channel.name] = listing.keys
        else:
            notes.append(
                f"The channel {channel.name} was not checked: it has more than {len(listing.keys):,} objects."
            )
    return ChannelKeys(keys, tuple(dict.fromkeys(notes)))


def find_missing_bucket(clients: Clients, uri: str) -> str:
    """Return a sentence if the bucket of an S3 URI does not exist; empty if it does. Raises InputError, AwsError."""
    try:
        list_channel_keys(clients, uri, cap=1)
    except NotFoundError:
        return _no_bucket(clients, uri)
    return ""


def _no_bucket(clients: Clients, uri: str) -> str:
    bucket, _ = _bucket_and_prefix(uri)
    return f"Could not find the bucket {bucket}. Create it in {clients.connection.region}, or correct the S3 URI."


def check_buckets(clients: Clients, uris: Mapping[str, str]) -> tuple[list[Problem], tuple[str, ...]]:
    """Return an error for each field of a job whose bucket does not exist, and notes on what was not checked.

    uris: field, such as "output_uri" -> S3 URI; an empty one is skipped.
    """
    problems: list[Problem] = []
    notes: list[str] = []
    for field, uri in uris.items():
        try:
            if uri.startswith("s3://") and (missing := find_missing_bucket(clients, uri)):
                problems.append(Problem(field, missing))
        except InputError:
            continue  # the checks of the request itself report it
        except AwsError as error:
            notes.append(f"Segdeck did not check whether the bucket of {uri} exists. {error}")
            if isinstance(error, NO_ANSWER):
                break
    return problems, tuple(notes)


def _bucket_and_prefix(uri: str) -> tuple[str, str]:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise InputError(f"{uri!r} is not an S3 URI.", todo="Use the form s3://bucket/folder/.")
    return bucket, prefix
