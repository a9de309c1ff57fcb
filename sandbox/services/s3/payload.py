"""Read the body of one upload: unframed, counted, and verified against everything the client declared.

boto3 sends plain bodies with a checksum in a header over http, and `aws-chunked` bodies with the checksum in a
trailer over https; the SDKs for other languages also sign each chunk. All these frames are read here; chunk
signatures are not verified (the request's own signature is, before this module sees it).

CRC32, SHA-1, SHA-256, MD5 and the signed payload hash are verified. CRC32C and CRC64NVME are stored and returned as
sent: Python has no fast implementation of them, and they still protect the data from client to client. Source: S3
user guide, "Checking object integrity"; "Signature Calculations: Transferring Payload in Multiple Chunks".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from werkzeug.exceptions import BadRequest
from werkzeug.wsgi import get_input_stream

from sandbox.services.s3.errors import S3Error

CHUNK = 1 << 20
CHECKSUM = "x-amz-checksum-"
ALGORITHMS = ("crc32", "crc32c", "crc64nvme", "sha1", "sha256")


class Hasher(Protocol):
    """The part of hashlib's interface that is used here."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def digest(self) -> bytes:
        """Return the hash of all bytes so far."""


class Crc32:
    """CRC32 with hashlib's interface."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        """Add bytes."""
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        """Return the four bytes, most significant first, as S3 writes them."""
        return self._value.to_bytes(4, "big")


HASHERS: Mapping[str, Callable[[], Hasher]] = {
    "crc32": Crc32,
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
}


class Payload:
    """One request's body. Iterate it once for its bytes; the last step raises S3Error when a declared value is wrong.

    size:      bytes so far, without framing.
    etag:      MD5 in hex of the bytes so far.
    checksums: the `x-amz-checksum-...` values to store, known after the last byte.
    """

    def __init__(self, environ: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        self._headers = headers
        self._stream = io.BufferedReader(_Raw(get_input_stream(dict(environ))), CHUNK)
        self._framed = "aws-chunked" in headers.get("content-encoding", "") or headers.get(
            "x-amz-content-sha256", ""
        ).startswith("STREAMING-")
        self._trailer: dict[str, str] = {}
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._signed = hashlib.sha256() if _is_hash(headers.get("x-amz-content-sha256", "")) else None
        self._hashers = {name: HASHERS[name]() for name in _promised(headers) if name in HASHERS}
        self.size = 0

    @property
    def etag(self) -> str:
        """Return the MD5 of the bytes so far, in hex."""
        return self._md5.hexdigest()

    @property
    def checksums(self) -> dict[str, str]:
        """Return checksum values by header name, from the headers and the trailer."""
        names = {CHECKSUM + name for name in ALGORITHMS}
        both = {**self._headers, **self._trailer}
        return {name: value for name, value in both.items() if name in names}

    def __iter__(self) -> Iterator[bytes]:
        promise = self._headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        if not (self._signed or promise == "UNSIGNED-PAYLOAD" or promise.startswith("STREAMING-")):
            raise S3Error(
                "InvalidArgument",
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-..., or a valid sha256 value.",
            )
        for data in self._frames() if self._framed else self._plain():
            self.size += len(data)
            self._md5.update(data)
            if self._signed:
                self._signed.update(data)
            for hasher in self._hashers.values():
                hasher.update(data)
            yield data
        self._verify()

    def drain(self) -> None:
        """Read the rest of the body, so that a client still sending gets the response, not a reset."""
        while self._stream.read(CHUNK):
            continue

    def _plain(self) -> Iterator[bytes]:
        """Yield a body without frames."""
        while data := self._stream.read(CHUNK):
            yield data

    def _frames(self) -> Iterator[bytes]:
        """Yield the data of `aws-chunked` frames: hex length, optional `;chunk-signature=...`, CRLF, data, CRLF."""
        while left := self._frame_length():
            while left:
                data = self._stream.read(min(CHUNK, left))
                if not data:
                    raise S3Error("IncompleteBody")
                left -= len(data)
                yield data
            if self._stream.readline(3) != b"\r\n":
                raise S3Error("IncompleteBody", "A chunk of the body is longer than its declared length.")
        while line := self._stream.readline(CHUNK).strip():
            name, _, value = line.decode("latin-1").partition(":")
            self._trailer[name.strip().lower()] = value.strip()

    def _frame_length(self) -> int:
        """Return the length of the next frame. Raises S3Error IncompleteBody."""
        line = self._stream.readline(CHUNK)
        if not re.fullmatch(rb"[0-9a-fA-F]{1,16}(;[^\r\n]*)?\r\n", line):
            raise S3Error("IncompleteBody", f"A chunk of the body has no valid length: found {line[:40]!r}.")
        return int(line.split(b";")[0], 16)

    def _verify(self) -> None:
        """Compare the body with every declared length, hash and checksum. Raises S3Error."""
        wanted = self._headers.get("x-amz-decoded-content-length")
        if self._framed and wanted is not None and wanted != str(self.size):
            raise S3Error("IncompleteBody")
        if self._signed and self._signed.hexdigest() != self._headers["x-amz-content-sha256"]:
            raise S3Error(
                "XAmzContentSHA256Mismatch",
                ClientComputedContentSHA256=self._headers["x-amz-content-sha256"],
                S3ComputedContentSHA256=self._signed.hexdigest(),
            )
        self._verify_md5()
        for name in filter(None, self._headers.get("x-amz-trailer", "").lower().split(",")):
            if name.strip() not in self._trailer:
                raise S3Error("MalformedTrailerError")
        sent = self.checksums
        for name, hasher in self._hashers.items():
            computed = base64.b64encode(hasher.digest()).decode()
            if sent.get(CHECKSUM + name, computed) != computed:
                raise S3Error(
                    "BadDigest", f"The {name.upper()} you specified did not match the calculated checksum."
                )

    def _verify_md5(self) -> None:
        """Compare the body with Content-MD5. Raises S3Error."""
        wanted = self._headers.get("content-md5")
        if wanted is None:
            return
        try:
            digest = base64.b64decode(wanted, validate=True)
        except binascii.Error as error:
            raise S3Error("InvalidDigest") from error
        if len(digest) != 16:
            raise S3Error("InvalidDigest")
        if digest != self._md5.digest():
            raise S3Error("BadDigest", ExpectedDigest=wanted, CalculatedDigest=self.etag)


class _Raw(io.RawIOBase):
    """werkzeug's bounded request stream; a premature end raises S3Error."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except (BadRequest, OSError) as error:  # the client disconnected
            raise S3Error("IncompleteBody") from error
        buffer[: len(data)] = data
        return len(data)


def composite(algorithm: str, checksums: list[str]) -> str | None:
    """Return a multipart object's checksum from its parts' base64 values, as S3 writes it; None when unsupported."""
    if algorithm not in HASHERS:
        return None
    hasher = HASHERS[algorithm]()
    for checksum in checksums:
        hasher.update(base64.b64decode(checksum))
    return f"{base64.b64encode(hasher.digest()).decode()}-{len(checksums)}"


def _is_hash(value: str) -> bool:
    """Return whether a value is a SHA-256 in hex."""
    return re.fullmatch(r"[0-9a-f]{64}", value) is not None


def _promised(headers: Mapping[str, str]) -> set[str]:
    """Return the checksum algorithms of the request's headers and announced trailer."""
    names = {*headers, *(name.strip() for name in headers.get("x-amz-trailer", "").lower().split(","))}
    return {name for name in ALGORITHMS if CHECKSUM + name in names}
