"""The canvas of a scene: image, labels, heights, and the noises shared by all drawing functions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sandbox.demo.noise import Field, smooth_noise

GRASS, CROPLAND, FOREST, WATER, ROAD, BUILDING = range(6)
"""Class ids."""


@dataclass(frozen=True, slots=True, eq=False)
class Road:
    """A road: its center line, (n, 2) float64 of x and y, and its width in pixels."""

    line: NDArray[np.float64]
    width: float
    paved: bool

    def places(self, random: np.random.Generator, step: float) -> Iterator[tuple[NDArray[np.float64], float]]:
        """Yield points along the road, about `step` pixels apart, each with the road's direction."""
        pieces = np.diff(self.line, axis=0)
        lengths = np.hypot(pieces[:, 0], pieces[:, 1])
        ends = np.cumsum(lengths)
        at = random.uniform(0, step)
        while at < ends[-1]:
            piece = int(np.searchsorted(ends, at))
            ahead = pieces[piece] / max(lengths[piece], 1e-6)
            back = ends[piece] - at
            yield self.line[piece + 1] - ahead * back, math.atan2(ahead[1], ahead[0])
            at += step * random.uniform(0.75, 1.35)


@dataclass(slots=True, eq=False)
class Sketch:
    """One scene in progress. Drawing functions change `image`, `labels`, `heights` and `roads` in place.

    image:   (H, W, 3) float32, red, green, blue, about 0 to 255.
    labels:  (H, W) uint8 class ids.
    heights: (H, W) float32 above the ground, pixels.
    coarse, middle, small, grain: (H, W) float32 noises of mean 0, with features of 70, 20, 5 and 1 pixels.
    x, y:    (H, W) float32 pixel coordinates.
    sun:     unit vector toward the sun, (x, y).
    season:  0 green to 1 dry.
    autumn:  whether leaves have fall colors.
    """

    random: np.random.Generator
    image: Field
    labels: NDArray[np.uint8]
    heights: Field
    coarse: Field
    middle: Field
    small: Field
    grain: Field
    x: Field
    y: Field
    sun: tuple[float, float]
    season: float
    autumn: bool
    roads: list[Road] = field(default_factory=list)

    @classmethod
    def blank(cls, random: np.random.Generator, height: int, width: int) -> Sketch:
        """Return a meadow without any objects."""
        coarse, middle, small = (
            smooth_noise(random, height, width, cell, octaves) for cell, octaves in ((70, 4), (20, 3), (5, 2))
        )
        grain = random.standard_normal((height, width)).astype(np.float32)
        season, angle = float(random.uniform(0, 1)), float(random.uniform(0, 2 * math.pi))
        grass = np.array([94, 126, 60]) * (1 - season) + np.array([134, 138, 82]) * season
        image = grass + coarse[..., None] * np.array([9, 8, 6]) + middle[..., None] * np.array([7, 7, 5])
        image += small[..., None] * np.array([6, 6, 4]) + 3 * grain[..., None]
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        return cls(
            random, image.astype(np.float32), np.full((height, width), GRASS, np.uint8),
            np.zeros((height, width), np.float32), coarse, middle, small, grain, x, y,
            (math.cos(angle), math.sin(angle)), season, bool(random.random() < 0.18),
        )  # fmt: skip

    @property
    def shape(self) -> tuple[int, int]:
        """Return height and width."""
        return self.labels.shape[0], self.labels.shape[1]

    def turned(self, angle: float) -> tuple[Field, Field]:
        """Return coordinates along and across a direction, both (H, W) float32, pixels."""
        cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
        return self.x * cos + self.y * sin, self.y * cos - self.x * sin

    def line(self, points: NDArray[np.float64], width: float) -> NDArray[np.bool_]:
        """Return the pixels of a line of this width, (H, W) bool."""
        image = Image.new("L", self.shape[::-1])
        path = [(float(x), float(y)) for x, y in points]
        ImageDraw.Draw(image).line(path, fill=255, width=max(1, round(width)), joint="curve")
        return np.asarray(image) > 0

    def window(
        self, x: float, y: float, angle: float, radius: float
    ) -> tuple[tuple[slice, slice], Field, Field]:
        """Return a part of the canvas around a point: its slices, and coordinates along and across a direction in it.

        At the edge of the canvas the part is smaller, and empty far outside.
        """
        height, width = self.shape
        rows = slice(min(height, max(0, int(y - radius))), min(height, max(0, int(y + radius) + 1)))
        columns = slice(min(width, max(0, int(x - radius))), min(width, max(0, int(x + radius) + 1)))
        right, down = self.x[rows, columns] - x, self.y[rows, columns] - y
        cos, sin = math.cos(angle), math.sin(angle)
        return (rows, columns), right * cos + down * sin, down * cos - right * sin
