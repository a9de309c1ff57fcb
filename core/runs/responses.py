"""Responses of endpoints on disk, so that an image is not sent to the same model, and billed, twice.

A response belongs to the bytes of its request, the endpoint, its configuration and its model: after an update of the
endpoint it no longer applies. Two files hold it:

KEY.png     the class ids, at the size of the response; for a mask, the response itself
KEY.body    the response, if it has probabilities: it is large, and removed first
KEY.json    what the endpoint reported; written last, it marks the response as complete
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.endpoints.endpoint import EndpointInfo
from core.errors import InputError
from core.escaping import json_bytes
from core.imaging.classes import voc_colors
from core.imaging.image import EncodedImage
from core.inference.export import write_new
from core.inference.invoke import EndpointResponse, Inference, Want
from core.local_files import private_folder, read_regular
from core.render.masks import mask_png
from core.strict_json import parse_json
from core.wire.decode import PNG

KEY = re.compile(r"[0-9a-f]{32}")
"""A key; it is part of a path."""

HEAD = {"segdeck": "response", "version": 1}
MOST_SECONDS = 1e6


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """What must be the same for an earlier response to be valid.

    location:  of the account or sandbox, and the region.
    endpoint:  its name.
    config:    the name and creation time of its configuration; another one serves another model.
    model_uri: the S3 URI of its model; empty if unknown.
    """

    location: str
    endpoint: str
    config: str
    model_uri: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class CachedResponse:
    """A response from the disk.

    accept:   the content type that was requested.
    complete: False if probabilities were requested and only the class ids are left, as a PNG.
    """

    response: EndpointResponse
    accept: str
    complete: bool


def model_identity(endpoint: EndpointInfo, location: str) -> ModelIdentity | None:
    """Return the identity of an endpoint's model; None if its configuration is unknown, so that nothing is reused."""
    if " " not in endpoint.config:  # without its creation time, another one may have had this name
        return None
    return ModelIdentity(location, endpoint.name, endpoint.config, endpoint.model_uri)


def response_key(image: EncodedImage, model: ModelIdentity) -> str:
    """Return the key of the response to an image: 32 hex digits of the BLAKE2b hash (RFC 7693) of all its inputs."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (model.location, model.endpoint, model.config, model.model_uri, image.content_type):
        digest.update(part.encode("utf-8", "backslashreplace") + b"\0")
    digest.update(image.body)
    return digest.hexdigest()


def content_id(data: bytes | memoryview) -> str:
    """Return the id of a file's content: 32 hex digits of its BLAKE2b hash."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


class ResponseCache:
    """A folder of responses, private to this user. Its methods are safe for several threads and processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str, want: Want) -> CachedResponse | None:
        """Return the response to a request; None where there is none, or where it was for a mask alone."""
        try:
            row = _head(read_regular(self.folder / f"{_checked(key)}.json"))
        except OSError:
            return None
        if row is None:
            return None
        body = None
        if want == "probabilities":
            if row["content_type"] == PNG:
                return None
            body = self._read(key, "body")
        media_type = PNG if body is None else row["content_type"]
        data = self._read(key, "png") if body is None else body
        if data is None:
            return None
        response = EndpointResponse(data, media_type, row["seconds"])
        return CachedResponse(response, row["accept"], complete=body is not None or want == "mask")

    def add(self, key: str, inference: Inference) -> None:
        """Write a decoded response. Raises InputError where the disk does not take it."""
        answer = inference.answer
        name = str(self.folder / _checked(key))
        media_type = answer.content_type.partition(";")[0].strip().lower()
        row = {
            "accept": inference.accept,
            "content_type": media_type,
            "seconds": inference.endpoint_seconds,
            "endpoint": inference.endpoint,
        }
        make_private(self.folder)
        if media_type == PNG:
            if self.get(key, "mask") is not None:
                return  # what is there has the same class ids, and may have probabilities
            _write(Path(f"{name}.png"), answer.body)
        else:
            _write(Path(f"{name}.png"), mask_png(inference.segmentation.labels, voc_colors(256)))
            _write(Path(f"{name}.body"), answer.body)
        _write(Path(f"{name}.json"), json_bytes({**HEAD, **row}, indent=None))

    def paths(self, key: str) -> tuple[Path, ...]:
        """Return the files of a response, the one that marks it as complete first."""
        return tuple(self.folder / f"{_checked(key)}.{suffix}" for suffix in ("json", "body", "png"))

    def _read(self, key: str, suffix: str) -> bytes | None:
        path = self.folder / f"{key}.{suffix}"
        try:
            data = read_regular(path)
        except OSError:
            return None
        with suppress(OSError):  # only the order of removal depends on it
            os.utime(path)
        return data


def make_private(folder: Path) -> None:
    """Create a folder that only this user can read. Raises InputError."""
    try:
        private_folder(folder)
    except OSError as error:
        raise InputError(
            f"The folder {folder} cannot be created.",
            why=f"{error.strerror or error}.",
            todo="Set SEGDECK_STATE_DIR to a folder with write permission and enough free space.",
        ) from error


def _write(path: Path, data: bytes) -> None:
    write_new(path, data, overwrite=True, private=True)


def _checked(key: str) -> str:
    if not KEY.fullmatch(key):
        raise ValueError(f"{key!r} is not a key")
    return key


def _head(data: bytes) -> Mapping[str, Any] | None:
    """Return the content of KEY.json; None for anything that `ResponseCache.add` did not write."""
    try:
        row = parse_json(data)
    except ValueError:
        return None
    if not isinstance(row, dict) or any(row.get(name) != value for name, value in HEAD.items()):
        return None
    texts = all(isinstance(row.get(name), str) for name in ("accept", "content_type"))
    seconds = row.get("seconds")
    valid = isinstance(seconds, int | float) and 0 <= seconds < MOST_SECONDS
    return row if texts and valid else None
