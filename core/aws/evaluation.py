"""What an evaluation needs from AWS: the endpoint, its training job, and labeled data in S3."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from core.aws.connection import Clients
from core.aws.metrics import curves
from core.aws.runtime import invoker
from core.aws.storage import get_bytes
from core.aws.training import describe_job, job_for_artifact, list_channel_keys
from core.datasets.label_map import LabelMap, read_label_map
from core.endpoints.endpoint import EndpointInfo
from core.errors import AwsError, InputError
from core.evaluation.pairs import LabeledImage, pair_up, reader
from core.evaluation.results import JobScore
from core.evaluation.run import EvaluatedEndpoint
from core.imaging.suffixes import IMAGE_SUFFIXES
from core.training.channels import S3_PREFIX, folder
from core.training.curves import MIOU, best_epoch, named
from core.training.job import TrainingJob

MOST_BYTES = 100_000_000
"""Maximum bytes of an image or mask in S3."""

LISTED = 1000
"""Objects that one call lists."""

VALIDATION, ANNOTATION = "validation", "validation_annotation"
LABEL_MAP = "validation_label_map.json"


def evaluated_endpoint(clients: Clients, endpoint: EndpointInfo) -> EvaluatedEndpoint:
    """Return an endpoint for an evaluation."""
    invoke = invoker(clients, endpoint.name)
    return EvaluatedEndpoint(
        endpoint.name,
        endpoint.config,
        endpoint.model_uri,
        endpoint.classes,
        invoke,
        origin=clients.connection.origin,
    )


def job_behind(clients: Clients, endpoint: EndpointInfo) -> TrainingJob | None:
    """Return the training job that created the endpoint's model; None if unknown. Raises AwsError.

    It is found by the endpoint's tag, otherwise by a search for the artifact.
    """
    if endpoint.job:
        return describe_job(clients, endpoint.job)
    return job_for_artifact(clients, endpoint.model_uri) if endpoint.model_uri else None


def job_scores(
    clients: Clients, endpoints: Iterable[EndpointInfo]
) -> tuple[dict[str, JobScore], tuple[str, ...]]:
    """Return endpoint -> the scores that its training job reported, if known; and sentences about those unknown."""
    scores, notes = {}, []
    for endpoint in endpoints:
        try:
            job = job_behind(clients, endpoint)
            if job is not None:
                scores[endpoint.name] = _score(clients, job)
        except AwsError as error:
            notes.append(f"The scores of the training job of {endpoint.name} are unknown. {error}")
    return scores, tuple(notes)


def _score(clients: Clients, job: TrainingJob) -> JobScore:
    series = named(curves(clients, [job]).get(job.name, ()), MIOU)
    best = best_epoch(series) if series is not None else None
    return JobScore(job.name, job.final_metrics.get(MIOU), None if best is None else best.value)


def validation_set(clients: Clients, job: TrainingJob) -> tuple[list[LabeledImage], tuple[str, ...]]:
    """Return a job's validation data, with ids by its own label map; and notes. Raises InputError, AwsError."""
    channels = [job.channel(name) for name in (VALIDATION, ANNOTATION)]
    for name, channel in zip((VALIDATION, ANNOTATION), channels, strict=True):
        if channel is None or channel.data_type != S3_PREFIX:
            kind = "has no such channel" if channel is None else f"reads it from a {channel.data_type}"
            raise InputError(
                f"The channel {name} of the training job {job.name} cannot be used for evaluation: the job {kind}.",
                todo="Provide the images and masks in a folder or in S3.",
            )
    images, masks = (channel.uri for channel in channels if channel is not None)
    return pairs_in_s3(clients, images, masks, _label_map(clients, job))


def validation_images(clients: Clients, endpoint: EndpointInfo, most: int) -> tuple[str, tuple[str, ...]]:
    """Return the job behind an endpoint's model and the S3 URIs of a few of its validation images, evenly spread.

    One call lists the first thousand objects of the channel. Empty where there is no job or no such channel.
    Raises InputError, AwsError.
    """
    job = job_behind(clients, endpoint)
    channel = job.channel(VALIDATION) if job is not None else None
    if job is None or channel is None or channel.data_type != S3_PREFIX:
        return "", ()
    prefix = folder(channel.uri)
    keys = list_channel_keys(clients, prefix, cap=LISTED).keys
    bucket = prefix.removeprefix("s3://").partition("/")[0]
    images = [f"s3://{bucket}/{key}" for key in keys if key.lower().endswith(IMAGE_SUFFIXES)]
    step = max(1.0, len(images) / most)
    return job.name, tuple(images[int(n * step)] for n in range(min(most, len(images))))


def pairs_in_s3(
    clients: Clients, images: str, masks: str, label_map: LabelMap | None = None
) -> tuple[list[LabeledImage], tuple[str, ...]]:
    """Return the pairs under two S3 prefixes, each file read when needed; and notes. Raises InputError, AwsError."""
    pairing = pair_up(_uris(clients, images), _uris(clients, masks))
    ids = reader(label_map=label_map)
    pairs = [
        LabeledImage(
            name, _file(image), _file(mask),
            partial(get_bytes, clients, image, max_bytes=MOST_BYTES),
            partial(get_bytes, clients, mask, max_bytes=MOST_BYTES),
            ids,
        )
        for name, (image, mask) in pairing.files.items()
    ]  # fmt: skip
    return pairs, pairing.notes


def _label_map(clients: Clients, job: TrainingJob) -> LabelMap | None:
    channel = job.channel("label_map")
    if channel is None:
        return None
    uri = next((uri for uri in _uris(clients, channel.uri) if uri.endswith(LABEL_MAP)), None)
    return None if uri is None else read_label_map(get_bytes(clients, uri), uri)


def _uris(clients: Clients, prefix: str) -> list[str]:
    listing = list_channel_keys(clients, folder(prefix))
    if not listing.complete:
        raise InputError(
            f"{prefix} has more than {len(listing.keys):,} objects.",
            todo="Use a prefix with fewer objects: validation data is rarely larger.",
        )
    bucket = prefix.removeprefix("s3://").partition("/")[0]
    return [f"s3://{bucket}/{key}" for key in listing.keys if not key.endswith("/")]


def _file(uri: str) -> str:
    return uri.rpartition("/")[2]
