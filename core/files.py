"""Photographs that lie in files: found, segmented one by one, and what is made of them written beside each other."""

from __future__ import annotations

import os
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

from core.classes import Classes
from core.errors import InputError
from core.export import SUFFIXES, Kind, file, result, summary, write_new
from core.image import encode, open_photo
from core.inference import Invoke, Want, segment
from core.render.palette import table

PHOTOGRAPHS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
"""What is taken from a folder; a file that is named itself may end in anything."""

KINDS: tuple[Kind, ...] = ("mask", "overlay", "json")
"""What is written for each photograph."""

OURS = ("_mask.png", "_overlay.png", "_figure.png", "_truth.png")
"""Ends of names that we give to what is no photograph: left out when a folder is searched."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for each of many photographs.

    endpoint:  who is asked.
    classes:   its names and colours; None: as the decoder assumes them.
    want:      "probabilities" or "mask".
    palette:   a name of `core.render.palette.PALETTES`.
    opacity:   of the overlay, 0 to 1.
    fit:       the box the model sees a photograph in, (width, height) in pixels; None: its own size.
    out:       the folder for the files; it exists.
    overwrite: whether files of an earlier run may be replaced.
    inputs:    all photographs, resolved: they are never written to.
    """

    endpoint: str
    classes: Classes | None
    want: Want
    palette: str
    opacity: float
    fit: tuple[int, int] | None
    out: Path
    overwrite: bool
    inputs: frozenset[Path]


def find(arguments: Sequence[str]) -> tuple[list[Path], list[tuple[str, InputError]]]:
    """The files behind files, folders and patterns, each once, in order; and the arguments that lead to none."""
    found: dict[Path, Path] = {}
    missing: list[tuple[str, InputError]] = []
    for argument in arguments:
        paths = _paths(argument)
        for path in paths:
            found.setdefault(path.resolve(), path)
        if not paths:
            missing.append((argument, _nothing(argument)))
    return list(found.values()), missing


def segment_file(
    path: Path, stem: str, order: Order, invoke: Invoke, accepts: MutableMapping[str, str]
) -> dict[str, Any]:
    """Read one photograph, ask the endpoint, write its files; gives its summary with the files' paths.

    stem: what the files' names begin with.

    Whether the files may be written is looked at before the endpoint is asked, which costs. Raises InputError,
    AwsError, DecodeError.
    """
    targets = {kind: order.out / f"{stem}{SUFFIXES[kind]}" for kind in KINDS}
    _check(targets.values(), order)
    photo = open_photo(_read(path), printable(path.name))
    inference = segment(
        encode(photo, fit=order.fit),
        invoke,
        endpoint=order.endpoint,
        accepts=accepts,
        want=order.want,
        classes=order.classes,
    )
    colors = table(order.palette, inference.segmentation.classes)
    made = result(photo, inference, stem=stem, table=colors, opacity=order.opacity)
    for kind, target in targets.items():
        write_new(target, file(made, kind).data, overwrite=order.overwrite)
    files = {kind: printable(str(target)) for kind, target in targets.items()}
    return summary(made) | {"path": printable(str(path)), "files": files}


def printable(text: str) -> str:
    """Without the half characters that stand for bytes of a file's name that are no UTF-8."""
    return text.encode("utf-8", "replace").decode()


def _paths(argument: str) -> list[Path]:
    path = Path(argument).expanduser()
    if path.is_dir():
        return sorted(entry for entry in path.iterdir() if _is_photograph(entry))
    if path.exists():
        return [path]
    return sorted(Path(name) for name in glob(str(path), recursive=True) if Path(name).is_file())


def _is_photograph(path: Path) -> bool:
    return path.suffix.lower() in PHOTOGRAPHS and not path.name.endswith(OURS) and path.is_file()


def _nothing(argument: str) -> InputError:
    if Path(argument).expanduser().is_dir():
        return InputError(
            f"There is no photograph in the folder {printable(argument)}.",
            todo=f"It is searched for {', '.join(PHOTOGRAPHS)}, without the folders in it.",
        )
    return InputError(f"There is no file at {printable(argument)}.", todo="Check the path.")


def _check(targets: Iterable[Path], order: Order) -> None:
    for target in targets:
        if target.resolve() in order.inputs:
            raise InputError(
                f"{target} is one of the photographs.",
                why="A photograph is never replaced.",
                todo="Choose another folder for the results.",
            )
        if not order.overwrite and os.path.lexists(target):
            raise InputError(
                f"{target} exists already.",
                why="Nothing is overwritten unasked; the endpoint was not asked either.",
                todo="Choose another folder, or say that it may be overwritten.",
            )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read.", why=f"{error.strerror}.", todo="Check that it is a file you may read."
        ) from error
