"""Hundreds of endpoints without a process, and metrics of the past."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.server import Sandbox
from tests.support.patience import WAITER

Client = Callable[..., Any]
DAY = 86_400


def _configured(sagemaker: Any, name: str) -> None:
    sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": "x/semantic-segmentation:1"})
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[{**variant, "InitialInstanceCount": 2}]
    )


def test_five_hundred_endpoints_are_found_in_five_searches(
    tmp_path: Path, stub_programs: dict[str, list[str]], make_client: Client
) -> None:
    """They start no process, are found by tag and configuration, survive a restart, and can be deleted."""
    now = time.time()
    with Sandbox(tmp_path, programs=stub_programs) as sandbox:
        sagemaker = make_client(sandbox, "sagemaker")
        _configured(sagemaker, "shared")
        for number in range(500):
            tags = {"team": "a" if number % 2 else "b"}
            assert sandbox.endpoint_importer.adopt(
                f"many-{number:03}", "shared", created=now - 60 * number, tags=tags
            )
        assert not sandbox.endpoint_importer.adopt("many-000", "shared", created=now)
    with Sandbox(tmp_path, programs=stub_programs) as sandbox:
        sagemaker = make_client(sandbox, "sagemaker")
        pages = list(
            sagemaker.get_paginator("search").paginate(
                Resource="Endpoint", SortBy="CreationTime", PaginationConfig={"PageSize": 100}
            )
        )
        names = [answer["Endpoint"]["EndpointName"] for page in pages for answer in page["Results"]]
        assert (len(pages), names) == (5, [f"many-{number:03}" for number in range(500)])
        filters = [
            {"Name": "Tags.team", "Operator": "Equals", "Value": "a"},
            {"Name": "EndpointConfigName", "Operator": "Equals", "Value": "shared"},
            {"Name": "EndpointStatus", "Operator": "In", "Value": "InService,Updating"},
        ]
        answer = sagemaker.search(Resource="Endpoint", SearchExpression={"Filters": filters}, MaxResults=1)
        assert answer["TotalHits"]["Value"] == 250
        shown = answer["Results"][0]["Endpoint"]
        assert shown["Tags"] == [{"Key": "team", "Value": "a"}]
        assert shown["ProductionVariants"][0]["CurrentInstanceCount"] == 2
        with pytest.raises(ClientError, match="not found"):
            make_client(sandbox, "sagemaker-runtime").invoke_endpoint(EndpointName="many-000", Body=b"x")
        sagemaker.delete_endpoint(EndpointName="many-000")
        sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="many-000", WaiterConfig=WAITER)


def test_metrics_may_have_a_past(sandbox: Sandbox, client: Client) -> None:
    """A month of calls can be imported, although PutMetricData accepts two weeks only."""
    now = int(time.time())
    points = [(now - day * DAY, 1.0) for day in range(31)]
    sandbox.endpoint_importer.measure("idle", "Invocations", points)
    metric = {
        "Namespace": "AWS/SageMaker",
        "MetricName": "Invocations",
        "Dimensions": [
            {"Name": "EndpointName", "Value": "idle"},
            {"Name": "VariantName", "Value": "AllTraffic"},
        ],
    }
    end = datetime.fromtimestamp(now + 60, UTC)
    (result,) = client("cloudwatch").get_metric_data(
        MetricDataQueries=[{"Id": "q", "MetricStat": {"Metric": metric, "Period": 3600, "Stat": "Sum"}}],
        StartTime=end - timedelta(days=40),
        EndTime=end,
    )["MetricDataResults"]
    assert sum(result["Values"]) == 31
