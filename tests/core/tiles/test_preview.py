"""The preview of a scene, and the map that grows over it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.imaging.geokeys import is_georeferenced
from core.tiles.blend import Strip
from core.tiles.grid import axis
from core.tiles.plan import TilePlan
from core.tiles.preview import DONE, FAILED, LEFT, SKIPPED, GrowingMap, preview_image
from core.tiles.run import TileOutcome
from core.tiles.scene import SceneReader, open_scene
from tests.support.scenes import blobs, write_scene

HEIGHT, WIDTH = 500, 600
COLORS = np.array([[200, 0, 0], [0, 200, 0]] + [[0, 0, 0]] * 254, np.uint8)


def growing() -> GrowingMap:
    """Return a map of 3 x 3 tiles, the first without data, over a white preview of a tenth of the size."""
    plan = TilePlan(
        axis(HEIGHT, 256, 64, blend=True), axis(WIDTH, 256, 64, blend=True), 64, "probabilities",
        empty=frozenset({(0, 0)}),
    )  # fmt: skip
    return GrowingMap(np.full((HEIGHT // 10, WIDTH // 10, 3), 255, np.uint8), plan, COLORS)


def test_a_preview_is_bounded(tmp_path: Path) -> None:
    """A preview has the shape of the scene, at most the given number of pixels per side, and its colors."""
    values = blobs(HEIGHT, WIDTH)
    with SceneReader(open_scene(write_scene(tmp_path / "scene.tif", values))) as reader:
        image = preview_image(reader, 60)
        assert image.shape == (50, 60, 3)
        assert np.abs(image[..., 0].astype(int) - values[0, 5::10, 5::10]).mean() < 5
        assert preview_image(reader).shape == (HEIGHT, WIDTH, 3)


def test_tiles_are_marked_in_the_order_of_the_plan() -> None:
    """Each tile that is sent is marked as done or failed; tiles without data are not sent."""
    of = growing()
    tiles = [tile for tile in of.plan.tiles() if of.plan.is_sent(tile)]
    of.add_tile(TileOutcome(sent=1))
    of.add_tile(TileOutcome(sent=1, failed=[(tiles[1], RuntimeError("no"))]))
    of.add_tile(TileOutcome(sent=2, failed=[(tiles[1], RuntimeError("no"))]))
    assert of.tiles.tolist() == [[SKIPPED, DONE, FAILED], [DONE, LEFT, LEFT], [LEFT] * 3]
    red, green, blue = of.drawn()[5, -5].tolist()
    assert red > 200
    assert max(green, blue) < 140
    assert of.drawn()[5, 5].max() < 128 < of.drawn()[25, 5].min()


def test_strips_are_drawn_in_the_colors_of_their_classes() -> None:
    """A strip adds the labels and the confidence of its rows, each from the pixel in the middle."""
    of = growing()
    labels = np.zeros((200, WIDTH), np.uint8)
    labels[:, 300:] = 1
    of.add_strip(Strip(0, labels, np.full(labels.shape, 90, np.uint8)))
    assert of.labels[:20, :30].max() == 0
    assert of.labels[:20, 30:].min() == of.labels[:20, 30:].max() == 1
    assert (of.labels[20:] == 255).all()
    assert of.confidence[0, 0] == 90
    left, right = of.drawn()[5, 5].astype(int), of.drawn()[5, -5].astype(int)
    assert left[0] > left[1]
    assert right[1] > right[0]


def test_a_geotiff_is_recognized(tmp_path: Path) -> None:
    """A TIFF with coordinates is recognized by its header; other and broken files have none."""
    values = blobs(40, 50)
    data = write_scene(tmp_path / "scene.tif", values).read_bytes()
    assert is_georeferenced(data)
    assert not is_georeferenced(data[:6])
    plain = write_scene(tmp_path / "plain.tif", values, transform=None, crs=None).read_bytes()
    assert not is_georeferenced(plain)
    assert not is_georeferenced(b"\x89PNG\r\n\x1a\n")
