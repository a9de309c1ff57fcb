"""S3 as a WSGI application: select the operation by method and sub-resource, and turn errors into responses.

Source: Amazon S3 API reference.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.common.disk import CODE, Disk, is_full
from sandbox.services.s3.answers import S3Response
from sandbox.services.s3.buckets import Buckets
from sandbox.services.s3.errors import S3Error
from sandbox.services.s3.multipart import Multipart
from sandbox.services.s3.objects import Objects
from sandbox.services.s3.request import S3Request
from sandbox.services.s3.store import ObjectStore

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_log = logging.getLogger(__name__)
Handler = Callable[[S3Request], S3Response]
MAX_UPLOAD = 5 << 30  # bytes of one PutObject or UploadPart, as documented by S3
# Query parameters that shape a response; every other one names a sub-resource and so another operation.
_OPTIONS = frozenset(
    """
    list-type prefix delimiter max-keys marker continuation-token start-after fetch-owner encoding-type
    max-parts part-number-marker max-uploads max-buckets bucket-region response-cache-control
    response-content-disposition response-content-encoding response-content-language response-content-type
    response-expires
    """.split()  # noqa: SIM905 - twenty quoted strings read worse
)


class S3:
    """An S3 with path-style addresses in one directory. Unsupported operations are refused with 501 and a message.

    The caller verifies the request's signature; the body's hashes and checksums are verified here.
    """

    def __init__(self, root: Path, region: str, *, disk: Disk | None = None) -> None:
        """Open the store. disk: the disk of `root`; its reserve is used for deletions on a full disk."""
        root.mkdir(parents=True, exist_ok=True)
        self._disk = disk or Disk(root)
        self._store = ObjectStore(root, disk=self._disk)
        buckets, objects, parts = Buckets(self._store, region), Objects(self._store), Multipart(self._store)
        self._service: dict[tuple[str, str], Handler] = {("GET", ""): buckets.list_buckets}
        self._bucket: dict[tuple[str, str], Handler] = {
            ("PUT", ""): buckets.create,
            ("HEAD", ""): buckets.head,
            ("DELETE", ""): buckets.delete,
            ("GET", ""): buckets.list_objects,
            ("GET", "location"): buckets.location,
            ("GET", "encryption"): buckets.encryption,
            ("GET", "versioning"): buckets.versioning,
            ("GET", "uploads"): parts.list_uploads,
            ("POST", "delete"): buckets.delete_objects,
        }
        self._object: dict[tuple[str, str], Handler] = {
            ("PUT", ""): objects.put,
            ("GET", ""): objects.get,
            ("HEAD", ""): objects.head,
            ("DELETE", ""): objects.delete,
            ("GET", "tagging"): objects.get_tags,
            ("PUT", "tagging"): objects.put_tags,
            ("DELETE", "tagging"): objects.delete_tags,
            ("POST", "uploads"): parts.create,
            ("PUT", "partNumber&uploadId"): parts.put_part,
            ("GET", "uploadId"): parts.list_parts,
            ("POST", "uploadId"): parts.complete,
            ("DELETE", "uploadId"): parts.abort,
        }

    def has_bucket(self, bucket: str) -> bool:
        """Return whether a bucket exists."""
        return self._store.has_bucket(bucket)

    def has_object(self, bucket: str, key: str) -> bool:
        """Return whether an object exists."""
        try:
            self._store.get(bucket, key)
        except S3Error:
            return False
        return True

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request, request_id = S3Request(environ), uuid.uuid4().hex[:16].upper()
        try:
            handler = self._handler(request)
            self._check_size(request)
            response = handler(request)
        except S3Error as error:
            response = _refusal(request, error, request_id)
        except Exception as problem:  # noqa: BLE001 - logged, and reported to the client
            failure = self._failure(request, problem)
            response = _refusal(request, failure, request_id)
        response.headers["x-amz-request-id"] = request_id
        return response(environ, start_response)

    def _check_size(self, request: S3Request) -> None:
        """Refuse an upload that is too large for S3 or for the disk before any of it is written. Raises S3Error."""
        size = request.declared_size() if request.method == "PUT" else 0
        if size > MAX_UPLOAD:
            raise S3Error("EntityTooLarge", ProposedSize=size, MaxSizeAllowed=MAX_UPLOAD)
        if size > self._disk.free():
            raise self._full(request, None)

    def _failure(self, request: S3Request, problem: Exception) -> S3Error:
        """Log an unexpected error and return the error for the client."""
        if is_full(problem):
            full = self._full(request, problem)
            _log.error("%s %s: %s", request.method, request.path, full.message)
            return full
        _log.error("S3 failed on %s %s", request.method, request.path, exc_info=problem)
        return S3Error("InternalError")

    def _full(self, request: S3Request, problem: BaseException | None) -> S3Error:
        """Return the error for a full disk."""
        in_place = "Nothing of this request was saved; existing data is unchanged."
        if "uploadId" in request.query:
            in_place = "The parts uploaded before and the existing object are unchanged."
        needed = request.declared_size() if request.method == "PUT" else 0
        return S3Error(CODE, self._disk.text(problem, needed or None, in_place))

    def _handler(self, request: S3Request) -> Handler:
        """Return the handler of a request. Raises S3Error NotImplemented."""
        request.address()
        routes = self._object if request.key else self._bucket if request.bucket else self._service
        sub_resource = "&".join(sorted(set(request.query) - _OPTIONS))
        handler = routes.get((request.method, sub_resource))
        if handler is None:
            kind = "an object" if request.key else "a bucket" if request.bucket else "the service"
            operation = f"{request.method} {kind}" + (f" with ?{sub_resource}" if sub_resource else "")
            raise S3Error("NotImplemented", f"The sandbox's S3 does not support {operation}.")
        return handler


def _refusal(request: S3Request, error: S3Error, request_id: str) -> S3Response:
    """Return an error response, after reading what the client is still sending."""
    try:
        request.payload.drain()
    except S3Error:
        _log.info("the client of %s %s disconnected", request.method, request.path)
    return S3Response(
        error.xml(request.path, request_id), status=error.status, content_type="application/xml"
    )
