"""Verify presigned S3 URLs of Signature Version 2: boto3 and the AWS CLI still create them by default in us-east-1.

Source: Amazon S3 user guide, "Signing and authenticating REST requests (AWS signature version 2)".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from sandbox.http.protocol import ApiError, Environ, shortened, whole_number

LATEST = 2**53 - 1  # seconds since 1970; larger numbers are refused
_OWN = ("AWSAccessKeyId", "Signature", "Expires", "x-amz-security-token")
# The query parameters that are part of the string to sign.
_SIGNED = frozenset(
    {
        "acl", "delete", "lifecycle", "location", "partNumber", "policy", "requestPayment", "tagging", "torrent",
        "uploadId", "uploads", "versionId", "versioning", "versions", "website",
        "response-cache-control", "response-content-disposition", "response-content-encoding",
        "response-content-language", "response-content-type", "response-expires",
    }
)  # fmt: skip


def is_presigned(environ: Environ) -> bool:
    """Return whether the query has a Signature Version 2."""
    names = {name for name, _ in _pairs(environ)}
    return not environ.get("HTTP_AUTHORIZATION") and {"AWSAccessKeyId", "Signature", "Expires"} <= names


def access_key(environ: Environ) -> str:
    """Return the access key of a presigned URL."""
    return unquote(dict(_pairs(environ))["AWSAccessKeyId"])


def verify(environ: Environ, key: str, secret: str, now: datetime) -> None:
    """Raise ApiError, in S3's words, unless the URL was signed with `secret` and has not expired."""
    query = {name: unquote(value) for name, value in _pairs(environ)}
    if not hmac.compare_digest(query["AWSAccessKeyId"].encode(), key.encode()):
        raise ApiError(
            "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", 403
        )
    expires = query["Expires"]
    moment = whole_number(expires, high=LATEST)
    if moment is None:
        text = f"Expires must be seconds since 1970 in digits, at most {LATEST}, not {shortened(expires)!r}."
        raise ApiError("AccessDenied", text, 403)
    if now.timestamp() > moment:
        raise ApiError("AccessDenied", "Request has expired", 403)
    digest = hmac.new(
        secret.encode(), _text(environ, expires).encode("latin-1", "replace"), hashlib.sha1
    ).digest()
    if not hmac.compare_digest(base64.b64encode(digest), query["Signature"].encode()):
        text = "The request signature we calculated does not match the signature you provided."
        raise ApiError("SignatureDoesNotMatch", text, 403)


def strip(environ: dict[str, Any]) -> None:
    """Remove the signature from the query, so that only S3's own parameters remain."""
    parts = [part for part in str(environ["QUERY_STRING"]).split("&") if part.partition("=")[0] not in _OWN]
    environ["QUERY_STRING"] = "&".join(parts)


def _text(environ: Environ, expires: str) -> str:
    """Return the string to sign: method, MD5, type, expiry, x-amz headers and the resource, one per line."""
    amz = {
        name.removeprefix("HTTP_").lower().replace("_", "-"): " ".join(str(value).split())
        for name, value in environ.items()
        if name.startswith("HTTP_X_AMZ_")
    }
    # Clients sign the session token as a header, then move it to the query.
    amz |= {name: unquote(value) for name, value in _pairs(environ) if name == "x-amz-security-token"}
    headers = [f"{name}:{amz[name]}" for name in sorted(amz)]
    md5, kind = environ.get("HTTP_CONTENT_MD5", ""), environ.get("CONTENT_TYPE", "")
    path = str(environ.get("RAW_URI") or environ.get("REQUEST_URI") or "/").partition("?")[0]
    signed = sorted((name, unquote(value)) for name, value in _pairs(environ) if name in _SIGNED)
    resource = "&".join(f"{name}={value}" if value else name for name, value in signed)
    lines = [str(environ["REQUEST_METHOD"]), md5, kind, expires, *headers]
    return "\n".join([*lines, f"{path}?{resource}" if resource else path])


def _pairs(environ: Environ) -> list[tuple[str, str]]:
    """Return the query's parameters, not decoded."""
    parts = (part.partition("=") for part in str(environ.get("QUERY_STRING", "")).split("&") if part)
    return [(name, value) for name, _, value in parts]
