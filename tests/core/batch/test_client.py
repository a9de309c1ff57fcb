"""The client-side batch, with images, masks and an endpoint in memory."""

from __future__ import annotations

import gc
import io
import signal
import threading
import traceback
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.batch.client import (
    BatchImage,
    BatchOutcome,
    ClientBatch,
    ImageTask,
    LocalMasks,
    UnwritableError,
    segment_all,
)
from core.errors import CredentialsError, DeniedError, ImageError, InputError, ModelError, NotFoundError
from core.imaging.classes import Classes
from core.inference.gate import CallGate
from core.inference.invoke import EndpointResponse
from core.partial_files import open_partial, remove_partial_files
from core.render.masks import mask_png
from core.wire.decode import PNG, decode
from tests.support.patience import wait_until

BATCH = ClientBatch(
    "aerial",
    "123456789012/eu-west-1",
    Classes(("land", "sea"), ((0, 0, 0), (1, 1, 1))),
    "mask",
    "model",
    None,
    3,
)


def encoded(array: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array.astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()


IMAGE = encoded(np.zeros((6, 8, 3)), "JPEG")
ANSWER = np.arange(48).reshape(6, 8) % 2


@dataclass
class MemoryMasks:
    """Masks in memory."""

    files: dict[str, bytes] = field(default_factory=dict)
    on_write: Callable[[], None] = lambda: None

    def place(self, name: str) -> str:
        return f"memory:{name}"

    def exists(self, name: str) -> bool:
        return name in self.files

    def read(self, name: str) -> bytes:
        return self.files[name]

    def write(self, name: str, body: bytes, *, replace: bool) -> None:
        assert replace or name not in self.files
        self.files[name] = body
        self.on_write()


def images(count: int) -> list[BatchImage]:
    return [BatchImage(f"{n:02}.jpg", f"s3://b/in/{n:02}.jpg", "e", f"{n:02}_mask.png") for n in range(count)]


def answer(body: bytes, content_type: str, accept: str) -> EndpointResponse:
    return EndpointResponse(encoded(ANSWER, "PNG"), PNG, 0.01)


def run(
    count: int,
    masks: MemoryMasks,
    *,
    batch: ClientBatch = BATCH,
    read: Callable[[BatchImage], bytes] = lambda _: IMAGE,
    invoke: Callable[[bytes, str, str], EndpointResponse] = answer,
) -> BatchOutcome:
    outcome = BatchOutcome()
    task = ImageTask(batch, read, masks, invoke, CallGate(batch.concurrency))
    segment_all(images(count), task, outcome, lambda: None)
    return outcome


def test_no_more_images_are_in_memory_than_segmented_at_once() -> None:
    """Of 40 images, with 3 at once, at most 3 have been read whose mask is not yet written."""
    lock, held, peak = threading.Lock(), [0], [0]

    def read(image: BatchImage) -> bytes:
        with lock:
            held[0] += 1
            peak[0] = max(peak[0], held[0])
        return IMAGE

    def wrote() -> None:
        with lock:
            held[0] -= 1

    outcome = run(40, MemoryMasks(on_write=wrote), read=read)
    assert (len(outcome.done), held[0]) == (40, 0)
    assert 1 <= peak[0] <= 3


def test_a_mask_holds_the_ids_of_the_response_and_its_summary() -> None:
    """A mask has exactly the ids of a response of the image's size; resuming finds its summary without a call."""
    masks = MemoryMasks()
    (row,) = run(1, masks).done
    assert np.array_equal(decode(masks.files["00_mask.png"], PNG).labels, ANSWER)
    assert [(each["name"], each["pixels"]) for each in row["classes"]] == [("land", 24), ("sea", 24)]

    def never(body: bytes, content_type: str, accept: str) -> EndpointResponse:
        raise AssertionError("the endpoint was invoked")

    resumed = run(1, masks, batch=replace(BATCH, resume=True), invoke=never)
    assert resumed.skipped == [row]


@pytest.mark.parametrize("damage", ["truncated", "class", "size"])
def test_a_damaged_mask_is_made_again(damage: str) -> None:
    """A mask that is truncated, has a class that the model does not have, or another size, is made again."""
    masks = MemoryMasks()
    run(1, masks)
    whole = masks.files["00_mask.png"]
    with Image.open(io.BytesIO(whole)) as image:
        image.load()
        text = image.info["segdeck"]
    if damage == "truncated":
        masks.files["00_mask.png"] = whole[:-20]
    else:
        labels = np.full((6, 8) if damage == "class" else (3, 4), 2 if damage == "class" else 1, np.uint8)
        colors = np.zeros((256, 3), np.uint8)
        masks.files["00_mask.png"] = mask_png(labels, colors, text={"segdeck": text})
    outcome = run(1, masks, batch=replace(BATCH, resume=True))
    assert "was not valid, and was made again" in outcome.done[0]["notes"][0]
    assert np.array_equal(decode(masks.files["00_mask.png"], PNG).labels, ANSWER)


def test_bad_images_never_stop_the_batch_and_faults_of_aws_do() -> None:
    """20 images that the model rejects stop nothing; 10 consecutive failures of AWS stop the batch."""

    def rejected(body: bytes, content_type: str, accept: str) -> EndpointResponse:
        raise ModelError("It failed.", status=500)

    def expired(body: bytes, content_type: str, accept: str) -> EndpointResponse:
        raise CredentialsError("Expired.")

    bad = run(20, MemoryMasks(), invoke=rejected)
    assert (len(bad.failed), bad.not_attempted, bad.fault) == (20, 0, None)
    stopped = run(200, MemoryMasks(), invoke=expired)
    assert isinstance(stopped.fault, CredentialsError)
    assert len(stopped.failed) + stopped.not_attempted == 200
    assert stopped.not_attempted > 150


def test_failed_images_do_not_stay_in_memory() -> None:
    """The errors of failed images are kept for the report, what their calls held in memory is not."""
    references = []

    class Content:
        """The content of an image."""

    def read(image: BatchImage) -> bytes:
        content = Content()
        references.append(weakref.ref(content))
        raise ImageError(f"{image.key} is damaged.")

    outcome = run(5, MemoryMasks(), read=read)
    gc.collect()
    assert len(outcome.failed) == 5
    assert "read" in "".join(traceback.format_exception(outcome.failed[0][1])), "--debug shows the traceback"
    assert [reference() for reference in references] == [None] * 5


def test_a_class_without_a_name_is_valid() -> None:
    """A mask with more classes than the endpoint has names is valid, and is not made again."""
    masks = MemoryMasks()
    batch = replace(BATCH, classes=Classes(("land",), ((0, 0, 0),)))
    run(1, masks, batch=batch)
    assert len(run(1, masks, batch=replace(batch, resume=True)).skipped) == 1


def test_masks_of_another_model_are_not_resumed() -> None:
    """Once the endpoint has another model, resuming is an error, and the masks are kept."""
    masks = MemoryMasks()
    run(2, masks, batch=replace(BATCH, model="config-1"))
    before = dict(masks.files)
    outcome = run(2, masks, batch=replace(BATCH, model="config-2", resume=True))
    assert [str(error).count("model 'config-1' and now 'config-2'") for _, error in outcome.failed] == [1, 1]
    assert masks.files == before


def test_a_full_disk_stops_the_batch() -> None:
    """10 consecutive masks that cannot be written stop the batch: each image is billed."""

    class FullDisk(MemoryMasks):
        """A folder on a full disk."""

        def write(self, name: str, body: bytes, *, replace: bool) -> None:
            raise UnwritableError("No space left on device.")

    outcome = run(200, FullDisk())
    assert isinstance(outcome.fault, UnwritableError)
    assert outcome.not_attempted > 150


def test_a_folder_that_cannot_be_written_concerns_all_images(tmp_path: Path) -> None:
    """An error of the file system is told from a mask that exists."""
    (tmp_path / "file").write_bytes(b"x")
    masks = LocalMasks(tmp_path / "file")
    with pytest.raises(UnwritableError, match="cannot be created"):
        masks.write("sub/a_mask.png", b"x", replace=False)
    with pytest.raises(UnwritableError, match="cannot be written"):
        LocalMasks(tmp_path).write(f"{'x' * 300}.png", b"x", replace=True)
    with pytest.raises(InputError, match="already exists") as caught:
        LocalMasks(tmp_path).write("file", b"y", replace=False)
    assert not isinstance(caught.value, UnwritableError)


def test_archived_images_are_named() -> None:
    """Objects in S3 Glacier fail alone, however many there are."""

    def archived(image: BatchImage) -> bytes:
        raise DeniedError("The operation is not valid for the storage class.", code="InvalidObjectState")

    outcome = run(20, MemoryMasks(), read=archived)
    assert (len(outcome.failed), outcome.fault) == (20, None)
    assert str(outcome.failed[0][1]).startswith("s3://b/in/00.jpg is archived.")


def test_an_image_that_was_deleted_meanwhile_is_named() -> None:
    """An object that no longer exists fails alone, however many there are."""

    def missing(image: BatchImage) -> bytes:
        raise NotFoundError("No such key.")

    outcome = run(20, MemoryMasks(), read=missing)
    assert (len(outcome.failed), outcome.fault) == (20, None)
    assert str(outcome.failed[0][1]) == "s3://b/in/00.jpg was deleted while the batch ran."


def test_an_unwritable_place_is_found_before_the_invocation(tmp_path: Path) -> None:
    """A mask whose name the file system cannot hold is an error, and its image is not sent."""
    masks = LocalMasks(tmp_path)
    with pytest.raises(InputError, match="cannot be written"):
        masks.exists(f"{'x' * 300}_mask.png")


def test_partial_files_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    """Partial files are removed from all subfolders, and no other file is."""
    root = tmp_path
    (root / "sub").mkdir()
    for name in ("sub/.0123456789abcdef.part", ".0123456789abcdef.part", "sub/.mine.part", "sub/a_mask.png"):
        (root / name).write_bytes(b"x")
    assert remove_partial_files(root.rglob("*")) == (2, 0)
    assert sorted(path.name for path in root.rglob("*") if path.is_file()) == [".mine.part", "a_mask.png"]


def test_a_partial_file_that_is_being_written_stays(tmp_path: Path) -> None:
    """Another run's partial file is kept while it is written, and removed once that run is dead."""
    path, stream = open_partial(tmp_path)
    with stream:
        assert remove_partial_files(tmp_path.iterdir()) == (0, 1)
        assert path.exists()
    assert remove_partial_files(tmp_path.iterdir()) == (1, 0)
    assert not path.exists()


def test_a_second_interrupt_loses_no_results() -> None:
    """A second Ctrl-C ends the wait for images in progress: they are counted, and what is done is recorded."""
    busy, ended, gate = threading.Event(), threading.Event(), CallGate(1)
    interrupt = partial(signal.pthread_kill, threading.get_ident(), signal.SIGINT)

    def invoke(body: bytes, content_type: str, accept: str) -> EndpointResponse:
        if busy.is_set():  # the second image: the first is done
            interrupt()
            wait_until(lambda: gate.stopped)
            interrupt()
            assert ended.wait(60)
        return answer(body, content_type, accept)

    masks = MemoryMasks(on_write=busy.set)
    outcome = BatchOutcome()
    batch = replace(BATCH, concurrency=1)
    task = ImageTask(batch, lambda _: IMAGE, masks, invoke, gate)
    try:
        segment_all(images(9), task, outcome, lambda: None)
        counts = (len(outcome.done), outcome.in_progress, outcome.not_attempted, outcome.stopped)
        assert counts == (1, 1, 7, True)
    finally:
        ended.set()
