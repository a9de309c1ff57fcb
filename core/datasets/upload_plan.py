"""Plan an upload to S3: a dataset, each image and mask into its channel with the class names, or a folder of images.

A plan contains an order as a few values; its files are listed again from the folder, and must still have the same
number and size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.datasets.readers import read_dataset
from core.datasets.source import CLASSES_FILE, Dataset, Splitting
from core.errors import InputError
from core.imaging.suffixes import JPEG_SUFFIXES
from core.local_files import read_regular, reason
from core.s3_uri import split_prefix
from core.text import listing
from core.training.channels import data_channels

if TYPE_CHECKING:
    from core.datasets.report import LayoutReport  # it imports Pillow, which a plan does not need

IMAGE_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
MASK_TYPES = {".png": "image/png"}
JSON_TYPE = "application/json"
MOST_BYTES = 5_000_000_000
"""About the limit of one PutObject call, 5 GB (Amazon S3 User Guide, "Uploading objects")."""


@dataclass(frozen=True, slots=True)
class Item:
    """One object to upload. path: its file; None where the content is `text`. size: bytes."""

    key: str
    content_type: str
    path: Path | None
    size: int
    text: str = ""

    def read(self) -> bytes:
        """Return the content. Raises InputError where the file no longer exists or has another size now."""
        if self.path is None:
            return self.text.encode()
        try:
            data = read_regular(self.path)
        except OSError as error:
            raise InputError(f"{self.path} cannot be read.", why=reason(error)) from error
        if len(data) != self.size:
            raise _changed(str(self.path))
        return data


@dataclass(frozen=True, slots=True)
class UploadOrder:
    """A dataset, or a folder of images, to upload.

    folder:           the dataset's root; called: its name for messages, see `core.datasets.source.Dataset`.
    bucket, prefix:   the destination; the prefix ends in `/` or is empty.
    validation, seed: how a dataset without lists is split, see `core.datasets.source.Splitting`.
    classes:          the content of classes.json; empty: it is not uploaded.
    files, size:      number of objects, and their bytes in total.
    overwrite:        whether objects with other content may be replaced.
    images:           whether it is a folder of images, uploaded with its subfolders; the others are then unused.
    choices:          which masks of the folder are used, where there are several.
    """

    folder: str
    bucket: str
    prefix: str
    validation: float
    seed: int
    classes: str
    files: int
    size: int
    overwrite: bool
    called: str = ""
    images: bool = False
    choices: tuple[str, ...] = ()

    @property
    def uri(self) -> str:
        """Return the S3 prefix as a URI."""
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def channels(self) -> dict[str, str]:
        """Return channel -> URI, as `jobs launch` and the launch page take them."""
        return {channel.name: channel.uri for channel in data_channels(self.uri)}

    def to_params(self) -> dict[str, Any]:
        """Return the values for a plan."""
        return asdict(self)

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> UploadOrder:
        """Return the order in a plan."""
        return cls(**{**params, "choices": tuple(params.get("choices", ()))})


def order_upload(
    source: Dataset, report: LayoutReport, uri: str, *, splitting: Splitting, overwrite: bool = False
) -> UploadOrder:
    """Order the upload of a dataset. Raises InputError for an invalid URI, and for a dataset with errors."""
    bucket, prefix = parse_prefix(uri)
    errors = [each for each in report.problems if each.is_error]
    if errors:
        raise InputError(
            f"{source.called} was not uploaded: training would fail with it.",
            why=f"{len(errors):,} errors, the first: {errors[0].path}: {errors[0].message}",
            todo="Convert it first, which fixes what can be fixed automatically."
            if any(each.fixable for each in errors)
            else errors[0].todo,
        )
    if source.label_maps:
        raise InputError(
            f"{source.called} was not uploaded: its masks need a label map.",
            why="Segdeck does not pass label maps to training jobs.",
            todo="Convert it first, which applies the label map to the masks.",
        )
    classes = report.classes.to_json() if report.classes else ""
    planned = _items(source, classes, prefix)
    size = sum(each.size for each in planned)
    return UploadOrder(
        str(source.root.resolve()),
        bucket,
        prefix,
        splitting.validation,
        splitting.seed,
        classes,
        len(planned),
        size,
        overwrite,
        source.called,
        choices=source.choices,
    )


def order_images(folder: Path, uri: str, *, overwrite: bool = False) -> tuple[UploadOrder, tuple[str, ...]]:
    """Order the upload of a folder's JPEG images, subfolders included; return also the names of what is left out.

    Raises InputError for an invalid URI, and where there are no images.
    """
    bucket, prefix = parse_prefix(uri)
    planned, left_out = _image_items(folder, prefix)
    if not planned:
        raise InputError(
            f"There are no JPEG images in {folder}.",
            why="Batch transform sends the files as they are, and the algorithm reads JPEG only.",
            todo="Choose another folder, or convert the images first.",
        )
    size = sum(item.size for item in planned)
    order = UploadOrder(
        str(folder.resolve()),
        bucket,
        prefix,
        0,
        0,
        "",
        len(planned),
        size,
        overwrite,
        str(folder),
        images=True,
    )
    return order, left_out


def warnings_of(report: LayoutReport) -> tuple[str, ...]:
    """Return a sentence for each kind of warning, with its first file, to show before confirmation."""
    first: dict[str, str] = {}
    for each in report.problems:
        if each.severity == "warning":
            first.setdefault(each.code, str(each))
    return tuple(first.values())


def items(order: UploadOrder) -> tuple[Item, ...]:
    """Return the objects of an order. Raises InputError where the folder has changed."""
    if order.images:
        planned, _ = _image_items(Path(order.folder), order.prefix)
    else:
        splitting = Splitting(order.validation, order.seed)
        source = read_dataset(Path(order.folder), splitting=splitting, choices=order.choices)
        planned = _items(source, order.classes, order.prefix)
    if len(planned) != order.files or sum(item.size for item in planned) != order.size:
        raise _changed(order.folder)
    return planned


def parse_prefix(uri: str) -> tuple[str, str]:
    """Return bucket and prefix: `s3://bucket/a/b` -> ("bucket", "a/b/"). Raises InputError."""
    bucket, prefix = split_prefix(uri)
    prefix = prefix.strip("/")
    return bucket, f"{prefix}/" if prefix else ""


def _image_items(folder: Path, prefix: str) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Return an object for each JPEG below a folder, in order, and the other files. Hidden ones are neither."""
    planned, left_out = [], []
    try:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
    except OSError as error:
        raise InputError(f"{folder} cannot be read.", why=reason(error)) from error
    for path in paths:
        name = path.relative_to(folder).as_posix()
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if path.suffix.lower() not in JPEG_SUFFIXES or not _is_utf8(name):
            left_out.append(name.encode("utf-8", "replace").decode())
            continue
        planned.append(Item(f"{prefix}{name}", "image/jpeg", path, path.stat().st_size))
    return tuple(planned), tuple(left_out)


def _is_utf8(name: str) -> bool:
    """Return whether S3 can have this key."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _items(source: Dataset, classes: str, prefix: str) -> tuple[Item, ...]:
    planned: list[Item] = []
    for sample in source.samples:
        name = sample.name.rpartition("/")[2]
        planned.append(_item(source, sample.image, f"{prefix}{sample.split}/{name}", IMAGE_TYPES))
        planned.append(_item(source, sample.mask, f"{prefix}{sample.split}_annotation/{name}", MASK_TYPES))
    if classes:
        planned.append(Item(f"{prefix}{CLASSES_FILE}", JSON_TYPE, None, len(classes.encode()), classes))
    too_large = [item.key for item in planned if item.size > MOST_BYTES]
    if too_large:
        raise InputError(
            f"These files are too large to upload: {listing(too_large)}.",
            why=f"The limit is {MOST_BYTES:,} bytes per file.",
            todo="Reduce their size.",
        )
    return tuple(planned)


def _item(source: Dataset, path: str, key: str, types: Mapping[str, str]) -> Item:
    """Return the object for a file. key: without suffix. types: suffix -> content type."""
    suffix = Path(path).suffix
    if suffix.lower() not in types:
        raise InputError(
            f"{path or key} cannot be uploaded without conversion.",
            why=f"Its channel needs {' or '.join(types)} files.",
            todo="Convert the dataset first.",
        )
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{path.encode('utf-8', 'replace').decode()} cannot be uploaded without conversion.",
            why="Its name is not UTF-8, which S3 keys require.",
            todo="Convert the dataset first, which gives the file a safe name.",
        ) from error
    return Item(
        f"{key}{suffix}", types[suffix.lower()], source.root / path, (source.root / path).stat().st_size
    )


def _changed(path: str) -> InputError:
    return InputError(
        f"{path} has changed since it was validated.",
        why="Files were added, removed or changed.",
        todo="Validate it again.",
    )
