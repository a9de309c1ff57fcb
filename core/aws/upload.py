"""Upload many files to one S3 prefix: in parallel, each once, verified at the end.

Objects with the same size and hash are not sent again, so an interrupted upload resumes where it stopped, without any
saved state. One listing shows them; an object is read individually only if its ETag is not an MD5 (buckets with KMS
keys).

`put` comes from `core.aws.execute`, the only module that changes anything.
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
"""Parallel uploads. S3 takes some 20 ms for each, so sequential uploads would mostly wait."""

AHEAD = 4 * THREADS

Put = Callable[..., Mapping[str, Any]]
"""PutObject."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of an upload. files: in S3 so far, of `total`. sent: by this run. size: bytes in S3 so far."""

    files: int
    total: int
    sent: int
    size: int
    total_size: int


OnProgress = Callable[[Progress], None]
"""An exception from it cancels the upload; objects sent so far are kept, and not sent again next time."""


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object in a listing. etag: without quotes."""

    size: int
    etag: str


def upload(
    clients: Clients, order: UploadOrder, put: Put, *, on_progress: OnProgress | None = None
) -> dict[str, Any]:
    """Upload the order's files to S3; return how many there are, and how many were sent now.

    Raises InputError if other objects are in the way, before anything is sent; AwsError.
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
    """Return the ETags of files already in S3. Raises InputError for objects in the way."""
    existing = _list(clients, order)
    _check_others(order, wanted, existing)
    present = [item for item in wanted if item.key in existing]
    jobs = ((clients, order, item, existing[item.key]) for item in present)
    same = dict(zip((item.key for item in present), in_parallel(pool, is_same, jobs, AHEAD), strict=True))
    differ = [key for key, equal in same.items() if not equal]
    if differ and not order.overwrite:
        raise _in_the_way(order, differ)
    return {key: existing[key].etag for key, equal in same.items() if equal}


def _send(
    pool: ThreadPoolExecutor,
    sender: _Sender,
    wanted: Sequence[Item],
    etags: dict[str, str],
    on_progress: OnProgress | None,
) -> None:
    """Send the files without an ETag, and record their ETags."""
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
        """Return the ETag of the object. Unless `overwrite` is set, S3 itself refuses to replace one."""
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
        return self._created_since(item, body)

    def _created_since(self, item: Item, body: bytes) -> str:
        """Return the ETag of an object created since the listing, by this upload after a lost response."""
        etag, checksum = _head(self.clients, self.order, item.key)
        if etag == _md5(body) or checksum == _sha256(body):
            return etag
        raise _in_the_way(self.order, [item.key])


def is_same(clients: Clients, order: UploadOrder, item: Item, existing: ListedObject) -> bool:
    """Return whether a file and the existing object have the same content."""
    if existing.size != item.size:
        return False
    body = item.read()
    if existing.etag == _md5(body):
        return True
    return _head(clients, order, item.key)[1] == _sha256(body)


def _list(clients: Clients, order: UploadOrder) -> dict[str, ListedObject]:
    """Return every object under the prefix."""
    listed: dict[str, ListedObject] = {}
    query: dict[str, Any] = {"Bucket": order.bucket, "Prefix": order.prefix}
    doing = f"list {order.uri}"
    while True:
        with clients.calling(doing):
            answer = clients.s3.list_objects_v2(**query)
        for row in answer.get("Contents", ()):
            listed[row["Key"]] = ListedObject(row["Size"], row["ETag"].strip('"'))
        if not required(answer, "IsTruncated", doing):
            return listed
        query["ContinuationToken"] = required(answer, "NextContinuationToken", doing)


def _head(clients: Clients, order: UploadOrder, key: str) -> tuple[str, str]:
    """Return the ETag and SHA-256 of one object; empty if it has none."""
    with clients.calling(f"read {key}"):
        answer = clients.s3.head_object(Bucket=order.bucket, Key=key, ChecksumMode="ENABLED")
    return answer["ETag"].strip('"'), answer.get("ChecksumSHA256", "")


def _check_others(order: UploadOrder, wanted: Iterable[Item], existing: Iterable[str]) -> None:
    """Raise InputError for other objects in the dataset's channels: a job would train on them too."""
    if order.images:
        return
    channels = tuple(f"{uri.removeprefix(f's3://{order.bucket}/')}" for uri in order.channels.values())
    others = set(existing) - {item.key for item in wanted}
    foreign = sorted(key for key in others if key.startswith(channels) and not key.endswith("/"))
    if foreign:
        raise InputError(
            f"{order.uri} has {len(foreign):,} objects that are not part of this dataset: {listing(foreign)}.",
            why="A job would train on them too.",
            todo="Choose a separate prefix for each dataset.",
        )


def _in_the_way(order: UploadOrder, keys: list[str]) -> InputError:
    return InputError(
        f"{len(keys):,} objects under {order.uri} have different content: {listing(keys)}.",
        why="Objects are only overwritten if you ask for it.",
        todo="Choose another prefix, or allow overwriting.",
    )


def _verify(
    wanted: Iterable[Item], etags: Mapping[str, str], existing: Mapping[str, ListedObject], order: UploadOrder
) -> None:
    """Raise UnexpectedAnswerError if S3 does not have what was sent."""
    wrong = [
        item.key for item in wanted if existing.get(item.key) != ListedObject(item.size, etags[item.key])
    ]
    if wrong:
        raise UnexpectedAnswerError(
            f"{len(wrong):,} objects under {order.uri} differ from what was sent: {listing(wrong)}.",
            why="Another user or process has changed them during the upload.",
            todo="Upload the dataset again; unchanged files are skipped.",
        )


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def _sha256(body: bytes) -> str:
    return b64encode(hashlib.sha256(body).digest()).decode()
