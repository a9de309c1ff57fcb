"""The services of one region: records, endpoints, jobs, logs and metrics, in a folder of its own.

IAM, STS and the names of S3 buckets are the same in all regions, as in AWS. Everything else belongs to one region.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sandbox.common.clients import Loopback
from sandbox.common.disk import Disk
from sandbox.common.limits import SandboxLimits, SandboxLocation
from sandbox.common.log_shipper import LogShipper
from sandbox.common.periodic import PeriodicTask
from sandbox.common.store import RecordStore
from sandbox.hosting.autoscaler import Autoscaler
from sandbox.hosting.autoscaling import Autoscaling
from sandbox.hosting.capture import DataCapture
from sandbox.hosting.container import ParentDeathPipe
from sandbox.hosting.context import ContainerContext, Programs
from sandbox.hosting.importer import EndpointImporter
from sandbox.hosting.invoke import Runtime
from sandbox.hosting.lifecycle import BUSY, Endpoints
from sandbox.hosting.metrics import Metrics
from sandbox.hosting.operations import EndpointOperations
from sandbox.hosting.usage import EndpointUsage
from sandbox.http.faults import Faults
from sandbox.http.gateway import Services, Wsgi
from sandbox.services.cloudwatch.service import CloudWatch
from sandbox.services.iam.moto_services import MotoServices
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
from sandbox.transform.manager import Transforms
from sandbox.transform.operations import TransformOperations

ROLE_SECONDS = 30 * 86_400.0  # of the credentials with which a transform job acts in its model's role


@dataclass(frozen=True, slots=True)
class SharedServices:
    """What all regions share.

    programs:          a part of a container image's name -> the command that serves it.
    training_programs: a part of a training image's name -> the command that trains.
    wsgi:              the services that are the same in all regions, by their name in a signature's scope.
    quotas_folder:     the folder of the file with the quotas.
    faults:            the rules for tests and rehearsals.
    """

    s3: S3
    moto: MotoServices
    disk: Disk
    death_pipe: ParentDeathPipe
    limits: SandboxLimits
    programs: Programs
    training_programs: Programs
    wsgi: Mapping[str, Wsgi]
    quotas_folder: Path
    faults: Faults


class Region:
    """The services of one region, between `start` and `close`."""

    def __init__(
        self, folder: Path, location: SandboxLocation, loopback: Loopback, shared: SharedServices
    ) -> None:
        """Open the databases in the folder, and connect the services. loopback: clients for this region."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "moto").mkdir(exist_ok=True)
        limits = shared.limits
        self.location, self.loopback = location, loopback
        self.store = RecordStore(folder / "control.sqlite", shared.disk)
        self._logs = Logs(folder / "logs.sqlite", location.region, location.account)
        # In moto's folder, where earlier versions put it.
        self._cloudwatch = CloudWatch(folder / "moto" / "metrics.sqlite")
        self._shipper, self._metrics = LogShipper(loopback), Metrics(loopback)
        container_context = ContainerContext(
            loopback,
            self._shipper,
            shared.death_pipe,
            shared.programs,
            limits,
            folder / "running",
            shared.faults,
        )
        self._endpoints = Endpoints(self.store, container_context)
        capture = DataCapture(loopback)
        runtime = Runtime(self._endpoints, self._metrics, location, limits, capture)
        resources = Resources(self.store, location)
        references = References(
            location.account, shared.moto.trusts_sagemaker, shared.s3.has_bucket, shared.s3.has_object
        )
        self._job_metrics = JobMetrics(folder / "job-metrics.sqlite", resources.is_training_job)
        training_context = replace(
            container_context, programs=shared.training_programs, folder=folder / "training"
        )
        self._training = Training(self.store, training_context, self._job_metrics, location.region)
        jobs = TrainingOperations(resources, references, self._training, limits.training_seconds)
        self._act_as = shared.moto.act_as
        transform_context = replace(container_context, folder=folder / "transform")
        self._transforms = Transforms(self.store, transform_context, shared.faults, self._s3_for)
        quotas = Quotas(shared.quotas_folder, location)
        transform_jobs = TransformOperations(
            resources,
            references,
            self._transforms,
            s3_for=self._s3_for,
            quota=quotas.value,
            region=location.region,
        )
        self.importer = Importer(self.store, self._job_metrics, loopback, resources.arn)
        autoscaling = Autoscaling(resources, location)
        endpoints = EndpointOperations(resources, self._endpoints, autoscaling, limits)
        usage = EndpointUsage(self._endpoints, container_context)
        autoscaler = Autoscaler(self.store, loopback, max_instances=limits.variant_instances)
        self._periodic_tasks = (
            PeriodicTask("endpoint usage", limits.endpoint_usage_seconds, usage.measure),
            PeriodicTask("autoscaler", limits.scaling_seconds, autoscaler.check_targets),
        )
        self.endpoint_importer = EndpointImporter(resources, self._cloudwatch)
        control = Control(resources, references, endpoints, jobs, transform_jobs, Search(self.store))
        self.services = Services(
            invoke=runtime.invoke,
            metrics=self._job_metrics.call,
            own=Rehearsal(self.store, shared.faults).call,
            json={
                "sagemaker": Throttled(control.call, PER_SECOND if limits.strict else {}).call,
                "logs": self._logs.call,
                "application-autoscaling": autoscaling.call,
                "servicequotas": quotas.call,
                "pricing": refuse_prices,
            },
            wsgi={**shared.wsgi, "monitoring": self._cloudwatch},
        )

    def _s3_for(self, role: str | None, name: str) -> Any:
        """Return an S3 client with a role's permissions, or without a role with all."""
        if role is None:
            return self.loopback.client("s3")
        issued = self._act_as(role, name, ROLE_SECONDS)
        return self.loopback.client_as("s3", issued.access_key, issued.secret_key, issued.token)

    def start(self) -> None:
        """Restore the endpoints that were in service; jobs that were running have failed."""
        self._endpoints.resume()
        for task in self._periodic_tasks:
            task.start()
        self._training.resume()
        self._transforms.resume()

    def end_programs(self) -> None:
        """End every program and save what it has written; the services still answer."""
        for task in self._periodic_tasks:
            task.close()
        self._training.close()
        self._transforms.close()
        self._endpoints.close()
        self._shipper.close()
        self._metrics.close()

    def close(self) -> None:
        """Close the databases; the services no longer answer."""
        self.store.close()
        self._job_metrics.close()
        self._logs.close()
        self._cloudwatch.close()

    def busy(self) -> bool:
        """Return whether an endpoint is being created or updated."""
        return any(document["EndpointStatus"] in BUSY for document in self.store.view("endpoint"))
