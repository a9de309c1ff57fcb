"""Memory for decoded images: its limit, and what a progress bar says while images wait for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from core.imaging.pixel_budget import PIXELS
from core.settings import Settings

if TYPE_CHECKING:
    from rich.progress import ProgressColumn


def limit_memory() -> None:
    """Put the setting in force for this process. Raises SettingsError."""
    PIXELS.limit = Settings.from_environ(os.environ).image_memory_bytes


def memory_column() -> ProgressColumn:
    """Return a column that is empty unless images wait for their share of the memory."""
    from rich.progress import ProgressColumn, Task  # noqa: PLC0415 - so that --help comes at once
    from rich.text import Text  # noqa: PLC0415

    class Waiting(ProgressColumn):
        """The budget's own notice."""

        def render(self, task: Task) -> Text:  # noqa: ARG002  # of all tasks together
            return Text(PIXELS.notice())

    return Waiting()
