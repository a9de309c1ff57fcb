"""What the Segment page keeps: keys of its widgets, its images, and the one that is shown."""

from __future__ import annotations

from pages.parts.segment import files
from pages.parts.state import Slot

CAMERA_ON = "camera_on"
"""The key of the camera's switch."""

_EXAMPLES: Slot[list[str]] = Slot("segment.examples")
_SHOWN: Slot[str] = Slot("segment.shown")
_SEEN: Slot[list[str]] = Slot("segment.seen")
_CHOSEN: Slot[bool] = Slot("segment.chosen")
"""Whether the user chose the image that is shown; otherwise the first one with a mask is shown."""


def examples() -> list[str]:
    """Return the S3 URIs of the examples that were clicked, in that order."""
    return _EXAMPLES.setdefault(list)


def add_example(uri: str) -> None:
    """Add the clicked example to the images, and show it."""
    if uri not in examples():
        examples().append(uri)
    show(uri)


def clear_examples() -> None:
    """Remove all examples from the images."""
    examples().clear()


def remove(image_ids: list[str]) -> None:
    """Remove images from the page. They come back if their files are uploaded again."""
    files.remove(image_ids)
    for image_id in image_ids:
        if image_id in examples():
            examples().remove(image_id)


def clear() -> None:
    """Remove all images from the page."""
    files.clear()
    clear_examples()


def has_images() -> bool:
    """Return whether there is any image, as of the last run and the click since."""
    return bool(files.kept() or files.in_widgets() or examples())


def show(image_id: str) -> None:
    """Show this image from now on."""
    _SHOWN.set(image_id)
    _CHOSEN.set(True)


def show_first(image_id: str) -> None:
    """Show this image until another one has a mask first, or the user chooses one."""
    _SHOWN.set(image_id)
    _CHOSEN.set(False)


def chosen_by_user() -> bool:
    """Return whether the user chose the image that is shown."""
    return bool(_CHOSEN.get())


def shown() -> str:
    """Return the id of the image that was chosen last; empty where none was."""
    return _SHOWN.get() or ""


def show_newest(image_ids: list[str]) -> None:
    """Show the first of the images that were not there at the last run."""
    before = _SEEN.get() or []
    new = [image_id for image_id in image_ids if image_id not in before]
    if new and shown() not in new:
        show_first(new[0])
    _SEEN.set(image_ids)
