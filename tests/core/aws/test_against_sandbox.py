"""core.aws against the sandbox: real signatures, real states, and network failures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core import errors
from core.aws.connection import Clients, Connection
from core.aws.endpoints import endpoint_info, in_service, list_endpoints
from core.aws.identity import whoami
from core.aws.runtime import invoker
from core.aws.storage import get_bytes
from tests.support.patience import SECONDS, wait_until

ANSWER = b"\x89PNG" + bytes(200_000)


@pytest.fixture
def connection(sandbox_server: Any) -> Connection:
    """Return a connection to the test's sandbox, as app and command line create it."""
    address = sandbox_server.address
    return Connection(address.region, address.url, None, address.access_key, address.secret_key)


@pytest.fixture(scope="module")
def endpoint(sandbox_server: Any, make_endpoint: Any) -> Iterator[str]:
    """Return an endpoint that responds to any image with ANSWER."""
    name: str = make_endpoint(sandbox_server, files={"answer.png": ANSWER})
    yield name
    sandbox_server.loopback.client("sagemaker").delete_endpoint(EndpointName=name)
    sandbox_server.wait_settled(SECONDS)


def ask(clients: Clients, endpoint: str) -> bytes:
    return invoker(clients, endpoint)(b"jpeg", "image/jpeg", "image/png").body


def test_all_is_well(connection: Connection, endpoint: str) -> None:
    """The list, the description, the caller and a response are received."""
    made = Clients(connection)
    assert endpoint in [row.name for row in in_service(made)]
    serving = endpoint_info(made, endpoint)
    assert serving.in_service
    assert serving.aws_algorithm is True
    assert serving.variants[0].instance_type == "ml.g4dn.xlarge"
    assert (serving.classes, serving.notes) == (None, ())
    assert get_bytes(made, serving.model_uri)[:2] == b"\x1f\x8b"
    assert whoami(made).account == "123456789012"
    assert ask(made, endpoint) == ANSWER


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        (
            "error",
            {"code": "ThrottlingException", "message": "Rate exceeded", "status": 400},
            errors.ThrottledError,
        ),
        (
            "error",
            {"code": "ExpiredTokenException", "message": "Expired", "status": 403},
            errors.CredentialsError,
        ),
        ("error", {"code": "InternalFailure", "message": "Sorry", "status": 500}, errors.AwsError),
        ("truncate", {"at": 1000}, errors.CutOffError),
        ("reset_body", {"at": 1000}, errors.CutOffError),
        ("reset", {}, errors.NoReplyError),
        ("drop", {}, errors.NoReplyError),
        ("lost_reply", {}, errors.NoReplyError),
        ("delay", {"seconds": 600}, errors.TimedOutError),
    ],
)
def test_whatever_breaks_the_model_is_asked_once(
    *,
    connection: Connection,
    endpoint: str,
    faults: Any,
    kind: str,
    options: Any,
    expected: type[errors.AwsError],
) -> None:
    """Each kind of failure is a CoreError after one request, and the next call succeeds."""
    made = Clients(connection, invoke_seconds=0.5 if kind == "delay" else SECONDS)
    faults.add(kind, operation="InvokeEndpoint", times=1, **options)
    with pytest.raises(expected) as caught:
        ask(made, endpoint)
    assert type(caught.value) is expected
    assert caught.value.todo
    wait_until(lambda: faults.hits)  # after the time limit, the request may still be on its way
    assert len(faults.hits) == 1
    assert ask(Clients(connection), endpoint) == ANSWER


def test_a_cut_list_is_not_an_empty_list(connection: Connection, endpoint: str, faults: Any) -> None:
    """A list whose body was truncated is an error, although botocore accepts it."""
    faults.add("truncate", operation="ListEndpoints", at=20)
    with pytest.raises(errors.UnexpectedAnswerError):
        list_endpoints(Clients(connection))


def test_a_wrong_key_is_refused(connection: Connection) -> None:
    """Another secret key is rejected by its signature, with advice about the sandbox's keys."""
    with pytest.raises(errors.CredentialsError, match="Restart Segdeck"):
        list_endpoints(Clients(replace(connection, secret_key="another")))


def test_an_endpoint_that_is_not_there_yet(
    connection: Connection, stub_endpoint: Any, tmp_path: Path
) -> None:
    """Invoking an endpoint that is being created says so; one that does not exist is not found."""
    gate = tmp_path / "gate"
    name = stub_endpoint(behavior={"gate": str(gate)}, wait=False)
    made = Clients(connection)
    try:
        with pytest.raises(errors.NotReadyError, match="being created"):
            ask(made, name)
        assert endpoint_info(made, name).status == "Creating"
    finally:
        gate.touch()
    with pytest.raises(errors.NotFoundError, match="nobody"):
        ask(made, "nobody")


def test_a_container_that_fails_has_its_log(connection: Connection, stub_endpoint: Any) -> None:
    """A container's error has its status, its message and the link to its log."""
    name = stub_endpoint(behavior={"status": 500, "text": "out of memory"})
    with pytest.raises(errors.ModelError, match="out of memory") as caught:
        ask(Clients(connection), name)
    assert caught.value.status == 500
    assert caught.value.log_url.startswith("https://")
    assert name in caught.value.log_url
