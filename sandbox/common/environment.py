"""Decide which environment variables of a request reach a container's program.

On AWS a container is isolated, so its Environment may hold anything. Here it is a process of the user who runs the
sandbox: a variable that the loader, Python or a library reads (LD_PRELOAD, PYTHONWARNINGS with BROWSER, OPENSSL_CONF,
MXNET_LIBRARY_PATH, ...) would run code of the caller of CreateModel. No list of those is complete, so names are
allowed by prefix, and every other one is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

PREFIXES = ("SAGEMAKER_", "SM_", "TRAINING_", "MODEL_", "JOB_", "APP_")
"""SageMaker's names, and those for a user's own keys: interpreters, loaders and libraries read none of them."""
MAX_SHOWN = 10


def environment_problem(variables: Mapping[str, str]) -> str:
    """Return why the variables are refused; empty when they are allowed."""
    refused = sorted(name for name in variables if not name.startswith(PREFIXES))
    if refused:
        shown = ", ".join(name[:60] for name in refused[:MAX_SHOWN])
        more = f" and {len(refused) - MAX_SHOWN} more" if len(refused) > MAX_SHOWN else ""
        return (
            f"The sandbox does not pass on the environment variables {shown}{more}: it runs containers as processes "
            "on this machine, where a variable could load other code. Remove them, or use names that begin with "
            f"{', '.join(PREFIXES[:-1])} or {PREFIXES[-1]}."
        )
    unusable = sorted(name for name, value in variables.items() if not _is_text(value))
    if unusable:
        return (
            f"The value of {', '.join(name[:60] for name in unusable[:MAX_SHOWN])} contains a NUL or a character "
            "that is not valid Unicode: it cannot be passed to a process. Remove that character."
        )
    return ""


def _is_text(value: str) -> bool:
    """Return whether a value can be passed to a process."""
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False
