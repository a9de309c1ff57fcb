"""Free the memory of closed tabs on time.

Streamlit keeps the session of a closed tab for `server.disconnectedSessionTTL` seconds, but removes it only when the
next tab closes: until then the images of the last users stay in memory. Segdeck also disables the garbage collection
that Streamlit does after every run, so sessions, which are reference cycles, would wait for a full collection.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from typing import Any, Protocol, cast

import anyio
from anyio import to_thread
from streamlit.runtime import Runtime

CHECK_SECONDS = 15.0


class Expiring(Protocol):
    """Streamlit's store of the sessions of closed tabs, its `TTLCache`."""

    def expire(self) -> list[tuple[str, Any]]:
        """Remove and return the expired entries."""


async def keep_clean(closed: Callable[[], Expiring]) -> None:
    """Check for expired sessions periodically. closed: the store, see `closed_sessions`."""
    while True:
        await anyio.sleep(CHECK_SECONDS)
        if expire(closed()):
            await to_thread.run_sync(give_back)


def closed_sessions() -> Expiring:
    """Return the store of closed tabs' sessions of the running Streamlit; it has no public name."""
    return cast("Expiring", Runtime.instance()._session_mgr._session_storage._cache)  # type: ignore[attr-defined]


def expire(closed: Expiring) -> bool:
    """Remove expired sessions; return whether there were any. Call it on the event loop, as Streamlit does."""
    return bool(closed.expire())


def give_back() -> None:
    """Collect the removed sessions, and return free memory to the operating system if the allocator can (glibc)."""
    gc.collect()
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)
