"""Read many CloudWatch metrics with one GetMetricData request."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from core.aws.connection import Clients
from core.aws.errors import required

MAX_QUERIES = 500
"""Maximum queries of one GetMetricData call; a page of its response has up to 100,800 points (API reference)."""

MAX_PAGES = 5


def metric_data(
    clients: Clients, queries: Sequence[dict[str, Any]], begin: datetime, end: datetime
) -> dict[str, dict[str, list[Any]]]:
    """Return query id -> times and values, of all pages, unsorted. At most `MAX_QUERIES`. Raises AwsError."""
    doing = "read the metrics in CloudWatch"
    rows: dict[str, dict[str, list[Any]]] = {row["Id"]: {"Timestamps": [], "Values": []} for row in queries}
    more: dict[str, str] = {}
    for _ in range(MAX_PAGES):
        with clients.calling(doing):
            answer = clients.cloudwatch.get_metric_data(
                MetricDataQueries=queries, StartTime=begin, EndTime=end, **more
            )
        for row in required(answer, "MetricDataResults", doing):
            rows[row["Id"]]["Timestamps"] += row["Timestamps"]
            rows[row["Id"]]["Values"] += row["Values"]
        if not answer.get("NextToken"):
            break
        more = {"NextToken": answer["NextToken"]}
    return rows
