"""A small dataset, and its validation in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from core.datasets.check import check
from core.datasets.readers import read_dataset
from core.datasets.report import LayoutReport
from tests.support.dataset import make_voc


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Return a dataset with six pairs for training and two for validation."""
    return make_voc(tmp_path / "voc")


@pytest.fixture(scope="session")
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture
def checked(threads: Executor) -> Callable[[Path], LayoutReport]:
    """Return a function: folder -> its report."""
    return lambda root: check(read_dataset(root), threads)
