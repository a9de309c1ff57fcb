"""A folder of cached predictions and scores, so that no image is sent to an endpoint, and billed, twice.

evaluation.jsonl    a header line, then a line for each image and endpoint (JSON Lines, https://jsonlines.org)
in_flight/KEY       an empty file while the endpoint is being invoked
predicted/KEY.png   the predicted mask, at the image's own size
report.html, ...    see `core.evaluation.report`

Lines are only appended. An incomplete line, as a crash leaves it, is skipped, and its image is evaluated again. Files
left in `in_flight` are invocations during which the program was killed: AWS may have billed them, and they are
repeated.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.escaping import json_bytes
from core.evaluation.calibration import BINS, ConfidenceCounts
from core.imaging.classes import IGNORE, Classes
from core.imaging.contours import ContourCounts
from core.imaging.image import open_mask
from core.imaging.scores import ConfusionMatrix, Triple
from core.imaging.suspects import Suspect
from core.inference.export import write_new
from core.local_files import PRIVATE_FILE, private_folder, private_opener, read_regular
from core.render.masks import mask_png
from core.strict_json import parse_json

LINES = "evaluation.jsonl"
PREDICTED = "predicted"
IN_FLIGHT = "in_flight"
KEY = re.compile(r"[0-9a-f]{32}")
"""A cache key, see `core.evaluation.run.key_of`; it is part of a path."""

MOST = 1 << 40
"""Limit for pixel counts and seconds in a line."""

HEAD = {"segdeck": "evaluation", "version": 1}


_under_way: set[str] = set()
"""Keys of the invocations in progress in this process, for all stores."""

FILES: Mapping[str, str] = {
    "suspects.csv": "text/csv",
    "scores.csv": "text/csv",
    "classes.csv": "text/csv",
    "images.csv": "text/csv",
    "confusion.csv": "text/csv",
    "report.json": "application/json",
    "report.html": "text/html",
}
"""Report file -> its content type."""


@dataclass(frozen=True, slots=True)
class ImageScore:
    """The pixel counts of one image at one endpoint.

    key:           cache key: identifies image, ground truth, endpoint and options.
    name:          name of the pair.
    image, mask:   names of its files.
    width, height: of the image, in pixels.
    pixels, band:  see `core.imaging.scores.ConfusionMatrixMatrix.triples`: of all pixels, and of those in the trimap.
    ignored:       pixels whose ground truth is 255.
    seconds:       duration of the invocation.
    problems:      sentences on how the image was decoded, and about invalid values in the response.
    contours:      for boundary IoU and boundary F1; None in a score from before they were computed.
    confidences:   see `core.evaluation.calibration`; None if labels only were requested.
    suspects:      regions that contradict the label, see `core.imaging.suspects`; None if labels only were requested.
    """

    key: str
    endpoint: str
    name: str
    image: str
    mask: str
    width: int
    height: int
    pixels: tuple[Triple, ...]
    band: tuple[Triple, ...]
    ignored: int
    seconds: float
    problems: tuple[str, ...] = ()
    contours: tuple[ContourCounts, ...] | None = None
    confidences: tuple[ConfidenceCounts, ...] | None = None
    suspects: tuple[Suspect, ...] | None = None

    def confusion(self, classes: int) -> ConfusionMatrix:
        """Return the confusion matrix of all pixels. Raises InputError for a ground truth class beyond them."""
        return ConfusionMatrix.from_triples(self.pixels, classes, self.ignored)

    def band_confusion(self, classes: int) -> ConfusionMatrix:
        """Return the confusion matrix of the pixels in the trimap."""
        return ConfusionMatrix.from_triples(self.band, classes)

    @property
    def highest(self) -> int:
        """Return the highest class id, except 255; -1 where no pixel is counted."""
        return max((max(actual, -1 if to == 255 else to) for actual, to, _ in self.pixels), default=-1)

    def to_row(self) -> dict[str, Any]:
        """Return the line for the file, in which some keys differ from the fields."""
        row = asdict(self)
        row["photo"] = row.pop("image")
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> ImageScore:
        """Read a line of the file. Raises KeyError, TypeError, ValueError for one that `to_row` did not make."""
        triples = {name: tuple(_triple(values) for values in row[name]) for name in ("pixels", "band")}
        values = {**row, **triples, "image": row["photo"], "problems": tuple(row["problems"])}
        del values["photo"]
        if row.get("contours") is not None:
            values["contours"] = tuple(_contour_counts(counts) for counts in row["contours"])
        if row.get("confidences") is not None:
            values["confidences"] = tuple(_confidence_counts(counts) for counts in row["confidences"])
        if row.get("suspects") is not None:
            values["suspects"] = tuple(_suspect(region) for region in row["suspects"])
        score = cls(**values)
        texts = (score.endpoint, score.name, score.image, score.mask, *score.problems)
        numbers = (score.width, score.height, score.ignored)
        if (
            not (isinstance(score.key, str) and KEY.fullmatch(score.key))
            or not all(isinstance(text, str) for text in texts)
            or not all(type(number) is int and 0 <= number < MOST for number in numbers)
            or not isinstance(score.seconds, int | float)
            or not 0 <= score.seconds < MOST
        ):
            raise ValueError("a value has another type than an evaluation writes")
        return score


class PredictedMasks(Protocol):
    """Predicted masks by cache key: a `PredictionStore`, or those of a stored run."""

    def predicted(self, key: str) -> NDArray[np.uint8]:
        """Return the predicted mask, (H, W) uint8 class ids. Raises InputError where it no longer exists."""


class PredictionStore:
    """A folder of cached predictions. Its methods are thread-safe."""

    def __init__(self, folder: Path, *, private: bool = False) -> None:
        """Open or create the folder.

        private: its files can be read only by this user; else permissions follow the umask.

        The attribute `interrupted` has the keys of invocations during which an earlier run was killed.

        Raises InputError where the folder cannot be used, or has files of the same names from another program.
        """
        self.folder = folder
        self._private = private
        self._path = folder / LINES
        self._lock = Lock()
        try:
            resumed = self._path.exists()
            if not resumed:
                self._check_free()
            self._make_folder(folder / PREDICTED)
            self._make_folder(folder / IN_FLIGHT)
            self._scores = self._read() if resumed else {}
            left = {path.name for path in (folder / IN_FLIGHT).iterdir()}
            self.interrupted = frozenset(left - self._scores.keys() - _under_way)
            self._append()
        except OSError as error:
            raise InputError(
                f"The folder {folder} cannot be used.",
                why=f"{error.strerror or error}.",
                todo="Choose a folder with write permission and enough free space.",
            ) from error

    def __len__(self) -> int:
        return len(self._scores)

    def get(self, key: str) -> ImageScore | None:
        """Return the cached score; None where it, or its mask, does not exist."""
        score = self._scores.get(key)
        return score if score is not None and self._mask(key).exists() else None

    def add(self, score: ImageScore, predicted: NDArray[np.uint8], classes: Classes) -> None:
        """Write the mask, then the line, so that there is never a line without its mask."""
        data = mask_png(predicted, classes.table())
        with self._lock:
            self._make_folder(self.folder / PREDICTED)  # `clear` may have removed it
        write_new(self._mask(score.key), data, overwrite=True, private=self._private)
        with self._lock:
            self._append(score.to_row())
            self._scores[score.key] = score
            self._end(score.key)

    def update(self, score: ImageScore) -> None:
        """Replace a cached score, whose mask stays."""
        with self._lock:
            self._append(score.to_row())
            self._scores[score.key] = score

    def begin(self, key: str) -> None:
        """Record that an invocation starts: if the program is killed before `add` or `give_up`, it may be billed."""
        with self._lock:
            _under_way.add(key)
            self._make_folder(self.folder / IN_FLIGHT)
            (self.folder / IN_FLIGHT / key).touch(mode=PRIVATE_FILE if self._private else 0o666)

    def give_up(self, key: str) -> None:
        """Record that the invocation has failed."""
        with self._lock:
            self._end(key)

    def predicted(self, key: str) -> NDArray[np.uint8]:
        """Return the predicted mask, (H, W) uint8 class ids. Raises InputError where it no longer exists."""
        path = self._mask(key)
        try:
            return open_mask(read_regular(path), path.name)
        except OSError as error:
            raise InputError(
                f"The predicted mask {path} no longer exists.", todo="Evaluate again."
            ) from error

    def clear(self) -> None:
        """Remove all cached predictions: the next evaluation invokes the endpoint again. Raises InputError."""
        with self._lock:
            self._scores.clear()
            try:
                for name in (PREDICTED, IN_FLIGHT):
                    if (self.folder / name).exists():
                        shutil.rmtree(self.folder / name)
                self._path.unlink(missing_ok=True)
            except OSError as error:
                raise InputError(
                    f"The cached predictions in {self.folder} cannot be removed.",
                    why=f"{error.strerror or error}.",
                    todo="Delete the folder yourself.",
                ) from error

    def _end(self, key: str) -> None:
        _under_way.discard(key)
        (self.folder / IN_FLIGHT / key).unlink(missing_ok=True)

    def _make_folder(self, folder: Path) -> None:
        if self._private:
            private_folder(folder)
        else:
            folder.mkdir(parents=True, exist_ok=True)

    def _check_free(self) -> None:
        for name in (PREDICTED, *FILES):
            if (self.folder / name).exists():
                raise InputError(
                    f"{self.folder / name} already exists and is not from an evaluation.",
                    why="Existing files are not overwritten.",
                    todo="Choose another folder for the results.",
                )

    def _mask(self, key: str) -> Path:
        return self.folder / PREDICTED / f"{key}.png"

    def _read(self) -> dict[str, ImageScore]:
        lines = read_regular(self._path).split(b"\n")
        if _parsed(lines[0]) != HEAD:
            raise InputError(
                f"{self._path} was not written by an evaluation of this version.",
                todo="Choose another folder for the results.",
            )
        if lines[-1]:  # a crash left an incomplete line; the next one must start on its own line
            with self._path.open("ab") as stream:
                stream.write(b"\n")
        scores = {}
        for line in lines[1:]:
            row = _parsed(line)
            if row is None:
                continue
            try:
                score = ImageScore.from_row(row)
            except (KeyError, TypeError, ValueError):
                continue
            scores[score.key] = score
        return scores

    def _append(self, *rows: Mapping[str, Any]) -> None:
        with open(self._path, "ab", opener=private_opener if self._private else None) as stream:
            for row in rows if stream.tell() else (HEAD, *rows):
                stream.write(json_bytes(row, indent=None) + b"\n")


def _triple(values: Any) -> Triple:
    """Return the actual class, the predicted class and the pixels. Raises TypeError, ValueError."""
    actual, predicted, pixels = values
    if not all(type(number) is int for number in (actual, predicted, pixels)):
        raise TypeError("a count is not an integer")
    if not (0 <= actual < IGNORE and 0 <= predicted <= IGNORE and 0 <= pixels < MOST):
        raise ValueError("a class id or a count is out of range")
    return actual, predicted, pixels


def _contour_counts(values: Any) -> ContourCounts:
    """Return the counts of a class. Raises TypeError, ValueError."""
    counts = ContourCounts(*values)
    if not all(type(number) is int for number in counts):
        raise TypeError("a count is not an integer")
    if not (0 <= counts.class_id < IGNORE and all(0 <= number < MOST for number in counts)):
        raise ValueError("a class id or a count is out of range")
    return counts


def _confidence_counts(values: Any) -> ConfidenceCounts:
    """Return the counts of a class in a bin of confidence. Raises TypeError, ValueError."""
    counts = ConfidenceCounts(*values)
    if not all(type(number) is int for number in counts[:-1]) or not isinstance(
        counts.confidence, int | float
    ):
        raise TypeError("a count is not a number")
    if not (0 <= counts.class_id <= IGNORE and 0 <= counts.bin < BINS):
        raise ValueError("a class id or a bin is out of range")
    if not all(0 <= number < MOST for number in counts[2:]):
        raise ValueError("a count is out of range")
    return counts


def _suspect(values: Any) -> Suspect:
    """Return a suspect region. Raises TypeError, ValueError."""
    region = Suspect(*values)
    if not all(type(number) is int for number in region[:-1]) or not isinstance(
        region.confidence, int | float
    ):
        raise TypeError("a value of a region is not a number")
    if not (0 <= region.labeled < IGNORE and 0 <= region.predicted <= IGNORE):
        raise ValueError("a class id is out of range")
    if not all(0 <= number < MOST for number in region):
        raise ValueError("a value of a region is out of range")
    return region


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return the line as a JSON object; None for anything else, such as an incomplete line."""
    try:
        row = parse_json(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
