"""End process groups when the sandbox is gone, however it went: a program of its own, on the standard library alone.

Standard input tells the groups, one line each: "+123" for one that runs, "-123" for one that has ended. Its end means
that the sandbox is gone: every group that still runs is killed, a program's own children with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys


def main() -> None:
    """Read groups until the end of input, then kill those that are left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        if not line.endswith("\n"):
            break
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
