"""Pages run by Streamlit's own AppTest, in mode aws, against a loopback sandbox with a stub in the model's place."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from sandbox.server import Sandbox
from tests.support.answers import HEIGHT, NAMES, WIDTH, mask, probabilities, recordio
from tests.support.apps import app_from_file
from tests.support.dashboard import fresh_caches, put_data
from tests.support.endpoints import remove_endpoint

SHELL = Path(__file__).parents[2] / "pages" / "parts" / "shell.py"

OpenPage = Callable[..., AppTest]


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The dashboard's own folder, empty: no test sees the runs and cached responses of another."""
    folder = tmp_path / "own-state"
    monkeypatch.setenv("SEGDECK_STATE_DIR", str(folder))
    return folder


@pytest.fixture
def open_page(aws_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> OpenPage:
    """open_page(page="segment", environ={...}, **query) -> the page after its first run."""

    def start(page: str = "segment", environ: Mapping[str, str] = {}, **query: str) -> AppTest:
        for name, value in {"SEGDECK_MODE": "aws", **aws_environ, **environ}.items():
            monkeypatch.setenv(name, value)
        app = app_from_file(SHELL, default_timeout=60)
        for key, value in query.items():
            app.query_params[key] = value
        return app.switch_page(f"../{page}.py").run()

    fresh_caches()
    return start


@pytest.fixture
def sagemaker(sandbox_server: Sandbox, make_client: Callable[..., Any]) -> Any:
    """A client of the sandbox, whose bucket holds the data of training jobs."""
    put_data(make_client(sandbox_server, "s3"))
    return make_client(sandbox_server, "sagemaker")


@pytest.fixture(scope="module")
def coast(sandbox_server: Sandbox, make_endpoint: Callable[..., str]) -> Iterator[str]:
    """An endpoint of two classes: the left three quarters are sea at 90 %, the rest is land at 70 %."""
    files = {"answer.recordio": recordio(probabilities()), "answer.png": mask()}
    name = make_endpoint(sandbox_server, files=files)
    sandbox_server.loopback.client("s3").put_object(
        Bucket="stub-models", Key=f"{name}/classes.json", Body=json.dumps(NAMES).encode()
    )
    yield name
    remove_endpoint(sandbox_server, name)


@pytest.fixture(scope="session")
def run_until() -> Callable[[AppTest, Callable[[AppTest], Any]], None]:
    """run_until(app, holds): run the page again until it does; the browser's timer does not tick here."""

    def run(app: AppTest, holds: Callable[[AppTest], Any], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not holds(app):
            assert time.monotonic() < deadline, texts(app)
            app.run()

    return run


@pytest.fixture(scope="session")
def read_texts() -> Callable[[AppTest], str]:
    """read_texts(app) -> all that a person reads on the page."""
    return texts


@pytest.fixture(scope="session")
def jpeg() -> Callable[..., bytes]:
    """jpeg(width, height, shade) -> a photograph's bytes."""

    def make(width: int = WIDTH, height: int = HEIGHT, shade: int = 90) -> bytes:
        file = io.BytesIO()
        Image.new("RGB", (width, height), (shade, shade, 200)).save(file, "JPEG")
        return file.getvalue()

    return make


def texts(app: AppTest) -> str:
    kinds = ("title", "markdown", "caption", "error", "warning", "info")
    return "\n".join(str(element.value) for kind in kinds for element in app.get(kind))
