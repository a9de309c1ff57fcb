"""The S3 operations on multipart uploads (S3 user guide, "Uploading and copying objects using multipart upload")."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace

from sandbox.services.s3 import conditions, xml
from sandbox.services.s3.answers import S3Response, answer
from sandbox.services.s3.errors import S3Error
from sandbox.services.s3.objects import check_source, copy_source, stream
from sandbox.services.s3.payload import CHECKSUM, HASHERS, Hasher, composite
from sandbox.services.s3.request import S3Request
from sandbox.services.s3.store import ObjectStore
from sandbox.services.s3.unsupported import encryption
from sandbox.services.s3.values import Attributes, MultipartUpload, UploadedPart
from sandbox.services.s3.xml import element, elements, joined

_SMALLEST = 5 << 20  # bytes, of every part but the last
_MAX_PARTS = 10_000


class Multipart:
    """Handlers from S3Request to S3Response; they raise S3Error."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def create(self, request: S3Request) -> S3Response:
        """Answer CreateMultipartUpload."""
        request.document()
        algorithm = request.algorithm()
        whole = (
            request.headers.get("x-amz-checksum-type", "").upper() == "FULL_OBJECT"
            or algorithm == "crc64nvme"
        )
        attributes = replace(request.attributes(), kind="FULL_OBJECT" if whole else "COMPOSITE")
        upload = self._store.start_upload(request.bucket, request.key, algorithm, attributes)
        named = elements(("Bucket", request.bucket), ("Key", request.key), ("UploadId", upload))
        response = answer("InitiateMultipartUploadResult", named)
        response.headers.update(encryption(attributes.headers))
        if algorithm:
            response.headers["x-amz-checksum-algorithm"] = algorithm.upper()
            response.headers["x-amz-checksum-type"] = attributes.kind
        return response

    def put_part(self, request: S3Request) -> S3Response:
        """Answer UploadPart, or UploadPartCopy when a source is given."""
        upload = self._upload(request)
        number = request.number("partNumber", 0, low=1, high=_MAX_PARTS)
        if "x-amz-copy-source" in request.headers:
            return self._copy_part(request, upload, number)
        body = request.payload
        blob = self._store.write(body, lambda: body.etag)
        self._store.put_part(upload, number, blob, body.checksums)
        return S3Response(status=200, headers={"ETag": xml.quoted(blob.etag), **body.checksums})

    def list_parts(self, request: S3Request) -> S3Response:
        """Answer ListParts."""
        upload, limit = self._upload(request), min(request.number("max-parts", 1000), 1000)
        after = request.number("part-number-marker", 0)
        rest = [part for part in self._store.parts(upload.id) if part.number > after]
        shown, last = rest[:limit], rest[:limit][-1].number if rest[:limit] else after
        head = elements(
            ("Bucket", upload.bucket),
            ("Key", upload.key),
            ("UploadId", upload.id),
            ("PartNumberMarker", after),
            ("NextPartNumberMarker", last),
            ("MaxParts", limit),
            ("IsTruncated", str(len(rest) > len(shown)).lower()),
        )
        return answer("ListPartsResult", joined([head, *map(_part, shown)]))

    def list_uploads(self, request: S3Request) -> S3Response:
        """Answer ListMultipartUploads in one page; AWS returns up to 1,000 per page."""
        prefix = request.query.get("prefix", "")
        matching = [upload for upload in self._store.uploads(request.bucket) if upload.key.startswith(prefix)]
        uploads = (
            elements(("Key", upload.key), ("UploadId", upload.id), ("Initiated", xml.iso(upload.started)))
            for upload in matching
        )
        head = elements(("Bucket", request.bucket), ("Prefix", prefix), ("IsTruncated", "false"))
        return answer(
            "ListMultipartUploadsResult", joined([head, *(element("Upload", item) for item in uploads)])
        )

    def abort(self, request: S3Request) -> S3Response:
        """Answer AbortMultipartUpload."""
        self._store.end_upload(self._upload(request))
        return S3Response(status=204)

    def complete(self, request: S3Request) -> S3Response:
        """Answer CompleteMultipartUpload."""
        upload = self._upload(request)
        parts = self._chosen(upload, request.document())
        tags = hashlib.md5(b"".join(bytes.fromhex(part.blob.etag) for part in parts), usedforsecurity=False)
        blob = self._store.join([part.blob for part in parts], f"{tags.hexdigest()}-{len(parts)}")
        attributes = _with_checksum(upload, parts, request)
        allow = conditions.write_condition(request.headers)
        self._store.put(upload.bucket, upload.key, blob, attributes, allow)
        self._store.end_upload(upload)
        named = elements(
            ("Location", f"/{upload.bucket}/{upload.key}"),
            ("Bucket", upload.bucket),
            ("Key", upload.key),
            ("ETag", xml.quoted(blob.etag)),
            *(
                (f"Checksum{name[len(CHECKSUM) :].upper()}", value)
                for name, value in attributes.checksums.items()
            ),
            ("ChecksumType", attributes.kind if attributes.checksums else None),
        )
        response = answer("CompleteMultipartUploadResult", named)
        response.headers.update(encryption(attributes.headers))
        return response

    def _upload(self, request: S3Request) -> MultipartUpload:
        """Return the request's upload. Raises S3Error NoSuchUpload."""
        return self._store.upload(request.bucket, request.key, request.query["uploadId"])

    def _copy_part(self, request: S3Request, upload: MultipartUpload, number: int) -> S3Response:
        """Answer UploadPartCopy."""
        source, file = self._store.open(*copy_source(request))
        with file:
            check_source(request, source)
            start, stop = _copied(request.headers.get("x-amz-copy-source-range"), source.blob.size)
            md5 = hashlib.md5(usedforsecurity=False)
            blob = self._store.write(_hashed(stream(file, start, stop), md5), md5.hexdigest)
        self._store.put_part(upload, number, blob, {})
        done = elements(("ETag", xml.quoted(blob.etag)), ("LastModified", xml.iso(source.modified)))
        return answer("CopyPartResult", done)

    def _chosen(self, upload: MultipartUpload, body: bytes) -> list[UploadedPart]:
        """Return the parts that the client lists: they must exist, in order, and be large enough. Raises S3Error."""
        have = {part.number: part for part in self._store.parts(upload.id)}
        listed = [
            (xml.text(item, "PartNumber"), xml.text(item, "ETag").strip('"'))
            for item in xml.parse(body).iterfind("Part")
        ]
        if not listed or not all(re.fullmatch(r"[0-9]{1,10}", number) for number, _ in listed):
            raise S3Error("MalformedXML")
        numbers = [int(number) for number, _ in listed]
        if any(second <= first for first, second in itertools.pairwise(numbers)):
            raise S3Error("InvalidPartOrder", UploadId=upload.id)
        for number, (_, etag) in zip(numbers, listed, strict=True):
            if number not in have or have[number].blob.etag != etag:
                raise S3Error("InvalidPart", UploadId=upload.id, PartNumber=number, ETag=etag)
        for number in numbers[:-1]:
            if have[number].blob.size < _SMALLEST:
                size = have[number].blob.size
                raise S3Error(
                    "EntityTooSmall", PartNumber=number, ProposedSize=size, MinSizeAllowed=_SMALLEST
                )
        return [have[number] for number in numbers]


def _hashed(chunks: Iterator[bytes], hasher: Hasher) -> Iterator[bytes]:
    """Yield chunks and add them to a hash."""
    for chunk in chunks:
        hasher.update(chunk)
        yield chunk


def _copied(header: str | None, size: int) -> tuple[int, int]:
    """Return the bytes [start, stop) of a copied part. Raises S3Error InvalidRange."""
    if header is None:
        return 0, size
    match = re.fullmatch(r"bytes=([0-9]{1,19})-([0-9]{1,19})", header)
    if not match or not int(match[1]) <= int(match[2]) < size:
        raise S3Error("InvalidRange", RangeRequested=header[:100], ActualObjectSize=size)
    return int(match[1]), int(match[2]) + 1


def _with_checksum(upload: MultipartUpload, parts: list[UploadedPart], request: S3Request) -> Attributes:
    """Return the upload's attributes with the checksum of the whole object.

    COMPOSITE is computed from the parts; FULL_OBJECT is stored as sent by the client.
    """
    name = CHECKSUM + upload.algorithm
    if not upload.algorithm:
        return upload.attributes
    if upload.attributes.kind == "FULL_OBJECT":
        value = request.headers.get(name)
    else:
        values = [part.checksums[name] for part in parts if name in part.checksums]
        whole = len(values) == len(parts) and upload.algorithm in HASHERS
        value = composite(upload.algorithm, values) if whole else None
    return replace(upload.attributes, checksums={name: value} if value else {})


def _part(part: UploadedPart) -> str:
    """Return one part of ListParts."""
    return element(
        "Part",
        elements(
            ("PartNumber", part.number),
            ("LastModified", xml.iso(part.modified)),
            ("ETag", xml.quoted(part.blob.etag)),
            ("Size", part.blob.size),
        ),
    )
