"""`serve`: load the model, warm up, and answer until a signal to stop.

Environment:

    SM_ML_ROOT              replaces /opt/ml; the unpacked model is in its folder `model`
    SANDBOX_LISTEN_FD       a TCP socket that already listens, inherited
    SANDBOX_DEATH_PIPE_FD   the read end of the parent-death pipe; when it closes, this process exits

For manual use, `python -m sandbox.algorithm serve --model DIR --port N` opens its own socket.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sandbox.algorithm import log
from sandbox.algorithm.archive import read_archive
from sandbox.algorithm.mxnet_import import load_mxnet
from sandbox.algorithm.predict import Predictor
from sandbox.algorithm.service import InferenceService, http_server

WARM_UP = (600, 800)
"""Height and width of the first image: the dashboard's default input size."""
WARM_UP_RESNET = (240, 240)
"""With a ResNet the default size takes seconds; AWS's crop size is enough to build the graph."""
LAST_ANSWERS = 10.0
"""Seconds for running requests to end after SIGTERM."""


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """The model's folder, and where to listen.

    listen_fd, death_pipe_fd: inherited descriptors, None without them.
    """

    model: Path
    scratch: Path
    listen_fd: int | None = None
    death_pipe_fd: int | None = None
    port: int = 8080

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], model: Path | None, port: int) -> ServeConfig:
        """Read the container contract from the environment; `model` and `port` are for manual use."""
        root = Path(environ.get("SM_ML_ROOT", "/opt/ml"))
        listen, death_pipe = environ.get("SANDBOX_LISTEN_FD"), environ.get("SANDBOX_DEATH_PIPE_FD")
        return cls(
            model=model or root / "model",
            scratch=model or root,
            listen_fd=int(listen) if listen else None,
            death_pipe_fd=int(death_pipe) if death_pipe else None,
            port=port,
        )


def serve(serving: ServeConfig) -> None:
    """Serve until SIGTERM or SIGINT. Raises AlgorithmError when the model cannot be loaded."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if serving.death_pipe_fd is not None:
        threading.Thread(target=_exit_at_end_of, args=(serving.death_pipe_fd,), daemon=True).start()
    service = InferenceService(serving.scratch)
    server = http_server(_listener(serving), service)
    # It answers immediately, so that a ping during the start gets a 503 and does not hang.
    threading.Thread(target=server.serve_forever, daemon=True).start()
    service.predictor = _ready(serving.model)
    host, port = server.socket.getsockname()[:2]
    log.info(f"Ready on {host}:{port}")
    stop.wait()
    log.info("Received a signal to stop")
    server.shutdown()
    if not service.wait_until_idle(LAST_ANSWERS):
        log.warning(f"Stopped with unanswered requests after {LAST_ANSWERS:.0f} seconds")


def _ready(folder: Path) -> Predictor:
    """Load the model of a folder and run it once."""
    started = time.time()
    load_mxnet()
    archive = read_archive(folder)
    known = archive.architecture
    log.info(f"Using device: cpu for worker PID: {os.getpid()}")
    log.info(f"Loading weights from {archive.parameters}")
    predictor = Predictor(archive)
    height, width = WARM_UP if known.algorithm == "light" else WARM_UP_RESNET
    if predictor.only_side is not None:
        height = width = predictor.only_side
    predictor.probabilities(np.zeros((height, width, 3), np.uint8))
    log.info(
        f"Serving {known.algorithm} on {known.backbone} with {known.classes} classes "
        f"after {time.time() - started:.1f} seconds"
    )
    return predictor


def _listener(serving: ServeConfig) -> socket.socket:
    """Return the inherited socket, or a new one."""
    if serving.listen_fd is not None:
        return socket.socket(fileno=serving.listen_fd)
    return socket.create_server(("127.0.0.1", serving.port), backlog=128)


def _exit_at_end_of(death_pipe: int) -> None:
    """Exit the process immediately when the pipe closes."""
    while os.read(death_pipe, 1):
        pass
    os._exit(0)
