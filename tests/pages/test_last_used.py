"""The endpoint that was used last."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pages.parts.last_used import LastUsed


def test_it_is_kept_over_restarts(tmp_path: Path) -> None:
    """The endpoint used last is known to the next process too."""
    path = tmp_path / "state" / "last.txt"
    assert LastUsed(path).get() == ""
    LastUsed(path).set("roads")
    assert LastUsed(path).get() == "roads"


def test_a_failure_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder that cannot be written costs nothing but the memory, and the log says why."""
    (tmp_path / "file").write_text("")
    last = LastUsed(tmp_path / "file" / "last.txt")
    with caplog.at_level(logging.WARNING, "segdeck"):
        last.set("roads")
    assert last.get() == "roads"
    assert "cannot be kept" in caplog.text


def test_a_damaged_file_is_no_endpoint(tmp_path: Path) -> None:
    """A file that is not text counts as none."""
    path = tmp_path / "last.txt"
    path.write_bytes(bytes(range(128, 256)))
    assert LastUsed(path).get() == ""
