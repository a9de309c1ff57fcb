"""Inject faults for tests: errors, delays and broken connections, made where a real network makes them.

    faults.add("error", operation="DescribeEndpoint", code="ThrottlingException", times=2)
    faults.add("truncate", operation="InvokeEndpoint", at=10_000)

Kinds: error (code, message, status), delay (seconds, or until `clear`, then the real response), slow (chunk, pause:
the body in pieces), truncate and reset_body (the body ends after `at` bytes, by FIN or RST), reset and drop (RST or
FIN instead of a response), lost_reply (the operation runs, its response is lost).

Faults of a transform job's workers are rules of the service "transform"; their operation is "JOB/WORKER BUCKET/KEY",
the worker's number beginning at 1: delay (seconds, before the image is sent), hang (the worker's container stops
answering) and kill (it dies).

    faults.add("hang", service="transform", operation="my-job/1 .*", times=1)

Two kinds concern instances, not requests: interrupt (AWS reclaims the spot instance of the training job `resource`;
after_checkpoint: only once it has copied a checkpoint to S3; capacity_seconds: until there is another instance) and
capacity (there is no instance of the type `resource` to launch, for `seconds` or until `clear`).
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sandbox.http.protocol import ApiError, Environ, dialect, error_reply

REQUEST_KINDS = frozenset({"error", "delay", "slow", "truncate", "reset_body", "reset", "drop", "lost_reply"})
WORKER_KINDS = frozenset({"delay", "hang", "kill"})
INSTANCE_KINDS = frozenset({"interrupt", "capacity"})
KINDS = REQUEST_KINDS | WORKER_KINDS | INSTANCE_KINDS
WORKERS = "transform"
"""The service of the rules for transform jobs' workers."""
Wsgi = Callable[[Any, Any], Iterable[bytes]]


@dataclass(slots=True)
class FaultRule:
    """One fault. `times` counts down to 0; None lasts until `clear`, which sets `over`.

    ends: when an instance rule ends, by time.monotonic(); None if it does not.
    """

    kind: str
    operation: re.Pattern[str]
    service: re.Pattern[str]
    resource: re.Pattern[str]
    times: int | None
    over: threading.Event
    ends: float | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def active(self) -> bool:
        """Return whether the rule still applies."""
        return self.times != 0 and (self.ends is None or time.monotonic() < self.ends)


class Faults:
    """The active rules; the first that matches a request is applied. `hits` lists the applied ones in order."""

    def __init__(self) -> None:
        self.hits: list[tuple[str, str]] = []
        self._rules: list[FaultRule] = []
        self._over = threading.Event()
        self._lock = threading.Lock()

    def add(
        self,
        kind: str,
        *,
        operation: str = ".*",
        service: str = ".*",
        resource: str = ".*",
        times: int | None = None,
        **options: Any,
    ) -> None:
        """Add a rule. operation, service: patterns of the whole name ("InvokeEndpoint", "s3", "GetObject" ...).

        S3 requests are named by method and path: "GET /bucket/key". resource: a pattern of the whole name of the job
        or instance type, for rules on instances.
        """
        if kind not in KINDS:
            raise ValueError(f"unknown fault {kind!r}: use one of {', '.join(sorted(KINDS))}")
        patterns = re.compile(operation), re.compile(service), re.compile(resource)
        ends = None
        if kind in INSTANCE_KINDS and "seconds" in options:
            ends = time.monotonic() + options["seconds"]
        with self._lock:
            self._rules.append(FaultRule(kind, *patterns, times, self._over, ends, options))

    def remove(self, kind: str, resource: str) -> int:
        """Remove the instance rules that match a job or an instance type; return how many there were."""
        with self._lock:
            kept = [
                rule for rule in self._rules if rule.kind != kind or not rule.resource.fullmatch(resource)
            ]
            count = sum(rule.active() for rule in self._rules) - sum(rule.active() for rule in kept)
            self._rules[:] = kept
        return count

    def take(
        self, kind: str, resource: str, when: Callable[[FaultRule], bool] = lambda _: True
    ) -> FaultRule | None:
        """Return the first instance rule for a job or an instance type for which `when` is true, counted as used."""
        with self._lock:
            for rule in self._rules:
                if rule.kind == kind and rule.active() and rule.resource.fullmatch(resource) and when(rule):
                    return self._use(rule, resource)
        return None

    def clear(self) -> None:
        """Remove all rules; requests held by a delay continue immediately."""
        with self._lock:
            self._rules.clear()
            self.hits.clear()
            self._over.set()
            self._over = threading.Event()

    def match(self, service: str, operation: str) -> FaultRule | None:
        """Return the rule to apply to this request or image of a worker, and count it as used."""
        kinds = WORKER_KINDS if service == WORKERS else REQUEST_KINDS
        with self._lock:
            for rule in self._rules:
                if (
                    rule.kind in kinds
                    and rule.active()
                    and rule.service.fullmatch(service)
                    and rule.operation.fullmatch(operation)
                ):
                    return self._use(rule, operation)
        return None

    def _use(self, rule: FaultRule, name: str) -> FaultRule:
        """Count a rule as used, while the lock is held."""
        if rule.times is not None:
            rule.times -= 1
        self.hits.append((rule.kind, name))
        return rule


def apply(rule: FaultRule, service: str, environ: Environ, start_response: Any, app: Wsgi) -> Iterable[bytes]:
    """Answer the request as the rule says; `app` gives the real response."""
    options = rule.options
    if rule.kind == "error":
        return _error(options, service, environ, start_response)
    if rule.kind == "delay":
        rule.over.wait(options.get("seconds", 1.0))
        return app(environ, start_response)
    if rule.kind == "lost_reply":
        for _ in app(environ, lambda *_: None):
            pass
        _reset(environ)
        raise ConnectionError("fault: the response is lost")
    if rule.kind in {"reset", "drop"}:
        _discard_body(environ)
        _reset(environ) if rule.kind == "reset" else _finish(environ)
        raise ConnectionError(f"fault: {rule.kind}")
    return _broken_body(rule, environ, start_response, app)


def _error(options: dict[str, Any], service: str, environ: Environ, start_response: Any) -> Iterable[bytes]:
    """Send an error in the client's own protocol."""
    _discard_body(environ)
    known = {"code", "message", "status"}
    extra = {name: value for name, value in options.items() if name not in known}
    code, status = options.get("code", "ThrottlingException"), options.get("status", 400)
    error = ApiError(code, options.get("message", "Rate exceeded"), status, **extra)
    reply = error_reply(error, dialect(environ, service))
    start_response(reply.status_line(), reply.headers)
    return reply.body


def _broken_body(rule: FaultRule, environ: Environ, start_response: Any, app: Wsgi) -> Iterable[bytes]:
    """Send the real head with its Content-Length, then a slow or incomplete body."""
    head: list[Any] = []
    whole = b"".join(app(environ, lambda status, headers, _=None: head.extend((status, headers))))
    status, headers = head
    kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
    start_response(status, [*kept, ("Content-Length", str(len(whole)))])
    return _slowly(whole, rule.options) if rule.kind == "slow" else _cut(whole, rule, environ)


def _slowly(whole: bytes, options: dict[str, Any]) -> Iterator[bytes]:
    """Yield the body in pieces with pauses."""
    step = options.get("chunk", 65536)
    for start in range(0, len(whole), step):
        yield whole[start : start + step]
        time.sleep(options.get("pause", 0.1))


def _cut(whole: bytes, rule: FaultRule, environ: Environ) -> Iterator[bytes]:
    """Yield the start of the body, then close the connection."""
    yield whole[: rule.options.get("at", len(whole) // 2)]
    _reset(environ) if rule.kind == "reset_body" else _finish(environ)
    raise ConnectionError("fault: the body is truncated")


def _discard_body(environ: Environ) -> None:
    """Read the whole request: a response before its end would look like another fault."""
    while environ["wsgi.input"].read(1 << 20):
        pass


def _reset(environ: Environ) -> None:
    """Send RST. Closing alone would wait for the streams made from the socket, so its descriptor is detached."""
    sock = environ["werkzeug.socket"]
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(sock.detach())


def _finish(environ: Environ) -> None:
    """Send FIN."""
    with contextlib.suppress(OSError):  # the client may have gone first
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
