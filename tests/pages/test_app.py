"""The entry, `app.py`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

ROOT = Path(__file__).parents[2]


def test_importing_the_app_stays_light():
    """Importing `app` brings in neither MXNet nor moto nor the SageMaker SDK nor matplotlib."""
    code = (
        "import sys, app; "
        "print(*[name for name in ('mxnet', 'moto', 'sagemaker', 'matplotlib.pyplot') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["asked", "killed"])
def test_the_sandbox_ends_with_the_dashboard(tmp_path, how):
    """The sandbox that a dashboard started ends with it, also where the dashboard is killed."""
    environ = {**os.environ, "SEGDECK_MODE": "sandbox", "SEGDECK_SANDBOX_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port=0"]
    with Popen(command, cwd=ROOT, env=environ, stderr=PIPE, text=True) as dashboard:
        assert dashboard.stderr is not None
        ready = next(line for line in dashboard.stderr if "Segdeck: http" in line)
        pid = json.loads((tmp_path / "sandbox.json").read_text())["pid"]
        assert json.loads((tmp_path / "sandbox.json").read_text())["url"] in ready
        assert is_running(pid)
        dashboard.send_signal(how)
        deadline = time.monotonic() + 30
        while is_running(pid):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Whether the process is there, and not only waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_caches_have_one_home():
    """Every `st.cache_*` stands in `cached.py`, and is bounded by age or number."""
    users = {path.name for path in (ROOT / "pages").rglob("*.py") if "@st.cache" in path.read_text("utf-8")}
    assert users == {"cached.py"}
