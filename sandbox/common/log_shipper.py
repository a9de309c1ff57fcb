"""Ship the output of programs to CloudWatch Logs line by line, in batches, in the background."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.common.clients import Loopback

BATCH_SECONDS = 0.25
BATCH_EVENTS = 1000
MAX_LINE = 200_000  # bytes; PutLogEvents refuses events above 256 KiB
MAX_WAITING = 20_000  # lines: above that a verbose process blocks, as its pipe is not read
Event = dict[str, Any]


class FollowedPipe:
    """One pipe being read; `last_line` is the last line that is not blank."""

    def __init__(self) -> None:
        self.last_line = ""
        self.ended = threading.Event()


class LogShipper:
    """Reads each pipe in a thread of its own; one more thread sends the lines of all streams."""

    def __init__(self, loopback: Loopback, clock: Callable[[], float] = time.time) -> None:
        self._loopback, self._clock = loopback, clock
        self._waiting: dict[tuple[str, str], list[Event]] = {}
        self._in_flight: set[tuple[str, str]] = set()
        self._count = 0
        self._created: set[tuple[str, str]] = set()
        self._change = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._send_all, name="log-shipper", daemon=True)
        self._thread.start()

    def follow(
        self, pipe: IO[bytes], group: str, stream: str, on_line: Callable[[str], object] | None = None
    ) -> FollowedPipe:
        """Read `pipe` to its end in a thread of its own, which also calls `on_line`."""
        followed = FollowedPipe()
        arguments = (pipe, (group, stream), followed, on_line)
        threading.Thread(target=self._read, args=arguments, name=f"log {stream}", daemon=True).start()
        return followed

    def add(self, group: str, stream: str, line: str) -> None:
        """Queue one line of a stream; block while too many are waiting."""
        self._add((group, stream), line)

    def flush(self, group: str, stream: str, seconds: float) -> bool:
        """Wait until all lines of a stream are sent; return False on a timeout."""
        key = (group, stream)
        with self._change:
            return self._change.wait_for(
                lambda: key not in self._waiting and key not in self._in_flight, timeout=seconds
            )

    def close(self) -> None:
        """Send the waiting lines and stop; the sandbox must still be answering."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        self._thread.join(timeout=5)

    def _read(
        self,
        pipe: IO[bytes],
        key: tuple[str, str],
        followed: FollowedPipe,
        on_line: Callable[[str], object] | None,
    ) -> None:
        """Read a pipe line by line to its end."""
        with pipe:
            while raw := pipe.readline(MAX_LINE):
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                followed.last_line = line.strip() or followed.last_line
                self._add(key, line)
                if on_line is not None:
                    on_line(line)
        followed.ended.set()

    def _add(self, key: tuple[str, str], line: str) -> None:
        """Queue one line; block while too many are waiting."""
        event = {"timestamp": int(self._clock() * 1000), "message": line or " "}
        with self._change:
            self._change.wait_for(lambda: self._count < MAX_WAITING or self._closing)
            self._waiting.setdefault(key, []).append(event)
            self._count += 1
            self._change.notify_all()

    def _send_all(self) -> None:
        """Send batches until closed and empty."""
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._closing)
                # Lines come in bursts: a short wait combines them into one call.
                self._change.wait_for(lambda: self._closing, timeout=BATCH_SECONDS)
                batches, self._waiting, self._count = self._waiting, {}, 0
                self._in_flight = set(batches)
                closing = self._closing
                self._change.notify_all()
            for key, events in batches.items():
                self._send(key, events)
            with self._change:
                self._in_flight = set()
                self._change.notify_all()
            if closing and not batches:
                return

    def _send(self, key: tuple[str, str], events: list[Event]) -> None:
        """Send one stream's lines; lines that CloudWatch Logs refuses are reported on stderr."""
        events.sort(key=lambda event: event["timestamp"])  # the clock may have been set back
        try:
            for start in range(0, len(events), BATCH_EVENTS):
                self._put(key, events[start : start + BATCH_EVENTS])
        except (ClientError, BotoCoreError) as problem:
            print(f"sandbox: {len(events)} log lines of {key[0]} were lost: {problem}", file=sys.stderr)

    def _put(self, key: tuple[str, str], events: list[Event]) -> None:
        """Put one batch, after creating its group and stream."""
        logs = self._loopback.client("logs")
        self._create(key)
        try:
            logs.put_log_events(logGroupName=key[0], logStreamName=key[1], logEvents=events)
        except logs.exceptions.ResourceNotFoundException:  # the group was deleted in between
            self._created.discard(key)
            self._create(key)
            logs.put_log_events(logGroupName=key[0], logStreamName=key[1], logEvents=events)

    def _create(self, key: tuple[str, str]) -> None:
        """Create a group and stream once."""
        if key in self._created:
            return
        logs = self._loopback.client("logs")
        with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=key[0])
        with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_stream(logGroupName=key[0], logStreamName=key[1])
        self._created.add(key)
