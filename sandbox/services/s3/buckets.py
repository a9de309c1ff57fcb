"""The S3 operations on the service and on buckets."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from functools import partial
from urllib.parse import quote

from sandbox.services.s3 import listing, xml
from sandbox.services.s3.answers import S3Response, answer
from sandbox.services.s3.errors import S3Error
from sandbox.services.s3.request import S3Request
from sandbox.services.s3.store import ObjectStore
from sandbox.services.s3.xml import Elements, element, elements, joined

_MAX_KEYS = 1000
_OWNER = elements(("ID", "sandbox"), ("DisplayName", "sandbox"))


class Buckets:
    """Handlers from S3Request to S3Response; they raise S3Error."""

    def __init__(self, store: ObjectStore, region: str) -> None:
        self._store, self._region = store, region

    def list_buckets(self, request: S3Request) -> S3Response:
        """Answer ListBuckets, in one page."""
        named = [
            elements(("Name", name), ("CreationDate", xml.iso(created)))
            for name, created in self._store.buckets()
            if name.startswith(request.query.get("prefix", ""))
        ]
        buckets = joined(element("Bucket", item) for item in named)
        return answer("ListAllMyBucketsResult", elements(("Owner", _OWNER), ("Buckets", buckets)))

    def create(self, request: S3Request) -> S3Response:
        """Answer CreateBucket; in us-east-1, creating one's own bucket again succeeds, as in AWS."""
        name, body = request.bucket, request.document()
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name) or ".." in name:
            raise S3Error("InvalidBucketName", BucketName=name)
        location = xml.parse(body).findtext("LocationConstraint") if body else None
        region = request.region or self._region
        if location and location != region:
            raise S3Error("IllegalLocationConstraintException")
        if self._store.has_bucket(name) and region != "us-east-1":
            raise S3Error("BucketAlreadyOwnedByYou", BucketName=name)
        self._store.create_bucket(name, region)
        return S3Response(status=200, headers={"Location": f"/{name}"})

    def head(self, request: S3Request) -> S3Response:
        """Answer HeadBucket."""
        self._require_bucket(request)
        return S3Response(status=200, headers={"x-amz-bucket-region": self._region_of(request)})

    def delete(self, request: S3Request) -> S3Response:
        """Answer DeleteBucket."""
        self._store.delete_bucket(request.bucket)
        return S3Response(status=204)

    def location(self, request: S3Request) -> S3Response:
        """Answer GetBucketLocation: empty for us-east-1."""
        self._require_bucket(request)
        region = self._region_of(request)
        location = "" if region == "us-east-1" else region
        return answer("LocationConstraint", Elements(location))

    def _region_of(self, request: S3Request) -> str:
        """Return the region of the bucket: the home region for one of an earlier version."""
        return self._store.bucket_region(request.bucket) or self._region

    def encryption(self, request: S3Request) -> S3Response:
        """Answer GetBucketEncryption: SSE-S3, AWS's default for every bucket."""
        self._require_bucket(request)
        default = elements(("ApplyServerSideEncryptionByDefault", elements(("SSEAlgorithm", "AES256"))))
        rule = elements(("Rule", Elements(default + elements(("BucketKeyEnabled", "false")))))
        return answer("ServerSideEncryptionConfiguration", rule)

    def versioning(self, request: S3Request) -> S3Response:
        """Answer GetBucketVersioning: never enabled."""
        self._require_bucket(request)
        return answer("VersioningConfiguration", Elements(""))

    def delete_objects(self, request: S3Request) -> S3Response:
        """Answer DeleteObjects."""
        self._require_bucket(request)
        document = xml.parse(request.document())
        keys = [xml.text(item, "Key") for item in document.iterfind("Object")]
        if not 1 <= len(keys) <= _MAX_KEYS:
            raise S3Error("MalformedXML")
        for key in keys:
            self._store.delete(request.bucket, key)
        reported = [] if document.findtext("Quiet") == "true" else keys
        return answer("DeleteResult", joined(element("Deleted", elements(("Key", key))) for key in reported))

    def list_objects(self, request: S3Request) -> S3Response:
        """Answer ListObjectsV2, or ListObjects without `list-type=2`."""
        self._require_bucket(request)
        query, second = request.query, request.query.get("list-type") == "2"
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        limit = min(request.number("max-keys", _MAX_KEYS), _MAX_KEYS)
        page = listing.page(
            partial(self._store.span, request.bucket),
            prefix=prefix,
            delimiter=delimiter,
            start=_start_v2(query) if second else _start_v1(query),
            limit=limit,
        )
        spell = _spelling(request)
        head = elements(
            ("Name", request.bucket),
            ("Prefix", spell(prefix)),
            ("Delimiter", spell(delimiter) if delimiter else None),
            ("MaxKeys", limit),
            ("EncodingType", query.get("encoding-type")),
            ("IsTruncated", str(page.truncated).lower()),
        )
        special = _paging_v2(query, page, spell) if second else _paging_v1(query, page, spell)
        owner = _OWNER if not second or query.get("fetch-owner") == "true" else None
        return answer("ListBucketResult", joined([head, special, _contents(page, spell, owner)]))

    def _require_bucket(self, request: S3Request) -> None:
        """Raise S3Error NoSuchBucket unless the bucket exists."""
        if not self._store.has_bucket(request.bucket):
            raise S3Error("NoSuchBucket", BucketName=request.bucket)


def _spelling(request: S3Request) -> Callable[[str], str]:
    """Return how keys are written: URL-encoded on request, since XML cannot hold every character of a key."""
    encoding = request.query.get("encoding-type")
    if encoding not in {None, "url"}:
        raise S3Error("InvalidArgument", "Invalid Encoding Method specified in Request")
    return partial(quote, safe="/") if encoding else str


def _start_v2(query: dict[str, str]) -> bytes:
    """Return where a page of ListObjectsV2 starts. Raises S3Error."""
    token = query.get("continuation-token")
    if token is None:
        return listing.above(query["start-after"]) if "start-after" in query else b""
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise S3Error("InvalidArgument", "The continuation token provided is incorrect") from error


def _start_v1(query: dict[str, str]) -> bytes:
    """Return where a page of ListObjects starts: above the marker, or above all keys of a common prefix."""
    marker = query.get("marker", "")
    common = listing.common_prefix(marker, query.get("prefix", ""), query.get("delimiter", ""))
    if marker and marker == common:
        return marker.encode() + listing.END
    return listing.above(marker) if marker else b""


def _paging_v2(query: dict[str, str], page: listing.Page, spell: Callable[[str], str]) -> Elements:
    """Return the paging elements of ListObjectsV2."""
    token = base64.urlsafe_b64encode(page.next_start).decode() if page.truncated else None
    start = query.get("start-after")
    return elements(
        ("KeyCount", page.count),
        ("ContinuationToken", query.get("continuation-token")),
        ("StartAfter", None if start is None else spell(start)),
        ("NextContinuationToken", token),
    )


def _paging_v1(query: dict[str, str], page: listing.Page, spell: Callable[[str], str]) -> Elements:
    """Return the paging elements of ListObjects."""
    following = spell(page.last) if page.truncated and query.get("delimiter") else None
    return elements(("Marker", spell(query.get("marker", ""))), ("NextMarker", following))


def _contents(page: listing.Page, spell: Callable[[str], str], owner: Elements | None) -> Elements:
    """Return a page's objects and common prefixes."""
    objects = (
        elements(
            ("Key", spell(item.key)),
            ("LastModified", xml.iso(item.modified)),
            ("ETag", xml.quoted(item.blob.etag)),
            ("Size", item.blob.size),
            ("Owner", owner),
            ("StorageClass", "STANDARD"),
        )
        for item in page.objects
    )
    prefixes = (elements(("Prefix", spell(prefix))) for prefix in page.prefixes)
    return joined(
        [
            *(element("Contents", item) for item in objects),
            *(element("CommonPrefixes", item) for item in prefixes),
        ]
    )
