"""Photos and the masks that say what is right, brought together by the stems of their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from core.datasets.label_map import LabelMap
from core.datasets.masks import UNKNOWN_COLOR, Colors, header, mask_kind, read_ids
from core.datasets.source import VALIDATION, Dataset, Names, Split
from core.errors import ImageError, InputError
from core.imaging.counting import remap
from core.imaging.image import open_mask
from core.inference.batch import IMAGE_SUFFIXES, printable
from core.local_files import read_regular, read_text, reason
from core.text import listing, plural

MASKS = (".png", ".tif", ".tiff", ".bmp", ".gif")
ENDS = ("", "_mask", "_truth", "_label", "_labels", "_gt", "_annotation")
"""What may stand behind a photo's stem in the name of its mask."""

LIST_ENDING = re.compile(rf"({'|'.join(map(re.escape, IMAGE_SUFFIXES))})(?=\s|$)", re.IGNORECASE)
"""Where the name of an image ends in a line of a list; the name may have spaces."""

LIST_MARKS = ("0", "1", "-0", "-1")
"""Pascal VOC's marks behind a name."""


Ids = Callable[[bytes, str], NDArray[np.uint8]]
"""What makes class ids, (H, W) uint8, of a mask's bytes and its name. Raises ImageError."""


@dataclass(frozen=True, slots=True)
class LabeledImage:
    """A photo and its truth. The readers are called in other threads.

    name:        the stem; tells pairs of a set apart.
    photo, mask: the files' names, for a person.
    ids:         what the mask's bytes, with the file's name, hold: (H, W) uint8 class ids, 255 where nothing counts.
    """

    name: str
    photo: str
    mask: str
    read_photo: Callable[[], bytes] = field(repr=False, compare=False)
    read_mask: Callable[[], bytes] = field(repr=False, compare=False)
    ids: Ids = field(default=open_mask, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Given:
    """A file that a person gave. name: the file's. read: gives its bytes."""

    name: str
    read: Callable[[], bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pairing:
    """Which file belongs to which.

    files: stem -> the photo and the mask, in order of the stems.
    notes: sentences on files that have no partner.
    """

    files: Mapping[str, tuple[str, str]]
    notes: tuple[str, ...]


def pair_up(photos: Iterable[str], masks: Iterable[str], only: Sequence[str] | None = None) -> Pairing:
    """Pair names or paths by stem. only: the stems that are wanted, in that order, each of which must be there.

    A photo is no mask of its own: `a.png` in both lists is one pair only where they lie in different folders.

    Raises InputError where no pair is found, two files share a stem, or one that is wanted has no partner.
    """
    by_photo, by_mask = _by_stem(photos, "photos"), _by_stem(masks, "masks")
    partner = {stem: mask for stem in by_photo if (mask := _mask_of(stem, by_mask)) is not None}
    if only is not None:
        return Pairing(_wanted(only, by_photo, partner), ())
    files = {stem: (by_photo[stem], partner[stem]) for stem in sorted(partner)}
    if not files:
        raise InputError(
            f"No photo has a mask: {len(by_photo)} photos and {len(by_mask)} masks were looked at.",
            why="They belong together where their names are the same but for the ending, as a.jpg and a.png.",
            todo="Check the two folders.",
        )
    lonely = sorted(set(by_photo) - set(partner))
    unused = [_stem(path) for path in sorted(set(by_mask.values()) - set(partner.values()))]
    return Pairing(files, (*_unpaired(lonely, "photo", "mask"), *_unpaired(unused, "mask", "photo")))


def pairs_in(
    photos: Path, masks: Path, only: Sequence[str] | None = None, names: Names | None = None
) -> tuple[list[LabeledImage], Pairing]:
    """The pairs of two folders, or of one that holds both; folders in them are left out. Raises InputError."""
    images, ground_truths = _files(photos, IMAGE_SUFFIXES), _files(masks, MASKS)
    if photos.resolve() == masks.resolve():
        ground_truths = [
            path for path in ground_truths if is_mask(Given(path, partial(read_regular, Path(path))))
        ]
        images = [path for path in images if path not in set(ground_truths)]
    pairing = pair_up(images, ground_truths, only)
    return _local(pairing.files, reader(names)), pairing


def names_in_list(text: str) -> list[str]:
    """The stems of a list of Pascal VOC's kind: one a line, perhaps with an ending, a mask or VOC's mark behind."""
    lines = (line.strip() for line in text.splitlines())
    names = [_listed_name(line) for line in lines if line and not line.startswith("#")]
    bare = (
        _stem(name) if name.lower().endswith(IMAGE_SUFFIXES) else normalize("NFC", name) for name in names
    )
    return list(dict.fromkeys(bare))


def _listed_name(line: str) -> str:
    """Return a line up to the first image ending in it, else without VOC's mark behind."""
    ending = LIST_ENDING.search(line, 1)
    if ending:
        return line[: ending.end()]
    name, *mark = line.rsplit(None, 1)
    return name if mark and mark[0] in LIST_MARKS else line


def read_list(path: Path) -> list[str]:
    """The stems in a list's file. Raises InputError where it cannot be read, or names nothing."""
    try:
        names = names_in_list(read_text(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The list {path} cannot be read.", why=reason(error), todo="Give a text file in UTF-8."
        ) from error
    if not names:
        raise InputError(f"The list {path} is empty.", todo="Write one name a line, such as 2007_000032.")
    return names


def pairs_of(
    source: Dataset, splits: Sequence[Split] = (VALIDATION,)
) -> tuple[list[LabeledImage], tuple[str, ...]]:
    """The whole pairs of a data set, their ids by its own names and label maps; and notes. Raises InputError."""
    pairs: list[LabeledImage] = []
    missing = 0
    for split in splits:
        samples = [sample for sample in source.samples if sample.split == split]
        whole = [sample for sample in samples if sample.photo and sample.mask]
        files = {
            chosen.name: (str(source.root / chosen.photo), str(source.root / chosen.mask)) for chosen in whole
        }
        pairs += _local(files, reader(source.names, source.label_maps.get(split)))
        missing += len(samples) - len(whole)
    if not pairs:
        raise InputError(
            f"There is no photo with a mask for {' or '.join(splits)} in {printable(source.called)}.",
            todo="Check the lists and folders of the data set.",
        )
    notes = (f"{plural(missing, 'name')} without a photo or without a mask stay out.",) if missing else ()
    return pairs, notes


def pairs_given(files: Sequence[Given]) -> tuple[list[LabeledImage], tuple[str, ...]]:
    """Files as they were dropped, photos and masks together; and notes. Raises InputError."""
    masks = [file for file in files if is_mask(file)]
    photos = [file for file in files if file not in masks]
    by_name = {file.name: file for file in files}
    pairing = pair_up([file.name for file in photos], [file.name for file in masks])
    pairs = [
        LabeledImage(name, photo, mask, by_name[photo].read, by_name[mask].read)
        for name, (photo, mask) in pairing.files.items()
    ]
    return pairs, pairing.notes


def ground_truth_among(files: Sequence[Given]) -> dict[str, Given]:
    """Photo's name -> its mask, of files among which masks may be: those that share a photo's stem and hold ids."""
    stems = [_bare(_stem(file.name)) for file in files]
    shared = [file for file, stem in zip(files, stems, strict=True) if stems.count(stem) > 1]
    masks = [file for file in shared if is_mask(file)]
    by_stem = {_bare(_stem(mask.name)): mask for mask in masks}
    photos = [file for file in shared if file not in masks]
    return {file.name: by_stem[stem] for file in photos if (stem := _stem(file.name)) in by_stem}


def is_mask(file: Given) -> bool:
    """Whether a file holds class ids: its name ends as a mask's does, or it is grey or indexed and lossless."""
    if not file.name.lower().endswith(MASKS):
        return False
    if _stem(file.name).lower().endswith(ENDS[1:]):
        return True
    try:
        image = header(file.read())
    except Exception:  # noqa: BLE001  # whatever it is, it is no mask; as a photo, it is told why it cannot be read
        return False
    return mask_kind(image) == "ids"


def reader(names: Names | None = None, label_map: LabelMap | None = None) -> Ids:
    """What reads class ids out of a mask. names: which colour is which class, for masks in colour."""
    colors = Colors(tuple(sorted(names.colors.items())), names.painted) if names is not None else Colors()
    table = None if label_map is None else label_map.table()

    def ids(data: bytes, name: str) -> NDArray[np.uint8]:
        labels = open_mask(data, name) if not colors.pairs else read_ids(data, name, colors)
        if colors.pairs and (labels == UNKNOWN_COLOR).any():
            raise ImageError(
                f"{name} has pixels of a colour that no class has.",
                todo="Name every colour in the file of class names; what is called void or ignore does not count.",
            )
        return labels if table is None else remap(labels, table)

    return ids


def _local(files: Mapping[str, tuple[str, str]], ids: Ids) -> list[LabeledImage]:
    return [
        LabeledImage(
            printable(name),
            printable(Path(photo).name),
            printable(Path(mask).name),
            partial(read_regular, Path(photo)),
            partial(read_regular, Path(mask)),
            ids,
        )
        for name, (photo, mask) in files.items()
    ]


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    if not folder.is_dir():
        raise InputError(f"There is no folder {printable(str(folder))}.", todo="Check the path.")
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(
            f"The folder {folder} cannot be read.", why=f"{error.strerror}.", todo="Check its permissions."
        ) from error
    wanted = (path for path in entries if path.suffix.lower() in suffixes and not path.name.startswith("."))
    return [str(path) for path in wanted if not path.is_dir()]


def _by_stem(paths: Iterable[str], kind: str) -> dict[str, str]:
    by_stem: dict[str, str] = {}
    for path in paths:
        stem = _stem(path)
        if stem in by_stem and by_stem[stem] != path:
            raise InputError(
                f"Two {kind} are called {printable(stem)}: {printable(by_stem[stem])} and {printable(path)}.",
                todo="Take one of them away: photos and masks belong together by their names without endings.",
            )
        by_stem[stem] = path
    return by_stem


def _stem(path: str) -> str:
    return normalize(
        "NFC", PurePosixPath(path.replace("\\", "/")).stem
    )  # macOS writes accents in another way


def _bare(stem: str) -> str:
    """Without what a mask's name ends in."""
    return next((stem.removesuffix(end) for end in ENDS[1:] if stem.endswith(end)), stem)


def _mask_of(stem: str, by_mask: Mapping[str, str]) -> str | None:
    return next((by_mask[stem + end] for end in ENDS if stem + end in by_mask), None)


def _wanted(
    only: Sequence[str], by_photo: Mapping[str, str], partner: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    missing = [name for name in only if name not in by_photo]
    bare = [name for name in only if name in by_photo and name not in partner]
    for names, kind in ((missing, "photo"), (bare, "mask")):
        if names:
            raise InputError(
                f"{len(names)} of the {len(only)} names in the list have no {kind}: {_listing(names)}.",
                todo=f"Check the folder of {kind}s and the list.",
            )
    return {name: (by_photo[name], partner[name]) for name in only}


def _unpaired(names: Sequence[str], kind: str, partner: str) -> tuple[str, ...]:
    if not names:
        return ()
    if len(names) == 1:
        return (f"The {kind} {printable(names[0])} has no {partner} and stays out.",)
    return (f"{len(names):,} {kind}s have no {partner} and stay out: {_listing(names)}.",)


def _listing(names: Sequence[str]) -> str:
    return printable(listing(names))
