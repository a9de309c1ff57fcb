"""The request headers of an upload that the sandbox's S3 does not support: refused, never ignored."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.services.s3.errors import S3Error

ENCRYPTION = "x-amz-server-side-encryption"
KEPT = (
    ENCRYPTION,
    f"{ENCRYPTION}-aws-kms-key-id",
    f"{ENCRYPTION}-bucket-key-enabled",
    f"{ENCRYPTION}-context",
)
"""Kept with the object and returned with it; the bytes on this disk are not encrypted."""
_ALGORITHMS = ("AES256", "aws:kms", "aws:kms:dsse")
_REFUSED = (
    f"{ENCRYPTION}-customer-",
    "x-amz-copy-source-server-side-encryption-customer-",
    "x-amz-object-lock-",
    "x-amz-website-redirect-location",
    "x-amz-grant-",
)
_PRIVATE = {"private", "bucket-owner-full-control", "bucket-owner-read"}


def check_upload(headers: Mapping[str, str]) -> None:
    """Raise S3Error for a header with an effect that the sandbox lacks, or an unknown encryption."""
    for name in headers:
        if name.startswith(_REFUSED):
            raise S3Error("NotImplemented", f"The sandbox's S3 does not support the header {name}.")
    acl = headers.get("x-amz-acl", "private")
    if acl not in _PRIVATE:
        raise S3Error("AccessControlListNotSupported", f"The sandbox's S3 does not support the ACL {acl}.")
    storage = headers.get("x-amz-storage-class", "STANDARD")
    if storage != "STANDARD":
        text = f"The sandbox's S3 does not support the storage class {storage}: use STANDARD."
        raise S3Error("InvalidStorageClass", text)
    algorithm = headers.get(ENCRYPTION)
    if algorithm is not None and algorithm not in _ALGORITHMS:
        raise S3Error("InvalidArgument", "The encryption method specified is not supported")
    if f"{ENCRYPTION}-aws-kms-key-id" in headers and (algorithm or "AES256") == "AES256":
        text = f"Server Side Encryption with AWS KMS managed key requires HTTP header {ENCRYPTION} : aws:kms"
        raise S3Error("InvalidArgument", text)


def encryption(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the response headers that report an object's encryption."""
    return {name: headers[name] for name in KEPT if name in headers and not name.endswith("-context")}
