"""Segmenting one image, with `invoke` as an argument and without a network."""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image

from core.errors import DecodeError, ModelError, ThrottledError, TimedOutError
from core.imaging.classes import VOC, Classes
from core.imaging.image import EncodedImage
from core.inference.invoke import EndpointResponse, Inference, Want, segment

RECORDIO = "application/x-recordio-protobuf"
PROTOBUF = "application/x-protobuf"
SENT = EncodedImage(b"the jpeg", "image/jpeg", 4, 6, 40, 60, 92)


def varint(number: int) -> bytes:
    low, high = number & 127, number >> 7
    return bytes([low | 128]) + varint(high) if high else bytes([low])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def record(probabilities: np.ndarray) -> bytes:
    """Return the framed `Record` of (C, H, W) float32."""
    shape = b"".join(varint(size) for size in (1, *probabilities.shape))
    target = field(1, b"target") + field(2, field(2, field(1, probabilities.astype("<f4").tobytes())))
    sizes = field(1, b"shape") + field(2, field(7, field(1, shape)))
    body = field(1, target) + field(1, sizes)
    return struct.pack("<II", 0xCED7230A, len(body)) + body + b"\0" * (-len(body) % 4)


def softmax(classes: int = 3, height: int = 4, width: int = 6) -> np.ndarray:
    values = np.random.default_rng(5).random((classes, height, width)).astype(np.float32)
    return values / values.sum(axis=0)


def png(height: int = 4, width: int = 6) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(height * width, dtype=np.uint8).reshape(height, width)).save(buffer, "PNG")
    return buffer.getvalue()


class Endpoint:
    """An endpoint that responds by content type, and records its requests."""

    def __init__(self, **answers: bytes | Exception) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, body: bytes, content_type: str, accept: str) -> EndpointResponse:
        assert (body, content_type) == (SENT.body, SENT.content_type)
        self.asked.append(accept)
        answer = self.answers[{RECORDIO: "recordio", PROTOBUF: "protobuf"}.get(accept, "png")]
        if isinstance(answer, Exception):
            raise answer
        return EndpointResponse(answer, accept, 0.5)


def refusal(status: int = 406, why: str = "no such Accept") -> ModelError:
    return ModelError(
        "The model refused.",
        why=why,
        todo="Look at the log.",
        status=status,
        log_url="https://log",
        request_id="r-1",
    )


def ask(
    endpoint: Endpoint,
    accepts: dict[str, str],
    *,
    want: Want = "probabilities",
    classes: Classes | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Inference:
    return segment(SENT, endpoint, endpoint="demo", accepts=accepts, want=want, classes=classes, clock=clock)


def test_the_answer_is_decoded() -> None:
    """A response gives labels, confidence and probabilities, at the size that was sent."""
    values = softmax()
    found = ask(Endpoint(recordio=record(values)), {})
    assert np.array_equal(found.segmentation.labels, values.argmax(0))
    assert np.array_equal(found.segmentation.confidence, values.max(0))
    assert np.array_equal(found.segmentation.probabilities, values)
    assert (found.endpoint, found.accept, found.image) == ("demo", RECORDIO, SENT)


def test_the_documented_type_is_asked_for_first() -> None:
    """The first request accepts x-recordio-protobuf; if it succeeds, no other follows, and it is remembered."""
    endpoint, accepts = Endpoint(recordio=record(softmax())), {}
    ask(endpoint, accepts)
    assert endpoint.asked == [RECORDIO]
    assert accepts == {"demo": RECORDIO}


@pytest.mark.parametrize("status", [400, 406, 415, 422])
def test_a_refused_accept_falls_back_once_and_is_remembered(status: int) -> None:
    """If the first is rejected, x-protobuf is requested once, and first from then on."""
    endpoint, accepts = Endpoint(recordio=refusal(status), protobuf=record(softmax())), {"other": RECORDIO}
    assert ask(endpoint, accepts).accept == PROTOBUF
    assert ask(endpoint, accepts).accept == PROTOBUF
    assert endpoint.asked == [RECORDIO, PROTOBUF, PROTOBUF]
    assert accepts == {"demo": PROTOBUF, "other": RECORDIO}


def test_what_was_remembered_may_become_wrong() -> None:
    """An updated endpoint that rejects its remembered type is invoked with the other one, which is remembered."""
    endpoint, accepts = Endpoint(recordio=record(softmax()), protobuf=refusal()), {"demo": PROTOBUF}
    assert ask(endpoint, accepts).accept == RECORDIO
    assert accepts == {"demo": RECORDIO}


@pytest.mark.parametrize("status", [0, 413, 429, 500, 503])
def test_other_failures_are_not_asked_twice(status: int) -> None:
    """An error that is not about the Accept header is raised at once: a second call would only be billed."""
    endpoint, accepts, error = Endpoint(), {}, refusal(status)
    endpoint.answers["recordio"] = error
    with pytest.raises(ModelError) as caught:
        ask(endpoint, accepts)
    assert caught.value is error
    assert endpoint.asked == [RECORDIO]
    assert accepts == {}


@pytest.mark.parametrize("error", [ThrottledError("Too many calls."), TimedOutError("No answer in 70 s.")])
def test_errors_of_aws_are_not_asked_twice(error: Exception) -> None:
    """Throttling and timeouts are raised as they are, after one call."""
    endpoint = Endpoint(recordio=error)
    with pytest.raises(type(error)) as caught:
        ask(endpoint, {})
    assert caught.value is error
    assert endpoint.asked == [RECORDIO]


def test_when_both_are_refused_the_first_refusal_is_raised_with_a_note() -> None:
    """Two rejections raise the first one's message and log, with a note of the second; nothing is remembered."""
    accepts: dict[str, str] = {}
    with pytest.raises(ModelError) as caught:
        ask(Endpoint(recordio=refusal(400, "bad image"), protobuf=refusal(415, "bad type")), accepts)
    error = caught.value
    assert (error.what, error.status, error.log_url, error.request_id) == (
        "The model refused.", 400, "https://log", "r-1",
    )  # fmt: skip
    assert error.why.startswith("bad image")
    assert PROTOBUF in error.why
    assert "bad type" in error.why
    assert accepts == {}


def test_a_failed_second_call_is_raised_as_it_is() -> None:
    """If the second call fails for another reason, that error is raised."""
    with pytest.raises(ThrottledError):
        ask(Endpoint(recordio=refusal(), protobuf=ThrottledError("Too many calls.")), {})


def test_nothing_is_remembered_of_an_answer_that_cannot_be_decoded() -> None:
    """The accepted type is remembered only once a response was decoded."""
    accepts: dict[str, str] = {}
    with pytest.raises(DecodeError):
        ask(Endpoint(recordio=b"not a record"), accepts)
    assert accepts == {}


def test_a_mask_is_asked_for_as_png() -> None:
    """For labels only, one PNG is requested, its ids are the labels, and nothing is remembered."""
    endpoint, accepts = Endpoint(png=png()), {}
    found = ask(endpoint, accepts, want="mask", classes=VOC)
    assert endpoint.asked == ["image/png"]
    assert found.segmentation.labels.ravel().tolist() == list(range(24))
    assert found.segmentation.confidence is None
    assert accepts == {}


def test_a_refused_mask_is_not_asked_for_otherwise() -> None:
    """A rejected mask request is an error after one call."""
    endpoint = Endpoint(png=refusal())
    with pytest.raises(ModelError):
        ask(endpoint, {}, want="mask")
    assert endpoint.asked == ["image/png"]


def test_the_models_classes_are_used() -> None:
    """The given names and colors are those of the segmentation."""
    classes = Classes(("sky", "road", "tree"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)))
    assert ask(Endpoint(recordio=record(softmax())), {}, classes=classes).segmentation.classes == classes


@pytest.mark.parametrize("count", [2, 4])
def test_names_that_are_not_as_many_as_the_classes_are_said(count: int) -> None:
    """Different numbers of class names and classes are reported as a problem."""
    found = ask(Endpoint(recordio=record(softmax())), {}, classes=Classes.numbered(count)).segmentation
    assert found.problems == (
        f"The response has 3 classes, but there are {count} class names: check that they belong to this model.",
    )


def test_an_answer_of_another_size_is_scaled_and_said() -> None:
    """A response of another size is scaled with nearest neighbor, and reported as a problem."""
    values = softmax(height=2, width=3)
    found = ask(Endpoint(recordio=record(values)), {}).segmentation
    assert np.array_equal(found.labels, values.argmax(0).repeat(2, 0).repeat(2, 1))
    assert np.array_equal(found.confidence, values.max(0).repeat(2, 0).repeat(2, 1))
    assert found.probabilities is not None
    assert found.probabilities.shape == (3, 4, 6)
    assert "3 x 2" in found.problems[-1]
    assert "6 x 4" in found.problems[-1]


def test_an_answer_of_the_right_size_has_no_problem() -> None:
    """A valid response has no problem."""
    assert ask(Endpoint(recordio=record(softmax())), {}).segmentation.problems == ()


def ticks(*times: float) -> Iterator[float]:
    yield from times


def test_times_are_those_of_the_clock() -> None:
    """Invocation and decoding are timed separately, by the given clock; a rejected request counts."""
    endpoint = Endpoint(recordio=refusal(), protobuf=record(softmax()))
    found = ask(endpoint, {}, clock=ticks(10.0, 12.5, 12.75).__next__)
    assert (found.endpoint_seconds, found.decode_seconds) == (2.5, 0.25)
    assert found.answer.seconds == 0.5
