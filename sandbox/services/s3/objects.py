"""The S3 operations on objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import IO
from urllib.parse import unquote

from werkzeug.http import http_date

from sandbox.services.s3 import conditions, xml
from sandbox.services.s3.answers import S3Response, answer
from sandbox.services.s3.errors import S3Error
from sandbox.services.s3.payload import CHUNK
from sandbox.services.s3.request import S3Request
from sandbox.services.s3.store import ObjectStore
from sandbox.services.s3.unsupported import KEPT, check_upload, encryption
from sandbox.services.s3.values import StoredObject
from sandbox.services.s3.xml import element, elements, joined


class Objects:
    """Handlers from S3Request to S3Response; they raise S3Error."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def put(self, request: S3Request) -> S3Response:
        """Answer PutObject, or CopyObject when a source is given."""
        if "x-amz-copy-source" in request.headers:
            return self._copy(request)
        if not self._store.has_bucket(request.bucket):
            raise S3Error("NoSuchBucket", BucketName=request.bucket)
        check_upload(request.headers)
        body = request.payload
        blob = self._store.write(body, lambda: body.etag)
        attributes = request.attributes(checksums=body.checksums)
        allow = conditions.write_condition(request.headers)
        stored = self._store.put(request.bucket, request.key, blob, attributes, allow)
        headers = {**stored.attributes.checksums, **encryption(attributes.headers)}
        return S3Response(status=200, headers={"ETag": xml.quoted(blob.etag), **headers})

    def get(self, request: S3Request) -> S3Response:
        """Answer GetObject."""
        stored, file = self._store.open(request.bucket, request.key)
        try:
            response, span = _answer(request, stored)
        except BaseException:
            file.close()
            raise
        if response.status_code == 304:
            file.close()
            return response
        response.response = stream(file, *span)
        response.call_on_close(file.close)
        return response

    def head(self, request: S3Request) -> S3Response:
        """Answer HeadObject."""
        response, _ = _answer(request, self._store.get(request.bucket, request.key))
        return response

    def delete(self, request: S3Request) -> S3Response:
        """Answer DeleteObject."""
        self._store.delete(request.bucket, request.key)
        return S3Response(status=204)

    def get_tags(self, request: S3Request) -> S3Response:
        """Answer GetObjectTagging."""
        tags = self._store.get(request.bucket, request.key).attributes.tags
        inner = (element("Tag", elements(("Key", name), ("Value", tags[name]))) for name in tags)
        return answer("Tagging", elements(("TagSet", joined(inner))))

    def put_tags(self, request: S3Request) -> S3Response:
        """Answer PutObjectTagging, which replaces all tags."""
        document = xml.parse(request.document())
        tags = {xml.text(item, "Key"): xml.text(item, "Value") for item in document.iterfind("TagSet/Tag")}
        stored = self._store.get(request.bucket, request.key)
        self._store.update(request.bucket, request.key, replace(stored.attributes, tags=tags))
        return S3Response(status=200)

    def delete_tags(self, request: S3Request) -> S3Response:
        """Answer DeleteObjectTagging."""
        stored = self._store.get(request.bucket, request.key)
        self._store.update(request.bucket, request.key, replace(stored.attributes, tags={}))
        return S3Response(status=204)

    def _copy(self, request: S3Request) -> S3Response:
        """Answer CopyObject."""
        bucket, key = copy_source(request)
        check_upload(request.headers)
        source, file = self._store.open(bucket, key)
        with file:
            check_source(request, source)
            attributes = source.attributes
            # A copy is encrypted as this request says, not as its source is.
            own = {name: value for name, value in request.headers.items() if name in KEPT}
            kept = {name: value for name, value in attributes.headers.items() if name not in KEPT}
            attributes = replace(attributes, headers={**kept, **own})
            if request.headers.get("x-amz-metadata-directive", "COPY").upper() == "REPLACE":
                attributes = replace(request.attributes(checksums=attributes.checksums), tags=attributes.tags)
            elif (bucket, key) == (request.bucket, request.key) and not own:
                raise S3Error(
                    "InvalidRequest",
                    "This copy request is illegal because it is trying to copy an object to itself without "
                    "changing the object's metadata, storage class, website redirect location or encryption "
                    "attributes.",
                )
            blob = self._store.copy(file, source.blob)
        stored = self._store.put(request.bucket, request.key, blob, attributes)
        response = answer(
            "CopyObjectResult",
            elements(("ETag", xml.quoted(blob.etag)), ("LastModified", xml.iso(stored.modified))),
        )
        response.headers.update(encryption(attributes.headers))
        return response


def copy_source(request: S3Request) -> tuple[str, str]:
    """Return bucket and key of a copy's source. Raises S3Error."""
    source, _, version = request.headers["x-amz-copy-source"].partition("?")
    if version:
        raise S3Error("NotImplemented", "The sandbox's S3 does not support object versions.")
    bucket, _, key = unquote(source).removeprefix("/").partition("/")
    if not bucket or not key:
        raise S3Error(
            "InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
        )
    return bucket, key


def check_source(request: S3Request, source: StoredObject) -> None:
    """Check a copy's conditions on its source; "not modified" fails, too. Raises S3Error PreconditionFailed."""
    if not conditions.check(request.headers, source, prefix="x-amz-copy-source-"):
        raise S3Error("PreconditionFailed")


def stream(file: IO[bytes], start: int, stop: int) -> Iterator[bytes]:
    """Yield the file's bytes [start, stop)."""
    file.seek(start)
    while start < stop and (data := file.read(min(CHUNK, stop - start))):
        start += len(data)
        yield data


def _answer(request: S3Request, stored: StoredObject) -> tuple[S3Response, tuple[int, int]]:
    """Return the response to GET and HEAD without a body, and the bytes [start, stop) of its body."""
    size, attributes = stored.blob.size, stored.attributes
    headers = {
        "ETag": xml.quoted(stored.blob.etag),
        "Last-Modified": http_date(stored.modified),
        "Accept-Ranges": "bytes",
    }
    if not conditions.check(request.headers, stored):
        return S3Response(status=304, headers=headers), (0, 0)
    span = conditions.byte_range(request.headers.get("range"), size)
    start, stop = span or (0, size)
    headers.update(
        {name: value for name, value in attributes.headers.items() if not name.endswith("encryption-context")}
    )
    if span:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    elif request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED" and attributes.checksums:
        headers |= {**attributes.checksums, "x-amz-checksum-type": attributes.kind}
    if attributes.tags:
        headers["x-amz-tagging-count"] = str(len(attributes.tags))
    for name, value in request.query.items():
        if name.startswith("response-"):
            headers.pop(name.removeprefix("response-"), None)
            headers[name.removeprefix("response-")] = value
    headers["Content-Length"] = str(stop - start)
    return S3Response(status=206 if span else 200, headers=headers), (start, stop)
