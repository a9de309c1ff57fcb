"""Draw houses along roads: separate footprints, roofs lit by the sun, yards around them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sandbox.demo.noise import Field, dilated
from sandbox.demo.sketch import BUILDING, ROAD, WATER, Road, Sketch

ROOFS = np.array(
    [[170, 84, 64], [152, 94, 76], [122, 120, 122], [198, 192, 184], [94, 92, 98],
     [180, 138, 106], [214, 210, 204], [138, 72, 60], [104, 112, 124]],
    np.float32,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class House:
    """A house: its center, the direction of its ridge (radians), length and breadth (pixels)."""

    x: float
    y: float
    angle: float
    length: float
    breadth: float
    hall: bool

    @property
    def radius(self) -> float:
        """Return the distance from the center to a corner, plus the yard."""
        return math.hypot(self.length, self.breadth) / 2 + 5


def build_houses(sketch: Sketch, chance: float, *, town: bool) -> None:
    """Line the roads with houses on both sides, where there is space; `chance` is the probability at each place."""
    random = sketch.random
    taken = dilated((sketch.labels == WATER) | (sketch.labels == ROAD), 2)
    usual = ROOFS[random.integers(len(ROOFS), size=3)]
    for road in sketch.roads:
        lived_in = chance * (1 if road.paved else 0.35) * random.uniform(0.6, 1.25)
        for side in (-1, 1):
            for at, way in road.places(random, step=random.uniform(21, 30)):
                if random.random() < lived_in:
                    _build(sketch, _beside(random, road, at, way, side, town=town), usual, taken)


def _beside(
    random: np.random.Generator, road: Road, at: NDArray[np.float64], way: float, side: int, *, town: bool
) -> House:
    """Return a house along the road, some in a second row."""
    hall = bool(random.random() < (0.14 if town else 0.06))
    length = random.uniform(28, 60) if hall else random.uniform(11, 22)
    breadth = random.uniform(17, 34) if hall else random.uniform(8, 13.5)
    away = road.width / 2 + breadth / 2 + random.uniform(4, 9)
    if random.random() < 0.25:
        away += random.uniform(16, 34)
    gable_to_road = not hall and random.random() < 0.3
    aside = way + math.pi / 2
    return House(
        x=float(at[0] + math.cos(aside) * away * side),
        y=float(at[1] + math.sin(aside) * away * side),
        angle=way + (math.pi / 2 if gable_to_road else 0) + random.normal(0, 0.03),
        length=length,
        breadth=breadth,
        hall=hall,
    )


def _build(sketch: Sketch, house: House, usual: Field, taken: NDArray[np.bool_]) -> None:
    """Draw the house unless it overlaps another object."""
    random = sketch.random
    window, along, across = sketch.window(house.x, house.y, house.angle, house.radius)
    walls = (abs(along) < house.length / 2) & (abs(across) < house.breadth / 2)
    if random.random() < 0.3:
        walls &= ~((along > house.length * 0.1) & (across > house.breadth * 0.05))
    if walls.sum() < 30 or (taken[window] & walls).any():
        return
    taken[window] |= (abs(along) < house.length / 2 + 4) & (abs(across) < house.breadth / 2 + 4)
    image = sketch.image[window]
    if not house.hall and random.random() < 0.5:
        margin = random.uniform(2, 5)
        yard = (abs(along) < house.length / 2 + margin) & (abs(across) < house.breadth / 2 + margin)
        yard &= sketch.labels[window] < WATER
        image[yard] = 0.6 * image[yard] + 0.4 * np.array([152, 142, 122])
    rough = 3 * sketch.small[window] + 2.5 * sketch.grain[window]
    image[walls] = (_color(random, house, usual) * _light(sketch, house, along, across) + rough[..., None])[
        walls
    ]
    sketch.labels[window][walls] = BUILDING
    sketch.heights[window][walls] = random.uniform(6, 11) if house.hall else random.uniform(4, 8)


def _color(random: np.random.Generator, house: House, usual: Field) -> Field:
    """Return the roof's color: halls are gray or white; houses mostly have one of the three local colors."""
    if house.hall:
        return np.array([1, 1, 1.01], np.float32) * np.float32(random.uniform(120, 215))
    common = random.random() < 0.65
    color = usual[random.integers(len(usual))] if common else ROOFS[random.integers(len(ROOFS))]
    return np.asarray(color * random.uniform(0.88, 1.12), np.float32)


def _light(sketch: Sketch, house: House, along: Field, across: Field) -> Field:
    """Return the brightness of the roof, (h, w, 1): two slopes with a ridge, or flat with boxes on it; dark edges."""
    random = sketch.random
    if house.hall or random.random() < 0.2:
        light = np.ones(along.shape, np.float32)
        for _ in range(int(random.integers(1, 5)) if house.hall else 0):
            left, top = random.uniform(-0.35, 0.35) * house.length, random.uniform(-0.3, 0.3) * house.breadth
            light[(abs(along - left) < 2) & (abs(across - top) < 1.6)] -= 0.25
    else:
        facing = math.cos(house.angle) * sketch.sun[1] - math.sin(house.angle) * sketch.sun[0]
        light = 1 + np.where(across > 0, 0.2, -0.2).astype(np.float32) * np.float32(facing)
        light[abs(across) < 0.6] += 0.1
    edge = (abs(along) > house.length / 2 - 1) | (abs(across) > house.breadth / 2 - 1)
    light[edge] -= 0.08
    return light[..., None]
