"""The entry, `app.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_importing_the_app_stays_light():
    """Importing `app` brings in neither MXNet nor moto nor the SageMaker SDK nor matplotlib."""
    code = (
        "import sys, app; "
        "print(*[name for name in ('mxnet', 'moto', 'sagemaker', 'matplotlib.pyplot') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_session_state_has_one_home():
    """`st.session_state` stands in `state.py`; a component may read its own trigger."""
    users = {
        path.name for path in (ROOT / "pages").rglob("*.py") if "session_state" in path.read_text("utf-8")
    }
    assert users == {"state.py", "gallery.py"}


def test_caches_have_one_home():
    """Every `st.cache_*` stands in `cached.py`, and is bounded by age or number."""
    users = {path.name for path in (ROOT / "pages").rglob("*.py") if "@st.cache" in path.read_text("utf-8")}
    assert users == {"cached.py"}
