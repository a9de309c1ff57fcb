"""Names of files in the sandbox's data folder that more than one module reads."""

from __future__ import annotations

ADDRESS_FILE = "sandbox.json"
"""Where the running sandbox says how to reach it; see `sandbox.launcher.Address`."""

LOG_FILE = "sandbox.log"
"""What the sandbox prints when another program started it."""
