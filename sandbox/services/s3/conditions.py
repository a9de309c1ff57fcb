"""Conditional requests and ranges, by RFC 9110 as applied by S3 (S3 user guide, "Conditional requests")."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping

from werkzeug.http import parse_date, parse_range_header

from sandbox.services.s3.errors import S3Error
from sandbox.services.s3.values import StoredObject


def check(headers: Mapping[str, str], stored: StoredObject, *, prefix: str = "") -> bool:
    """Return whether to send the object; False means "not modified". Raises S3Error PreconditionFailed.

    prefix: "x-amz-copy-source-" for the source of a copy.
    """
    etag = stored.blob.etag
    modified = dt.datetime.fromtimestamp(int(stored.modified), dt.UTC)
    match, none_match = headers.get(prefix + "if-match"), headers.get(prefix + "if-none-match")
    since = _date(headers.get(prefix + "if-modified-since"))
    unmodified = _date(headers.get(prefix + "if-unmodified-since"))
    if match is not None and not _names(match, etag):
        raise S3Error("PreconditionFailed", Condition="If-Match")
    if match is None and unmodified and modified > unmodified:
        raise S3Error("PreconditionFailed", Condition="If-Unmodified-Since")
    if none_match is not None:
        return not _names(none_match, etag)
    return not (since and modified <= since)


def write_condition(headers: Mapping[str, str]) -> Callable[[StoredObject | None], None]:
    """Return a check of the object that a write would replace, from the request's If-Match and If-None-Match."""

    def allow(old: StoredObject | None) -> None:
        match, none_match = headers.get("if-match"), headers.get("if-none-match")
        if match is not None and old is None:
            raise S3Error("NoSuchKey")
        if match is not None and old is not None and not _names(match, old.blob.etag):
            raise S3Error("PreconditionFailed", Condition="If-Match")
        if none_match is not None and old is not None and _names(none_match, old.blob.etag):
            raise S3Error("PreconditionFailed", Condition="If-None-Match")

    return allow


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the first byte and the end (exclusive) of a Range header; None for the whole object.

    A header that is not a single range of bytes is ignored, as in RFC 9110. Raises S3Error InvalidRange.
    """
    requested = parse_range_header(header)
    if requested is None or requested.units != "bytes" or len(requested.ranges) != 1:
        return None
    begin = requested.ranges[0][0]
    # werkzeug refuses "the last 100 bytes" of 10; RFC 9110 means all of them.
    span = (0, size) if begin < 0 < size <= -begin else requested.range_for_length(size)
    if span is None:
        raise S3Error("InvalidRange", RangeRequested=(header or "")[:100], ActualObjectSize=size)
    return span


def _date(header: str | None) -> dt.datetime | None:
    """Parse a date; return None for an invalid one, which RFC 9110 says to ignore."""
    try:
        return parse_date(header)
    except OverflowError:  # werkzeug: a time zone offset out of range
        return None


def _names(header: str, etag: str) -> bool:
    """Return whether an If-Match value includes the entity tag; clients send it with and without quotes."""
    return header.strip() == "*" or etag in {
        part.strip().removeprefix("W/").strip('"') for part in header.split(",")
    }
