"""The files that one answered picture leaves behind, named and made in one place for page and command line.

STEM_mask.png           class ids, 8-bit indexed, at the photograph's own size; 255 kept
STEM_overlay.png        the photograph with the mask over it, at its own size
STEM.json               what was asked, of whom, what is in the picture, how long it took
STEM_areas.csv          a row a class: pixels, share, mean confidence
STEM_probabilities.npz  `probabilities` (C, H, W) float32 as the model gave them, `classes` (C,) names
STEM_figure.png         photograph, mask and overlay with a legend
"""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.escaping import csv_bytes, file_name, json_bytes
from core.imaging.image import Photo, resize_labels
from core.inference.invoke import Inference
from core.local_files import private_opener
from core.render.legend import ClassArea, areas, mean_confidence
from core.render.masks import mask_png
from core.render.overlay import overlay_image
from core.render.palette import Table

Kind = Literal["mask", "overlay", "json", "areas", "probabilities", "figure"]
KINDS: tuple[Kind, ...] = get_args(Kind)

SUFFIXES: dict[Kind, str] = {
    "mask": "_mask.png",
    "overlay": "_overlay.png",
    "json": ".json",
    "areas": "_areas.csv",
    "probabilities": "_probabilities.npz",
    "figure": "_figure.png",
}
MEDIA_TYPES: dict[Kind, str] = {
    "mask": "image/png",
    "overlay": "image/png",
    "json": "application/json",
    "areas": "text/csv",
    "probabilities": "application/octet-stream",
    "figure": "image/png",
}

BYTES_PER_PIXEL = 10
"""Memory next to a photo while its files are made: the mask, the overlay, and this as a PNG that hardly packs."""

STEM_BYTES = 160
"""A stem's most bytes in UTF-8: file systems take 255 for a name, ours ends in up to 18 more and a number."""

RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices, whatever follows the first dot."""

NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)
"""How a file system without links (a memory card's, a network's) refuses one."""


@dataclass(frozen=True, slots=True)
class File:
    """A file to be saved.

    name:       without folders.
    media_type: its content type.
    data:       its bytes.
    """

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True, eq=False)
class ExportResult:
    """A photograph and what was answered, ready to be made into files. Made by `result`.

    stem:    what the files' names begin with.
    table:   colours, (256, 3) uint8.
    opacity: of the overlay, 0 to 1.
    labels:  (H, W) uint8 at the photograph's own size.
    areas:   counted on these labels.
    """

    photo: Photo
    inference: Inference
    stem: str
    table: Table
    opacity: float
    labels: NDArray[np.uint8]
    areas: tuple[ClassArea, ...]


def result(
    photo: Photo, inference: Inference, *, stem: str, table: Table | None = None, opacity: float = 0.5
) -> ExportResult:
    """Scale the labels to the photograph and count them. `table` None takes the model's own colours."""
    segmentation = inference.segmentation
    colors = segmentation.classes.table() if table is None else table
    labels = resize_labels(segmentation.labels, photo.height, photo.width)
    return ExportResult(
        photo, inference, stem, colors, opacity, labels, areas(segmentation, colors, labels=labels)
    )


def files(of: ExportResult, kinds: Sequence[Kind] = KINDS) -> tuple[File, ...]:
    """The files of these kinds, in this order; no probabilities where the answer was a mask alone."""
    return tuple(file(of, kind) for kind in kinds if kind != "probabilities" or has_probabilities(of))


def has_probabilities(of: ExportResult) -> bool:
    """Whether the answer holds probabilities, and not a mask alone."""
    return of.inference.segmentation.probabilities is not None


def file(of: ExportResult, kind: Kind) -> File:
    """One file. Raises InputError for the probabilities of an answer that has none."""
    makers = {
        "mask": _mask,
        "overlay": _overlay,
        "json": _json,
        "areas": _csv,
        "probabilities": _npz,
        "figure": _figure,
    }
    return File(of.stem + SUFFIXES[kind], MEDIA_TYPES[kind], makers[kind](of))


def _mask(of: ExportResult) -> bytes:
    return mask_png(of.labels, of.table)


def _overlay(of: ExportResult) -> bytes:
    """Photographs hold few repeats worth a search: at 12 million pixels Z_RLE takes 1.3 s for 16 MB, against 1.5 s
    for 19 MB at level 1 and 2.3 s for 18.6 MB at level 3."""
    mixed = overlay_image(of.photo.pixels, of.labels, of.table, of.opacity)
    buffer = io.BytesIO()
    mixed.save(buffer, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return buffer.getvalue()


def summary(of: ExportResult) -> dict[str, Any]:
    """What STEM.json holds; also what the command line prints for a picture. Only JSON's own types, no NaN."""
    inference, segmentation = of.inference, of.inference.segmentation
    return {
        "image": of.photo.name,
        "photo": {"width": of.photo.width, "height": of.photo.height},
        "model_saw": {"width": inference.image.width, "height": inference.image.height},
        "endpoint": inference.endpoint,
        "accept": inference.accept,
        "content_type": inference.answer.content_type,
        "mean_confidence": mean_confidence(segmentation),
        "areas_counted_on": "the mask, at the photo's size; mean_confidence: the pixels the model saw",
        "classes": [_class_row(area) for area in of.areas],
        "class_names": list(segmentation.classes.names),
        "seconds": {"endpoint": inference.endpoint_seconds, "decode": inference.decode_seconds},
        "problems": list(segmentation.problems),
    }


def _class_row(area: ClassArea) -> dict[str, Any]:
    return {
        "id": area.id,
        "name": area.name,
        "color": "#{:02x}{:02x}{:02x}".format(*area.color),
        "pixels": area.pixels,
        "share": area.share,
        "mean_confidence": area.mean_confidence,
    }


def _json(of: ExportResult) -> bytes:
    return json_bytes(summary(of))


def _csv(of: ExportResult) -> bytes:
    columns = ("id", "name", "color", "pixels", "share", "mean_confidence")
    return csv_bytes(map(_class_row, of.areas), columns)


def _npz(of: ExportResult) -> bytes:
    """Not compressed: probabilities hold noise to the last bit. Measured at 21 x 600 x 800: 38 MB after 1.4 s,
    against 40 MB at once."""
    segmentation = of.inference.segmentation
    if segmentation.probabilities is None:
        raise InputError(
            f"There are no probabilities of {of.photo.name}.",
            why="The endpoint was asked for a mask alone.",
            todo="Ask it for probabilities.",
        )
    names = np.array([segmentation.classes.name(i) for i in range(len(segmentation.probabilities))], np.str_)
    buffer = io.BytesIO()
    np.savez(buffer, probabilities=segmentation.probabilities, classes=names)
    return buffer.getvalue()


def _figure(of: ExportResult) -> bytes:
    from core.render.figures import figure  # noqa: PLC0415 - brings matplotlib, which takes a moment

    title = f"{of.photo.name} · {of.inference.endpoint}"
    return figure(of.photo.array(), of.inference.segmentation, of.table, title=title)


def zip_files(items: Iterable[File]) -> bytes:
    """All of them in one zip; the same files always give the same bytes. ValueError for two of one name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for item in items:
            if item.name in archive.NameToInfo:
                raise ValueError(f"{item.name} is twice in the zip")
            # PNG and npz hold no air; texts do.
            packed = zipfile.ZIP_DEFLATED if item.name.endswith((".json", ".csv")) else zipfile.ZIP_STORED
            info = zipfile.ZipInfo(item.name)
            info.external_attr = 0o644 << 16
            archive.writestr(info, item.data, packed)
    return buffer.getvalue()


def unique_stems(names: Sequence[str]) -> list[str]:
    """A file stem for each name, in order: usable on every system, and no two alike even where case does not count.

    Folders, the last suffix and leading dots are dropped; control and invisible characters become codes such as
    `_x1b`; what Windows forbids becomes `_`; long names are cut; the second `photo` is `photo-2`.
    """
    taken: set[str] = set()
    stems = []
    for name in names:
        stem, number = _stem(name), 1
        unique = stem
        while _folded(unique) in taken:
            number += 1
            unique = f"{stem}-{number}"
        taken.add(_folded(unique))
        stems.append(unique)
    return stems


def _stem(name: str) -> str:
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    kept = file_name(unicodedata.normalize("NFC", last).lstrip(". ")) or "image"
    stem = PurePosixPath(kept).stem
    stem = re.sub(r'[<>:"|?*]', "_", stem).encode()[:STEM_BYTES].decode(errors="ignore").strip(". ")
    if RESERVED.fullmatch(stem):
        return f"_{stem}"
    return stem or "image"


def _folded(stem: str) -> str:
    return unicodedata.normalize("NFKC", stem).casefold()


def write_new(
    path: Path,
    data: bytes,
    *,
    overwrite: bool = False,
    private: bool = False,
    link: Callable[[Path, Path], None] = os.link,
) -> None:
    """Save a file whole or not at all: written beside its place, then moved there in one step.

    private: for this user alone; else as the umask has it.
    link:    gives a file a second name, and fails where the name is taken.

    Raises InputError where something stands there already (unless `overwrite`), and where it cannot be written.
    """
    if not overwrite and os.path.lexists(path):
        raise _exists(path)  # said before a large file is written for nothing; the move below is what guards
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with open(part, "xb", opener=private_opener if private else None) as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if overwrite:
            part.replace(path)
        else:
            _name(part, path, link)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be written.",
            why=f"{error.strerror or error}.",
            todo="Choose a folder that exists, that you may write to and that has room.",
        ) from error
    finally:
        if os.path.lexists(part):
            part.unlink()


def _name(part: Path, path: Path, link: Callable[[Path, Path], None]) -> None:
    """Give the file its name. A link refuses in the same step to replace what stands there; a rename does not ask."""
    try:
        link(part, path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if os.path.lexists(path):
            raise FileExistsError(str(path)) from error
        part.rename(path)


def _exists(path: Path) -> InputError:
    return InputError(
        f"{path} exists already.",
        why="Nothing is overwritten unasked.",
        todo="Choose another folder, or say that it may be overwritten.",
    )
