"""Endpoint configurations that are read in the background."""

from __future__ import annotations

from datetime import UTC, datetime
from threading import Event

from core.endpoints.endpoint import EndpointConfig
from core.errors import ThrottledError
from pages.parts.endpoint_configs import AGAIN_SECONDS, Configs

NAMES = [f"config-{number}" for number in range(20)]


def config(name: str) -> EndpointConfig:
    return EndpointConfig(name, "", datetime(2026, 11, 1, tzinfo=UTC), (), {})


def test_each_is_read_once():
    """However often a page asks for it, a configuration is read once: AWS never changes one."""
    asked: list[str] = []

    def load(name: str) -> EndpointConfig:
        asked.append(name)
        return config(name)

    configs = Configs(load)
    for _ in range(3):
        assert set(configs.known(NAMES, patience=30)) == set(NAMES)
    assert sorted(asked) == sorted(NAMES)


def test_a_page_does_not_wait():
    """A configuration that does not arrive within the page's patience is left out, and returned later."""
    go = Event()

    def load(name: str) -> EndpointConfig:
        assert name == "quick" or go.wait(30)
        return config(name)

    configs = Configs(load)
    assert set(configs.known(["quick"], patience=30)) == {"quick"}
    assert set(configs.known(["quick", "slow"], patience=0)) == {"quick"}
    go.set()
    configs.known(
        ["slower"], patience=30
    )  # fills the time until "slow", which was asked for before, is there
    assert set(configs.known(["quick", "slow"], patience=0)) == {"quick", "slow"}


def test_one_that_cannot_be_read():
    """A configuration that is deleted or cannot be read is None; after a while, it is read again."""
    now, asked = [0.0], []

    def load(name: str) -> EndpointConfig | None:
        asked.append(name)
        if name == "throttled":
            raise ThrottledError("Too many calls.")
        return None

    configs = Configs(load, clock=lambda: now[0])
    names = ["gone", "throttled"]
    assert configs.known(names, patience=30) == dict.fromkeys(names)
    assert configs.known(names, patience=30) == dict.fromkeys(names)
    assert len(asked) == 2
    now[0] = AGAIN_SECONDS
    configs.known(names, patience=30)
    assert len(asked) == 4
