"""Run a job's program: ship its log, extract and publish its metrics, measure its processor and memory."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.common.disk import is_full
from sandbox.common.publish import publish
from sandbox.common.queue import Queue
from sandbox.common.store import Document, RecordStore
from sandbox.common.utilization import Utilization
from sandbox.hosting.container import allowed_environment, strict_environment
from sandbox.hosting.context import ContainerContext
from sandbox.training import cloudwatch, opt_ml
from sandbox.training.metrics import JobMetrics, MetricFinder, Point, final
from sandbox.training.process import TrainingProcess
from sandbox.training.status import KIND, MAX_REASON

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
PUBLISH_SECONDS = 1.0  # between two writes of new metrics
FLUSH_SECONDS = 10.0  # for the last lines to reach the log
CLIENT_ERROR = 2  # exit code of a program that refuses its input
_PREFIXES = ("ClientError:", "AlgorithmError:", "Customer Error:")


@dataclass(frozen=True, slots=True)
class JobContext:
    """The values shared by all jobs. closing: set when the sandbox stops; nothing is written after that."""

    store: RecordStore
    container: ContainerContext
    metrics: JobMetrics
    queue: Queue
    region: str
    clock: Callable[[], float]
    closing: threading.Event


class JobRun:
    """A running program. root: its /opt/ml; changed: set when it has ended, and to interrupt `wait`."""

    def __init__(
        self,
        document: Document,
        command: Sequence[str],
        root: Path,
        context: JobContext,
        changed: threading.Event,
    ) -> None:
        """Start the program. Raises StartError."""
        self.name: str = document["TrainingJobName"]
        self._root, self._context, self._changed = root, context, changed
        algorithm = document["AlgorithmSpecification"]
        self._finder = MetricFinder(algorithm.get("MetricDefinitions") or [])
        self._series = algorithm.get("EnableSageMakerMetricsTimeSeries", True)
        self._unpublished: list[Point] = []
        self._last: dict[str, Point] = {}
        self._lock = threading.Lock()
        self._stream = stream = f"{self.name}/{opt_ml.HOST}-{int(context.clock())}"
        self.process = TrainingProcess(
            command,
            root,
            _environment(document, context),
            context.container.death_pipe,
            follow=lambda pipe: context.container.shipper.follow(pipe, LOG_GROUP, stream, self._read),
            ended=changed.set,
        )
        self._utilization = Utilization(f"{self.name}/{opt_ml.HOST}", self.process.pid)
        self._measure_at = time.monotonic() + context.container.limits.utilization_seconds

    def wait(self, seconds: float) -> None:
        """Wait for a change, at most `seconds`, then publish the new metrics of the log."""
        self._changed.wait(min(max(seconds, 0.01), PUBLISH_SECONDS))
        self._changed.clear()
        self.publish()
        if time.monotonic() >= self._measure_at:
            self._measure_at = time.monotonic() + self._context.container.limits.utilization_seconds
            publish(self._context.container.loopback, cloudwatch.NAMESPACE, self._utilization.data())

    def finish(self) -> None:
        """Publish the last lines and values of a program that has ended."""
        self.process.log.ended.wait(FLUSH_SECONDS)
        self._context.container.shipper.flush(LOG_GROUP, self._stream, FLUSH_SECONDS)
        self.publish()

    def failure(self) -> str:
        """Return the FailureReason of a program with a nonzero exit code, worded as AWS does."""
        code, text = self.process.exit_code or 0, opt_ml.failure_text(self._root)
        if not text and code < 128:
            text = self.process.log.last_line
        for prefix in _PREFIXES:
            text = text.removeprefix(prefix).strip()
        kind, ending = "ClientError" if code == CLIENT_ERROR else "AlgorithmError", f", exit code: {code}"
        return f"{kind}: {text[: MAX_REASON - len(kind) - len(ending) - 2]}{ending}"

    def publish(self) -> None:
        """Write the new values to the series and to CloudWatch, and the latest ones to the job's document."""
        with self._lock:
            points, self._unpublished = self._unpublished, []
        if not points:
            return
        try:
            if self._series:
                self._context.metrics.add(self.name, points)
        except sqlite3.Error as problem:
            if not is_full(problem):
                raise
            print(
                f"sandbox: {len(points)} metric values of {self.name} were lost: {problem}", file=sys.stderr
            )
        publish(
            self._context.container.loopback,
            cloudwatch.NAMESPACE,
            cloudwatch.metric_data(self.name, points),
        )
        self._last |= {point.name: point for point in points}
        last = final(self._last.values())
        self._context.store.update(
            KIND, self.name, lambda document: document.update(FinalMetricDataList=last)
        )

    def _read(self, line: str) -> None:
        """Extract the metrics of one line."""
        points = self._finder.find(line, time.time())
        if points:
            with self._lock:
                self._unpublished += points


def _environment(document: Document, context: JobContext) -> dict[str, str]:
    """Return the program's environment variables. Raises StartError."""
    about = {
        "TRAINING_JOB_NAME": document["TrainingJobName"],
        "TRAINING_JOB_ARN": document["TrainingJobArn"],
        "AWS_REGION": context.region,
        **strict_environment(context.container.limits.strict),
    }
    return {**allowed_environment(document.get("Environment")), **about}
