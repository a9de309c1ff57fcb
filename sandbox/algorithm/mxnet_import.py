"""The only module that imports MXNet 1.9.1, with the adjustments for current versions of Python and numpy."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

SERVE_THREADS = 2
"""Serving: MXNet uses one thread by default; with two, inference takes 60 % of the time."""
TRAIN_THREADS = 1
"""Training the light network is as fast with one thread as with two, and leaves the other core free."""
UNUSED = ("sklearn", "scipy")
"""Optional imports of MXNet, for a base class and for quantization: 1.5 of 2.5 s of its start."""


class AlgorithmError(Exception):
    """The algorithm cannot run; the message is one sentence for the FailureReason."""


def load_mxnet(threads: int = SERVE_THREADS) -> Any:
    """Return the module `mxnet`, imported on the first call. Raises AlgorithmError when it cannot be imported.

    threads: for MXNet, unless OMP_NUM_THREADS is set; it is read once, at the import.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    # Threads that wait for each other sleep instead of spinning: next to other work, inference takes half the time;
    # alone, the same.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _restore_numpy_bool()
    try:
        with hidden(*UNUSED):
            return importlib.import_module("mxnet")
    except ModuleNotFoundError as error:
        raise AlgorithmError(
            f"MXNet 1.9.1 is not installed here ({error}): it has no wheel for Windows and for Apple silicon, "
            "so the sandbox's own models run on Linux and on Intel Macs only."
        ) from error
    except OSError as error:
        raise AlgorithmError(
            f"MXNet is installed but a system library is missing ({error}): install libgomp1."
        ) from error
    except (ImportError, AttributeError) as error:
        raise AlgorithmError(
            f"MXNet is installed but does not fit numpy {np.__version__} ({error}): use Python 3.11 and numpy 1.26."
        ) from error


def _restore_numpy_bool() -> None:
    """Restore `numpy.bool`, removed in numpy 1.24: MXNet 1.9.1 reads it while it is imported and later."""
    if "bool" not in vars(np):
        np.bool = np.bool_  # type: ignore[attr-defined,unused-ignore]


@contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Make packages that are not yet imported look as if they were not installed."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: the import system's marker for it
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
