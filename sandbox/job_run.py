"""A job's program while it runs: its log is shipped, its metrics found and published, its time measured."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from sandbox import job_cloudwatch, job_folder
from sandbox.job_cloudwatch import Utilisation
from sandbox.job_metrics import Finder, JobMetrics, Point, final
from sandbox.job_process import TrainingProcess
from sandbox.job_status import KIND, MAX_REASON
from sandbox.lifecycle import Host
from sandbox.store import Document, Store

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
PUBLISH_SECONDS = 1.0  # between two writings of the metrics found
FLUSH_SECONDS = 10.0  # for the last lines to reach the log
CLIENT_ERROR = 2  # exit code of a program whose input is at fault
_PREFIXES = ("ClientError:", "AlgorithmError:", "Customer Error:")


class Run:
    """root: what stands for /opt/ml. changed: set to make `wait` look again."""

    def __init__(
        self, document: Document, root: Path, host: Host, metrics: JobMetrics, changed: threading.Event
    ) -> None:
        self.name: str = document["TrainingJobName"]
        self.process: TrainingProcess | None = None
        self._document, self._root, self._host, self._metrics = document, root, host, metrics
        self._changed = changed
        self._finder = Finder(document["AlgorithmSpecification"].get("MetricDefinitions") or [])
        self._found: list[Point] = []
        self._last: dict[str, Point] = {}
        self._lock = threading.Lock()

    def start(self, command: Sequence[str], region: str, now: float) -> TrainingProcess:
        """now: seconds since 1970. Raises ProgramError."""
        self._stream = f"{self.name}/{job_folder.HOST}-{int(now)}"
        about = {
            "TRAINING_JOB_NAME": self.name,
            "TRAINING_JOB_ARN": self._document["TrainingJobArn"],
            "AWS_REGION": region,
        }
        self.process = TrainingProcess(
            command,
            self._root,
            {**(self._document.get("Environment") or {}), **about},
            self._host.lifeline,
            follow=lambda pipe: self._host.shipper.follow(pipe, LOG_GROUP, self._stream, self._read),
            ended=self._changed.set,
        )
        self._utilisation = Utilisation(self.name, self.process.pid)
        self._measure_at = time.monotonic() + self._host.limits.utilisation_seconds
        return self.process

    def wait(self, seconds: float, store: Store) -> None:
        """Wait for a change, at most `seconds`, and write meanwhile what the log told."""
        self._changed.wait(min(max(seconds, 0.01), PUBLISH_SECONDS))
        self._changed.clear()
        self.publish(store)
        if time.monotonic() >= self._measure_at:
            self._measure_at = time.monotonic() + self._host.limits.utilisation_seconds
            job_cloudwatch.publish(self._host.loopback, self._utilisation.data())

    def finish(self, store: Store) -> None:
        """After the program's end: see that its last lines and values are kept."""
        if self.process is not None:
            self.process.log.ended.wait(FLUSH_SECONDS)
        self._host.shipper.flush(LOG_GROUP, self._stream, FLUSH_SECONDS)
        self.publish(store)

    def failure(self) -> str:
        """The FailureReason of a program that ended with another exit code than 0, worded as AWS does."""
        code = self.process.exit_code if self.process else None
        text = job_folder.failure_text(self._root)
        if not text and self.process is not None and code is not None and code < 128:
            text = self.process.log.last_line
        for prefix in _PREFIXES:
            text = text.removeprefix(prefix).strip()
        kind, ending = "ClientError" if code == CLIENT_ERROR else "AlgorithmError", f", exit code: {code}"
        return f"{kind}: {text[: MAX_REASON - len(kind) - len(ending) - 2]}{ending}"

    def publish(self, store: Store) -> None:
        """Write the values found since the last time: to the series, to CloudWatch, and the last ones to the job."""
        with self._lock:
            points, self._found = self._found, []
        if not points:
            return
        self._metrics.add(self.name, points)
        job_cloudwatch.publish(self._host.loopback, job_cloudwatch.metric_data(self.name, points))
        self._last |= {point.name: point for point in points}
        last = final(self._last.values())
        store.update(KIND, self.name, lambda document: document.update(FinalMetricDataList=last))

    def _read(self, line: str) -> None:
        points = self._finder.find(line, time.time())
        if points:
            with self._lock:
                self._found += points
