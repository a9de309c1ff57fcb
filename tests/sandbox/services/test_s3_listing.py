"""The rules of a listing's pages, against a simple model."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.services.s3.listing import page
from sandbox.services.s3.values import Attributes, Blob, StoredObject

_names = st.lists(st.text(alphabet="ab/\0é\U0001f6f0", min_size=1, max_size=6), max_size=20, unique=True)


def _all_pages(keys: list[str], prefix: str, delimiter: str, limit: int) -> list[str]:
    """Every key and common prefix, page by page."""
    stored = [StoredObject(key, Blob("", 0, ""), 0.0, Attributes()) for key in sorted(keys, key=str.encode)]

    def fetch(start: bytes, below: bytes, count: int) -> list[StoredObject]:
        return [item for item in stored if start <= item.key.encode() < below][:count]

    names: list[str] = []
    start = b""
    while True:
        made = page(fetch, prefix=prefix, delimiter=delimiter, start=start, limit=limit)
        assert made.count <= limit
        names += [item.key for item in made.objects] + made.prefixes
        if not made.truncated:
            return names
        assert made.count == limit
        start = made.going_on


@settings(max_examples=300, deadline=None)
@given(
    keys=_names,
    prefix=st.text(alphabet="ab/", max_size=2),
    delimiter=st.sampled_from(["", "/", "a/"]),
    limit=st.integers(1, 5),
)
def test_pages_give_everything_once(keys: list[str], prefix: str, delimiter: str, limit: int) -> None:
    """All pages together hold each key with the prefix, rolled up at the delimiter, exactly once."""
    wanted = set()
    for key in keys:
        if key.startswith(prefix):
            at = key.find(delimiter, len(prefix)) if delimiter else -1
            wanted.add(key if at < 0 else key[: at + len(delimiter)])
    found = _all_pages(keys, prefix, delimiter, limit)
    assert sorted(found) == sorted(wanted)


def test_no_room() -> None:
    """A page for no keys at all is empty and not truncated, as AWS answers max-keys=0."""
    made = page(lambda *_: [], prefix="", delimiter="", start=b"", limit=0)
    assert (made.count, made.truncated) == (0, False)
