"""Many files into one S3 prefix: in parallel, each once, checked at the end.

What stands in S3 with the same size and hash is not sent again, so an upload that was cut, by whatever, goes on where
it was: there is nothing to remember between the two. One listing tells; an object is only asked about by itself where
its ETag is no MD5 (buckets with KMS keys).

`put` is given by `core.aws.execute`, the one place that changes anything.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from core.aws.connection import Clients
from core.aws.errors import required
from core.datasets.check import in_parallel
from core.datasets.upload_plan import Item, UploadOrder, items
from core.errors import AwsError, InputError, UnexpectedAnswerError
from core.text import listing

THREADS = 16
"""Uploads at once. S3 answers each in some 20 ms, so one after the other most of the time is waiting."""

AHEAD = 4 * THREADS

Put = Callable[..., Mapping[str, Any]]
"""PutObject."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an upload is. files: that stand in S3 by now, of `total`. sent: by this run. size: bytes that stand."""

    files: int
    total: int
    sent: int
    size: int
    total_size: int


OnProgress = Callable[[Progress], None]
"""What it raises cancels the upload; what was sent until then stays, and is not sent again the next time."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An object as a listing tells of it. etag: without quotes."""

    size: int
    etag: str


def upload(
    clients: Clients, order: UploadOrder, put: Put, *, on_progress: OnProgress | None = None
) -> dict[str, Any]:
    """Bring the order's files into S3; how many there are, and how many of them were sent now.

    Raises InputError where other objects stand in the way, before anything is sent; AwsError.
    """
    wanted = items(order)
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="upload")
    try:
        etags = _compared(pool, clients, order, wanted)
        left = [item for item in wanted if item.key not in etags]
        _send(pool, _Sender(clients, order, put), wanted, etags, on_progress)
    finally:
        pool.shutdown(cancel_futures=True)
    _verify(wanted, etags, _list(clients, order), order)
    return {"Files": len(wanted), "Sent": len(left), "Bytes": order.size}


def _compared(
    pool: ThreadPoolExecutor, clients: Clients, order: UploadOrder, wanted: Sequence[Item]
) -> dict[str, str]:
    """The ETags of what stands there already. Raises InputError for what is in the way."""
    standing = _list(clients, order)
    _check_others(order, wanted, standing)
    there = [item for item in wanted if item.key in standing]
    jobs = ((clients, order, item, standing[item.key]) for item in there)
    same = dict(zip((item.key for item in there), in_parallel(pool, is_same, jobs, AHEAD), strict=True))
    differ = [key for key, equal in same.items() if not equal]
    if differ and not order.overwrite:
        raise _in_the_way(order, differ)
    return {key: standing[key].etag for key, equal in same.items() if equal}


def _send(
    pool: ThreadPoolExecutor,
    sender: _Sender,
    wanted: Sequence[Item],
    etags: dict[str, str],
    on_progress: OnProgress | None,
) -> None:
    """Send what has no etag yet, and note its etag."""
    left = [item for item in wanted if item.key not in etags]
    size = sum(item.size for item in wanted if item.key in etags)
    jobs = ((item,) for item in left)
    for sent, (item, etag) in enumerate(zip(left, in_parallel(pool, sender, jobs, AHEAD), strict=True), 1):
        etags[item.key] = etag
        size += item.size
        if on_progress is not None:
            on_progress(Progress(len(etags), len(wanted), sent, size, sender.order.size))


@dataclass(frozen=True, slots=True)
class _Sender:
    """Sends one file, in any thread."""

    clients: Clients
    order: UploadOrder
    call: Put

    def __call__(self, item: Item) -> str:
        """The ETag of what then stands there. Unless told, S3 itself refuses to replace an object."""
        body = item.read()
        doing = f"upload {item.key}"
        options = {} if self.order.overwrite else {"IfNoneMatch": "*"}
        try:
            with self.clients.calling(doing):
                answer = self.call(
                    Bucket=self.order.bucket,
                    Key=item.key,
                    Body=body,
                    ContentType=item.content_type,
                    ChecksumSHA256=_sha256(body),
                    **options,
                )
            return str(required(answer, "ETag", doing)).strip('"')
        except AwsError as error:
            if error.code != "PreconditionFailed":
                raise
        return self._came_meanwhile(item, body)

    def _came_meanwhile(self, item: Item, body: bytes) -> str:
        """Something stands there though nothing did: our own, where a reply was lost and the call was repeated."""
        etag, checksum = _head(self.clients, self.order, item.key)
        if etag == _md5(body) or checksum == _sha256(body):
            return etag
        raise _in_the_way(self.order, [item.key])


def is_same(clients: Clients, order: UploadOrder, item: Item, standing: Standing) -> bool:
    """Whether a file is what stands there."""
    if standing.size != item.size:
        return False
    body = item.read()
    if standing.etag == _md5(body):
        return True
    return _head(clients, order, item.key)[1] == _sha256(body)


def _list(clients: Clients, order: UploadOrder) -> dict[str, Standing]:
    """Every object below the prefix."""
    standing: dict[str, Standing] = {}
    query: dict[str, Any] = {"Bucket": order.bucket, "Prefix": order.prefix}
    doing = f"list {order.uri}"
    while True:
        with clients.calling(doing):
            answer = clients.s3.list_objects_v2(**query)
        for row in answer.get("Contents", ()):
            standing[row["Key"]] = Standing(row["Size"], row["ETag"].strip('"'))
        if not required(answer, "IsTruncated", doing):
            return standing
        query["ContinuationToken"] = required(answer, "NextContinuationToken", doing)


def _head(clients: Clients, order: UploadOrder, key: str) -> tuple[str, str]:
    """ETag and SHA-256 of one object; empty where it has none."""
    with clients.calling(f"look at {key}"):
        answer = clients.s3.head_object(Bucket=order.bucket, Key=key, ChecksumMode="ENABLED")
    return answer["ETag"].strip('"'), answer.get("ChecksumSHA256", "")


def _check_others(order: UploadOrder, wanted: Iterable[Item], standing: Iterable[str]) -> None:
    """Raises InputError for objects that are not ours in our channels: a job would train on them too."""
    channels = tuple(f"{uri.removeprefix(f's3://{order.bucket}/')}" for uri in order.channels.values())
    others = set(standing) - {item.key for item in wanted}
    strange = sorted(key for key in others if key.startswith(channels) and not key.endswith("/"))
    if strange:
        raise InputError(
            f"{order.uri} holds {len(strange):,} objects that are not of this set: {listing(strange)}.",
            why="A job would train on them too.",
            todo="Choose a prefix of its own for each set.",
        )


def _in_the_way(order: UploadOrder, keys: list[str]) -> InputError:
    return InputError(
        f"{len(keys):,} objects with other content stand under {order.uri}: {listing(keys)}.",
        why="Nothing is overwritten unasked.",
        todo="Choose another prefix, or say that they may be overwritten.",
    )


def _verify(
    wanted: Iterable[Item], etags: Mapping[str, str], standing: Mapping[str, Standing], order: UploadOrder
) -> None:
    """Raises UnexpectedAnswerError where S3 does not hold what was sent."""
    wrong = [item.key for item in wanted if standing.get(item.key) != Standing(item.size, etags[item.key])]
    if wrong:
        raise UnexpectedAnswerError(
            f"{len(wrong):,} objects under {order.uri} are not what was sent: {listing(wrong)}.",
            why="Somebody else has changed them meanwhile.",
            todo="Upload the set again; what is right is not sent twice.",
        )


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def _sha256(body: bytes) -> str:
    return b64encode(hashlib.sha256(body).digest()).decode()
