"""A model.tar.gz of any origin behind an endpoint: served if it is the algorithm's, else Failed with the reason."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.common.limits import SandboxLimits
from sandbox.server import Sandbox
from tests.support.patience import wait_until

ROOT = Path(__file__).parents[3]
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
DEMO = ROOT / "sandbox/demo/aerial/model.tar.gz"
Client = Callable[..., Any]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox that serves with the algorithm itself."""
    with Sandbox(tmp_path_factory.mktemp("real")) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def strict(
    tmp_path_factory: pytest.TempPathFactory, stub_programs: dict[str, list[str]]
) -> Iterator[Sandbox]:
    """A sandbox that accepts one megabyte of an unpacked model."""
    folder = tmp_path_factory.mktemp("strict") / "data"
    with Sandbox(folder, programs=stub_programs, limits=SandboxLimits(archive_bytes=1_000_000)) as sandbox:
        yield sandbox


@pytest.fixture
def serve(make_client: Client) -> Callable[[Sandbox, str, bytes], dict[str, Any]]:
    """serve(sandbox, name, archive) -> the description of its endpoint, InService or Failed."""

    def make(sandbox: Sandbox, name: str, archive: bytes) -> dict[str, Any]:
        s3, sagemaker = make_client(sandbox, "s3"), make_client(sandbox, "sagemaker")
        if not s3.list_buckets()["Buckets"]:
            s3.create_bucket(Bucket="artifacts")
        s3.put_object(Bucket="artifacts", Key=f"{name}/model.tar.gz", Body=archive)
        container = {"Image": IMAGE, "ModelDataUrl": f"s3://artifacts/{name}/model.tar.gz"}
        sagemaker.create_model(ModelName=name, PrimaryContainer=container)
        variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.c5.xlarge"}
        sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
        )
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        assert sandbox.wait_settled(120)
        document: dict[str, Any] = sagemaker.describe_endpoint(EndpointName=name)
        return document

    return make


def _tar(**files: bytes) -> bytes:
    return _archive(*((tarfile.TarInfo(name.replace("__", ".")), data) for name, data in files.items()))


def _archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _link(target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo("model_best.params")
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def _demo_saying(**hyperparameters: str) -> bytes:
    """Return the aerial demo's artifact with other values in its hyperparams.json."""
    members = []
    with tarfile.open(DEMO) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            data = file.read()
            if member.name == "hyperparams.json":
                data = json.dumps({**json.loads(data), **hyperparameters}).encode()
            members.append((tarfile.TarInfo(member.name), data))
    return _archive(*members)


@pytest.mark.mxnet
def test_the_algorithms_error_is_the_failure_reason(real: Sandbox, serve: Client) -> None:
    """The algorithm's error about an archive is in FailureReason; `test_networks.py` has its other errors."""
    archive = _tar(hyperparams__json=b"{}", model_best__params=b"not MXNet's" * 50)
    endpoint = serve(real, "foreign-parameters", archive)
    assert endpoint["EndpointStatus"] == "Failed", endpoint
    assert "model_best.params is not a file of MXNet parameters" in endpoint["FailureReason"]


@pytest.mark.mxnet
def test_contradicting_hyperparameters_are_warnings(
    real: Sandbox, serve: Client, make_client: Client
) -> None:
    """The parameters identify the network; what hyperparams.json says otherwise is in the endpoint's log."""
    endpoint = serve(real, "other-classes", _demo_saying(num_classes="7", algorithm="FCN"))
    assert endpoint["EndpointStatus"] == "InService", endpoint
    logs, group = make_client(real, "logs"), "/aws/sagemaker/Endpoints/other-classes"

    def read() -> str:  # an endpoint may be in service before its log is shipped
        if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            return ""
        events = logs.filter_log_events(logGroupName=group)["events"]
        return "\n".join(event["message"] for event in events)

    wait_until(lambda: "says algorithm fcn" in read())
    log = read()
    assert "says num_classes 7, but the parameters are those of num_classes 6." in log
    assert "says algorithm fcn, but the parameters are those of algorithm light." in log


HOSTILE = {
    "traversal": (
        lambda: _archive((tarfile.TarInfo("../../../../escaped"), b"x")),
        "leaves the model's folder",
    ),
    "absolute": (
        lambda: _archive((tarfile.TarInfo("/tmp/segdeck-escaped"), b"x")),
        "leaves the model's folder",
    ),
    "link": (lambda: _archive((_link("/etc/passwd"), b"")), "is a link, a device or sparse"),
    "bomb": (
        lambda: _archive((tarfile.TarInfo("model_best.params"), bytes(50_000_000))),
        "more than 1000000 bytes",
    ),
    "cut": (lambda: _tar(model_best__params=b"x" * 100)[:-20], "not a valid tar.gz archive"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_the_failure_reason(
    strict: Sandbox, serve: Client, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It is refused with the reason, and none of its files is left on disk."""
    make_archive, why = HOSTILE[name]
    endpoint = serve(strict, name, make_archive())
    assert endpoint["EndpointStatus"] == "Failed"
    assert "Failed to extract model data archive" in endpoint["FailureReason"]
    assert why in endpoint["FailureReason"]
    everywhere = tmp_path_factory.getbasetemp()
    assert not list(everywhere.rglob("*escaped*"))
    assert not Path("/tmp/segdeck-escaped").exists()
    assert not list(everywhere.rglob(f"running/{name}/*/*"))
