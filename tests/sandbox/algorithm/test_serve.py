"""The serving process, through its container contract: a socket, a parent-death pipe, /ping, /invocations."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sandbox.algorithm.answers import record_message
from sandbox.algorithm.archive import unpack
from tests.support.patience import SECONDS, wait_until

ROOT = Path(__file__).parents[3]
ARCHIVE = ROOT / "sandbox/demo/aerial/model.tar.gz"
RECORD = "application/x-recordio-protobuf"
CLASSES = 6


@dataclass
class Container:
    """A serving process; `death_pipe` is the write end of its parent-death pipe."""

    process: subprocess.Popen[bytes]
    port: int
    death_pipe: int
    log: Path

    @classmethod
    def start(cls, root: Path) -> Container:
        """Start `serve` on a bound socket, as the sandbox does."""
        reading, writing = os.pipe()
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
            environ = os.environ | {
                "SM_ML_ROOT": str(root),
                "SANDBOX_LISTEN_FD": str(listener.fileno()),
                "SANDBOX_DEATH_PIPE_FD": str(reading),
                "PYTHONUNBUFFERED": "1",
            }
            with (root / "log").open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "sandbox.algorithm", "serve"],
                    env=environ, cwd=ROOT, pass_fds=(listener.fileno(), reading), stdout=log, stderr=log,
                    start_new_session=True,
                )  # fmt: skip
            os.close(reading)
            return cls(process, listener.getsockname()[1], writing, root / "log")

    def wait_until_ready(self, seconds: float = 120) -> None:
        """Ping until the response is 200."""
        deadline = time.monotonic() + seconds
        while self.request("GET", "/ping")[0] != 200:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def request(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, str, bytes]:
        """Return status, content type and body; header names have underscores."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        connection.request(
            method, path, body, {name.replace("_", "-"): text for name, text in headers.items()}
        )
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers.get_content_type(), content

    def invoke(
        self, body: bytes, accept: str | None = "image/png", content_type: str = "image/jpeg"
    ) -> tuple[int, str, bytes]:
        """Return the response to one image; accept: None sends no Accept header."""
        headers = {"Content_Type": content_type} | ({} if accept is None else {"Accept": accept})
        return self.request("POST", "/invocations", body, **headers)

    def stop(self) -> None:
        """End the process, whatever its state."""
        self.process.kill()
        self.process.wait()
        os.close(self.death_pipe)


@pytest.fixture(scope="session")
def model_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that replaces /opt/ml, with the aerial demo's model."""
    root = tmp_path_factory.mktemp("ml")
    unpack(ARCHIVE, root / "model")
    return root


@pytest.fixture(scope="session")
def algorithm_container(model_root: Path) -> Iterator[Container]:
    """A ready container, shared by the tests that only invoke it."""
    container = Container.start(model_root)
    try:
        container.wait_until_ready()
        yield container
    finally:
        container.stop()


def jpeg_image(height: int, width: int, mode: str = "RGB") -> bytes:
    """Return a JPEG of noise on a gradient."""
    noise = np.random.default_rng(1).integers(0, 60, (height, width, 3))
    pixels = (noise + np.linspace(0, 190, width)[None, :, None]).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def probabilities(body: bytes) -> np.ndarray:
    """Read a framed Record: one whole frame, (C, H, W) float32."""
    magic, header = struct.unpack_from("<II", body)
    assert (magic, header >> 29) == (0xCED7230A, 0)
    message = record_message()
    message.ParseFromString(body[8 : 8 + header])
    shape = tuple(message.features["shape"].int32_tensor.values)
    return np.frombuffer(message.features["target"].float32_tensor.values, "<f4").reshape(shape)[0]


def labels(body: bytes) -> np.ndarray:
    """Read a mask."""
    with Image.open(io.BytesIO(body)) as image:
        assert image.format == "PNG"
        assert image.mode in {"L", "P"}
        return np.asarray(image)


@pytest.mark.mxnet
def test_execution_parameters(algorithm_container: Container) -> None:
    """The container tells batch transform how it wants to be called, as AWS's does."""
    status, kind, body = algorithm_container.request("GET", "/execution-parameters")
    assert (status, kind) == (200, "application/json")
    assert json.loads(body) == {
        "MaxConcurrentTransforms": 2,
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": 10,
    }


@pytest.mark.mxnet
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (17, 16), (1, 300), (241, 333)])
def test_a_mask_has_the_size_of_its_image(algorithm_container: Container, size: tuple[int, int]) -> None:
    """A mask has its image's height and width, even where the network's input needs padding."""
    status, _, body = algorithm_container.invoke(jpeg_image(*size))
    assert status == 200
    assert labels(body).shape == size


@pytest.mark.mxnet
def test_the_mask_is_the_likeliest_class_of_the_probabilities(algorithm_container: Container) -> None:
    """Both outputs agree, and the probabilities of a pixel sum to 1."""
    body = jpeg_image(200, 301)
    mask = labels(algorithm_container.invoke(body)[2])
    values = probabilities(algorithm_container.invoke(body, RECORD)[2])
    assert values.shape == (CLASSES, 200, 301)
    assert np.allclose(values.sum(axis=0), 1, atol=1e-5)
    assert np.array_equal(mask, values.argmax(axis=0))


@pytest.mark.mxnet
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/png", "image/png"),
        ("image/*", "image/png"),
        ("*/*", RECORD),
        ("", RECORD),
        (None, RECORD),
        (RECORD, RECORD),
        ("application/x-protobuf", "application/x-protobuf"),
        ("text/html, application/x-protobuf;q=0.5", "application/x-protobuf"),
    ],
)
def test_content_type_of_the_response(algorithm_container: Container, accept: str | None, kind: str) -> None:
    """The content type is one of the Accept header; RecordIO-protobuf, as in AWS, when it prefers none."""
    assert algorithm_container.invoke(jpeg_image(20, 30), accept)[:2] == (200, kind)


@pytest.mark.mxnet
def test_request_of_the_tutorial(algorithm_container: Container) -> None:
    """A request without Accept, its image as application/x-image, gets the probabilities in one RecordIO record."""
    status, kind, body = algorithm_container.invoke(jpeg_image(20, 30), None, "application/x-image")
    assert (status, kind, body[:4]) == (200, RECORD, b"\x0a\x23\xd7\xce")
    assert probabilities(body).shape == (CLASSES, 20, 30)


@pytest.mark.mxnet
@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_gray_and_cmyk_images_are_converted(algorithm_container: Container, mode: str) -> None:
    """A JPEG that is not RGB is converted."""
    assert algorithm_container.invoke(jpeg_image(40, 50, mode))[0] == 200


@pytest.mark.mxnet
@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        ((b"not a JPEG", "image/png", "image/jpeg"), 400, "10 bytes is not a JPEG"),
        ((jpeg_image(64, 64)[:500], "image/png", "image/jpeg"), 400, "500 bytes cannot be read"),
        ((jpeg_image(8, 8), "image/png", "image/png"), 415, "image/png"),
        ((jpeg_image(8, 8), "image/png", ""), 415, "(none)"),
        ((jpeg_image(8, 8), "text/csv", "image/jpeg"), 406, "text/csv"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_value_found(
    algorithm_container: Container, sent: tuple[bytes, str, str], status: int, words: str
) -> None:
    """Invalid images, content types and accept types give a client error whose text contains the value."""
    code, kind, text = algorithm_container.invoke(*sent)
    assert (code, kind) == (status, "text/plain")
    assert words in text.decode()


@pytest.mark.mxnet
def test_an_enormous_image_is_refused_before_it_is_decoded(algorithm_container: Container) -> None:
    """More pixels than fit into memory are a client error, and the process continues."""
    stream = io.BytesIO()
    Image.new("L", (6000, 6000)).save(stream, "JPEG")
    status, _, text = algorithm_container.invoke(stream.getvalue())
    assert status == 400
    assert b"6000 x 6000" in text


@pytest.mark.mxnet
def test_parallel_requests_all_get_their_own_answer(algorithm_container: Container) -> None:
    """Eight concurrent requests neither deadlock nor get mixed up."""
    sizes = [(40 + 8 * number, 60) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda size: algorithm_container.invoke(jpeg_image(*size), RECORD), sizes))
    assert [probabilities(body).shape[1:] for _, _, body in answers] == sizes


@pytest.mark.mxnet
def test_each_answer_leaves_a_metrics_line(algorithm_container: Container) -> None:
    """The log names the loaded weights, and has AWS's `#metrics` line for an invocation."""
    algorithm_container.invoke(jpeg_image(8, 8))
    wait_until(lambda: "#metrics" in algorithm_container.log.read_text())  # it follows the response
    log = algorithm_container.log.read_text()
    assert "Loading weights from" in log
    assert '"invocations.count": {"count": 1, "max": 1, "sum": 1.0, "min": 1}' in log


@pytest.mark.mxnet
def test_unknown_paths_are_not_found(algorithm_container: Container) -> None:
    """Only /ping and /invocations exist."""
    assert algorithm_container.request("GET", "/models")[0] == 404
    assert algorithm_container.request("POST", "/ping", b"")[0] == 404


@pytest.mark.mxnet
def test_it_ends_when_its_parent_death_pipe_does(model_root: Path) -> None:
    """A container whose server was killed exits, even while it loads."""
    container = Container.start(model_root)
    os.close(container.death_pipe)
    assert container.process.wait(timeout=120) == 0


@pytest.mark.mxnet
def test_sigterm_ends_it_cleanly(model_root: Path) -> None:
    """On SIGTERM the process exits with 0."""
    container = Container.start(model_root)
    container.wait_until_ready()
    container.process.send_signal(signal.SIGTERM)
    assert container.process.wait(timeout=120) == 0
    assert "Received a signal to stop" in container.log.read_text()
    os.close(container.death_pipe)


@pytest.mark.mxnet
def test_a_broken_archive_ends_with_a_sentence(tmp_path: Path) -> None:
    """When the archive lacks a file, the process exits, and its last line on stderr names the file."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "other.txt").write_text("x")
    completed = serve_until_it_ends({"SM_ML_ROOT": str(tmp_path)})
    assert completed.returncode == 3
    assert completed.stderr.strip().endswith("The model archive has no hyperparams.json; it holds other.txt.")


def test_without_mxnet_it_says_so() -> None:
    """When MXNet cannot be imported, the process exits immediately with one line that gives the reason."""
    code = (
        "import sys; sys.modules['mxnet'] = None\n"
        "from sandbox.algorithm.__main__ import main\n"
        "sys.exit(main(['serve']))"
    )
    completed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert completed.returncode == 3
    assert completed.stderr.startswith("MXNet 1.9.1 is not installed here")
    assert len(completed.stderr.strip().splitlines()) == 1


def serve_until_it_ends(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `serve` where it is expected to exit."""
    return subprocess.run(
        [sys.executable, "-m", "sandbox.algorithm", "serve", "--port", "0"],
        cwd=ROOT, env=os.environ | environ, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
