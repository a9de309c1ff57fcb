"""List transform jobs and read one: its inputs, its outputs, its log, and what its model's classes are called."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from core.aws.class_names import FoundClasses, find_classes
from core.aws.connection import Clients
from core.aws.endpoint_detail import endpoint_resources
from core.aws.endpoints import read_tags
from core.aws.errors import required
from core.aws.logs import LogToken, TailPage, stream_tail
from core.aws.models import model_with_job
from core.aws.storage import get_bytes, get_start
from core.batch.job import MANIFEST, TransformJob, from_description, from_summary
from core.batch.objects import (
    Inputs,
    StoredObject,
    folder_uri,
    input_key,
    output_key,
    place_inputs,
    read_manifest,
    sort_inputs,
)
from core.batch.prepare import ListedInputs
from core.batch.progress import Progress
from core.batch.results import Failure, ImageResult, failures, read_output
from core.endpoints.endpoint import CLASSES_TAG, classes_uri_for
from core.errors import AwsError, DecodeError, InputError, NotFoundError, TooLargeError
from core.imaging.classes import Classes
from core.imaging.segmentation import Segmentation
from core.s3_uri import split_folder, split_prefix
from core.text import plural
from core.training.log_lines import LogEvent, from_cloudwatch

LOG_GROUP = "/aws/sagemaker/TransformJobs"
PAGE = 100
MAX_PAGES = 10
MAX_OBJECTS = 200_000
MAX_SECONDS = 60.0
MAX_MANIFEST = 64 << 20
MAX_OUTPUT = 200_000_000
HEADER_BYTES = 65_536
SAMPLE = 12
"""Images whose size is read before a start, spread over the listing."""

MAX_LOG_EVENTS = 20_000
STREAMS = 50


@dataclass(frozen=True, slots=True)
class TransformList:
    """Transform jobs, newest first. complete: whether these are all."""

    jobs: tuple[TransformJob, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """Objects below a prefix, keys relative to it. complete: whether these are all."""

    objects: tuple[StoredObject, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Outputs:
    """The outputs of a job.

    objects:  key below the output prefix -> (bytes, when it was written), of those written since its creation.
    complete: whether these are all.
    """

    objects: dict[str, tuple[int, datetime]]
    complete: bool

    def of(self, inputs: Inputs) -> Outputs:
        """Return only the outputs of these inputs: other jobs may write below the same prefix."""
        wanted = {output_key(image.key) for image in inputs.images}
        wanted |= {output_key(skipped.key) for skipped in inputs.skipped}
        kept = {key: row for key, row in self.objects.items() if key in wanted}
        return Outputs(kept, self.complete)

    def progress(self, total: int | None, at: datetime) -> Progress:
        """Return how far the job is. total: its inputs, if known."""
        times = [written for _, written in self.objects.values()]
        return Progress(
            len(times),
            total,
            sum(size for size, _ in self.objects.values()),
            min(times, default=None),
            max(times, default=None),
            at,
        )


def list_transform_jobs(
    clients: Clients, *, status: str = "", text: str = "", pages: int = MAX_PAGES
) -> TransformList:
    """Return the newest transform jobs as summaries, one call per 100. Raises AwsError."""
    doing = "list the transform jobs"
    query: dict[str, Any] = {"SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": PAGE}
    query |= {"StatusEquals": status} if status else {}
    query |= {"NameContains": text} if text else {}
    jobs: dict[str, TransformJob] = {}
    for _ in range(pages):
        with clients.calling(doing):
            answer = clients.lists.list_transform_jobs(**query)
        for row in required(answer, "TransformJobSummaries", doing):
            job = from_summary(row)
            jobs.setdefault(job.name, job)
        if not answer.get("NextToken"):
            return TransformList(tuple(jobs.values()), complete=True)
        query["NextToken"] = answer["NextToken"]
    return TransformList(tuple(jobs.values()), complete=False)


def describe_transform_job(clients: Clients, name: str) -> TransformJob:
    """Return one job. Raises NotFoundError, AwsError."""
    with clients.calling(f"describe the transform job {name}"):
        return from_description(clients.sagemaker.describe_transform_job(TransformJobName=name))


def transform_job_tags(clients: Clients, job: TransformJob, notes: list[str]) -> dict[str, str]:
    """Return a job's tags; empty, with a note, if they may not be read."""
    return read_tags(clients, job.arn, notes, "transform job")


def list_objects(clients: Clients, uri: str, *, most: int = MAX_OBJECTS) -> Listing:
    """Return the objects whose keys begin with an S3 prefix, one call per 1,000. Raises InputError, AwsError.

    Their keys are relative to the prefix; where it does not end in /, to its parent.
    """
    objects: list[StoredObject] = []
    until = time.monotonic() + MAX_SECONDS
    bucket, prefix = split_prefix(uri)
    below = prefix if not prefix or prefix.endswith("/") else prefix[: prefix.rfind("/") + 1]
    for row in _rows(clients, bucket, prefix):
        if len(objects) >= most or time.monotonic() > until:
            return Listing(tuple(objects), complete=False)
        objects.append(StoredObject(row["Key"][len(below) :], row["Size"], row.get("ETag", "").strip('"')))
    return Listing(tuple(objects), complete=True)


def list_outputs(clients: Clients, job: TransformJob) -> Outputs:
    """Return the outputs that a job has written, one call per 1,000 objects. Raises AwsError.

    Older objects under the same prefix belong to another job, and are left out.
    """
    objects: dict[str, tuple[int, datetime]] = {}
    bucket, prefix = split_folder(job.output_uri)
    created = job.created_at.replace(microsecond=0)  # S3 gives whole seconds
    for row in _rows(clients, bucket, prefix):
        written = row["LastModified"].astimezone(UTC)
        if written >= created and input_key(row["Key"]) is not None:
            objects[row["Key"][len(prefix) :]] = (row["Size"], written)
        if len(objects) >= MAX_OBJECTS:
            return Outputs(objects, complete=False)
    return Outputs(objects, complete=True)


def job_inputs(clients: Clients, job: TransformJob) -> tuple[str, Inputs, bool]:
    """Return the prefix of a job's inputs, its images, and whether these are all. Raises InputError, AwsError.

    The images of a manifest are not looked up: their size is 0.
    """
    if job.input_type == MANIFEST:
        text = get_bytes(clients, job.input_uri, max_bytes=MAX_MANIFEST)
        prefix, keys = read_manifest(text, job.input_uri)
        return prefix, Inputs(tuple(StoredObject(key, 0) for key in keys), ()), True
    uri = job.input_uri if job.input_uri.removeprefix("s3://").count("/") else f"{job.input_uri}/"
    listing = list_objects(clients, uri)
    prefix, objects, outside = place_inputs(uri, listing.objects)
    return prefix, sort_inputs(objects, outside), listing.complete


def read_inputs(clients: Clients, uri: str) -> ListedInputs:
    """List the objects below a prefix, and read the size of a few images. Raises InputError, AwsError."""
    uri = folder_uri(uri)
    listing = list_objects(clients, uri)
    inputs = sort_inputs(listing.objects)
    sizes, unread = sample_sizes(clients, uri, inputs.images)
    return ListedInputs(uri, inputs, listing.complete, sizes, unread)


def sample_sizes(
    clients: Clients, uri: str, images: Sequence[StoredObject]
) -> tuple[tuple[tuple[str, int, int], ...], tuple[str, ...]]:
    """Return (key, width, height) of a few images, read from their first bytes; and notes on unreadable ones."""
    step = max(1, len(images) // SAMPLE)
    chosen = images[::step][:SAMPLE]
    with ThreadPoolExecutor(max(1, len(chosen))) as pool:
        answers = list(pool.map(lambda each: _size_of(clients, uri, each.key), chosen))
    sizes = tuple(answer for answer in answers if isinstance(answer, tuple))
    return sizes, tuple(answer for answer in answers if isinstance(answer, str))


def _size_of(clients: Clients, uri: str, key: str) -> tuple[str, int, int] | str:
    from PIL import Image  # noqa: PLC0415 - slow, and only needed before a start

    try:
        start = get_start(clients, f"{folder_uri(uri)}{key}", HEADER_BYTES)
        with Image.open(BytesIO(start), formats=("JPEG",)) as image:
            return key, image.width, image.height
    except (AwsError, InputError) as error:
        return f"{key} was not read. {error}"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return f"{key} is not a readable JPEG image, and will fail."


def read_output_object(clients: Clients, job: TransformJob, key: str) -> bytes:
    """Return the output of an image. key: the image's, below its prefix. Raises NotFoundError, AwsError."""
    bucket, prefix = split_folder(job.output_uri)
    return get_bytes(clients, f"s3://{bucket}/{prefix}{output_key(key)}", max_bytes=MAX_OUTPUT)


def checked_output(
    clients: Clients, job: TransformJob, key: str, classes: Classes | None
) -> tuple[ImageResult, Segmentation] | Failure:
    """Read the output of an image and check it; return why it is not valid. Raises AwsError."""
    try:
        return read_output(key, read_output_object(clients, job, key), job.accept, classes)
    except TooLargeError as error:
        return Failure(key, str(error), too_large=True)
    except (DecodeError, NotFoundError) as error:
        return Failure(key, str(error))


def rejected_images(
    clients: Clients, job: TransformJob, prefix: str, outside: Collection[str] = frozenset()
) -> dict[str, str]:
    """Return the images that the log names as failed, with the reason. Raises AwsError.

    prefix: of the images. outside: see `core.batch.objects.Inputs`.
    """
    return failures(data_log(clients, job.name), *split_prefix(prefix), outside)


def endpoint_model(clients: Clients, endpoint: str) -> str:
    """Return the name of the model that an endpoint serves. Raises InputError where it is not exactly one."""
    variants = endpoint_resources(clients, endpoint).endpoint.variants
    names = list(dict.fromkeys(variant.model for variant in variants if variant.model))
    if len(names) == 1:
        return names[0]
    raise InputError(
        f"The endpoint {endpoint} serves {plural(len(names), 'known model')}.",
        todo=f"Choose a SageMaker model instead: {', '.join(names)}."
        if names
        else "Choose its SageMaker model.",
    )


def model_classes(clients: Clients, model: str) -> FoundClasses:
    """Return the class names of a model: by its tag, or next to its artifact. Raises AwsError.

    A deleted model has none, with a note.
    """
    try:
        found = model_with_job(clients, model)
    except NotFoundError as error:
        return FoundClasses(notes=(f"The class names are unknown. {error}",))
    return find_classes(
        clients, dict.fromkeys((found.tags.get(CLASSES_TAG, ""), classes_uri_for(found.model_uri) or ""))
    )


def data_log(clients: Clients, name: str) -> tuple[LogEvent, ...]:
    """Return the data logs of a job, which name the objects that failed; none before the first. Raises AwsError."""
    events: list[LogEvent] = []
    for stream in transform_streams(clients, name):
        if not stream.endswith("/data-log"):
            continue
        token = ""
        while len(events) < MAX_LOG_EVENTS:
            more = {"nextToken": token} if token else {}
            doing = f"read the log {stream}"
            with clients.calling(doing):
                answer = clients.logs.get_log_events(
                    logGroupName=LOG_GROUP, logStreamName=stream, startFromHead=True, **more
                )
            events += from_cloudwatch(required(answer, "events", doing), stream)
            if required(answer, "nextForwardToken", doing) == token:
                break
            token = answer["nextForwardToken"]
    return tuple(events)


def transform_streams(clients: Clients, name: str) -> tuple[str, ...]:
    """Return the log streams of a job: JOB/INSTANCE, and JOB/INSTANCE/data-log for each. Raises AwsError."""
    doing = f"find the log of {name}"
    query: dict[str, Any] = {
        "logGroupName": LOG_GROUP,
        "logStreamNamePrefix": f"{name}/",
        "limit": STREAMS,
    }
    names: list[str] = []
    while True:
        try:
            with clients.calling(doing):
                answer = clients.logs.describe_log_streams(**query)
        except NotFoundError:
            return tuple(names)  # the account's first job creates the group
        names += [required(row, "logStreamName", doing) for row in required(answer, "logStreams", doing)]
        if not answer.get("nextToken"):
            return tuple(names)
        query["nextToken"] = answer["nextToken"]


def transform_tail(
    clients: Clients, stream: str, *, token: LogToken | None = None, limit: int = MAX_LOG_EVENTS
) -> TailPage:
    """Return the last lines of a stream of a job; with an earlier token, the lines after it. Raises AwsError."""
    return stream_tail(clients, LOG_GROUP, stream, token=token, limit=limit)


def _rows(clients: Clients, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    query: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix}
    doing = f"list s3://{bucket}/{prefix}"
    while True:
        with clients.calling(doing):
            answer = clients.s3.list_objects_v2(**query)
        yield from answer.get("Contents", ())
        if not required(answer, "IsTruncated", doing):
            return
        query["ContinuationToken"] = required(answer, "NextContinuationToken", doing)
