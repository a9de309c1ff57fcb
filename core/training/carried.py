"""The settings that Segdeck has no field for: taken from a job's description, and sent again unchanged.

A copy of a job must not lose a setting just because no form shows it. So everything that DescribeTrainingJob returns
and CreateTrainingJob accepts is kept, in the structure of the request.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy
from typing import Any

Settings = Mapping[str, Any]
"""A part of a request; do not modify its lists and mappings."""

WITH_FIELDS: Mapping[str, tuple[str, ...]] = {
    "AlgorithmSpecification": ("TrainingImage", "TrainingInputMode"),
    "OutputDataConfig": ("S3OutputPath", "KmsKeyId"),
    "ResourceConfig": (
        "InstanceType",
        "InstanceCount",
        "VolumeSizeInGB",
        "VolumeKmsKeyId",
        "SelectedInstanceType",
        "SelectedInstanceCount",
    ),
    "StoppingCondition": ("MaxRuntimeInSeconds", "MaxWaitTimeInSeconds"),
    "CheckpointConfig": ("S3Uri",),
}
"""Structures of which only some members have fields in `TrainingSpec`: those, and the read-only ones
(`SelectedInstanceType` and `SelectedInstanceCount`, by the API reference)."""

FIELDS = (
    "TrainingJobName",
    "RoleArn",
    "HyperParameters",
    "InputDataConfig",
    "VpcConfig",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "Tags",
)
"""Parameters that have a field in `TrainingSpec`."""

WITHOUT_FIELD = (
    "DebugHookConfig",
    "DebugRuleConfigurations",
    "Environment",
    "ExperimentConfig",
    "InfraCheckConfig",
    "MlflowConfig",
    "ModelPackageConfig",
    "ProfilerConfig",
    "ProfilerRuleConfigurations",
    "RemoteDebugConfig",
    "RetryStrategy",
    "ServerlessJobConfig",
    "TensorBoardOutputConfig",
)
"""Parameters that are sent again as they are (botocore 1.44)."""

STATE = (
    "AutoMLJobArn",
    "BillableTimeInSeconds",
    "BillableTokenCount",
    "CreationTime",
    "DebugRuleEvaluationStatuses",
    "FailureReason",
    "FinalMetricDataList",
    "LabelingJobArn",
    "LastModifiedTime",
    "MlflowDetails",
    "ModelArtifacts",
    "OutputModelPackageArn",
    "ProfilerRuleEvaluationStatuses",
    "ProfilingStatus",
    "ProgressInfo",
    "ResponseMetadata",
    "SecondaryStatus",
    "SecondaryStatusTransitions",
    "TrainingEndTime",
    "TrainingJobArn",
    "TrainingJobStatus",
    "TrainingStartTime",
    "TrainingTimeInSeconds",
    "TuningJobArn",
    "WarmPoolStatus",
)
"""What DescribeTrainingJob returns about a job that is not a setting of it (botocore 1.44)."""


def carried_from(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings without a field in DescribeTrainingJob's response, in the structure of the request."""
    parts = {key: without(answer.get(key) or {}, members) for key, members in WITH_FIELDS.items()}
    whole = {key: answer[key] for key in WITHOUT_FIELD if answer.get(key) is not None}
    return {**{key: part for key, part in parts.items() if part}, **whole}


def unknown_in(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the fields of a description that are neither known settings nor known state: they are not copied."""
    return tuple(sorted(set(answer) - {*WITH_FIELDS, *FIELDS, *WITHOUT_FIELD, *STATE}))


def without(settings: Settings, members: Collection[str]) -> dict[str, Any]:
    """Return the settings without these members, and without empty values: AWS returns "" for a key not set."""
    return {key: value for key, value in settings.items() if key not in members and value not in (None, "")}


def merged(request: Settings, carried: Settings) -> dict[str, Any]:
    """Return a request with the carried settings added, as a copy; where both have a value, the request's counts."""
    both = {
        key: merged(value, carried[key])
        if isinstance(value, Mapping) and isinstance(carried.get(key), Mapping)
        else deepcopy(value)
        for key, value in request.items()
    }
    return both | {key: deepcopy(carried[key]) for key in sorted(carried) if key not in request}


def names(carried: Settings, within: str = "") -> tuple[str, ...]:
    """Return what is carried, in AWS's names, such as "Environment" and "OutputDataConfig.CompressionType"."""
    listed: list[str] = []
    for key, value in carried.items():
        if key in (*WITH_FIELDS, "DataSource", "S3DataSource", "FileSystemDataSource"):
            listed += names(value, f"{within}{key}.")
        else:
            listed.append(f"{within}{key}")
    return tuple(listed)
