"""Read one S3 request from the WSGI environ."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from sandbox.http.protocol import whole_number
from sandbox.services.s3.errors import S3Error
from sandbox.services.s3.payload import ALGORITHMS, CHECKSUM, Payload
from sandbox.services.s3.unsupported import KEPT, check_upload
from sandbox.services.s3.values import Attributes

_MAX_DOCUMENT = 4 << 20
_KEPT = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
)


class S3Request:
    """One request.

    bucket, key: decoded from the raw path, so that `//`, `%2F` and `..` in a key are kept as they are; key may be "".
    query:       parameters by name, without those of a presigned signature.
    headers:     by lower-case name.
    region:      that it is signed for; empty where the signature has none.
    """

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self.method: str = environ["REQUEST_METHOD"]
        self.region = str(environ.get("sandbox.region", ""))
        self.headers = _headers(environ)
        self.payload = Payload(environ, self.headers)
        self._raw_path = str(environ.get("RAW_URI") or environ.get("REQUEST_URI") or "/").split("?")[0]
        self._raw_query = str(environ.get("QUERY_STRING", ""))
        self.query: dict[str, str] = {}
        self.bucket, self.key = "", ""

    @property
    def path(self) -> str:
        """Return the path as sent, for error responses."""
        return self._raw_path

    def address(self) -> None:
        """Decode bucket, key and query. Raises S3Error when they are not UTF-8 or the key is too long."""
        try:
            path = unquote_to_bytes(self._raw_path).decode()
            pairs = parse_qsl(self._raw_query, keep_blank_values=True, errors="strict")
        except UnicodeDecodeError as error:
            raise S3Error("InvalidURI") from error
        self.query = {name: value for name, value in pairs if not name.startswith(("X-Amz-", "x-id"))}
        self.bucket, _, self.key = path.removeprefix("/").partition("/")
        if len(self.key.encode()) > 1024:
            raise S3Error("KeyTooLongError", Size=len(self.key.encode()), MaxSizeAllowed=1024)

    def declared_size(self) -> int:
        """Return the declared bytes of the body, without framing; 0 when unknown."""
        text = self.headers.get("x-amz-decoded-content-length") or self.headers.get("content-length") or "0"
        return whole_number(text) or 0

    def document(self) -> bytes:
        """Return the body of a request with XML: whole, limited in size, and verified. Raises S3Error."""
        body = bytearray()
        for chunk in self.payload:
            body += chunk
            if len(body) > _MAX_DOCUMENT:
                raise S3Error("MalformedXML")
        return bytes(body)

    def number(self, name: str, default: int, *, low: int = 0, high: int = 2**31 - 1) -> int:
        """Return an integer from the query. Raises S3Error InvalidArgument."""
        value = self.query.get(name, str(default))
        if not re.fullmatch(r"[0-9]{1,10}", value) or not low <= int(value) <= high:
            message = f"Argument {name} must be an integer between {low} and {high}"
            raise S3Error("InvalidArgument", message, ArgumentName=name, ArgumentValue=value)
        return int(value)

    def attributes(self, *, checksums: Mapping[str, str] | None = None) -> Attributes:
        """Return the headers to store with the object. Raises S3Error for a header that has no effect here."""
        check_upload(self.headers)
        kept = {
            name: value
            for name, value in self.headers.items()
            if name in (*_KEPT, *KEPT) or name.startswith("x-amz-meta-")
        }
        encodings = [part.strip() for part in kept.pop("content-encoding", "").split(",")]
        if encoding := ",".join(part for part in encodings if part and part != "aws-chunked"):
            kept["content-encoding"] = encoding
        kept.setdefault("content-type", "binary/octet-stream")
        tags = dict(parse_qsl(self.headers.get("x-amz-tagging", ""), keep_blank_values=True))
        return Attributes(kept, checksums or {}, tags=tags)

    def algorithm(self) -> str:
        """Return the checksum algorithm that a multipart upload announces, in lower case, or "". Raises S3Error."""
        name = self.headers.get(CHECKSUM + "algorithm", "").lower()
        if name and name not in ALGORITHMS:
            raise S3Error(
                "InvalidRequest",
                "Checksum algorithm provided is unsupported. Please try again with any of "
                "the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
            )
        return name


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    """Return all headers by lower-case name.

    WSGI does not distinguish `x-amz-meta-a_b` from `x-amz-meta-a-b` (werkzeug drops the first), so the sandbox's
    listener passes the headers as sent in `sandbox.headers`.
    """
    headers = {
        name[5:].replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    sent = environ.get("sandbox.headers") or {}
    for name, value in sent.items():
        if name.lower().startswith("x-amz-meta-"):
            headers[name.lower()] = value
    return headers
