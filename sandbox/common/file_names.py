"""Names of files in the sandbox's data folder that more than one module reads."""

from __future__ import annotations

ADDRESS_FILE = "sandbox.json"
"""The address of the running sandbox; see `sandbox.launcher.Address`."""

LOG_FILE = "sandbox.log"
"""The output of a sandbox that another program started."""
