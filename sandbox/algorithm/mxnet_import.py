"""The one place that imports MXNet 1.9.1, and what it needs for that on today's Python and numpy."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

SERVE_THREADS = 2
"""Serving: MXNet takes one thread unless told; with two an answer comes in 60 % of the time."""
TRAIN_THREADS = 1
"""Training the light network: as fast with one thread as with two, and the other core stays free."""
UNUSED = ("sklearn", "scipy")
"""What MXNet imports where it is installed, for a base class and for quantization: 1.5 of 2.5 s of its start."""


class AlgorithmError(Exception):
    """The algorithm cannot run; the message is one sentence for the person who reads the failure reason."""


def load_mxnet(threads: int = SERVE_THREADS) -> Any:
    """Return the module `mxnet`, imported on the first call. Raises AlgorithmError where it cannot be.

    threads: what MXNet may use, if OMP_NUM_THREADS does not say; it is read once, at the import.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    # Threads that wait for each other sleep instead of spinning: beside other work an answer takes half the time,
    # alone the same.
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
    """Put back `numpy.bool`, which numpy 1.24 took away: MXNet 1.9.1 reads it while it is imported and later."""
    if "bool" not in vars(np):
        np.bool = np.bool_  # type: ignore[attr-defined,unused-ignore]


@contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Make packages that are not yet imported look as if they were not installed."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: the import system's mark for it
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
