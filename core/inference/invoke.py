"""One picture through one endpoint: ask, decode, and say how long each took.

The network is an argument (`Invoke`), so everything here runs without one.
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
"""Two names for one answer. The documentation has the first, AWS's own notebook the second; containers differ."""

MAX_SCALED_BYTES = 256_000_000
"""Probabilities of an answer that is smaller than its image are scaled up to so many bytes at most."""

NOT_ABOUT_ACCEPT = (413, 429)
"""Refusals in the 400s that another `Accept` would not mend: too large, too many."""

Want = Literal["probabilities", "mask"]

Stage = Literal["waiting for memory", "preparing", "asking the endpoint", "decoding", "drawing"]
"""What is being done about an image; `core.inference.pipeline` has the steps around this one."""

OnStage = Callable[[Stage], None]


@dataclass(frozen=True, slots=True, eq=False)
class EndpointResponse:
    """What an endpoint sent back.

    body:         the bytes.
    content_type: what they are, in the endpoint's words.
    seconds:      from the request to the last byte.
    """

    body: bytes
    content_type: str
    seconds: float


Invoke = Callable[[bytes, str, str], EndpointResponse]
"""invoke(body, content_type, accept): one call, no retry. Raises AwsError."""


@dataclass(frozen=True, slots=True, eq=False)
class Inference:
    """One picture, answered.

    segmentation:     what the answer says, at the size of `image`.
    answer:           the answer itself.
    image:            the picture that was sent.
    endpoint:         who answered.
    accept:           the content type that was asked for.
    endpoint_seconds: from the first request to the last byte, a refused request included.
    decode_seconds:   from bytes to labels.
    """

    segmentation: Segmentation
    answer: EndpointResponse
    image: EncodedImage
    endpoint: str
    accept: str
    endpoint_seconds: float
    decode_seconds: float


def unreported(stage: Stage) -> None:
    """Do nothing: for callers that show no stages."""


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
    """Send a picture, decode the answer.

    accepts: what each endpoint was found to accept; read, and written once an answer is decoded.
    want:    "probabilities", or "mask" for class ids alone (a small PNG).
    classes: the model's names and colours; None lets the decoder assume them.
    on_stage: called as the stages begin.

    Raises AwsError from `invoke` and DecodeError from the decoder.
    """
    started = clock()
    on_stage("asking the endpoint")
    answer, accept = _ask(image, invoke, _accepts(want, accepts.get(endpoint)))
    answered = clock()
    on_stage("decoding")
    size = decoded_bytes(answer.body, answer.content_type)
    with PIXELS.share(max(size, 6 * image.height * image.width), f"The answer of {endpoint}"):
        unscaled = _named(decode(answer.body, answer.content_type, classes=classes), classes)
        segmentation = _at_size(unscaled, image)
    decoded = clock()
    if want == "probabilities":
        accepts[endpoint] = accept
    return Inference(segmentation, answer, image, endpoint, accept, answered - started, decoded - answered)


def _accepts(want: Want, known: str | None) -> tuple[str, ...]:
    """What to ask for, in this order."""
    if want == "mask":
        return (PNG,)
    return PROBABILITIES[::-1] if known == PROTOBUF else PROBABILITIES


def _ask(image: EncodedImage, invoke: Invoke, accepts: tuple[str, ...]) -> tuple[EndpointResponse, str]:
    """The answer and the `accept` that brought it; the second one is tried only where the first was refused."""
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
    """Whether the container refused the request itself, as it does for an `Accept` it does not know."""
    return 400 <= error.status < 500 and error.status not in NOT_ABOUT_ACCEPT


def _both(first: ModelError, accept: str, second: ModelError, other: str) -> ModelError:
    """The first refusal, with a note that the second way was tried."""
    same = "the same" if second.why == first.why else second.why or second.what
    return ModelError(
        first.what,
        why=f"{first.why} (Asked for {accept}; asked for {other}, it said: {same})".strip(),
        todo=first.todo,
        code=first.code,
        request_id=first.request_id,
        status=first.status,
        log_url=first.log_url,
    )


def _named(segmentation: Segmentation, classes: Classes | None) -> Segmentation:
    """The same; where the model has more or fewer classes than it has names, that is said."""
    if (
        classes is None
        or segmentation.probabilities is None
        or len(classes) == len(segmentation.probabilities)
    ):
        return segmentation
    note = (
        f"The answer holds {len(segmentation.probabilities)} classes, and there are names for {len(classes)}: "
        "check that they are those of this model."
    )
    return replace(segmentation, problems=(*segmentation.problems, note))


def _at_size(answer: Segmentation, image: EncodedImage) -> Segmentation:
    """The answer at the size of the picture that was sent; where it had another, it is scaled and that is said."""
    if (answer.height, answer.width) == (image.height, image.width):
        return answer
    size = image.height, image.width
    note = (
        f"The answer is {answer.width} x {answer.height} pixels, the picture sent was "
        f"{image.width} x {image.height}: scaled by nearest neighbour."
    )
    problems = [note]
    probabilities = answer.probabilities
    if probabilities is not None:
        count = len(probabilities)
        scaled_bytes = count * image.height * image.width * probabilities.itemsize
        if scaled_bytes > max(MAX_SCALED_BYTES, probabilities.nbytes):
            probabilities = None
            problems.append(
                f"At the size of the image the probabilities of {count} classes would take "
                f"{scaled_bytes // 1_000_000:,} MB, more than {MAX_SCALED_BYTES // 1_000_000:,} MB: they were "
                "discarded. Mask and confidence are complete."
            )
    return replace(
        answer,
        labels=resize_labels(answer.labels, *size),
        confidence=None if answer.confidence is None else resize_nearest(answer.confidence, *size),
        probabilities=None if probabilities is None else resize_nearest(probabilities, *size),
        problems=(*answer.problems, *problems),
    )
