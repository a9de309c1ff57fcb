"""Training under `python -m sandbox`: what remains when the sandbox ends, in any way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from sandbox.launcher import Address, running
from tests.support.patience import SECONDS

PROJECT = Path(__file__).resolve().parents[3]
STUB = PROJECT / "tests" / "support" / "stub_training.py"
MAIN = f"""
import sys
from sandbox.__main__ import main
sys.exit(main(training_programs={{"semantic-segmentation": [sys.executable, {str(STUB)!r}]}}))
"""
Start = Callable[[], tuple[subprocess.Popen[bytes], Address]]
Eventually = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path, eventually: Eventually) -> Iterator[Start]:
    """start() -> a sandbox process on a relative folder, as users give it, and its address."""
    processes: list[subprocess.Popen[bytes]] = []

    def run() -> tuple[subprocess.Popen[bytes], Address]:
        command = [sys.executable, "-c", MAIN, "--data", "data", "--no-demo"]
        environ = {**os.environ, "PYTHONPATH": str(PROJECT)}
        process = subprocess.Popen(command, cwd=tmp_path, env=environ, stdin=subprocess.DEVNULL)
        processes.append(process)

        def probe() -> Address | None:
            assert process.poll() is None, "the sandbox has ended"
            address = running(tmp_path / "data")
            return address if address is not None and address.pid == process.pid else None

        return process, eventually(probe)

    yield run
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait(SECONDS)


def _client(address: Address, service: str) -> Any:
    session = boto3.session.Session(address.access_key, address.secret_key, region_name=address.region)
    return session.client(service, endpoint_url=address.url)


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def _begin(
    address: Address, eventually: Eventually, request: Callable[..., dict[str, Any]], name: str
) -> tuple[int, int]:
    """Start a job that ignores SIGTERM, with such a child; return the ids of their processes."""
    hyperparameters = {"stubborn": "1", "seconds": "60", "child": "1"}
    members = {"InputDataConfig": None, "OutputDataConfig": {"S3OutputPath": "s3://segdeck-sandbox/out"}}
    _client(address, "sagemaker").create_training_job(**request(name, hyperparameters, **members))
    logs = _client(address, "logs")
    group = "/aws/sagemaker/TrainingJobs"
    eventually(lambda: logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"], 60)

    def line(beginning: str) -> str:
        def probe() -> str | None:
            events = logs.filter_log_events(logGroupName=group, logStreamNamePrefix=f"{name}/")["events"]
            return next((text for event in events if (text := event["message"]).startswith(beginning)), None)

        return str(eventually(probe))

    return json.loads(line('{"pid"'))["pid"], int(line("child ").removeprefix("child "))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_training_outlives_the_sandbox(
    tmp_path: Path,
    start: Start,
    eventually: Eventually,
    training_request: Callable[..., dict[str, Any]],
    number: signal.Signals,
) -> None:
    """No program or child remains; the next start reports the job's end and metrics."""
    process, address = start()
    pids = _begin(address, eventually, training_request, "cut-off")
    sagemaker = _client(address, "sagemaker")
    eventually(lambda: sagemaker.describe_training_job(TrainingJobName="cut-off").get("FinalMetricDataList"))
    process.send_signal(number)
    assert process.wait(SECONDS) == (0 if number == signal.SIGTERM else -number)
    eventually(lambda: all(map(_gone, pids)))
    _, address = start()
    sagemaker = _client(address, "sagemaker")
    document = sagemaker.describe_training_job(TrainingJobName="cut-off")
    assert document["TrainingJobStatus"] == "Failed"
    assert (
        document["FailureReason"]
        == "InternalServerError: the sandbox was restarted while this job was running"
    )
    assert [step["Status"] for step in document["SecondaryStatusTransitions"]][-2:] == ["Training", "Failed"]
    query = {
        "ResourceArn": document["TrainingJobArn"],
        "MetricName": "train:loss",
        "MetricStat": "Last",
        "Period": "IterationNumber",
        "XAxisType": "IterationNumber",
    }
    curves = _client(address, "sagemaker-metrics").batch_get_metrics(MetricQueries=[query])
    assert curves["MetricQueryResults"][0]["MetricValues"] == [1.0]
    assert not list((tmp_path / "data/training").glob("*"))
