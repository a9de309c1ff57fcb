"""The test suite itself: no test hangs, each is marked by what it uses, and costly files start first."""

from __future__ import annotations

import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WAITS = """
import threading
def test_waits_forever():
    threading.Thread(target=threading.Event().wait, name="the other thread", daemon=True).start()
    threading.Event().wait()
def test_next():
    pass
"""
NEVER_RETURNS = """
import ctypes
def test_never_returns():
    library, lock = ctypes.PyDLL(None), ctypes.create_string_buffer(64)
    library.pthread_mutex_init(lock, None)
    library.pthread_mutex_lock(lock)
    library.pthread_mutex_lock(lock)
def test_next():
    pass
"""


def run(folder: Path, code: str, *options: str) -> str:
    """Return what pytest prints for a file with this code, with the project's own configuration."""
    (folder / "test_it.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), f"--rootdir={folder}"]
    command += ["-p", "no:cacheprovider", *options, str(folder / "test_it.py")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    return done.stdout + done.stderr


def test_a_test_that_waits_forever_fails_with_all_stacks(tmp_path: Path) -> None:
    """At its time limit a test fails with the stack of every thread, and the next test runs."""
    output = run(tmp_path, WAITS, "-o", "timeout=3")
    assert "1 failed, 1 passed" in output
    assert "Timeout (>3.0s)" in output
    assert "Stack of the other thread" in output


def test_a_library_that_never_returns_ends_its_worker(tmp_path: Path) -> None:
    """When no Python code can run, the worker prints its stacks and ends, and another one continues."""
    output = run(tmp_path, NEVER_RETURNS, "-n", "1", "-o", "faulthandler_timeout=5", "-o", "timeout=3")
    assert "in test_never_returns" in output
    assert "crashed while running" in output
    assert "1 failed, 1 passed" in output


def test_every_test_of_this_suite_has_a_bound(request: pytest.FixtureRequest) -> None:
    """The default time limit applies, and no marker removes it or raises it above five minutes."""
    assert 0 < float(request.config.getini("timeout")) <= 180
    for item in request.session.items:
        for marker in item.iter_markers("timeout"):
            assert 0 < marker.args[0] <= 300, item.nodeid


def test_costly_files_come_first(request: pytest.FixtureRequest) -> None:
    """Browser journeys come first, tests without a server last, and files are not split."""
    files = list(dict.fromkeys(item.path for item in request.session.items))
    assert [path for path, _ in groupby(request.session.items, lambda item: item.path)] == files
    browser = [path.parent.name == "browser" for path in files]
    assert browser == sorted(browser, reverse=True)
