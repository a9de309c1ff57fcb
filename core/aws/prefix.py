"""Check a dataset in S3 channels by its object names and class names."""

from __future__ import annotations

from core.aws.class_names import find_classes
from core.aws.connection import Clients
from core.aws.training import list_channels
from core.datasets.report import LayoutReport
from core.datasets.s3_listing import check_listing
from core.datasets.source import CLASSES_FILE
from core.datasets.upload_plan import parse_prefix
from core.training.channels import data_channels

MOST_OBJECTS = 100_000
"""Maximum objects of a channel: some 20 seconds of listing."""

NAMES_ALONE = "Only the object names were checked, not the images."


def check_prefix(clients: Clients, uri: str) -> tuple[LayoutReport, tuple[str, ...]]:
    """Return its problems, and sentences about what could not be read. Raises InputError for an invalid URI."""
    bucket, prefix = parse_prefix(uri)
    listing = list_channels(clients, data_channels(uri), cap=MOST_OBJECTS)
    if not listing.keys:
        return check_listing(uri, {}), listing.notes
    names = find_classes(clients, [f"s3://{bucket}/{prefix}{CLASSES_FILE}"])
    return check_listing(uri, listing.keys, classes=names.classes), (
        *listing.notes,
        *names.notes,
        NAMES_ALONE,
    )
