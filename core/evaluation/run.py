"""The run: each photo through each endpoint, unless that was done before; counted, and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, MutableMapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from core.classes import MAX_CLASSES, Classes
from core.errors import InputError
from core.evaluation.pairs import Pair
from core.evaluation.store import Judged, Store
from core.image import FIT, Photo, as_seen, encode, open_photo, resize_labels
from core.inference import Invoke, segment
from core.scores import BAND, confusion, in_band

AT_ONCE = 2
"""Photos at work at the same time. An endpoint answers one after the other; a second one fills the pauses."""

Size = tuple[int, int] | None


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """An endpoint that is asked.

    config:    the name of its configuration: another one serves another model.
    model_uri: where its model lies; empty where nobody knows.
    classes:   names and colours; None: as the decoder assumes them.
    accepts:   see `core.inference.segment`.
    """

    name: str
    config: str
    model_uri: str
    classes: Classes | None
    invoke: Invoke
    accepts: MutableMapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What is to be judged.

    asked:   one endpoint, or two to be compared.
    classes: what the ids mean; None: they are numbered, as many as the masks and the answers hold.
    fit:     the box the model sees a photo in, (width, height) in pixels; None: its own size.
    notes:   sentences on what a reader of the verdict should know.
    """

    pairs: Sequence[Pair]
    asked: Sequence[Asked]
    classes: Classes | None
    fit: Size = FIT
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A pair that was read.

    data:  the photo's bytes, as they lie.
    truth: (H, W) uint8, of the photo's own size.
    """

    pair: Pair
    data: bytes
    photo: Photo
    truth: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be judged. endpoint: empty where it is the pair's own fault."""

    name: str
    endpoint: str
    error: Exception


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one pair: a row for each endpoint, or why not. asked: how many calls were made."""

    name: str
    judged: tuple[Judged, ...]
    failures: tuple[Failure, ...]
    asked: int


def evaluate(task: Task, store: Store, *, at_once: int = AT_ONCE) -> Generator[Outcome]:
    """Judge the pairs; each comes out when it is done, in any order.

    To stop, close the generator: what is under way is finished and kept, the rest is not begun. What goes wrong with
    one pair is in its Outcome and stops nothing.
    """
    waiting = iter(task.pairs)
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="evaluate")
    running: set[Future[Outcome]] = set()
    try:
        while True:
            for pair in waiting:
                running.add(pool.submit(_judged, pair, task, store))
                if len(running) >= 2 * at_once:
                    break
            if not running:
                return
            done, running = wait(running, return_when="FIRST_COMPLETED")
            yield from (one.result() for one in done)
    finally:
        pool.shutdown(cancel_futures=True)


def read_pair(pair: Pair) -> Opened:
    """Read the files and see whether they fit together. Raises InputError."""
    try:
        data, mask = pair.read_photo(), pair.read_mask()
    except OSError as error:
        raise InputError(
            f"{pair.photo} or its mask cannot be read.",
            why=f"{error.strerror or error}.",
            todo="Check that both are files you may read.",
        ) from error
    photo = open_photo(data, pair.photo)
    truth = as_seen(pair.ids(mask, pair.mask), photo)
    if truth.shape != (photo.height, photo.width):
        raise _other_size(pair, photo, truth)
    return Opened(pair, data, photo, truth)


def key_of(photo: bytes, truth: NDArray[np.uint8], asked: Asked, fit: Size) -> str:
    """The same for the same question, whatever the files are called."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (asked.name, asked.config, asked.model_uri, str(fit), str(BAND), str(truth.shape)):
        digest.update(part.encode() + b"\0")
    digest.update(photo)
    digest.update(truth.tobytes())
    return digest.hexdigest()


def _judged(pair: Pair, task: Task, store: Store) -> Outcome:
    classes = MAX_CLASSES if task.classes is None else len(task.classes)
    try:
        opened = read_pair(pair)
        confusion(opened.truth, opened.truth, classes)  # too high an id is told before it is paid for
    except Exception as error:  # noqa: BLE001  # one pair never stops the rest; each is told at the end
        return Outcome(pair.name, (), (Failure(pair.name, "", error),), 0)
    judged, failures, calls = [], [], 0
    for endpoint in task.asked:
        key = key_of(opened.data, opened.truth, endpoint, task.fit)
        if (known := store.get(key)) is not None:
            judged.append(replace(known, name=pair.name, photo=pair.photo, mask=pair.mask))
            continue
        calls += 1
        try:
            judged.append(_ask(opened, endpoint, store, key, task.fit))
        except Exception as error:  # noqa: BLE001  # likewise
            failures.append(Failure(pair.name, endpoint.name, error))
    return Outcome(pair.name, tuple(judged), tuple(failures), calls)


def _ask(opened: Opened, asked: Asked, store: Store, key: str, fit: Size) -> Judged:
    """Class ids alone are asked for: a small answer, of the same ids."""
    pair, photo = opened.pair, opened.photo
    found = segment(
        encode(photo, fit=fit),
        asked.invoke,
        endpoint=asked.name,
        accepts=asked.accepts,
        want="mask",
        classes=asked.classes,
    )
    predicted = resize_labels(found.segmentation.labels, photo.height, photo.width)
    whole = confusion(opened.truth, predicted, MAX_CLASSES)
    band = confusion(in_band(opened.truth), predicted, MAX_CLASSES)
    judged = Judged(
        key, asked.name, pair.name, pair.photo, pair.mask, photo.width, photo.height,
        whole.triples(), band.triples(), whole.ignored, found.endpoint_seconds, found.segmentation.problems,
    )  # fmt: skip
    store.add(judged, predicted, found.segmentation.classes)
    return judged


def _other_size(pair: Pair, photo: Photo, truth: NDArray[np.uint8]) -> InputError:
    return InputError(
        f"{pair.mask} is {truth.shape[1]} x {truth.shape[0]} pixels, "
        f"and its photo {pair.photo} is {photo.width} x {photo.height}.",
        why="A mask says of each pixel of its photo what it is.",
        todo="Scale the mask to its photo by nearest neighbour, or take it from the set.",
    )
