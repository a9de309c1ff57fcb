"""A fault of a job's first worker, on request: an environment variable of the job, so that any client can set it.

SM_SANDBOX_FAULT=hang:20     after 20 images the container stops answering
SM_SANDBOX_FAULT=kill:20     after 20 images the container dies
SM_SANDBOX_FAULT=delay:0.5   each image takes half a second longer
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping

from sandbox.common.store import Document

VARIABLE = "SM_SANDBOX_FAULT"
STOP_SECONDS = 0.2
"""After which a waiting image notices that its job is stopped."""

_FORM = re.compile(r"(hang|kill):([0-9]{1,6})|(delay):([0-9]{1,4}(?:\.[0-9]{1,3})?)")


def fault_problem(environment: Mapping[str, str]) -> str:
    """Return what is wrong with a job's fault; empty without one."""
    text = environment.get(VARIABLE)
    if text is None or _FORM.fullmatch(text):
        return ""
    return f"{VARIABLE} must be hang:N or kill:N (after N images) or delay:SECONDS, not {text[:40]!r}."


class JobFault:
    """The fault of one worker. value: images before it, or seconds.

    Several images are in progress at once: those before a fault are answered first, and none after it is sent before.
    """

    def __init__(self, kind: str, value: float) -> None:
        self._kind, self._value = kind, value
        self._sent, self._answered, self._applied = 0, 0, False
        self._changed = threading.Condition()

    @classmethod
    def of(cls, document: Document) -> JobFault | None:
        """Return the fault that a job asks for; None without one."""
        match = _FORM.fullmatch((document.get("Environment") or {}).get(VARIABLE, ""))
        return cls(match[1] or match[3], float(match[2] or match[4])) if match else None

    def before(self, stop: threading.Event, apply: Callable[[str, float], None]) -> None:
        """Apply the fault if it is due for the next image, after waiting for its turn, unless `stop` is set.

        apply: gets the kind and the seconds.
        """
        if self._kind == "delay":
            apply(self._kind, self._value)
            return
        with self._changed:
            self._sent += 1
            number = self._sent
            if number <= self._value:
                return
            first = number == self._value + 1
            while not stop.is_set() and (self._answered < self._value if first else not self._applied):
                self._changed.wait(STOP_SECONDS)
        if first:
            apply(self._kind, self._value)
            with self._changed:
                self._applied = True
                self._changed.notify_all()

    def after(self) -> None:
        """Count an image that was answered, or failed."""
        with self._changed:
            self._answered += 1
            self._changed.notify_all()
