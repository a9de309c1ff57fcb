"""Endpoint configurations, the only source of instance types: read in the background, a few at a time, and cached.

They are immutable, and AWS returns one per call. So a page with 500 endpoints does not wait for them.
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
"""Concurrent calls."""

AGAIN_SECONDS = 60
"""Seconds after a failure before a configuration is read again."""

PATIENCE = 0.4
"""Seconds that a page waits for new configurations: enough for a handful."""

Load = Callable[[str], EndpointConfig | None]


class Configs:
    """The configurations read so far, and the reads in progress.

    load:  reads one by its name; None if it was deleted or cannot be read. May raise CoreError.
    clock: monotonic seconds.
    """

    def __init__(self, load: Load, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._load, self._clock = load, clock
        self._lock = Lock()
        self._configs: dict[str, EndpointConfig] = {}
        self._failed_at: dict[str, float] = {}
        self._reading: dict[str, Future[EndpointConfig | None]] = {}
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="configs")

    def known(
        self, names: Iterable[str], *, patience: float = PATIENCE
    ) -> Mapping[str, EndpointConfig | None]:
        """Return the configurations that were read, or cannot be (None); the others are being read now."""
        wanted = set(names)
        with self._lock:
            new = [self._start(name) for name in sorted(wanted) if self._is_new(name)]
        wait(new, timeout=patience)
        with self._lock:
            for name, future in list(self._reading.items()):
                if future.done():
                    self._take(name, self._reading.pop(name))
            return {name: self._configs.get(name) for name in wanted if name not in self._reading}

    def _is_new(self, name: str) -> bool:
        if name in self._configs or name in self._reading:
            return False
        return self._clock() - self._failed_at.get(name, float("-inf")) >= AGAIN_SECONDS

    def _start(self, name: str) -> Future[EndpointConfig | None]:
        future = self._reading[name] = self._pool.submit(self._load, name)
        return future

    def _take(self, name: str, future: Future[EndpointConfig | None]) -> None:
        error = future.exception()
        if error is not None and not isinstance(error, CoreError):
            raise error
        config = None if error is not None else future.result()
        if config is None:
            self._failed_at[name] = self._clock()
        else:
            self._configs[name] = config


def of(connection: Connection) -> Configs:
    """Return the cache of this connection; entries never expire, since AWS never changes a configuration."""
    return cached.of_connection(
        "endpoint configurations",
        connection,
        lambda: Configs(lambda name: read_configs(clients(connection), [name]).get(name)),
    )
