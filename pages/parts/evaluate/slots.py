"""What the Evaluate page keeps: keys of its widgets, and which of its results are shown."""

from __future__ import annotations

from pages.parts import state
from pages.parts.state import Slot

LABELED, PART, FOLDER, S3_IMAGES, S3_MASKS = "labelled", "part", "folder", "photos", "masks"
"""Keys of widgets that are bound to the URL under the same name."""

LABELED_FILES, MASK_VIEW, MASK_OF, CALIBRATE = "labelled_files", "mask_shown", "mask_of", "calibrate"
"""Keys of its other widgets."""

_IMAGE: Slot[str] = Slot("evaluate.image")
_ROWS: Slot[int] = Slot("evaluate.rows")
_CELL: Slot[tuple[str, str] | None] = Slot("evaluate.cell")
_CELL_CHANGES: Slot[int] = Slot("evaluate.cell_changes")


def label_from_s3(images: str, masks: str) -> None:
    """Evaluate on the images and masks below these S3 prefixes; in a callback."""
    state.choose(LABELED, "s3")
    state.choose(S3_IMAGES, images)
    state.choose(S3_MASKS, masks)


def image() -> str:
    """Return the name of the image that is shown large; empty for the first."""
    return _IMAGE.get() or ""


def show_image(name: str) -> None:
    """Show this image large from now on."""
    _IMAGE.set(name)


def rows() -> int:
    """Return how many batches of images the gallery shows."""
    return _ROWS.get() or 1


def show_more() -> None:
    """Show one more batch of images."""
    _ROWS.set(rows() + 1)


def cell_key() -> str:
    """Return the key of the confusion matrix, a new one whenever a cell is selected or cleared outside the chart."""
    return f"confusion-{_CELL_CHANGES.get() or 0}"


def cell() -> tuple[str, str] | None:
    """Return the selected cell of the confusion matrix, actual and predicted class; None where none is."""
    return _CELL.get()


def take_cell() -> None:
    """Select the cell that was clicked in the chart; a click outside all cells clears the selection."""
    chart = state.chosen(cell_key()) or {}
    points = chart.get("selection", {}).get("cell") or []
    _CELL.set((str(points[0]["actual"]), str(points[0]["predicted"])) if points else None)
    _IMAGE.set("")


def choose_cell(cell: tuple[str, str] | None) -> None:
    """Select a cell, or none."""
    _CELL.set(cell)
    _CELL_CHANGES.set((_CELL_CHANGES.get() or 0) + 1)
    _ROWS.set(1)
    _IMAGE.set("")
