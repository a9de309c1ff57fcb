"""Pair images with their ground truth masks by file name, without suffix."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
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
from core.imaging.suffixes import IMAGE_SUFFIXES, LOSSLESS_MASK_SUFFIXES
from core.inference.batch import printable
from core.local_files import read_regular, read_text, reason
from core.text import listing, plural

MASK_NAME_ENDINGS = ("", "_mask", "_truth", "_label", "_labels", "_gt", "_annotation")
"""What the name of a mask may have after that of its image."""

LIST_ENDING = re.compile(rf"({'|'.join(map(re.escape, IMAGE_SUFFIXES))})(?=\s|$)", re.IGNORECASE)
"""The end of an image's file name in a line of a list; the name may contain spaces."""

LIST_MARKS = ("0", "1", "-0", "-1")
"""Pascal VOC's marks after a name (VOC2012 development kit, image sets: 1 present, -1 absent, 0 difficult)."""


Ids = Callable[[bytes, str], NDArray[np.uint8]]
"""Decodes class ids, (H, W) uint8, from a mask file's content and name. Raises ImageError."""


@dataclass(frozen=True, slots=True)
class LabeledImage:
    """An image and its ground truth mask. The readers are called in other threads.

    name:        the file name without suffix; unique in a dataset.
    image, mask: the file names, for messages.
    ids:         decodes the mask file: (H, W) uint8 class ids, 255 where pixels are ignored.
    """

    name: str
    image: str
    mask: str
    read_image: Callable[[], bytes] = field(repr=False, compare=False)
    read_mask: Callable[[], bytes] = field(repr=False, compare=False)
    ids: Ids = field(default=open_mask, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that the user provided. name: its file name. read: returns its content."""

    name: str
    read: Callable[[], bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pairing:
    """Images and masks that belong together.

    files: name -> image file and mask file, in order of the names.
    notes: sentences about files without a partner.
    """

    files: Mapping[str, tuple[str, str]]
    notes: tuple[str, ...]


def pair_up(images: Iterable[str], masks: Iterable[str], only: Sequence[str] | None = None) -> Pairing:
    """Pair file names or paths by their name without suffix.

    only: the names to pair, in that order; each of them must exist.

    An image is not its own mask: `a.png` in both lists is a pair only if they are in different folders.

    Raises InputError where nothing can be paired, two files have the same name, or a name in `only` has no partner.
    """
    by_image, by_mask = _by_stem(images, "images"), _by_stem(masks, "masks")
    partner = {stem: mask for stem in by_image if (mask := _mask_of(stem, by_mask)) is not None}
    if only is not None:
        return Pairing(_listed_pairs(only, by_image, partner), ())
    files = {stem: (by_image[stem], partner[stem]) for stem in sorted(partner)}
    if not files:
        raise InputError(
            f"No image has a mask: {len(by_image)} images and {len(by_mask)} masks were checked.",
            why="An image and its mask need the same name except for the suffix, such as a.jpg and a.png.",
            todo="Check the two folders.",
        )
    unmasked = sorted(set(by_image) - set(partner))
    unused = [_stem(path) for path in sorted(set(by_mask.values()) - set(partner.values()))]
    return Pairing(files, (*_unpaired(unmasked, "image", "mask"), *_unpaired(unused, "mask", "image")))


def pairs_in(
    image_folder: Path, mask_folder: Path, only: Sequence[str] | None = None, names: Names | None = None
) -> tuple[list[LabeledImage], Pairing]:
    """Return the pairs of two folders, or of one that holds both, and notes on what is skipped. Raises InputError."""
    images, ground_truths = _files(image_folder, IMAGE_SUFFIXES), _files(mask_folder, LOSSLESS_MASK_SUFFIXES)
    if image_folder.resolve() == mask_folder.resolve():
        ground_truths = [
            path for path in ground_truths if is_mask(InputFile(path, partial(read_regular, Path(path))))
        ]
        images = [path for path in images if path not in set(ground_truths)]
    pairing = pair_up(images, ground_truths, only)
    skipped = _skipped({image_folder, mask_folder}, {*images, *ground_truths})
    return _local(pairing.files, reader(names)), replace(pairing, notes=(*pairing.notes, *skipped))


def names_in_list(text: str) -> list[str]:
    """Return the names in a list like Pascal VOC's: one per line, optionally with a suffix, a mask or VOC's mark."""
    lines = (line.strip() for line in text.splitlines())
    names = [_listed_name(line) for line in lines if line and not line.startswith("#")]
    stems = (
        _stem(name) if name.lower().endswith(IMAGE_SUFFIXES) else normalize("NFC", name) for name in names
    )
    return list(dict.fromkeys(stems))


def _listed_name(line: str) -> str:
    """Return a line up to the first image suffix in it, else without VOC's mark at its end."""
    ending = LIST_ENDING.search(line, 1)
    if ending:
        return line[: ending.end()]
    name, *mark = line.rsplit(None, 1)
    return name if mark and mark[0] in LIST_MARKS else line


def read_list(path: Path) -> list[str]:
    """Return the names in a list file. Raises InputError where it cannot be read or is empty."""
    try:
        names = names_in_list(read_text(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The list {path} cannot be read.", why=reason(error), todo="Use a text file in UTF-8."
        ) from error
    if not names:
        raise InputError(f"The list {path} is empty.", todo="Write one name per line, such as 2007_000032.")
    return names


def pairs_of(
    source: Dataset, splits: Sequence[Split] = (VALIDATION,)
) -> tuple[list[LabeledImage], tuple[str, ...]]:
    """Return the complete pairs of a dataset, decoded by its class names and label maps, and notes.

    Raises InputError where there is none.
    """
    pairs: list[LabeledImage] = []
    missing = 0
    for split in splits:
        samples = [sample for sample in source.samples if sample.split == split]
        complete = [sample for sample in samples if sample.image and sample.mask]
        files = {
            sample.name: (str(source.root / sample.image), str(source.root / sample.mask))
            for sample in complete
        }
        pairs += _local(files, reader(source.names, source.label_maps.get(split)))
        missing += len(samples) - len(complete)
    if not pairs:
        raise InputError(
            f"No image for {' or '.join(splits)} has a mask in {printable(source.called)}.",
            todo="Check the lists and folders of the dataset.",
        )
    notes = (f"Skipped {plural(missing, 'name')} without an image or without a mask.",) if missing else ()
    return pairs, (*source.names.notes, *notes)


def pairs_from_files(files: Sequence[InputFile]) -> tuple[list[LabeledImage], tuple[str, ...]]:
    """Return the pairs among uploaded files, images and masks together, and notes. Raises InputError."""
    masks = [file for file in files if is_mask(file)]
    images = [file for file in files if file not in masks]
    by_name = {file.name: file for file in files}
    pairing = pair_up([file.name for file in images], [file.name for file in masks])
    pairs = [
        LabeledImage(name, image, mask, by_name[image].read, by_name[mask].read)
        for name, (image, mask) in pairing.files.items()
    ]
    return pairs, pairing.notes


def ground_truth_files(files: Sequence[InputFile]) -> dict[str, InputFile]:
    """Return image file name -> its mask, among uploaded files: the masks have the name of an image and class ids."""
    stems = [_without_ending(_stem(file.name)) for file in files]
    shared = [file for file, stem in zip(files, stems, strict=True) if stems.count(stem) > 1]
    masks = [file for file in shared if is_mask(file)]
    by_stem = {_without_ending(_stem(mask.name)): mask for mask in masks}
    images = [file for file in shared if file not in masks]
    return {file.name: by_stem[stem] for file in images if (stem := _stem(file.name)) in by_stem}


def is_mask(file: InputFile) -> bool:
    """Return whether a file holds class ids: it has a mask's name, or is lossless and grayscale or indexed."""
    if not file.name.lower().endswith(LOSSLESS_MASK_SUFFIXES):
        return False
    if _stem(file.name).lower().endswith(MASK_NAME_ENDINGS[1:]):
        return True
    try:
        image = header(file.read())
    except Exception:  # noqa: BLE001  # it is not a mask; opening it as an image reports why it cannot be read
        return False
    return mask_kind(image) == "ids"


def reader(names: Names | None = None, label_map: LabelMap | None = None) -> Ids:
    """Return the decoder of masks. names: the colors of the classes, for color masks."""
    colors = Colors(tuple(sorted(names.colors.items())), names.has_colors) if names is not None else Colors()
    table = None if label_map is None else label_map.table()

    def ids(data: bytes, name: str) -> NDArray[np.uint8]:
        labels = open_mask(data, name) if not colors.pairs else read_ids(data, name, colors)
        if colors.pairs and (labels == UNKNOWN_COLOR).any():
            raise ImageError(
                f"{name} has pixels of a color that no class has.",
                todo="Add every color to the class names file; void and ignore are for pixels to ignore.",
            )
        return labels if table is None else remap(labels, table)

    return ids


def _local(files: Mapping[str, tuple[str, str]], ids: Ids) -> list[LabeledImage]:
    return [
        LabeledImage(
            printable(name),
            printable(Path(image).name),
            printable(Path(mask).name),
            partial(read_regular, Path(image)),
            partial(read_regular, Path(mask)),
            ids,
        )
        for name, (image, mask) in files.items()
    ]


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    if not folder.is_dir():
        raise InputError(f"The folder {printable(str(folder))} does not exist.", todo="Check the path.")
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(
            f"The folder {folder} cannot be read.", why=f"{error.strerror}.", todo="Check its permissions."
        ) from error
    wanted = (path for path in entries if path.suffix.lower() in suffixes and not path.name.startswith("."))
    return [str(path) for path in wanted if not path.is_dir()]


def _skipped(folders: Iterable[Path], read: Set[str]) -> tuple[str, ...]:
    """Return a note on the entries of the folders that are not read, if there are any; `read` are paths that are."""
    names = [
        f"{printable(entry.name)}{'/' if entry.is_dir() else ''}"
        for folder in sorted(folders)
        for entry in sorted(folder.iterdir())
        if str(entry) not in read and not entry.name.startswith(".") and entry not in folders
    ]
    if not names:
        return ()
    return (f"Skipped subfolders, and files that are not images or masks: {listing(names)}.",)


def _by_stem(paths: Iterable[str], kind: str) -> dict[str, str]:
    by_stem: dict[str, str] = {}
    for path in paths:
        stem = _stem(path)
        if stem in by_stem and by_stem[stem] != path:
            raise InputError(
                f"Two {kind} are named {printable(stem)}: {printable(by_stem[stem])} and {printable(path)}.",
                todo="Remove or rename one of them: images and masks are paired by their names without suffix.",
            )
        by_stem[stem] = path
    return by_stem


def _stem(path: str) -> str:
    return normalize(
        "NFC", PurePosixPath(path.replace("\\", "/")).stem
    )  # macOS decomposes accented characters


def _without_ending(stem: str) -> str:
    """Return a name without the ending of a mask's name."""
    return next((stem.removesuffix(end) for end in MASK_NAME_ENDINGS[1:] if stem.endswith(end)), stem)


def _mask_of(stem: str, by_mask: Mapping[str, str]) -> str | None:
    return next((by_mask[stem + end] for end in MASK_NAME_ENDINGS if stem + end in by_mask), None)


def _listed_pairs(
    only: Sequence[str], by_image: Mapping[str, str], partner: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    missing = [name for name in only if name not in by_image]
    unmasked = [name for name in only if name in by_image and name not in partner]
    for names, kind in ((missing, "image"), (unmasked, "mask")):
        if names:
            raise InputError(
                f"{len(names)} of the {len(only)} names in the list have no {kind}: {_listing(names)}.",
                todo=f"Check the folder of {kind}s and the list.",
            )
    return {name: (by_image[name], partner[name]) for name in only}


def _unpaired(names: Sequence[str], kind: str, partner: str) -> tuple[str, ...]:
    if not names:
        return ()
    if len(names) == 1:
        return (f"Skipped the {kind} {printable(names[0])}: it has no {partner}.",)
    return (f"Skipped {len(names):,} {kind}s without {partner}s: {_listing(names)}.",)


def _listing(names: Sequence[str]) -> str:
    return printable(listing(names))
