"""Kill process groups when the sandbox is gone, for whatever reason: a program of its own, standard library only.

Standard input lists the groups, one per line: "+123" for a running group, "-123" for one that has ended. Its end
means that the sandbox is gone: every group that still runs is killed, including a program's own children.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys


def main() -> None:
    """Read groups until the end of input, then kill the remaining ones."""
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
