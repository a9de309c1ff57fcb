"""The result files of one image, for the page and the command line.

STEM_mask.png           class ids, 8-bit indexed, at the image's original size; 255 kept
STEM_overlay.png        the image with the mask over it, at its original size
STEM.json               the request, the endpoint, the class areas, the durations
STEM_areas.csv          one row per class: pixels, share, mean confidence
STEM_probabilities.npz  `probabilities` (C, H, W) float32 as the model returned them, `classes` (C,) names
STEM_figure.png         image, mask and overlay with a legend
"""

from __future__ import annotations

import errno
import io
import os
import re
import unicodedata
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.escaping import csv_bytes, file_name, json_bytes
from core.imaging.image import DecodedImage, resize_labels
from core.inference.invoke import Inference
from core.partial_files import open_partial
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
"""Memory per pixel while an image's files are made: the mask, the overlay, and its barely compressed PNG."""

STEM_BYTES = 160
"""Maximum UTF-8 bytes of a stem: file systems allow 255 for a name, and suffixes take up to 18 and a number."""

RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\..*)?", re.IGNORECASE)
"""Names that Windows reserves for devices, whatever follows the first dot."""

AHEAD = 2
"""Images whose files are made at the same time for a ZIP."""

NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)
"""Errors of file systems without links, such as memory cards and network drives."""


@dataclass(frozen=True, slots=True)
class File:
    """A file to save.

    name:       without folders.
    media_type: its content type.
    data:       its bytes.
    """

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True, eq=False)
class ExportResult:
    """An image and its inference, ready to be written to files. Created by `result`.

    stem:    the beginning of the file names.
    table:   colors, (256, 3) uint8.
    opacity: of the overlay, 0 to 1.
    labels:  (H, W) uint8 at the image's original size.
    areas:   counted on these labels.
    """

    photo: DecodedImage
    inference: Inference
    stem: str
    table: Table
    opacity: float
    labels: NDArray[np.uint8]
    areas: tuple[ClassArea, ...]


def result(
    photo: DecodedImage, inference: Inference, *, stem: str, table: Table | None = None, opacity: float = 0.5
) -> ExportResult:
    """Scale the labels to the image and count them. `table` None uses the model's palette."""
    segmentation = inference.segmentation
    colors = segmentation.classes.table() if table is None else table
    labels = resize_labels(segmentation.labels, photo.height, photo.width)
    return ExportResult(
        photo, inference, stem, colors, opacity, labels, areas(segmentation, colors, labels=labels)
    )


def files(of: ExportResult, kinds: Sequence[Kind] = KINDS) -> tuple[File, ...]:
    """Return the files of these kinds, in this order; without probabilities if the response is labels only."""
    return tuple(file(of, kind) for kind in kinds if kind != "probabilities" or has_probabilities(of))


def has_probabilities(of: ExportResult) -> bool:
    """Return whether the response has probabilities, not only labels."""
    return of.inference.segmentation.probabilities is not None


def file(of: ExportResult, kind: Kind) -> File:
    """Return one file. Raises InputError for probabilities that the response does not have."""
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
    """Return the overlay PNG. Z_RLE suits natural images: 12 megapixels take 1.3 s for 16 MB, compared with 1.5 s for
    19 MB at level 1 and 2.3 s for 18.6 MB at level 3."""
    mixed = overlay_image(of.photo.pixels, of.labels, of.table, of.opacity)
    buffer = io.BytesIO()
    mixed.save(buffer, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return buffer.getvalue()


def summary(of: ExportResult) -> dict[str, Any]:
    """Return the content of STEM.json, which the command line prints for each image. Only JSON types, no NaN."""
    photo = of.photo
    return summary_row(photo.name, (photo.width, photo.height), photo.notes, of.inference, of.areas)


def summary_row(
    name: str, size: tuple[int, int], notes: Sequence[str], inference: Inference, areas: Sequence[ClassArea]
) -> dict[str, Any]:
    """Return the summary of an image that is no longer in memory. size: its (width, height)."""
    segmentation = inference.segmentation
    return {
        "image": name,
        "photo": {"width": size[0], "height": size[1]},
        "notes": list(notes),
        "model_saw": {"width": inference.image.width, "height": inference.image.height},
        "endpoint": inference.endpoint,
        "accept": inference.accept,
        "content_type": inference.answer.content_type,
        "mean_confidence": mean_confidence(segmentation),
        "areas_counted_on": "the mask, at the image's original size; mean_confidence: at the model's input size",
        "classes": [_class_row(area) for area in areas],
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
    """Return the probabilities, uncompressed: they are noisy to the last bit. Compressing 21 x 600 x 800 values takes
    1.4 s and saves 2 of 40 MB."""
    segmentation = of.inference.segmentation
    if segmentation.probabilities is None:
        raise InputError(
            f"There are no probabilities for {of.photo.name}.",
            why="The endpoint was invoked for labels only.",
            todo="Run inference again with the output set to probabilities.",
        )
    names = np.array([segmentation.classes.name(i) for i in range(len(segmentation.probabilities))], np.str_)
    buffer = io.BytesIO()
    np.savez(buffer, probabilities=segmentation.probabilities, classes=names)
    return buffer.getvalue()


def _figure(of: ExportResult) -> bytes:
    from core.render.figures import figure  # noqa: PLC0415 - imports matplotlib, which is slow

    title = f"{of.photo.name} · {of.inference.endpoint}"
    return figure(of.photo.array(), of.inference.segmentation, of.table, title=title)


def made_ahead(makers: Sequence[Callable[[], tuple[File, ...]]]) -> Iterator[File]:
    """Yield the files of each image in order, while those of the next one are made in another thread.

    Encoding a PNG leaves the interpreter to others: 24 images take a third less time on two cores. The files of at
    most two images wait in memory. What a maker raises is raised in its turn.
    """
    with ThreadPoolExecutor(AHEAD, thread_name_prefix="files") as pool:
        waiting: deque[Future[tuple[File, ...]]] = deque()
        try:
            for maker in makers:
                waiting.append(pool.submit(maker))
                if len(waiting) > AHEAD:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def zip_files(items: Iterable[File]) -> bytes:
    """Return the files as one ZIP; the same files give the same bytes. Raises ValueError for duplicate names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for item in items:
            if item.name in archive.NameToInfo:
                raise ValueError(f"{item.name} is twice in the zip")
            # PNG and npz do not compress further; text does.
            packed = zipfile.ZIP_DEFLATED if item.name.endswith((".json", ".csv")) else zipfile.ZIP_STORED
            info = zipfile.ZipInfo(item.name)
            info.external_attr = 0o644 << 16
            archive.writestr(info, item.data, packed)
    return buffer.getvalue()


def unique_stems(names: Sequence[str]) -> list[str]:
    """Return a file stem for each name, in order: valid on every system, and unique even if case is ignored.

    Folders, the last suffix and leading dots are dropped; control and invisible characters become codes such as
    `_x1b`; characters that Windows forbids become `_`; long names are truncated; the second `bay` is `bay-2`.
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
    """Save a file atomically: write it next to its destination, then move it there in one step.

    private: readable only by this user; otherwise the umask applies.
    link:    gives a file a second name, and fails if the name is taken.

    Raises InputError if the file exists (unless `overwrite`), and if it cannot be written.
    """
    if not overwrite and os.path.lexists(path):
        raise _exists(path)  # fail early, before writing a large file; the move below is the real guard
    part = None
    try:
        part, stream = open_partial(path.parent, private=private)
        with stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
            if os.name == "nt":
                stream.close()  # it moves no open file
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
            todo="Choose an existing folder with write permission and enough space.",
        ) from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def move_new(part: Path, path: Path, *, overwrite: bool = False) -> None:
    """Give a finished file its name in one step; both are on one file system.

    Raises InputError if the name is taken (unless `overwrite`), and if it cannot be written.
    """
    try:
        if overwrite:
            part.replace(path)
        else:
            _name(part, path, os.link)
            part.unlink(missing_ok=True)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be written.",
            why=f"{error.strerror or error}.",
            todo="Choose an existing folder with write permission and enough space.",
        ) from error


def _name(part: Path, path: Path, link: Callable[[Path, Path], None]) -> None:
    """Give the file its name. Unlike a rename, a link fails atomically if the name exists."""
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
        f"{path} already exists.",
        why="Files are only overwritten if you ask for it.",
        todo="Choose another folder, or allow overwriting.",
    )
