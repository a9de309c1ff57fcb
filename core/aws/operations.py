"""For each call that changes something: how to check whether it was done.

Deletes are done when the resource is gone, so "not found" is their success. An existing resource with the right name
counts as created only if it is what was requested. A response that lacks a field that AWS always sends was truncated
and shows no state: it raises UnexpectedAnswerError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from core.access.trust import parse_policy
from core.aws.connection import Clients
from core.aws.errors import required
from core.errors import InputError, TakenError
from core.escaping import json_text
from core.text import listing

Params = Mapping[str, Any]

SINGLE = 1e-6
"""SageMaker stores weights as 32-bit floats, so 0.2 may be returned as 0.20000000298."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of call.

    is_done: returns whether it was done, by its parameters. Raises NotFoundError if the resource does not exist,
             TakenError if the call would replace something that may still be needed.
    answers: fields that its response must have; without them, it was truncated.
    first:   check before the call too, so that an existing resource is not created again.
    deletes: it is done when the resource is gone.
    read:    describes the resource that it changes, for a step's `only_if`. Raises NotFoundError.
    denied_is_absent: without permission to list a bucket, S3 returns "denied" for missing objects; S3 itself then
             prevents overwriting.
    """

    is_done: Callable[[Clients, Params], bool]
    answers: tuple[str, ...] = ()
    first: bool = False
    deletes: bool = False
    read: Callable[[Clients, Params], Params] | None = None
    denied_is_absent: bool = False


def _job_started(clients: Clients, params: Params) -> bool:
    """Return whether the job of that name is the requested one, and not another one."""
    job = _job(clients, params)
    same = all(job.get(key) == params.get(key) for key in ("RoleArn", "HyperParameters"))
    output = job.get("OutputDataConfig", {}).get("S3OutputPath")
    return same and output == params["OutputDataConfig"]["S3OutputPath"]


def _job_stopping(clients: Clients, params: Params) -> bool:
    return bool(_job(clients, params)["TrainingJobStatus"] != "InProgress")


def _job(clients: Clients, params: Params) -> Params:
    name = params["TrainingJobName"]
    doing = f"describe the training job {name}"
    with clients.calling(doing):
        answer: Params = clients.sagemaker.describe_training_job(TrainingJobName=name)
    return _whole(answer, ("TrainingJobName", "TrainingJobStatus"), doing)


def _transform_started(clients: Clients, params: Params) -> bool:
    """Return whether the transform job of that name is the requested one, and not another one."""
    job = _transform(clients, params)
    return all(holds(job.get(key), params[key]) for key in ("ModelName", "TransformInput", "TransformOutput"))


def _transform_stopping(clients: Clients, params: Params) -> bool:
    return bool(_transform(clients, params)["TransformJobStatus"] != "InProgress")


def _transform(clients: Clients, params: Params) -> Params:
    name = params["TransformJobName"]
    doing = f"describe the transform job {name}"
    with clients.calling(doing):
        answer: Params = clients.sagemaker.describe_transform_job(TransformJobName=name)
    return _whole(answer, ("TransformJobName", "TransformJobStatus"), doing)


def _model_made(clients: Clients, params: Params) -> bool:
    model = _model(clients, params)
    return holds(model, {key: value for key, value in params.items() if key != "Tags"})


def _model(clients: Clients, params: Params) -> Params:
    doing = f"describe the model {params['ModelName']}"
    with clients.calling(doing):
        answer: Params = clients.sagemaker.describe_model(ModelName=params["ModelName"])
    return _whole(answer, ("ModelName", "ModelArn"), doing)


def _config_made(clients: Clients, params: Params) -> bool:
    return holds(_config(clients, params), {"ProductionVariants": params["ProductionVariants"]})


def _config(clients: Clients, params: Params) -> Params:
    name = params["EndpointConfigName"]
    doing = f"describe the endpoint configuration {name}"
    with clients.calling(doing):
        answer: Params = clients.sagemaker.describe_endpoint_config(EndpointConfigName=name)
    return _whole(answer, ("EndpointConfigName", "ProductionVariants"), doing)


def _still_there(clients: Clients, params: Params) -> bool:
    """Read the resource: NotFoundError means that it is deleted; otherwise return False, its deletion is not done."""
    (_model if "ModelName" in params else _config)(clients, params)
    return False


def _endpoint_made(clients: Clients, params: Params) -> bool:
    endpoint = endpoint_now(clients, params)
    same = endpoint.get("EndpointConfigName") == params["EndpointConfigName"]
    return same and endpoint["EndpointStatus"] not in ("Deleting", "Failed")


def _endpoint_moving(clients: Clients, params: Params) -> bool:
    """Return whether the new configuration is pending, or the endpoint already has it."""
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
    """Return DescribeEndpoint's response. Raises NotFoundError, AwsError; UnexpectedAnswerError without a status."""
    name = params["EndpointName"]
    doing = f"describe the endpoint {name}"
    with clients.calling(doing):
        answer: Params = clients.sagemaker.describe_endpoint(EndpointName=name)
    return _whole(answer, ("EndpointName", "EndpointStatus"), doing)


def _whole(answer: Params, keys: tuple[str, ...], doing: str) -> Params:
    """Return a response that has all required fields. Raises UnexpectedAnswerError."""
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
    """Return whether the object has exactly these bytes; an uploaded file is recognized by its hash metadata."""
    bucket, key = params["Bucket"], params["Key"]
    with clients.calling(f"read s3://{bucket}/{key}"):
        if "Filename" in params:
            kept = clients.s3.head_object(Bucket=bucket, Key=key)["Metadata"].get("sha256")
            return bool(kept == params["Metadata"]["sha256"])
        body = params["Body"]
        wanted: bytes = body if isinstance(body, bytes) else body.encode()
        with closing(clients.s3.get_object(Bucket=bucket, Key=key)["Body"]) as stream:
            return bool(stream.read(len(wanted) + 1) == wanted)


def _role_made(clients: Clients, params: Params) -> bool:
    """Return whether the role exists with the trust policy that was asked for."""
    name = params["RoleName"]
    doing = f"read the role {name}"
    with clients.calling(doing):
        answer = clients.iam.get_role(RoleName=name)
    role = required(answer, "Role", doing)
    return _same_policy(role.get("AssumeRolePolicyDocument"), params["AssumeRolePolicyDocument"])


def _role_policy_put(clients: Clients, params: Params) -> bool:
    """Return True if the role has this inline policy. Raises TakenError if it has another one of that name."""
    role, policy = params["RoleName"], params["PolicyName"]
    doing = f"read the policy {policy} of the role {role}"
    with clients.calling(doing):
        answer = clients.iam.get_role_policy(RoleName=role, PolicyName=policy)
    present = required(answer, "PolicyDocument", doing)
    if not _same_policy(present, params["PolicyDocument"]):
        buckets = _buckets(present)
        purpose = f" for {listing(buckets)}" if buckets else ""
        raise TakenError(
            f"The role {role} already has a policy {policy}{purpose}.",
            why="The new policy would replace it, and whatever uses the role would lose that access.",
            todo="Choose another role name.",
        )
    return True


def _buckets(policy: object) -> list[str]:
    """Return the buckets that a policy names; none for a policy that cannot be read."""
    try:
        text = json_text(parse_policy(policy))
    except InputError:
        return []
    return list(dict.fromkeys(re.findall(r'"arn:[a-z-]+:s3:::([a-z0-9.-]+)', text)))


def _same_policy(actual: object, wanted: str) -> bool:
    """Return whether two policy documents say the same, whatever their spaces and order of keys."""
    try:
        return parse_policy(actual) == parse_policy(wanted)
    except InputError:  # what cannot be read is not what was asked for
        return False


def holds(actual: Any, wanted: Any) -> bool:
    """Return whether all expected values are present; fields that AWS adds are ignored, and the order of texts."""
    if isinstance(wanted, Mapping):
        return isinstance(actual, Mapping) and all(
            holds(actual.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list) and wanted and all(isinstance(each, str) for each in wanted):
        return isinstance(actual, list) and sorted(map(str, actual)) == sorted(wanted)
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
    ("sagemaker", "CreateTransformJob"): Operation(_transform_started, ("TransformJobArn",)),
    ("sagemaker", "StopTransformJob"): Operation(_transform_stopping),
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
    ("iam", "CreateRole"): Operation(_role_made, ("Role",), first=True),
    ("iam", "PutRolePolicy"): Operation(_role_policy_put, first=True),
    ("s3", "PutObject"): Operation(_object_written, ("ETag",), first=True, denied_is_absent=True),
}
"""The supported calls; a plan with any other call is rejected before its first step."""
