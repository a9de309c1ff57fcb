"""A fault of a job's first worker, on request: an environment variable of the job, so that any client can set it.

SM_SANDBOX_FAULT=hang:20     after 20 images the container stops answering
SM_SANDBOX_FAULT=kill:20     after 20 images the container dies
SM_SANDBOX_FAULT=delay:0.5   each image takes half a second longer
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping

from sandbox.common.store import Document

VARIABLE = "SM_SANDBOX_FAULT"
_FORM = re.compile(r"(hang|kill):([0-9]{1,6})|(delay):([0-9]{1,4}(?:\.[0-9]{1,3})?)")


def fault_problem(environment: Mapping[str, str]) -> str:
    """Return what is wrong with a job's fault; empty without one."""
    text = environment.get(VARIABLE)
    if text is None or _FORM.fullmatch(text):
        return ""
    return f"{VARIABLE} must be hang:N or kill:N (after N images) or delay:SECONDS, not {text[:40]!r}."


class JobFault:
    """The fault of one worker. value: images before it, or seconds."""

    def __init__(self, kind: str, value: float) -> None:
        self._kind, self._value, self._images = kind, value, 0
        self._lock = threading.Lock()

    @classmethod
    def of(cls, document: Document) -> JobFault | None:
        """Return the fault that a job asks for; None without one."""
        match = _FORM.fullmatch((document.get("Environment") or {}).get(VARIABLE, ""))
        return cls(match[1] or match[3], float(match[2] or match[4])) if match else None

    def due(self) -> list[tuple[str, float]]:
        """Return the fault, as (kind, seconds), when it applies to the next image; else nothing."""
        with self._lock:
            self._images += 1
            applies = self._kind == "delay" or self._images == self._value + 1
        return [(self._kind, self._value)] if applies else []
