"""Assemble one sandbox: `python -m sandbox` runs it, and tests start it in their own process."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from sandbox.common.clients import Loopback
from sandbox.common.disk import Disk, megabytes
from sandbox.common.limits import SandboxLimits, SandboxLocation
from sandbox.common.log_shipper import LogShipper
from sandbox.common.periodic import PeriodicTask
from sandbox.common.state_dir import DEFAULT_PORT, StateDir
from sandbox.common.store import RecordStore
from sandbox.hosting.autoscaler import Autoscaler
from sandbox.hosting.autoscaling import Autoscaling
from sandbox.hosting.capture import DataCapture
from sandbox.hosting.container import ParentDeathPipe, default_programs
from sandbox.hosting.context import ContainerContext, Programs
from sandbox.hosting.importer import EndpointImporter
from sandbox.hosting.invoke import Runtime
from sandbox.hosting.lifecycle import BUSY, Endpoints
from sandbox.hosting.metrics import Metrics
from sandbox.hosting.operations import EndpointOperations
from sandbox.hosting.usage import EndpointUsage
from sandbox.http.faults import Faults
from sandbox.http.gateway import Gateway, Identities, Services
from sandbox.http.server import Listener, bind
from sandbox.launcher import Address, remove_address, write_address
from sandbox.services.cloudwatch.service import CloudWatch
from sandbox.services.iam.authorization import Authorizer
from sandbox.services.iam.moto_services import MOTO_SERVICES, MotoServices
from sandbox.services.logs.service import Logs
from sandbox.services.quotas.service import Quotas, refuse_prices
from sandbox.services.rehearsal import Rehearsal
from sandbox.services.s3 import S3
from sandbox.services.sagemaker.control import Control
from sandbox.services.sagemaker.references import References
from sandbox.services.sagemaker.resources import Resources
from sandbox.services.sagemaker.search import Search
from sandbox.services.sagemaker.throttling import PER_SECOND, Throttled
from sandbox.training.importer import Importer
from sandbox.training.manager import Training
from sandbox.training.metrics import JobMetrics
from sandbox.training.operations import TrainingOperations
from sandbox.training.process import default_training_programs
from sandbox.transform.manager import Transforms
from sandbox.transform.operations import TransformOperations

POLL_SECONDS = 0.1
ROLE_SECONDS = 30 * 86_400.0  # of the credentials with which a transform job acts in its model's role


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
        self.loopback = Loopback(url, region, identity.access_key, identity.secret_key)
        self._assemble(sock, programs or default_programs(), training_programs or default_training_programs())

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
        """Create every service and connect them to the gateway."""
        folder, location = self._state_dir.folder, self._location
        self._store = RecordStore(folder / "control.sqlite", self._disk)
        self._s3 = S3(folder / "s3", location.region, disk=self._disk)
        self._logs = Logs(folder / "logs.sqlite", location.region, location.account)
        secret = self._state_dir.identity.secret_key
        self._moto = MotoServices(
            folder / "moto", location.region, location.account, secret=secret, disk=self._disk
        )
        # In moto's folder, where earlier versions put it.
        self._cloudwatch = CloudWatch(folder / "moto" / "metrics.sqlite")
        self._shipper, self._metrics = LogShipper(self.loopback), Metrics(self.loopback)
        self._death_pipe = ParentDeathPipe()
        container_context = ContainerContext(
            self.loopback,
            self._shipper,
            self._death_pipe,
            programs,
            self._limits,
            folder / "running",
            self.faults,
        )
        self._endpoints = Endpoints(self._store, container_context)
        capture = DataCapture(self.loopback)
        runtime = Runtime(self._endpoints, self._metrics, location, self._limits, capture)
        resources = Resources(self._store, location)
        references = References(
            location.account, self._moto.trusts_sagemaker, self._s3.has_bucket, self._s3.has_object
        )
        self._job_metrics = JobMetrics(folder / "job-metrics.sqlite", resources.is_training_job)
        training_context = replace(container_context, programs=training_programs, folder=folder / "training")
        self._training = Training(self._store, training_context, self._job_metrics, location.region)
        jobs = TrainingOperations(resources, references, self._training, self._limits.training_seconds)
        transform_context = replace(container_context, folder=folder / "transform")
        self._transforms = Transforms(self._store, transform_context, self.faults, self._s3_for)
        quotas = Quotas(folder, location)
        transform_jobs = TransformOperations(
            resources,
            references,
            self._transforms,
            s3_for=self._s3_for,
            quota=quotas.value,
            region=location.region,
        )
        self.importer = Importer(self._store, self._job_metrics, self.loopback, resources.arn)
        autoscaling = Autoscaling(resources, location)
        endpoints = EndpointOperations(resources, self._endpoints, autoscaling, self._limits)
        usage = EndpointUsage(self._endpoints, container_context)
        autoscaler = Autoscaler(self._store, self.loopback, max_instances=self._limits.variant_instances)
        self._periodic_tasks = (
            PeriodicTask("endpoint usage", self._limits.endpoint_usage_seconds, usage.measure),
            PeriodicTask("autoscaler", self._limits.scaling_seconds, autoscaler.check_targets),
        )
        self.endpoint_importer = EndpointImporter(resources, self._cloudwatch)
        control = Control(resources, references, endpoints, jobs, transform_jobs, Search(self._store))
        services = Services(
            invoke=runtime.invoke,
            metrics=self._job_metrics.call,
            own=Rehearsal(self._store, self.faults).call,
            json={
                "sagemaker": Throttled(control.call, PER_SECOND if self._limits.strict else {}).call,
                "logs": self._logs.call,
                "application-autoscaling": autoscaling.call,
                "servicequotas": quotas.call,
                "pricing": refuse_prices,
            },
            wsgi={
                "s3": self._s3,
                "monitoring": self._cloudwatch,
                **dict.fromkeys(MOTO_SERVICES, self._moto),
            },
        )
        identity = self._state_dir.identity
        limit = self._limits.request_bytes
        keys = identity.access_key, identity.secret_key
        authorize = Authorizer(location, self._moto.policies).check
        identities = Identities(self._moto.owner, self._moto.sessions, authorize)
        gateway = Gateway(
            *keys, services, self.faults, identities=identities, body_limit=limit, disk=self._disk
        )
        self._listener = Listener(gateway, sock)
        sock.close()
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(POLL_SECONDS,), daemon=True
        )

    def _s3_for(self, role: str | None, name: str) -> Any:
        """Return an S3 client with a role's permissions, or without a role with all."""
        if role is None:
            return self.loopback.client("s3")
        issued = self._moto.act_as(role, name, ROLE_SECONDS)
        return self.loopback.client_as("s3", issued.access_key, issued.secret_key, issued.token)

    def start(self) -> Sandbox:
        """Answer requests and restore the endpoints that were in service; jobs that were running have failed."""
        self._thread.start()
        if not self._disk.reserve():
            text = f"only {megabytes(self._disk.free())} free on the disk that holds {self._disk.folder}"
            print(f"sandbox: warning: {text}; deletions may fail when it is full", file=sys.stderr)
        self._endpoints.resume()
        for task in self._periodic_tasks:
            task.start()
        self._training.resume()
        self._transforms.resume()
        return self

    def stop(self) -> None:
        """End every process, save all state and release the port."""
        for task in self._periodic_tasks:
            task.close()
        self._training.close()
        self._transforms.close()
        self._endpoints.close()
        self._shipper.close()
        self._metrics.close()
        self._listener.stop()
        self._thread.join()
        self._death_pipe.close()
        self._store.close()
        self._job_metrics.close()
        self._logs.close()
        self._s3.close()
        self._moto.close()
        self._cloudwatch.close()
        self._state_dir.close()

    def wait_settled(self, seconds: float, stop: threading.Event | None = None) -> bool:
        """Wait until no endpoint is being created or updated, or `stop` is set; return False on a timeout."""
        stop = stop or threading.Event()
        deadline = time.monotonic() + seconds
        while any(document["EndpointStatus"] in BUSY for document in self._store.view("endpoint")):
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
