"""Sessions of closed tabs."""

from __future__ import annotations

import gc
import weakref

from streamlit.runtime.caching.ttl_cache import TTLCache
from streamlit.runtime.memory_session_storage import MemorySessionStorage

from pages.parts import session_cleanup


class Session:
    """A session, as Streamlit's are: a reference cycle."""

    def __init__(self) -> None:
        self.me = self


def test_an_expired_session_is_freed_without_another_visitor() -> None:
    """A closed tab's session is freed once it expires, even if no other tab is opened or closed."""
    now = [0.0]
    closed = TTLCache(maxsize=8, ttl=60, timer=lambda: now[0])
    session = Session()
    freed = weakref.ref(session)
    closed["id"] = session
    del session
    now[0] = 59
    assert not session_cleanup.expire(closed)
    now[0] = 61
    gc.disable()
    try:
        assert session_cleanup.expire(closed)
        session_cleanup.give_back()
    finally:
        gc.enable()
    assert freed() is None


def test_streamlit_keeps_closed_sessions_where_we_look() -> None:
    """Streamlit's store of closed sessions has the private name and the type that the cleanup relies on."""
    assert isinstance(MemorySessionStorage()._cache, TTLCache)
