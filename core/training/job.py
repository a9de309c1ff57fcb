"""Training jobs as values: a job as AWS reports it, and the spec of a job to launch. No network.

`core.training.preflight` checks a `TrainingSpec`; `core.training.filters` selects which jobs to list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from core.errors import InputError, UnexpectedAnswerError
from core.text import duration, listing
from core.training import carried, channels, security
from core.training.channels import MODEL_CHANNEL, MODEL_CONTENT, Channel
from core.training.hyperparameters import Problem, clean, complete, default, whole
from core.training.security import SecuritySettings

ENDED = ("Completed", "Failed", "Stopped")
"""Final TrainingJobStatus values (botocore 1.44). Others: InProgress, Stopping, Deleting."""

STATUS_WORDS = {
    "InProgress": "running",
    "Completed": "completed",
    "Failed": "failed",
    "Stopping": "stopping",
    "Stopped": "stopped",
    "Deleting": "being deleted",
}
SECONDARY_WORDS = {
    "Starting": "starting",
    "Pending": "waiting for capacity",
    "LaunchingMLInstances": "starting the instance",
    "PreparingTrainingStack": "preparing the instance",
    "Downloading": "downloading the data",
    "DownloadingTrainingImage": "downloading the container",
    "Training": "training",
    "Interrupted": "interrupted: AWS reclaimed the spot instance",
    "Uploading": "uploading the model",
    "MaxRuntimeExceeded": "stopped at its maximum run time",
    "MaxWaitTimeExceeded": "stopped at its maximum wait time",
    "Updating": "updating",
    "Restarting": "restarting",
}
"""AWS: "valid values are subject to change"; an unknown value is shown as it is."""

SEVERAL_TYPES = ("InstanceGroups", "InstancePreferences")
"""Members of ResourceConfig that AWS accepts only without InstanceType."""

IMAGE = re.compile(r"(^|/)semantic-segmentation([:@]|$)")


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """A metric's name, and the regular expression whose first group matches its value in the log."""

    name: str
    regex: str


@dataclass(frozen=True, slots=True)
class Transition:
    """One phase of a job.

    status:               a SecondaryStatus, such as "Downloading".
    started_at, ended_at: aware, UTC; ended_at is None while it lasts.
    """

    status: str
    started_at: datetime
    ended_at: datetime | None
    message: str

    def seconds(self, now: datetime) -> float:
        """Return its duration, up to now if it has not ended."""
        return max(0.0, ((self.ended_at or now) - self.started_at).total_seconds())


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """One job, as DescribeTrainingJob and Search return it. All times are aware, UTC; durations in seconds.

    status, secondary_status: AWS's values; unknown ones are kept.
    started_at, ended_at:     None until then.
    spot:                     whether it uses spot capacity.
    billable_seconds:         what AWS charges for; None until it has ended.
    training_seconds:         how long the instance ran.
    model_uri:                S3 URI of `model.tar.gz`; None until it is uploaded.
    failure_reason:           AWS's message; None if it has not failed.
    final_metrics:            the last value of each metric.
    metric_definitions:       the patterns that extract metrics from the log.
    tags:                     returned by Search, but not by DescribeTrainingJob.
    summary:                  whether only its name, status and times are known, as ListTrainingJobs reports them;
                              everything else is then empty.
    notes:                    sentences on what could not be read of it.
    security:                 its network and encryption.
    checkpoint_uri:           S3 prefix of its checkpoints; "" for none.
    carried:                  its other settings, see `core.training.carried`.
    not_carried:              fields of its description that Segdeck does not know.
    """

    name: str
    arn: str
    status: str
    secondary_status: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    modified_at: datetime
    instance_type: str
    instance_count: int
    volume_gb: int
    spot: bool
    max_runtime_seconds: int
    max_wait_seconds: int | None
    billable_seconds: int | None
    training_seconds: int | None
    image: str
    input_mode: str
    hyperparameters: Mapping[str, str]
    channels: tuple[Channel, ...]
    output_uri: str
    model_uri: str | None
    role_arn: str
    failure_reason: str | None
    final_metrics: Mapping[str, float]
    metric_definitions: tuple[MetricDefinition, ...]
    transitions: tuple[Transition, ...]
    tags: Mapping[str, str]
    summary: bool = False
    notes: tuple[str, ...] = ()
    security: SecuritySettings = field(default_factory=SecuritySettings)
    checkpoint_uri: str = ""
    carried: Mapping[str, Any] = field(default_factory=dict)
    not_carried: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        """Return whether it may still change; also true for unknown statuses."""
        return self.status not in ENDED and self.ended_at is None

    @property
    def container_ran(self) -> bool:
        """Return whether its container has run, by its start time, its statuses or the exit code in its reason."""
        return (
            self.started_at is not None
            or self.status == "Completed"
            or any(step.status == "Training" for step in self.transitions)
            or "exit code" in (self.failure_reason or "")
        )

    @property
    def is_semantic_segmentation(self) -> bool:
        """Return whether its image is that of the built-in algorithm, by the repository name."""
        return IMAGE.search(self.image) is not None

    @property
    def algorithm(self) -> str:
        """Return the decoder, such as "fcn"; the default if the job did not set it."""
        return self._value("algorithm")

    @property
    def backbone(self) -> str:
        """Return the encoder, such as "resnet-50"; the default if the job did not set it."""
        return self._value("backbone")

    @property
    def epochs(self) -> int | None:
        """Return the number of epochs requested; None if it is not a number."""
        return whole(self._value("epochs"))

    def channel(self, name: str) -> Channel | None:
        """Return a channel by name; None if there is none."""
        return next((channel for channel in self.channels if channel.name == name), None)

    def seconds(self, now: datetime) -> float:
        """Return how long the instance has run, up to now if it has not ended; 0 before the start."""
        if self.training_seconds is not None and not self.running:
            return float(self.training_seconds)
        if self.started_at is None:
            return 0.0
        return max(0.0, ((self.ended_at or now) - self.started_at).total_seconds())

    def _value(self, name: str) -> str:
        return self.hyperparameters.get(name, "").strip().strip('"') or default(name) or ""


@dataclass(frozen=True, slots=True)
class JobOrigin:
    """The job that a spec was made from, to compare the spec with.

    not_carried: see `TrainingJob`.
    """

    name: str
    security: SecuritySettings
    tags: Mapping[str, str]
    not_carried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """A job to launch, built from a form or the command line; `core.training.preflight` checks it.

    volume_gb:           disk space for data and model.
    max_wait_seconds:    time limit for a spot job including its wait; None without spot.
    hyperparameters:     the chosen values; the others are sent with their defaults.
    channels:            see `core.training.channels.data_channels`.
    input_mode:          "File", or the older "Pipe".
    output_uri:          the S3 prefix under which AWS puts JOB/output/model.tar.gz.
    checkpoint_uri:      an S3 prefix for the checkpoints of this spot job only; "" for no checkpoints.
    security:            network and encryption.
    carried:             settings without a field, of the job that it is a copy of: see `core.training.carried`.
    origin:              that job; None for a new spec.
    """

    name: str
    role_arn: str
    image: str
    instance_type: str
    hyperparameters: Mapping[str, str]
    channels: tuple[Channel, ...]
    output_uri: str
    volume_gb: int = 50
    max_runtime_seconds: int = 86_400
    spot: bool = False
    max_wait_seconds: int | None = None
    instance_count: int = 1
    input_mode: str = "File"
    checkpoint_uri: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    security: SecuritySettings = field(default_factory=SecuritySettings)
    carried: Mapping[str, Any] = field(default_factory=dict)
    origin: JobOrigin | None = None

    def channel(self, name: str) -> Channel | None:
        """Return a channel by name; None if there is none."""
        return next((channel for channel in self.channels if channel.name == name), None)


def status_in_words(job: TrainingJob) -> str:
    """Return what a job is doing, such as "downloading the data", or how it ended."""
    if job.running or job.secondary_status in ("MaxRuntimeExceeded", "MaxWaitTimeExceeded"):
        return SECONDARY_WORDS.get(job.secondary_status, STATUS_WORDS.get(job.status, job.status))
    return STATUS_WORDS.get(job.status, job.status)


def from_description(answer: Mapping[str, Any]) -> TrainingJob:
    """Read DescribeTrainingJob's response, or `TrainingJob` of a Search result.

    Raises UnexpectedAnswerError if the name or creation time is missing; anything else may be missing.
    """
    name, created = answer.get("TrainingJobName"), _utc(answer.get("CreationTime"))
    if not name or created is None:
        raise UnexpectedAnswerError(
            f"SageMaker's response for {name or 'a training job'} lacks its name or creation time.",
            why=f"It contains {', '.join(sorted(answer)) or 'no fields'}.",
            todo="Try again; a proxy may have truncated the response.",
        )
    resources, stopping = answer.get("ResourceConfig") or {}, answer.get("StoppingCondition") or {}
    algorithm = answer.get("AlgorithmSpecification") or {}
    status = answer.get("TrainingJobStatus") or "Unknown"
    return TrainingJob(
        name=name,
        arn=answer.get("TrainingJobArn", ""),
        status=status,
        secondary_status=answer.get("SecondaryStatus") or status,
        created_at=created,
        started_at=_utc(answer.get("TrainingStartTime")),
        ended_at=_utc(answer.get("TrainingEndTime")),
        modified_at=_utc(answer.get("LastModifiedTime")) or created,
        instance_type=resources.get("InstanceType", ""),
        instance_count=resources.get("InstanceCount") or 1,
        volume_gb=resources.get("VolumeSizeInGB") or 0,
        spot=bool(answer.get("EnableManagedSpotTraining")),
        max_runtime_seconds=stopping.get("MaxRuntimeInSeconds") or 0,
        max_wait_seconds=stopping.get("MaxWaitTimeInSeconds"),
        billable_seconds=answer.get("BillableTimeInSeconds"),
        training_seconds=answer.get("TrainingTimeInSeconds"),
        image=algorithm.get("TrainingImage") or algorithm.get("AlgorithmName") or "",
        input_mode=algorithm.get("TrainingInputMode", ""),
        hyperparameters=dict(answer.get("HyperParameters") or {}),
        channels=tuple(map(channels.from_description, answer.get("InputDataConfig") or [])),
        output_uri=(answer.get("OutputDataConfig") or {}).get("S3OutputPath", ""),
        model_uri=(answer.get("ModelArtifacts") or {}).get("S3ModelArtifacts") or None,
        role_arn=answer.get("RoleArn", ""),
        failure_reason=answer.get("FailureReason") or None,
        final_metrics={
            row["MetricName"]: float(row["Value"])
            for row in answer.get("FinalMetricDataList") or []
            if "MetricName" in row and "Value" in row
        },
        metric_definitions=tuple(
            MetricDefinition(row.get("Name", ""), row.get("Regex", ""))
            for row in algorithm.get("MetricDefinitions") or []
        ),
        transitions=_transitions(answer.get("SecondaryStatusTransitions") or []),
        tags={row["Key"]: row.get("Value", "") for row in answer.get("Tags") or [] if "Key" in row},
        security=security.from_description(answer),
        checkpoint_uri=(answer.get("CheckpointConfig") or {}).get("S3Uri", ""),
        carried=carried.carried_from(answer),
        not_carried=carried.unknown_in(answer),
    )


def to_request(spec: TrainingSpec) -> dict[str, Any]:
    """Return the parameters of CreateTrainingJob, deterministic and in a fixed order.

    Nothing is left to AWS's defaults: they have changed over time. Carried settings are sent as they were, except
    those that AWS does not accept together with this spec's values.
    """
    stopping = {"MaxRuntimeInSeconds": spec.max_runtime_seconds}
    if spec.spot:
        stopping["MaxWaitTimeInSeconds"] = spec.max_wait_seconds or spec.max_runtime_seconds
    checkpoints = {"CheckpointConfig": {"S3Uri": spec.checkpoint_uri}} if spec.checkpoint_uri else {}
    output_key, volume_key = spec.security.output_kms_key, spec.security.volume_kms_key
    machine = {"InstanceType": spec.instance_type, "InstanceCount": spec.instance_count}
    request = {
        "TrainingJobName": spec.name,
        "RoleArn": spec.role_arn,
        "AlgorithmSpecification": {
            "AlgorithmName" if _is_algorithm(spec) else "TrainingImage": spec.image,
            "TrainingInputMode": spec.input_mode,
        },
        "HyperParameters": complete(spec.hyperparameters),
        "InputDataConfig": [channels.to_request(channel) for channel in channels.in_order(spec.channels)],
        "OutputDataConfig": {
            "S3OutputPath": spec.output_uri,
            **({"KmsKeyId": output_key} if output_key else {}),
        },
        "ResourceConfig": {
            **(machine if spec.instance_type or not _several_types(spec) else {}),
            "VolumeSizeInGB": spec.volume_gb,
            **({"VolumeKmsKeyId": volume_key} if volume_key else {}),
        },
        **({"VpcConfig": spec.security.vpc} if spec.security.vpc else {}),
        "StoppingCondition": stopping,
        "EnableManagedSpotTraining": spec.spot,
        "EnableNetworkIsolation": spec.security.network_isolation,
        "EnableInterContainerTrafficEncryption": spec.security.traffic_encryption,
        **checkpoints,
        "Tags": [{"Key": key, "Value": spec.tags[key]} for key in sorted(spec.tags)],
    }
    return carried.merged(request, _accepted(spec))


def _accepted(spec: TrainingSpec) -> dict[str, Any]:
    """Return the carried settings that AWS accepts together with the spec's own values.

    AWS rejects MetricDefinitions for a built-in algorithm, which has its own; AlgorithmName together with an image;
    several instance types together with one; and a checkpoint path without an S3 prefix.
    """
    accepted = dict(spec.carried)
    builtin = IMAGE.search(spec.image) is not None
    algorithm = ("AlgorithmName", *(("MetricDefinitions",) if builtin else ()))
    resources = SEVERAL_TYPES if spec.instance_type else ()
    for key, members in (("AlgorithmSpecification", algorithm), ("ResourceConfig", resources)):
        if key in accepted:
            accepted[key] = carried.without(accepted[key], members)
    if not spec.checkpoint_uri:
        accepted.pop("CheckpointConfig", None)
    return accepted


def _is_algorithm(spec: TrainingSpec) -> bool:
    """Return whether the image is the name of an algorithm resource, which the original job was trained with."""
    name = spec.carried.get("AlgorithmSpecification", {}).get("AlgorithmName")
    return bool(spec.image) and spec.image == name


def _several_types(spec: TrainingSpec) -> bool:
    return any(spec.carried.get("ResourceConfig", {}).get(key) for key in SEVERAL_TYPES)


def check_copy(spec: TrainingSpec) -> list[Problem]:
    """Return warnings about a spec made from another job: what is weaker, missing, or costs more than it shows."""
    origin = spec.origin
    if origin is None:
        return []
    problems = security.weaker(origin.name, origin.security, spec.security)
    if lost := [key for key in sorted(origin.tags) if key not in spec.tags]:
        text = f"Tags of {origin.name} are removed: {listing(lost)}. Policies and cost reports may depend on them."
        problems.append(Problem("tags", text, "warning"))
    if origin.not_carried:
        text = (
            f"Not copied from {origin.name}, because Segdeck does not know it: {listing(origin.not_carried)}."
        )
        problems.append(Problem("carried", text, "warning"))
    if spec.instance_type and _several_types(spec):
        text = f"The instance types of {origin.name} are replaced by one, {spec.instance_type}."
        problems.append(Problem("instance_type", text, "warning"))
    if seconds := spec.carried.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds"):
        text = (
            f"As for {origin.name}, AWS keeps the instance for {duration(seconds)} after the job (warm pool), "
            "and bills that time."
        )
        problems.append(Problem("carried", text, "warning"))
    return problems


def carried_names(spec: TrainingSpec) -> tuple[str, ...]:
    """Return the settings in the request that have no field in the spec, such as "Environment"."""
    return (
        *carried.names(_accepted(spec)),
        *(
            f"{channel.name}.{name.removeprefix('DataSource.')}"
            for channel in channels.in_order(spec.channels)
            for name in carried.names(channel.carried)
            if not (channel.is_manifest and name in channels.MANIFEST_SETTINGS)
        ),
    )


def clone_spec(job: TrainingJob, name: str = "") -> TrainingSpec:
    """Return the spec of the same job under a new name; an empty name must be filled in.

    Checkpoints are not copied: with the old job's, the new one would resume where that one ended.
    """
    chosen = {key: text for key, text in job.hyperparameters.items() if not key.startswith("_")}
    tags = {key: text for key, text in job.tags.items() if not key.startswith("aws:")}
    return TrainingSpec(
        name=name,
        role_arn=job.role_arn,
        image=job.carried.get("AlgorithmSpecification", {}).get("AlgorithmName") or job.image,
        instance_type=job.instance_type,
        hyperparameters=clean(chosen),  # drop keys that a tuning job adds, such as _tuning_objective_metric
        channels=job.channels,
        output_uri=job.output_uri,
        volume_gb=job.volume_gb or 50,
        max_runtime_seconds=job.max_runtime_seconds or 86_400,
        spot=job.spot,
        max_wait_seconds=job.max_wait_seconds if job.spot else None,
        instance_count=job.instance_count,
        input_mode=job.input_mode or "File",
        tags=tags,
        security=job.security,
        carried=job.carried,
        origin=JobOrigin(job.name, job.security, tags, job.not_carried),
    )


def continue_spec(job: TrainingJob, name: str = "") -> TrainingSpec:
    """Return the spec of a job that continues from this one's model (incremental training).

    Raises InputError if it left no model."""
    if job.model_uri is None:
        raise InputError(
            f"The training job {job.name} left no model to continue from.",
            why=f"It is {status_in_words(job)}.",
            todo="Wait until it has ended, or clone it to train from scratch.",
        )
    spec = clone_spec(job, name)
    model = Channel(MODEL_CHANNEL, job.model_uri, MODEL_CONTENT, "File")
    others = tuple(channel for channel in spec.channels if channel.name != MODEL_CHANNEL)
    return replace(spec, hyperparameters=complete(spec.hyperparameters), channels=(*others, model))


def _transitions(rows: Iterable[Mapping[str, Any]]) -> tuple[Transition, ...]:
    return tuple(
        Transition(row.get("Status", ""), started, _utc(row.get("EndTime")), row.get("StatusMessage") or "")
        for row in rows
        if (started := _utc(row.get("StartTime"))) is not None
    )


def _utc(at: datetime | None) -> datetime | None:
    """Convert to UTC: botocore returns local times. A time without a zone is already UTC."""
    if at is None:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
