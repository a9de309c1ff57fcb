"""Generated training jobs, and a loopback server that returns them as AWS does and counts its calls."""

from __future__ import annotations

import json
import math
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
ARN = "arn:aws:sagemaker:us-east-1:123456789012:training-job/"
ROLE = "arn:aws:iam::123456789012:role/SegdeckSandboxRole"
WHO = (
    b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    b"<Arn>arn:aws:iam::123456789012:user/ada</Arn><UserId>AIDA</UserId><Account>123456789012</Account>"
    b"</GetCallerIdentityResult></GetCallerIdentityResponse>"
)
PATTERN = ("Completed", "Completed", "Failed", "Completed", "Stopped", "Completed")
"""The statuses of `many`, repeated."""


def record(
    name: str,
    status: str = "Completed",
    *,
    secondary: str = "",
    created: datetime,
    minutes: int = 42,
    hyperparameters: Mapping[str, str] = {},
    **more: Any,
) -> dict[str, Any]:
    """Return a job as DescribeTrainingJob does, with datetimes."""
    running = status in ("InProgress", "Stopping")
    started = created + timedelta(seconds=90)
    described = {
        "TrainingJobName": name,
        "TrainingJobArn": ARN + name,
        "TrainingJobStatus": status,
        "SecondaryStatus": secondary or ("Training" if running else status),
        "CreationTime": created,
        "TrainingStartTime": started,
        "LastModifiedTime": created if running else started + timedelta(minutes=minutes),
        "ResourceConfig": {"InstanceType": "ml.p3.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50},
        "StoppingCondition": {"MaxRuntimeInSeconds": 86_400},
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "HyperParameters": {"algorithm": "fcn", "epochs": "30", "num_classes": "21", **hyperparameters},
        "OutputDataConfig": {"S3OutputPath": "s3://models/jobs"},
        "RoleArn": ROLE,
        "InputDataConfig": [],
        "SecondaryStatusTransitions": [],
    }  # fmt: skip
    if not running:
        described |= {
            "TrainingEndTime": started + timedelta(minutes=minutes),
            "BillableTimeInSeconds": minutes * 60,
            "TrainingTimeInSeconds": minutes * 60,
        }
    return described | more


def many(number: int, *, now: datetime | None = None, running: int = 2) -> list[dict[str, Any]]:
    """Return `number` jobs, newest first, created at intervals of one hour; the newest are running."""
    now = now or datetime.now(UTC)
    jobs = [
        record(f"aerial-{number - n:04d}", PATTERN[n % len(PATTERN)], created=now - timedelta(hours=n + 1))
        for n in range(number)
    ]
    for n in range(min(running, number)):
        created = now - timedelta(minutes=12 + 9 * n)
        jobs[n] = record(f"aerial-{number - n:04d}", "InProgress", created=created)
    return jobs


def miou(name: str, epochs: int) -> list[float]:
    """Return a typical rising mIOU curve, slightly different for each job; the best value is not the last."""
    shift = sum(name.encode()) % 17 / 100
    return [
        round(
            0.75
            - shift
            - 0.6 * math.exp(-n / 6)
            - 0.02 * (n == epochs - 1)
            + 0.01 * math.sin(n + shift * 50),
            4,
        )
        for n in range(epochs)
    ]


class JobsServer:
    """A server with SageMaker's operations on training jobs.

    jobs:    its jobs, newest first.
    failing: status and code of Search's error; None: Search succeeds.
    refused: operations that it rejects.
    calls:   number of calls by operation.
    """

    def __init__(self, jobs: Sequence[dict[str, Any]], *, delay: float = 0) -> None:
        self.jobs = list(jobs)
        self.delay = delay
        self.failing: tuple[int, str] | None = None
        self.refused: set[str] = set()
        self.calls: Counter[str] = Counter()
        self.searches: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                what = (
                    self.headers.get("X-Amz-Target", "").rpartition(".")[2] or self.path.strip("/") or "STS"
                )
                status, reply = outer.reply(what, body)
                self.send_response(status)
                self.send_header(
                    "Content-Type", "text/xml" if reply[:1] == b"<" else "application/x-amz-json-1.1"
                )
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            do_POST = do_PUT = do_GET = answer  # noqa: N815

            def log_message(self, *args: object) -> None:
                """Do not log requests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._closed = threading.Event()

    @property
    def url(self) -> str:
        """Return the URL of the server."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def environ(self) -> dict[str, str]:
        """Return the environment variables that make a dashboard use this server."""
        return {
            "SEGDECK_MODE": "aws",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }

    def __enter__(self) -> JobsServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reply(self, what: str, body: bytes) -> tuple[int, bytes]:
        """Return the status and the body of a response."""
        with self._lock:
            self.calls[what] += 1
        self._closed.wait(self.delay)
        if what == "STS":
            return 200, WHO
        if what == "Search" and self.failing:
            status, code = self.failing
            return status, json.dumps({"__type": code, "message": "Rate exceeded"}).encode()
        answers = {
            "Search": self._search,
            "DescribeTrainingJob": self._describe,
            "BatchGetMetrics": self._metrics,
            "GetMetricData": self._nothing,
            "DescribeLogStreams": self._nothing,
        }
        if what not in answers or what in self.refused:
            return 400, json.dumps(
                {"__type": "ValidationException", "message": f"{what} is not supported."}
            ).encode()
        answer = answers[what](json.loads(body))
        return (200 if answer else 400), json.dumps(answer or NOT_FOUND, default=datetime.timestamp).encode()

    def _search(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self.searches.append(request)
        filters = request.get("SearchExpression", {}).get("Filters", [])
        fitting = [job for job in self.jobs if all(_fits(job, row) for row in filters)]
        start, size = int(request.get("NextToken", 0)), request["MaxResults"]
        more = {"NextToken": str(start + size)} if start + size < len(fitting) else {}
        rows = [{"TrainingJob": job} for job in fitting[start : start + size]]
        return {"Results": rows, "TotalHits": {"Value": len(fitting), "Relation": "EqualTo"}, **more}

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        jobs = [job for job in self.jobs if job["TrainingJobName"] == request["TrainingJobName"]]
        return jobs[0] if jobs else {}

    def _metrics(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"MetricQueryResults": [self._metric(row) for row in request["MetricQueries"]]}

    def _nothing(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return empty CloudWatch metrics and logs."""
        none = [
            {"Id": row["Id"], "Timestamps": [], "Values": []} for row in request.get("MetricDataQueries", [])
        ]
        return {"MetricDataResults": none, "logStreams": []}

    def _metric(self, query: dict[str, Any]) -> dict[str, Any]:
        name = query["ResourceArn"].rpartition("/")[2]
        status = next(
            (job["TrainingJobStatus"] for job in self.jobs if job["TrainingJobName"] == name), "Failed"
        )
        epochs = {"Failed": 0, "InProgress": 11, "Stopped": 9}.get(status, 30)
        values = miou(name, epochs)
        if query["MetricName"] == "train:loss":
            values = [round(1.6 * math.exp(-n / 5) + 0.2, 4) for n in range(epochs)]
        return {"Status": "Complete", "XAxisValues": list(range(epochs)), "MetricValues": values}


NOT_FOUND = {"__type": "ResourceNotFound", "message": "Requested resource not found."}


def _fits(job: dict[str, Any], row: dict[str, str]) -> bool:
    """Return whether a job passes one of Search's filters; filters on times are ignored."""
    name, operator, value = row["Name"], row["Operator"], row["Value"]
    held: Any = job
    for part in name.split("."):
        held = held.get(part, "") if isinstance(held, dict) else ""
    if operator == "Contains":
        return value in held
    if operator in ("Equals", "In"):
        return held in value.split(",")
    return True
