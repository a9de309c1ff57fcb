"""The operations on training jobs, as in the SageMaker API reference."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sandbox.common.environment import environment_problem
from sandbox.common.store import Document
from sandbox.http.protocol import ApiError, Params
from sandbox.services.sagemaker import members
from sandbox.services.sagemaker.listing import Listing
from sandbox.services.sagemaker.references import References
from sandbox.services.sagemaker.resources import Operation, Resources
from sandbox.training import metrics, opt_ml
from sandbox.training import status as training_status
from sandbox.training.manager import Training
from sandbox.training.pipes import MANIFEST, uses_pipe
from sandbox.training.status import KIND

BUILT_IN = re.compile(r"(^|/)semantic-segmentation([:@]|$)")
_LISTING = Listing("TrainingJobName", "TrainingJobStatus")


class TrainingOperations:
    """Create, describe, list, stop and delete training jobs."""

    def __init__(
        self, resources: Resources, references: References, training: Training, default_seconds: int
    ) -> None:
        """default_seconds: MaxRuntimeInSeconds of a job without one."""
        self._resources, self._references = resources, references
        self._training, self._default_seconds = training, default_seconds

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": lambda params: self._get(params["TrainingJobName"]),
            "ListTrainingJobs": self.list,
            "StopTrainingJob": self.stop,
            "DeleteTrainingJob": self.delete,
            "UpdateTrainingJob": self.update,
        }

    def create(self, params: Params) -> Params:
        """Answer CreateTrainingJob: validate, store and queue a job. Raises ApiError."""
        check(params)
        self._references.check_role(params["RoleArn"])
        output = params["OutputDataConfig"]["S3OutputPath"]
        self._references.check_bucket("OutputDataConfig.S3OutputPath", output)
        if checkpoints := params.get("CheckpointConfig"):
            self._references.check_bucket("CheckpointConfig.S3Uri", checkpoints["S3Uri"])
        name, now = params["TrainingJobName"], self._resources.clock()
        arn = self._resources.arn(KIND, name)
        document = {**completed(params, self._default_seconds), "TrainingJobArn": arn, "CreationTime": now}
        training_status.enter(document, "Starting", now)
        if not self._resources.store.insert(KIND, name, document):
            text = (
                "Training job names must be unique within an AWS account and region, "
                f"and a training job with this name already exists ({arn})"
            )
            raise ApiError("ResourceInUse", text)
        self._training.start(name)
        return {"TrainingJobArn": arn}

    def list(self, params: Params) -> Params:
        """Answer ListTrainingJobs. Raises ApiError for an invalid token."""
        if "WarmPoolStatusEquals" in params or "TrainingPlanArnEquals" in params:
            return {"TrainingJobSummaries": []}  # the sandbox has neither
        status, query = params.get("StatusEquals"), params
        if status and "MaxResults" in params:
            # As AWS documents for this operation: a page is taken first, then filtered by its status.
            query = {name: value for name, value in params.items() if name != "StatusEquals"}
        page, token = _LISTING.page(self._resources.store.view(KIND), query)
        shown = [document for document in page if status in {None, document["TrainingJobStatus"]}]
        return {"TrainingJobSummaries": shown, "NextToken": token}

    def stop(self, params: Params) -> None:
        """Answer StopTrainingJob. Raises ApiError for a job that has ended."""
        name, now = params["TrainingJobName"], self._resources.clock()

        def mark(document: Document) -> None:
            _refuse(document, training_status.has_ended(document))
            training_status.enter(document, "Stopping", now)

        self._change(name, mark)
        self._training.stop(name)

    def delete(self, params: Params) -> None:
        """Answer DeleteTrainingJob. Raises ApiError for a job that has not ended."""
        name = params["TrainingJobName"]
        document = self._get(name)
        _refuse(document, not training_status.has_ended(document))
        self._resources.store.delete(KIND, name)
        self._training.forget(name)

    def update(self, params: Params) -> Params:
        """Answer UpdateTrainingJob, which is not supported. Raises ApiError."""
        self._get(params["TrainingJobName"])
        text = "UpdateTrainingJob changes the profiler and warm pools only, and the sandbox has neither."
        raise ApiError("ValidationException", text)

    def _get(self, name: str) -> Document:
        """Return a job. Raises ApiError."""
        document = self._resources.store.get(KIND, name)
        if document is None:
            raise ApiError("ValidationException", "Requested resource not found.")
        return document

    def _change(self, name: str, change: Callable[[Document], object]) -> None:
        """Change a job's document. Raises ApiError."""
        self._get(name)
        self._resources.store.update(KIND, name, change)


def _refuse(document: Document, when: bool) -> None:
    """Raise AWS's error for a job in the wrong status."""
    if when:
        status = document["TrainingJobStatus"]
        text = f"The request was rejected because the training job is in status {status}."
        raise ApiError("ValidationException", text)


def completed(params: Params, default_seconds: int) -> Document:
    """Return a request with the members that AWS adds, as DescribeTrainingJob reports them."""
    algorithm: dict[str, Any] = {"EnableSageMakerMetricsTimeSeries": True, **params["AlgorithmSpecification"]}
    if BUILT_IN.search(algorithm["TrainingImage"]) and not algorithm.get("MetricDefinitions"):
        algorithm["MetricDefinitions"] = list(metrics.DEFINITIONS)
    flags = ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining")
    return {
        **dict.fromkeys(flags, False),
        "ProfilingStatus": "Disabled",
        **params,
        "AlgorithmSpecification": algorithm,
        "InputDataConfig": [_channel(channel) for channel in params.get("InputDataConfig") or []],
        "OutputDataConfig": {"KmsKeyId": "", "CompressionType": "GZIP", **params["OutputDataConfig"]},
        "StoppingCondition": {
            "MaxRuntimeInSeconds": default_seconds,
            **(params.get("StoppingCondition") or {}),
        },
    }


def _channel(channel: Document) -> Document:
    """Return a channel with AWS's defaults."""
    data = {"S3DataDistributionType": "FullyReplicated", **channel["DataSource"]["S3DataSource"]}
    fixed = {"CompressionType": "None", "RecordWrapperType": "None"}
    return {**fixed, **channel, "DataSource": {"S3DataSource": data}}


def check(params: Params) -> None:
    """Raise ApiError ValidationException for what AWS refuses, and for what the sandbox does not support."""
    problems = [
        *members.TRAINING_JOB.problems(params),
        *_algorithm_problems(params["AlgorithmSpecification"]),
        *_resource_problems(params),
        *_channel_problems(params),
    ]
    if params["OutputDataConfig"].get("CompressionType") == "NONE":
        problems.append("The sandbox uploads a model.tar.gz only: remove OutputDataConfig.CompressionType.")
    if local_path := (params.get("CheckpointConfig") or {}).get("LocalPath"):
        problems += filter(None, [opt_ml.local_path_problem(local_path)])
    if environment := environment_problem(params.get("Environment") or {}):
        problems.append(f"Environment: {environment}")
    if problems:
        raise ApiError("ValidationException", " ".join(problems))


def _algorithm_problems(algorithm: Document) -> list[str]:
    """Return what is wrong with AlgorithmSpecification."""
    problems = []
    if not algorithm.get("TrainingImage"):
        problems.append(
            "You must specify AlgorithmSpecification.TrainingImage; the sandbox does not support AlgorithmName."
        )
    for definition in algorithm.get("MetricDefinitions") or []:
        try:
            groups = re.compile(definition["Regex"]).groups
        except re.error as problem:
            problems.append(f"Invalid regular expression for metric {definition['Name']}: {problem}.")
        else:
            if not groups:
                problems.append(
                    f"The regular expression of metric {definition['Name']} needs a group for the value."
                )
    return problems


def _resource_problems(params: Params) -> list[str]:
    """Return what is wrong with ResourceConfig and StoppingCondition."""
    resources, stopping = params.get("ResourceConfig") or {}, params.get("StoppingCondition") or {}
    required = ("InstanceType", "InstanceCount", "VolumeSizeInGB")
    problems = [f"ResourceConfig.{name} is required." for name in required if not resources.get(name)]
    if resources.get("InstanceCount", 1) > 1:
        problems.append(f"The sandbox trains on one instance, not on {resources['InstanceCount']}.")
    patience = stopping.get("MaxWaitTimeInSeconds")
    if params.get("EnableManagedSpotTraining"):
        if patience is None or patience < stopping.get("MaxRuntimeInSeconds", 0):
            text = "It must be present and be greater than or equal to MaxRuntimeInSeconds"
            problems.append(f"Invalid MaxWaitTimeInSeconds. {text}.")
    elif patience is not None:
        problems.append("Invalid MaxWaitTimeInSeconds. It requires EnableManagedSpotTraining.")
    return problems


def _channel_problems(params: Params) -> list[str]:
    """Return what is wrong with the channels."""
    problems = []
    channels = params.get("InputDataConfig") or []
    names = [channel["ChannelName"] for channel in channels]
    if len(set(names)) < len(names):
        problems.append(f"Channel names must be unique, not {', '.join(names)}.")
    for channel in channels:
        name, data = channel["ChannelName"], channel["DataSource"].get("S3DataSource")
        piped = uses_pipe(channel, params)
        if data is None or data["S3DataType"] not in {"S3Prefix", "ManifestFile", MANIFEST}:
            problems.append(
                f"The sandbox reads channel {name} only from an S3 prefix, a manifest of file names or an "
                "augmented manifest."
            )
        elif not data["S3Uri"].startswith("s3://"):
            problems.append(f"The S3Uri of channel {name} must begin with s3://.")
        elif data["S3DataType"] == MANIFEST:
            problems += _manifest_problems(name, data, piped=piped)
        else:
            problems += _prefix_problems(channel, data, piped=piped)
        if channel.get("CompressionType") == "Gzip":
            problems.append(
                f"The sandbox does not support compressed channels: set CompressionType of {name} to None."
            )
        if name in {".", ".."}:
            problems.append(f'"{name}" is not a valid channel name.')
    return problems


def _manifest_problems(name: str, data: Document, *, piped: bool) -> list[str]:
    """Return what is wrong with a channel on an augmented manifest."""
    problems = []
    if not piped:
        problems.append(
            f"AugmentedManifestFile can only be used in Pipe input mode: set the mode of channel {name} to Pipe."
        )
    if not data.get("AttributeNames"):
        problems.append(f"Channel {name} reads an AugmentedManifestFile, which requires AttributeNames.")
    return problems


def _prefix_problems(channel: Document, data: Document, *, piped: bool) -> list[str]:
    """Return what is wrong with a channel on files."""
    name, problems = channel["ChannelName"], []
    if piped:
        problems.append(
            "The sandbox supports Pipe mode for an AugmentedManifestFile only: set the mode of channel "
            f"{name} to File."
        )
    if data.get("AttributeNames"):
        problems.append(
            f"AttributeNames of channel {name} applies to an AugmentedManifestFile only: remove it."
        )
    if channel.get("RecordWrapperType") == "RecordIO":
        problems.append(f"RecordWrapperType of channel {name} applies to Pipe mode only: set it to None.")
    return problems
