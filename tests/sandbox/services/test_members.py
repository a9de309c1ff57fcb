"""Every member of the requests that create and update: honored, or refused in words. None is accepted and ignored."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.model import Shape

from sandbox.common.limits import SandboxLimits
from sandbox.http.protocol import service
from sandbox.server import Sandbox
from sandbox.services.sagemaker import members as supported
from tests.support.patience import WAITER

Client = Callable[..., Any]
ROLE = "arn:aws:iam::123456789012:role/SegdeckSandboxRole"
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
BUCKET = "members"
NUMBERS = itertools.count(1)
Steps = tuple[str, ...]
"""The way to a member: names, and `[]` for the first item of a list."""

JOB = {
    "HyperParameters": {"epochs": "1"},
    "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
    "RoleArn": ROLE,
    "InputDataConfig": [
        {
            "ChannelName": "train",
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/train"}},
        }
    ],
    "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
    "ResourceConfig": {"InstanceType": "ml.p3.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50},
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
}
BATCH = {
    "ModelName": "m",
    "TransformInput": {
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/model"}}
    },
    "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/masks"},
    "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
}
MODEL = {"PrimaryContainer": {"Image": IMAGE}}
VARIANT = {"VariantName": "A", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
CONFIG = {"ProductionVariants": [VARIANT]}
ROUTING = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
CAPTURE = {
    "InitialSamplingPercentage": 50,
    "DestinationS3Uri": f"s3://{BUCKET}/capture",
    "CaptureOptions": [{"CaptureMode": "Input"}],
}

# Values for members whose pattern or meaning does not allow just any, by the end of their path.
VALUES: dict[str, Any] = {
    "RoleArn": ROLE,
    "ExecutionRoleArn": ROLE,
    "S3Uri": f"s3://{BUCKET}/train",
    "CheckpointConfig.LocalPath": "/opt/ml/state",
    "S3OutputPath": f"s3://{BUCKET}/other",
    "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz",
    "DataCaptureConfig.DestinationS3Uri": f"s3://{BUCKET}/captured",
    "DestinationS3Uri": "s3://b/k",
    "ProductionVariants.[].ModelName": "m",
    "HyperParameters": {"epochs": "2"},
    "Environment": {"MXNET_X": "1"},
    "MetricDefinitions.[].Regex": "loss=(.*)",
    "TransformInput.DataSource.S3DataSource.S3Uri": f"s3://{BUCKET}/model.tar",
    "TransformInput.CompressionType": "None",
    "ModelName": "m",
    "CompressionType": "GZIP",
    "InputDataConfig.[].CompressionType": "None",
    "RecordWrapperType": "None",
    "S3DataType": "ManifestFile",
    "InputMode": "FastFile",
    "TrainingInputMode": "FastFile",
    "TrainingRepositoryAccessMode": "Platform",
    "RepositoryAccessMode": "Platform",
    "InstanceType": "ml.g4dn.xlarge",
    "MaxWaitTimeInSeconds": 7200,
    "MaxPendingTimeInSeconds": 7200,
    "BlueGreenUpdatePolicy.TerminationWaitInSeconds": 1,
    "EndpointConfigName": "c",
    "CsvContentTypes.[]": "text/csv",
    "JsonContentTypes.[]": "application/json",
    "ModelDataSource.S3DataSource.S3DataType": "S3Prefix",
    "AdditionalModelDataSources.[].S3DataSource.S3DataType": "S3Prefix",
    "ModelDataSource.S3DataSource.CompressionType": "Gzip",
    "AdditionalModelDataSources.[].S3DataSource.CompressionType": "Gzip",
}
# Members with an effect that Describe does not report -> the test that holds it.
ELSEWHERE = {
    "Tags": "test_tags_are_kept_and_changed, test_endpoints_tags",
    "RetainAllVariantProperties": "test_updates: retained properties",
    "ExcludeRetainedVariantProperties": "test_updates: retained properties",
    "RetainDeploymentConfig": "test_retained_deployment_config",
}
# A member that is invalid alone -> what goes with it.
WITH: dict[str, dict[str, Any]] = {
    "EnableManagedSpotTraining": {"StoppingCondition": {"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 9}},
    "MaxWaitTimeInSeconds": {"EnableManagedSpotTraining": True},
}
DESCRIBED = {
    "CreateTrainingJob": ("DescribeTrainingJob", "TrainingJobName"),
    "CreateTransformJob": ("DescribeTransformJob", "TransformJobName"),
    "CreateModel": ("DescribeModel", "ModelName"),
    "CreateEndpointConfig": ("DescribeEndpointConfig", "EndpointConfigName"),
    "CreateEndpoint": ("DescribeEndpoint", "EndpointName"),
    "UpdateEndpoint": ("DescribeEndpoint", "EndpointName"),
}
SUPPORTED = {
    "CreateTrainingJob": supported.TRAINING_JOB,
    "CreateTransformJob": supported.TRANSFORM_JOB,
    "CreateModel": supported.MODEL,
    "CreateEndpointConfig": supported.ENDPOINT_CONFIG,
    "CreateEndpoint": supported.ENDPOINT,
    "UpdateEndpoint": supported.ENDPOINT_UPDATE,
}
# Where Describe reports a member under another name.
RENAMED = {"DeploymentConfig": "LastDeploymentConfig"}


def leaves(shape: Shape, steps: Steps = ()) -> Iterator[tuple[Steps, Shape]]:
    """Yield every member that is not a structure or a list of structures, with its shape."""
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from leaves(member, (*steps, name))
    elif shape.type_name == "list":
        yield from leaves(shape.member, (*steps, "[]"))
    else:
        yield steps, shape


def members(operation: str) -> list[Steps]:
    """Return every leaf of an operation's input but the resource's own name."""
    own = DESCRIBED[operation][1]
    shape = service("sagemaker").operation_model(operation).input_shape
    return [steps for steps, _ in leaves(shape) if steps != (own,)]


def value_of(steps: Steps, shape: Shape) -> Any:
    """Return a value of a member that is accepted on its own, or on AWS would be."""
    path = ".".join(steps)
    for end in sorted(VALUES, key=len, reverse=True):
        if path == end or path.endswith(f".{end}"):
            return VALUES[end]
    kind = shape.type_name
    if kind == "boolean":
        return True
    if kind in {"integer", "long"}:
        return max(1, shape.metadata.get("min", 1))
    if kind in {"float", "double"}:
        return 0.5
    if kind == "map":
        return {"key": "value"}
    names = shape.metadata.get("enum")
    if names:
        return names[0]
    if "arn" in shape.metadata.get("pattern", "")[:5] or path.endswith("Arn"):
        return "arn:aws:sagemaker:us-east-1:123456789012:training-plan/x"
    return "abc-12345678"


def filled(shape: Shape, steps: Steps, whole: Steps = ()) -> Any:
    """Return a value of `shape` with the member at `steps`, and what is required next to it."""
    if not steps:
        return value_of(whole, shape)
    first, rest = steps[0], steps[1:]
    if first == "[]":
        return [filled(shape.member, rest, (*whole, "[]"))]
    required = {
        name: filled(shape.members[name], _first_leaf(shape.members[name]), (*whole, name))
        for name in shape.required_members
        if name != first
    }
    return {**required, first: filled(shape.members[first], rest, (*whole, first))}


def _first_leaf(shape: Shape) -> Steps:
    """Return the way to one leaf below a shape."""
    return next(iter(leaves(shape)))[0]


def merged(base: Any, more: Any) -> Any:
    """Return `base` with the members of `more`; the first items of lists are merged."""
    if isinstance(base, dict) and isinstance(more, dict):
        return base | {name: merged(base.get(name), value) for name, value in more.items()}
    if isinstance(base, list) and isinstance(more, list) and isinstance(more[0], dict):
        return [merged(base[0], more[0]), *base[1:]]
    return more


def at(value: Any, steps: Steps) -> Any:
    """Return the value at a path; None when it is not there."""
    for step in steps:
        value = (value[0] if value else None) if step == "[]" else (value or {}).get(step)
    return value


def only(value: Any, steps: Steps) -> Any:
    """Return a request's value reduced to the one at `steps`, for a message."""
    return f"{'.'.join(steps)} = {at(value, steps)!r}"


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory, stub_programs: dict[str, list[str]]) -> Iterator[Sandbox]:
    """A sandbox whose jobs all wait: only requests and descriptions matter here."""
    folder, limits = tmp_path_factory.mktemp("members"), SandboxLimits(training_jobs=0, transform_jobs=0)
    quotas = {f"{kind} for transform job usage": 1000 for kind in ("ml.m5.large", "ml.g4dn.xlarge")}
    (folder / "quotas.json").write_text(json.dumps(quotas))
    with Sandbox(folder, programs=stub_programs, limits=limits) as sandbox:
        s3, sagemaker = sandbox.loopback.client("s3"), sandbox.loopback.client("sagemaker")
        s3.create_bucket(Bucket=BUCKET)
        s3.put_object(Bucket=BUCKET, Key="model.tar.gz", Body=b"")
        sagemaker.create_model(ModelName="m", **MODEL)
        sagemaker.create_endpoint_config(EndpointConfigName="c", **CONFIG)
        yield sandbox


@pytest.fixture(scope="module")
def sagemaker(idle: Sandbox, make_client: Client) -> Any:
    return make_client(idle, "sagemaker", parameter_validation=False)


BASES: dict[str, dict[str, Any]] = {
    "CreateTrainingJob": JOB,
    "CreateTransformJob": BATCH,
    "CreateModel": MODEL,
    "CreateEndpointConfig": CONFIG,
    "CreateEndpoint": {"EndpointConfigName": "c"},
    "UpdateEndpoint": {"EndpointConfigName": "c"},
}


def request(operation: str, steps: Steps) -> dict[str, Any]:
    """Return a valid request with the member at `steps`."""
    shape = service("sagemaker").operation_model(operation).input_shape
    base: dict[str, Any] = copy.deepcopy(BASES[operation])
    if steps[0] == "Containers":
        del base["PrimaryContainer"]
        base["Containers"] = [MODEL["PrimaryContainer"]]
    if steps[0] == "DataCaptureConfig" and operation == "CreateEndpointConfig":
        base["DataCaptureConfig"] = CAPTURE
    if steps[:2] == ("InputDataConfig", "[]") and "DataSource" in steps and "S3DataSource" not in steps:
        base["InputDataConfig"][0]["DataSource"] = {}
    whole: dict[str, Any] = merged(base, {steps[0]: filled(shape, steps)[steps[0]]})
    return merged(whole, WITH.get(steps[-1], {}))


def ignored(call: Callable[..., Any], operation: str, steps: Steps, sent: dict[str, Any]) -> str:
    """Return "" when a member is honored or refused in words, else what happened to it."""
    try:
        described = call(operation, sent)
    except ClientError as problem:
        error = problem.response["Error"]
        # A value made up here may not fit the member's pattern, which is checked first.
        refusals = SUPPORTED[operation].problems(sent) if "failed to satisfy" in error["Message"] else []
        text = " ".join(refusals) or error["Message"]
        named = any(step in text for step in steps if step != "[]")
        return "" if error["Code"] == "ValidationException" and named else f"{only(sent, steps)}: {error}"
    shown = (RENAMED.get(steps[0], steps[0]), *steps[1:])
    value = at(described, shown)
    return "" if value == at(sent, steps) else f"{only(sent, steps)}: Describe returns {value!r}"


@pytest.mark.parametrize(
    "operation", ["CreateTrainingJob", "CreateTransformJob", "CreateModel", "CreateEndpointConfig"]
)
def test_no_member_is_accepted_and_ignored(sagemaker: Any, operation: str) -> None:
    """Each member, given alone, is returned by Describe or refused by its name."""
    describe, name_member = DESCRIBED[operation]

    def call(operation: str, sent: dict[str, Any]) -> Any:
        name = {name_member: f"members-{next(NUMBERS)}"}
        _method(sagemaker, operation)(**sent, **name)
        return _method(sagemaker, describe)(**name)

    problems = [
        ignored(call, operation, steps, request(operation, steps))
        for steps in members(operation)
        if steps[0] not in ELSEWHERE
    ]
    assert not any(problems), "\n".join(filter(None, problems))


@pytest.mark.parametrize("operation", ["CreateEndpoint", "UpdateEndpoint"])
def test_no_member_of_a_deployment_is_accepted_and_ignored(sagemaker: Any, operation: str) -> None:
    """Each member of a deployment, given alone, is returned by Describe or refused by its name."""
    names = itertools.count(1)

    def settled(name: str) -> Any:
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=WAITER)
        return sagemaker.describe_endpoint(EndpointName=name)

    def call(operation: str, sent: dict[str, Any]) -> Any:
        name = f"{operation.lower()}-{next(names)}"
        if operation == "UpdateEndpoint":
            name = "updated"
        _method(sagemaker, operation)(**sent, EndpointName=name)
        return settled(name)

    if operation == "UpdateEndpoint":
        sagemaker.create_endpoint(EndpointName="updated", EndpointConfigName="c")
        settled("updated")
    problems = [
        ignored(call, operation, steps, request(operation, steps))
        for steps in members(operation)
        if steps[0] not in ELSEWHERE
    ]
    assert not any(problems), "\n".join(filter(None, problems))


def test_unknown_members_are_refused() -> None:
    """A member that this version of the API description does not know is refused, too."""
    assert SUPPORTED["CreateModel"].problems({"ModelName": "m", "QuantumConfig": {"Qubits": 5}}) == [
        "The sandbox does not support QuantumConfig: remove it."
    ]


def test_features_switched_off_are_accepted(sagemaker: Any) -> None:
    """Clients send false, 0 and empty values for features that they do not use."""
    off = {
        "RemoteDebugConfig": {"EnableRemoteDebug": False},
        "InfraCheckConfig": {"EnableInfraCheck": False},
        "DebugRuleConfigurations": [],
        "ExperimentConfig": {},
    }
    job = copy.deepcopy(JOB)
    job["ResourceConfig"]["KeepAlivePeriodInSeconds"] = 0  # type: ignore[index]
    sagemaker.create_training_job(TrainingJobName="all-off", **job, **off)
    assert sagemaker.describe_training_job(TrainingJobName="all-off")["RoleArn"] == ROLE


def test_debugger_of_the_sdk(sagemaker: Any) -> None:
    """Version 2 of the SageMaker SDK sends a hook without collections, which is kept; collections are refused."""
    hook = {"S3OutputPath": f"s3://{BUCKET}/out", "CollectionConfigurations": []}
    sagemaker.create_training_job(TrainingJobName="hooked", DebugHookConfig=hook, **JOB)
    assert sagemaker.describe_training_job(TrainingJobName="hooked")["DebugHookConfig"] == hook
    collecting = {**hook, "CollectionConfigurations": [{"CollectionName": "losses"}]}
    with pytest.raises(ClientError, match=r"does not support DebugHookConfig\.CollectionConfigurations"):
        sagemaker.create_training_job(TrainingJobName="collecting", DebugHookConfig=collecting, **JOB)


class TestReferences:
    @pytest.mark.parametrize(
        ("role", "words"),
        [
            (
                "arn:aws:iam::123456789012:role/Nobody",
                "Could not assume role arn:aws:iam::123456789012:role/Nobody",
            ),
            ("arn:aws:iam::123456789012:role/path/SegdeckSandboxRole", "Could not assume role"),
            ("arn:aws:iam::210987654321:role/SegdeckSandboxRole", "Cross-account pass role is not allowed."),
        ],
    )
    def test_unknown_role(self, sagemaker: Any, role: str, words: str) -> None:
        """Jobs, models and configurations need a role of this account that exists."""
        model = {"ModelName": "x", "ExecutionRoleArn": role, **MODEL}
        config = {"EndpointConfigName": "x", "ExecutionRoleArn": role, **CONFIG}
        job = {**JOB, "TrainingJobName": "x", "RoleArn": role}
        for call, sent in (
            (sagemaker.create_model, model),
            (sagemaker.create_endpoint_config, config),
            (sagemaker.create_training_job, job),
        ):
            with pytest.raises(ClientError) as caught:
                call(**sent)
            assert caught.value.response["Error"]["Code"] == "ValidationException"
            assert words in caught.value.response["Error"]["Message"]

    def test_role_of_another_service(self, idle: Sandbox, sagemaker: Any) -> None:
        """A role that trusts another service is refused."""
        trust = (
            '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", '
            '"Principal": {"Service": "lambda.amazonaws.com"}}]}'
        )
        iam = idle.loopback.client("iam")
        arn = iam.create_role(RoleName="Lambda", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        with pytest.raises(ClientError, match=r"allows principal 'sagemaker\.amazonaws\.com'"):
            sagemaker.create_model(ModelName="x", ExecutionRoleArn=arn, **MODEL)

    def test_missing_places(self, sagemaker: Any) -> None:
        """An output bucket, a capture bucket and a model archive must exist."""
        job = {**JOB, "TrainingJobName": "x", "OutputDataConfig": {"S3OutputPath": "s3://none-such/out"}}
        with pytest.raises(ClientError, match='the bucket "none-such" does not exist'):
            sagemaker.create_training_job(**job)
        capture = {**CAPTURE, "DestinationS3Uri": "s3://none-such/c"}
        with pytest.raises(ClientError, match='the bucket "none-such" does not exist'):
            sagemaker.create_endpoint_config(EndpointConfigName="x", DataCaptureConfig=capture, **CONFIG)
        container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/none.tar.gz"}
        with pytest.raises(ClientError, match=f"Could not find model data at s3://{BUCKET}/none.tar.gz"):
            sagemaker.create_model(ModelName="x", PrimaryContainer=container)


def test_retained_deployment_config(idle: Sandbox, sagemaker: Any) -> None:
    """RetainDeploymentConfig keeps the last deployment configuration; without it, it is dropped."""
    policy = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": ROUTING}}
    wait = sagemaker.get_waiter("endpoint_in_service")
    settle = {"EndpointName": "guarded", "WaiterConfig": WAITER}
    sagemaker.create_endpoint(EndpointName="guarded", EndpointConfigName="c", DeploymentConfig=policy)
    wait.wait(**settle)
    for retain, kept in ((True, policy), (False, None)):
        sagemaker.update_endpoint(
            EndpointName="guarded", EndpointConfigName="c", RetainDeploymentConfig=retain
        )
        wait.wait(**settle)
        assert sagemaker.describe_endpoint(EndpointName="guarded").get("LastDeploymentConfig") == kept


def _method(client: Any, operation: str) -> Any:
    """Return a client's method of an operation."""
    return next(
        getattr(client, method)
        for method, name in client.meta.method_to_api_mapping.items()
        if name == operation
    )
