"""The request members that the sandbox supports. Any other member is refused in words: none is accepted and ignored.

A supported member has its effect, or is kept and returned by Describe when AWS shows no more of it either (a KMS key,
a VPC). A member that switches a feature off (false, 0, "", or empty) is always accepted: the feature is off here.

Members are named by their path, without list positions; `*` at the end covers everything below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.http.protocol import ApiError, Params


@dataclass(frozen=True, slots=True)
class Supported:
    """The supported members of an operation.

    paths: of members with any value.
    only:  path -> the values that the sandbox supports.
    hints: path -> what to do instead of using it; without a hint: remove it.
    """

    paths: frozenset[str]
    only: Mapping[str, tuple[str, ...]]
    hints: Mapping[str, str]

    def check(self, params: Params) -> None:
        """Raise ApiError ValidationException for members that are not supported."""
        problems = self.problems(params)
        if problems:
            raise ApiError("ValidationException", " ".join(problems))

    def problems(self, params: Params) -> list[str]:
        """Return one sentence per unsupported member."""
        return list(dict.fromkeys(self._problems(params, "")))

    def _problems(self, value: Any, path: str) -> Iterator[str]:
        """Yield the problems of one value and those below it."""
        if _is_off(value) or f"{path}.*" in self.paths:
            return
        if isinstance(value, list):
            for item in value:
                yield from self._problems(item, path)
        elif path and path not in self.paths and not any(name.startswith(f"{path}.") for name in self.paths):
            yield f"The sandbox does not support {path}: {self.hints.get(path, 'remove it')}."
        elif isinstance(value, dict):
            for name, item in value.items():
                yield from self._problems(item, f"{path}.{name}" if path else name)
        elif path in self.only and value not in self.only[path]:
            values = " or ".join(self.only[path])
            todo = self.hints.get(path, f"use {values}, or remove it")
            yield f"The sandbox does not support {path} {value}: {todo}."


def _is_off(value: Any) -> bool:
    """Return whether a value is empty, or holds only such values."""
    if isinstance(value, dict):
        return all(_is_off(item) for item in value.values())
    return not value


def _supported(
    text: str, only: Mapping[str, tuple[str, ...]] | None = None, hints: Mapping[str, str] | None = None
) -> Supported:
    return Supported(frozenset(text.split()), only or {}, hints or {})


_NO_DEBUGGER = "remove it, as the sandbox runs no debugger or profiler"
_FROM_S3 = "give the channel an S3 prefix or a manifest of file names"

TRAINING_JOB = _supported(
    """
    TrainingJobName HyperParameters.* RoleArn Tags.* Environment.* VpcConfig.*
    AlgorithmSpecification.TrainingImage AlgorithmSpecification.TrainingInputMode
    AlgorithmSpecification.MetricDefinitions.* AlgorithmSpecification.EnableSageMakerMetricsTimeSeries
    AlgorithmSpecification.TrainingImageConfig.TrainingRepositoryAccessMode
    InputDataConfig.ChannelName InputDataConfig.ContentType InputDataConfig.CompressionType
    InputDataConfig.RecordWrapperType InputDataConfig.InputMode InputDataConfig.ShuffleConfig.Seed
    InputDataConfig.DataSource.S3DataSource.S3DataType InputDataConfig.DataSource.S3DataSource.S3Uri
    InputDataConfig.DataSource.S3DataSource.S3DataDistributionType
    InputDataConfig.DataSource.S3DataSource.AttributeNames
    OutputDataConfig.KmsKeyId OutputDataConfig.S3OutputPath OutputDataConfig.CompressionType
    ResourceConfig.InstanceType ResourceConfig.InstanceCount ResourceConfig.VolumeSizeInGB
    ResourceConfig.VolumeKmsKeyId
    StoppingCondition.MaxRuntimeInSeconds StoppingCondition.MaxWaitTimeInSeconds
    StoppingCondition.MaxPendingTimeInSeconds
    EnableNetworkIsolation EnableInterContainerTrafficEncryption EnableManagedSpotTraining
    CheckpointConfig.S3Uri CheckpointConfig.LocalPath
    DebugHookConfig.S3OutputPath ProfilerConfig.S3OutputPath ProfilerConfig.DisableProfiler
    RetryStrategy.MaximumRetryAttempts
    """,
    only={
        "AlgorithmSpecification.TrainingImageConfig.TrainingRepositoryAccessMode": ("Platform",),
        "InputDataConfig.RecordWrapperType": ("None", "RecordIO"),
    },
    hints={
        "AlgorithmSpecification.AlgorithmName": "use TrainingImage",
        "AlgorithmSpecification.ContainerArguments": "remove it, as the sandbox runs the image's own program",
        "AlgorithmSpecification.ContainerEntrypoint": "remove it, as the sandbox runs the image's own program",
        # Version 2 of the SageMaker SDK sends DebugHookConfig with nothing but a path: nothing is collected then.
        "DebugHookConfig.CollectionConfigurations": _NO_DEBUGGER,
        "DebugHookConfig.HookParameters": _NO_DEBUGGER,
        "DebugHookConfig.LocalPath": _NO_DEBUGGER,
        "DebugRuleConfigurations": _NO_DEBUGGER,
        "ExperimentConfig": "remove it, as the sandbox has no experiments",
        "InputDataConfig.DataSource.DatasetSource": _FROM_S3,
        "InputDataConfig.DataSource.FileSystemDataSource": _FROM_S3,
        "ProfilerConfig.ProfilingIntervalInMilliseconds": _NO_DEBUGGER,
        "ProfilerConfig.ProfilingParameters": _NO_DEBUGGER,
        "ProfilerRuleConfigurations": _NO_DEBUGGER,
        "RemoteDebugConfig": _NO_DEBUGGER,
        "ResourceConfig.InstanceGroups": "use InstanceType and InstanceCount",
        "ResourceConfig.InstancePreferences": "use InstanceType and InstanceCount",
        "ResourceConfig.KeepAlivePeriodInSeconds": "remove it, as the sandbox keeps no warm pools",
        "ServerlessJobConfig": "use ResourceConfig and a TrainingImage",
    },
)

_WHOLE_OBJECTS = "the sandbox sends each object whole, as an image cannot be split"
TRANSFORM_JOB = _supported(
    """
    TransformJobName ModelName MaxConcurrentTransforms MaxPayloadInMB BatchStrategy Environment.* Tags.*
    ModelClientConfig.InvocationsTimeoutInSeconds ModelClientConfig.InvocationsMaxRetries
    TransformInput.DataSource.S3DataSource.S3DataType TransformInput.DataSource.S3DataSource.S3Uri
    TransformInput.ContentType TransformInput.CompressionType TransformInput.SplitType
    TransformOutput.S3OutputPath TransformOutput.Accept TransformOutput.AssembleWith TransformOutput.KmsKeyId
    TransformResources.InstanceType TransformResources.InstanceCount TransformResources.VolumeKmsKeyId
    TransformResources.TransformAmiVersion
    DataProcessing.InputFilter DataProcessing.OutputFilter DataProcessing.JoinSource
    """,
    only={
        "TransformInput.DataSource.S3DataSource.S3DataType": ("S3Prefix", "ManifestFile"),
        "TransformInput.CompressionType": ("None",),
        "TransformInput.SplitType": ("None",),
        "TransformOutput.AssembleWith": ("None",),
        "DataProcessing.InputFilter": ("$",),
        "DataProcessing.OutputFilter": ("$",),
        "DataProcessing.JoinSource": ("None",),
    },
    hints={
        "TransformInput.SplitType": f"use None, or remove it: {_WHOLE_OBJECTS}",
        "TransformOutput.AssembleWith": f"use None, or remove it: {_WHOLE_OBJECTS}",
        "DataCaptureConfig": "remove it, as the sandbox captures the data of endpoints only",
        "ExperimentConfig": "remove it, as the sandbox has no experiments",
    },
)

_CONTAINER = """
    {0}.ContainerHostname {0}.Image {0}.ImageConfig.RepositoryAccessMode {0}.Mode {0}.ModelDataUrl {0}.Environment.*
"""
_CONTAINERS = ("PrimaryContainer", "Containers")
MODEL = _supported(
    " ".join(_CONTAINER.format(name) for name in _CONTAINERS)
    + " ModelName InferenceExecutionConfig.Mode ExecutionRoleArn Tags.* VpcConfig.* EnableNetworkIsolation",
    only={
        **{f"{name}.Mode": ("SingleModel",) for name in _CONTAINERS},
        **{f"{name}.ImageConfig.RepositoryAccessMode": ("Platform",) for name in _CONTAINERS},
        "InferenceExecutionConfig.Mode": ("Serial",),
    },
    hints={
        f"{name}.{member}": "the sandbox reads a model from ModelDataUrl (a .tar.gz in S3)"
        for name in _CONTAINERS
        for member in ("ModelDataSource", "AdditionalModelDataSources", "ModelPackageName")
    },
)

_INSTANCES = "use InstanceType and InitialInstanceCount, as the sandbox serves from instances"
ENDPOINT_CONFIG = _supported(
    """
    EndpointConfigName Tags.* KmsKeyId ExecutionRoleArn VpcConfig.* EnableNetworkIsolation DataCaptureConfig.*
    ProductionVariants.VariantName ProductionVariants.ModelName ProductionVariants.InitialInstanceCount
    ProductionVariants.InstanceType ProductionVariants.InitialVariantWeight ProductionVariants.VolumeSizeInGB
    ProductionVariants.ModelDataDownloadTimeoutInSeconds
    ProductionVariants.ContainerStartupHealthCheckTimeoutInSeconds
    ProductionVariants.RoutingConfig.RoutingStrategy ProductionVariants.InferenceAmiVersion
    """,
    only={"ProductionVariants.RoutingConfig.RoutingStrategy": ("LEAST_OUTSTANDING_REQUESTS", "RANDOM")},
    hints={
        "ProductionVariants.InstancePools": _INSTANCES,
        "ProductionVariants.ServerlessConfig": _INSTANCES,
        "ProductionVariants.ManagedInstanceScaling": "use Application Auto Scaling",
    },
)

_ALL_AT_ONCE = "remove it, as the sandbox shifts all traffic at once when the new fleet is ready"
_DEPLOYMENT = """
    DeploymentConfig.BlueGreenUpdatePolicy.TrafficRoutingConfiguration.Type
    DeploymentConfig.BlueGreenUpdatePolicy.TrafficRoutingConfiguration.WaitIntervalInSeconds
    DeploymentConfig.BlueGreenUpdatePolicy.TerminationWaitInSeconds
    DeploymentConfig.BlueGreenUpdatePolicy.MaximumExecutionTimeoutInSeconds
"""
_ROUTING = "DeploymentConfig.BlueGreenUpdatePolicy.TrafficRoutingConfiguration"
_DEPLOYMENT_ONLY = {f"{_ROUTING}.Type": ("ALL_AT_ONCE",)}
_DEPLOYMENT_HINTS = dict.fromkeys(
    (
        f"{_ROUTING}.CanarySize",
        f"{_ROUTING}.LinearStepSize",
        "DeploymentConfig.RollingUpdatePolicy",
        "DeploymentConfig.AutoRollbackConfiguration",
    ),
    _ALL_AT_ONCE,
)
ENDPOINT = _supported(
    f"EndpointName EndpointConfigName Tags.* {_DEPLOYMENT}", _DEPLOYMENT_ONLY, _DEPLOYMENT_HINTS
)
ENDPOINT_UPDATE = _supported(
    "EndpointName EndpointConfigName RetainAllVariantProperties RetainDeploymentConfig "
    f"ExcludeRetainedVariantProperties.* {_DEPLOYMENT}",
    _DEPLOYMENT_ONLY,
    _DEPLOYMENT_HINTS,
)
