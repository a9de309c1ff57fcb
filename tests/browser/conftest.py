"""A real Chromium, and real Streamlit servers for it to look at."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize, expect
from playwright.sync_api import Error as BrowserError

from sandbox.server import Sandbox
from tests.support.answers import NAMES, mask, probabilities, recordio
from tests.support.browser import LONG, open_context
from tests.support.ports import free_port
from tests.support.roles import create_roles

ROOT = Path(__file__).parents[2]
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
)  # fmt: skip
ONE_RENDERER = ("--renderer-process-limit=1", "--disable-site-isolation-trials")
"""All addresses in a window are drawn by one process, which keeps compiled scripts: 0.6 s of a core each."""
CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
"""A camera that needs no person and no device."""

expect.set_options(timeout=LONG)  # a bound, not a wait: a busy machine may take its time

SIZE: ViewportSize = {"width": 1280, "height": 720}
"""Pixels of a tab's inside."""
StreamlitServer = Callable[..., str]
QUIET_SECONDS = 7
"""Longer than the time between two refreshes of any page."""
SHOWN = 1_500
"""Characters of a page and of a log that a failure shows."""
HARMLESS = (
    r"_stcore/(health|host-config)",  # Streamlit tries a deep link's own folder before the root
    r"WARN .*(Infinite extent|Scale bindings)",  # Vega, about a chart without data
    r"'?wasm-eval'?|WebAssembly",  # an optional fast path of Streamlit's protobuf bundle
)
WATCH = """
    window.violations = [];
    addEventListener("securitypolicyviolation", (event) =>
        window.violations.push(`${event.effectiveDirective} ${event.blockedURI}`));
"""
"""Notes what the policy of the page refuses."""
LOGS: list[Path] = []
"""The logs of this process's servers that have been started."""
STOP_SECONDS = 120
"""Seconds for a server to stop before it is killed: a dashboard stops its sandbox first."""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """That of CHROMIUM, else the system's Chromium or Chrome where there is one, else Playwright's own."""
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    found = [path for name in names if name and (path := shutil.which(name))]
    executable = {"executable_path": found[0]} if found else {}
    return {**browser_type_launch_args, **executable, "args": [*QUIET, *ONE_RENDERER, *CAMERA]}


@pytest.fixture(scope="session")
def window(browser: Browser) -> Iterator[BrowserContext]:
    """The window of the `page` fixture; its actions have the bound of the expectations."""
    with open_context(browser, viewport=SIZE, color_scheme="light") as context:
        context.add_init_script(WATCH)
        yield context


@pytest.fixture
def page(window: BrowserContext) -> Iterator[Page]:
    """The one tab of these tests, without anything that an earlier test left in it.

    A new tab has to compile Streamlit's scripts again: 2.3 s of a core more than another address in the same tab.
    """
    tab = window.pages[0] if window.pages else window.new_page()
    tab.set_viewport_size(SIZE)
    tab.emulate_media(color_scheme="light")
    yield tab
    for other in window.pages[1:]:
        other.close()
    try:
        tab.evaluate(
            "location.protocol.startsWith('http') && [sessionStorage, localStorage].map((s) => s.clear())"
        )
        tab.goto("about:blank")
    except BrowserError:  # it has crashed, which its test reports: the next test gets a new one
        tab.close()
    window.clear_cookies()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failure what the page showed and the end of each server's log: it may not be seen twice."""
    report = yield
    page = getattr(item, "funcargs", {}).get("page")
    if report.when == "call" and report.failed and isinstance(page, Page):
        try:
            text = f"{page.url}\n{page.inner_text('body', timeout=5000)}"
        except BrowserError as error:
            text = str(error)
        report.sections.append(("page", "\n".join(filter(str.strip, text.splitlines()))[:SHOWN]))
        for log in LOGS:
            report.sections.append((f"log of {log.parent.name}", log.read_text("utf-8", "replace")[-SHOWN:]))
    return report


@contextmanager
def streamlit_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamlitServer]:
    """Give a function that starts a server and gives its address; all end with the block."""
    running: dict[Path, subprocess.Popen[bytes]] = {}

    def start(script: Path, environ: Mapping[str, str] = {}) -> str:
        port = free_port()
        log = tmp_path_factory.mktemp("streamlit") / "log.txt"
        command = [
            sys.executable, "-m", "streamlit", "run", str(script), "--server.address=127.0.0.1",
            f"--server.port={port}", "--server.headless=true", "--browser.gatherUsageStats=false",
            "--server.fileWatcherType=none",
        ]  # fmt: skip
        environ = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environ, stdout=output, stderr=subprocess.STDOUT
            )
        running[log] = process
        LOGS.append(log)
        _wait_healthy(f"http://127.0.0.1:{port}", process, log)
        return f"http://127.0.0.1:{port}"

    try:
        yield start
    finally:
        for log, process in running.items():
            LOGS.remove(log)
            process.terminate()
        for process in running.values():
            try:
                process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise


@pytest.fixture(scope="module")
def streamlit_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamlitServer]:
    """`streamlit_server(script, environ)` starts a server and gives its address; all end with the module."""
    with streamlit_servers(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one server for the pages of parts_app.py, each of which shows a part of the dashboard."""
    with streamlit_servers(tmp_path_factory) as start:
        yield start(Path(__file__).with_name("parts_app.py"))


@dataclass(frozen=True)
class Demo:
    """A dashboard in mode sandbox. address: where it answers. data_dir: of its sandbox, with the demo models."""

    address: str
    data_dir: Path


@pytest.fixture(scope="session")
def demo_dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One dashboard for all journeys that need the demo models: they take several seconds of a core to load."""
    data_dir = tmp_path_factory.mktemp("demo-sandbox")
    environ = {
        "SEGDECK_MODE": "sandbox",
        "SEGDECK_SANDBOX_DIR": str(data_dir),
        "SEGDECK_STATE_DIR": str(tmp_path_factory.mktemp("demo-state")),
    }
    with streamlit_servers(tmp_path_factory) as start:
        yield Demo(start(ROOT / "app.py", environ), data_dir)


@pytest.fixture(scope="session")
def account(
    tmp_path_factory: pytest.TempPathFactory,
    stub_programs: dict[str, list[str]],
    stub_training_programs: dict[str, list[str]],
) -> Iterator[Sandbox]:
    """A sandbox that is the AWS of `account_dashboard`; its containers are stubs."""
    folder = tmp_path_factory.mktemp("account")
    with Sandbox(folder, programs=stub_programs, training_programs=stub_training_programs) as sandbox:
        create_roles(sandbox)
        yield sandbox


@pytest.fixture(scope="session")
def coast(account: Sandbox, make_endpoint: Callable[..., str]) -> str:
    """An endpoint of `account` with two classes: the left three quarters are sea, the rest is land."""
    name = make_endpoint(account, files={"answer.recordio": recordio(probabilities()), "answer.png": mask()})
    s3 = account.loopback.client("s3")
    s3.put_object(Bucket="stub-models", Key=f"{name}/classes.json", Body=json.dumps(NAMES).encode())
    return name


@pytest.fixture(scope="session")
def account_dashboard(
    account: Sandbox,
    coast: str,  # before the dashboard keeps a list of endpoints
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """The address of one dashboard in mode aws for all journeys that share an account: each start takes 5 s."""
    state = str(tmp_path_factory.mktemp("state"))
    environ = {**account.address.environ(), "SEGDECK_MODE": "aws", "SEGDECK_STATE_DIR": state}
    with streamlit_servers(tmp_path_factory) as start:
        yield start(ROOT / "app.py", environ)


@pytest.fixture
def faults(account: Sandbox) -> Iterator[Any]:
    """The faults of `account`, cleared before and after the test."""
    account.faults.clear()
    yield account.faults
    account.faults.clear()


def _wait_healthy(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=10) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"Streamlit did not come up at {url}:\n{log.read_text('utf-8', 'replace')[-4000:]}")


@pytest.fixture
def complaints(page: Page) -> Iterator[Callable[[], list[str]]]:
    """`complaints()` returns what the console and the policy complained about, without what is known and harmless."""
    messages: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            messages.append(f"{message.text} {message.location.get('url', '')}")

    page.on("console", note)
    page.on("pageerror", lambda error: messages.append(f"page error: {error}"))

    def read() -> list[str]:
        messages.extend(page.evaluate("window.violations"))
        return [text for text in messages if not any(re.search(known, text) for known in HARMLESS)]

    yield read
    page.remove_listener("console", note)


@pytest.fixture
def frames(page: Page) -> list[float]:
    """The time of each thing that the page has sent to its server, in seconds of the monotonic clock."""
    sent: list[float] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda _: sent.append(time.monotonic())))
    return sent


@pytest.fixture
def comes_to_rest(page: Page, frames: list[float]) -> Callable[[], None]:
    """`comes_to_rest()` fails unless the page, once it has read all, sends nothing for longer than a tick."""

    def wait() -> None:
        deadline = time.monotonic() + LONG / 1000  # the first reruns may still be on their way
        while not frames or time.monotonic() - frames[-1] < QUIET_SECONDS:
            assert time.monotonic() < deadline, f"the page goes on asking: {len(frames)} times so far"
            page.wait_for_timeout(100)

    return wait


@pytest.fixture(scope="session")
def ready() -> Callable[[Page], None]:
    """`ready(page)` waits until the script has run to its end.

    After an action, await what the action changes first: its run may not have begun when this looks.
    """

    def wait(page: Page) -> None:
        app = page.get_by_test_id("stApp")
        expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=LONG)

    return wait
