"""Color palettes for class ids."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import InputError
from core.imaging.classes import Classes, voc_colors
from core.render.palette import PALETTES, table

SIX = Classes(tuple("abcdef"), tuple((i, 2 * i, 3 * i) for i in range(6)))


@pytest.mark.parametrize("name", PALETTES)
@pytest.mark.parametrize("count", [1, 2, 6, 21, 254])
def test_every_palette_covers_every_id(name: str, count: int) -> None:
    """Each palette is (256, 3) uint8, and 255 is off-white in all of them."""
    colors = table(name, Classes.numbered(count))
    assert (colors.shape, colors.dtype) == ((256, 3), np.uint8)
    assert colors[255].tolist() == [224, 224, 192]


def test_the_models_palette_is_the_models() -> None:
    """`model` has the colors of the model's classes."""
    assert table("model", SIX)[:6].tolist() == [list(color) for color in SIX.colors]


def test_vocs_palette_is_vocs() -> None:
    """`voc` has Pascal VOC's colors, whatever the model's are."""
    assert np.array_equal(table("voc", SIX), voc_colors(256))


@pytest.mark.parametrize("count", [1, 2, 3, 6, 11, 21, 150, 254])
def test_jet_is_what_the_notebook_shows(count: int) -> None:
    """`jet` has the colors of matplotlib's `imshow(mask, vmin=0, vmax=C - 1, cmap="jet")`."""
    import matplotlib as mpl
    from matplotlib.colors import Normalize

    ids = np.arange(count)
    shown = mpl.colormaps["jet"](Normalize(0, max(count - 1, 1))(ids), bytes=True)[:, :3]
    assert np.array_equal(table("jet", Classes.numbered(count))[:count], shown)


def test_safe_begins_with_okabe_and_ito() -> None:
    """`safe` starts with the eight colors of Okabe and Ito."""
    assert table("safe", SIX)[:8].tolist() == [
        [0, 0, 0], [230, 159, 0], [86, 180, 233], [0, 158, 115],
        [240, 228, 66], [0, 114, 178], [213, 94, 0], [204, 121, 167],
    ]  # fmt: skip


def test_no_two_safe_colors_are_alike() -> None:
    """`safe` has a different color for every id."""
    assert len(np.unique(table("safe", SIX), axis=0)) == 256


def test_the_first_safe_colors_are_far_apart() -> None:
    """The first 40 colors of `safe` are far from each other and from off-white."""
    colors = table("safe", SIX)[[*range(40), 255]].astype(int)
    distances = np.abs(colors[:, None] - colors[None]).sum(axis=2)
    assert distances[~np.eye(41, dtype=bool)].min() >= 64


@pytest.mark.parametrize("name", PALETTES)
def test_a_palette_is_a_new_array(name: str) -> None:
    """Changing a palette changes no other."""
    table(name, SIX)[:] = 7
    assert (table(name, SIX) != 7).any()


def test_an_unknown_palette_is_an_input_error() -> None:
    """An unknown name is refused with the names that exist."""
    with pytest.raises(InputError, match=r"'rainbow'.*model, voc, jet, safe"):
        table("rainbow", SIX)
