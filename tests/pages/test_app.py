"""The entry, `app.py`."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from pages.parts.server_replies import ReplyKeepingQueue
from tests.support.seeded import mark_seeded

ROOT = Path(__file__).parents[2]


def test_importing_the_app_stays_light():
    """Importing `app` brings in neither MXNet nor moto nor the SageMaker SDK nor GDAL; sessions then keep replies."""
    code = (
        "import sys, app; from streamlit.runtime import app_session; "
        "names = ('mxnet', 'moto', 'sagemaker', 'matplotlib.pyplot', 'rasterio'); "
        "print(*[name for name in names if name in sys.modules], "
        "app_session.ForwardMsgQueue.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ReplyKeepingQueue.__name__


def test_the_routes_of_the_maps_are_under_the_base_path():
    """The dashboard answers the map viewer's requests under `server.baseUrlPath`, behind the browser boundary."""
    code = (
        "from streamlit.web.bootstrap import load_config_options\n"
        "load_config_options({'server_baseUrlPath': 'deck'})\n"
        "import app, asyncio\n"
        "async def get(path, host):\n"
        "    sent = []\n"
        "    async def receive(): return {'type': 'http.request', 'body': b'', 'more_body': False}\n"
        "    async def send(message): sent.append(message)\n"
        "    scope = {'type': 'http', 'http_version': '1.1', 'scheme': 'http', 'method': 'GET', 'path': path,\n"
        "             'raw_path': path.encode(), 'root_path': '', 'query_string': b'', 'state': {},\n"
        "             'server': ('127.0.0.1', 8501), 'client': ('127.0.0.1', 1), 'headers': [(b'host', host)]}\n"
        "    await app.app(scope, receive, send)\n"
        "    return sent[0]['status'], sent[1]['body'].decode().strip()\n"
        "async def main():\n"
        "    for host in (b'localhost:8501', b'evil.example'):\n"
        "        print(*await get('/deck/map/AAAA/mask/0/0/0.png', host), flush=True)\n"
        "    import os; os._exit(0)\n"
        "asyncio.run(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert lines[:1] == ["404 Not found."], done.stderr
    assert lines[1].startswith("421 ")


@pytest.mark.sandbox
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["asked", "killed"])
def test_the_sandbox_ends_with_the_dashboard(tmp_path, how):
    """The sandbox that a dashboard started ends with it, also where the dashboard is killed."""
    mark_seeded(tmp_path)
    environ = {**os.environ, "SEGDECK_MODE": "sandbox", "SEGDECK_SANDBOX_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port=0"]
    with Popen(command, cwd=ROOT, env=environ, stderr=PIPE, text=True) as dashboard:
        assert dashboard.stderr is not None
        ready = next(line for line in dashboard.stderr if "Segdeck: http" in line)
        pid = json.loads((tmp_path / "sandbox.json").read_text())["pid"]
        assert json.loads((tmp_path / "sandbox.json").read_text())["url"] in ready
        assert is_running(pid)
        dashboard.send_signal(how)
        deadline = time.monotonic() + 120
        while is_running(pid):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Whether the process is running, and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_caches_have_one_home():
    """Every `st.cache_*` is in `cached.py`, and is bounded by age or number of entries."""
    users = {path.name for path in (ROOT / "pages").rglob("*.py") if "@st.cache" in path.read_text("utf-8")}
    assert users == {"cached.py"}


@pytest.mark.parametrize(
    ("options", "variables", "text"),
    [
        (["--server.address=0.0.0.0"], {}, "every network address of this machine (0.0.0.0)"),
        ([], {"STREAMLIT_SERVER_ADDRESS": "::"}, "every network address of this machine (::)"),
        ([], {"SEGDECK_ALLOWED_ORIGINS": "*"}, "SEGDECK_ALLOWED_ORIGINS has the entry '*'"),
    ],
    ids=["option", "variable", "origins"],
)
def test_the_dashboard_refuses_to_start_open_to_a_network(tmp_path, options, variables, text):
    """An address that other machines can reach is refused, however set, and the message says what it exposes."""
    environ = {**os.environ, "SEGDECK_SANDBOX_DIR": str(tmp_path), **variables}
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port=0", *options]
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert text in done.stderr
    assert ("AWS credentials" in done.stderr) == ("address" in text)
    assert not list(tmp_path.iterdir()), "a sandbox was started"


def test_an_opened_dashboard_says_so_and_asks_nothing_outside(tmp_path):
    """With the switch it starts, says where it listens, raises its file limit, closes its state to other users, and
    makes no request to outside."""
    tmp_path.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as outside:
        proxy = f"http://127.0.0.1:{outside.getsockname()[1]}"
        environ = {
            **os.environ,
            "SEGDECK_ALLOW_ANONYMOUS": "1",
            "SEGDECK_MODE": "aws",
            "SEGDECK_STATE_DIR": str(tmp_path),
        }
        environ |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), proxy)
        environ |= {"SEGDECK_ALLOWED_ORIGINS": "https://segdeck.example.com", "no_proxy": "", "NO_PROXY": ""}
        command = [
            "sh", "-c", 'ulimit -Sn 256; exec "$@"', "sh",
            sys.executable, "-m", "streamlit", "run", "app.py", "--server.port=0", "--server.address=0.0.0.0",
        ]  # fmt: skip
        with Popen(command, cwd=ROOT, env=environ, stderr=PIPE, text=True) as dashboard:
            try:
                assert dashboard.stderr is not None
                address = next(line for line in dashboard.stderr if "Segdeck: http" in line)
                opened, allowed = next(dashboard.stderr), next(dashboard.stderr)
                assert "every network address of this machine (0.0.0.0)" in opened
                assert "https://segdeck.example.com" in allowed
                port = int(re.search(r"http://localhost:(\d+)", address)[1])
                for origin, status in (("http://evil.example", 403), ("https://segdeck.example.com", 101)):
                    assert opening_status(port, origin) == status
                limits = Path(f"/proc/{dashboard.pid}/limits").read_text()
                soft, hard = re.search(r"Max open files +(\d+) +(\d+)", limits).groups()
                assert int(soft) == min(int(hard), 65_536)
                assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
                outside.settimeout(0)
                with pytest.raises(BlockingIOError):
                    outside.accept()
            finally:
                dashboard.terminate()


def opening_status(port: int, origin: str) -> int:
    """The HTTP status with which the server answers a WebSocket's opening."""
    lines = (
        "GET /_stcore/stream HTTP/1.1", f"Host: localhost:{port}", f"Origin: {origin}", "Connection: Upgrade",
        "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "", "",
    )  # fmt: skip
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall("\r\n".join(lines).encode())
        return int(connection.recv(100).split()[1])


def test_small_packets_of_the_dashboard_are_sent_at_once(tmp_path):
    """A connection to the dashboard has TCP_NODELAY: no response waits for the client's delayed ACK."""
    environ = {
        **os.environ,
        "SEGDECK_MODE": "aws",
        "SEGDECK_STATE_DIR": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }
    command = [
        sys.executable, "-m", "streamlit", "run", "tests/support/nodelay_app.py", "--server.port=0",
        "--server.address=127.0.0.1",
    ]  # fmt: skip
    with Popen(command, cwd=ROOT, env=environ, stderr=PIPE, text=True) as dashboard:
        try:
            assert dashboard.stderr is not None
            address = next(line for line in dashboard.stderr if "Segdeck: http" in line)
            port = int(re.search(r"http://[^:]+:(\d+)", address)[1])
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/nodelay", timeout=60) as response:
                assert response.read() == b"1"
        finally:
            dashboard.terminate()
