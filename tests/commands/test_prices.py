"""Which prices the commands use, run against a server on loopback that answers as AWS's Price List does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import cli
from tests.support.command_line import CliRunner

JOB = {
    "TrainingJobName": "coast-1",
    "TrainingJobArn": "arn:aws:sagemaker:us-east-1:123456789012:training-job/coast-1",
    "TrainingJobStatus": "Completed",
    "SecondaryStatus": "Completed",
    "CreationTime": 1_790_000_000,
    "TrainingStartTime": 1_790_000_000,
    "TrainingEndTime": 1_790_003_600,
    "TrainingTimeInSeconds": 3600,
    "BillableTimeInSeconds": 3600,
    "RoleArn": "arn:aws:iam::123456789012:role/Trainer",
    "AlgorithmSpecification": {
        "TrainingImage": "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1",
        "TrainingInputMode": "File",
    },
    "HyperParameters": {},
    "InputDataConfig": [],
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/out/"},
    "ResourceConfig": {"InstanceType": "ml.g4dn.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
    "StoppingCondition": {"MaxRuntimeInSeconds": 7200},
}
PRODUCT = {
    "product": {"attributes": {"instanceName": "ml.g4dn.xlarge"}},
    "terms": {
        "OnDemand": {"x": {"priceDimensions": {"y": {"unit": "Hrs", "pricePerUnit": {"USD": "5.25"}}}}}
    },
}
ANSWERS: dict[str, dict[str, Any]] = {
    "Search": {"Results": [{"TrainingJob": JOB}]},
    "DescribeTrainingJob": JOB,
    "ListEndpoints": {"Endpoints": []},
    "GetProducts": {"PriceList": [json.dumps(PRODUCT)]},
}
Run = Callable[..., dict[str, Any]]


class Handler(BaseHTTPRequestHandler):
    """Answer each operation as `ANSWERS` says."""

    def do_POST(self) -> None:
        """Answer one operation of a JSON protocol."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps(ANSWERS[self.headers["X-Amz-Target"].rpartition(".")[2]]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Print nothing: the output belongs to the test."""


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Return a function: run("jobs", "list") returns the JSON of a command in mode aws against the server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    environ = {
        "SEGDECK_MODE": "aws",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }

    def invoke(*arguments: str) -> dict[str, Any]:
        result = CliRunner().invoke(cli.app, [*arguments, "--json"], env=environ)
        assert result.exit_code == 0, result.output
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    yield invoke
    server.shutdown()
    server.server_close()
    thread.join()


def test_list_and_show_price_a_job_by_one_table(run: Run) -> None:
    """`jobs list` and `jobs show` give a job the same cost, at AWS's published prices if they can be read."""
    listed, shown = run("jobs", "list"), run("jobs", "show", "coast-1")
    assert listed["jobs"][0]["cost_usd"] == shown["cost_usd"] == "5.25"
    assert listed["prices"] == shown["prices"]


def test_the_list_of_endpoints_uses_the_same_table(run: Run) -> None:
    """`endpoints list` uses AWS's published prices too, as `endpoints show` does."""
    assert "Price List" in run("endpoints", "list")["prices"]
