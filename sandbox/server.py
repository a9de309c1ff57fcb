"""Assemble one sandbox: `python -m sandbox` runs it, and tests start it in their own process."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

from sandbox.common.clients import Loopback
from sandbox.common.disk import Disk, megabytes
from sandbox.common.limits import SandboxLimits, SandboxLocation
from sandbox.common.state_dir import DEFAULT_PORT, StateDir
from sandbox.hosting.container import ParentDeathPipe, default_programs
from sandbox.hosting.context import Programs
from sandbox.http.faults import Faults
from sandbox.http.gateway import Gateway, Identities
from sandbox.http.server import Listener, bind
from sandbox.launcher import Address, remove_address, write_address
from sandbox.region import Region, SharedServices
from sandbox.regions import Regions
from sandbox.services.iam.authorization import Authorizer
from sandbox.services.iam.moto_services import MOTO_SERVICES, MotoServices
from sandbox.services.s3 import S3
from sandbox.training.process import default_training_programs

POLL_SECONDS = 0.1


class PortTakenError(Exception):
    """The requested port is in use."""


class Sandbox:
    """A SageMaker on this machine, between `start` and `stop`; also a context manager.

    port:              0 picks a free port; None the port used before, else 4566, else a free port.
    programs:          a part of a container image's name -> the command that serves it.
    training_programs: a part of a training image's name -> the command that trains.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        host: str = "127.0.0.1",
        port: int | None = 0,
        location: SandboxLocation | None = None,
        programs: Programs | None = None,
        training_programs: Programs | None = None,
        limits: SandboxLimits | None = None,
    ) -> None:
        """Lock the folder and bind the port. Raises InUseError, PortTakenError or UnsupportedError."""
        self.faults = Faults()
        self._location, self._limits = location or SandboxLocation(), limits or SandboxLimits()
        self._state_dir = StateDir(data_dir)
        # Remove the address of a killed sandbox before the port answers: it would look like a running one.
        remove_address(data_dir)
        self._disk = Disk(data_dir)
        self._disk.release()  # a start on a full disk needs a little room itself
        try:
            sock = self._bind(host, port)
        except BaseException:
            self._state_dir.close()
            raise
        identity, number = self._state_dir.identity, sock.getsockname()[1]
        url = f"http://{f'[{host}]' if ':' in host else host}:{number}"
        region, account = self._location.region, self._location.account
        self.address = Address(url, identity.access_key, identity.secret_key, region, account, os.getpid())
        self.loopback = self._loopback_of(region)
        self._assemble(sock, programs or default_programs(), training_programs or default_training_programs())

    def _loopback_of(self, region: str) -> Loopback:
        """Return clients of this sandbox for a region."""
        address = self.address
        return Loopback(address.url, region, address.access_key, address.secret_key)

    def _bind(self, host: str, port: int | None) -> socket.socket:
        """Return a listening socket on the first port that can be bound. Raises PortTakenError."""
        wanted = [port] if port is not None else [self._state_dir.identity.port or DEFAULT_PORT, 0]
        for number in wanted:
            try:
                sock = bind(host, number)
            except OSError as problem:
                if number == wanted[-1]:
                    raise PortTakenError(
                        f"Port {number} of {host} cannot be used: {problem.strerror}."
                    ) from problem
            else:
                if port != 0:
                    self._state_dir.remember_port(sock.getsockname()[1])
                return sock
        raise AssertionError("the last candidate is always a free port")

    def _assemble(self, sock: socket.socket, programs: Programs, training_programs: Programs) -> None:
        """Create the shared services and the home region, and connect them to the gateway."""
        folder, location = self._state_dir.folder, self._location
        self._s3 = S3(folder / "s3", location.region, disk=self._disk)
        secret = self._state_dir.identity.secret_key
        self._moto = MotoServices(
            folder / "moto", location.region, location.account, secret=secret, disk=self._disk
        )
        self._death_pipe = ParentDeathPipe()
        shared = SharedServices(
            self._s3,
            self._moto,
            self._disk,
            self._death_pipe,
            self._limits,
            programs,
            training_programs,
            {"s3": self._s3, **dict.fromkeys(MOTO_SERVICES, self._moto)},
            folder,
            self.faults,
        )
        self._regions = Regions(folder, location, self._loopback_of, shared)
        home = self._regions.home
        self._store, self.importer, self.endpoint_importer = (
            home.store,
            home.importer,
            home.endpoint_importer,
        )
        identity = self._state_dir.identity
        limit = self._limits.request_bytes
        keys = identity.access_key, identity.secret_key
        authorize = Authorizer(location, self._moto.policies).check
        identities = Identities(self._moto.owner, self._moto.sessions, authorize)
        gateway = Gateway(
            *keys,
            self._regions.services,
            self.faults,
            identities=identities,
            body_limit=limit,
            disk=self._disk,
        )
        self._listener = Listener(gateway, sock)
        sock.close()
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(POLL_SECONDS,), daemon=True
        )

    def start(self) -> Sandbox:
        """Answer requests and restore the endpoints that were in service; jobs that were running have failed."""
        self._thread.start()
        if not self._disk.reserve():
            text = f"only {megabytes(self._disk.free())} free on the disk that holds {self._disk.folder}"
            print(f"sandbox: warning: {text}; deletions may fail when it is full", file=sys.stderr)
        self._regions.start()
        return self

    def stop(self) -> None:
        """End every process, save all state and release the port."""
        self._regions.end_programs()
        self._listener.stop()
        self._thread.join()
        self._death_pipe.close()
        self._regions.close()
        self._s3.close()
        self._moto.close()
        self._state_dir.close()

    def region(self, name: str) -> Region:
        """Return a region, made when first needed. Raises ApiError for an unknown one."""
        return self._regions.region(name)

    def wait_settled(self, seconds: float, stop: threading.Event | None = None) -> bool:
        """Wait until no endpoint is being created or updated, or `stop` is set; return False on a timeout."""
        stop = stop or threading.Event()
        deadline = time.monotonic() + seconds
        while self._regions.home.busy():
            if time.monotonic() > deadline:
                return False
            if stop.wait(0.05):
                break
        return True

    def announce(self) -> None:
        """Write the address file, by which other processes find this sandbox."""
        self._disk.freeing(lambda: write_address(self._state_dir.folder, self.address))

    def withdraw(self) -> None:
        """Remove the address file, so that no process finds this sandbox."""
        remove_address(self._state_dir.folder)

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
