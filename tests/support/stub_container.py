"""A container without a model: it keeps the container contract and returns the files in the model archive.

Files of the archive: `answer.png` for Accept image/png, `answer.recordio` for any other, `behavior.json` with any of
{"exit": text, "ping_seconds": s, "gate": path, "status": n, "text": t, "seconds": s, "bytes": n, "cut": n,
"mortal": true, "stubborn": true, "lingers": path, "held": path, "child": path, "parameters": text,
"refuse": [text, status], "environ": prefix, "bright": true}. "parameters" answers GET /execution-parameters; "refuse"
refuses bodies that contain the text; "environ" adds the environment variables with that prefix to the JSON answer;
"bright" answers with class 1 where an image is bright, at its size: a mask, or probabilities. With "child" it starts
a process that ignores signals, and writes its id to that file. With "mortal", a request whose custom attribute is
"die" ends the process; with "gate" it is not ready, and with "lingers" it does not exit on a signal, before that file
exists. With "held" it creates the file PATH-PID when a request arrives, and answers once the file PATH exists.
"""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODEL = Path(os.environ["SM_ML_ROOT"], "model")
BEHAVIOR = json.loads((MODEL / "behavior.json").read_text()) if (MODEL / "behavior.json").exists() else {}
STARTED = time.monotonic()
RECORD = "application/x-recordio-protobuf"
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/execution-parameters":
            text = BEHAVIOR.get("parameters")
            self.answer(404 if text is None else 200, (text or "").encode(), "application/json")
            return
        ready = time.monotonic() - STARTED >= BEHAVIOR.get("ping_seconds", 0) and _exists("gate")
        self.answer(200 if ready else 503, b"", "text/plain")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if BEHAVIOR.get("mortal") and self.headers.get(ATTRIBUTES) == "die":
            print("exit on request", flush=True)
            os._exit(7)
        if "held" in BEHAVIOR:
            Path(f"{BEHAVIOR['held']}-{os.getpid()}").touch()
        while not _exists("held"):
            time.sleep(0.02)
        time.sleep(BEHAVIOR.get("seconds", 0))
        marker, status = BEHAVIOR.get("refuse", ("", 0))
        if marker and marker.encode() in body:
            self.answer(status, f"Refused:\n{marker}".encode(), "text/plain")
        elif "status" in BEHAVIOR:
            self.answer(BEHAVIOR["status"], BEHAVIOR.get("text", "refused").encode(), "text/plain")
        elif BEHAVIOR.get("bright"):
            self.answer(200, *_bright(body, self.headers.get("Accept") or "*/*"))
        elif "bytes" in BEHAVIOR:
            self.answer(200, bytes(BEHAVIOR["bytes"]), "application/octet-stream", cut=BEHAVIOR.get("cut"))
        else:
            self.canned(len(body))

    def canned(self, length: int) -> None:
        accept = self.headers.get("Accept") or "*/*"
        name = "answer.png" if "image/" in accept else "answer.recordio"
        if (MODEL / name).exists():
            kind = "image/png" if name == "answer.png" else RECORD
            kind = accept if "protobuf" in accept else kind
            self.answer(200, (MODEL / name).read_bytes(), kind)
            return
        names = ("Content-Type", "Accept", ATTRIBUTES, "X-Amzn-SageMaker-Inference-Id")
        seen = {"length": length, "model": sorted(path.name for path in MODEL.iterdir()), "pid": os.getpid()}
        seen |= {name: self.headers[name] for name in names if name in self.headers}
        if "environ" in BEHAVIOR:
            seen["environ"] = {k: v for k, v in os.environ.items() if k.startswith(BEHAVIOR["environ"])}
        self.answer(200, json.dumps(seen).encode(), "application/json")

    def answer(self, status: int, body: bytes, kind: str, cut: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if ATTRIBUTES in self.headers:
            self.send_header(ATTRIBUTES, self.headers[ATTRIBUTES])
        self.end_headers()
        self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True

    def log_message(self, text: str, *arguments: object) -> None:
        print(text % arguments, flush=True)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock.getsockname(), Handler, bind_and_activate=False)
        self.socket = sock


def _bright(body: bytes, accept: str) -> tuple[bytes, str]:
    """Return the answer to an image and its content type: class 1 has the brightness as its probability."""
    import numpy as np
    from answers import recordio  # next to this file
    from PIL import Image

    gray = np.asarray(Image.open(io.BytesIO(body)).convert("L")).astype(np.float32) / 255
    if "image/" not in accept:
        return recordio(np.stack([1 - gray, gray])), accept
    buffer = io.BytesIO()
    Image.fromarray((gray > 0.5).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue(), "image/png"


def _exists(name: str) -> bool:
    """Return whether the file named by the behavior exists; true when it names none."""
    return name not in BEHAVIOR or Path(BEHAVIOR[name]).exists()


def _linger(*_: object) -> None:
    while not _exists("lingers"):
        time.sleep(0.02)
    os._exit(0)


def _start_child(path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    path.write_text(str(subprocess.Popen([sys.executable, "-c", code]).pid))


def _die_with_the_sandbox() -> None:
    os.read(int(os.environ["SANDBOX_DEATH_PIPE_FD"]), 1)
    os._exit(0)


def main() -> None:
    if "exit" in BEHAVIOR:
        sys.exit(BEHAVIOR["exit"])
    if BEHAVIOR.get("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "lingers" in BEHAVIOR:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=_linger).start())
    if "child" in BEHAVIOR:
        _start_child(Path(BEHAVIOR["child"]))
    threading.Thread(target=_die_with_the_sandbox, daemon=True).start()
    print(f"stub serving {sorted(path.name for path in MODEL.iterdir())}", flush=True)
    Server(socket.socket(fileno=int(os.environ["SANDBOX_LISTEN_FD"]))).serve_forever()


if __name__ == "__main__":
    main()
