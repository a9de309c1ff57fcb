"""Run the stored training jobs: Starting, Downloading, Training, Uploading, and then their end.

After a restart of the sandbox, jobs that were running have Failed; jobs that were waiting wait again.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable

from sandbox.common.queue import Queue
from sandbox.common.store import Document, RecordStore
from sandbox.hosting.context import ContainerContext
from sandbox.training import status
from sandbox.training.job import Job
from sandbox.training.metrics import JobMetrics
from sandbox.training.run import JobContext
from sandbox.training.status import KIND

JOIN_SECONDS = 5.0  # for a job's thread to end after its program


class Training:
    """The running jobs. container: its `programs` train, its `folder` holds each running job's /opt/ml."""

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
        """Run a stored job in the background, when it is its turn."""
        with self._lock:
            if self._context.closing.is_set():
                return
            job = self._jobs[name.lower()] = Job(name, self._context, self._remove)
        job.start()

    def stop(self, name: str) -> None:
        """Request the end of a running job; its document is already Stopping."""
        with self._lock:
            job = self._jobs.get(name.lower())
        if job is not None:
            job.stop()

    def forget(self, name: str) -> None:
        """Delete the metrics of a deleted job."""
        self._context.metrics.forget(name)

    def resume(self) -> None:
        """Continue after a restart: fail the jobs that ran, queue the jobs that waited."""
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
        """End every program; running jobs stay stored as running, and the next start sets them Failed."""
        with self._lock:
            self._context.closing.set()
            jobs = list(self._jobs.values())
        for job in jobs:
            job.stop()
        for job in jobs:
            job.join(self._context.container.limits.stop_seconds + JOIN_SECONDS)

    def _ending(self, secondary: str, reason: str = "") -> Callable[[Document], None]:
        """Return a change that ends a job's document."""
        now = self._context.clock()
        return lambda document: status.end(document, secondary, now, reason)

    def _remove(self, job: Job) -> None:
        """Forget a job that is over."""
        with self._lock:
            if self._jobs.get(job.name.lower()) is job:  # deleted in between, its name may be reused
                del self._jobs[job.name.lower()]
