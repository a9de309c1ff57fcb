"""Every cache of the product, as thin wrappers. The key is always the frozen `Connection`, never a client.

All of them are bounded, by age or by number. Errors are never cached: what failed is asked again at the next run.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st
from PIL import Image

from core.aws.connection import Connection, clients, connect
from core.aws.endpoints import describe_serving, list_endpoints
from core.aws.identity import Caller, whoami
from core.aws.storage import get_bytes
from core.endpoints import EndpointList, Serving
from core.errors import CoreError, InputError
from core.image import encode, open_photo
from core.settings import Settings

if TYPE_CHECKING:
    from pages.parts.upstream import Upstream

THUMBNAIL = (320, 240)
"""Twice the size a thumbnail is shown in, for screens with fine pixels."""


@dataclass(frozen=True, slots=True)
class Example:
    """A picture that an endpoint's owner put beside the model to try it with.

    uri:   in S3. title, note: what a person reads.
    """

    uri: str
    title: str
    note: str


@st.cache_resource(show_spinner=False)
def upstream() -> Upstream:
    """The one of this process."""
    from pages.parts.upstream import Upstream  # noqa: PLC0415  # it stands above this module

    return Upstream()


@st.cache_resource(ttl="5m", max_entries=8, show_spinner=False)
def connection(settings: Settings) -> Connection:
    """The connection of mode `aws`."""
    return connect(settings)


@st.cache_data(ttl="15s", max_entries=16, show_spinner=False)
def endpoints(connection: Connection) -> EndpointList:
    """All endpoints, newest first."""
    return list_endpoints(clients(connection))


@st.cache_data(ttl="1m", max_entries=64, show_spinner=False)
def serving(connection: Connection, name: str) -> Serving:
    """One endpoint with its classes."""
    return describe_serving(clients(connection), name)


@st.cache_data(ttl="10m", max_entries=8, show_spinner=False)
def caller(connection: Connection) -> Caller | CoreError:
    """Who we are; an error is a value here, because the frame must stand without it."""
    try:
        return whoami(clients(connection))
    except CoreError as error:
        return error


@st.cache_data(ttl="1h", max_entries=64, show_spinner=False)
def examples(connection: Connection, uri: str) -> tuple[Example, ...]:
    """The list behind an endpoint's examples tag. Raises InputError, AwsError."""
    text = get_bytes(clients(connection), uri)
    folder = uri.rpartition("/")[0]
    try:
        return tuple(
            Example(f"{folder}/{row['file']}", str(row.get("title") or row["file"]), str(row.get("note", "")))
            for row in json.loads(text)
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"The list of examples {uri} cannot be read.",
            why=f"{error!r}.",
            todo='Write it as [{"file": "a.jpg", "title": "...", "note": "..."}, ...].',
        ) from error


@st.cache_data(ttl="1h", max_entries=64, show_spinner=False)
def example(connection: Connection, uri: str) -> bytes:
    """The file of an example, as it lies in S3."""
    return get_bytes(clients(connection), uri, max_bytes=25_000_000)


@st.cache_data(ttl="1h", max_entries=256, show_spinner=False)
def example_thumbnail(connection: Connection, uri: str) -> bytes:
    """An example as a small JPEG."""
    return thumbnail(example(connection, uri), uri)


@st.cache_resource(ttl="24h", max_entries=16, show_spinner=False)
def accepts(connection: Connection) -> dict[str, str]:  # noqa: ARG001  # the key
    """What each endpoint of this connection was found to accept; `core.inference` writes into it."""
    return {}


def thumbnail(data: bytes, name: str) -> bytes:
    """A small JPEG of a photograph's bytes."""
    return encode(open_photo(data, name), fit=THUMBNAIL, quality=82).body


def thumbnail_of(picture: Image.Image) -> bytes:
    """A small JPEG of a picture in memory."""
    small = picture.copy()
    small.thumbnail(THUMBNAIL)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


def forget_aws() -> None:
    """Read everything from AWS anew."""
    for cache in (connection, endpoints, serving, caller, examples):
        cache.clear()
