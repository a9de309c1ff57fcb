"""Objects on disk: their bytes in files, their names in SQLite.

An upload is written to a new file first and enters the index last, in one transaction. So whenever the process is
killed, the index has the old object or the new one, whole; a file that is not in the index is deleted at the next
start. A key is only ever a value in the index, never a path. Keys are stored as UTF-8 bytes because S3 lists them in
that order.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from sandbox.common.database import Database
from sandbox.common.disk import Disk
from sandbox.services.s3.errors import S3Error
from sandbox.services.s3.payload import CHUNK
from sandbox.services.s3.values import Attributes, Blob, MultipartUpload, StoredObject, UploadedPart

_SCHEMA = """
create table if not exists bucket(name text primary key, created real not null) without rowid;
create table if not exists bucket_region(bucket text primary key, region text not null) without rowid;
create table if not exists object(
    bucket text, key blob, blob text not null, size integer not null, etag text not null, modified real not null,
    attributes text not null, primary key(bucket, key)) without rowid;
create table if not exists upload(
    id text primary key, bucket text not null, key blob not null, started real not null, algorithm text not null,
    attributes text not null) without rowid;
create table if not exists part(
    upload text, number integer, blob text not null, size integer not null, etag text not null,
    modified real not null, checksums text not null, primary key(upload, number)) without rowid;
"""
_OBJECT = "key, blob, size, etag, modified, attributes"
Condition = Callable[["StoredObject | None"], None]


class ObjectStore:
    """Buckets, objects and multipart uploads in one directory. Thread-safe, for one process."""

    def __init__(
        self, root: Path, clock: Callable[[], float] = time.time, *, disk: Disk | None = None
    ) -> None:
        """Open the index. disk: its reserve is used for deletions on a full disk."""
        self._blobs = root / "blobs"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self._db = Database(root / "index.sqlite", _SCHEMA, disk)
        self._sweep()

    def close(self) -> None:
        """Close the index; files of downloads in progress stay readable."""
        self._db.close()

    # Buckets

    def buckets(self) -> list[tuple[str, float]]:
        """Return names and creation times, sorted by name."""
        return self._db.rows("select name, created from bucket order by name")

    def has_bucket(self, bucket: str) -> bool:
        """Return whether the bucket exists."""
        return bool(self._db.rows("select 1 from bucket where name = ?", bucket))

    def bucket_region(self, bucket: str) -> str:
        """Return the region of a bucket; empty where none was given when it was created."""
        rows = self._db.rows("select region from bucket_region where bucket = ?", bucket)
        return rows[0][0] if rows else ""

    def create_bucket(self, bucket: str, region: str = "") -> None:
        """Create a bucket in a region; an existing one is left unchanged."""
        with self._db.transaction():
            created = self._db.change("insert or ignore into bucket values (?, ?)", bucket, self._clock())
            if created and region:
                self._db.change("insert or replace into bucket_region values (?, ?)", bucket, region)

    def delete_bucket(self, bucket: str) -> None:
        """Delete an empty bucket and its uploads in progress. Raises S3Error."""

        def forget() -> list[str]:
            with self._db.transaction():
                self._require_bucket(bucket)
                if self._db.rows("select 1 from object where bucket = ? limit 1", bucket):
                    raise S3Error("BucketNotEmpty", BucketName=bucket)
                uploads = [row[0] for row in self._db.rows("select id from upload where bucket = ?", bucket)]
                file_names = [name for upload in uploads for name in self._forget_upload(upload)]
                self._db.change("delete from bucket where name = ?", bucket)
                self._db.change("delete from bucket_region where bucket = ?", bucket)
            return file_names

        self._freeing(forget)

    # Objects

    def get(self, bucket: str, key: str) -> StoredObject:
        """Return one object without its bytes. Raises S3Error."""
        with self._db.lock:
            self._require_bucket(bucket)
            stored = self._find(bucket, key)
        if stored is None:
            raise S3Error("NoSuchKey", Key=key)
        return stored

    def open(self, bucket: str, key: str) -> tuple[StoredObject, IO[bytes]]:
        """Open one object's file, which stays whole even if the object is replaced. Raises S3Error."""
        with self._db.lock:
            stored = self.get(bucket, key)
            return stored, self._path(stored.blob.name).open("rb")

    def put(
        self, bucket: str, key: str, blob: Blob, attributes: Attributes, allow: Condition | None = None
    ) -> StoredObject:
        """Assign a key these bytes. `allow` gets the current object and may raise to refuse."""
        try:
            with self._db.transaction():
                self._require_bucket(bucket)
                old = self._find(bucket, key)
                if allow:
                    allow(old)
                stored = StoredObject(key, blob, self._clock(), attributes)
                self._insert(bucket, stored)
        except BaseException:
            self._unlink([blob.name])
            raise
        self._unlink([old.blob.name] if old else [])
        return stored

    def update(self, bucket: str, key: str, attributes: Attributes) -> None:
        """Change an object's attributes, not its bytes or its time. Raises S3Error."""
        with self._db.transaction():
            self.get(bucket, key)
            self._db.change(
                "update object set attributes = ? where bucket = ? and key = ?",
                json.dumps(asdict(attributes)),
                bucket,
                key.encode(),
            )

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object; a missing one is not an error, as in S3."""

        def forget() -> list[str]:
            with self._db.transaction():
                self._require_bucket(bucket)
                old = self._find(bucket, key)
                self._db.change("delete from object where bucket = ? and key = ?", bucket, key.encode())
            return [old.blob.name] if old else []

        self._freeing(forget)

    def span(self, bucket: str, start: bytes, below: bytes, count: int) -> list[StoredObject]:
        """Return the first `count` objects with start <= key < below, in order."""
        sql = f"select {_OBJECT} from object where bucket = ? and key >= ? and key < ? order by key limit ?"  # noqa: S608
        return [_object(row) for row in self._db.rows(sql, bucket, start, below, count)]

    # Bytes

    def write(self, chunks: Iterable[bytes], etag: Callable[[], str]) -> Blob:
        """Store bytes in a new file, removed again if the chunks raise. `etag` is called after the last chunk."""
        name = uuid.uuid4().hex
        path = self._path(name)
        path.parent.mkdir(exist_ok=True)
        size = 0
        try:
            with path.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                    size += len(chunk)
            return Blob(name, size, etag())
        except BaseException:
            self._unlink([name])
            raise

    def join(self, blobs: list[Blob], etag: str) -> Blob:
        """Write a new file with the bytes of all blobs in order."""

        def chunks() -> Iterator[bytes]:
            for blob in blobs:
                with self._path(blob.name).open("rb") as file:
                    while data := file.read(CHUNK):
                        yield data

        return self.write(chunks(), lambda: etag)

    def copy(self, file: IO[bytes], like: Blob) -> Blob:
        """Write a new file with the bytes of an open one."""
        return self.write(iter(lambda: file.read(CHUNK), b""), lambda: like.etag)

    # Multipart uploads

    def start_upload(self, bucket: str, key: str, algorithm: str, attributes: Attributes) -> str:
        """Start a multipart upload and return its id."""
        upload = uuid.uuid4().hex
        with self._db.transaction():
            self._require_bucket(bucket)
            row = (upload, bucket, key.encode(), self._clock(), algorithm, json.dumps(asdict(attributes)))
            self._db.change("insert into upload values (?, ?, ?, ?, ?, ?)", *row)
        return upload

    def upload(self, bucket: str, key: str, upload: str) -> MultipartUpload:
        """Return an upload of this bucket and key. Raises S3Error NoSuchUpload."""
        for candidate in self.uploads(bucket):
            if (candidate.id, candidate.key) == (upload, key):
                return candidate
        raise S3Error("NoSuchUpload", UploadId=upload)

    def uploads(self, bucket: str) -> list[MultipartUpload]:
        """Return all uploads in progress in a bucket, by key and start."""
        self._require_bucket(bucket)
        rows = self._db.rows(
            "select id, bucket, key, started, algorithm, attributes from upload where bucket = ? "
            "order by key, started",
            bucket,
        )
        return [
            MultipartUpload(i, b, k.decode(), s, a, Attributes(**json.loads(t))) for i, b, k, s, a, t in rows
        ]

    def put_part(self, upload: MultipartUpload, number: int, blob: Blob, checksums: dict[str, str]) -> None:
        """Store a part; it replaces one of the same number."""
        try:
            with self._db.transaction():
                self.upload(upload.bucket, upload.key, upload.id)
                old = self._db.rows(
                    "select blob from part where upload = ? and number = ?", upload.id, number
                )
                row = (
                    upload.id,
                    number,
                    blob.name,
                    blob.size,
                    blob.etag,
                    self._clock(),
                    json.dumps(checksums),
                )
                self._db.change("insert or replace into part values (?, ?, ?, ?, ?, ?, ?)", *row)
        except BaseException:
            self._unlink([blob.name])
            raise
        self._unlink([row[0] for row in old])

    def parts(self, upload: str) -> list[UploadedPart]:
        """Return all parts of an upload, sorted by number."""
        rows = self._db.rows(
            "select number, blob, size, etag, modified, checksums from part where upload = ? order by number",
            upload,
        )
        return [UploadedPart(n, Blob(b, s, e), m, json.loads(c)) for n, b, s, e, m, c in rows]

    def end_upload(self, upload: MultipartUpload) -> None:
        """Delete an upload and its parts."""

        def forget() -> list[str]:
            with self._db.transaction():
                return self._forget_upload(upload.id)

        self._freeing(forget)

    # Helpers

    def _freeing(self, forget: Callable[[], list[str]]) -> None:
        """Remove something from the index, also on a full disk, then delete the files that `forget` returns."""

        def work() -> None:
            self._unlink(forget())

        self._db.freeing(work)

    def _require_bucket(self, bucket: str) -> None:
        """Raise S3Error NoSuchBucket unless the bucket exists."""
        if not self.has_bucket(bucket):
            raise S3Error("NoSuchBucket", BucketName=bucket)

    def _find(self, bucket: str, key: str) -> StoredObject | None:
        """Return an object, or None."""
        sql = f"select {_OBJECT} from object where bucket = ? and key = ?"  # noqa: S608 - fixed words only
        rows = self._db.rows(sql, bucket, key.encode())
        return _object(rows[0]) if rows else None

    def _insert(self, bucket: str, stored: StoredObject) -> None:
        """Put an object into the index."""
        blob = stored.blob
        row = (bucket, stored.key.encode(), blob.name, blob.size, blob.etag, stored.modified)
        self._db.change(
            "insert or replace into object values (?, ?, ?, ?, ?, ?, ?)",
            *row,
            json.dumps(asdict(stored.attributes)),
        )

    def _forget_upload(self, upload: str) -> list[str]:
        """Remove an upload from the index; return its parts' files, to be deleted after the transaction."""
        file_names = [part.blob.name for part in self.parts(upload)]
        self._db.change("delete from part where upload = ?", upload)
        self._db.change("delete from upload where id = ?", upload)
        return file_names

    def _path(self, name: str) -> Path:
        """Return the path of a blob."""
        return self._blobs / name[:2] / name

    def _unlink(self, names: list[str]) -> None:
        """Delete blobs."""
        for name in names:
            self._path(name).unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Delete files that an earlier process did not enter into the index."""
        named = {row[0] for row in self._db.rows("select blob from object union select blob from part")}
        for path in self._blobs.glob("*/*"):
            if path.name not in named:
                path.unlink()


def _object(row: Any) -> StoredObject:
    key, name, size, etag, modified, attributes = row
    return StoredObject(key.decode(), Blob(name, size, etag), modified, Attributes(**json.loads(attributes)))
