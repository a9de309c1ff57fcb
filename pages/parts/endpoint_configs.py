"""Endpoint configurations, which alone tell instance types: read in the background, a few at a time, and kept.

AWS never changes one, and tells of one a call. So a page with five hundred endpoints does not wait for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Lock

from core.aws.connection import Connection, clients
from core.aws.endpoints import configs as read_configs
from core.endpoints.endpoint import EndpointConfig
from core.errors import CoreError
from pages.parts import cached

AT_ONCE = 4
"""Calls at the same time."""

AGAIN_SECONDS = 60
"""So long after a failure one is not asked for again."""

PATIENCE = 0.4
"""Seconds that a page waits for those it asks for first: a handful is there by then."""

Load = Callable[[str], EndpointConfig | None]


class Configs:
    """load: reads one by its name; None where it is gone or may not be read. May raise CoreError.

    clock: seconds that never run backwards.
    """

    def __init__(self, load: Load, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._load, self._clock = load, clock
        self._lock = Lock()
        self._found: dict[str, EndpointConfig] = {}
        self._missed: dict[str, float] = {}
        self._asked: dict[str, Future[EndpointConfig | None]] = {}
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="configs")

    def known(
        self, names: Iterable[str], *, patience: float = PATIENCE
    ) -> Mapping[str, EndpointConfig | None]:
        """Those of the names that were read, or cannot be (None); the others are being read now."""
        wanted = set(names)
        with self._lock:
            new = [self._ask(name) for name in sorted(wanted) if self._is_new(name)]
        wait(new, timeout=patience)
        with self._lock:
            for name, future in list(self._asked.items()):
                if future.done():
                    self._take(name, self._asked.pop(name))
            return {name: self._found.get(name) for name in wanted if name not in self._asked}

    def _is_new(self, name: str) -> bool:
        if name in self._found or name in self._asked:
            return False
        return self._clock() - self._missed.get(name, float("-inf")) >= AGAIN_SECONDS

    def _ask(self, name: str) -> Future[EndpointConfig | None]:
        future = self._asked[name] = self._pool.submit(self._load, name)
        return future

    def _take(self, name: str, future: Future[EndpointConfig | None]) -> None:
        error = future.exception()
        if error is not None and not isinstance(error, CoreError):
            raise error
        found = None if error is not None else future.result()
        if found is None:
            self._missed[name] = self._clock()
        else:
            self._found[name] = found


def of(connection: Connection) -> Configs:
    """Return the endpoint configurations of this connection that were read, for good: AWS never changes one."""
    return cached.of_connection(
        "endpoint configurations",
        connection,
        lambda: Configs(lambda name: read_configs(clients(connection), [name]).get(name)),
    )
