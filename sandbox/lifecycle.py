"""The life of endpoints: Creating, then InService or Failed with its reason; Deleting, then gone.

Each endpoint is brought up by a thread of its own. In service, every variant is a `Replica`: a supervised process
that is started again, ever more slowly, when it dies. What was in service comes up again when the sandbox restarts.
"""

from __future__ import annotations

import random
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.container import Lifeline, ModelProcess, StartError, fetch_model, instance_id
from sandbox.limits import Limits
from sandbox.loopback import Loopback
from sandbox.shipping import LogShipper
from sandbox.store import Document, Store

LONGEST_RESTART_WAIT = 30.0
_NOT_HEALTHY = (
    "The primary container for production variant {name} did not pass the ping health check: {problem}. "
    "Please check CloudWatch logs for this endpoint."
)
Programs = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Host:
    """What every replica needs of its surroundings."""

    loopback: Loopback
    shipper: LogShipper
    lifeline: Lifeline
    programs: Programs
    limits: Limits
    folder: Path

    def command(self, image: str) -> Sequence[str]:
        """Raises StartError when no program stands for the image."""
        found = (command for fragment, command in self.programs.items() if fragment in image)
        command = next(found, None)
        if command is None:
            known = ", ".join(sorted(self.programs))
            raise StartError(f'No program on this machine stands for the image "{image}" (known: {known}).')
        return command


class Replica:
    """One instance of a variant: its unpacked model and its process, started again when it dies.

    variant: a stored production variant, with the container of its model under "_container".
    """

    def __init__(self, endpoint: str, variant: Document, host: Host) -> None:
        self.variant, self._host = variant, host
        self.log_group = f"/aws/sagemaker/Endpoints/{endpoint}"
        self.log_stream = ""
        self._folder = host.folder / endpoint / f"{variant['VariantName']}-{instance_id()}"
        self._process: ModelProcess | None = None
        self._ready: ModelProcess | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()  # no process is started once `stop` is called

    @property
    def process(self) -> ModelProcess | None:
        """The process that answers, or None while there is none."""
        ready = self._ready
        return ready if ready is not None and ready.exit_code() is None else None

    def bring_up(self) -> None:
        """Fetch the model, start the process, wait until it is ready. Raises StartError."""
        container = self.variant["_container"]
        self._host.command(container.get("Image", ""))
        model = self._folder / "ml" / "model"
        model.mkdir(parents=True)
        url = container.get("ModelDataUrl")
        if url:
            fetch_model(self._host.loopback, url, model, max_bytes=self._host.limits.archive_bytes)
        self._start()
        threading.Thread(target=self._supervise, name=f"watch {self.log_stream}", daemon=True).start()

    def _start(self) -> None:
        host, container = self._host, self.variant["_container"]
        name = self.variant["VariantName"]
        self.log_stream = f"{name}/{instance_id()}"
        seconds = self.variant.get("ContainerStartupHealthCheckTimeoutInSeconds", host.limits.startup_seconds)
        with self._lock:
            if self._stop.is_set():
                raise StartError("The endpoint is being stopped.")
            self._process = process = ModelProcess(
                host.command(container.get("Image", "")),
                self._folder / "ml",
                container.get("Environment") or {},
                host.lifeline,
                lambda pipe: host.shipper.follow(pipe, self.log_group, self.log_stream),
            )
        try:
            process.wait_ready(min(seconds, host.limits.startup_seconds), self._stop)
        except StartError as problem:
            process.stop(host.limits.stop_seconds)
            raise StartError(_NOT_HEALTHY.format(name=name, problem=problem)) from problem
        self._ready = process

    def _supervise(self) -> None:
        wait = self._host.limits.restart_seconds
        while self._process is not None:
            started = time.monotonic()
            code = self._process.wait()
            self._process.stop(0)  # what it may have left behind
            if time.monotonic() - started > LONGEST_RESTART_WAIT:
                wait = self._host.limits.restart_seconds
            if self._stop.is_set():
                return
            print(f"sandbox: {self.log_group}: the model's process ended with {code}", file=sys.stderr)
            if self._stop.wait(wait):
                return
            wait = min(2 * wait, LONGEST_RESTART_WAIT)
            try:
                self._start()
            except StartError as problem:
                print(f"sandbox: {self.log_group}: {problem}", file=sys.stderr)

    def stop(self) -> None:
        """End the process for good and forget the model's files."""
        self._stop.set()
        with self._lock:
            process = self._process
        if process is not None:
            process.stop(self._host.limits.stop_seconds)
        shutil.rmtree(self._folder, ignore_errors=True)


class Endpoints:
    """The running side of the endpoints in the store."""

    def __init__(self, store: Store, host: Host, clock: Callable[[], float] = time.time) -> None:
        self._store, self._host, self._clock = store, host, clock
        self._replicas: dict[str, list[Replica]] = {}
        self._lock = threading.Lock()
        self._closing = False

    def start(self, name: str) -> None:
        """Bring an endpoint of the store up, in the background."""
        threading.Thread(target=self._bring_up, args=(name,), name=f"endpoint {name}", daemon=True).start()

    def resume(self) -> list[str]:
        """After a restart: bring up what was up or coming up, finish what was being deleted; the names coming up."""
        shutil.rmtree(self._host.folder, ignore_errors=True)
        coming = []
        for document in self._store.all("endpoint"):
            name = document["EndpointName"]
            if document["EndpointStatus"] == "Deleting":
                self._store.delete("endpoint", name)
            elif document["EndpointStatus"] != "Failed":
                self._set(name, EndpointStatus="Creating")
                self.start(name)
                coming.append(name)
        return coming

    def delete(self, name: str) -> None:
        """End the processes of an endpoint marked as Deleting, in the background, then forget it."""
        self._set(name, EndpointStatus="Deleting")
        threading.Thread(target=self._tear_down, args=(name,), name=f"delete {name}", daemon=True).start()

    def choose(self, name: str, variant: str | None) -> Replica | None:
        """The replica for one request: of the variant asked for, else by weight. None when there is none such."""
        with self._lock:
            replicas = list(self._replicas.get(name, ()))
        if variant is not None:
            return next((replica for replica in replicas if replica.variant["VariantName"] == variant), None)
        weights = [replica.variant["InitialVariantWeight"] for replica in replicas]
        if not replicas:
            return None
        return random.choices(replicas, weights if sum(weights) > 0 else None)[0]

    def close(self) -> None:
        """End every process; the store keeps what was in service, for the next start."""
        with self._lock:
            self._closing = True
            running = [replica for replicas in self._replicas.values() for replica in replicas]
            self._replicas.clear()
        threads = [threading.Thread(target=replica.stop) for replica in running]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _bring_up(self, name: str) -> None:
        document = self._store.get("endpoint", name)
        if document is None:
            return
        replicas = [Replica(name, variant, self._host) for variant in document["_variants"]]
        with self._lock:
            if self._closing:
                return
            self._replicas[name] = replicas
        try:
            for replica in replicas:
                replica.bring_up()
        except StartError as problem:
            self._fail(name, str(problem))
        except Exception as problem:
            self._fail(name, f"InternalServerError: {type(problem).__name__}: {problem}")
            raise
        else:
            if not self._closing:
                self._set(name, EndpointStatus="InService", ProductionVariants=self._summaries(document))

    def _fail(self, name: str, reason: str) -> None:
        with self._lock:
            if self._closing:
                return
            replicas = self._replicas.pop(name, [])
        for replica in replicas:
            replica.stop()
        self._set(name, EndpointStatus="Failed", FailureReason=reason[:1024])

    def _tear_down(self, name: str) -> None:
        with self._lock:
            replicas = self._replicas.pop(name, [])
        for replica in replicas:
            replica.stop()
        shutil.rmtree(self._host.folder / name, ignore_errors=True)
        self._store.delete("endpoint", name)

    def _summaries(self, document: Document) -> list[Document]:
        return [_summary(variant, self._clock()) for variant in document["_variants"]]

    def _set(self, name: str, **values: Any) -> None:
        now = self._clock()
        self._store.update("endpoint", name, lambda document: document.update(values, LastModifiedTime=now))


def _summary(variant: Document, now: float) -> Document:
    """A variant as DescribeEndpoint shows it."""
    image = variant["_container"].get("Image", "")
    weight, count = variant["InitialVariantWeight"], variant["InitialInstanceCount"]
    return {
        "VariantName": variant["VariantName"],
        "DeployedImages": [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": now}],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": count,
    }
