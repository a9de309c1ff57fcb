"""The run: each photo through each endpoint, unless that was done before; counted, and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, MutableMapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.evaluation.pairs import LabeledImage
from core.evaluation.store import ImageScore, PredictionStore
from core.imaging.classes import MAX_CLASSES, Classes
from core.imaging.image import (
    FIT,
    EncodedImage,
    Photo,
    as_seen,
    encode,
    mask_share,
    upright_mask,
)
from core.imaging.scores import BAND, confusion, in_band
from core.inference.invoke import Inference, Invoke, segment
from core.inference.pipeline import opened_photo, photo_labels
from core.local_files import reason

AT_ONCE = 2
"""Photos at work at the same time. An endpoint answers one after the other; a second one fills the pauses."""

MASK_BYTES = 8
"""Bytes a pixel next to the photo: the ground truth, the prediction, the band around borders, and their copies."""

Size = tuple[int, int] | None


@dataclass(frozen=True, slots=True, eq=False)
class EvaluatedEndpoint:
    """An endpoint that is asked.

    config:    the name of its configuration: another one serves another model.
    model_uri: where its model lies; empty where nobody knows.
    classes:   names and colours; None: as the decoder assumes them.
    accepts:   see `core.inference.invoke.segment`.
    """

    name: str
    config: str
    model_uri: str
    classes: Classes | None
    invoke: Invoke
    accepts: MutableMapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationTask:
    """What is to be judged.

    endpoints: one, or two to be compared.
    classes:   what the ids mean; None: they are numbered, as many as the masks and the answers hold.
    fit:       the box the model sees a photo in, (width, height) in pixels; None: its own size.
    notes:     sentences on what a reader of the verdict should know.
    """

    pairs: Sequence[LabeledImage]
    endpoints: Sequence[EvaluatedEndpoint]
    classes: Classes | None
    fit: Size = FIT
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A pair that was read.

    data:  the photo's bytes, as they lie.
    truth: (H, W) uint8, of the photo's own size.
    """

    pair: LabeledImage
    data: bytes
    photo: Photo
    truth: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class EvaluationFailure:
    """What could not be judged. endpoint: empty where it is the pair's own fault."""

    name: str
    endpoint: str
    error: Exception


@dataclass(frozen=True, slots=True)
class ImageOutcome:
    """What became of one pair: a row for each endpoint, or why not.

    calls:    how many were made.
    repeated: how many of them an earlier run had begun when it was killed; AWS may have billed those twice.
    """

    name: str
    scores: tuple[ImageScore, ...]
    failures: tuple[EvaluationFailure, ...]
    calls: int
    repeated: int = 0


def evaluate(
    task: EvaluationTask, store: PredictionStore, *, at_once: int = AT_ONCE
) -> Generator[ImageOutcome]:
    """Judge the pairs; each comes out when it is done, in any order.

    To stop, close the generator: what is under way is finished and kept, the rest is not begun. What goes wrong with
    one pair is in its Outcome and stops nothing.
    """
    waiting = iter(task.pairs)
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="evaluate")
    running: set[Future[ImageOutcome]] = set()
    try:
        while True:
            for pair in waiting:
                running.add(pool.submit(_evaluate_pair, pair, task, store))
                if len(running) >= 2 * at_once:
                    break
            if not running:
                return
            done, running = wait(running, return_when="FIRST_COMPLETED")
            yield from (future.result() for future in done)
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def opened_pair(pair: LabeledImage) -> Iterator[Opened]:
    """Read the files and check that they fit together; their memory is held until the block ends.

    Raises InputError.
    """
    with _opened(pair, *_read(pair)) as opened:
        yield opened


def _read(pair: LabeledImage) -> tuple[bytes, bytes]:
    """Return the bytes of the photo and of the mask."""
    try:
        return pair.read_photo(), pair.read_mask()
    except OSError as error:
        raise InputError(
            f"{pair.photo} or its mask cannot be read.",
            why=reason(error),
            todo="Check that both are files you may read.",
        ) from error


@contextmanager
def _opened(pair: LabeledImage, data: bytes, mask: bytes) -> Iterator[Opened]:
    with opened_photo(data, pair.photo, extra=MASK_BYTES) as photo, mask_share(mask, pair.mask):
        ground_truth = as_seen(pair.ids(mask, pair.mask), photo)
        if ground_truth.shape != (photo.height, photo.width):
            raise _other_size(pair, photo, ground_truth)
        yield Opened(pair, data, photo, ground_truth)


def key_of(photo: bytes, ground_truth: NDArray[np.uint8], endpoint: EvaluatedEndpoint, fit: Size) -> str:
    """The same for the same question, whatever the files are called."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (
        endpoint.name,
        endpoint.config,
        endpoint.model_uri,
        str(fit),
        str(BAND),
        str(ground_truth.shape),
    ):
        digest.update(part.encode() + b"\0")
    digest.update(photo)
    digest.update(np.ascontiguousarray(ground_truth).data)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """What remains of a pair while an endpoint is at work: no memory is held for it then.

    mask:        its file's bytes.
    size:        (width, height) of the photo, upright; orientation: EXIF's.
    image:       to be sent; None where every answer is known.
    keys:        of each endpoint; known: what was counted before, or None.
    """

    pair: LabeledImage
    mask: bytes
    size: tuple[int, int]
    orientation: int
    image: EncodedImage | None
    keys: tuple[str, ...]
    known: tuple[ImageScore | None, ...]


def _evaluate_pair(pair: LabeledImage, task: EvaluationTask, store: PredictionStore) -> ImageOutcome:
    try:
        prepared = _prepare(pair, task, store)
    except Exception as error:  # noqa: BLE001  # one pair never stops the rest; each is told at the end
        return ImageOutcome(pair.name, (), (EvaluationFailure(pair.name, "", error),), 0)
    scores, failures, calls, repeated = [], [], 0, 0
    for endpoint, key, known in zip(task.endpoints, prepared.keys, prepared.known, strict=True):
        if known is not None:
            scores.append(replace(known, name=pair.name, photo=pair.photo, mask=pair.mask))
            continue
        calls += 1
        repeated += key in store.interrupted
        try:
            scores.append(_score(prepared, endpoint, store, key))
        except Exception as error:  # noqa: BLE001  # likewise
            failures.append(EvaluationFailure(pair.name, endpoint.name, error))
    return ImageOutcome(pair.name, tuple(scores), tuple(failures), calls, repeated)


def _prepare(pair: LabeledImage, task: EvaluationTask, store: PredictionStore) -> _Prepared:
    """Decode the pair in its turn; too high an id is told before it is paid for."""
    classes = MAX_CLASSES if task.classes is None else len(task.classes)
    data, mask = _read(pair)
    with _opened(pair, data, mask) as opened:
        confusion(opened.truth, opened.truth, classes)
        keys = tuple(key_of(data, opened.truth, endpoint, task.fit) for endpoint in task.endpoints)
        known = tuple(map(store.get, keys))
        photo = opened.photo
        image = encode(photo, fit=task.fit) if None in known else None
        prepared = _Prepared(pair, mask, photo.pixels.size, photo.orientation, image, keys, known)
        del opened, photo  # before their memory is given back
    return prepared


def _score(prepared: _Prepared, endpoint: EvaluatedEndpoint, store: PredictionStore, key: str) -> ImageScore:
    """Class ids alone are asked for: a small answer, of the same ids."""
    image = prepared.image
    assert image is not None  # noqa: S101  # for the type checker: an answer is missing
    store.begin(key)
    try:
        inference = segment(
            image,
            endpoint.invoke,
            endpoint=endpoint.name,
            accepts=endpoint.accepts,
            want="mask",
            classes=endpoint.classes,
        )
        return _compare(prepared, inference, endpoint, store, key)
    except Exception:
        store.give_up(key)
        raise


def _compare(
    prepared: _Prepared, inference: Inference, endpoint: EvaluatedEndpoint, store: PredictionStore, key: str
) -> ImageScore:
    """Compare the answer with the ground truth, and keep both the mask and the counts."""
    pair, (width, height) = prepared.pair, prepared.size
    with (
        photo_labels(inference, pair.mask, bytes_per_pixel=MASK_BYTES) as predicted,
        mask_share(prepared.mask, pair.mask),
    ):
        ground_truth = upright_mask(pair.ids(prepared.mask, pair.mask), prepared.size, prepared.orientation)
        whole = confusion(ground_truth, predicted, MAX_CLASSES)
        band = confusion(in_band(ground_truth), predicted, MAX_CLASSES)
        score = ImageScore(
            key, endpoint.name, pair.name, pair.photo, pair.mask, width, height,
            whole.triples(), band.triples(), whole.ignored, inference.endpoint_seconds,
            inference.segmentation.problems,
        )  # fmt: skip
        store.add(score, predicted, inference.segmentation.classes)
    return score


def _other_size(pair: LabeledImage, photo: Photo, ground_truth: NDArray[np.uint8]) -> InputError:
    return InputError(
        f"{pair.mask} is {ground_truth.shape[1]} x {ground_truth.shape[0]} pixels, "
        f"and its photo {pair.photo} is {photo.width} x {photo.height}.",
        why="A mask says of each pixel of its photo what it is.",
        todo="Scale the mask to its photo by nearest neighbour, or take it from the set.",
    )
