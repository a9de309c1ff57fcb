"""One instance of a variant: its unpacked model and its process, restarted with growing delays when it exits."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Collection

from sandbox.common.disk import Disk, is_full
from sandbox.common.store import Document
from sandbox.hosting.container import (
    ModelProcess,
    StartError,
    allowed_environment,
    fetch_model,
    instance_id,
    strict_environment,
)
from sandbox.hosting.context import ContainerContext

LONGEST_RESTART_WAIT = 30.0
_NOT_HEALTHY = (
    "The primary container for production variant {name} did not pass the ping health check: {problem}. "
    "Please check CloudWatch logs for this endpoint."
)


class Replica:
    """One instance. variant: a stored production variant, with the container of its model under "_container".

    `requests` counts those in progress, `turn` is the number of the last one: the fleet chooses by both.
    """

    def __init__(self, endpoint: str, variant: Document, context: ContainerContext) -> None:
        self.variant, self._context = variant, context
        self.log_group = f"/aws/sagemaker/Endpoints/{endpoint}"
        self.log_stream = ""
        self.folder = context.folder / endpoint / f"{variant['VariantName']}-{instance_id()}"
        self.requests = self.turn = 0
        self._free = threading.Condition()
        self._process: ModelProcess | None = None
        self._ready: ModelProcess | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()  # no process is started after `stop`

    @property
    def process(self) -> ModelProcess | None:
        """Return the process that answers; None while there is none."""
        ready = self._ready
        return ready if ready is not None and ready.exit_code() is None else None

    def take(self, turn: int) -> None:
        """Begin a request; `release` ends it."""
        with self._free:
            self.requests += 1
            self.turn = turn

    def release(self) -> None:
        """End a request."""
        with self._free:
            self.requests -= 1
            self._free.notify_all()

    def bring_up(self) -> None:
        """Fetch the model, start the process and wait until it is ready. Raises StartError after cleaning up."""
        try:
            self._fetch()
            self._start()
        except BaseException:
            self.stop()
            raise
        threading.Thread(target=self._supervise, name=f"watch {self.log_stream}", daemon=True).start()

    def _fetch(self) -> None:
        """Download and unpack the model. Raises StartError."""
        container = self.variant["_container"]
        self._context.command(container.get("Image", ""))
        model = self.folder / "ml" / "model"
        try:
            model.mkdir(parents=True)
        except OSError as problem:
            if not is_full(problem):
                raise
            text = Disk(self._context.folder).text(problem, None, "The model archive in S3 is unchanged.")
            raise StartError(text) from problem
        url = container.get("ModelDataUrl")
        if url:
            fetch_model(self._context.loopback, url, model, max_bytes=self._context.limits.archive_bytes)

    def _start(self) -> None:
        """Start the process and wait until it is healthy. Raises StartError."""
        context, container = self._context, self.variant["_container"]
        name = self.variant["VariantName"]
        self.log_stream = f"{name}/{instance_id()}"
        seconds = self.variant.get(
            "ContainerStartupHealthCheckTimeoutInSeconds", context.limits.startup_seconds
        )
        with self._lock:
            if self._stop.is_set():
                raise StartError("The endpoint is being stopped.")
            self._process = process = ModelProcess(
                context.command(container.get("Image", "")),
                self.folder / "ml",
                {
                    **allowed_environment(container.get("Environment")),
                    **strict_environment(context.limits.strict),
                },
                context.death_pipe,
                lambda pipe: context.shipper.follow(pipe, self.log_group, self.log_stream),
            )
        try:
            process.wait_ready(min(seconds, context.limits.startup_seconds), self._stop)
        except StartError as problem:
            process.stop(context.limits.stop_seconds)
            raise StartError(_NOT_HEALTHY.format(name=name, problem=problem)) from problem
        self._ready = process

    def _supervise(self) -> None:
        """Restart the process when it exits, until `stop`."""
        wait = self._context.limits.restart_seconds
        while self._process is not None:
            started = time.monotonic()
            code = self._process.wait()
            self._process.stop(0)  # ends its remaining children
            if time.monotonic() - started > LONGEST_RESTART_WAIT:
                wait = self._context.limits.restart_seconds
            if self._stop.is_set():
                return
            print(f"sandbox: {self.log_group}: the model's process exited with code {code}", file=sys.stderr)
            if self._stop.wait(wait):
                return
            wait = min(2 * wait, LONGEST_RESTART_WAIT)
            try:
                self._start()
            except StartError as problem:
                print(f"sandbox: {self.log_group}: {problem}", file=sys.stderr)

    def stop(self) -> None:
        """End the process permanently and delete the model's files."""
        self._stop.set()
        with self._free:
            self._free.notify_all()
        with self._lock:
            process = self._process
        if process is not None:
            process.stop(self._context.limits.stop_seconds)
        shutil.rmtree(self.folder, ignore_errors=True)

    def retire(self) -> None:
        """Stop once the requests in progress are done or timed out; no new ones are assigned."""
        seconds = self._context.limits.invocation_seconds
        with self._free:
            self._free.wait_for(lambda: not self.requests or self._stop.is_set(), timeout=seconds)
        self.stop()


def for_each(replicas: Collection[Replica], end: Callable[[Replica], None]) -> None:
    """Stop or retire replicas in parallel, as each may take long."""
    threads = [threading.Thread(target=end, args=(replica,)) for replica in replicas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
