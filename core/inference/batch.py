"""Segment many image files one by one, and write the results to one folder.

STEM.json is written last and marks an image as done: without it, files of an interrupted run are incomplete. It
contains the request and the image's hash, so that `resume` skips exactly those whose results would be the same.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.escaping import json_bytes
from core.imaging.classes import Classes
from core.imaging.image import encode
from core.imaging.suffixes import IMAGE_SUFFIXES
from core.imaging.uncertainty import thresholded, unsure_share
from core.inference.export import BYTES_PER_PIXEL, SUFFIXES, Kind, file, result, summary, write_new
from core.inference.invoke import Invoke, Want, segment
from core.inference.pipeline import opened_photo
from core.local_files import read_regular, reason
from core.render.palette import table
from core.strict_json import parse_json

KINDS: tuple[Kind, ...] = ("mask", "overlay", "json")
"""Files written for each image, in this order: the JSON last, as the mark that it is done."""

RESULT_SUFFIXES = ("_mask.png", "_overlay.png", "_figure.png", "_truth.png", "_diff.png")
"""Suffixes of result files: left out when a folder is searched."""


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """The settings for segmenting many images.

    endpoint:  the endpoint's name.
    classes:   its names and colors; None: the decoder's defaults.
    want:      "probabilities" or "mask".
    palette:   a name of `core.render.palette.PALETTES`.
    opacity:   of the overlay, 0 to 1.
    fit:       the input size limit, (width, height) in pixels; None: the original size.
    out:       the existing output folder.
    overwrite: whether files of an earlier run may be replaced.
    inputs:    all images, resolved: they are never overwritten.
    resume:    whether completed images are skipped, and incomplete results are replaced.
    origin:    the endpoint's account and region, see `Connection.origin`; empty: unknown.
    model:     of the endpoint, see `EndpointInfo.config`: results of another are not kept. Empty: unknown.
    threshold: pixels whose confidence is below it become 255, unsure; None: each pixel keeps its class.
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
    resume: bool = False
    origin: str = ""
    model: str = ""
    threshold: float | None = None

    def request(self) -> dict[str, Any]:
        """Return the settings that determine an image's results, for its JSON."""
        return {
            "endpoint": self.endpoint,
            **({"origin": self.origin} if self.origin else {}),
            **({"model": self.model} if self.model else {}),
            "output": self.want,
            "size": None if self.fit is None else list(self.fit),
            "palette": self.palette,
            "opacity": self.opacity,
            **({} if self.threshold is None else {"threshold": self.threshold}),
        }


class FoundImages(NamedTuple):
    """The files to segment.

    paths:   each file once, in order.
    missing: the arguments that match none, with the error.
    skipped: files and subfolders of the folders that are not read, with a `/` after those of folders.
    """

    paths: list[Path]
    missing: list[tuple[str, InputError]]
    skipped: list[str]


def find_images(arguments: Sequence[str]) -> FoundImages:
    """Return the files that the arguments match, and what is missing or skipped."""
    images: dict[Path, Path] = {}
    skipped: dict[str, None] = {}
    missing: list[tuple[str, InputError]] = []
    for argument in arguments:
        paths = _paths(argument)
        for path in paths:
            images.setdefault(path.resolve(), path)
        if not paths:
            missing.append((argument, _nothing(argument)))
        skipped |= dict.fromkeys(_skipped(argument))
    read = set(map(str, images.values()))
    return FoundImages(list(images.values()), missing, [path for path in skipped if path not in read])


def segment_file(
    path: Path, stem: str, order: BatchRequest, invoke: Invoke, accepts: MutableMapping[str, str]
) -> dict[str, Any]:
    """Read an image, invoke the endpoint, write the files; return the summary with the files' paths.

    stem: the beginning of the file names.

    Whether the files may be written is checked before the invocation, which is billed. Raises InputError, AwsError,
    DecodeError.
    """
    targets = _targets(stem, order)
    replace = order.overwrite or (order.resume and _is_ours(targets["json"], stem, order))
    _check(targets.values(), order, replace=replace)
    data = _read(path)
    with opened_photo(data, printable(path.name), extra=BYTES_PER_PIXEL) as photo:
        inference = segment(
            encode(photo, fit=order.fit),
            invoke,
            endpoint=order.endpoint,
            accepts=accepts,
            want=order.want,
            classes=order.classes,
        )
        if order.threshold is not None:
            inference = dataclasses.replace(
                inference, segmentation=thresholded(inference.segmentation, order.threshold)
            )
        colors = table(order.palette, inference.segmentation.classes)
        made = result(photo, inference, stem=stem, table=colors, opacity=order.opacity)
        row = (
            summary(made)
            | _unsure(made.labels, order.threshold)
            | {"request": order.request(), "sha256": _sha256(data)}
        )
        _write_all(
            {
                target: _as_json(row) if kind == "json" else file(made, kind).data
                for kind, target in targets.items()
            },
            _mark(stem, order),
            replace=replace,
        )
    return row | _places(path, targets)


def _unsure(labels: NDArray[np.uint8], threshold: float | None) -> dict[str, Any]:
    """Return the threshold and the share of unsure pixels, for the image's JSON; nothing without a threshold."""
    return {} if threshold is None else {"unsure": {"threshold": threshold, "share": unsure_share(labels)}}


def completed_summary(path: Path, stem: str, order: BatchRequest) -> dict[str, Any] | None:
    """Return the summary that an earlier run wrote for this image, as `segment_file` does; None: it is not done.

    An image is done if it has a mask, an overlay and a readable JSON for it. An unreadable JSON counts as missing.
    Raises InputError if the JSON is for another image or another request.
    """
    targets = _targets(stem, order)
    row = read_json(targets["json"])
    if row is None or not all(targets[kind].is_file() for kind in KINDS):
        return None
    request = {"threshold": None, **order.request()}
    recorded: dict[str, Any] = {"endpoint": row["endpoint"], "threshold": None}
    if isinstance(row.get("request"), dict):
        recorded |= row["request"]
    differing = [name for name, value in request.items() if name in recorded and recorded[name] != value]
    if differing:
        differences = ", ".join(f"{name} {recorded[name]!r} and now {request[name]!r}" for name in differing)
        raise InputError(
            f"{targets['json']} was written with different settings: {differences}.",
            why="Resuming would mix results of both in one folder. The endpoint was not invoked.",
            todo="Use the earlier settings, choose another folder, or use --overwrite to recreate all results.",
        )
    digest = _sha256(_read(path))
    if row["image"] != printable(path.name) or row.get("sha256", digest) != digest:
        raise InputError(
            f"{targets['json']} was written for another image than {printable(str(path))}.",
            why="The image has changed since, or the list of images is different. The endpoint was not invoked.",
            todo="Choose another folder, or use --overwrite to recreate all results.",
        )
    return row | _places(path, targets)


def _targets(stem: str, order: BatchRequest) -> dict[Kind, Path]:
    return {kind: order.out / f"{stem}{SUFFIXES[kind]}" for kind in KINDS}


def _places(path: Path, targets: Mapping[Kind, Path]) -> dict[str, Any]:
    files = {kind: printable(str(target)) for kind, target in targets.items()}
    return {"path": printable(str(path)), "files": files}


def _mark(stem: str, order: BatchRequest) -> Path:
    """Return the marker file that exists while results are written; an interrupted run leaves it behind."""
    return order.out / f".{stem}.unfinished"


def _is_ours(json_file: Path, stem: str, order: BatchRequest) -> bool:
    """Return whether the existing files of this image are from an earlier run, so that resuming may replace them."""
    return _mark(stem, order).exists() or read_json(json_file) is not None


def _write_all(contents: Mapping[Path, bytes], mark: Path, *, replace: bool) -> None:
    """Write the files in order, with a marker file until the last one is written."""
    write_new(mark, b"", overwrite=True)
    written = False
    try:
        for target, content in contents.items():
            write_new(target, content, overwrite=replace)
            written = True
    except InputError:
        if not written:
            mark.unlink(missing_ok=True)
        raise
    mark.unlink(missing_ok=True)


def _as_json(row: Mapping[str, Any]) -> bytes:
    return json_bytes(row)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the summary in a file; None if it is missing, truncated, or another program's."""
    try:
        row = parse_json(read_regular(path))
    except (FileNotFoundError, ValueError):
        return None
    except OSError as error:
        raise InputError(
            f"{path} cannot be read.", why=reason(error), todo="Check its permissions."
        ) from error
    wanted = {"image": str, "endpoint": str, "classes": list, "seconds": dict, "problems": list}
    valid = isinstance(row, dict) and all(isinstance(row.get(name), kind) for name, kind in wanted.items())
    return row if valid else None


def printable(text: str) -> str:
    """Replace the lone surrogates that represent non-UTF-8 bytes in file names."""
    return text.encode("utf-8", "replace").decode()


def _paths(argument: str) -> list[Path]:
    path = Path(argument).expanduser()
    if path.is_dir():
        return sorted(entry for entry in path.iterdir() if _is_image(entry))
    if path.exists():
        return [path]
    return sorted(match for match in _matches(path) if not match.is_dir())


def _skipped(argument: str) -> list[str]:
    """Return the entries of a folder that are not read, without hidden ones."""
    folder = Path(argument).expanduser()
    if not folder.is_dir():
        return []
    return [
        f"{entry}{'/' if entry.is_dir() else ''}"
        for entry in sorted(folder.iterdir())
        if not entry.name.startswith(".") and not _is_image(entry)
    ]


def _matches(pattern: Path) -> Iterator[Path]:
    """Expand a pattern. Unlike `glob`, `Path.glob` does not follow links below `**`, which could loop forever."""
    if "**" not in pattern.parts:
        return (Path(name) for name in glob(str(pattern)))
    start = pattern.parts.index("**")
    bases = glob(str(Path(*pattern.parts[:start])))
    rest = str(Path(*pattern.parts[start:]))
    return (
        path
        for base in map(Path, bases)
        for path in base.glob(rest)
        if not any(part.startswith(".") for part in path.relative_to(base).parts)
    )


def _is_image(path: Path) -> bool:
    return (
        path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.endswith(RESULT_SUFFIXES)
        and not path.is_dir()
    )


def _nothing(argument: str) -> InputError:
    if Path(argument).expanduser().is_dir():
        return InputError(
            f"There are no images in the folder {printable(argument)}.",
            todo=f"Supported file types: {', '.join(IMAGE_SUFFIXES)}. Subfolders are not searched.",
        )
    return InputError(f"File not found: {printable(argument)}.", todo="Check the path.")


def _check(targets: Iterable[Path], order: BatchRequest, *, replace: bool) -> None:
    for target in targets:
        if target.resolve() in order.inputs:
            raise InputError(
                f"{target} is one of the input images.",
                why="Input images are never overwritten.",
                todo="Choose another folder for the results.",
            )
        if not replace and os.path.lexists(target):
            raise InputError(
                f"{target} already exists.",
                why="It is not from an interrupted run, so it is kept. The endpoint was not invoked."
                if order.resume
                else "Files are only overwritten if you ask for it. The endpoint was not invoked.",
                todo="Choose another folder, or use --overwrite to replace it."
                if order.resume
                else "Choose another folder, use --resume to continue an interrupted run, or --overwrite to replace.",
            )


def _read(path: Path) -> bytes:
    try:
        return read_regular(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read.", why=reason(error), todo="Check that it is a file that you may read."
        ) from error
