"""All caches of the dashboard, as thin wrappers. The key is always the frozen `Connection`, never a client.

All of them are bounded, by age or number of entries. Errors are not cached: the next run reads again.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Generic, TypeVar

import streamlit as st
from PIL import Image

from core.accounts import AccountChoice
from core.aws import metrics, training
from core.aws import prices as price_list
from core.aws.accounts import ChosenAccount, choices, choose
from core.aws.connection import Connection, clients
from core.aws.endpoints import endpoint_info_without_classes, listed_endpoints, with_class_names
from core.aws.evaluation import validation_images
from core.aws.identity import Caller, whoami
from core.aws.storage import get_bytes
from core.aws.training import JobList
from core.cost.training import PriceTable, shipped_prices
from core.datasets.preview import opened_pair
from core.datasets.source import Dataset, Sample
from core.endpoints.endpoint import EndpointInfo, EndpointList
from core.errors import AwsError, CoreError, InputError, NotFoundError
from core.imaging.classes import Classes
from core.imaging.image import encode, image_share, open_image, resize_labels, shrunk
from core.render.overlay import overlay_image
from core.render.palette import table
from core.settings import Settings
from core.strict_json import parse_json
from core.training.curves import MetricSeries
from core.training.filters import JobFilter
from core.training.job import TrainingJob
from pages.parts import formatting
from pages.parts.derived import DerivedValues
from pages.parts.shared_cache import OptionalPart, PendingError, Snapshot, StaleCache

T = TypeVar("T")

THUMBNAIL = (320, 240)
"""Twice the displayed size, for high-density screens; (width, height)."""


ENDPOINTS_SECONDS, SERVING_SECONDS, CALLER_SECONDS = 15, 60, 600
JOB_EXAMPLES = 6
"""Validation images that are offered for a model without examples."""

EXAMPLES_SECONDS, PRICES_SECONDS = 3600, 86_400
"""Seconds that these may be cached."""

ACCOUNTS = 32
"""Accounts and regions that are cached at the same time."""

READS_OF_ONE = 16
"""Reads of one account that are cached at the same time, on average."""

FRAME_PATIENCE = 0.2
"""Seconds that a page waits for the identity in its frame."""

JOBS_SECONDS, OLD_JOBS_SECONDS = 15, 300
"""Seconds that the newest hundred jobs may be cached, and the older ones, which hardly change."""

JOB_SECONDS, JOB_TAGS_SECONDS = 4, 300
"""Seconds that one job may be cached while it runs; and its tags."""

SETTLED, SETTLED_SECONDS = timedelta(minutes=10), 3600
"""Time after a job's end until all its metrics have arrived; then they are read at most once per hour (seconds)."""


@dataclass(frozen=True, slots=True)
class ByJob(Generic[T]):
    """Values of several training jobs.

    found: job name -> value, for jobs that have one.
    notes: sentences on what could not be read.
    """

    found: dict[str, T]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """A sample image that an endpoint's owner stored next to the model.

    uri: in S3. title, note: shown to the user.
    """

    uri: str
    title: str
    note: str


@st.cache_resource(show_spinner=False)
def singleton(name: str, _make: Callable[[], T]) -> T:  # noqa: ARG001  # the key
    """Return an object of which this process has one, made when first needed. name: unique."""
    return _make()


@st.cache_resource(max_entries=ACCOUNTS, show_spinner=False)
def of_connection(name: str, connection: Connection, _make: Callable[[], T]) -> T:  # noqa: ARG001  # the key
    """Return an object of which each connection has one, made when first needed. name: unique."""
    return _make()


@st.cache_resource(ttl="5m", max_entries=ACCOUNTS, show_spinner=False)
def account(settings: Settings, choice: AccountChoice, sandbox: Connection | None) -> ChosenAccount:
    """Return the connection of a chosen account and region. Raises SettingsError."""
    return choose(settings, choice, sandbox=sandbox)


@st.cache_data(ttl="15s", max_entries=4, show_spinner=False)
def account_choices(settings: Settings, *, sandbox: bool) -> tuple[AccountChoice, ...]:
    """Return the accounts that can be chosen. Raises SettingsError."""
    return choices(settings, sandbox=sandbox)


def endpoints(connection: Connection) -> EndpointList:
    """Return all endpoints, newest first. Raises AwsError, PendingError."""
    return (
        shelf()
        .read(
            ("endpoints", connection),
            lambda: listed_endpoints(clients(connection)),
            ENDPOINTS_SECONDS,
            "the list of endpoints",
        )
        .value
    )


def unnamed(connection: Connection, name: str) -> EndpointInfo:
    """Return one endpoint without its class names. Raises NotFoundError, AwsError, PendingError."""
    reading = shelf().read(
        ("serving", connection, name),
        lambda: endpoint_info_without_classes(clients(connection), name),
        SERVING_SECONDS,
        f"the endpoint {name}",
    )
    if isinstance(reading.failure, NotFoundError):
        raise reading.failure
    return reading.value


def with_names(connection: Connection, serving: EndpointInfo) -> EndpointInfo:
    """Return the endpoint with its class names, or with a note on why they cannot be read. Raises PendingError."""
    try:
        return (
            shelf()
            .read(
                ("class names", connection, serving),
                lambda: with_class_names(clients(connection), serving),
                SERVING_SECONDS,
                f"the class names of {serving.name}",
            )
            .value
        )
    except AwsError as error:
        return replace(serving, notes=(*serving.notes, f"The class names cannot be read. {error}"))


def caller(connection: Connection) -> Caller | CoreError | PendingError:
    """Return the caller's identity, or the error instead: the frame must be drawn without it."""
    try:
        return (
            shelf()
            .read(
                ("caller", connection),
                lambda: whoami(clients(connection)),
                CALLER_SECONDS,
                "the identity behind these credentials",
                patience=FRAME_PATIENCE,
            )
            .value
        )
    except (CoreError, PendingError) as error:
        return error


def examples(connection: Connection, uri: str) -> tuple[tuple[Example, bytes], ...]:
    """Return the examples of an endpoint, each with its thumbnail. Raises InputError, AwsError, PendingError."""
    return (
        shelf()
        .read(
            ("examples", connection, uri),
            lambda: tuple(
                (example, example_thumbnail(connection, example.uri))
                for example in _examples(connection, uri)
            ),
            EXAMPLES_SECONDS,
            "the endpoint's examples",
        )
        .value
    )


@dataclass(frozen=True, slots=True)
class JobExamples:
    """Validation images of the training job behind an endpoint's model.

    job:    its name; empty if unknown.
    images: each with its thumbnail.
    notes:  sentences about images that cannot be read.
    """

    job: str
    images: tuple[tuple[Example, bytes], ...]
    notes: tuple[str, ...] = ()


def job_examples(connection: Connection, endpoint: EndpointInfo) -> JobExamples:
    """Return validation images that fit the endpoint's model. Raises InputError, AwsError, PendingError."""
    key = ("validation images", connection, endpoint.name, endpoint.config, endpoint.model_uri, endpoint.job)
    what = f"the validation images of the model of {endpoint.name}"
    return shelf().read(key, partial(_job_examples, connection, endpoint), EXAMPLES_SECONDS, what).value


def _job_examples(connection: Connection, endpoint: EndpointInfo) -> JobExamples:
    job, uris = validation_images(clients(connection), endpoint, JOB_EXAMPLES)
    images, notes = [], []
    for uri in uris:
        try:
            image = example_thumbnail(connection, uri)
        except InputError as error:
            notes.append(str(error))
        else:
            images.append((Example(uri, uri.rpartition("/")[2], f"Validation image of {job}"), image))
    return JobExamples(job, tuple(images), tuple(notes))


def _examples(connection: Connection, uri: str) -> tuple[Example, ...]:
    """Read the list behind an endpoint's examples tag. Raises InputError, AwsError."""
    text = get_bytes(clients(connection), uri)
    folder = uri.rpartition("/")[0]
    try:
        return tuple(
            Example(f"{folder}/{row['file']}", str(row.get("title") or row["file"]), str(row.get("note", "")))
            for row in parse_json(text)
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"The list of examples {uri} cannot be read.",
            why=f"{error!r}.",
            todo='Write it as [{"file": "a.jpg", "title": "...", "note": "..."}, ...].',
        ) from error


@st.cache_data(ttl="1h", max_entries=64, show_spinner=False)
def example(connection: Connection, uri: str) -> bytes:
    """Return the file of an example, as stored in S3."""
    return get_bytes(clients(connection), uri, max_bytes=25_000_000)


@st.cache_data(ttl="1h", max_entries=256, show_spinner=False)
def example_thumbnail(connection: Connection, uri: str) -> bytes:
    """Return an example as a small JPEG."""
    return thumbnail(example(connection, uri), uri)


@st.cache_data(max_entries=128, show_spinner=False)
def evaluated_image(key: str, kind: str, _make: Callable[[], bytes]) -> bytes:  # noqa: ARG001  # the key
    """Return a view of an evaluated image. key: of image, ground truth and prediction; kind: of the view."""
    return _make()


@st.cache_resource(max_entries=64, show_spinner=False)
def image_scores(key: str, _make: Callable[[], T]) -> T:  # noqa: ARG001  # the key
    """Return the scores of one image. key: of image, prediction and ground truth."""
    return _make()


@st.cache_resource(ttl="24h", max_entries=ACCOUNTS, show_spinner=False)
def accepts(connection: Connection) -> dict[str, str]:  # noqa: ARG001  # the key
    """Return the content types that each endpoint accepts, by name; `core.inference.invoke` writes into it."""
    return {}


def thumbnail(data: bytes, name: str) -> bytes:
    """Return a small JPEG of an image file."""
    with image_share(data, name, extra=0):
        return encode(open_image(data, name), fit=THUMBNAIL, quality=82).body


def thumbnail_of(picture: Image.Image) -> bytes:
    """Return a small JPEG of an image in memory."""
    buffer = io.BytesIO()
    shrunk(picture, THUMBNAIL).save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


@st.cache_resource(show_spinner=False)
def shelf() -> StaleCache:
    """Return the cache of values that change, shared by all users, which keeps them while AWS fails."""
    return StaleCache(ACCOUNTS * READS_OF_ONE)


@st.cache_resource(show_spinner=False)
def derived() -> DerivedValues:
    """Return what was computed from the newest readings, shared by all users."""
    return DerivedValues()


def jobs(connection: Connection, wanted: JobFilter, pages: int = 1) -> Snapshot[JobList]:
    """Return training jobs, 100 per page; the first page is the freshest. Raises AwsError, PendingError."""
    newest = shelf().read(
        ("jobs", connection, wanted),
        lambda: training.all_jobs(clients(connection), wanted, pages=1),
        JOBS_SECONDS,
        "the training jobs",
    )
    if pages == 1 or newest.value.complete:
        return newest
    older = shelf().read(
        ("older jobs", connection, wanted, pages),
        lambda: training.all_jobs(clients(connection), wanted, pages=pages),
        OLD_JOBS_SECONDS,
        "the older training jobs",
    )
    return Snapshot(
        derived().get(
            "joined", (newest.value, older.value), lambda: joined(newest.value, older.value, wanted), wanted
        ),
        newest.at,
        newest.failure or older.failure,
        newest.pending or older.pending,
    )


def joined(newest: JobList, older: JobList, wanted: JobFilter) -> JobList:
    """Return the current first page, followed by the older jobs, which were read some minutes ago."""
    names = {job.name for job in newest.jobs}
    rest = [job for job in older.jobs if job.name not in names]
    if (
        wanted.sort == "created" and wanted.descending
    ):  # jobs that dropped off the first page must not come back
        oldest = min((job.created_at for job in newest.jobs), default=None)
        rest = [job for job in rest if oldest is None or job.created_at <= oldest]
    return JobList((*newest.jobs, *rest), newest.total, older.complete, newest.notes)


def training_job(connection: Connection, name: str) -> Snapshot[TrainingJob]:
    """Return one training job. Raises NotFoundError, AwsError, PendingError."""
    return shelf().read(
        ("open job", connection, name),
        lambda: training.describe_job(clients(connection), name),
        JOB_SECONDS,
        f"the training job {name}",
    )


def job_tags(connection: Connection, job: TrainingJob) -> OptionalPart[dict[str, str]]:
    """Return its tags, which a clone should keep: costs are allocated by them."""
    return optional(
        ("tags", connection, job.name),
        lambda: training.job_tags(clients(connection), job),
        JOB_TAGS_SECONDS,
        {},
        f"the tags of {job.name}",
    )


def sparklines(connection: Connection, jobs: Sequence[TrainingJob]) -> Snapshot[ByJob[MetricSeries]]:
    """Return the validation mean IoU curve of each job that has one. Raises AwsError, PendingError."""
    return _by_job(
        "curves in the table",
        connection,
        jobs,
        lambda some, _notes: metrics.sparklines(clients(connection), some),
    )


def curves(connection: Connection, jobs: Sequence[TrainingJob]) -> Snapshot[ByJob[tuple[MetricSeries, ...]]]:
    """Return all training curves of the jobs. Raises AwsError, PendingError."""
    return _by_job(
        "curves",
        connection,
        jobs,
        lambda some, notes: metrics.curves(clients(connection), some, notes=notes),
    )


def _by_job(
    what: str,
    connection: Connection,
    jobs: Sequence[TrainingJob],
    load: Callable[[Sequence[TrainingJob], list[str]], dict[str, T]],
) -> Snapshot[ByJob[T]]:
    """Read jobs that still change and jobs that have ended in separate calls, cached for different times."""
    before = datetime.now(UTC) - SETTLED
    settled = [job for job in jobs if job.ended_at is not None and job.ended_at < before]
    moving = [job for job in jobs if job.ended_at is None or job.ended_at >= before]
    old, new = (
        shelf().read((what, connection, _key(some)), partial(_with_notes, load, some), seconds, f"the {what}")
        for some, seconds in ((settled, SETTLED_SECONDS), (moving, JOBS_SECONDS))
    )

    def merged() -> ByJob[T]:
        notes = dict.fromkeys(old.value.notes + new.value.notes)
        return ByJob({**old.value.found, **new.value.found}, tuple(notes))

    return Snapshot(
        derived().get("by job", (old.value, new.value), merged),
        new.at,
        old.failure or new.failure,
        old.pending or new.pending,
    )


def _with_notes(
    load: Callable[[Sequence[TrainingJob], list[str]], dict[str, T]], jobs: Sequence[TrainingJob]
) -> ByJob[T]:
    notes: list[str] = []
    return ByJob(load(jobs, notes), tuple(notes))


def _key(jobs: Sequence[TrainingJob]) -> Hashable:
    """Return the cache key of these jobs: a job that has started has more to read than before."""
    return tuple((job.name, job.started_at is not None) for job in jobs)


def prices(connection: Connection) -> PriceTable:
    """Return the price list from AWS once it has arrived; until then Segdeck's own, without waiting."""
    try:
        return (
            shelf()
            .read(
                ("prices", connection),
                lambda: price_list.prices(clients(connection)),
                PRICES_SECONDS,
                "the prices",
                patience=0,
            )
            .value
        )
    except (CoreError, PendingError):
        return shipped_prices(connection.region, sandbox=connection.is_sandbox)


def optional(key: Hashable, load: Callable[[], T], seconds: float, empty: T, what: str) -> OptionalPart[T]:
    """Read an optional part of a page: a pending read or an error becomes a value, and hides no other part."""
    try:
        reading = shelf().read(key, load, seconds, what)
    except CoreError as error:
        return OptionalPart(empty, formatting.now(), error)
    except PendingError as waiting:
        return OptionalPart(empty, formatting.now(), waiting=waiting)
    return OptionalPart(reading.value, reading.at, reading.failure, reading.pending)


def forget_aws() -> None:
    """Mark everything from AWS as stale. Cached values stay until new ones arrive."""
    shelf().expire()
    account.clear()
    account_choices.clear()


@st.cache_data(ttl="1h", max_entries=32, show_spinner=False)
def pair_frame(
    source: Dataset,  # noqa: ARG001  # the key, with the next three
    sample: Sample,  # noqa: ARG001
    classes: Classes | None,  # noqa: ARG001
    stamp: tuple[int, ...],  # noqa: ARG001
    _make: Callable[[], bytes],
) -> bytes:
    """Return a pair of a dataset, encoded for the viewer.

    source: without its samples, which would be a long key. stamp: of its files' times, see `core.datasets.preview`.
    """
    return _make()


@st.cache_data(ttl="1h", max_entries=512, show_spinner=False)
def pair_thumbnail(source: Dataset, sample: Sample, classes: Classes | None, stamp: tuple[int, ...]) -> bytes:  # noqa: ARG001
    """Return a pair as a small JPEG, with the mask as an overlay."""
    with opened_pair(source, sample, classes) as (photo, found):
        small = shrunk(photo.pixels, THUMBNAIL)
        labels = resize_labels(found.labels, small.height, small.width)
    return thumbnail_of(overlay_image(small, labels, table("model", found.classes), 0.6))
