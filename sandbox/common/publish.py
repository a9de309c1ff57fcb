"""Publish the sandbox's own metrics to its CloudWatch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.common.clients import Loopback

MAX_DATA = 500  # in one call
Datum = dict[str, Any]


def publish(loopback: Loopback, namespace: str, data: Sequence[Datum]) -> None:
    """Put data into CloudWatch; refused data is reported on stderr and dropped, so that the work continues."""
    try:
        for start in range(0, len(data), MAX_DATA):
            part = list(data[start : start + MAX_DATA])
            loopback.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=part)
    except (ClientError, BotoCoreError) as problem:
        print(f"sandbox: {len(data)} metric values of {namespace} were lost: {problem}", file=sys.stderr)
