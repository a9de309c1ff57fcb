"""The memory limit for decoded images, and the notice while images wait for memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from core.imaging.pixel_budget import PIXELS
from core.settings import Settings

if TYPE_CHECKING:
    from rich.progress import ProgressColumn


def limit_memory() -> None:
    """Apply the memory setting to this process. Raises SettingsError."""
    PIXELS.limit = Settings.from_environ(os.environ).image_memory_bytes


def memory_column() -> ProgressColumn:
    """Return a progress column that is empty unless images wait for memory."""
    from rich.progress import ProgressColumn, Task  # noqa: PLC0415 - so that --help is fast
    from rich.text import Text  # noqa: PLC0415

    class Waiting(ProgressColumn):
        """The notice of the memory budget."""

        def render(self, task: Task) -> Text:  # noqa: ARG002  # the notice concerns all tasks
            return Text(PIXELS.notice())

    return Waiting()
