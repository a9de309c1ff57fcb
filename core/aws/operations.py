"""What is known of each call that changes something: how to see whether it was done.

Deletes are done when the thing is gone, so "not found" is their success. A thing that is there under the wanted name
counts as made only where it is what was asked for. An answer that lacks what AWS always sends was cut on its way,
and shows no state at all: it raises UnexpectedAnswerError.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from core.aws.connection import Clients
from core.aws.errors import required

Params = Mapping[str, Any]

SINGLE = 1e-6
"""SageMaker keeps weights as floats of 32 bits, so 0.2 may come back as 0.20000000298."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of call.

    look:    sees whether it was done, by its parameters. Raises NotFoundError where the thing is not there at all.
    answers: what its answer must hold; without that, the answer was cut.
    first:   look before the call too: what is there already is not made again.
    deletes: it is done when the thing is gone.
    read:    describes the thing that it changes, for a step's `only_if`. Raises NotFoundError.
    denied_is_absent: who may not list a bucket is told "denied" of what is not there, and S3 itself then keeps us
             from writing over it.
    """

    look: Callable[[Clients, Params], bool]
    answers: tuple[str, ...] = ()
    first: bool = False
    deletes: bool = False
    read: Callable[[Clients, Params], Params] | None = None
    denied_is_absent: bool = False


def _job_started(clients: Clients, params: Params) -> bool:
    """Whether the job of that name is the one that was asked for, and not somebody else's."""
    job = _job(clients, params)
    same = all(job.get(key) == params.get(key) for key in ("RoleArn", "HyperParameters"))
    output = job.get("OutputDataConfig", {}).get("S3OutputPath")
    return same and output == params["OutputDataConfig"]["S3OutputPath"]


def _job_stopping(clients: Clients, params: Params) -> bool:
    return bool(_job(clients, params)["TrainingJobStatus"] != "InProgress")


def _job(clients: Clients, params: Params) -> Params:
    name = params["TrainingJobName"]
    doing = f"look at the training job {name}"
    with clients.calling(doing):
        answer: Params = clients.sagemaker.describe_training_job(TrainingJobName=name)
    return _whole(answer, ("TrainingJobName", "TrainingJobStatus"), doing)


def _model_made(clients: Clients, params: Params) -> bool:
    model = _model(clients, params)
    return holds(model, {key: params[key] for key in ("PrimaryContainer", "ExecutionRoleArn")})


def _model(clients: Clients, params: Params) -> Params:
    doing = f"look at the model {params['ModelName']}"
    with clients.calling(doing):
        answer: Params = clients.sagemaker.describe_model(ModelName=params["ModelName"])
    return _whole(answer, ("ModelName", "ModelArn"), doing)


def _config_made(clients: Clients, params: Params) -> bool:
    return holds(_config(clients, params), {"ProductionVariants": params["ProductionVariants"]})


def _config(clients: Clients, params: Params) -> Params:
    name = params["EndpointConfigName"]
    doing = f"look at the endpoint configuration {name}"
    with clients.calling(doing):
        answer: Params = clients.sagemaker.describe_endpoint_config(EndpointConfigName=name)
    return _whole(answer, ("EndpointConfigName", "ProductionVariants"), doing)


def _still_there(clients: Clients, params: Params) -> bool:
    """Read the thing, so that NotFoundError tells when it is gone; while it is there, its deletion is not done."""
    (_model if "ModelName" in params else _config)(clients, params)
    return False


def _endpoint_made(clients: Clients, params: Params) -> bool:
    endpoint = endpoint_now(clients, params)
    same = endpoint.get("EndpointConfigName") == params["EndpointConfigName"]
    return same and endpoint["EndpointStatus"] not in ("Deleting", "Failed")


def _endpoint_moving(clients: Clients, params: Params) -> bool:
    """AWS names the new configuration of a move under way, or the endpoint has it already."""
    endpoint = endpoint_now(clients, params)
    pending = endpoint.get("PendingDeploymentSummary", {}).get("EndpointConfigName")
    return params["EndpointConfigName"] in (endpoint.get("EndpointConfigName"), pending)


def _endpoint_scaling(clients: Clients, params: Params) -> bool:
    endpoint = endpoint_now(clients, params)
    now = {row["VariantName"]: row for row in endpoint.get("ProductionVariants", [])}
    return all(holds(now.get(row["VariantName"], {}), row) for row in params["DesiredWeightsAndCapacities"])


def _endpoint_going(clients: Clients, params: Params) -> bool:
    return bool(endpoint_now(clients, params)["EndpointStatus"] == "Deleting")


def endpoint_now(clients: Clients, params: Params) -> Params:
    """DescribeEndpoint's answer. Raises NotFoundError, AwsError; UnexpectedAnswerError where it has no status."""
    name = params["EndpointName"]
    doing = f"look at the endpoint {name}"
    with clients.calling(doing):
        answer: Params = clients.sagemaker.describe_endpoint(EndpointName=name)
    return _whole(answer, ("EndpointName", "EndpointStatus"), doing)


def _whole(answer: Params, keys: tuple[str, ...], doing: str) -> Params:
    """Return an answer that holds what AWS always sends. Raises UnexpectedAnswerError."""
    for key in keys:
        required(answer, key, doing)
    return answer


def _tagged(clients: Clients, params: Params) -> bool:
    doing = f"read the tags of {params['ResourceArn']}"
    with clients.calling(doing):
        answer = clients.sagemaker.list_tags(ResourceArn=params["ResourceArn"], MaxResults=100)
    present = required(answer, "Tags", doing)
    return all(row in present for row in params["Tags"])


def _target_there(clients: Clients, params: Params) -> bool:
    return any(holds(row, params) for row in _targets(clients, params))


def _target_gone(clients: Clients, params: Params) -> bool:
    return not _targets(clients, params)


def _targets(clients: Clients, params: Params) -> list[Params]:
    doing = f"read the autoscaling of {params['ResourceId']}"
    with clients.calling(doing):
        answer = clients.autoscaling.describe_scalable_targets(
            ServiceNamespace=params["ServiceNamespace"], ResourceIds=[params["ResourceId"]]
        )
    targets: list[Params] = required(answer, "ScalableTargets", doing)
    return targets


def _policy_there(clients: Clients, params: Params) -> bool:
    doing = f"read the scaling policies of {params['ResourceId']}"
    with clients.calling(doing):
        answer = clients.autoscaling.describe_scaling_policies(
            ServiceNamespace=params["ServiceNamespace"], ResourceId=params["ResourceId"]
        )
    return any(holds(row, params) for row in required(answer, "ScalingPolicies", doing))


def _object_written(clients: Clients, params: Params) -> bool:
    """Whether the object holds just these bytes: an uploaded file's are known by the hash kept with the object."""
    bucket, key = params["Bucket"], params["Key"]
    with clients.calling(f"look at s3://{bucket}/{key}"):
        if "Filename" in params:
            kept = clients.s3.head_object(Bucket=bucket, Key=key)["Metadata"].get("sha256")
            return bool(kept == params["Metadata"]["sha256"])
        wanted: bytes = params["Body"].encode()
        with closing(clients.s3.get_object(Bucket=bucket, Key=key)["Body"]) as stream:
            return bool(stream.read(len(wanted) + 1) == wanted)


def holds(actual: Any, wanted: Any) -> bool:
    """Whether all that is wanted is there; what AWS adds of its own does not count."""
    if isinstance(wanted, Mapping):
        return isinstance(actual, Mapping) and all(
            holds(actual.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(actual, list)
            and len(actual) == len(wanted)
            and all(holds(*pair) for pair in zip(actual, wanted, strict=True))
        )
    if isinstance(wanted, float) and isinstance(actual, int | float):
        return math.isclose(actual, wanted, rel_tol=SINGLE)
    return bool(actual == wanted)


OPERATIONS: dict[tuple[str, str], Operation] = {
    ("sagemaker", "CreateTrainingJob"): Operation(_job_started, ("TrainingJobArn",)),
    ("sagemaker", "StopTrainingJob"): Operation(_job_stopping),
    ("sagemaker", "CreateModel"): Operation(_model_made, ("ModelArn",), first=True),
    ("sagemaker", "CreateEndpointConfig"): Operation(_config_made, ("EndpointConfigArn",), first=True),
    ("sagemaker", "CreateEndpoint"): Operation(_endpoint_made, ("EndpointArn",), first=True),
    ("sagemaker", "UpdateEndpoint"): Operation(
        _endpoint_moving, ("EndpointArn",), first=True, read=endpoint_now
    ),
    ("sagemaker", "UpdateEndpointWeightsAndCapacities"): Operation(_endpoint_scaling, ("EndpointArn",)),
    ("sagemaker", "AddTags"): Operation(_tagged, ("Tags",)),
    ("sagemaker", "DeleteEndpoint"): Operation(_endpoint_going, deletes=True, read=endpoint_now),
    ("sagemaker", "DeleteEndpointConfig"): Operation(_still_there, deletes=True, read=_config),
    ("sagemaker", "DeleteModel"): Operation(_still_there, deletes=True, read=_model),
    ("application-autoscaling", "RegisterScalableTarget"): Operation(_target_there),
    ("application-autoscaling", "PutScalingPolicy"): Operation(_policy_there, ("PolicyARN",)),
    ("application-autoscaling", "DeregisterScalableTarget"): Operation(_target_gone, deletes=True),
    ("s3", "PutObject"): Operation(_object_written, ("ETag",), first=True, denied_is_absent=True),
}
"""The calls that are carried out; a plan with another one is refused before its first step."""
