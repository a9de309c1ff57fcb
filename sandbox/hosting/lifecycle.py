"""The lifecycle of endpoints: Creating, then InService or Failed with its reason; Updating; Deleting, then gone.

Each change is carried out by a thread of its own, from what the store says, so a restart takes it up again: what was
in service comes up, an update goes on. An update brings the new fleet up beside the old one, which answers until
then; traffic is switched at once, and an old replica ends when its last request is answered. When the new fleet does
not come up the endpoint is RollingBack, then InService as before, and FailureReason says why.
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
_TRIED_AGAIN = " It was in service before: the next start of the sandbox tries again."
JOIN_SECONDS = 10.0  # for a thread to end after its processes


class Endpoints:
    """The running side of the endpoints in the store.

    A stored endpoint has its variants under "_variants", and while it is Updating what it is to become under
    "_pending": {"EndpointConfigName", "variants", "anew": whether all replicas are replaced}. "_served": it was in
    service when the sandbox ended, and is not yet again: should that fail, the next start tries again.
    """

    def __init__(
        self, store: RecordStore, context: ContainerContext, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._context, self._clock = store, context, clock
        self._fleets: dict[str, ReplicaFleet] = {}  # those that answer
        self._others: set[Replica] = set()  # coming up, or on their way out
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._closing = False

    def start(self, name: str) -> None:
        """Bring an endpoint of the store up, in the background."""
        self._run(self._create, name)

    def update(self, name: str) -> None:
        """Make an endpoint what its "_pending" says, in the background."""
        self._run(self._update, name)

    def delete(self, name: str) -> None:
        """End the processes of an endpoint marked as Deleting, in the background, then forget it."""
        with self._lock:
            fleet = self._fleets.pop(name, None)
            replicas = fleet.replicas if fleet is not None else []
            self._others.update(replicas)
        self._run(self._tear_down, name, replicas)

    def resume(self) -> list[str]:
        """Continue after a restart: bring up what was up, finish deletions; return the names that come up."""
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
        """Return a replica for one request, to be released; None when none answers for that endpoint and variant."""
        with self._lock:
            fleet = self._fleets.get(name)
            return None if fleet is None else fleet.choose(variant)

    def fleets(self) -> dict[str, ReplicaFleet]:
        """Return the fleets that answer now, by the endpoint's name."""
        with self._lock:
            return dict(self._fleets)

    def close(self) -> None:
        """End every process; the store keeps what was in service or on its way, for the next start."""
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
        document = self._store.get("endpoint", name)
        if document is not None and self._serve_first(name, document):
            shown = self._shown(document["_variants"])
            self._set(name, EndpointStatus="InService", FailureReason=None, **shown)

    def _update(self, name: str) -> None:
        document = self._store.get("endpoint", name)
        if document is None:
            return
        current = self.fleets().get(name)
        if current is None:  # the sandbox was started again in the middle
            current = self._serve_first(name, document)
        if current is None:
            return
        wanted = document["_pending"]
        fleet = ReplicaFleet(name, wanted["variants"], self._context, None if wanted["anew"] else current)
        problem = self._bring_up(name, fleet)
        if problem:
            self._roll_back(name, current, fleet, problem)
            return
        members = {"EndpointConfigName": wanted["EndpointConfigName"], "_variants": wanted["variants"]}
        self._set(name, EndpointStatus="InService", **members, **self._shown(wanted["variants"]))
        self._end(current.beyond(fleet), Replica.retire)

    def _serve_first(self, name: str, document: Document) -> ReplicaFleet | None:
        """Bring up what an endpoint is; None when it failed, which the store then says."""
        fleet = ReplicaFleet(name, document["_variants"], self._context)
        problem = self._bring_up(name, fleet)
        if problem:
            fleet.abandon()
            if document.get("_served"):
                problem = f"{problem[: 1024 - len(_TRIED_AGAIN)]}{_TRIED_AGAIN}"
            self._set(name, EndpointStatus="Failed", FailureReason=problem, PendingDeploymentSummary=None)
        return None if problem else fleet

    def _bring_up(self, name: str, fleet: ReplicaFleet) -> str:
        """Start a fleet's new replicas and let it answer; else why it cannot."""
        with self._lock:
            if self._closing:
                return "The sandbox stops."
            self._others.update(fleet.replicas)
        problem = ""
        try:
            fleet.bring_up()
        except StartError as reason:
            problem = str(reason)
        except Exception as error:  # noqa: BLE001 - printed, and told to the client
            traceback.print_exc()
            problem = f"InternalServerError: {type(error).__name__}: {error}"
        with self._lock:
            self._others.difference_update(fleet.replicas)
            if not problem and not self._closing:
                self._fleets[name] = fleet
        return problem[:1024]

    def _roll_back(self, name: str, current: ReplicaFleet, fleet: ReplicaFleet, reason: str) -> None:
        self._set(name, EndpointStatus="RollingBack", FailureReason=reason, **self._shown(current.variants))
        fleet.abandon()
        self._set(name, EndpointStatus="InService")

    def _tear_down(self, name: str, replicas: list[Replica]) -> None:
        self._end(replicas, Replica.stop)
        shutil.rmtree(self._context.folder / name, ignore_errors=True)
        with self._lock:
            if not self._closing:
                self._store.delete("endpoint", name)

    def _end(self, replicas: list[Replica], how: Callable[[Replica], None]) -> None:
        with self._lock:
            self._others.update(replicas)
        for_each(replicas, how)
        with self._lock:
            self._others.difference_update(replicas)

    def _shown(self, variants: Any) -> Document:
        """What a change has come to, as DescribeEndpoint tells it."""
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
        """Change a document; None takes a member away. Once the sandbox closes, nothing changes any more."""

        def change(document: Document) -> None:
            document.update(values, LastModifiedTime=self._clock())
            for member in [member for member, value in document.items() if value is None]:
                del document[member]

        with self._lock:
            if not self._closing:
                self._store.update("endpoint", name, change)
