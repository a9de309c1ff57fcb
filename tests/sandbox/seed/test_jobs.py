"""Recorded training jobs: recorded in one sandbox, imported into another."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sandbox.demo.record import record
from sandbox.seed.jobs import seed_jobs
from sandbox.seed.seed import BUCKET
from sandbox.server import Sandbox
from sandbox.training.importer import Recording

SHIPPED = sorted((Path(__file__).parents[3] / "sandbox" / "demo" / "jobs").glob("*.json"))


@pytest.fixture
def recording(sandbox: Sandbox, train: Callable[..., str], tmp_path: Path) -> Recording:
    """A job of three epochs, written to its file and read again."""
    path = tmp_path / "job.json"
    path.write_text(record(sandbox.loopback, train(epochs="3")).to_json())
    return Recording.read(path)


def test_a_recorded_job_is_found_as_it_was(
    recording: Recording,
    sandbox: Sandbox,
    tmp_path: Path,
    stub_programs: dict[str, list[str]],
    make_client: Callable[..., Any],
) -> None:
    """Description, log and curves are those of the job; times are shifted together, and a tag marks it."""
    then, end = sandbox.loopback.client("sagemaker"), time.time() - 100
    before = then.describe_training_job(TrainingJobName=recording.name)
    with Sandbox(tmp_path / "data", programs=stub_programs) as other:
        assert other.importer.adopt(recording.ending(end)) is True
        assert other.importer.adopt(recording.ending(end)) is False
        sagemaker, logs = make_client(other, "sagemaker"), make_client(other, "logs")
        after = sagemaker.describe_training_job(TrainingJobName=recording.name)
        assert after["TrainingEndTime"].timestamp() == pytest.approx(end, abs=0.01)
        for name in ("TrainingJobArn", "HyperParameters", "TrainingJobStatus", "InputDataConfig"):
            assert after[name] == before[name]
        length = after["TrainingEndTime"] - after["TrainingStartTime"]
        assert length.total_seconds() == pytest.approx(
            (before["TrainingEndTime"] - before["TrainingStartTime"]).total_seconds(), abs=0.01
        )
        tags = sagemaker.list_tags(ResourceArn=after["TrainingJobArn"])["Tags"]
        assert tags == [{"Key": "segdeck:recorded", "Value": "true"}]
        lines = logs.filter_log_events(logGroupName="/aws/sagemaker/TrainingJobs")["events"]
        assert [(line["timestamp"], line["message"]) for line in lines] == list(recording.ending(end).events)
        query = {
            "MetricName": "validation:mIOU",
            "ResourceArn": after["TrainingJobArn"],
            "MetricStat": "Last",
            "Period": "IterationNumber",
            "XAxisType": "IterationNumber",
        }
        answer = make_client(other, "sagemaker-metrics").batch_get_metrics(MetricQueries=[query])
        assert answer["MetricQueryResults"][0]["XAxisValues"] == [0, 1, 2]


def test_recorded_jobs_are_imported_once(recording: Recording, tmp_path: Path, sandbox: Sandbox) -> None:
    """They come with model and class names, along with the aerial demo; a deleted job does not come back."""
    demos, data = tmp_path / "demos" / "jobs", tmp_path / "data"
    demos.mkdir(parents=True)
    data.mkdir()
    (demos / "job.json").write_text(recording.to_json())
    (demos / f"{recording.name}.tar.gz").write_bytes(b"model")
    (demos.parent / "aerial").mkdir()
    (demos.parent / "aerial" / "classes.json").write_bytes(b"names")
    (data / "seeded.json").write_text('{"account": "role"}')
    assert seed_jobs(sandbox.loopback, sandbox.importer, data, tmp_path / "demos") == []
    (data / "seeded.json").write_text('{"aerial": "aerial-land-cover"}')
    with Sandbox(data) as other:
        other.loopback.client("s3").create_bucket(Bucket=BUCKET)
        uri = f"s3://{BUCKET}/jobs/{recording.name}/output/model.tar.gz"
        recording.document["ModelArtifacts"] = {"S3ModelArtifacts": uri}
        (demos / "job.json").write_text(recording.to_json())
        assert seed_jobs(other.loopback, other.importer, data, tmp_path / "demos") == [recording.name]
        key = uri.partition(f"{BUCKET}/")[2]
        s3 = other.loopback.client("s3")
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"model"
        class_names = key.replace("model.tar.gz", "classes.json")
        assert s3.get_object(Bucket=BUCKET, Key=class_names)["Body"].read() == b"names"
        sagemaker = other.loopback.client("sagemaker")
        job = sagemaker.describe_training_job(TrainingJobName=recording.name)
        assert 200 < time.time() - job["TrainingEndTime"].timestamp() < 600
        sagemaker.delete_training_job(TrainingJobName=recording.name)
        assert seed_jobs(other.loopback, other.importer, data, tmp_path / "demos") == []
        assert sagemaker.list_training_jobs()["TrainingJobSummaries"] == []


def test_the_jobs_that_ship_were_run_and_say_so() -> None:
    """One completed, one failed; each is named demo-..., is tagged, and has the log of a real run."""
    recordings = [Recording.read(path) for path in SHIPPED]
    assert {recording.document["TrainingJobStatus"] for recording in recordings} > {"Completed"}
    for recording in recordings:
        assert recording.name.startswith("demo-")
        assert {"Key": "segdeck:recorded", "Value": "true"} in recording.document["Tags"]
        assert any("Final configuration" in line for _, line in recording.events)
        assert "/tmp" not in json.dumps(recording.document) + "".join(line for _, line in recording.events)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_no_log_line_is_older_than_its_job(path: Path) -> None:
    """The times in the text of the log are shifted with the job: each is within its run, and as old as its event."""
    end = 2_000_000_000.25
    shifted = Recording.read(path).ending(end)
    stamps = 0
    for milliseconds, line in shifted.events:
        stamp = re.match(r"\[(\d\d/\d\d/\d{4} \d\d:\d\d:\d\d) ", line)
        assert stamp, line
        at = datetime.strptime(stamp[1], "%m/%d/%Y %H:%M:%S").replace(tzinfo=UTC).timestamp()
        assert shifted.document["CreationTime"] <= at <= end
        assert abs(at - milliseconds / 1000) <= 2
        stamps += 1
    assert stamps == len(shifted.events) > 0
