"""Run the stored transform jobs: a limited number at once, the others wait in order of creation.

After a restart of the sandbox, jobs that were running have Failed; jobs that were waiting wait again.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from typing import Any

from sandbox.common.queue import Queue
from sandbox.common.store import Document, RecordStore
from sandbox.hosting.context import ContainerContext
from sandbox.http.faults import Faults
from sandbox.transform import status
from sandbox.transform.job import JobContext, TransformJob
from sandbox.transform.status import KIND, STATUS

JOIN_SECONDS = 5.0  # for a job's thread to end after its containers


class Transforms:
    """The running jobs. container: its `programs` serve, its `folder` holds each running job's files.

    s3_for: (role or None, session name) -> an S3 client with the role's permissions.
    """

    def __init__(
        self,
        store: RecordStore,
        container: ContainerContext,
        faults: Faults,
        s3_for: Callable[[str | None, str], Any],
        clock: Callable[[], float] = time.time,
    ) -> None:
        queue = Queue(container.limits.transform_jobs)
        self._context = JobContext(store, container, faults, s3_for, queue, clock, threading.Event())
        self._jobs: dict[str, TransformJob] = {}
        self._lock = threading.Lock()

    def start(self, name: str) -> None:
        """Run a stored job in the background, when it is its turn."""
        with self._lock:
            if self._context.closing.is_set():
                return
            job = self._jobs[name.lower()] = TransformJob(name, self._context, self._remove)
        job.start()

    def stop(self, name: str) -> None:
        """Request the end of a running job; its document is already Stopping."""
        with self._lock:
            job = self._jobs.get(name.lower())
        if job is not None:
            job.stop()

    def resume(self) -> None:
        """Continue after a restart: fail the jobs that ran, queue the jobs that waited."""
        store = self._context.store
        shutil.rmtree(self._context.container.folder, ignore_errors=True)
        unfinished = [document for document in store.all(KIND) if not status.has_ended(document)]
        for document in sorted(unfinished, key=lambda document: document["CreationTime"]):
            name = document["TransformJobName"]
            if document[STATUS] == "Stopping" or "TransformStartTime" in document:
                store.update(KIND, name, self._failed())
            else:
                self.start(name)

    def close(self) -> None:
        """End every container; running jobs stay stored as running, and the next start sets them Failed."""
        with self._lock:
            self._context.closing.set()
            jobs = list(self._jobs.values())
        for job in jobs:
            job.stop()
        for job in jobs:
            job.join(self._context.container.limits.stop_seconds + JOIN_SECONDS)

    def _failed(self) -> Callable[[Document], None]:
        """Return a change that ends a job which a restart interrupted: one that was Stopping is Stopped."""
        now = self._context.clock()
        return lambda document: status.end(document, "Failed", now, status.RESTARTED)

    def _remove(self, job: TransformJob) -> None:
        """Forget a job that is over."""
        with self._lock:
            if self._jobs.get(job.name.lower()) is job:
                del self._jobs[job.name.lower()]
