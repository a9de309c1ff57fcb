"""The paging of listings, compared with a simple model."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.services.s3.listing import page
from sandbox.services.s3.values import Attributes, Blob, StoredObject

_names = st.lists(st.text(alphabet="ab/\0é\U0001f6f0", min_size=1, max_size=6), max_size=20, unique=True)


def _all_pages(keys: list[str], prefix: str, delimiter: str, limit: int) -> list[str]:
    """Return every key and common prefix, page by page."""
    stored = [StoredObject(key, Blob("", 0, ""), 0.0, Attributes()) for key in sorted(keys, key=str.encode)]

    def fetch(start: bytes, below: bytes, count: int) -> list[StoredObject]:
        return [item for item in stored if start <= item.key.encode() < below][:count]

    names: list[str] = []
    start = b""
    while True:
        result = page(fetch, prefix=prefix, delimiter=delimiter, start=start, limit=limit)
        assert result.count <= limit
        names += [item.key for item in result.objects] + result.prefixes
        if not result.truncated:
            return names
        assert result.count == limit
        start = result.next_start


@settings(max_examples=300, deadline=None)
@given(
    keys=_names,
    prefix=st.text(alphabet="ab/", max_size=2),
    delimiter=st.sampled_from(["", "/", "a/"]),
    limit=st.integers(1, 5),
)
def test_pages_give_everything_once(keys: list[str], prefix: str, delimiter: str, limit: int) -> None:
    """All pages together have each key with the prefix, grouped at the delimiter, exactly once."""
    wanted = set()
    for key in keys:
        if key.startswith(prefix):
            at = key.find(delimiter, len(prefix)) if delimiter else -1
            wanted.add(key if at < 0 else key[: at + len(delimiter)])
    names = _all_pages(keys, prefix, delimiter, limit)
    assert sorted(names) == sorted(wanted)


def test_no_room() -> None:
    """A page for zero keys is empty and not truncated, as in AWS's response to max-keys=0."""
    result = page(lambda *_: [], prefix="", delimiter="", start=b"", limit=0)
    assert (result.count, result.truncated) == (0, False)
