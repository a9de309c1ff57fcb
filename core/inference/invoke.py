"""Segment one image with one endpoint: invoke it, decode the response, and measure both.

The call is an argument (`Invoke`), so nothing here uses the network.
"""

from __future__ import annotations

import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from typing import Literal

from core.errors import ModelError
from core.imaging.classes import Classes
from core.imaging.image import EncodedImage, resize_labels, resize_nearest
from core.imaging.pixel_budget import PIXELS
from core.imaging.segmentation import Segmentation
from core.wire.decode import PNG, PROTOBUF, RECORDIO, decode, decoded_bytes

PROBABILITIES = (RECORDIO, PROTOBUF)
"""Two names for one format. The documentation uses the first, AWS's own notebook the second; containers differ."""

MAX_SCALED_BYTES = 256_000_000
"""The most bytes to which probabilities smaller than their image are scaled up."""

NOT_ABOUT_ACCEPT = (413, 429)
"""400-range errors that another `Accept` would not fix: too large, too many requests."""

Want = Literal["probabilities", "mask"]

Stage = Literal["waiting for memory", "preparing", "invoking the endpoint", "decoding", "drawing"]
"""The current stage of an image; `core.inference.pipeline` has the steps around the invocation."""

OnStage = Callable[[Stage], None]


@dataclass(frozen=True, slots=True, eq=False)
class EndpointResponse:
    """An endpoint's response.

    body:         the bytes.
    content_type: as reported by the endpoint.
    seconds:      from the request to the last byte.
    """

    body: bytes
    content_type: str
    seconds: float


Invoke = Callable[[bytes, str, str], EndpointResponse]
"""invoke(body, content_type, accept): one call, no retry. Raises AwsError."""


@dataclass(frozen=True, slots=True, eq=False)
class Inference:
    """One segmented image.

    segmentation:     the decoded response, at the size of `image`.
    answer:           the raw response.
    image:            the image that was sent.
    endpoint:         the endpoint's name.
    accept:           the content type that was requested.
    endpoint_seconds: from the first request to the last byte, including a rejected request.
    decode_seconds:   from bytes to labels.
    cached:           whether the response is an earlier one to the same request: the endpoint was not invoked.
    """

    segmentation: Segmentation
    answer: EndpointResponse
    image: EncodedImage
    endpoint: str
    accept: str
    endpoint_seconds: float
    decode_seconds: float
    cached: bool = False


def unreported(stage: Stage) -> None:
    """Do nothing, for callers that do not show stages."""


def segment(
    image: EncodedImage,
    invoke: Invoke,
    *,
    endpoint: str,
    accepts: MutableMapping[str, str],
    want: Want = "probabilities",
    classes: Classes | None = None,
    clock: Callable[[], float] = time.perf_counter,
    on_stage: OnStage = unreported,
) -> Inference:
    """Send an image and decode the response.

    accepts:  the content type that each endpoint accepts; read, and updated once a response is decoded.
    want:     "probabilities", or "mask" for class ids only (a small PNG).
    classes:  the model's names and colors; None for the decoder's defaults.
    on_stage: called as each stage begins.

    Raises AwsError from `invoke` and DecodeError from the decoder.
    """
    started = clock()
    on_stage("invoking the endpoint")
    answer, accept = _invoke(image, invoke, _accepts(want, accepts.get(endpoint)))
    answered = clock()
    on_stage("decoding")
    segmentation = _decoded(answer, image, endpoint, classes)
    decoded = clock()
    if want == "probabilities":
        accepts[endpoint] = accept
    return Inference(segmentation, answer, image, endpoint, accept, answered - started, decoded - answered)


def reopen(
    image: EncodedImage,
    answer: EndpointResponse,
    *,
    endpoint: str,
    accept: str,
    classes: Classes | None = None,
    clock: Callable[[], float] = time.perf_counter,
    on_stage: OnStage = unreported,
) -> Inference:
    """Decode a cached response to this image, without invoking the endpoint. Raises DecodeError."""
    started = clock()
    on_stage("decoding")
    segmentation = _decoded(answer, image, endpoint, classes)
    return Inference(
        segmentation, answer, image, endpoint, accept, answer.seconds, clock() - started, cached=True
    )


def _decoded(
    answer: EndpointResponse, image: EncodedImage, endpoint: str, classes: Classes | None
) -> Segmentation:
    """Decode a response at the size of the image that was sent."""
    size = decoded_bytes(answer.body, answer.content_type)
    with PIXELS.share(max(size, 6 * image.height * image.width), f"The response of {endpoint}"):
        return _at_size(_named(decode(answer.body, answer.content_type, classes=classes), classes), image)


def _accepts(want: Want, known: str | None) -> tuple[str, ...]:
    """Return the content types to request, in order."""
    if want == "mask":
        return (PNG,)
    return PROBABILITIES[::-1] if known == PROTOBUF else PROBABILITIES


def _invoke(image: EncodedImage, invoke: Invoke, accepts: tuple[str, ...]) -> tuple[EndpointResponse, str]:
    """Return the response and its `accept`; the second one is tried only if the first is rejected."""
    first, *others = accepts
    try:
        return invoke(image.body, image.content_type, first), first
    except ModelError as refusal:
        if not others or not _about_accept(refusal):
            raise
        try:
            return invoke(image.body, image.content_type, others[0]), others[0]
        except ModelError as second:
            raise _both(refusal, first, second, others[0]) from second


def _about_accept(error: ModelError) -> bool:
    """Return whether the container rejected the request itself, as it does for an unknown `Accept`."""
    return 400 <= error.status < 500 and error.status not in NOT_ABOUT_ACCEPT


def _both(first: ModelError, accept: str, second: ModelError, other: str) -> ModelError:
    """Return the first error, with a note that the second content type was tried."""
    same = "the same" if second.why == first.why else second.why or second.what
    return ModelError(
        first.what,
        why=f"{first.why} (Requested {accept}; when {other} was requested, the response was: {same})".strip(),
        todo=first.todo,
        code=first.code,
        request_id=first.request_id,
        status=first.status,
        log_url=first.log_url,
    )


def _named(segmentation: Segmentation, classes: Classes | None) -> Segmentation:
    """Add a problem if the numbers of classes and class names differ."""
    if (
        classes is None
        or segmentation.probabilities is None
        or len(classes) == len(segmentation.probabilities)
    ):
        return segmentation
    note = (
        f"The response has {len(segmentation.probabilities)} classes, but there are {len(classes)} class names: "
        "check that they belong to this model."
    )
    return replace(segmentation, problems=(*segmentation.problems, note))


def _at_size(answer: Segmentation, image: EncodedImage) -> Segmentation:
    """Return the segmentation at the size of the sent image, scaled with a note if it had another size."""
    if (answer.height, answer.width) == (image.height, image.width):
        return answer
    size = image.height, image.width
    note = (
        f"The response is {answer.width} x {answer.height} pixels, but the image sent was "
        f"{image.width} x {image.height}: scaled with nearest-neighbor interpolation."
    )
    problems = [note]
    probabilities = answer.probabilities
    if probabilities is not None:
        count = len(probabilities)
        scaled_bytes = count * image.height * image.width * probabilities.itemsize
        if scaled_bytes > max(MAX_SCALED_BYTES, probabilities.nbytes):
            probabilities = None
            problems.append(
                f"At the image's size, the probabilities of {count} classes would take "
                f"{scaled_bytes // 1_000_000:,} MB, above the {MAX_SCALED_BYTES // 1_000_000:,} MB limit: they were "
                "discarded. Mask and confidence are complete."
            )
    return replace(
        answer,
        labels=resize_labels(answer.labels, *size),
        confidence=None if answer.confidence is None else resize_nearest(answer.confidence, *size),
        probabilities=None if probabilities is None else resize_nearest(probabilities, *size),
        problems=(*answer.problems, *problems),
    )
