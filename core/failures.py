"""Failures as rows of a JSON document."""

from __future__ import annotations

from typing import Any

from core.errors import CoreError, ModelError


def failure_row(name: str, error: Exception) -> dict[str, Any]:
    """Return an image, or a part of one, that failed, for a JSON document."""
    if not isinstance(error, CoreError):
        error = CoreError(
            f"Unexpected error: {error!r}.",
            todo="Run the command again with --debug, and report its output.",
        )
    row = {"path": name, "error": type(error).__name__, "what": error.what}
    row |= {"why": error.why, "todo": error.todo}
    return row | ({"log_url": error.log_url} if isinstance(error, ModelError) else {})
