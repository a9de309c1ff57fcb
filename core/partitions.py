"""The partitions of AWS: separate clouds, with regions, accounts, consoles and prices of their own."""

from __future__ import annotations

PARTITIONS = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "us-isof-": "aws-iso-f",
    "eu-isoe-": "aws-iso-e",
}
"""How the regions of a partition begin (botocore's endpoints.json); all others are in `aws`."""

CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}
"""Domain of the console. The isolated partitions publish none."""


def partition_of(region: str) -> str:
    """Return the partition of a region, such as "aws-cn"."""
    return next((name for prefix, name in PARTITIONS.items() if region.startswith(prefix)), "aws")
