"""What the Evaluate page keeps: keys of its widgets, and what of its results this person looks at."""

from __future__ import annotations

from pages.parts import state
from pages.parts.state import Slot

LABELED, PART, FOLDER, S3_PHOTOS, S3_MASKS = "labelled", "part", "folder", "photos", "masks"
"""Keys of widgets that are bound to the URL under the same name."""

LABELED_FILES, MASK_SHOWN, MASK_OF = "labelled_files", "mask_shown", "mask_of"
"""Keys of its other widgets."""

_IMAGE: Slot[str] = Slot("evaluate.image")
_ROWS: Slot[int] = Slot("evaluate.rows")
_CELL: Slot[tuple[str, str] | None] = Slot("evaluate.cell")
_CELL_CHANGES: Slot[int] = Slot("evaluate.cell_changes")


def label_from_s3(photos: str, masks: str) -> None:
    """Evaluate on the images and masks below these S3 prefixes; in a callback."""
    state.choose(LABELED, "s3")
    state.choose(S3_PHOTOS, photos)
    state.choose(S3_MASKS, masks)


def image() -> str:
    """Return the name of the image that is shown large; empty: the first."""
    return _IMAGE.get() or ""


def show_image(name: str) -> None:
    """Show this image large from now on."""
    _IMAGE.set(name)


def rows() -> int:
    """Return how many times as many images the gallery holds as at first."""
    return _ROWS.get() or 1


def show_more() -> None:
    """Let the gallery hold more images."""
    _ROWS.set(rows() + 1)


def cell_key() -> str:
    """Return the key of the confusion matrix: another one each time that a cell is chosen elsewhere, or none."""
    return f"confusion-{_CELL_CHANGES.get() or 0}"


def cell() -> tuple[str, str] | None:
    """Return the chosen cell of the confusion matrix: true and predicted class; None where none is."""
    return _CELL.get()


def take_cell() -> None:
    """Choose the cell that was just clicked in the chart; a click next to all of them chooses none."""
    chart = state.chosen(cell_key()) or {}
    points = chart.get("selection", {}).get("cell") or []
    _CELL.set((str(points[0]["truth"]), str(points[0]["predicted"])) if points else None)
    _IMAGE.set("")


def choose_cell(cell: tuple[str, str] | None) -> None:
    """Choose a cell, or none."""
    _CELL.set(cell)
    _CELL_CHANGES.set((_CELL_CHANGES.get() or 0) + 1)
    _ROWS.set(1)
    _IMAGE.set("")
