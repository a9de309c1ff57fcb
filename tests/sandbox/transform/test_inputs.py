"""The list of a transform job's inputs: complete, in a file, each handed out once."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.transform.inputs import InputList, InputObject, name_below

COUNT = 10_000


def objects() -> Iterator[InputObject]:
    """Yield ten thousand inputs, with keys as S3 allows them."""
    for number in range(COUNT):
        yield InputObject("bucket", f"in/ä\n{number:05d}.jpg", f"ä\n{number:05d}.jpg")


def test_ten_thousand_inputs(tmp_path: Path) -> None:
    """Many threads get each input once, and the list takes no memory worth mentioning."""
    tracemalloc.start()
    inputs = InputList(tmp_path / "inputs.jsonl")
    inputs.fill(objects(), lambda: None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    assert inputs.count == COUNT

    def take() -> list[InputObject]:
        return list(iter(inputs.next, None))

    with ThreadPoolExecutor(4) as pool:
        taken = [item for batch in [pool.submit(take) for _ in range(4)] for item in batch.result()]
    assert sorted(taken, key=lambda item: item.key) == list(objects())
    inputs.close()


def test_the_rest(tmp_path: Path) -> None:
    """Inputs that nobody took are counted."""
    inputs = InputList(tmp_path / "inputs.jsonl")
    inputs.fill(objects(), lambda: None)
    for _ in range(COUNT - 3):
        inputs.next()
    assert inputs.rest() == 3
    assert inputs.next() is None
    inputs.close()


@pytest.mark.parametrize(
    ("prefix", "key", "name"),
    [
        ("", "a/b.jpg", "a/b.jpg"),
        ("a", "a/b.jpg", "b.jpg"),
        ("a/", "a/b/c.jpg", "b/c.jpg"),
        ("a/b", "a/b.jpg", "b.jpg"),
        ("a/b", "a/bc/d.jpg", "bc/d.jpg"),
        ("a/b.jpg", "a/b.jpg", "b.jpg"),
        ("a/", "a//b.jpg", "/b.jpg"),
        ("a", "a//b.jpg", "/b.jpg"),
        ("a//", "a//b.jpg", "b.jpg"),
    ],
)
def test_names(prefix: str, key: str, name: str) -> None:
    """A key is relative to the folder of the prefix, or to the one in which the prefix ends."""
    assert name_below(prefix, key) == name
