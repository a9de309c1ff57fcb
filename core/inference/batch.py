"""Photos in files: found, segmented one by one, and their results written next to each other.

STEM.json is written last and is the mark of a photo that is done: what a killed run left behind without it is not.
It holds what was asked for and the photo's hash, so that `resume` skips exactly what would come out the same.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.escaping import json_bytes
from core.imaging.classes import Classes
from core.imaging.image import encode
from core.inference.export import BYTES_PER_PIXEL, SUFFIXES, Kind, file, result, summary, write_new
from core.inference.invoke import Invoke, Want, segment
from core.inference.pipeline import opened_photo
from core.local_files import read_regular, reason
from core.render.palette import table
from core.strict_json import parse_json

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
"""What is taken from a folder; a file that is named itself may end in anything."""

KINDS: tuple[Kind, ...] = ("mask", "overlay", "json")
"""What is written for each photograph, in this order: the JSON last, as the mark that it is done."""

PART = re.compile(r"\.[0-9a-f]{16}\.part")
"""Names of files that `core.inference.export.write_new` has begun; a kill leaves them behind."""

RESULT_SUFFIXES = ("_mask.png", "_overlay.png", "_figure.png", "_truth.png")
"""Ends of names that we give to what is no photograph: left out when a folder is searched."""


@dataclass(frozen=True, slots=True)
class BatchRequest:
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
    resume:    whether photos that are done are skipped, and what is left of others is replaced.
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

    def request(self) -> dict[str, Any]:
        """Return what decides how the files of a photo come out, for its JSON."""
        return {
            "endpoint": self.endpoint,
            "output": self.want,
            "size": None if self.fit is None else list(self.fit),
            "palette": self.palette,
            "opacity": self.opacity,
        }


def find_images(arguments: Sequence[str]) -> tuple[list[Path], list[tuple[str, InputError]]]:
    """The files behind files, folders and patterns, each once, in order; and the arguments that lead to none."""
    images: dict[Path, Path] = {}
    missing: list[tuple[str, InputError]] = []
    for argument in arguments:
        paths = _paths(argument)
        for path in paths:
            images.setdefault(path.resolve(), path)
        if not paths:
            missing.append((argument, _nothing(argument)))
    return list(images.values()), missing


def segment_file(
    path: Path, stem: str, order: BatchRequest, invoke: Invoke, accepts: MutableMapping[str, str]
) -> dict[str, Any]:
    """Read one photograph, ask the endpoint, write its files; gives its summary with the files' paths.

    stem: what the files' names begin with.

    Whether the files may be written is looked at before the endpoint is asked, which costs. Raises InputError,
    AwsError, DecodeError.
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
        colors = table(order.palette, inference.segmentation.classes)
        made = result(photo, inference, stem=stem, table=colors, opacity=order.opacity)
        row = summary(made) | {"request": order.request(), "sha256": _sha256(data)}
        _write_all(
            {
                target: _as_json(row) if kind == "json" else file(made, kind).data
                for kind, target in targets.items()
            },
            _mark(stem, order),
            replace=replace,
        )
    return row | _places(path, targets)


def done_before(path: Path, stem: str, order: BatchRequest) -> dict[str, Any] | None:
    """Return the summary that an earlier run wrote for this photo, as `segment_file` gives it; None: it is not done.

    Done is a photo with a mask, an overlay and a JSON that can be read and is about it. A JSON that cannot be read
    counts as not written. Raises InputError where it was written for another photo or another request.
    """
    targets = _targets(stem, order)
    row = _read_json(targets["json"])
    if row is None or not all(targets[kind].is_file() for kind in KINDS):
        return None
    request = order.request()
    recorded: dict[str, Any] = {"endpoint": row["endpoint"]}
    if isinstance(row.get("request"), dict):
        recorded |= row["request"]
    differing = [name for name, value in request.items() if name in recorded and recorded[name] != value]
    if differing:
        differences = ", ".join(f"{name} {recorded[name]!r} and now {request[name]!r}" for name in differing)
        raise InputError(
            f"{targets['json']} was made by another request: {differences}.",
            why="Resuming would mix results of both in one folder; the endpoint was not invoked.",
            todo="Repeat the first request, choose another folder, or use --overwrite to make all of them again.",
        )
    digest = _sha256(_read(path))
    if row["image"] != printable(path.name) or row.get("sha256", digest) != digest:
        raise InputError(
            f"{targets['json']} was made of another photo than {printable(str(path))}.",
            why="The photo has changed since, or others are segmented than before; the endpoint was not invoked.",
            todo="Choose another folder, or use --overwrite to make all of them again.",
        )
    return row | _places(path, targets)


def remove_parts(out: Path) -> int:
    """Remove the files that a killed run had begun to write into the folder; return how many."""
    parts = [path for path in out.iterdir() if PART.fullmatch(path.name) and path.is_file()]
    for path in parts:
        path.unlink(missing_ok=True)
    return len(parts)


def _targets(stem: str, order: BatchRequest) -> dict[Kind, Path]:
    return {kind: order.out / f"{stem}{SUFFIXES[kind]}" for kind in KINDS}


def _places(path: Path, targets: Mapping[Kind, Path]) -> dict[str, Any]:
    files = {kind: printable(str(target)) for kind, target in targets.items()}
    return {"path": printable(str(path)), "files": files}


def _mark(stem: str, order: BatchRequest) -> Path:
    """Return the file that stands for "these files are being written"; a kill leaves it behind."""
    return order.out / f".{stem}.unfinished"


def _is_ours(json_file: Path, stem: str, order: BatchRequest) -> bool:
    """Return whether what has this image's names was written by an earlier run, so that resuming may replace it."""
    return _mark(stem, order).exists() or _read_json(json_file) is not None


def _write_all(contents: Mapping[Path, bytes], mark: Path, *, replace: bool) -> None:
    """Write the files in their order, with a mark next to them until the last one is there."""
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


def _read_json(path: Path) -> dict[str, Any] | None:
    """Return the summary in a file; None for what is missing, cut off, or another program's."""
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
    """Without the half characters that stand for bytes of a file's name that are no UTF-8."""
    return text.encode("utf-8", "replace").decode()


def _paths(argument: str) -> list[Path]:
    path = Path(argument).expanduser()
    if path.is_dir():
        return sorted(entry for entry in path.iterdir() if _is_image(entry))
    if path.exists():
        return [path]
    return sorted(match for match in _matches(path) if not match.is_dir())


def _matches(pattern: Path) -> Iterator[Path]:
    """Expand a pattern. Unlike `glob`, `Path.glob` follows no link below `**`, where two loops would never end."""
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
            f"There is no photograph in the folder {printable(argument)}.",
            todo=f"It is searched for {', '.join(IMAGE_SUFFIXES)}, without the folders in it.",
        )
    return InputError(f"There is no file at {printable(argument)}.", todo="Check the path.")


def _check(targets: Iterable[Path], order: BatchRequest, *, replace: bool) -> None:
    for target in targets:
        if target.resolve() in order.inputs:
            raise InputError(
                f"{target} is one of the photographs.",
                why="A photograph is never replaced.",
                todo="Choose another folder for the results.",
            )
        if not replace and os.path.lexists(target):
            raise InputError(
                f"{target} exists already.",
                why="No interrupted run wrote it, so it is kept; the endpoint was not invoked."
                if order.resume
                else "Nothing is overwritten unless requested; the endpoint was not invoked.",
                todo="Choose another folder, or use --overwrite to replace it."
                if order.resume
                else "Choose another folder, use --resume to continue an interrupted run, or --overwrite to replace.",
            )


def _read(path: Path) -> bytes:
    try:
        return read_regular(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read.", why=reason(error), todo="Check that it is a file you may read."
        ) from error
