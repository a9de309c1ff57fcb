"""What an evaluation needs of AWS: the endpoint to ask, the job behind it, and labelled sets that lie in S3."""

from __future__ import annotations

from functools import partial

from core.aws.connection import Clients
from core.aws.errors import required
from core.aws.metrics import curves
from core.aws.runtime import invoker
from core.aws.storage import get_bytes
from core.aws.training import describe_job, list_channel_keys
from core.channels import S3_PREFIX, folder
from core.curves import MIOU, best_epoch, named
from core.endpoints import Serving
from core.errors import InputError
from core.evaluation.pairs import Pair, Pairing, pair_up
from core.evaluation.run import Asked
from core.evaluation.verdict import JobScore
from core.training import TrainingJob, from_description

MOST_BYTES = 100_000_000
"""Of a photo or mask in S3."""

VALIDATION, ANNOTATION = "validation", "validation_annotation"


def asked_of(clients: Clients, serving: Serving) -> Asked:
    """An endpoint as an evaluation asks it."""
    invoke = invoker(clients, serving.name)
    return Asked(serving.name, serving.config, serving.model_uri, serving.classes, invoke)


def job_behind(clients: Clients, serving: Serving) -> TrainingJob | None:
    """The training job that left the endpoint's model; None where nobody knows it. Raises AwsError.

    By the endpoint's tag, else by a search for the job whose artifact this is.
    """
    if serving.job:
        return describe_job(clients, serving.job)
    if not serving.model_uri:
        return None
    field = {"Name": "ModelArtifacts.S3ModelArtifacts", "Operator": "Equals", "Value": serving.model_uri}
    doing = f"find the training job that made {serving.model_uri}"
    with clients.calling(doing):
        answer = clients.lists.search(
            Resource="TrainingJob", SearchExpression={"Filters": [field]}, MaxResults=1
        )
    rows = required(answer, "Results", doing)
    return from_description(rows[0]["TrainingJob"]) if rows else None


def job_score(clients: Clients, serving: Serving) -> JobScore | None:
    """What the job behind an endpoint said of its model; None where nobody knows the job. Raises AwsError."""
    job = job_behind(clients, serving)
    if job is None:
        return None
    series = named(curves(clients, [job]).get(job.name, ()), MIOU)
    best = best_epoch(series) if series is not None else None
    return JobScore(job.name, job.final_metrics.get(MIOU), None if best is None else best.value)


def validation_uris(job: TrainingJob) -> tuple[str, str]:
    """Where a job's validation photos and masks lie. Raises InputError where no prefix holds them."""
    found = [job.channel(name) for name in (VALIDATION, ANNOTATION)]
    for name, channel in zip((VALIDATION, ANNOTATION), found, strict=True):
        if channel is None or channel.data_type != S3_PREFIX:
            kind = "has no such channel" if channel is None else f"reads it from a {channel.data_type}"
            raise InputError(
                f"The channel {name} of the training job {job.name} cannot be evaluated on: the job {kind}.",
                todo="Give the photos and masks themselves, in a folder or in S3.",
            )
    photos, masks = (folder(channel.uri) for channel in found if channel is not None)
    return photos, masks


def pairs_in_s3(clients: Clients, photos: str, masks: str) -> tuple[list[Pair], Pairing]:
    """The pairs below two S3 prefixes; each file is read when its turn comes. Raises InputError, AwsError."""
    pairing = pair_up(_uris(clients, photos), _uris(clients, masks))
    pairs = [
        Pair(
            name, _file(photo), _file(mask),
            partial(get_bytes, clients, photo, max_bytes=MOST_BYTES),
            partial(get_bytes, clients, mask, max_bytes=MOST_BYTES),
        )
        for name, (photo, mask) in pairing.files.items()
    ]  # fmt: skip
    return pairs, pairing


def _uris(clients: Clients, prefix: str) -> list[str]:
    found = list_channel_keys(clients, folder(prefix))
    if not found.complete:
        raise InputError(
            f"{prefix} holds more than {len(found.keys):,} objects.",
            todo="Give a prefix with fewer: a validation set is seldom larger.",
        )
    bucket = prefix.removeprefix("s3://").partition("/")[0]
    return [f"s3://{bucket}/{key}" for key in found.keys if not key.endswith("/")]


def _file(uri: str) -> str:
    return uri.rpartition("/")[2]
