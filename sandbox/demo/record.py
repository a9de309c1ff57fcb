"""`python -m sandbox.demo.record JOB`: save a job of the running sandbox, for every new sandbox to start with.

Writes `jobs/JOB.json` next to this file, and `jobs/JOB.tar.gz` with its model, its weights rounded as those of the
demos are.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sandbox.algorithm.archive import BEST, LAST, pack, unpack
from sandbox.common.clients import Loopback
from sandbox.demo.demo import HERE
from sandbox.demo.make import round_weights
from sandbox.launcher import Address, default_dir, running
from sandbox.training.cloudwatch import NAMESPACE
from sandbox.training.importer import RECORDED_TAG, Recording
from sandbox.training.opt_ml import HOST
from sandbox.training.run import LOG_GROUP

FOLDER = HERE / "jobs"
USAGE = ("CPUUtilization", "MemoryUtilization")


def record(loopback: Loopback, name: str) -> Recording:
    """Return the job as reported by the sandbox's API."""
    document = loopback.client("sagemaker").describe_training_job(TrainingJobName=name)
    del document["ResponseMetadata"]
    document["Tags"] = [{"Key": RECORDED_TAG, "Value": "true"}]
    logs = loopback.client("logs")
    events = []
    begin = int(document["CreationTime"].timestamp() * 1000)  # excludes older lines of a deleted job
    for page in logs.get_paginator("filter_log_events").paginate(
        logGroupName=LOG_GROUP, logStreamNamePrefix=f"{name}/{HOST}", startTime=begin
    ):
        events += [(event["timestamp"], event["message"]) for event in page["events"]]
    return Recording(_plain(document), tuple(events), _usage(loopback, document))


def _usage(loopback: Loopback, document: dict[str, Any]) -> tuple[tuple[str, float, float], ...]:
    """Return the job's machine usage from CloudWatch."""
    dimensions = [{"Name": "Host", "Value": f"{document['TrainingJobName']}/{HOST}"}]
    usage = []
    for name in USAGE:
        points = loopback.client("cloudwatch").get_metric_statistics(
            Namespace=NAMESPACE,
            MetricName=name,
            Dimensions=dimensions,
            StartTime=document["CreationTime"] - timedelta(minutes=1),
            EndTime=document["TrainingEndTime"] + timedelta(minutes=1),
            Period=60,
            Statistics=["Average"],
        )["Datapoints"]
        usage += [(name, point["Timestamp"].timestamp(), round(point["Average"], 3)) for point in points]
    return tuple(sorted(usage))


def _plain(value: Any) -> Any:
    """Return a response with times as seconds since 1970."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).timestamp()
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def keep_model(loopback: Loopback, uri: str, path: Path) -> None:
    """Download a model archive and pack it again with rounded weights."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loopback.client("s3").download_file(bucket, key, str(folder / "model.tar.gz"))
        unpack(folder / "model.tar.gz", folder / "model")
        for file in (BEST, LAST):
            round_weights(folder / "model" / file)
        pack(folder / "model", path)


def _loopback(address: Address) -> Loopback:
    """Return clients of a running sandbox."""
    return Loopback(address.url, address.region, address.access_key, address.secret_key)


def main(arguments: list[str] | None = None) -> None:
    """Record one job of the sandbox that is running on a folder."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo.record", description=__doc__)
    parser.add_argument("job", help="name of the training job")
    parser.add_argument(
        "--data", type=Path, default=default_dir(), metavar="DIR", help="folder of the sandbox"
    )
    options = parser.parse_args(arguments)
    address = running(options.data)
    if address is None:
        parser.error(f"no sandbox is running on {options.data}")
    loopback = _loopback(address)
    recording = record(loopback, options.job)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{options.job}.json").write_text(recording.to_json(), encoding="utf-8")
    artifact = recording.document.get("ModelArtifacts", {}).get("S3ModelArtifacts")
    if artifact:
        keep_model(loopback, artifact, FOLDER / f"{options.job}.tar.gz")


if __name__ == "__main__":
    main()
