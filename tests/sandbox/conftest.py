"""What the sandbox's own tests share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox.server import Sandbox


@pytest.fixture
def sandbox(sandbox_server: Sandbox) -> Iterator[Sandbox]:
    """The shared sandbox, with no faults before and after."""
    sandbox_server.faults.clear()
    yield sandbox_server
    sandbox_server.faults.clear()


@pytest.fixture
def client(sandbox: Sandbox, make_client: Callable[..., Any]) -> Callable[..., Any]:
    """client(service, **config) -> a boto3 client of the shared sandbox."""
    return lambda service, **config: make_client(sandbox, service, **config)


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    """eventually(probe) -> the first true value of `probe()`; fails the test when none comes within 15 seconds."""

    def wait(probe: Callable[[], Any], seconds: float = 15) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := probe()):
            if time.monotonic() > deadline:
                pytest.fail(f"it did not come to pass within {seconds} seconds")
            time.sleep(0.02)
        return value

    return wait
