"""Random fields and curves for drawing images, with numpy and Pillow only."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Field = NDArray[np.float32]


def smooth_noise(
    random: np.random.Generator, height: int, width: int, cell: float, octaves: int = 3, *, gain: float = 0.5
) -> Field:
    """Return (height, width) float32 noise of mean 0 and about unit deviation, with features up to `cell` pixels.

    Each octave is white noise on a grid, enlarged by cubic interpolation; the next is twice as fine and weaker.
    """
    total = np.zeros((height, width), np.float32)
    amplitude, power = 1.0, 0.0
    for _ in range(octaves):
        total += amplitude * _octave(random, height, width, cell)
        power += amplitude**2
        amplitude, cell = amplitude * gain, max(1.5, cell / 2)
    return (total / math.sqrt(power)).astype(np.float32)


def _octave(random: np.random.Generator, height: int, width: int, cell: float) -> Field:
    """Return one octave."""
    rows, columns = int(height / cell) + 3, int(width / cell) + 3
    grid = random.standard_normal((rows, columns)).astype(np.float32)
    large = Image.fromarray(grid).resize(
        (int(columns * cell) + 1, int(rows * cell) + 1), Image.Resampling.BICUBIC
    )
    top = int(random.integers(max(1, large.height - height)))
    left = int(random.integers(max(1, large.width - width)))
    return np.asarray(large)[top : top + height, left : left + width]


def blurred(values: NDArray[np.generic], radius: float) -> Field:
    """Return the values, 0 to 1 or a mask, after a Gaussian blur; 0 to 1 float32."""
    image = Image.fromarray((np.clip(values.astype(np.float32), 0, 1) * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255


def dilated(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Return the mask dilated by `pixels`; first up and down, then across, each by shifted copies."""
    for _ in range(2):
        larger = mask.copy()
        for step in range(1, pixels + 1):
            larger[step:] |= mask[:-step]
            larger[:-step] |= mask[step:]
        mask = larger.T
    return mask


def shifted(values: Field, rows: int, columns: int) -> Field:
    """Return the field moved down and right by whole pixels, with 0 at the new edges."""
    height, width = values.shape
    moved = np.zeros_like(values)
    top, bottom = max(0, rows), min(height, height + rows)
    left, right = max(0, columns), min(width, width + columns)
    if bottom > top and right > left:
        moved[top:bottom, left:right] = values[top - rows : bottom - rows, left - columns : right - columns]
    return moved


def winding_line(random: np.random.Generator, height: int, width: int, wobble: float) -> NDArray[np.float64]:
    """Return a smooth line through the whole image, (60, 2) float64 of x and y, starting and ending outside of it."""
    along = np.linspace(-0.1, 1.1, 6)
    start, end = random.uniform(0.15, 0.85, 2)
    bend = random.normal(0, wobble * 0.35, 6) * np.sin(np.pi * np.clip(along, 0, 1))
    fine = np.linspace(-0.1, 1.1, 60)
    across = np.polyval(np.polyfit(along, start + (end - start) * along + bend, 4), fine)
    if random.integers(2):
        return np.stack([fine * width, across * height], axis=1)
    return np.stack([across * width, fine * height], axis=1)
