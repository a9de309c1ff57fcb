"""Check before a training step that this machine has the memory for it: otherwise other programs would be killed."""

from __future__ import annotations

from pathlib import Path

from sandbox.algorithm.failure import ClientError
from sandbox.algorithm.hyperparameters import LIGHT, Hyperparameters

BYTES_A_PIXEL = {LIGHT: 700, "fcn": 8_500, "psp": 9_500, "deeplab": 9_500}
"""Memory of a training step per pixel of its crops, measured."""
DEEPER = 1.4
"""Factor of a step on resnet-101 over resnet-50."""
MEMINFO = Path("/proc/meminfo")


def needed(params: Hyperparameters) -> float:
    """Return the approximate bytes of a training step."""
    pixels = params.mini_batch_size * params.crop_size**2
    return pixels * BYTES_A_PIXEL[params.algorithm] * (DEEPER if params.backbone == "resnet-101" else 1)


def available(meminfo: Path = MEMINFO) -> float | None:
    """Return the bytes that are free or can be freed; None where the system does not report them."""
    if not meminfo.is_file():
        return None
    rows = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
    return float(rows["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in rows else None


def check_memory(params: Hyperparameters, meminfo: Path = MEMINFO) -> None:
    """Raise ClientError when a step does not fit into memory."""
    room, wanted = available(meminfo), needed(params)
    if room is not None and wanted > room:
        raise ClientError(
            f"Out of memory: a step with mini_batch_size {params.mini_batch_size} and crop_size {params.crop_size} "
            f"needs about {wanted / 2**30:.1f} GB, and this machine has {room / 2**30:.1f} GB available. "
            "Halve mini_batch_size or crop_size."
        )
