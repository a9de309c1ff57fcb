"""Prepare a sandbox's folder as if it had created its demo resources, and somebody had deleted them."""

from __future__ import annotations

from pathlib import Path

from sandbox.seed import dataset, jobs
from sandbox.seed.seed import DEMOS, MARKER, write_marker


def mark_seeded(data_dir: Path, *, except_for: str = "") -> Path:
    """Record every demo resource as created, so that the sandbox starts none; return the folder.

    except_for: the folder of the demo whose endpoint it still has to create.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    done = {demo.folder: demo.endpoint for demo in DEMOS if demo.folder != except_for}
    write_marker(data_dir / MARKER, {**done, jobs.DONE: "", dataset.DONE: ""})
    return data_dir
