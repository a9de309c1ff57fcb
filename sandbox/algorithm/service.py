"""The HTTP side of serving: `GET /ping` and `POST /invocations`, as SageMaker calls its containers.

Source: SageMaker developer guide, "Use Your Own Inference Code with Hosting Services"; content types of "Semantic
Segmentation Algorithm".
"""

from __future__ import annotations

import io
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sandbox.algorithm import log
from sandbox.algorithm.answers import LARGEST_RECORD, mask_png, record
from sandbox.algorithm.predict import Predictor

IMAGE_FORMATS = {
    "image/jpeg": ("JPEG",),
    "image/jpg": ("JPEG",),
    "application/x-image": ("JPEG", "PNG"),
}
"""Content types of a request, and the allowed image formats of each."""
MASK = "image/png"
RECORDS = ("application/x-recordio-protobuf", "application/x-protobuf")
"""AWS documents the first, its own notebook sends the second; the response is the same. The first is the default."""
EXECUTION_PARAMETERS = {"MaxConcurrentTransforms": 2, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 10}
"""What batch transform uses for members that a request does not set; AWS's container is called with these values."""


@dataclass(frozen=True, slots=True)
class InferenceResponse:
    """A response: status, body and its content type."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain"


class RefusalError(Exception):
    """The request cannot be answered; the text is sent to the caller."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class InferenceService:
    """Answers requests once the model is loaded; before that it responds 503.

    scratch: a folder for files that last for one response.
    """

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._idle = threading.Condition()
        self._running = 0
        self.predictor: Predictor | None = None

    def ping(self) -> InferenceResponse:
        """Return 200 once the model is ready."""
        status = HTTPStatus.OK if self.predictor else HTTPStatus.SERVICE_UNAVAILABLE
        return InferenceResponse(status, b"\n")

    def invoke(self, body: bytes, content_type: str, accept: str) -> InferenceResponse:
        """Return the response to one image. Raises RefusalError for errors of the caller."""
        with self._idle:
            self._running += 1
        try:
            return self._segment(body, content_type, accept)
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait; return whether all requests were answered in time."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._running, seconds)

    def _segment(self, body: bytes, content_type: str, accept: str) -> InferenceResponse:
        """Decode the image, run the model and encode its output. Raises RefusalError."""
        predictor = self.predictor
        if predictor is None:
            raise RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, "The model is still loading.")
        kind = accepted(accept)
        image = decode_image(body, content_type, predictor.max_pixels)
        if kind != MASK and image.shape[0] * image.shape[1] * predictor.classes * 4 > LARGEST_RECORD:
            text = f"Probabilities of this size do not fit into one record of 512 MB: set Accept to {MASK}."
            raise RefusalError(HTTPStatus.BAD_REQUEST, text)
        probabilities = predictor.probabilities(image)
        encoded = mask_png(probabilities) if kind == MASK else record(probabilities, self._scratch)
        return InferenceResponse(HTTPStatus.OK, encoded, kind)


def accepted(accept: str) -> str:
    """Return the first supported content type of an Accept header. Raises RefusalError.

    Without a preference it is RecordIO-protobuf: clients that sent no Accept decoded AWS's response as RecordIO.
    """
    wanted = [part.split(";")[0].strip().lower() for part in accept.split(",")]
    for kind in wanted:
        if kind in {"", "*/*", "application/*"}:
            return RECORDS[0]
        if kind == "image/*":
            return MASK
        if kind in {MASK, *RECORDS}:
            return kind
    raise RefusalError(
        HTTPStatus.NOT_ACCEPTABLE,
        f"Unsupported accept type {accept}: this algorithm returns {MASK} or {RECORDS[0]}.",
    )


def decode_image(body: bytes, content_type: str, max_pixels: int) -> NDArray[np.uint8]:
    """Decode the image as (H, W, 3) uint8 red, green, blue, whatever its mode. Raises RefusalError.

    EXIF orientation is not applied, as in AWS's container: the sender has to rotate the image.
    """
    formats = IMAGE_FORMATS.get(content_type.split(";", maxsplit=1)[0].strip().lower())
    if formats is None:
        raise RefusalError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Unsupported content type {content_type or '(none)'}: this algorithm accepts image/jpeg.",
        )
    try:
        with Image.open(io.BytesIO(body), formats=formats) as image:
            if image.width * image.height > max_pixels:
                raise RefusalError(
                    HTTPStatus.BAD_REQUEST,
                    f"The image has {image.width} x {image.height} pixels, more than the limit of {max_pixels:,} "
                    "for this model in the sandbox: send a smaller image, or tiles.",
                )
            return np.asarray(image.convert("RGB"))
    except UnidentifiedImageError as error:
        text = f"The body of {len(body)} bytes is not a {' or '.join(formats)} image."
        raise RefusalError(HTTPStatus.BAD_REQUEST, text) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        text = f"The {formats[0]} image of {len(body)} bytes cannot be read: {error}."
        raise RefusalError(HTTPStatus.BAD_REQUEST, text) from error


def http_server(listener: socket.socket, service: InferenceService) -> ThreadingHTTPServer:
    """Return a server on a listening socket: the caller binds it, so that the port cannot be lost."""

    class Handler(_Handler):
        ping = staticmethod(service.ping)
        invoke = staticmethod(service.invoke)

    server = ThreadingHTTPServer(listener.getsockname()[:2], Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.daemon_threads = True
    return server


class _Handler(BaseHTTPRequestHandler):
    """Reads a request, calls the service and writes the response."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    ping: Callable[[], InferenceResponse]
    invoke: Callable[[bytes, str, str], InferenceResponse]

    def do_GET(self) -> None:
        if self.path == "/ping":
            self._send(self.ping())
        elif self.path == "/execution-parameters":
            self._send(
                InferenceResponse(
                    HTTPStatus.OK, json.dumps(EXECUTION_PARAMETERS).encode(), "application/json"
                )
            )
        else:
            self._send(
                _text(HTTPStatus.NOT_FOUND, f"{self.path} not found: use GET /ping or POST /invocations.")
            )

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not re.fullmatch("[0-9]{1,10}", length):
            self.close_connection = True  # the end of the body is unknown
            text = f"Content-Length must be a number of bytes in plain digits, not {length[:40]!r}."
            self._send(_text(HTTPStatus.BAD_REQUEST, text))
            return
        body = self.rfile.read(int(length))
        if self.path != "/invocations":
            self._send(
                _text(HTTPStatus.NOT_FOUND, f"{self.path} not found: use GET /ping or POST /invocations.")
            )
            return
        started = time.time()
        answer = self._answer(body)
        self._send(answer)
        dimensions = {"Host": "UNKNOWN", "Operation": "scoring", "Algorithm": "SemanticSegmentationModel"}
        log.metrics(started, time.time(), dimensions, {"invocations.count": log.count_of_one()})

    def _answer(self, body: bytes) -> InferenceResponse:
        """Return the response to an invocation; unexpected errors give 500."""
        try:
            return self.invoke(
                body, self.headers.get("Content-Type") or "", self.headers.get("Accept") or "*/*"
            )
        except RefusalError as refusal:
            log.warning(f"Refused with {refusal.status.value}: {refusal.text}")
            return _text(refusal.status, refusal.text)
        except Exception as error:  # noqa: BLE001 - the top level of a request: reported to the caller and in the log
            log.failure("The request failed", error)
            return _text(HTTPStatus.INTERNAL_SERVER_ERROR, f"{type(error).__name__}: {error}")

    def _send(self, answer: InferenceResponse) -> None:
        """Write a response; log a caller that disconnected."""
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        try:
            self.end_headers()
            self.wfile.write(answer.body)
        except ConnectionError as error:
            log.warning(f"The caller disconnected before the response was sent: {error}")
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        if getattr(self, "path", "") != "/ping":
            log.info(format % args)


def _text(status: HTTPStatus, text: str) -> InferenceResponse:
    """Return a plain text response."""
    return InferenceResponse(status, text.encode())
