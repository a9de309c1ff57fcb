"""Pipe mode: stream a channel's augmented manifest through a named pipe, one pipe for each epoch.

The program reads input/data/CHANNEL_0 to its end, then CHANNEL_1, and so on. Of each line of the manifest, in the
order of AttributeNames: the content of the S3 object for an attribute that ends in -ref, otherwise the value's text.
A line without one of them is skipped. With RecordWrapperType RecordIO each is a record; otherwise they follow one
another without a boundary.

Source: SageMaker developer guide, "Augmented Manifest Files for Training Jobs" and "How Amazon SageMaker AI Provides
Training Information"; API reference, "ShuffleConfig".
"""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox.common.recordio import framed
from sandbox.common.store import Document
from sandbox.training.channels import ChannelDownloader, DownloadError, JobStoppedError, read_object

MANIFEST = "AugmentedManifestFile"


def uses_pipe(channel: Document, document: Document) -> bool:
    """Return whether a channel of a job is in Pipe mode."""
    mode: str = document["AlgorithmSpecification"]["TrainingInputMode"]
    return bool((channel.get("InputMode") or mode) == "Pipe")


class ChannelPipes:
    """The pipes of a job's channels.

    failed: called, from another thread, when a channel cannot be streamed; `failure` is then the reason.
    """

    def __init__(
        self,
        source: ChannelDownloader,
        channels: Sequence[Document],
        folder: Path,
        failed: Callable[[], object],
    ) -> None:
        """Read the manifests and start to stream into `folder`. Raises DownloadError."""
        self.failure = ""
        self._failed = failed
        lines = [_lines(source, channel["DataSource"]["S3DataSource"]["S3Uri"]) for channel in channels]
        self._pipes = [
            _Pipe(source, channel, rows, folder, self._fail)
            for channel, rows in zip(channels, lines, strict=True)
        ]

    def _fail(self, reason: str) -> None:
        self.failure = self.failure or reason
        self._failed()

    def close(self) -> None:
        """End the streams, also those that nobody reads."""
        for pipe in self._pipes:
            pipe.close()


class _Pipe:
    """One channel's stream. A thread writes, and is blocked until the program reads."""

    def __init__(
        self,
        source: ChannelDownloader,
        channel: Document,
        lines: Sequence[Document],
        folder: Path,
        fail: Callable[[str], object],
    ) -> None:
        self._lines, self._folder, self._fail = lines, folder, fail
        self._closing = threading.Event()
        self._source = replace(source, stop=self._closing)  # a job that is being stopped may still read
        self._name: str = channel["ChannelName"]
        self._names: list[str] = channel["DataSource"]["S3DataSource"]["AttributeNames"]
        self._wrapped = channel.get("RecordWrapperType") == "RecordIO"
        self._seed: int | None = (channel.get("ShuffleConfig") or {}).get("Seed")
        self._epoch = 0
        os.mkfifo(self._path(0))
        self._thread = threading.Thread(target=self._run, name=f"pipe {self._name}", daemon=True)
        self._thread.start()

    def _path(self, epoch: int) -> Path:
        return self._folder / f"{self._name}_{epoch}"

    def _run(self) -> None:
        """Stream one epoch after another, until the pipes are closed."""
        while not self._closing.is_set():
            path = self._path(self._epoch)
            pipe = os.open(path, os.O_WRONLY)  # waits for the reader
            try:
                os.mkfifo(self._path(self._epoch + 1))  # before the reader sees the end of this one
                path.unlink()
                for content in self._contents(self._epoch):
                    _write(pipe, framed(content) if self._wrapped else content)
            except BrokenPipeError:
                pass  # the program reads no more of this epoch
            except JobStoppedError:
                return
            except (DownloadError, ValueError) as problem:
                self._fail(str(problem))
                return
            finally:
                os.close(pipe)
            self._epoch += 1

    def _contents(self, epoch: int) -> Iterator[bytes]:
        """Yield what an epoch consists of. Raises DownloadError or JobStoppedError."""
        lines = [line for line in self._lines if all(name in line for name in self._names)]
        if self._seed is not None:
            random.Random(f"{self._seed} {epoch}").shuffle(lines)
        for line in lines:
            for name in self._names:
                if self._closing.is_set():
                    raise JobStoppedError
                yield self._content(name, line[name])

    def _content(self, name: str, value: Any) -> bytes:
        """Return the content of an attribute. Raises DownloadError or JobStoppedError."""
        if name.endswith("-ref"):
            return read_object(self._source, str(value))
        return (value if isinstance(value, str) else json.dumps(value)).encode()

    def close(self) -> None:
        """End the thread: a reader that closes at once ends its wait for a reader, and its writes."""
        self._closing.set()
        while self._thread.is_alive():
            for epoch in (self._epoch, self._epoch + 1):
                with suppress(OSError):
                    os.close(os.open(self._path(epoch), os.O_RDONLY | os.O_NONBLOCK))
            self._thread.join(0.05)
        for epoch in (self._epoch, self._epoch + 1):
            self._path(epoch).unlink(missing_ok=True)


def _write(pipe: int, content: bytes) -> None:
    """Write everything. Raises BrokenPipeError when the reader closes."""
    view = memoryview(content)
    while view:
        view = view[os.write(pipe, view) :]


def _lines(source: ChannelDownloader, uri: str) -> list[Document]:
    """Read an augmented manifest: a JSON object in each line. Raises DownloadError or JobStoppedError."""
    lines = []
    for number, line in enumerate(read_object(source, uri).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as problem:
            raise _invalid(uri, number, str(problem)) from problem
        if not isinstance(row, dict):
            raise _invalid(uri, number, "it is not a JSON object")
        lines.append(row)
    return lines


def _invalid(uri: str, number: int, why: str) -> DownloadError:
    return DownloadError(f'Data download failed: line {number} of "{uri}" is not valid JSON: {why}')
