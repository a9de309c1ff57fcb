"""Read the output of a SageMaker Ground Truth labeling job: an output manifest and local copies of its files.

    {"source-ref": "s3://b/images/a.jpg", "job-ref": "s3://b/masks/a.png",
     "job-ref-metadata": {"type": "groundtruth/semantic-segmentation",
                          "internal-color-map": {"0": {"class-name": "road", "hex-color": "#ff0000"}}}}

A file is found by the end of its S3 URI: s3://b/images/a.jpg is images/a.jpg below the folder, or a.jpg. The names of
masks contain a time, whose colons become underscores on Windows and in many ZIP files.

After a label adjustment job, a line has the first label and the adjusted one; the newest is used.

Source: Amazon SageMaker Developer Guide, "Labeling job output data" (semantic segmentation).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.datasets.matching import stem
from core.datasets.names import colors_of
from core.datasets.problems import DataProblem, problem
from core.datasets.source import Names, Sample
from core.errors import InputError
from core.imaging.classes import IGNORE, MAX_CLASSES, Classes, Color
from core.local_files import read_text, reason
from core.strict_json import parse_json

MANIFEST_FOLDERS = (".", "manifests/output", "manifests", "output")
CLASS_ID = re.compile("[0-9]{1,3}")
TODO = "Copy it into the folder, for example with: aws s3 cp {uri} ."


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a manifest. It does not define the split of its samples."""

    samples: tuple[Sample, ...]
    names: Names
    problems: tuple[DataProblem, ...]


def find_manifest(root: Path) -> Path | None:
    """Return the manifest of a dataset, preferring the output manifest; None without any."""
    manifests = [path for folder in MANIFEST_FOLDERS for path in sorted((root / folder).glob("*.manifest"))]
    return next((path for path in manifests if path.stem == "output"), manifests[0] if manifests else None)


def read_manifest(path: Path, files: Iterable[str], root: Path) -> Manifest:
    """Read a manifest. files: all paths below the root. Raises InputError where the manifest cannot be read."""
    shown = path.relative_to(root).as_posix()
    by_name: dict[str, list[str]] = {}
    for file in files:
        by_name.setdefault(file.rpartition("/")[2], []).append(file)
    samples: list[Sample] = []
    problems: list[DataProblem] = []
    rows: dict[int, Mapping[str, Any]] = {}
    counts: dict[str, int] = {}
    for number, row in _rows(path, shown):
        photo_uri, mask_uri, metadata = _attributes(row, shown, number)
        _add_classes(rows, metadata, shown, number)
        image, mask = _local(photo_uri, by_name), _local(mask_uri, by_name)
        problems += _missing("photo_missing", image, photo_uri, shown, number)
        problems += _missing("mask_missing", mask, mask_uri, shown, number)
        name = stem(photo_uri.rpartition("/")[2])
        counts[name] = counts.get(name, 0) + 1
        unique = name if counts[name] == 1 else f"{name}-{counts[name]}"
        samples.append(Sample(unique, "train", image, mask))
    return Manifest(tuple(samples), _names(rows, shown), tuple(problems))


def _rows(path: Path, shown: str) -> list[tuple[int, Mapping[str, Any]]]:
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{shown} cannot be read.", why=reason(error), todo="Copy it again.") from error
    rows: list[tuple[int, Mapping[str, Any]]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            raise _invalid(shown, number, f"It is not JSON: {error}.") from error
        if not isinstance(row, dict) or not isinstance(row.get("source-ref"), str):
            raise _invalid(shown, number, 'It has no "source-ref".')
        rows.append((number, row))
    return rows


def _invalid(shown: str, number: int, why: str) -> InputError:
    return InputError(
        f"Line {number} of {shown} is invalid.",
        why=why,
        todo="Use the output manifest of the labeling job.",
    )


def _attributes(row: Mapping[str, Any], shown: str, number: int) -> tuple[str, str, Mapping[str, Any]]:
    """Return the URI of the image, that of the mask (empty if the labeling failed), and the mask's metadata."""
    refs = [name for name in row if name.endswith("-ref") and name != "source-ref"]
    metadata = {
        name: row.get(f"{name}-metadata") or row.get(f"{name.removesuffix('-ref')}-metadata") or {}
        for name in refs
    }
    invalid = next((name for name in refs if not isinstance(metadata[name], dict)), "")
    if invalid:
        raise _invalid(shown, number, f"The metadata of {invalid} is not a JSON object.")
    segmentation = [name for name in refs if "semantic-segmentation" in str(metadata[name].get("type", ""))]
    if not refs:
        failed = [
            name
            for name in row
            if name.endswith("-metadata") and isinstance(row[name], dict) and "failure-reason" in row[name]
        ]
        if not failed:
            raise _invalid(shown, number, 'No attribute except "source-ref" ends in "-ref".')
        return row["source-ref"], "", {}
    newest = max(
        reversed(segmentation or refs), key=lambda name: str(metadata[name].get("creation-date", ""))
    )
    return row["source-ref"], str(row[newest]), metadata[newest]


def _add_classes(
    rows: dict[int, Mapping[str, Any]], metadata: Mapping[str, Any], shown: str, number: int
) -> None:
    """Add the classes in a line's `internal-color-map`, whose keys are the ids; it may not have every class."""
    color_map = metadata.get("internal-color-map")
    if not isinstance(color_map, dict) or not all(CLASS_ID.fullmatch(key) for key in color_map):
        return
    for key, row in color_map.items():
        if isinstance(row, dict):
            first = rows.setdefault(int(key), row)
            if _described(first) != _described(row):
                why = f"In it, {key} is {_described(row)}; in another line, {_described(first)}."
                raise _invalid(shown, number, why)


def _described(row: Mapping[str, Any]) -> str:
    return f"{row.get('class-name')} in {str(row.get('hex-color')).lower()}"


def _names(rows: Mapping[int, Mapping[str, Any]], shown: str) -> Names:
    """Return the class names and colors, by id."""
    count = max((number for number in rows if number != IGNORE), default=-1) + 1
    if not 1 <= count <= MAX_CLASSES:
        return Names(None)
    names, colors = [f"class {number}" for number in range(count)], list(colors_of(count))
    table: dict[Color, int] = {}
    for number, row in rows.items():
        color = hex_color(str(row.get("hex-color", "")))
        if number < count:
            names[number] = str(row.get("class-name", names[number]))
            colors[number] = color or colors[number]
        if color:
            table[color] = number
    return Names(Classes(tuple(names), tuple(colors)), shown, table, has_colors=bool(table))


def hex_color(text: str) -> Color | None:
    """Return a color such as #ff0000; None for other text."""
    digits = text.removeprefix("#")
    try:
        red, green, blue = bytes.fromhex(digits)
    except ValueError:
        return None
    return red, green, blue


def _local(uri: str, by_name: Mapping[str, Sequence[str]]) -> str:
    """Return the file whose path has the longest common end with the URI; empty where there is none."""
    if uri.rpartition("/")[2] not in by_name:
        uri = uri.replace(":", "_")
    parts = uri.split("/")

    def common(path: str) -> int:
        own = path.split("/")
        return next((n for n in range(min(len(own), len(parts)), 0, -1) if own[-n:] == parts[-n:]), 0)

    return max(by_name.get(parts[-1], ()), key=common, default="")


def _missing(code: str, path: str, uri: str, shown: str, number: int) -> list[DataProblem]:
    if path:
        return []
    if not uri:
        return [problem(code, shown, f"Line {number} has no mask: the labeling of this image failed.")]
    return [
        problem(
            code, shown, f"Line {number} refers to {uri}, which has no local copy.", todo=TODO.format(uri=uri)
        )
    ]
