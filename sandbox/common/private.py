"""Keep a folder's content private to its user, whatever the umask. Standard library only."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def private_folder(folder: Path, *, deep: bool = True) -> None:
    """Create `folder` with mode 0700, or restrict an existing one; `deep`: with all its content. Raises OSError.

    Symbolic links are skipped: their targets are not in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _close(os.fspath(folder), folder.stat())
    if deep:
        _tighten(os.fspath(folder))
    if folder.stat().st_mode & OTHERS:
        text = f"warning: {folder} stays accessible to other users: its file system stores no permissions"
        print(f"sandbox: {text}", file=sys.stderr)


def _tighten(folder: str) -> None:
    """Remove the permissions of other users from everything in a folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                continue
            try:
                _close(entry.path, entry.stat(follow_symlinks=False))
                if entry.is_dir(follow_symlinks=False):
                    _tighten(entry.path)
            except FileNotFoundError:  # removed by a process that is exiting
                continue


def _close(path: str, status: os.stat_result) -> None:
    """Remove the permissions of other users from one path."""
    mode = stat.S_IMODE(status.st_mode)
    if mode & OTHERS:
        os.chmod(path, mode & ~OTHERS)
