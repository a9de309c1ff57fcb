"""S3's XML: written as text, because a listing has thousands of elements; read with the standard library."""

from __future__ import annotations

import datetime as dt
import xml.etree.ElementTree as ET
from collections.abc import Iterable

from sandbox.services.s3.errors import S3Error, escaped

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def element(name: str, content: object) -> str:
    """Write one element with text (escaped) or `Elements` (verbatim) in it."""
    inner = content if isinstance(content, Elements) else escaped(content)
    return f"<{name}>{inner}</{name}>"


class Elements(str):
    """XML text that needs no escaping."""

    __slots__ = ()


def elements(*named: tuple[str, object]) -> Elements:
    """Write several elements in a row; those with the value None are omitted."""
    return Elements("".join(element(name, value) for name, value in named if value is not None))


def joined(parts: Iterable[str]) -> Elements:
    """Join written elements."""
    return Elements("".join(parts))


def document(name: str, content: Elements) -> bytes:
    """Write a whole document."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} xmlns="{_NAMESPACE}">{content}</{name}>'.encode()


def iso(seconds: float) -> str:
    """Return a time as S3 writes it in XML."""
    at = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def quoted(etag: str) -> str:
    """Return an entity tag in quotes."""
    return f'"{etag}"'


def parse(body: bytes) -> ET.Element:
    """Parse the request's document and remove the namespaces. Raises S3Error MalformedXML.

    Expat, since 2.4.1, stops entity expansion that would fill the memory.
    """
    try:
        root = ET.fromstring(body)  # noqa: S314
    except ET.ParseError as error:
        raise S3Error("MalformedXML") from error
    for item in root.iter():
        item.tag = item.tag.rpartition("}")[2]
    return root


def text(parent: ET.Element, name: str) -> str:
    """Return a required child's text. Raises S3Error MalformedXML."""
    value = parent.findtext(name)
    if value is None:
        raise S3Error("MalformedXML")
    return value
