"""What a map is made with: chosen in the form, and stored with the run, so that it can be continued."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

from core.aws.connection import Clients
from core.aws.tiles import price_of_tiles, tile_size_of
from core.cost.tiles import TilePrice
from core.endpoints.endpoint import EndpointInfo
from core.errors import CoreError, InputError
from core.inference.invoke import Want
from core.tiles.area import Area, read_area
from core.tiles.plan import DEFAULT_OVERLAP, TilePlan, make_plan
from core.tiles.polygons import PolygonFormat, check_polygons
from core.tiles.scene import Scene, SceneReader, open_scene
from pages.parts import formatting

AT_ONCE = 4
"""Tiles that are sent at once, fewer where the endpoint throttles."""

PAGE_WORDS = {
    "Use the earlier settings, choose another folder, or use --overwrite to begin again.": "Start a new map.",
    "Run the command again, with --overwrite for the new image.": "Start a new map for the new image.",
    "Use --overwrite to send all tiles again.": "Start a new map.",
    "Choose one with --bands.": "Choose one with Bands, in Options.",
    "choose one band with --bands": "choose one band with Bands, in Options",
    "Leave out --stretch": "Leave Stretch empty",
    "Leave out --polygons": "Choose no polygons",
    "use a larger --min-size": "divide the image",
    "Use --format mask.": "Choose the output *Mask only*.",
}
"""Words of errors that name options of the command, and those for the page."""


@dataclass(frozen=True, slots=True)
class MapOrder:
    """What a map is made with. All are texts, as they were given; empty ones have the default.

    path:     of the image. area: the path of a GeoJSON file, or a box.
    requests: of the plan; empty before there is one.
    """

    path: str
    tile: str = ""
    overlap: str = str(DEFAULT_OVERLAP)
    bands: str = ""
    stretch: str = ""
    area: str = ""
    polygons: str = ""
    want: str = "probabilities"
    requests: str = ""

    @classmethod
    def from_form(cls, form: Mapping[str, str] | None) -> MapOrder:
        """Read what `to_form` returned. Raises InputError."""
        try:
            return cls(**(form or {}))
        except TypeError as error:
            raise InputError("The options of this map cannot be read.", why=f"{error}") from error

    def to_form(self) -> dict[str, str]:
        """Return it as a run has it."""
        return asdict(self)

    @property
    def output(self) -> Want:
        """Return the output."""
        return "mask" if self.want == "mask" else "probabilities"

    @property
    def band_numbers(self) -> tuple[int, ...]:
        """Return the bands to send, from 1; empty for the default. Raises InputError."""
        return _bands(self.bands)

    @property
    def percentiles(self) -> tuple[float, float] | None:
        """Return what becomes black and white; None for the default. Raises InputError."""
        return _stretch(self.stretch)

    @property
    def polygon_format(self) -> PolygonFormat | None:
        """Return the format of the polygons; None for none."""
        return next((each for each in get_args(PolygonFormat) if each == self.polygons), None)


@dataclass(frozen=True, slots=True)
class Planned:
    """A scene with its plan and price. notes: sentences on what was decided, and on what is unknown."""

    scene: Scene
    area: Area | None
    plan: TilePlan
    price: TilePrice
    notes: tuple[str, ...]


@contextmanager
def planned(order: MapOrder, clients: Clients, info: EndpointInfo) -> Iterator[tuple[Planned, SceneReader]]:
    """Open the image, and plan its tiles. Raises CoreError, also for what is raised inside, in the page's words."""
    try:
        with _planned(order, clients, info) as result:
            yield result
    except CoreError as error:
        error.what, error.why, error.todo = map(_in_page_words, (error.what, error.why, error.todo))
        raise


@contextmanager
def _planned(order: MapOrder, clients: Clients, info: EndpointInfo) -> Iterator[tuple[Planned, SceneReader]]:
    notes: list[str] = []
    scene = open_scene(Path(order.path), bands=order.band_numbers, stretch=order.percentiles)
    if order.polygon_format is not None:
        check_polygons(scene)
    area = read_area(order.area, scene) if order.area else None
    with SceneReader(scene) as reader:
        side = _whole("tile size", order.tile) if order.tile else 0
        plan = make_plan(
            reader,
            tile=(side, side) if side else tile_size_of(clients, info, notes.append),
            overlap=_whole("overlap", order.overlap),
            want=order.output,
            area=area,
            classes=len(info.classes) if info.classes else 0,
        )
        price = price_of_tiles(
            clients, info, plan.requests, concurrency=AT_ONCE, now=formatting.now(), say=notes.append
        )
        yield Planned(scene, area, plan, price, (*scene.notes, *notes)), reader


def _in_page_words(text: str) -> str:
    """Return a sentence of an error with the page's names in place of the command's options."""
    for option, words in PAGE_WORDS.items():
        text = text.replace(option, words)
    return text


def _whole(name: str, text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text.strip()):
        raise InputError(f"The {name} {text!r} is not a number of pixels.", todo="Enter a whole number.")
    return int(text)


def _bands(text: str) -> tuple[int, ...]:
    text = text.replace(" ", "")
    if text and not re.fullmatch(r"\d{1,5}(,\d{1,5})*", text):
        raise InputError(f"{text!r} is not a list of bands.", todo="Enter for example 3,2,1.")
    return tuple(int(band) for band in text.split(",")) if text else ()


def _stretch(text: str) -> tuple[float, float] | None:
    match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?),(\d{1,3}(?:\.\d+)?)", text.replace(" ", ""))
    if text.strip() and match is None:
        raise InputError(f"{text!r} is not a pair of percentiles.", todo="Enter for example 2,98.")
    return (float(match[1]), float(match[2])) if match else None
