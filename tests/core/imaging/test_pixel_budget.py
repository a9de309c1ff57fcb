"""The memory budget for decoded images: shared by all threads, waited for, without deadlocks."""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from core.datasets.check import processes
from core.datasets.inspection import inspect_pairs
from core.datasets.masks import Colors
from core.datasets.source import Sample
from core.errors import ImageError
from core.imaging.image import image_share, open_image
from core.imaging.pixel_budget import PIXELS, PixelBudget
from tests.support.patience import SECONDS

BOUND = 60
"""Seconds that any wait of these tests may take."""


def in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_an_image_waits_until_its_share_is_free_and_says_so() -> None:
    """An image that does not fit waits, is reported with the memory in use, and starts when the other one ends."""
    budget = PixelBudget(100_000_000)
    told, begun = threading.Event(), threading.Event()

    def work() -> None:
        with budget.share(60_000_000, "b", on_wait=told.set):
            begun.set()

    with budget.share(60_000_000, "a"):
        thread = in_thread(work)
        assert told.wait(BOUND)
        assert not begun.is_set()
        assert budget.notice() == "1 image is waiting for memory: 60 of 100 MB in use"
    assert begun.wait(BOUND)
    thread.join(BOUND)
    assert (budget.used, budget.waiting, budget.notice(), budget.peak) == (0, 0, "", 60_000_000)


def test_an_image_larger_than_the_whole_budget_is_refused_with_the_fix() -> None:
    """An image that can never fit does not wait: the error has the size, the limit and the setting."""
    with pytest.raises(ImageError) as caught, PixelBudget(100_000_000).share(300_000_000, "huge.tif"):
        pass
    assert caught.value.what == "huge.tif needs about 300 MB of memory when decoded."
    assert "100 MB" in caught.value.why
    assert "SEGDECK_IMAGE_MEMORY_MB" in caught.value.todo


def test_a_share_within_a_share_adds_only_what_exceeds_it() -> None:
    """Decoding within the share of a larger task takes no further memory."""
    budget = PixelBudget(100)
    with budget.share(60, "a"):
        with budget.share(50, "a"):
            assert budget.used == 60
        with budget.share(70, "a"):
            assert budget.used == 70
        assert budget.used == 60
    assert budget.used == 0


def test_two_that_both_need_more_do_not_block_each_other() -> None:
    """If all threads with a share wait for more, one proceeds, then the next."""
    budget = PixelBudget(100)
    both = threading.Barrier(2)

    def work() -> None:
        with budget.share(50, "a"):
            both.wait(BOUND)
            with budget.share(90, "a"):
                pass

    threads = [in_thread(work) for _ in range(2)]
    for thread in threads:
        thread.join(BOUND)
    assert not any(thread.is_alive() for thread in threads)
    assert budget.used == 0
    assert budget.peak <= 140


def test_a_failure_gives_its_share_back() -> None:
    """An exception within a share, or while waiting for one, releases all memory."""
    budget = PixelBudget(100)
    with pytest.raises(ZeroDivisionError), budget.share(100, "a"):
        raise ZeroDivisionError
    assert (budget.used, budget.waiting) == (0, 0)


def test_any_mix_of_threads_ends_within_the_limit() -> None:
    """Many threads with shares, and nested shares, all end; the limit is exceeded by one growth at most."""
    budget = PixelBudget(100)

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(40):
            with budget.share(chance.randint(1, 60), "a"), budget.share(chance.randint(1, 100), "a"):
                assert budget.used <= 200

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(work, seed) for seed in range(8)]
        for future in futures:
            future.result(BOUND)
    assert (budget.used, budget.waiting) == (0, 0)


def test_worker_processes_share_one_budget(tmp_path: Path) -> None:
    """A worker that validates a dataset waits for what its parent holds, and the parent sees it waiting."""
    (tmp_path / "a.tif").write_bytes(tiff(2_000, 1_000))
    sample = Sample("a", "train", "a.tif", "")
    with processes() as pool:
        with PIXELS.share(PIXELS.limit - 1_000_000, "b"):
            future = pool.submit(inspect_pairs, tmp_path, [sample], Colors())
            pause = threading.Event()
            for _ in range(BOUND * 100):
                if PIXELS.waiting or future.done() or pause.wait(0.01):
                    break
            assert PIXELS.waiting == 1
        assert future.result(BOUND)[0].width == 2_000
    assert (PIXELS.used, PIXELS.waiting) == (0, 0)


def tiff(width: int, height: int, mode: str = "1") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height)).save(buffer, "TIFF", compression="group4" if mode == "1" else "tiff_lzw")
    return buffer.getvalue()


def test_images_of_all_threads_stay_within_the_budget() -> None:
    """Eight images opened at the same time together hold no more than the budget, and each is opened."""
    data = tiff(4_000, 2_000, "RGB")
    before, PIXELS.limit = PIXELS.limit, 150_000_000

    def work(_: int) -> int:
        with image_share(data, "wide.tif", extra=10):
            assert PIXELS.used <= 150_000_000
            return open_image(data, "wide.tif").width

    try:
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(work, range(8), timeout=SECONDS)) == [4_000] * 8
    finally:
        PIXELS.limit = before
    assert PIXELS.used == 0


def test_an_image_beyond_the_budget_is_refused_before_decoding() -> None:
    """Opening an image without its own share is limited too."""
    data = tiff(8_000, 8_000)
    before, PIXELS.limit = PIXELS.limit, 64_000_000
    try:
        with pytest.raises(ImageError, match="needs about 128 MB"):
            open_image(data, "wide.tif")
    finally:
        PIXELS.limit = before
