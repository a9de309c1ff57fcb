"""Select the keys of one page of a listing: S3's rules for prefix, delimiter and the start of the next page.

Source: S3 API reference, "ListObjectsV2"; user guide, "Organizing objects using prefixes".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.services.s3.values import StoredObject

# In UTF-8 no byte is 0xFF: prefix + END is above every key that begins with the prefix.
END = b"\xff"
Fetch = Callable[[bytes, bytes, int], list[StoredObject]]


@dataclass(slots=True)
class Page:
    """One page. objects and prefixes: each in order; next_start: where the next page starts."""

    next_start: bytes
    objects: list[StoredObject] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    truncated: bool = False

    @property
    def count(self) -> int:
        """Return the number of keys and common prefixes together, as S3 counts them."""
        return len(self.objects) + len(self.prefixes)

    @property
    def last(self) -> str:
        """Return the last key or common prefix of the page."""
        names = [*(item.key for item in self.objects[-1:]), *self.prefixes[-1:]]
        return max(names, key=str.encode, default="")


def above(key: str) -> bytes:
    """Return the start of a page with keys above `key`: no key is between a key and itself with a zero byte."""
    return key.encode() + b"\0"


def page(fetch: Fetch, *, prefix: str, delimiter: str, start: bytes, limit: int) -> Page:
    """Return the first `limit` keys or common prefixes from `start` on.

    fetch: (start, below, count) -> the first objects with start <= key < below, in order.
    """
    result = Page(max(start, prefix.encode()))
    while limit:
        wanted = limit - result.count + 1
        objects = fetch(result.next_start, prefix.encode() + END, wanted)
        for item in objects:
            if result.count == limit:
                result.truncated = True
                return result
            common = common_prefix(item.key, prefix, delimiter)
            if common is not None:
                result.prefixes.append(common)
                result.next_start = common.encode() + END
                break
            result.objects.append(item)
            result.next_start = above(item.key)
        else:
            if len(objects) < wanted:
                break
    return result


def common_prefix(key: str, prefix: str, delimiter: str) -> str | None:
    """Return the prefix that a key is rolled up into, or None."""
    at = key.find(delimiter, len(prefix)) if delimiter else -1
    return key[: at + len(delimiter)] if at >= 0 else None
