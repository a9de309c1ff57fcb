"""The container image of AWS's own algorithm, in each region.

The registry accounts are in a JSON file of the SageMaker SDK. That file is read directly: the SDK's function,
`sagemaker.core.image_uris.retrieve`, takes three seconds to import. A test compares the two for every region.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.metadata import distribution

from core.errors import InputError

REPOSITORY = "semantic-segmentation"
VERSION = "1"
REGISTRIES = "sagemaker/core/image_uri_config/semantic-segmentation.json"
DOMAINS = {
    "cn-": "amazonaws.com.cn",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
}
"""Domains of AWS's partitions (botocore's endpoints.json); everywhere else it is amazonaws.com."""

IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.[a-z0-9.]+/semantic-segmentation[:@].+"
)


def image_uri(region: str) -> str:
    """Return the image for training and hosting. Raises InputError if AWS does not offer the algorithm."""
    account = _registries().get(region)
    if account is None:
        raise InputError(
            f"AWS does not offer its semantic segmentation algorithm in the region {region!r}.",
            todo=f"It is available in {', '.join(sorted(_registries()))}.",
        )
    domain = next((name for prefix, name in DOMAINS.items() if region.startswith(prefix)), "amazonaws.com")
    return f"{account}.dkr.ecr.{region}.{domain}/{REPOSITORY}:{VERSION}"


def is_semantic_segmentation(image: str) -> bool:
    """Return whether an image is AWS's own: its repository, in AWS's account for that region."""
    match = IMAGE.fullmatch(image)
    return match is not None and _registries().get(match["region"]) == match["account"]


def regions() -> tuple[str, ...]:
    """Return the regions in which AWS offers the algorithm, sorted."""
    return tuple(sorted(_registries()))


@cache
def _registries() -> dict[str, str]:
    """Return region -> account."""
    path = distribution("sagemaker-core").locate_file(REGISTRIES)
    with open(str(path), encoding="utf-8") as file:
        registries: dict[str, str] = json.load(file)["versions"][VERSION]["registries"]
    return registries
