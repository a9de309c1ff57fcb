"""Run the training jobs of the store: Starting, Downloading, Training, Uploading, and then their end.

What a restart of the sandbox finds running has Failed; what was still waiting for its turn waits again.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable

from sandbox.common.store import Document, RecordStore
from sandbox.hosting.context import ContainerContext
from sandbox.training import status
from sandbox.training.job import Job
from sandbox.training.metrics import JobMetrics
from sandbox.training.queue import Queue
from sandbox.training.run import JobContext
from sandbox.training.status import KIND

JOIN_SECONDS = 5.0  # for a job's thread to end after its program


class Training:
    """container: its `programs` train, its `folder` holds what stands for /opt/ml of each running job."""

    def __init__(
        self,
        store: RecordStore,
        container: ContainerContext,
        metrics: JobMetrics,
        region: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        queue = Queue(container.limits.training_jobs)
        self._context = JobContext(store, container, metrics, queue, region, clock, threading.Event())
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def start(self, name: str) -> None:
        """Run a job of the store in the background, when it is its turn."""
        with self._lock:
            if self._context.closing.is_set():
                return
            job = self._jobs[name.lower()] = Job(name, self._context, self._remove)
        job.start()

    def stop(self, name: str) -> None:
        """Ask a running job to end; its document says Stopping already."""
        with self._lock:
            job = self._jobs.get(name.lower())
        if job is not None:
            job.stop()

    def forget(self, name: str) -> None:
        """Drop the metrics of a deleted job."""
        self._context.metrics.forget(name)

    def resume(self) -> None:
        """Continue after a restart: fail jobs that ran, queue jobs that waited."""
        store = self._context.store
        shutil.rmtree(self._context.container.folder, ignore_errors=True)
        unfinished = [document for document in store.all(KIND) if not status.has_ended(document)]
        for document in sorted(unfinished, key=lambda document: document["CreationTime"]):
            name = document["TrainingJobName"]
            if "TrainingStartTime" in document:
                store.update(KIND, name, self._ending("Failed", status.RESTARTED))
            elif document["TrainingJobStatus"] == "Stopping":
                store.update(KIND, name, self._ending("Stopped"))
            else:
                self.start(name)

    def close(self) -> None:
        """End every program; the store keeps what ran as running, for the next start to tell."""
        with self._lock:
            self._context.closing.set()
            jobs = list(self._jobs.values())
        for job in jobs:
            job.stop()
        for job in jobs:
            job.join(self._context.container.limits.stop_seconds + JOIN_SECONDS)

    def _ending(self, secondary: str, reason: str = "") -> Callable[[Document], None]:
        now = self._context.clock()
        return lambda document: status.end(document, secondary, now, reason)

    def _remove(self, job: Job) -> None:
        with self._lock:
            if self._jobs.get(job.name.lower()) is job:  # deleted meanwhile, its name may be another's
                del self._jobs[job.name.lower()]
