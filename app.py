"""The web entry: `streamlit run app.py`, or `make run`.

What Streamlit runs for each visitor is `pages/parts/shell.py`, not this file. Were this file the script, with
`pages/` beside it, Streamlit would find the pages by itself and show a page that is opened by its address without
the shell around it.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import Popen

import anyio
import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from core.aws.connection import Connection
from core.errors import CoreError, UnreachableError
from core.settings import Settings
from sandbox import launcher

SHELL = Path(__file__).parent / "pages" / "parts" / "shell.py"
WARM = ("altair", "boto3", "numpy", "pandas", "pyarrow", "PIL.Image", "streamlit.elements.arrow")
"""What the first visitor would otherwise wait for."""


class SandboxKeeper:
    """Brings the sandbox up when asked, and takes down what it brought up."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.process: Popen[bytes] | None = None

    def start(self) -> Connection:
        """Join the sandbox that runs, or start one. Raises UnreachableError with the end of its log."""
        try:
            address, started = launcher.ensure(self.data_dir)
        except launcher.LaunchError as error:
            raise UnreachableError(
                "The sandbox on this machine does not start.",
                why=str(error),
                todo=f"Its log is {self.data_dir / 'sandbox.log'}. Mend what it says, then try again.",
            ) from error
        self.process = started or self.process
        return Connection(
            address.region, address.url, access_key=address.access_key, secret_key=address.secret_key
        )

    def stop(self) -> None:
        """End the sandbox, if this dashboard started it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=20)


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncGenerator[None]:
    """Before the first visitor: import what is slow, bring the sandbox up, say where to look."""
    # Only now, with Streamlit's runtime there, may cached functions be imported.
    from pages.parts import upstream  # noqa: PLC0415

    keeper = None
    if Settings.from_environ(os.environ).mode == "sandbox":
        keeper = SandboxKeeper(Settings.from_environ(os.environ).sandbox_dir)
        upstream.register(keeper.start)
        await anyio.to_thread.run_sync(_try, upstream.revive)
    for name in WARM:
        importlib.import_module(name)
    _spare_the_collector()
    _say(f"Segdeck is ready at {_own_address()}")
    try:
        yield
    finally:
        if keeper is not None:
            keeper.stop()


def _try(start: Callable[[], None]) -> None:
    """The page can say what is wrong better than an exit can: start in any case."""
    _say("Starting the sandbox, a SageMaker on this machine ...")
    try:
        start()
    except CoreError as error:
        _say(str(error))


def _spare_the_collector() -> None:
    """Keep what the imports built out of every later collection: it makes each rerun some 100 ms shorter."""
    gc.collect()
    gc.freeze()


def _own_address() -> str:
    host = st.get_option("browser.serverAddress" if _is_wildcard() else "server.address")
    return f"http://{host}:{st.get_option('server.port')}"


def _is_wildcard() -> bool:
    return st.get_option("server.address") in {None, "", "0.0.0.0", "::"}  # noqa: S104  # only compared


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)  # noqa: T201  # the one program that talks to a terminal


app = st.App(
    SHELL, lifespan=lifespan, middleware=[Middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)]
)
