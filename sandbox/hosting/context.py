"""What a container's program needs of its surroundings, whether it serves or trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.common.clients import Loopback
from sandbox.common.limits import SandboxLimits
from sandbox.common.log_shipper import LogShipper
from sandbox.hosting.container import Lifeline, StartError

Programs = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Host:
    """programs: a part of a container image's name -> the command.

    folder: where those that run have their files.
    """

    loopback: Loopback
    shipper: LogShipper
    lifeline: Lifeline
    programs: Programs
    limits: SandboxLimits
    folder: Path

    def command(self, image: str) -> Sequence[str]:
        """Raises StartError when no program stands for the image."""
        found = (command for fragment, command in self.programs.items() if fragment in image)
        command = next(found, None)
        if command is None:
            known = ", ".join(sorted(self.programs))
            raise StartError(f'No program on this machine stands for the image "{image}" (known: {known}).')
        return command
