"""Verify Signature Version 4: the sandbox starts programs, so only clients with its secret key may call it.

The signature is in the Authorization header or in the query of a presigned URL. The rules are those of AWS's "Create
a signed AWS API request"; S3 differs in that its path is not encoded a second time and that the hash of its body is
read from a header, since the body is streamed (the S3 store compares it with the bytes received).

Temporary credentials bring their session token in a header or in the query; what it says is verified elsewhere.

botocore's SigV4Auth does not fit: it signs, so it picks the headers itself (never User-Agent) and encodes no query.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote

from sandbox.http.protocol import ApiError, Environ, shortened, whole_number

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW = timedelta(minutes=15)
LONGEST_PRESIGN = 7 * 24 * 3600  # seconds
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Signature:
    """The signature of a request; `expires` (seconds) only in a presigned URL."""

    access_key: str
    day: str
    region: str
    service: str
    signed_headers: str
    signature: str
    timestamp: str
    expires: int | None = None

    @property
    def scope(self) -> str:
        """Return the credential scope: day/region/service/aws4_request."""
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


def parse(environ: Environ) -> Signature:
    """Return the request's signature. Raises ApiError when it is missing or incomplete."""
    header = str(environ.get("HTTP_AUTHORIZATION", ""))
    query = dict(_query_pairs(environ))
    if header.startswith(ALGORITHM):
        parts = (part.strip().partition("=") for part in header[len(ALGORITHM) :].split(","))
        fields = {name: value for name, _, value in parts}
        stamp = str(environ.get("HTTP_X_AMZ_DATE", ""))
        return _signature(fields, stamp, None)
    if "X-Amz-Signature" in query:
        fields = {
            name: query.get(f"X-Amz-{name}", "") for name in ("Credential", "SignedHeaders", "Signature")
        }
        return _signature(fields, query.get("X-Amz-Date", ""), _seconds(query.get("X-Amz-Expires", "")))
    if header or "Signature" in query:
        raise ApiError(
            "InvalidRequest", f"The authorization mechanism is not supported. Please use {ALGORITHM}.", 400
        )
    raise ApiError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)


def session_token(environ: Environ) -> str:
    """Return the session token of a request; empty without one."""
    query = {name.lower(): value for name, value in _query_pairs(environ)}
    return str(environ.get("HTTP_X_AMZ_SECURITY_TOKEN") or query.get("x-amz-security-token", ""))


def _signature(fields: dict[str, str], stamp: str, expires: int | None) -> Signature:
    """Build a Signature from its fields. Raises ApiError IncompleteSignatureException."""
    credential = fields.get("Credential", "").split("/")
    signed, signature = fields.get("SignedHeaders", ""), fields.get("Signature", "")
    if len(credential) < 5 or not signed or not signature or "host" not in signed.split(";"):
        wanted = "Credential (key/day/region/service/aws4_request), SignedHeaders (with host) and Signature"
        raise ApiError("IncompleteSignatureException", f"The authorization needs {wanted}.", 403)
    *key, day, region, service, _terminator = credential
    return Signature("/".join(key), day, region, service, signed, signature, stamp, expires)


def _seconds(text: str) -> int:
    """Parse X-Amz-Expires. Raises ApiError AuthorizationQueryParametersError."""
    seconds = whole_number(text, high=LONGEST_PRESIGN)
    if not seconds:
        raise ApiError(
            "AuthorizationQueryParametersError",
            f"X-Amz-Expires must be 1 to {LONGEST_PRESIGN} seconds, not {shortened(text)!r}.",
        )
    return seconds


def verify(
    environ: Environ, signature: Signature, key: str, secret: str, *, payload_sha256: str, now: datetime
) -> None:
    """Raise ApiError, in the service's own words, unless the request was signed with `secret` at about `now`.

    payload_sha256: hex hash of the body; for S3 the value of x-amz-content-sha256.
    """
    if not hmac.compare_digest(signature.access_key.encode(), key.encode()):
        raise _unknown_key(signature.service)
    _check_clock(signature, now)
    text = canonical_request(environ, signature, payload_sha256)
    wanted = sign(text, signature, secret)
    if not hmac.compare_digest(wanted.encode(), signature.signature.encode()):
        raise _mismatch(signature.service, "")


def canonical_request(environ: Environ, signature: Signature, payload_sha256: str) -> str:
    """Return the canonical request that the signer must have used."""
    raw = str(
        environ.get("RAW_URI") or environ.get("REQUEST_URI") or quote(str(environ.get("PATH_INFO", "/")))
    )
    path = raw.partition("?")[0] or "/"
    if signature.service != "s3":
        path = quote(path, safe="/~-_.")
    pairs = [pair for pair in _query_pairs(environ) if pair[0] != "X-Amz-Signature"]
    encoded = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in pairs)
    query = "&".join(f"{name}={value}" for name, value in encoded)
    names = signature.signed_headers.split(";")
    headers = "".join(f"{name}:{_header(environ, name)}\n" for name in names)
    return "\n".join(
        [str(environ["REQUEST_METHOD"]), path, query, headers, signature.signed_headers, payload_sha256]
    )


def sign(canonical: str, signature: Signature, secret: str) -> str:
    """Return the hex signature of a canonical request under the scope of `signature`."""
    # WSGI decodes header bytes as Latin-1: encoding them again restores what was sent.
    digest = hashlib.sha256(canonical.encode("latin-1", "replace")).hexdigest()
    text = "\n".join([ALGORITHM, signature.timestamp, signature.scope, digest])
    key = f"AWS4{secret}".encode()
    for step in (signature.day, signature.region, signature.service, "aws4_request", text):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return key.hex()


def _header(environ: Environ, name: str) -> str:
    """Return a header's value in canonical form."""
    # WSGI drops headers whose names have an underscore (x-amz-meta-my_key): the listener passes the original ones.
    real = environ.get("sandbox.headers")
    if real is not None:
        return ",".join(" ".join(value.split()) for value in real.get_all(name, []))
    plain = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
    key = plain.get(name, "HTTP_" + name.upper().replace("-", "_"))
    return " ".join(str(environ.get(key) or "").split())


def _query_pairs(environ: Environ) -> list[tuple[str, str]]:
    """Return the query's decoded parameters."""
    pairs = (part.partition("=") for part in str(environ.get("QUERY_STRING", "")).split("&") if part)
    return [(unquote(name), unquote(value)) for name, _, value in pairs]


def _check_clock(signature: Signature, now: datetime) -> None:
    """Raise ApiError for a malformed, expired or skewed time."""
    try:
        signed = datetime.strptime(signature.timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as problem:
        text = f"The date of the request must look like 20300102T030405Z, not {shortened(signature.timestamp)!r}."
        raise ApiError("IncompleteSignatureException", text, 403) from problem
    if not signature.timestamp.startswith(signature.day):
        raise _mismatch(
            signature.service,
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date. ",
        )
    age = now - signed  # a difference, because a sum overflows near the year 9999
    if signature.expires is not None and age > timedelta(seconds=signature.expires):
        raise _expired(signature.service, "Request has expired")
    stale = signature.expires is None and age > SKEW
    if stale or age < -SKEW:
        raise _skewed(signature, now, "Signature expired" if stale else "Signature not yet current")


# -- error texts of each family of services


def _unknown_key(service: str) -> ApiError:
    """Return the service's error for an unknown access key."""
    if service == "s3":
        text = "The AWS Access Key Id you provided does not exist in our records."
        return ApiError("InvalidAccessKeyId", text, 403)
    code = "InvalidClientTokenId" if service in _QUERY_SERVICES else "UnrecognizedClientException"
    return ApiError(code, "The security token included in the request is invalid.", 403)


def invalid_token(service: str) -> ApiError:
    """Return the service's error for a session token that is missing or invalid."""
    if service == "s3":
        return ApiError("InvalidToken", "The provided token is malformed or otherwise invalid.")
    return _unknown_key(service)


def expired_token(service: str) -> ApiError:
    """Return the service's error for a session that has expired."""
    if service == "s3":
        return ApiError("ExpiredToken", "The provided token has expired.")
    code = "ExpiredToken" if service in _QUERY_SERVICES else "ExpiredTokenException"
    return ApiError(code, "The security token included in the request is expired", 403)


def _mismatch(service: str, detail: str) -> ApiError:
    """Return the service's error for a wrong signature."""
    code = (
        "SignatureDoesNotMatch"
        if service == "s3" or service in _QUERY_SERVICES
        else "InvalidSignatureException"
    )
    text = "The request signature we calculated does not match the signature you provided."
    return ApiError(code, f"{detail}{text} Check your AWS Secret Access Key and signing method.", 403)


def _expired(service: str, text: str) -> ApiError:
    """Return the service's error for an expired presigned URL."""
    return ApiError("AccessDenied" if service == "s3" else "ExpiredTokenException", text, 403)


def _skewed(signature: Signature, now: datetime, what: str) -> ApiError:
    """Return the service's error for a request signed too early or too late."""
    if signature.service == "s3":
        text = "The difference between the request time and the current time is too large."
        return ApiError("RequestTimeTooSkewed", text, 403)
    detail = f"{what}: signed at {signature.timestamp}, the time here is {now:%Y%m%dT%H%M%SZ}, 15 min. are allowed. "
    return _mismatch(signature.service, detail)


_QUERY_SERVICES = frozenset({"sts", "iam"})
