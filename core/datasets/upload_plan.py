"""What of a data set goes where in S3: each photograph and mask in its channel, the names of the classes beside them.

An order travels in a plan as a handful of values; the files behind it are found again from the folder, and must still
be as many and as large.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.datasets.readers import read_dataset
from core.datasets.source import CLASSES_FILE, Dataset, Splitting
from core.errors import InputError
from core.local_files import read_regular, reason
from core.text import listing
from core.training.channels import data_channels

if TYPE_CHECKING:
    from core.datasets.report import LayoutReport  # it brings Pillow along, which a plan can do without

PHOTO_KINDS = {".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
MASK_KINDS = {".png": "image/png"}
JSON_KIND = "application/json"
MOST_BYTES = 5_000_000_000
"""What one PutObject takes, about."""


@dataclass(frozen=True, slots=True)
class Item:
    """One object to be. path: its file; None where the content is `text`. size: bytes."""

    key: str
    content_type: str
    path: Path | None
    size: int
    text: str = ""

    def read(self) -> bytes:
        """Raises InputError where the file is gone or has another size by now."""
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
    """A data set to upload.

    folder:           the set's root; called: what a person calls it, see Source.
    bucket, prefix:   where to; the prefix ends in `/` or is empty.
    validation, seed: how a set without lists is divided.
    classes:          the text of classes.json; empty: it is not written.
    files, size:      how many objects, and their bytes together.
    overwrite:        whether objects with other content may be replaced.
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

    @property
    def uri(self) -> str:
        """The S3 prefix."""
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def channels(self) -> dict[str, str]:
        """Channel -> URI, as `jobs launch` and the launch page take them."""
        return {channel.name: channel.uri for channel in data_channels(self.uri)}

    def to_params(self) -> dict[str, Any]:
        """As they stand in a plan."""
        return asdict(self)

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> UploadOrder:
        """Back from a plan."""
        return cls(**params)


def order_upload(
    source: Dataset, report: LayoutReport, uri: str, *, splitting: Splitting, overwrite: bool = False
) -> UploadOrder:
    """Raises InputError for the address, and for a set that a job could not be trained on."""
    bucket, prefix = parse_prefix(uri)
    wrong = [each for each in report.problems if each.is_error]
    if wrong:
        raise InputError(
            f"{source.called} is not uploaded: a job would fail with it.",
            why=f"{len(wrong):,} errors, the first: {wrong[0].path}: {wrong[0].message}",
            todo="Convert it first, which mends what can be mended."
            if any(each.fixable for each in wrong)
            else wrong[0].todo,
        )
    if source.label_maps:
        raise InputError(
            f"{source.called} is not uploaded: its masks need a label map.",
            why="A job that is launched from here is not given one.",
            todo="Convert it first, which works the label map into the masks.",
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
    )


def warnings_of(report: LayoutReport) -> tuple[str, ...]:
    """What to read before a yes: a sentence for each kind of warning, with its first file."""
    first: dict[str, str] = {}
    for each in report.problems:
        if each.severity == "warning":
            first.setdefault(each.code, str(each))
    return tuple(first.values())


def items(order: UploadOrder) -> tuple[Item, ...]:
    """The objects of an order. Raises InputError where the folder is not what it was."""
    source = read_dataset(Path(order.folder), splitting=Splitting(order.validation, order.seed))
    planned = _items(source, order.classes, order.prefix)
    if len(planned) != order.files or sum(item.size for item in planned) != order.size:
        raise _changed(order.folder)
    return planned


def parse_prefix(uri: str) -> tuple[str, str]:
    """`s3://bucket/a/b` -> ("bucket", "a/b/"). Raises InputError."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise InputError(f"{uri!r} is no address in S3.", todo="Write it as s3://bucket/folder/.")
    prefix = prefix.strip("/")
    return bucket, f"{prefix}/" if prefix else ""


def _items(source: Dataset, classes: str, prefix: str) -> tuple[Item, ...]:
    planned: list[Item] = []
    for sample in source.samples:
        name = sample.name.rpartition("/")[2]
        planned.append(_item(source, sample.photo, f"{prefix}{sample.split}/{name}", PHOTO_KINDS))
        planned.append(_item(source, sample.mask, f"{prefix}{sample.split}_annotation/{name}", MASK_KINDS))
    if classes:
        planned.append(Item(f"{prefix}{CLASSES_FILE}", JSON_KIND, None, len(classes.encode()), classes))
    huge = [item.key for item in planned if item.size > MOST_BYTES]
    if huge:
        raise InputError(
            f"These files are too large for a data set: {listing(huge)}.", todo="Make them smaller."
        )
    return tuple(planned)


def _item(source: Dataset, path: str, key: str, kinds: Mapping[str, str]) -> Item:
    """key: without ending."""
    suffix = Path(path).suffix
    if suffix.lower() not in kinds:
        raise InputError(f"{path or key} cannot be uploaded as it is.", todo="Convert the set first.")
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{path.encode('utf-8', 'replace').decode()} cannot be uploaded as it is.",
            why="Its name is no UTF-8, and keys in S3 are.",
            todo="Convert the set first, which gives it a safe name.",
        ) from error
    return Item(
        f"{key}{suffix}", kinds[suffix.lower()], source.root / path, (source.root / path).stat().st_size
    )


def _changed(path: str) -> InputError:
    return InputError(
        f"{path} has changed since it was looked at.", why="Files came, went or changed.", todo="Begin again."
    )
