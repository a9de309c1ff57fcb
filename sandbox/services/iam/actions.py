"""The IAM actions and resources of a request: what a policy must allow for it.

Source: Service Authorization Reference. An operation whose resource the sandbox does not know is evaluated on `*`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from sandbox.common.limits import SandboxLocation
from sandbox.http.protocol import form_params

SAGEMAKER_PRINCIPAL = "sagemaker.amazonaws.com"
_PREFIXES = {"monitoring": "cloudwatch"}
"""The name in a signature's scope -> the prefix of the actions, where they differ."""
_KINDS = {
    "TrainingJobName": "training-job",
    "EndpointName": "endpoint",
    "EndpointConfigName": "endpoint-config",
    "ModelName": "model",
    "TransformJobName": "transform-job",
}
_LISTS = ("List", "Search", "BatchGet")
_ROLE_MEMBERS = ("RoleArn", "ExecutionRoleArn")


@dataclass(frozen=True, slots=True)
class Action:
    """One action on one resource, with the values of its condition keys by key in lower case."""

    name: str
    resource: str
    context: Mapping[str, list[str]] = field(default_factory=dict)


def actions_of(
    location: SandboxLocation, service: str, operation: str, environ: Mapping[str, Any], body: bytes
) -> list[Action]:
    """Return every action that a request needs. service: the name in its signature's scope."""
    if service == "s3":
        return list(_s3(environ, body))
    if service in {"iam", "sts"}:
        return list(_query(location, service, operation, form_params(body)))
    name = f"{_PREFIXES.get(service, service)}:{operation}"
    if service == "sagemaker":
        return list(_sagemaker(location, name, operation, environ, _json(body)))
    if service == "logs":
        return [Action(name, _log_group(location, _json(body)))]
    return [Action(name, "*")]


def _json(body: bytes) -> dict[str, Any]:
    """Return a JSON object; empty for anything else, which the service itself refuses."""
    try:
        params = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return {}
    return params if isinstance(params, dict) else {}


# -- SageMaker


def _sagemaker(
    location: SandboxLocation, name: str, operation: str, environ: Mapping[str, Any], params: dict[str, Any]
) -> Iterator[Action]:
    """Yield the actions of a SageMaker request, iam:PassRole included."""
    arn = f"arn:aws:sagemaker:{location.region}:{location.account}"
    if operation == "InvokeEndpoint":
        yield Action(name, f"{arn}:endpoint/{unquote(environ['PATH_INFO'].split('/')[2]).lower()}")
        return
    context = _sagemaker_context(params)
    kinds = {"TransformJobName": "transform-job"} if operation == "CreateTransformJob" else _KINDS
    named = [
        f"{arn}:{kind}/{str(params[member]).lower()}"
        for member, kind in kinds.items()
        if params.get(member) and not operation.startswith(_LISTS)
    ]
    if operation == "CreateTransformJob" and params.get("ModelName"):
        context["sagemaker:modelarn"] = [f"{arn}:model/{str(params['ModelName']).lower()}"]
    if operation == "BatchGetMetrics":
        named = [str(query.get("ResourceArn", "*")) for query in _structures(params, "MetricQueries")]
    for resource in named or [str(params.get("ResourceArn", "*")).lower()]:
        yield Action(name, resource, context)
    if operation.startswith("Create"):
        for member in _ROLE_MEMBERS:
            if params.get(member):
                passed = {"iam:passedtoservice": [SAGEMAKER_PRINCIPAL]}
                yield Action("iam:PassRole", str(params[member]), passed)


def _sagemaker_context(params: dict[str, Any]) -> dict[str, list[str]]:
    """Return SageMaker's condition keys of a request; keys that the request lacks are absent."""
    resources = _structure(params, "ResourceConfig") or _structure(params, "TransformResources")
    output = _structure(params, "OutputDataConfig") or _structure(params, "TransformOutput")
    vpc = _structure(params, "VpcConfig")
    variants, tags = _structures(params, "ProductionVariants"), _structures(params, "Tags")
    values = {
        "sagemaker:instancetypes": [
            item.get("InstanceType") for item in [resources, *variants] if item.get("InstanceType")
        ],
        "sagemaker:vpcsubnets": _items(vpc, "Subnets"),
        "sagemaker:vpcsecuritygroupids": _items(vpc, "SecurityGroupIds"),
        "sagemaker:volumekmskey": _one(resources.get("VolumeKmsKeyId") or params.get("KmsKeyId")),
        "sagemaker:outputkmskey": _one(output.get("KmsKeyId")),
        "sagemaker:networkisolation": _one(params.get("EnableNetworkIsolation")),
        "sagemaker:intercontainertrafficencryption": _one(
            params.get("EnableInterContainerTrafficEncryption")
        ),
        "aws:tagkeys": [tag.get("Key") for tag in tags],
        **{f"aws:requesttag/{str(tag.get('Key')).lower()}": [tag.get("Value")] for tag in tags},
    }
    return {key: [str(item) for item in found] for key, found in values.items() if found}


def _structure(params: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a member that is a structure; empty for anything else."""
    value = params.get(name)
    return value if isinstance(value, dict) else {}


def _structures(params: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the structures of a member that is a list; none for anything else, which the service itself refuses."""
    return [item for item in _items(params, name) if isinstance(item, dict)]


def _items(params: dict[str, Any], name: str) -> list[Any]:
    """Return a member that is a list; empty for anything else, which the service itself refuses."""
    value = params.get(name)
    return value if isinstance(value, list) else []


def _one(value: Any) -> list[str]:
    """Return a condition key's single value; empty without one."""
    if value is None or value == "":
        return []
    return [str(value).lower() if isinstance(value, bool) else str(value)]


# -- CloudWatch Logs


def _log_group(location: SandboxLocation, params: dict[str, Any]) -> str:
    """Return the ARN of a request's log group and stream."""
    group = (
        params.get("logGroupName") or str(params.get("logGroupIdentifier", "")).rpartition(":log-group:")[2]
    )
    stream = params.get("logStreamName", "")
    return f"arn:aws:logs:{location.region}:{location.account}:log-group:{group}:log-stream:{stream}"


# -- IAM and STS


def _query(
    location: SandboxLocation, service: str, operation: str, form: Mapping[str, str]
) -> Iterator[Action]:
    """Yield the action of an IAM or STS request."""
    name, arn = f"{service}:{operation}", f"arn:aws:iam::{location.account}"
    if operation == "GetCallerIdentity":
        return  # needs no permission
    if service == "sts":
        yield Action(name, form.get("RoleArn", "*"))
        return
    resource = form.get("PolicyArn") or form.get("PolicySourceArn") or "*"
    if form.get("UserName"):
        resource = f"{arn}:user/{form['UserName']}"
    if form.get("RoleName"):
        resource = f"{arn}:role/{form['RoleName']}"
    if operation == "CreatePolicy":
        resource = f"{arn}:policy{form.get('Path', '/')}{form.get('PolicyName', '')}"
    yield Action(name, resource)


# -- S3

# (method, sub-resource) -> the action on an object, and on a bucket. A sub-resource that is missing here belongs to
# the plain action of its method.
_OBJECT_ACTIONS = {
    ("GET", ""): "GetObject",
    ("HEAD", ""): "GetObject",
    ("PUT", ""): "PutObject",
    ("POST", ""): "PutObject",
    ("DELETE", ""): "DeleteObject",
    ("GET", "tagging"): "GetObjectTagging",
    ("PUT", "tagging"): "PutObjectTagging",
    ("DELETE", "tagging"): "DeleteObjectTagging",
    ("GET", "uploadId"): "ListMultipartUploadParts",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
}
_BUCKET_ACTIONS = {
    ("GET", ""): "ListBucket",
    ("HEAD", ""): "ListBucket",
    ("PUT", ""): "CreateBucket",
    ("DELETE", ""): "DeleteBucket",
    ("GET", "location"): "GetBucketLocation",
    ("GET", "versioning"): "GetBucketVersioning",
    ("GET", "encryption"): "GetEncryptionConfiguration",
    ("PUT", "encryption"): "PutEncryptionConfiguration",
    ("GET", "uploads"): "ListBucketMultipartUploads",
}


def _s3(environ: Mapping[str, Any], body: bytes) -> Iterator[Action]:
    """Yield the actions of an S3 request. body: that of DeleteObjects."""
    raw = str(environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ.get("PATH_INFO") or "/")
    bucket, _, key = unquote(raw.partition("?")[0]).removeprefix("/").partition("/")
    query = dict(parse_qsl(str(environ.get("QUERY_STRING", "")), keep_blank_values=True))
    method = str(environ["REQUEST_METHOD"])
    if not bucket:
        yield Action("s3:ListAllMyBuckets", "*")
        return
    if key:
        yield Action(f"s3:{_s3_action(_OBJECT_ACTIONS, method, query)}", f"arn:aws:s3:::{bucket}/{key}")
        source = unquote(str(environ.get("HTTP_X_AMZ_COPY_SOURCE", ""))).partition("?")[0].removeprefix("/")
        if source:
            yield Action("s3:GetObject", f"arn:aws:s3:::{source}")
        return
    if method == "POST" and "delete" in query:
        for name in _deleted_keys(body):
            yield Action("s3:DeleteObject", f"arn:aws:s3:::{bucket}/{name}")
        return
    context = {f"s3:{name}": [query[name]] for name in ("prefix", "delimiter") if query.get(name)}
    yield Action(f"s3:{_s3_action(_BUCKET_ACTIONS, method, query)}", f"arn:aws:s3:::{bucket}", context)


def _s3_action(table: Mapping[tuple[str, str], str], method: str, query: Mapping[str, str]) -> str:
    """Return the action of a method and its sub-resource."""
    return next(
        (table[method, name] for name in query if (method, name) in table), table.get((method, ""), method)
    )


def _deleted_keys(body: bytes) -> list[str]:
    """Return the keys of DeleteObjects; all keys (`*`) for a body that cannot be read, which S3 then refuses."""
    from sandbox.services.s3.errors import S3Error  # noqa: PLC0415 - two services that know little of each other
    from sandbox.services.s3.xml import parse  # noqa: PLC0415

    try:
        return [item.text or "" for item in parse(body).iterfind("Object/Key")] or ["*"]
    except S3Error:
        return ["*"]
