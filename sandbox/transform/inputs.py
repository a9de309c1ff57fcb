"""List the inputs of a transform job, once, into a file, so that memory does not grow with their number.

All inputs are listed before the first output is written: an output below the input prefix is not an input. Source:
SageMaker API reference, "TransformS3DataSource" and "TransformOutput".
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.common.s3_uri import split_uri
from sandbox.common.store import Document

SUFFIX = ".out"
MAX_MANIFEST = 64 << 20  # bytes


class InputError(Exception):
    """The inputs cannot be listed; the text goes into the FailureReason."""


@dataclass(frozen=True, slots=True)
class InputObject:
    """One input. name: its output's key below the output prefix, without the suffix."""

    bucket: str
    key: str
    name: str

    @property
    def label(self) -> str:
        """Return how AWS's log names the object."""
        return f"{self.bucket}/{self.key}"


class InputList:
    """The inputs in a file, handed out one at a time to many threads."""

    def __init__(self, path: Path) -> None:
        """Create the file."""
        self._file = path.open("w+", encoding="ascii")
        self._lock = threading.Lock()
        self.count = 0

    def fill(self, items: Iterator[InputObject], check_stopped: Callable[[], object]) -> None:
        """Write all inputs, then go to the first. check_stopped: called between them; may raise."""
        for item in items:
            check_stopped()
            self._file.write(f"{json.dumps([item.bucket, item.key, item.name])}\n")
            self.count += 1
        self._file.seek(0)

    def next(self) -> InputObject | None:
        """Return the next input; None after the last."""
        with self._lock:
            line = self._file.readline()
        return InputObject(*json.loads(line)) if line else None

    def rest(self) -> int:
        """Return how many inputs nobody has taken."""
        with self._lock:
            return sum(1 for _ in self._file)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def list_inputs(s3: Any, data: Document) -> Iterator[InputObject]:
    """Yield the inputs of an S3DataSource. Raises InputError."""
    try:
        if data["S3DataType"] == "ManifestFile":
            yield from _by_manifest(s3, data["S3Uri"])
        else:
            yield from _by_prefix(s3, data["S3Uri"])
    except ClientError as problem:
        error, status = problem.response["Error"], problem.response["ResponseMetadata"]["HTTPStatusCode"]
        raise InputError(
            f"{data['S3Uri']} cannot be read: {error['Code']} ({status}): {error['Message']}"
        ) from problem
    except BotoCoreError as problem:
        raise InputError(f"{data['S3Uri']} cannot be read: {problem}") from problem


def _by_prefix(s3: Any, uri: str) -> Iterator[InputObject]:
    """Yield every object whose key begins with the prefix, but folder markers."""
    bucket, prefix = split_uri(uri)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", ()):
            if not item["Key"].endswith("/"):
                yield InputObject(bucket, item["Key"], name_below(prefix, item["Key"]))


def name_below(prefix: str, key: str) -> str:
    """Return a key relative to the "folder" that the prefix names, or else to the one that it is in."""
    folder = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
    return key[len(folder) :] if key.startswith(folder) else key[prefix.rfind("/") + 1 :]


def _by_manifest(s3: Any, uri: str) -> Iterator[InputObject]:
    """Yield the objects of a manifest: a JSON list of {"prefix": "s3://bucket/folder/"} and names below it.

    The slash between prefix and name may be part of either; a second one is part of the key.
    """
    bucket, key = split_uri(uri)
    text = s3.get_object(Bucket=bucket, Key=key)["Body"].read(MAX_MANIFEST + 1)
    if len(text) > MAX_MANIFEST:
        raise InputError(f'"{uri}" is not a valid manifest: it has more than {MAX_MANIFEST} bytes.')
    try:
        first, *names = json.loads(text)
        bucket, start = split_uri(first["prefix"])
        cut = "" if first["prefix"].endswith("/") else "/"
        items = [InputObject(bucket, start + name, name.removeprefix(cut)) for name in names]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
        raise InputError(f'"{uri}" is not a valid manifest: {problem!r}') from problem
    if not items:
        raise InputError(f'"{uri}" is not a valid manifest: it names no objects.')
    yield from items
