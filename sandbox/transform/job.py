"""Run one transform job from its turn in the queue to its end, in a thread of its own."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.common.capacity import NO_CAPACITY
from sandbox.common.disk import Disk, is_full
from sandbox.common.publish import publish
from sandbox.common.queue import Queue
from sandbox.common.store import Document, RecordStore
from sandbox.hosting.container import StartError, fetch_model
from sandbox.hosting.context import ContainerContext
from sandbox.http.faults import Faults
from sandbox.transform import status
from sandbox.transform.inputs import InputError, InputList, list_inputs
from sandbox.transform.status import KIND
from sandbox.transform.worker import (
    ALGORITHM,
    CLIENT,
    NAMESPACE,
    Worker,
    WorkerContext,
    WorkerGoneError,
)

_SEE_LOGS = "See job logs for more information"
_WAIT_SECONDS = 0.5  # between two looks at the clock for the next measurement


class Interrupted(Exception):  # noqa: N818 - not an error: the job is being stopped
    """The job was stopped."""


class JobFailure(Exception):  # noqa: N818 - a job's failure, not one of this program
    """The job failed; the text is its FailureReason."""


@dataclass(frozen=True, slots=True)
class JobContext:
    """The values shared by all transform jobs.

    s3_for:  (role or None, session name) -> an S3 client with the role's permissions.
    closing: set when the sandbox stops; nothing is written after that.
    """

    store: RecordStore
    container: ContainerContext
    faults: Faults
    s3_for: Callable[[str | None, str], Any]
    queue: Queue
    clock: Callable[[], float]
    closing: threading.Event


class TransformJob:
    """One transform job. `on_end` is called with the job when it is over."""

    def __init__(self, name: str, context: JobContext, on_end: Callable[[TransformJob], object]) -> None:
        self.name, self._context, self._on_end = name, context, on_end
        self._root: Path = context.container.folder / f"{name}-{secrets.token_hex(4)}"
        self._ticket = context.queue.enter()
        self._stop = threading.Event()
        self._failures: Counter[str] = Counter()
        self._gone: list[str] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"transform {name}", daemon=True)

    def start(self) -> None:
        """Start the job's thread."""
        self._thread.start()

    def stop(self) -> None:
        """Request the end of the job; what it has written remains."""
        self._stop.set()
        self._context.queue.wake()

    def join(self, seconds: float) -> None:
        """Wait for the job's thread."""
        self._thread.join(seconds)

    # Phases

    def _run(self) -> None:
        """Run the job and record its end, whatever it is."""
        try:
            with self._context.queue.turn(self._ticket, self._check_stopped, lambda: None):
                self._transform()
            self._end("Completed")
        except Interrupted:
            self._end("Stopped")
        except JobFailure as failure:
            self._end("Failed", str(failure))
        except Exception as problem:
            if is_full(problem):
                kept = "The objects that the job has written are complete."
                text = Disk(self._context.container.folder).text(problem, None, kept)
                self._end("Failed", f"ClientError: {text}")
                return
            self._end("Failed", f"InternalServerError: {type(problem).__name__}: {problem}")
            raise
        finally:
            shutil.rmtree(self._root, ignore_errors=True)
            self._on_end(self)

    def _transform(self) -> None:
        """List the inputs, start the workers and transform every input. Raises JobFailure or Interrupted."""
        document = self._context.store.get(KIND, self.name)
        if document is None:
            raise Interrupted
        if self._context.faults.take("capacity", document["TransformResources"]["InstanceType"]):
            raise JobFailure(NO_CAPACITY)  # before the start, so that nothing is billed
        now = self._context.clock()
        self._write(lambda stored: status.begin(stored, now))
        self._root.mkdir(parents=True)
        s3 = self._context.s3_for(document.get("_role"), self.name)
        inputs = InputList(self._root / "inputs.jsonl")
        try:
            self._list(inputs, s3, document)
            workers = self._workers(s3, document)
            try:
                self._start(workers)
                self._work(workers, inputs)
                self._check_stopped()
                if left := inputs.rest():
                    self._gone.append(f"{left} of {inputs.count} objects were not sent to any container")
            finally:
                _each(workers, Worker.stop)
                _each(workers, Worker.flush)
        finally:
            inputs.close()
        self._check_stopped()
        self._raise_failures()

    def _list(self, inputs: InputList, s3: Any, document: Document) -> None:
        """Write the list of inputs. Raises JobFailure or Interrupted."""
        source = document["TransformInput"]["DataSource"]["S3DataSource"]
        try:
            inputs.fill(list_inputs(s3, source), self._check_stopped)
        except InputError as problem:
            raise JobFailure(f"ClientError: {problem}") from problem
        if not inputs.count:
            raise JobFailure(f'ClientError: No S3 objects found under S3 URL "{source["S3Uri"]}".')

    def _workers(self, s3: Any, document: Document) -> list[Worker]:
        """Fetch the model and return one worker per instance, not yet started. Raises JobFailure."""
        container, model = self._context.container, self._root / "model-data" / "model"
        model.mkdir(parents=True)
        url = document["_container"].get("ModelDataUrl")
        try:
            container.command(document["_container"].get("Image", ""))
            if url:
                fetch_model(container.loopback, url, model, max_bytes=container.limits.archive_bytes)
        except StartError as problem:
            raise JobFailure(f"ClientError: {problem}") from problem
        shared = WorkerContext(container, self._context.faults, s3, document, self._stop)
        count = document["TransformResources"]["InstanceCount"]
        return [
            Worker(number, shared, self._root / f"worker-{number}", model) for number in range(1, count + 1)
        ]

    def _start(self, workers: list[Worker]) -> None:
        """Start all workers in parallel. Raises JobFailure or Interrupted."""
        with ThreadPoolExecutor(len(workers), thread_name_prefix="transform-start") as pool:
            starts = [pool.submit(worker.start) for worker in workers]
        for started in starts:
            try:
                started.result()
            except StartError as problem:
                self._check_stopped()
                raise JobFailure(f"{ALGORITHM}: {problem}") from problem

    def _work(self, workers: list[Worker], inputs: InputList) -> None:
        """Transform every input, with each worker's number of requests at a time; measure the workers meanwhile."""
        threads = [
            threading.Thread(
                target=self._serve, args=(worker, inputs), name=f"{self.name} worker {worker.number}"
            )
            for worker in workers
            for _ in range(worker.parameters.concurrent)
        ]
        for thread in threads:
            thread.daemon = True
            thread.start()
        interval = self._context.container.limits.utilization_seconds
        due = time.monotonic() + interval
        for thread in threads:
            while thread.is_alive():
                thread.join(_WAIT_SECONDS)
                if self._stop.is_set():
                    _each(workers, Worker.stop)  # so that a request in progress ends at once
                if time.monotonic() >= due:
                    due = time.monotonic() + interval
                    self._measure(workers)
        self._measure(workers)

    def _serve(self, worker: Worker, inputs: InputList) -> None:
        """Give a worker one input after the other, until there is none, it is gone, or the job is stopped."""
        try:
            while not self._stop.is_set() and (item := inputs.next()) is not None:
                kind = worker.transform(item)
                if kind:
                    with self._lock:
                        self._failures[kind] += 1
        except WorkerGoneError as problem:
            with self._lock:
                self._failures[ALGORITHM] += 1
                self._gone.append(str(problem))
        except Exception as problem:
            with self._lock:
                self._failures[f"InternalServerError: {type(problem).__name__}: {problem}"] += 1
            raise

    def _measure(self, workers: list[Worker]) -> None:
        """Publish the workers' use of the machine."""
        data = [datum for worker in workers for datum in worker.utilization()]
        if data:
            publish(self._context.container.loopback, NAMESPACE, data)

    def _raise_failures(self) -> None:
        """Raise JobFailure when an object failed, as AWS does whatever the number."""
        if not self._failures:
            return
        internal = next((kind for kind in self._failures if kind not in {CLIENT, ALGORITHM}), None)
        if internal is not None:
            raise JobFailure(internal)
        kind = ALGORITHM if self._failures[ALGORITHM] else CLIENT
        raise JobFailure(f"{kind}: {'; '.join([*dict.fromkeys(self._gone), _SEE_LOGS])}")

    # The stored document

    def _check_stopped(self) -> None:
        """Raise Interrupted when the job is being stopped."""
        if self._stop.is_set():
            raise Interrupted

    def _end(self, outcome: str, reason: str = "") -> None:
        """Record the end of the job."""
        now = self._context.clock()
        self._write(lambda document: status.end(document, outcome, now, reason))

    def _write(self, change: Callable[[Document], object]) -> None:
        """Change the stored job, unless the sandbox is closing."""
        if not self._context.closing.is_set():
            self._context.store.update(KIND, self.name, change)


def _each(workers: list[Worker], work: Callable[[Worker], None]) -> None:
    """Do something with all workers in parallel, as each may take seconds."""
    with ThreadPoolExecutor(max(1, len(workers)), thread_name_prefix="transform-end") as pool:
        for result in [pool.submit(work, worker) for worker in workers]:
            result.result()
