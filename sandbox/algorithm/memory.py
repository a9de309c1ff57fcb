"""Check that this machine can hold a training step, before one is tried: else it takes other programs down too."""

from __future__ import annotations

from pathlib import Path

from sandbox.algorithm.failure import ClientError
from sandbox.algorithm.hyperparameters import LIGHT, Hyperparameters

BYTES_A_PIXEL = {LIGHT: 700, "fcn": 8_500, "psp": 9_500, "deeplab": 9_500}
"""Of a crop in a training step."""
DEEPER = 1.4
"""How much more a step on resnet-101 takes than on resnet-50."""
MEMINFO = Path("/proc/meminfo")


def needed(params: Hyperparameters) -> float:
    """Return the bytes that a training step takes, roughly."""
    pixels = params.mini_batch_size * params.crop_size**2
    return pixels * BYTES_A_PIXEL[params.algorithm] * (DEEPER if params.backbone == "resnet-101" else 1)


def available(meminfo: Path = MEMINFO) -> float | None:
    """Return the bytes that are free or can be freed; None where the system does not tell."""
    if not meminfo.is_file():
        return None
    rows = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
    return float(rows["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in rows else None


def check_memory(params: Hyperparameters, meminfo: Path = MEMINFO) -> None:
    """Raise ClientError when a step does not fit."""
    room, wanted = available(meminfo), needed(params)
    if room is not None and wanted > room:
        raise ClientError(
            f"Out of memory: a step with mini_batch_size {params.mini_batch_size} and crop_size {params.crop_size} "
            f"takes about {wanted / 2**30:.1f} GB, and this machine has {room / 2**30:.1f} GB left. "
            "Halve mini_batch_size or crop_size."
        )
