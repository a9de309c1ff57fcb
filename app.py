"""The web entry: `streamlit run app.py`, or `make run`.

Streamlit runs `pages/parts/shell.py` for each user, not this file. If this file were the script, with `pages/` next
to it, Streamlit would discover the pages on its own and run a deep-linked page without the shell around it.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import Popen, TimeoutExpired

import anyio
import streamlit as st
from anyio import to_thread
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from core.aws.connection import Connection
from core.errors import CoreError, UnreachableError
from core.escaping import terminal
from core.local_files import close_to_others, reason
from core.origins import is_loopback
from core.settings import AccessSettings, Settings
from pages.parts import boundary, listening, server_replies
from pages.parts.map import routes as map_routes
from pages.parts.map import service as map_service
from sandbox import launcher
from sandbox.common.descriptors import raise_file_limit
from sandbox.common.file_names import LOG_FILE

SHELL = Path(__file__).parent / "pages" / "parts" / "shell.py"
WARM = ("altair", "boto3", "numpy", "pandas", "pyarrow", "PIL.Image", "streamlit.elements.arrow")
"""Modules that the first user would otherwise wait for."""

LOOK_SECONDS, LONGEST_LOOK_SECONDS = 2.0, 300.0
STOP_SECONDS = 20
WRITE_SECONDS = 3.0
"""Seconds that the end of the server waits for results that are being stored."""

EVERY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104  # compared, not bound
EXIT_REFUSED = 2


class SandboxKeeper:
    """Starts the sandbox, restarts it when it dies, and stops it if it was started here."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.process: Popen[bytes] | None = None
        self.url = ""

    def start(self) -> Connection:
        """Connect to the running sandbox, or start one. Raises UnreachableError with the end of its log."""
        if self.process is not None:
            self.process.poll()  # a dead child that was never polled still counts as a process
        try:
            address, started = launcher.ensure(self.data_dir)
        except launcher.LaunchError as error:
            raise UnreachableError(
                "The sandbox on this machine did not start.",
                why=str(error),
                todo=f"Check its log, {self.data_dir / LOG_FILE}, fix the problem, then try again.",
            ) from error
        self.process, self.url = started or self.process, address.url
        return Connection(
            address.region, address.url, access_key=address.access_key, secret_key=address.secret_key
        )

    def bring_up(self) -> None:
        """Start it and print that. A failure is printed, and shown on the pages, which can retry."""
        from pages.parts import backend  # noqa: PLC0415  # cached functions need Streamlit's runtime first

        if launcher.running(self.data_dir) is None:
            _say("Starting the sandbox (SageMaker on this machine) ...")
        try:
            backend.restart_sandbox()
        except CoreError as error:
            _say(str(error))

    async def keep_up(self) -> None:
        """Restart it when it has died, with a growing pause if it keeps dying."""
        pause = LOOK_SECONDS
        while True:
            await anyio.sleep(pause)
            if self.process is not None and self.process.poll() is not None:
                _say(f"The sandbox exited with code {self.process.returncode}. Restarting it.")
                self.process = None
                pause = min(2 * pause, LONGEST_LOOK_SECONDS)
                await to_thread.run_sync(self.bring_up)

    def stop(self) -> None:
        """Stop the sandbox, if this dashboard started it."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=STOP_SECONDS)
        except TimeoutExpired:
            self.process.kill()


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncGenerator[None]:
    """Before the first user: import slow modules, start the sandbox, print the address to open."""
    from core.datasets.temp_zip import close_all  # noqa: PLC0415  # as above
    from pages.parts import backend, run_store, session_cleanup, webhook  # noqa: PLC0415  # as above

    _send_without_delay()
    keeper = _keeper()
    _close_state_dir()
    async with anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as starting:
            if keeper is not None:
                backend.register(keeper.start)
                starting.start_soon(to_thread.run_sync, keeper.bring_up)
            starting.start_soon(to_thread.run_sync, _import_slow_modules)
            starting.start_soon(to_thread.run_sync, _remove_leftovers)
        _freeze_imports()
        _say(f"Segdeck: {_own_address()}" + (f" · sandbox: {keeper.url}" if keeper and keeper.url else ""))
        for note in _access_notes(_ACCESS):
            _say(note)
        tasks.start_soon(session_cleanup.keep_clean, session_cleanup.closed_sessions)
        if keeper is not None:
            tasks.start_soon(keeper.keep_up)
        if (settings := _settings()) is not None:
            tasks.start_soon(webhook.keep_reporting, settings)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()
            if not run_store.recorder().wait(WRITE_SECONDS):
                _say("Stopped before all results of the last seconds were stored.")
            close_all()
            map_service.maps().close()
            if keeper is not None:
                keeper.stop()


def _keeper() -> SandboxKeeper | None:
    try:
        settings = Settings.from_environ(os.environ)
    except CoreError as error:  # every page shows it as well
        _say(str(error))
        return None
    return SandboxKeeper(settings.sandbox_dir) if settings.mode == "sandbox" else None


def _settings() -> Settings | None:
    """Return the settings; None if they are invalid, which `_keeper` printed."""
    try:
        return Settings.from_environ(os.environ)
    except CoreError:
        return None


def _close_state_dir() -> None:
    """Make the state folder of an earlier version private. Print a failure."""
    try:
        folder = Settings.from_environ(os.environ).state_dir
    except CoreError:
        return  # printed by `_keeper`
    try:
        if not close_to_others(folder):
            _say(
                f"Other users of this machine may be able to read {folder}: its file system has no permissions."
            )
    except FileNotFoundError:
        return  # created, and private, with the first change, upload or evaluation
    except OSError as error:
        _say(f"Other users of this machine may be able to read {folder}. {reason(error)}")


def _import_slow_modules() -> None:
    for name in WARM:
        importlib.import_module(name)


def _remove_leftovers() -> None:
    """Remove temporary files of an earlier dashboard that was killed."""
    from core.datasets.temp_zip import sweep  # noqa: PLC0415  # as above

    sweep()


def _freeze_imports() -> None:
    """Exclude imported modules from garbage collection, which makes each rerun about 100 ms faster."""
    gc.collect()
    gc.freeze()


def _access() -> AccessSettings:
    """Read who may open the dashboard. Exits if the settings are invalid: no page could report that safely."""
    try:
        return AccessSettings.from_environ(os.environ)
    except CoreError as error:
        _say(str(error))
        sys.exit(EXIT_REFUSED)


def _refuse_open_network(access: AccessSettings) -> None:
    """Exit if the server is about to listen on a network without permission.

    Checked here and not in the Makefile, so that it applies however the address is set: option, environment
    variable, configuration file. A server other than Streamlit's may listen elsewhere; the boundary therefore
    checks the address of every connection as well.
    """
    listens = str(st.get_option("server.address") or "")
    if access.allow_anonymous or is_loopback(listens):
        return
    _say(
        f"Segdeck does not start: it would listen on {_described(listens)}, and it has no sign-in. Anyone who can "
        "reach this address could start and delete jobs and endpoints with your AWS credentials, spend your "
        "money, and read images and datasets that your user can read on this machine. Use HOST=127.0.0.1 (the "
        "default) and an SSH tunnel, or a reverse proxy that requires a sign-in. If the network itself is "
        "protected, set SEGDECK_ALLOW_ANONYMOUS=1."
    )
    sys.exit(EXIT_REFUSED)


def _access_notes(access: AccessSettings) -> list[str]:
    """Return what an operator must know about who can reach the dashboard."""
    listens = str(st.get_option("server.address") or "")
    notes = []
    if not is_loopback(listens):
        notes.append(
            f"Open to the network: it listens on {_described(listens)} without a sign-in "
            "(SEGDECK_ALLOW_ANONYMOUS=1). Anyone who can reach it acts with your AWS credentials."
        )
    if access.allowed_origins:
        notes.append(f"Also accepts: {', '.join(str(origin) for origin in access.allowed_origins)}")
    return notes


def _described(listens: str) -> str:
    if listens in EVERY_ADDRESS:
        return f"every network address of this machine ({listens or 'no server.address is set'})"
    return listens


def _own_address() -> str:
    listens = str(st.get_option("server.address") or "")
    return boundary.url_of(
        "localhost" if listens in EVERY_ADDRESS else listens,
        int(st.get_option("server.port")),
        scheme="https" if st.get_option("server.sslCertFile") else "http",
        base_path=str(st.get_option("server.baseUrlPath") or ""),
    )


def _boundary(access: AccessSettings) -> Middleware:
    return Middleware(
        boundary.BrowserBoundary,
        allowed_origins=access.allowed_origins,
        allow_anonymous=access.allow_anonymous,
        headers=boundary.security_headers(boundary.streamlit_index()),
        base_path=str(st.get_option("server.baseUrlPath") or ""),
    )


def _raise_file_limit() -> None:
    limit = raise_file_limit()
    if limit is not None and limit.warning:
        _say(limit.warning)


def _send_without_delay() -> None:
    if not listening.send_without_delay():
        _say("Pages may respond about 40 ms later: TCP_NODELAY could not be set on the server's socket.")


def _say(text: str) -> None:
    print(f"  {terminal(text)}", file=sys.stderr, flush=True)  # noqa: T201  # for the person who started the server


def _on_script_error(error: Exception) -> bool:
    from pages.parts import messages  # noqa: PLC0415  # as above

    return messages.on_script_error(error)


_ACCESS = _access()
app = st.App(
    SHELL,
    lifespan=lifespan,
    routes=map_routes.routes(map_service.maps, map_service.base_path()),
    middleware=[_boundary(_ACCESS), Middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)],
    on_script_error=_on_script_error,
)
_refuse_open_network(_ACCESS)  # after st.App, which decides where Streamlit's configuration is read from
_raise_file_limit()
server_replies.keep_replies()
