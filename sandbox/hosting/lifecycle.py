"""The lifecycle of endpoints: Creating, then InService or Failed with its reason; Updating; Deleting, then gone.

Each change runs in a thread of its own, from the stored state, so a restart resumes it: endpoints that were in
service are restored, an update continues. An update starts the new fleet next to the old one, which answers until
then; traffic is switched at once, and an old replica ends with its last request. When the new fleet does not start,
the endpoint is RollingBack, then InService as before, with the cause in FailureReason.

Source: SageMaker API reference, "DescribeEndpoint" (EndpointStatus); developer guide, "Blue/Green Deployments".
"""

from __future__ import annotations

import shutil
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from sandbox.common.store import Document, RecordStore
from sandbox.hosting.container import StartError
from sandbox.hosting.context import ContainerContext
from sandbox.hosting.fleet import Lease, ReplicaFleet, summary
from sandbox.hosting.replica import Replica, for_each

BUSY = frozenset({"Creating", "Updating", "RollingBack"})
_TRIED_AGAIN = " It was in service before: the next start of the sandbox will try again."
JOIN_SECONDS = 10.0  # for a thread to end after its processes have ended


class Endpoints:
    """The processes behind the stored endpoints.

    A stored endpoint has its variants under "_variants", and while Updating its target state under "_pending":
    {"EndpointConfigName", "variants", "replace_all": whether no replica is reused, "capture": its new
    DataCaptureConfig, "termination_wait": seconds that the old fleet stays}. "_served": it was in service when the
    sandbox stopped, and is not yet again; if restoring it fails, the next start tries again.
    """

    def __init__(
        self, store: RecordStore, context: ContainerContext, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._context, self._clock = store, context, clock
        self._fleets: dict[str, ReplicaFleet] = {}  # in service
        self._others: set[Replica] = set()  # starting or ending
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._closing = False
        self._closed = threading.Event()

    def start(self, name: str) -> None:
        """Start a stored endpoint, in the background."""
        self._run(self._create, name)

    def update(self, name: str) -> None:
        """Change an endpoint to its "_pending" state, in the background."""
        self._run(self._update, name)

    def delete(self, name: str) -> None:
        """End the processes of an endpoint marked as Deleting, in the background, then delete its record."""
        with self._lock:
            fleet = self._fleets.pop(name, None)
            replicas = fleet.replicas if fleet is not None else []
            self._others.update(replicas)
        self._run(self._tear_down, name, replicas)

    def resume(self) -> list[str]:
        """Continue after a restart: restore endpoints, finish deletions; return the names of the starting ones."""
        shutil.rmtree(self._context.folder, ignore_errors=True)
        coming = []
        for document in self._store.all("endpoint"):
            name, status = document["EndpointName"], document["EndpointStatus"]
            if status == "Deleting":
                self._store.delete("endpoint", name)
            elif (status != "Failed" or document.get("_served")) and not document.get("_imported"):
                coming.append(name)
                pending = "_pending" in document
                served = status != "Creating" or document.get("_served")
                self._set(name, EndpointStatus="Updating" if pending else "Creating", _served=served or None)
                (self.update if pending else self.start)(name)
        return coming

    def choose(self, name: str, variant: str | None) -> Lease | None:
        """Return a leased replica for one request; None when that endpoint or variant has none."""
        with self._lock:
            fleet = self._fleets.get(name)
            return None if fleet is None else fleet.choose(variant)

    def capture(self, name: str) -> Document | None:
        """Return the DataCaptureConfig of an endpoint; None without data capture."""
        document = self._store.get("endpoint", name) or {}
        config: Document | None = (document.get("DataCaptureConfig") or {}).get("_config")
        return config

    def fleets(self) -> dict[str, ReplicaFleet]:
        """Return the fleets in service, by the endpoint's name."""
        with self._lock:
            return dict(self._fleets)

    def close(self) -> None:
        """End every process; the stored state lets the next start restore the endpoints."""
        self._closed.set()
        with self._lock:
            self._closing = True
            running = {replica for fleet in self._fleets.values() for replica in fleet.replicas}
            running |= self._others
            self._fleets.clear()
            threads = list(self._threads)
        for_each(running, Replica.stop)
        for thread in threads:
            thread.join(JOIN_SECONDS)

    def _run(self, work: Callable[..., None], *arguments: Any) -> None:
        """Run work in a thread of its own, unless the sandbox is closing."""

        def run() -> None:
            try:
                work(*arguments)
            finally:
                with self._lock:
                    self._threads.discard(thread)

        thread = threading.Thread(target=run, name=f"endpoint {arguments[0]}", daemon=True)
        with self._lock:
            if not self._closing:
                self._threads.add(thread)
                thread.start()

    def _create(self, name: str) -> None:
        """Start an endpoint's first fleet and set it InService."""
        document = self._store.get("endpoint", name)
        if document is not None and self._serve_first(name, document):
            shown = self._shown(document["_variants"])
            self._set(name, EndpointStatus="InService", FailureReason=None, **shown)

    def _update(self, name: str) -> None:
        """Start the new fleet, switch to it and retire the old one, or roll back."""
        document = self._store.get("endpoint", name)
        if document is None:
            return
        current = self.fleets().get(name)
        if current is None:  # the sandbox was restarted during the update
            current = self._serve_first(name, document)
        if current is None:
            return
        wanted = document["_pending"]
        # Missing in the update of an earlier version that a restart interrupted: replacing all is always correct.
        reused = None if wanted.get("replace_all", True) else current
        fleet = ReplicaFleet(name, wanted["variants"], self._context, reused)
        problem = self._bring_up(name, fleet)
        if problem:
            self._roll_back(name, current, fleet, problem)
            return
        members = {"EndpointConfigName": wanted["EndpointConfigName"], "_variants": wanted["variants"]}
        if "capture" in wanted:
            members["DataCaptureConfig"] = wanted["capture"]
        self._closed.wait(wanted.get("termination_wait", 0))
        self._set(name, EndpointStatus="InService", **members, **self._shown(wanted["variants"]))
        self._end(current.beyond(fleet), Replica.retire)

    def _serve_first(self, name: str, document: Document) -> ReplicaFleet | None:
        """Start an endpoint's stored variants; return None, and set it Failed, when that fails."""
        fleet = ReplicaFleet(name, document["_variants"], self._context)
        problem = self._bring_up(name, fleet)
        if problem:
            fleet.abandon()
            if document.get("_served"):
                problem = f"{problem[: 1024 - len(_TRIED_AGAIN)]}{_TRIED_AGAIN}"
            self._set(name, EndpointStatus="Failed", FailureReason=problem, PendingDeploymentSummary=None)
        return None if problem else fleet

    def _bring_up(self, name: str, fleet: ReplicaFleet) -> str:
        """Start a fleet's new replicas and put it into service; return the problem, or ""."""
        with self._lock:
            if self._closing:
                return "The sandbox is stopping."
            self._others.update(fleet.replicas)
        problem = ""
        try:
            fleet.bring_up()
        except StartError as reason:
            problem = str(reason)
        except Exception as error:  # noqa: BLE001 - printed, and reported to the client
            traceback.print_exc()
            problem = f"InternalServerError: {type(error).__name__}: {error}"
        with self._lock:
            self._others.difference_update(fleet.replicas)
            if not problem and not self._closing:
                self._fleets[name] = fleet
        return problem[:1024]

    def _roll_back(self, name: str, current: ReplicaFleet, fleet: ReplicaFleet, reason: str) -> None:
        """Return to the current fleet, with the reason in FailureReason."""
        self._set(name, EndpointStatus="RollingBack", FailureReason=reason, **self._shown(current.variants))
        fleet.abandon()
        self._set(name, EndpointStatus="InService")

    def _tear_down(self, name: str, replicas: list[Replica]) -> None:
        """End the replicas and delete the endpoint's files and record."""
        self._end(replicas, Replica.stop)
        shutil.rmtree(self._context.folder / name, ignore_errors=True)
        with self._lock:
            if not self._closing:
                self._store.delete("endpoint", name)

    def _end(self, replicas: list[Replica], how: Callable[[Replica], None]) -> None:
        """End replicas and keep track of them until then."""
        with self._lock:
            self._others.update(replicas)
        for_each(replicas, how)
        with self._lock:
            self._others.difference_update(replicas)

    def _shown(self, variants: Any) -> Document:
        """Return the members of DescribeEndpoint after a finished change."""
        now = self._clock()
        shown = [summary(variant, now) for variant in variants]
        return {
            "ProductionVariants": shown,
            "PendingDeploymentSummary": None,
            "_pending": None,
            "_imported": None,
            "_served": None,
        }

    def _set(self, name: str, **values: Any) -> None:
        """Change a document; None removes a member. Nothing is changed once the sandbox is closing."""

        def change(document: Document) -> None:
            document.update(values, LastModifiedTime=self._clock())
            for member in [member for member, value in document.items() if value is None]:
                del document[member]

        with self._lock:
            if not self._closing:
                self._store.update("endpoint", name, change)
