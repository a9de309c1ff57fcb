"""The operations on training jobs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sandbox.common.environment import environment_problem
from sandbox.common.store import Document
from sandbox.http.protocol import ApiError, Params
from sandbox.services.sagemaker.listing import Listing
from sandbox.services.sagemaker.resources import Operation, Resources
from sandbox.training import metrics
from sandbox.training import status as training_status
from sandbox.training.manager import Training
from sandbox.training.status import KIND

BUILT_IN = re.compile(r"(^|/)semantic-segmentation([:@]|$)")
_LISTING = Listing("TrainingJobName", "TrainingJobStatus")
_NOT_HERE = {
    "ServerlessJobConfig": "give ResourceConfig and a TrainingImage",
    "ModelPackageConfig": "leave it out",
    "CheckpointConfig": "leave it out: the sandbox keeps no checkpoints",
}


class TrainingOperations:
    """Create, describe, list, stop and delete."""

    def __init__(self, resources: Resources, training: Training, default_seconds: int) -> None:
        """default_seconds: MaxRuntimeInSeconds of a job that names none."""
        self._resources, self._training, self._default_seconds = resources, training, default_seconds

    def operations(self) -> dict[str, Operation]:
        return {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": lambda params: self._get(params["TrainingJobName"]),
            "ListTrainingJobs": self.list,
            "StopTrainingJob": self.stop,
            "DeleteTrainingJob": self.delete,
            "UpdateTrainingJob": self.update,
        }

    def create(self, params: Params) -> Params:
        check(params)
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
        if "WarmPoolStatusEquals" in params or "TrainingPlanArnEquals" in params:
            return {"TrainingJobSummaries": []}  # no job here has either
        status, query = params.get("StatusEquals"), params
        if status and "MaxResults" in params:
            # AWS documents it so for this operation: a page is taken first and filtered by its status then.
            query = {name: value for name, value in params.items() if name != "StatusEquals"}
        page, token = _LISTING.page(self._resources.store.view(KIND), query)
        shown = [document for document in page if status in {None, document["TrainingJobStatus"]}]
        return {"TrainingJobSummaries": shown, "NextToken": token}

    def stop(self, params: Params) -> None:
        name, now = params["TrainingJobName"], self._resources.clock()

        def mark(document: Document) -> None:
            _refuse(document, training_status.has_ended(document))
            training_status.enter(document, "Stopping", now)

        self._change(name, mark)
        self._training.stop(name)

    def delete(self, params: Params) -> None:
        name = params["TrainingJobName"]
        document = self._get(name)
        _refuse(document, not training_status.has_ended(document))
        self._resources.store.delete(KIND, name)
        self._training.forget(name)

    def update(self, params: Params) -> Params:
        self._get(params["TrainingJobName"])
        text = "The sandbox has neither the profiler nor warm pools, which are all that UpdateTrainingJob changes."
        raise ApiError("ValidationException", text)

    def _get(self, name: str) -> Document:
        document = self._resources.store.get(KIND, name)
        if document is None:
            raise ApiError("ValidationException", "Requested resource not found.")
        return document

    def _change(self, name: str, change: Callable[[Document], object]) -> None:
        self._get(name)
        self._resources.store.update(KIND, name, change)


def _refuse(document: Document, when: bool) -> None:
    if when:
        status = document["TrainingJobStatus"]
        text = f"The request was rejected because the training job is in status {status}."
        raise ApiError("ValidationException", text)


def completed(params: Params, default_seconds: int) -> Document:
    """Return a request with what AWS fills in, as DescribeTrainingJob reports it."""
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
    data = {"S3DataDistributionType": "FullyReplicated", **channel["DataSource"]["S3DataSource"]}
    fixed = {"CompressionType": "None", "RecordWrapperType": "None"}
    return {**fixed, **channel, "DataSource": {"S3DataSource": data}}


def check(params: Params) -> None:
    """Raise ApiError ValidationException for what AWS refuses, and for what the sandbox does not offer."""
    problems = [
        *(
            f"The sandbox does not offer {name}: {todo}."
            for name, todo in _NOT_HERE.items()
            if params.get(name)
        ),
        *_algorithm_problems(params["AlgorithmSpecification"]),
        *_resource_problems(params),
        *_channel_problems(params),
    ]
    if params["OutputDataConfig"].get("CompressionType") == "NONE":
        problems.append(
            "The sandbox uploads a model.tar.gz only: leave OutputDataConfig.CompressionType out."
        )
    if environment := environment_problem(params.get("Environment") or {}):
        problems.append(f"Environment: {environment}")
    if problems:
        raise ApiError("ValidationException", " ".join(problems))


def _algorithm_problems(algorithm: Document) -> list[str]:
    problems = []
    if not algorithm.get("TrainingImage"):
        problems.append(
            "You must specify AlgorithmSpecification.TrainingImage; the sandbox knows no AlgorithmName."
        )
    if algorithm.get("ContainerEntrypoint") or algorithm.get("ContainerArguments"):
        problems.append(
            "The sandbox runs the image's own program: leave ContainerEntrypoint and its arguments out."
        )
    for definition in algorithm.get("MetricDefinitions") or []:
        try:
            groups = re.compile(definition["Regex"]).groups
        except re.error as problem:
            problems.append(f"Invalid regular expression for metric {definition['Name']}: {problem}.")
        else:
            if not groups:
                problems.append(
                    f"The regular expression of metric {definition['Name']} has no group for the value."
                )
    return problems


def _resource_problems(params: Params) -> list[str]:
    resources, stopping = params.get("ResourceConfig") or {}, params.get("StoppingCondition") or {}
    members = ("InstanceType", "InstanceCount", "VolumeSizeInGB")
    problems = [f"ResourceConfig.{name} is required." for name in members if not resources.get(name)]
    if resources.get("InstanceCount", 1) > 1:
        problems.append(f"The sandbox trains on one instance, not on {resources['InstanceCount']}.")
    patience = stopping.get("MaxWaitTimeInSeconds")
    if params.get("EnableManagedSpotTraining"):
        if patience is None or patience < stopping.get("MaxRuntimeInSeconds", 0):
            text = "It must be present and be greater than or equal to MaxRuntimeInSeconds"
            problems.append(f"Invalid MaxWaitTimeInSeconds. {text}.")
    elif patience is not None:
        problems.append(
            "Invalid MaxWaitTimeInSeconds. It must not be given without EnableManagedSpotTraining."
        )
    return problems


def _channel_problems(params: Params) -> list[str]:
    problems = []
    channels = params.get("InputDataConfig") or []
    names = [channel["ChannelName"] for channel in channels]
    if len(set(names)) < len(names):
        problems.append(f"Channel names must be unique, not {', '.join(names)}.")
    for channel in channels:
        name, data = channel["ChannelName"], channel["DataSource"].get("S3DataSource")
        mode = channel.get("InputMode") or params["AlgorithmSpecification"]["TrainingInputMode"]
        if data is None or data["S3DataType"] not in {"S3Prefix", "ManifestFile"}:
            problems.append(
                f"The sandbox reads channel {name} from an S3 prefix or a manifest of file names only."
            )
        elif not data["S3Uri"].startswith("s3://"):
            problems.append(f"The S3Uri of channel {name} must begin with s3://.")
        if mode == "Pipe":
            problems.append(f"The sandbox offers no Pipe mode: give channel {name} the mode File.")
        if channel.get("CompressionType") == "Gzip":
            problems.append(
                f"The sandbox unpacks no compressed channels: {name} must have CompressionType None."
            )
        if name in {".", ".."}:
            problems.append(f"{name} is no name of a channel.")
    return problems
