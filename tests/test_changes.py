"""Only core/aws/execute.py changes anything on AWS: checked in the code, and enforced by the clients."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from botocore import xform_name
from botocore.exceptions import ParamValidationError
from botocore.session import get_session

from core.aws.connection import READS, Clients, Connection
from core.aws.operations import OPERATIONS

ROOT = Path(__file__).resolve().parents[1]
EXECUTE, CONNECTION = ROOT / "core/aws/execute.py", ROOT / "core/aws/connection.py"
OURS = [
    *(path for folder in ("core", "pages", "commands") for path in sorted((ROOT / folder).rglob("*.py"))),
    ROOT / "cli.py",
    ROOT / "app.py",
]
TRANSFERS = {"upload_file", "upload_fileobj", "put", "generate_presigned_post"}
"""What boto3 and botocore add that writes, or lets somebody write."""

CREDENTIALS = {ROOT / "core" / "aws" / name for name in ("assumed_role.py", "prompts.py")}
"""What botocore's sessions get their credentials from: they name `Session`, and call STS only."""

INSIDE = {"client_for_changes", "client_for_uploads", "_client", "_make", "_make_api_call"}
"""What gives a client that may change something, or makes any call by its name."""


@cache
def services() -> tuple[str, ...]:
    """Return the services that the project creates clients for."""
    calls = [node for node in ast.walk(tree_of(CONNECTION)) if isinstance(node, ast.Call)]
    first = [call.args[0] for call in calls if getattr(call.func, "attr", "") == "_client" and call.args]
    return tuple(arg.value for arg in first if isinstance(arg, ast.Constant) and isinstance(arg.value, str))


@cache
def changes() -> frozenset[str]:
    """Return the methods of their clients that may change something."""
    names = {
        name for service in services() for name in get_session().get_service_model(service).operation_names
    }
    return frozenset({xform_name(name) for name in names if not READS.fullmatch(name)} | TRANSFERS)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def offences(tree: ast.AST) -> Iterator[str]:
    """Return what only execute.py may do: name a change or its client, call by a variable, create a client."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in changes() | INSIDE:
            yield f"line {node.lineno}: {node.attr}"
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr":
            if not isinstance(node.args[1], ast.Constant):
                yield f"line {node.lineno}: getattr by a variable"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [*(alias.name for alias in node.names), getattr(node, "module", None) or ""]
            if any(name.startswith(("boto3", "botocore.session", "botocore.client")) for name in names):
                yield f"line {node.lineno}: boto3"


def test_no_other_file_changes_anything() -> None:
    """No file but execute.py names a changing call, uses its client, or creates one."""
    files = [path for path in OURS if path not in {EXECUTE, CONNECTION, *CREDENTIALS}]
    assert [f"{path.relative_to(ROOT)}: {line}" for path in files for line in offences(tree_of(path))] == []


@pytest.mark.parametrize(
    "source",
    [
        "clients.sagemaker.delete_endpoint(EndpointName=name)",
        "delete = clients.sagemaker.delete_endpoint",
        "clients.s3.upload_file('a', 'b', 'c')",
        "clients.client_for_changes('sagemaker')",
        "clients.client_for_uploads",
        "clients._client('sagemaker', may_change=True)",
        "getattr(clients.sagemaker, call)(**query)",
        "import boto3",
        "from boto3 import client",
        "from botocore.session import get_session",
    ],
)
def test_the_rule_sees_a_change(source: str) -> None:
    """The check above finds every way to make a change."""
    assert len(list(offences(ast.parse(source)))) == 1


def test_the_rule_knows_what_counts() -> None:
    """Every executed operation counts as a change, reads do not, and execute.py and connection.py would be found."""
    assert {xform_name(operation) for _, operation in OPERATIONS} <= changes()
    assert {service for service, _ in OPERATIONS} <= set(services())
    reads = {
        "describe_endpoint",
        "search",
        "get_object",
        "list_objects_v2",
        "batch_get_metrics",
        "invoke_endpoint",
    }
    assert not reads & changes()
    assert list(offences(tree_of(EXECUTE)))
    assert list(offences(tree_of(CONNECTION)))


def test_reading_clients_refuse_to_change_anything() -> None:
    """Every client except execute.py's refuses a change before anything is sent."""
    clients = Clients(Connection("us-east-1", "http://127.0.0.1:9", None, "AKIDEXAMPLE", "secret"))
    made = (
        clients.sagemaker,
        clients.lists,
        clients.autoscaling,
        clients.s3,
        clients.logs,
        clients.cloudwatch,
    )
    for client in made:
        service = client.meta.service_model
        (name, *_) = [name for name in service.operation_names if not READS.fullmatch(name)]
        with pytest.raises(RuntimeError, match=name):
            getattr(client, xform_name(name))()
    with pytest.raises(RuntimeError, match="PutObject"):
        clients.s3.generate_presigned_url("put_object", {"Bucket": "b", "Key": "k"})
    assert clients.client_for_changes("sagemaker") is not clients.sagemaker


def test_a_client_is_read_only_unless_made_for_changes() -> None:
    """No client is writable by default, and a reading and a changing client of one service are separate."""
    clients = Clients(Connection("us-east-1", "http://127.0.0.1:9", None, "AKIDEXAMPLE", "secret"))
    changing = clients._client("sagemaker", name="changing sagemaker", may_change=True)
    reading = clients._client("sagemaker", name="changing sagemaker")
    assert reading is not changing
    with pytest.raises(RuntimeError, match="CreateModel"):
        reading.create_model()
    with pytest.raises(ParamValidationError):
        changing.create_model()
