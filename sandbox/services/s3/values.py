"""The values that the object store returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes on disk, written once and never changed. name: the file's; size: bytes; etag: without quotes."""

    name: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class Attributes:
    """The metadata stored with an object.

    headers:   response headers by name as sent, including Content-Type and `x-amz-meta-...`.
    checksums: `x-amz-checksum-...` values by header name.
    kind:      COMPOSITE or FULL_OBJECT, S3's checksum type.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    kind: str = "FULL_OBJECT"
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object. modified: seconds since 1970."""

    key: str
    blob: Blob
    modified: float
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class MultipartUpload:
    """One multipart upload in progress. algorithm: of its parts' checksums, in lower case, or empty."""

    id: str
    bucket: str
    key: str
    started: float
    algorithm: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class UploadedPart:
    """One uploaded part."""

    number: int
    blob: Blob
    modified: float
    checksums: Mapping[str, str]
