"""The context of a container's program, for serving and training: clients, log, limits and its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.common.clients import Loopback
from sandbox.common.limits import SandboxLimits
from sandbox.common.log_shipper import LogShipper
from sandbox.hosting.container import ParentDeathPipe, StartError
from sandbox.http.faults import Faults

Programs = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class ContainerContext:
    """The values shared by every container's program.

    programs: a part of a container image's name -> the command.
    folder:   where running programs have their files.
    faults:   whether instances can be launched, and spot instances stay.
    """

    loopback: Loopback
    shipper: LogShipper
    death_pipe: ParentDeathPipe
    programs: Programs
    limits: SandboxLimits
    folder: Path
    faults: Faults

    def command(self, image: str) -> Sequence[str]:
        """Return the command that replaces a container image. Raises StartError when there is none."""
        commands = (command for fragment, command in self.programs.items() if fragment in image)
        command = next(commands, None)
        if command is None:
            known = ", ".join(sorted(self.programs))
            raise StartError(
                f'No program on this machine stands for the image "{image}" (available: {known}).'
            )
        return command
