"""Draw aerial images by rules, with the exact class of every pixel.

One pixel is about 1 m. A scene is painted from the ground up: grass, fields, water, roads, houses, trees; then the
sun casts shadows, and the atmosphere and the camera add their effects. Everything follows from the seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sandbox.demo.houses import build_houses
from sandbox.demo.noise import Field, blurred, dilated, shifted, smooth_noise, winding_line
from sandbox.demo.sketch import BUILDING, CROPLAND, FOREST, GRASS, ROAD, WATER, Road, Sketch

CLASSES = ("grass", "cropland", "forest", "water", "road", "building")


@dataclass(frozen=True, slots=True)
class Landscape:
    """The parameters of a kind of landscape.

    likely: how often it is drawn.
    fields: share of the parcels that are plowed.
    woods:  height of the noise above which there is forest; lower means more.
    lanes:  number of winding roads, from and to.
    grid:   whether there is a grid of streets.
    houses: probability of a house at each place along a road.
    dirt:   probability that a road is unpaved.
    """

    likely: float
    fields: float
    woods: float
    lanes: tuple[int, int]
    houses: float
    dirt: float
    grid: bool = False


LANDSCAPES = {
    "rural": Landscape(likely=0.34, fields=0.82, woods=1.15, lanes=(1, 2), houses=0.10, dirt=0.5),
    "village": Landscape(likely=0.28, fields=0.6, woods=1.1, lanes=(2, 3), houses=0.62, dirt=0.0),
    "town": Landscape(likely=0.22, fields=0.12, woods=1.5, lanes=(1, 1), houses=0.8, dirt=0.0, grid=True),
    "wild": Landscape(likely=0.16, fields=0.14, woods=0.15, lanes=(0, 1), houses=0.06, dirt=0.7),
}
CROPS = np.array(
    [[150, 140, 88], [186, 166, 102], [124, 98, 74], [148, 118, 90], [98, 130, 58],
     [174, 174, 96], [88, 114, 50], [208, 190, 126], [112, 88, 66]],
    np.float32,
)  # fmt: skip
WATERS = np.array([[44, 66, 78], [34, 58, 60], [58, 80, 78], [80, 88, 72], [30, 54, 84]], np.float32)
CARS = np.array([[230, 230, 232], [40, 42, 48], [170, 34, 32], [50, 72, 140], [150, 152, 156]], np.float32)


def scene(
    seed: int, height: int = 256, width: int = 256, kind: str | None = None, water: str | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the image (height, width, 3) and its labels (height, width), both uint8.

    kind:  a key of LANDSCAPES; None lets the seed choose.
    water: `none`, `lake`, `river` or `both`; None lets the seed choose.
    """
    random = np.random.default_rng(seed)
    kinds = list(LANDSCAPES)
    drawn = str(random.choice(kinds, p=[LANDSCAPES[name].likely for name in kinds]))
    land = LANDSCAPES[kind or drawn]
    sketch = Sketch.blank(random, height, width)
    plan_roads(sketch, land)
    hedges = plow(sketch, land.fields)
    waters = [0.7, 0.0, 0.3, 0.0] if land.grid else [0.34, 0.34, 0.23, 0.09]
    flood(sketch, water or str(random.choice(["none", "lake", "river", "both"], p=waters)))
    lay_roads(sketch)
    build_houses(sketch, land.houses, town=land.grid)
    plant_trees(sketch, woods(sketch, land.woods), hedges)
    cast_shadows(sketch)
    return photograph(sketch), sketch.labels


def plow(sketch: Sketch, share: float) -> NDArray[np.bool_]:
    """Divide the land into parcels and plow a share of them; return the borders with a hedge, (H, W) bool."""
    random = sketch.random
    angle = random.uniform(0, math.pi)
    parcels = _parcels(sketch, angle)
    border = np.zeros(parcels.shape, bool)
    border[:, 1:] |= parcels[:, 1:] != parcels[:, :-1]
    border[1:] |= parcels[1:] != parcels[:-1]
    hedges = np.zeros(parcels.shape, bool)
    for number in np.unique(parcels):
        inside = parcels == number
        if random.random() < share:
            _till(sketch, inside, angle)
        if random.random() < 0.22:
            hedges |= border & inside
    return hedges


def _parcels(sketch: Sketch, angle: float) -> NDArray[np.int64]:
    """Return the parcel of each pixel: strips across the image, each divided into pieces."""
    random = sketch.random
    along, across = sketch.turned(angle)
    along, across = along + 3 * sketch.coarse, across + 1.5 * sketch.middle
    reach = int(max(sketch.shape) / 20) + 8
    strips = np.searchsorted(along.min() + np.cumsum(random.uniform(38, 120, reach)), along.ravel())
    strips = strips.reshape(sketch.shape)
    parcels = np.zeros(sketch.shape, np.int64)
    for number in np.unique(strips):
        inside = strips == number
        cuts = across.min() - random.uniform(0, 60) + np.cumsum(random.uniform(45, 150, reach))
        parcels[inside] = np.searchsorted(cuts, across[inside]) + int(number) * 1000
    return parcels


def _till(sketch: Sketch, inside: NDArray[np.bool_], angle: float) -> None:
    """Draw one parcel: a color, furrows, and often tractor tracks."""
    random = sketch.random
    way = angle + (math.pi / 2 if random.random() < 0.5 else 0) + random.normal(0, 0.03)
    across = sketch.turned(way)[0][inside]
    width = random.uniform(3.4, 7.5)
    furrows = random.uniform(3, 13) * np.sin(across * (2 * math.pi / width))
    tracks = np.mod(across, width * random.integers(6, 10)) < 1.7
    shade = furrows + 6 * sketch.middle[inside] + 4 * sketch.small[inside] + 3 * sketch.grain[inside]
    if random.random() < 0.6:
        shade = shade - 14 * tracks
    color = CROPS[random.integers(len(CROPS))] * random.uniform(0.88, 1.12)
    sketch.image[inside] = color + shade[:, None] * np.array([1, 0.95, 0.8])
    sketch.labels[inside] = CROPLAND


def flood(sketch: Sketch, water: str) -> None:
    """Draw lakes where a noise is high, and a river along a line; both are darker away from the shore."""
    random = sketch.random
    height, width = sketch.shape
    wet = np.zeros(sketch.shape, bool)
    if water in {"lake", "both"}:
        basin = smooth_noise(random, height, width, 95 * max(1, min(sketch.shape) / 400), 3, gain=0.42)
        # Lakes keep clear of the roads; rivers are crossed by bridges.
        for road in sketch.roads:
            basin = basin - 3 * blurred(sketch.line(road.line, 12), 14)
        wet |= basin > np.quantile(basin, random.uniform(0.84, 0.96))
    if water in {"river", "both"}:
        wet |= _river(sketch)
    if not wet.any():
        return
    depth = blurred(wet, 5)
    ripple = np.clip(smooth_noise(random, height, width, 6, 1) - 1.2, 0, None) * random.uniform(0, 9)
    color = WATERS[random.integers(len(WATERS))] * random.uniform(0.85, 1.2)
    light = (1 - depth)[..., None] * np.array([38, 36, 27])
    rough = (2.5 * sketch.coarse + 1.5 * sketch.middle + 1.6 * sketch.grain + ripple)[..., None]
    bank = dilated(wet, 1) & ~wet
    sketch.image[bank] = 0.6 * sketch.image[bank] + 0.4 * np.array([172, 160, 128])
    sketch.image[wet] = (color + light + rough)[wet]
    sketch.labels[wet] = WATER


def _river(sketch: Sketch) -> NDArray[np.bool_]:
    """Return the pixels of a river."""
    random = sketch.random
    line = winding_line(random, *sketch.shape, wobble=0.55)
    breadth = random.uniform(8, 28) * max(1.0, min(sketch.shape) / 420)
    bed = sketch.line(line, breadth)
    return np.asarray(blurred(bed, 4) + 0.1 * sketch.middle > 0.5)


def plan_roads(sketch: Sketch, land: Landscape) -> None:
    """Plan winding roads; in towns also a grid of streets, in villages also lanes."""
    random = sketch.random
    size = max(1.0, math.sqrt(math.prod(sketch.shape)) / 320)
    count = round(int(random.integers(land.lanes[0], land.lanes[1] + 1)) * size**0.5)
    for _ in range(count):
        line = winding_line(random, *sketch.shape, wobble=0.3)
        dirt = random.random() < land.dirt
        sketch.roads.append(
            Road(line, random.uniform(3.4, 5) if dirt else random.uniform(6, 10.5), paved=not dirt)
        )
    if land.grid:
        sketch.roads.extend(_streets(sketch))
    elif land.houses > 0.5:
        sketch.roads.extend(_lanes(sketch))


def lay_roads(sketch: Sketch) -> None:
    """Draw the surface of all roads, then the markings and cars on it."""
    for road in sketch.roads:
        _pave(sketch, road)
    for road in sketch.roads:
        _mark(sketch, road)


def _streets(sketch: Sketch) -> list[Road]:
    """Return two sets of roughly parallel streets."""
    random = sketch.random
    height, width = sketch.shape
    angle, reach = random.uniform(0, math.pi), math.hypot(height, width)
    streets = []
    for way in (angle, angle + math.pi / 2):
        ahead, aside = _unit(way), _unit(way + math.pi / 2)
        offset = -reach / 2 + random.uniform(0, 60)
        while offset < reach / 2:
            middle = np.array([width / 2, height / 2]) + aside * offset
            turn = ahead + aside * random.normal(0, 0.02)
            line = np.stack([middle - turn * reach, middle, middle + turn * reach])
            streets.append(Road(line, random.uniform(5.5, 9), paved=True))
            offset += random.uniform(62, 120)
    return streets


def _lanes(sketch: Sketch) -> list[Road]:
    """Return dead-end lanes that branch off at about a right angle."""
    random = sketch.random
    lanes = []
    for road in list(sketch.roads):
        for _ in range(int(random.integers(1, 4))):
            at = int(random.integers(12, len(road.line) - 12))
            ahead = road.line[at + 1] - road.line[at]
            way = math.atan2(ahead[1], ahead[0]) + random.choice([-1, 1]) * random.normal(math.pi / 2, 0.15)
            length = random.uniform(60, 170)
            bend = way + random.normal(0, 0.25)
            middle = road.line[at] + _unit(way) * length / 2
            line = np.stack([road.line[at], middle, middle + _unit(bend) * length / 2])
            lanes.append(Road(line, random.uniform(4.6, 6), paved=True))
    return lanes


def _pave(sketch: Sketch, road: Road) -> None:
    """Draw a road's surface."""
    random = sketch.random
    on = sketch.line(road.line, road.width)
    color = np.array([1, 1, 1.03]) * random.uniform(98, 146) if road.paved else np.array([170, 150, 120])
    rough = (3 * sketch.middle + 4 * sketch.small + 4 * sketch.grain)[on]
    sketch.image[on] = color + rough[:, None]
    sketch.labels[on] = ROAD


def _mark(sketch: Sketch, road: Road) -> None:
    """Draw the center line of a wide road, and cars on both sides."""
    random = sketch.random
    if road.paved and road.width > 7.5:
        paint = sketch.line(road.line, 1) & (np.mod(sketch.x + sketch.y, 16) < 8)
        sketch.image[paint] = 0.35 * sketch.image[paint] + 0.65 * np.array([225, 222, 205])
    if not road.paved:
        return
    for at, way in road.places(random, step=random.uniform(45, 130)):
        side = random.choice([-1, 1])
        spot = at + _unit(way + math.pi / 2) * road.width * 0.23 * side
        window, along, across = sketch.window(float(spot[0]), float(spot[1]), way, 4)
        body = (abs(along) < 2.4) & (abs(across) < 1.2)
        sketch.image[window][body] = CARS[random.integers(len(CARS))]


def woods(sketch: Sketch, threshold: float) -> NDArray[np.bool_]:
    """Return where there is forest: on dry, open land where a noise is high."""
    height, width = sketch.shape
    noise = smooth_noise(sketch.random, height, width, 62, 4, gain=0.55)
    clear = dilated(sketch.labels == ROAD, 2) | (sketch.labels == WATER)
    clear |= dilated(sketch.labels == BUILDING, 4)
    return np.asarray((noise > threshold + sketch.random.normal(0, 0.15)) & ~clear)


def plant_trees(sketch: Sketch, wood: NDArray[np.bool_], hedges: NDArray[np.bool_]) -> None:
    """Draw trees as domes: dense in the forest, single ones in gardens, along hedges, roads and shores."""
    labels = sketch.labels
    chance = np.where(labels == GRASS, 0.012, 0.0).astype(np.float32)
    chance += 0.35 * blurred(labels == BUILDING, 9) * (labels == GRASS)
    chance += 0.3 * (dilated(labels == WATER, 4) & (labels == GRASS))
    chance += 0.75 * dilated(hedges, 2)
    chance[(labels == ROAD) | (labels == WATER) | dilated(labels == BUILDING, 2)] = 0
    chance[wood] = 1
    crowns, tints = _crowns(sketch, chance)
    green = (crowns > 0) | wood
    green &= (labels != BUILDING) & (labels != WATER)
    sketch.heights[green] = np.maximum(sketch.heights, 1.2 + 0.9 * crowns)[green]
    sketch.image[green] = _leaves(sketch, crowns, tints)[green]
    labels[green] = FOREST


def _crowns(sketch: Sketch, chance: Field, cell: float = 8.0) -> tuple[Field, Field]:
    """Return the height of the crowns, and a tint that is constant within a tree.

    One tree per cell of a grid, shifted at random; a pixel is affected by the trees of its cell and the eight around.
    """
    random = sketch.random
    rows, columns = int(sketch.shape[0] / cell) + 3, int(sketch.shape[1] / cell) + 3
    cells = (rows, columns)
    tops = (np.arange(rows)[:, None] - 1 + random.uniform(0, 1, cells)) * cell
    lefts = (np.arange(columns)[None, :] - 1 + random.uniform(0, 1, cells)) * cell
    at_row = np.clip(tops.astype(int), 0, sketch.shape[0] - 1)
    at_column = np.clip(lefts.astype(int), 0, sketch.shape[1] - 1)
    radius = random.uniform(3.0, 6.4, cells) * (random.random(cells) < chance[at_row, at_column])
    tint = random.standard_normal(cells)
    row, column = (sketch.y // cell).astype(int) + 1, (sketch.x // cell).astype(int) + 1
    crowns, tints = np.zeros(sketch.shape, np.float32), np.zeros(sketch.shape, np.float32)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            tree = row + down, column + right
            there = radius[tree] > 0  # most cells are empty
            tree = row[there] + down, column[there] + right
            square = (sketch.y[there] - tops[tree]) ** 2 + (sketch.x[there] - lefts[tree]) ** 2
            dome = np.sqrt(np.clip(radius[tree] ** 2 - square, 0, None)).astype(np.float32)
            tints[there] = np.where(dome > crowns[there], tint[tree], tints[there])
            crowns[there] = np.maximum(dome, crowns[there])
    return crowns, tints


def _leaves(sketch: Sketch, crowns: Field, tints: Field) -> Field:
    """Return the color of leaves, lit from the side of the sun."""
    random = sketch.random
    dry = np.array([78, 90, 46]) * sketch.season + np.array([50, 82, 40]) * (1 - sketch.season)
    color = dry * random.uniform(0.85, 1.15)
    spread = np.array([7, 7, 4])
    if sketch.autumn:
        color, spread = color * np.array([1.65, 1.02, 0.8]), np.array([26, 12, 4])
    downhill, right = np.gradient(crowns)
    light = np.clip(-(right * sketch.sun[0] + downhill * sketch.sun[1]), -1.4, 1.4)
    rough = 13 * light + 2.0 * crowns + 4 * sketch.small + 3 * sketch.grain
    return np.asarray(
        color - 6 + rough[..., None] * np.array([1, 1.05, 0.8]) + tints[..., None] * spread, np.float32
    )


def cast_shadows(sketch: Sketch) -> None:
    """Darken every pixel whose ray toward the sun is blocked by something higher."""
    random = sketch.random
    slope = random.uniform(0.6, 1.3)
    ray = np.zeros(sketch.shape, np.float32)
    for step in range(1, int(min(12, sketch.heights.max() / slope)) + 1):
        toward = shifted(sketch.heights, -round(step * sketch.sun[1]), -round(step * sketch.sun[0]))
        np.maximum(ray, toward - step * slope, out=ray)
    shade = blurred(ray > sketch.heights + 0.25, 0.7) * random.uniform(0.38, 0.58)
    sketch.image *= 1 - shade[..., None] * np.array([1, 0.95, 0.85])


def photograph(sketch: Sketch) -> NDArray[np.uint8]:
    """Add cloud shadows, haze, exposure, white balance, contrast, lens blur and sensor noise."""
    random, image = sketch.random, sketch.image
    if random.random() < 0.2:
        clouds = blurred(smooth_noise(random, *sketch.shape, 110, 3) > 0.9, 14)
        image = image * (1 - 0.26 * clouds)[..., None]
    image = image * random.uniform(0.86, 1.2) * (1 + random.normal(0, 0.03, 3))
    haze = random.uniform(0, 0.14)
    image = image * (1 - haze) + haze * np.array([186, 194, 206])
    image = 128 + (image - 128) * random.uniform(0.9, 1.25)
    lens = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(random.uniform(0.3, 0.7))
    )
    noise = random.normal(0, random.uniform(1, 3.5), image.shape)
    return np.clip(np.asarray(lens, np.float32) + noise, 0, 255).astype(np.uint8)


def _unit(angle: float) -> NDArray[np.float64]:
    """Return the unit vector of a direction."""
    return np.array([math.cos(angle), math.sin(angle)])
