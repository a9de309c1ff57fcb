"""The images and masks in S3 of a batch that an endpoint segments: see `core.batch.client`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from core.aws.batch import MAX_OBJECTS, list_objects
from core.aws.connection import Clients
from core.aws.execute import execute
from core.aws.storage import read_object
from core.batch.client import BatchImage
from core.batch.objects import StoredObject, folder_uri, mask_names
from core.errors import AwsError, InputError, TakenError
from core.imaging.suffixes import IMAGE_SUFFIXES
from core.inference.batch import RESULT_SUFFIXES
from core.plans.plan import Plan
from core.plans.steps import put_mask
from core.s3_uri import split_folder, split_prefix

MAX_IMAGE = 200_000_000
"""Bytes of an image in S3: each image in progress is in memory."""

TAKEN = ("PreconditionFailed", "ConditionalRequestConflict")


def find_images(clients: Clients, uri: str) -> tuple[tuple[BatchImage, ...], tuple[str, ...]]:
    """Return the images below an S3 prefix, subfolders included, and the keys of the other objects.

    Raises InputError if there are none, or more than can be listed; AwsError.
    """
    uri = folder_uri(uri)
    bucket, prefix = split_prefix(uri)
    objects = [each for each in _all_objects(clients, uri) if not each.key.endswith("/")]
    images = [each for each in objects if _is_image(each.key)]
    others = tuple(each.key for each in objects if not _is_image(each.key))
    if not images:
        raise InputError(
            f"There are no images under s3://{bucket}/{prefix}.",
            todo=f"Supported file types: {', '.join(IMAGE_SUFFIXES)}.",
        )
    names = mask_names([each.key for each in images])
    return tuple(
        BatchImage(each.key, f"s3://{bucket}/{prefix}{each.key}", each.etag, name)
        for each, name in zip(images, names, strict=True)
    ), others


def image_reader(clients: Clients, uri: str) -> Callable[[BatchImage], bytes]:
    """Return a function that reads an image below the prefix, as it was listed. It raises TooLargeError, AwsError."""
    bucket, prefix = split_prefix(folder_uri(uri))
    return lambda image: read_object(
        clients, bucket, f"{prefix}{image.key}", max_bytes=MAX_IMAGE, etag=image.etag
    )


@dataclass(frozen=True, slots=True)
class S3Masks:
    """Masks below an S3 prefix. existing: the keys that one listing found, relative to it."""

    clients: Clients
    bucket: str
    prefix: str
    existing: frozenset[str] = field(repr=False)

    def place(self, name: str) -> str:
        """Return the URI of a mask."""
        return f"s3://{self.bucket}/{self.prefix}{name}"

    def exists(self, name: str) -> bool:
        """Return whether the listing found an object of that name; S3 itself prevents overwriting later ones."""
        return name in self.existing

    def read(self, name: str) -> bytes:
        """Return the content of an object. Raises TooLargeError, AwsError."""
        return read_object(self.clients, self.bucket, f"{self.prefix}{name}", max_bytes=MAX_IMAGE)

    def write(self, name: str, body: bytes, *, replace: bool) -> None:
        """Write a mask, by a plan of one step. Raises InputError if it exists and is not to be replaced, AwsError."""
        step = put_mask(self.bucket, f"{self.prefix}{name}", body, overwrite=replace)
        plan = Plan("upload", self.place(name), (step,), None, (), "delete the mask.")
        try:
            execute(self.clients, plan)
        except AwsError as error:
            if not isinstance(error, TakenError) and error.code not in TAKEN:
                raise
            raise InputError(
                f"{self.place(name)} already exists.",
                why="It was written since the batch started, and is kept.",
                todo="Choose another place, or use --overwrite to replace it.",
            ) from error


def s3_masks(clients: Clients, uri: str) -> S3Masks:
    """List what is below an S3 prefix, to write masks there. Raises InputError, AwsError."""
    bucket, prefix = split_folder(uri)
    keys = frozenset(each.key for each in _all_objects(clients, f"s3://{bucket}/{prefix}"))
    return S3Masks(clients, bucket, prefix, keys)


def _all_objects(clients: Clients, uri: str) -> tuple[StoredObject, ...]:
    listed = list_objects(clients, uri)
    if not listed.complete:
        raise InputError(
            f"There are too many objects under {uri}: {len(listed.objects):,} were listed.",
            why=f"At most {MAX_OBJECTS:,} are listed, for at most a minute.",
            todo="Use a smaller prefix for each call.",
        )
    return listed.objects


def _is_image(key: str) -> bool:
    lower = key.lower()
    return lower.endswith(IMAGE_SUFFIXES) and not lower.endswith(RESULT_SUFFIXES)
