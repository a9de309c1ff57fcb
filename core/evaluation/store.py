"""What endpoints answered to photos with a truth, kept in a folder: nothing is asked, or billed, twice.

evaluation.jsonl    a line about the file, then a line for each photo and endpoint
in_flight/KEY       an empty file while the endpoint is called
predicted/KEY.png   the mask that was predicted, at the photo's own size
report.html, ...    see `core.evaluation.report`

Lines are only ever added. One that was cut by the machine's end is passed over, and its photo is asked again. What is
left in `in_flight` was under way when the program was killed: AWS may have billed it, and it is asked again too.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.escaping import json_bytes
from core.imaging.classes import IGNORE, Classes
from core.imaging.image import open_mask
from core.imaging.scores import Confusion, Triple
from core.inference.export import write_new
from core.local_files import PRIVATE_FILE, private_folder, private_opener, read_regular
from core.render.masks import mask_png
from core.strict_json import parse_json

LINES = "evaluation.jsonl"
PREDICTED = "predicted"
IN_FLIGHT = "in_flight"
KEY = re.compile(r"[0-9a-f]{32}")
"""See `core.evaluation.run.key_of`; it is part of a path."""

MOST = 1 << 40
"""No count of pixels, and no number of seconds, is as high."""

HEAD = {"segdeck": "evaluation", "version": 1}


_under_way: set[str] = set()
"""Keys whose endpoint this very process is calling, of all stores."""

FILES: Mapping[str, str] = {
    "classes.csv": "text/csv",
    "images.csv": "text/csv",
    "confusion.csv": "text/csv",
    "report.json": "application/json",
    "report.html": "text/html",
}
"""What an evaluation leaves behind for people and programs -> its content type."""


@dataclass(frozen=True, slots=True)
class ImageScore:
    """One photo at one endpoint, counted.

    key:           tells photo, truth, endpoint and options from all others.
    name:          of the pair; photo, mask: names of its files.
    width, height: of the photo, in pixels.
    pixels, band:  see `core.imaging.scores.Confusion.triples`: of all pixels, and of those near a border.
    ignored:       pixels whose truth is 255.
    seconds:       that the endpoint took.
    problems:      sentences on what was odd about the answer.
    """

    key: str
    endpoint: str
    name: str
    photo: str
    mask: str
    width: int
    height: int
    pixels: tuple[Triple, ...]
    band: tuple[Triple, ...]
    ignored: int
    seconds: float
    problems: tuple[str, ...] = ()

    def confusion(self, classes: int) -> Confusion:
        """Of all pixels. Raises InputError where the truth holds more classes than there are."""
        return Confusion.from_triples(self.pixels, classes, self.ignored)

    def band_confusion(self, classes: int) -> Confusion:
        """Of the pixels near a border."""
        return Confusion.from_triples(self.band, classes)

    @property
    def highest(self) -> int:
        """The highest class id in it, 255 aside; -1 where nothing was counted."""
        return max((max(actual, -1 if to == 255 else to) for actual, to, _ in self.pixels), default=-1)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> ImageScore:
        """Read a line of the file. Raises KeyError, TypeError, ValueError for one that `asdict` did not make."""
        triples = {name: tuple(_triple(values) for values in row[name]) for name in ("pixels", "band")}
        score = cls(**{**row, **triples, "problems": tuple(row["problems"])})
        texts = (score.endpoint, score.name, score.photo, score.mask, *score.problems)
        numbers = (score.width, score.height, score.ignored)
        if (
            not (isinstance(score.key, str) and KEY.fullmatch(score.key))
            or not all(isinstance(text, str) for text in texts)
            or not all(type(number) is int and 0 <= number < MOST for number in numbers)
            or not isinstance(score.seconds, int | float)
            or not 0 <= score.seconds < MOST
        ):
            raise ValueError("a value in it has another kind than an evaluation writes")
        return score


class PredictionStore:
    """The folder. Its methods may be called from any thread."""

    def __init__(self, folder: Path, *, private: bool = False) -> None:
        """Open the folder. private: what is made in it is for this user alone; else as the umask has it.

        `interrupted` are the keys whose calls were in flight when an earlier run was killed.

        Raises InputError where the folder cannot be used, or holds files of these names that are none of ours."""
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
            self._found = self._read() if resumed else {}
            left = {path.name for path in (folder / IN_FLIGHT).iterdir()}
            self.interrupted = frozenset(left - self._found.keys() - _under_way)
            self._append()
        except OSError as error:
            raise InputError(
                f"The folder {folder} cannot be used.",
                why=f"{error.strerror or error}.",
                todo="Choose a folder that you may write to and that has room.",
            ) from error

    def __len__(self) -> int:
        return len(self._found)

    def get(self, key: str) -> ImageScore | None:
        """What was counted before; None where that, or its mask, is not there."""
        score = self._found.get(key)
        return score if score is not None and self._mask(key).exists() else None

    def add(self, score: ImageScore, predicted: NDArray[np.uint8], classes: Classes) -> None:
        """Keep the mask, then the line: a line without its mask is never there."""
        data = mask_png(predicted, classes.table())
        with self._lock:
            self._make_folder(self.folder / PREDICTED)  # somebody may have forgotten all meanwhile
        write_new(self._mask(score.key), data, overwrite=True, private=self._private)
        with self._lock:
            self._append(asdict(score))
            self._found[score.key] = score
            self._end(score.key)

    def begin(self, key: str) -> None:
        """Note that the endpoint is called now: killed before `add` or `give_up`, it may have been billed."""
        with self._lock:
            _under_way.add(key)
            self._make_folder(self.folder / IN_FLIGHT)
            (self.folder / IN_FLIGHT / key).touch(mode=PRIVATE_FILE if self._private else 0o666)

    def give_up(self, key: str) -> None:
        """Note that the call has failed."""
        with self._lock:
            self._end(key)

    def predicted(self, key: str) -> NDArray[np.uint8]:
        """The mask, (H, W) uint8. Raises InputError where it is gone."""
        path = self._mask(key)
        try:
            return open_mask(read_regular(path), path.name)
        except OSError as error:
            raise InputError(f"The mask {path} is gone.", todo="Evaluate again.") from error

    def forget(self) -> None:
        """Remove every answer: the next evaluation asks for each again. Raises InputError where that fails."""
        with self._lock:
            self._found.clear()
            try:
                for name in (PREDICTED, IN_FLIGHT):
                    if (self.folder / name).exists():
                        shutil.rmtree(self.folder / name)
                self._path.unlink(missing_ok=True)
            except OSError as error:
                raise InputError(
                    f"The answers in {self.folder} cannot be removed.",
                    why=f"{error.strerror or error}.",
                    todo="Remove the folder by hand.",
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
                    f"{self.folder / name} exists already, and no evaluation wrote it.",
                    why="Nothing is overwritten unasked.",
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
        if lines[-1]:  # the machine ended within a line; the next one must not hang on it
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
    """Return the class in the ground truth, the predicted class and the pixels. Raises TypeError, ValueError."""
    actual, predicted, pixels = values
    if not all(type(number) is int for number in (actual, predicted, pixels)):
        raise TypeError("a count is not a whole number")
    if not (0 <= actual < IGNORE and 0 <= predicted <= IGNORE and 0 <= pixels < MOST):
        raise ValueError("a class id or a count is out of range")
    return actual, predicted, pixels


def _parsed(line: bytes) -> dict[str, Any] | None:
    """None for what is no line of ours, such as the half of one."""
    try:
        row = parse_json(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
