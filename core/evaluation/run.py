"""Run an evaluation: invoke each endpoint with each image, unless its prediction is cached, and count pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, MutableMapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.evaluation.calibration import confidence_counts
from core.evaluation.pairs import LabeledImage
from core.evaluation.store import ImageScore, PredictionStore
from core.imaging.classes import MAX_CLASSES, Classes
from core.imaging.contours import contour_counts
from core.imaging.image import (
    FIT,
    DecodedImage,
    EncodedImage,
    encode,
    mask_share,
    mask_upright,
    match_orientation,
    resize_nearest,
)
from core.imaging.scores import TRIMAP_WIDTH, confusion_matrix, trimap_ground_truth
from core.imaging.suspects import suspects
from core.inference.invoke import Inference, Invoke, segment
from core.inference.pipeline import opened_photo, photo_labels
from core.local_files import reason

AT_ONCE = 2
"""Images that are processed at the same time. An endpoint handles one at a time; a second one fills its idle time."""

MASK_BYTES = 12
"""Bytes per pixel in addition to the image: ground truth, prediction, bands of both, and their copies."""

CONFIDENCE_BYTES = 10
"""Bytes per pixel in addition, for the confidence at the image's own size, and the regions."""

Size = tuple[int, int] | None


@dataclass(frozen=True, slots=True, eq=False)
class EvaluatedEndpoint:
    """An endpoint to evaluate.

    config:    the name of its endpoint configuration; another one serves another model.
    model_uri: the S3 URI of its model; empty if unknown.
    classes:   names and colors; None: the decoder's defaults.
    accepts:   see `core.inference.invoke.segment`.
    origin:    the account and region, see `Connection.origin`: an endpoint of the same name elsewhere is another one.
    """

    name: str
    config: str
    model_uri: str
    classes: Classes | None
    invoke: Invoke
    accepts: MutableMapping[str, str] = field(default_factory=dict)
    origin: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationTask:
    """An evaluation to run.

    endpoints: one endpoint, or two to compare.
    classes:   class names; None: classes are numbered up to the highest id in the masks and predictions.
    fit:       input size: the box (width, height) in pixels that images are fitted into; None: original size.
    notes:     sentences that a reader of the results should know.
    calibrate: request probabilities, a large response, to compare the confidence with the accuracy. An image whose
               cached prediction came without them is sent again.
    """

    pairs: Sequence[LabeledImage]
    endpoints: Sequence[EvaluatedEndpoint]
    classes: Classes | None
    fit: Size = FIT
    notes: tuple[str, ...] = ()
    calibrate: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class OpenedPair:
    """A pair with its files read.

    data:         the content of the image file.
    ground_truth: (H, W) uint8 class ids, at the image's own size.
    """

    pair: LabeledImage
    data: bytes
    image: DecodedImage
    ground_truth: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class EvaluationFailure:
    """An image that could not be evaluated. endpoint: empty where the pair itself is invalid."""

    name: str
    endpoint: str
    error: Exception


@dataclass(frozen=True, slots=True)
class ImageOutcome:
    """The result of one pair: a score for each endpoint, or a failure.

    calls:    number of invocations.
    repeated: how many of them an earlier run had started when it was killed; AWS may have billed those twice.
    """

    name: str
    scores: tuple[ImageScore, ...]
    failures: tuple[EvaluationFailure, ...]
    calls: int
    repeated: int = 0


def evaluate(
    task: EvaluationTask, store: PredictionStore, *, at_once: int = AT_ONCE
) -> Generator[ImageOutcome]:
    """Evaluate the pairs; yield each outcome when it is complete, in any order.

    To stop, close the generator: pairs in progress are finished and cached, the rest is not started. A pair that
    fails does not stop the others; its outcome has the failure.
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
def opened_pair(pair: LabeledImage) -> Iterator[OpenedPair]:
    """Read the files of a pair and check that they match; their memory is held until the block ends.

    Raises InputError.
    """
    with _opened(pair, *_read(pair)) as opened:
        yield opened


def _read(pair: LabeledImage) -> tuple[bytes, bytes]:
    """Return the bytes of the image and of the mask."""
    try:
        return pair.read_image(), pair.read_mask()
    except OSError as error:
        raise InputError(
            f"{pair.image} or its mask cannot be read.",
            why=reason(error),
            todo="Check that both files exist and that you have permission to read them.",
        ) from error


@contextmanager
def _opened(pair: LabeledImage, data: bytes, mask: bytes) -> Iterator[OpenedPair]:
    with opened_photo(data, pair.image, extra=MASK_BYTES) as image, mask_share(mask, pair.mask):
        ground_truth = match_orientation(pair.ids(mask, pair.mask), image)
        if ground_truth.shape != (image.height, image.width):
            raise _sizes_differ(pair, image, ground_truth)
        yield OpenedPair(pair, data, image, ground_truth)


def key_of(image: bytes, ground_truth: NDArray[np.uint8], endpoint: EvaluatedEndpoint, fit: Size) -> str:
    """Return the cache key of a prediction: 32 hex digits of the BLAKE2b hash (RFC 7693) of all its inputs.

    File names are not part of it.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in (
        *filter(None, [endpoint.origin]),
        endpoint.name,
        endpoint.config,
        endpoint.model_uri,
        str(fit),
        str(TRIMAP_WIDTH),
        str(ground_truth.shape),
    ):
        digest.update(part.encode() + b"\0")
    digest.update(image)
    digest.update(np.ascontiguousarray(ground_truth).data)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """A pair while it waits for an endpoint; it holds no pixels then.

    mask:        the content of its mask file.
    size:        (width, height) of the upright image, in pixels.
    orientation: EXIF orientation of the image.
    encoded:     the image to send; None when every prediction is cached.
    keys:        the cache key for each endpoint.
    cached:      the cached score for each endpoint, or None.
    notes:       on how the image was decoded, such as the bands of a TIFF.
    """

    pair: LabeledImage
    mask: bytes
    size: tuple[int, int]
    orientation: int
    encoded: EncodedImage | None
    keys: tuple[str, ...]
    cached: tuple[ImageScore | None, ...]
    notes: tuple[str, ...] = ()


def _evaluate_pair(pair: LabeledImage, task: EvaluationTask, store: PredictionStore) -> ImageOutcome:
    try:
        prepared = _prepare(pair, task, store)
    except Exception as error:  # noqa: BLE001  # one pair never stops the others; failures are reported at the end
        return ImageOutcome(pair.name, (), (EvaluationFailure(pair.name, "", error),), 0)
    scores, failures, calls, repeated = [], [], 0, 0
    for endpoint, key, cached in zip(task.endpoints, prepared.keys, prepared.cached, strict=True):
        if cached is not None:
            scores.append(replace(cached, name=pair.name, image=pair.image, mask=pair.mask))
            continue
        calls += 1
        repeated += key in store.interrupted
        try:
            scores.append(_score(prepared, endpoint, store, key, calibrate=task.calibrate))
        except Exception as error:  # noqa: BLE001  # as above
            failures.append(EvaluationFailure(pair.name, endpoint.name, error))
    return ImageOutcome(pair.name, tuple(scores), tuple(failures), calls, repeated)


def _prepare(pair: LabeledImage, task: EvaluationTask, store: PredictionStore) -> _Prepared:
    """Decode the pair and check its class ids, so that an invalid mask is reported before an invocation is billed."""
    classes = MAX_CLASSES if task.classes is None else len(task.classes)
    data, mask = _read(pair)
    with _opened(pair, data, mask) as opened:
        confusion_matrix(opened.ground_truth, opened.ground_truth, classes)
        keys = tuple(key_of(data, opened.ground_truth, endpoint, task.fit) for endpoint in task.endpoints)
        cached = tuple(
            _with_contours(_usable(store.get(key), task), opened.ground_truth, store) for key in keys
        )
        image = opened.image
        encoded = encode(image, fit=task.fit) if None in cached else None
        prepared = _Prepared(
            pair, mask, image.pixels.size, image.orientation, encoded, keys, cached, image.notes
        )
        del opened, image  # before their share of the memory budget is released
    return prepared


def _usable(cached: ImageScore | None, task: EvaluationTask) -> ImageScore | None:
    """Return the cached score, unless it lacks the confidence that is to be counted."""
    return (
        None
        if cached is not None and task.calibrate and None in (cached.confidences, cached.suspects)
        else cached
    )


def _with_contours(
    cached: ImageScore | None, ground_truth: NDArray[np.uint8], store: PredictionStore
) -> ImageScore | None:
    """Return the cached score. One from before contours were counted gets their counts, from the cached mask."""
    if cached is None or cached.contours is not None:
        return cached
    score = replace(cached, contours=contour_counts(ground_truth, store.predicted(cached.key)))
    store.update(score)
    return score


def _score(
    prepared: _Prepared, endpoint: EvaluatedEndpoint, store: PredictionStore, key: str, *, calibrate: bool
) -> ImageScore:
    """Invoke the endpoint and return the score. Requests class ids only: a small response with the same ids.

    calibrate: requests probabilities, for their confidence.
    """
    encoded = prepared.encoded
    assert encoded is not None  # noqa: S101  # for the type checker: a prediction is missing
    store.begin(key)
    try:
        inference = segment(
            encoded,
            endpoint.invoke,
            endpoint=endpoint.name,
            accepts=endpoint.accepts,
            want="probabilities" if calibrate else "mask",
            classes=endpoint.classes,
        )
        return _compare(prepared, inference, endpoint, store, key, calibrate=calibrate)
    except Exception:
        store.give_up(key)
        raise


def _compare(
    prepared: _Prepared,
    inference: Inference,
    endpoint: EvaluatedEndpoint,
    store: PredictionStore,
    key: str,
    *,
    calibrate: bool,
) -> ImageScore:
    """Compare the prediction with the ground truth, and cache both the mask and the counts."""
    pair, (width, height) = prepared.pair, prepared.size
    confidence = inference.segmentation.confidence
    if calibrate and confidence is None:
        raise InputError(
            f"The response of {endpoint.name} has labels only, without a confidence.",
            why="Calibration compares the confidence of the probabilities with the accuracy.",
            todo="Evaluate without calibration.",
        )
    bytes_per_pixel = MASK_BYTES + (CONFIDENCE_BYTES if calibrate else 0)
    with (
        photo_labels(inference, pair.mask, bytes_per_pixel=bytes_per_pixel) as predicted,
        mask_share(prepared.mask, pair.mask),
    ):
        ground_truth = mask_upright(pair.ids(prepared.mask, pair.mask), prepared.size, prepared.orientation)
        total = confusion_matrix(ground_truth, predicted, MAX_CLASSES)
        band = confusion_matrix(trimap_ground_truth(ground_truth), predicted, MAX_CLASSES)
        confidences = regions = None
        if calibrate and confidence is not None:
            sure = resize_nearest(confidence, *ground_truth.shape)
            confidences = confidence_counts(ground_truth, predicted, sure)
            regions = suspects(ground_truth, predicted, sure)
        score = ImageScore(
            key, endpoint.name, pair.name, pair.image, pair.mask, width, height,
            total.triples(), band.triples(), total.ignored, inference.endpoint_seconds,
            (*prepared.notes, *inference.segmentation.problems), contour_counts(ground_truth, predicted), confidences,
            regions,
        )  # fmt: skip
        store.add(score, predicted, inference.segmentation.classes)
    return score


def _sizes_differ(pair: LabeledImage, image: DecodedImage, ground_truth: NDArray[np.uint8]) -> InputError:
    return InputError(
        f"{pair.mask} is {ground_truth.shape[1]} x {ground_truth.shape[0]} pixels, "
        f"but its image {pair.image} is {image.width} x {image.height}.",
        why="A mask has one class id for each pixel of its image.",
        todo="Resize the mask to the image by nearest neighbor, or remove the pair.",
    )
