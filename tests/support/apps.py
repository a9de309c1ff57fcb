"""Create Streamlit's AppTest without the cost of its first run."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from streamlit.components.v2.component_manager import BidiComponentManager
from streamlit.testing.v1 import AppTest


def app_from_file(path: str | Path, *, default_timeout: float = 60) -> AppTest:
    """Return the app of this script, not run yet."""
    return _prepared(AppTest.from_file(path, default_timeout=default_timeout))


def app_from_function(
    script: Callable[..., Any], *, default_timeout: float = 60, **arguments: Any
) -> AppTest:
    """Return the app of this function, not run yet. arguments: `args` and `kwargs` of the function."""
    return _prepared(AppTest.from_function(script, default_timeout=default_timeout, **arguments))


def _prepared(app: AppTest) -> AppTest:
    app._bidi_component_manager = _components()
    return app


@cache
def _components() -> BidiComponentManager:
    """Return the components of all installed packages. Each AppTest would search for them: 0.25 s of a core."""
    manager = BidiComponentManager()
    manager.discover_and_register_components(start_file_watching=False)
    return manager
