"""Imported endpoints without a process, with 30 days of traffic."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.server import Sandbox

IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
DAY, HOUR, MINUTE = 86_400, 3600, 60


def put_endpoint(
    sandbox: Sandbox,
    name: str,
    *,
    daily: Sequence[int] = (),
    milliseconds: float = 180,
    failed: int = 0,
    instance: str = "ml.g4dn.xlarge",
    count: int = 1,
    weights: Mapping[str, float] = {"AllTraffic": 1.0},
    status: str = "InService",
    days: float = 60,
    tags: Mapping[str, str] = {},
    region: str = "us-east-1",
) -> str:
    """Import an endpoint with a model and a configuration of the same name; return that name.

    daily:        its calls on each of the last days, those of the last day within the last hour.
    milliseconds: latency of each call. failed: how many of the last day's calls the model failed.
    weights:      variant -> weight; each has `count` instances. days: the endpoint's age.
    """
    configure(sandbox, name, instance=instance, count=count, weights=weights, region=region)
    now = time.time()
    importer = sandbox.region(region).endpoint_importer
    assert importer.adopt(name, name, created=now - days * DAY, tags=tags, status=status)
    first = next(iter(weights))
    calls = _moments(daily, now)
    importer.measure(name, "Invocations", [(at, 1) for at in calls], variant=first)
    latency = [(at, 1000 * milliseconds * (0.8 + 0.4 * (n % 10) / 9)) for n, at in enumerate(calls)]
    importer.measure(name, "ModelLatency", latency, variant=first)
    errors = [(at, 1) for at in calls[len(calls) - failed :]]
    importer.measure(name, "Invocation5XXErrors", errors, variant=first)
    return name


def configure(
    sandbox: Sandbox,
    name: str,
    *,
    instance: str,
    count: int,
    weights: Mapping[str, float],
    region: str = "us-east-1",
) -> None:
    """Create the model and the configuration only."""
    sagemaker: Any = sandbox.region(region).loopback.client("sagemaker")
    s3, artifact = sandbox.loopback.client("s3"), f"s3://models/{name}/output/model.tar.gz"
    s3.create_bucket(Bucket="models")
    s3.put_object(Bucket="models", Key=f"{name}/output/model.tar.gz", Body=b"")
    sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": IMAGE, "ModelDataUrl": artifact})
    machines = {"ModelName": name, "InstanceType": instance, "InitialInstanceCount": count}
    variants = [
        {"VariantName": variant, "InitialVariantWeight": weight, **machines}
        for variant, weight in weights.items()
    ]
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)


def _moments(daily: Sequence[int], now: float) -> list[float]:
    """Return the time of each call: spread over the day, and within the last hour for the last day."""
    moments = []
    for ago, calls in enumerate(reversed(daily)):
        span = HOUR - 2 * MINUTE if ago == 0 else DAY - 2 * HOUR
        end = now - MINUTE - ago * DAY
        moments += [end - span * (calls - n) / max(1, calls) for n in range(calls)]
    return sorted(moments)
