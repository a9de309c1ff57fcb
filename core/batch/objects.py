"""The inputs and outputs of a transform job: which objects are images, how their outputs are called, what is missing.

Inputs of an S3Prefix are all keys that begin with it, whether it ends in / or not (API reference,
"TransformS3DataSource"; sagemaker-python-sdk #1106 and #3557). Output names: the input's key below the prefix, with
`.out` (API reference, "TransformOutput"). Where a prefix ends within a name, the whole name is kept, as training does
(sagemaker-python-sdk #3612); AWS does not document that for batch transform.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from core.batch.job import DEFAULT_PAYLOAD_MB, MAX_PAYLOAD_MB, BatchSpec
from core.endpoints.spec import processor
from core.errors import InputError
from core.escaping import file_name, json_text
from core.imaging.suffixes import JPEG_SUFFIXES
from core.strict_json import parse_json
from core.text import listing, plural
from core.training.hyperparameters import Problem

SUFFIX = ".out"
MEGABYTE = 1 << 20
LARGE = (2_800, 2_300)
"""Images of about this size were reported to fail, with no reason given (sagemaker-python-sdk #1284)."""

SHOWN = 3


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in S3. key: below the listed prefix, as its output is named; see `Inputs.outside`. size: bytes.

    etag: changes with the content; empty if it is unknown.
    """

    key: str
    size: int
    etag: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Skipped:
    """An object that is not sent, and why."""

    key: str
    why: str


@dataclass(frozen=True, slots=True)
class Inputs:
    """The objects below an input prefix.

    images:  what is sent, in order.
    skipped: what is not.
    outside: keys that are not below the prefix itself, but below its parent: a job on s3://b/in reads in/a.jpg, whose
             output is a.jpg.out, and in2/b.jpg, whose output is in2/b.jpg.out.
    """

    images: tuple[StoredObject, ...]
    skipped: tuple[Skipped, ...]
    outside: frozenset[str] = frozenset()

    @property
    def payload_mb(self) -> int:
        """Return the smallest payload limit that the largest image fits into, at least AWS's default."""
        largest = max((image.size for image in self.images), default=0)
        return max(DEFAULT_PAYLOAD_MB, -(-largest // MEGABYTE))

    @property
    def size(self) -> int:
        """Return the bytes of all images."""
        return sum(image.size for image in self.images)

    @property
    def shared(self) -> tuple[str, ...]:
        """Return the keys that an image below the prefix and one outside of it have: both would write one mask."""
        counts = Counter(image.key for image in self.images if image.key in self.outside)
        return tuple(sorted(key for key, count in counts.items() if count > 1))


def parent_uri(uri: str) -> str:
    """Return the S3 prefix that contains an object or another prefix: what comes before its last part."""
    return f"{uri.removesuffix('/').rpartition('/')[0]}/"


def object_uri(prefix: str, key: str, outside: Collection[str]) -> str:
    """Return the S3 URI of an input. prefix: of the job's inputs, which ends in /. outside: see `Inputs`."""
    return f"{parent_uri(prefix) if key in outside else prefix}{key}"


def place_inputs(uri: str, objects: Iterable[StoredObject]) -> tuple[str, list[StoredObject], frozenset[str]]:
    """Return the prefix of a job's inputs, the objects with keys as their outputs are named, and those `outside`.

    uri:     the job's own S3 prefix, which may end within a name.
    objects: all whose keys begin with it, with their keys below its parent; with keys below it if it ends in /.
    """
    if uri.endswith("/"):
        return uri, list(objects), frozenset()
    parent = parent_uri(uri)
    folder = f"{uri.removeprefix(parent)}/"
    everything = list(objects)
    if not any(each.key.startswith(folder) for each in everything):
        return parent, everything, frozenset()
    outside = frozenset(each.key for each in everything if not each.key.startswith(folder))
    placed = [StoredObject(each.key.removeprefix(folder), each.size) for each in everything]
    return f"{uri}/", placed, outside


def sort_inputs(objects: Iterable[StoredObject], outside: frozenset[str] = frozenset()) -> Inputs:
    """Split a listing into images to send and objects to skip; folder markers are neither. outside: see `Inputs`."""
    images, skipped = [], []
    for each in objects:
        if not each.key or each.key.endswith("/"):
            continue
        if why := _reason_to_skip(each):
            skipped.append(Skipped(each.key, why))
        else:
            images.append(each)
    return Inputs(tuple(images), tuple(skipped), outside)


def shared_outputs(inputs: Inputs, uri: str) -> str:
    """Return a sentence if two images of a job have the same mask; else nothing. uri: its prefix, without a slash."""
    if not inputs.shared:
        return ""
    key = inputs.shared[0]
    uri = uri.removesuffix("/")
    count = len(inputs.shared)
    return (
        f"{plural(count, 'mask')} {'belongs' if count == 1 else 'belong'} to two images each, and only the one "
        f"written last is there: {output_key(key)} is the mask of {uri}/{key} and of {parent_uri(uri)}{key}. To get "
        "both, start a job for each folder, with an output prefix of its own."
    )


def _reason_to_skip(each: StoredObject) -> str:
    suffix = f".{each.key.rpartition('.')[2]}".lower()
    if each.key.endswith(SUFFIX):
        return "an output of batch transform"
    if suffix not in JPEG_SUFFIXES:
        return "not a JPEG file: the algorithm reads image/jpeg only"
    if not each.size:
        return "empty"
    if each.size > MAX_PAYLOAD_MB * MEGABYTE:
        return f"{each.size:,} bytes; batch transform accepts at most {MAX_PAYLOAD_MB} MB"
    return ""


def check_inputs(
    inputs: Inputs, spec: BatchSpec, *, sizes: Sequence[tuple[str, int, int]] = (), complete: bool = True
) -> list[Problem]:
    """Return problems of the inputs, as far as a listing and a sample show them.

    sizes:    (key, width, height) of a sample.
    complete: whether all objects were listed.
    """
    problems = []
    if not inputs.images:
        text = f"There are no JPEG images under {spec.input_uri}."
        problems.append(Problem("input_uri", text))
    if inputs.skipped:
        reasons = dict.fromkeys(each.why for each in inputs.skipped)
        names = listing([each.key for each in inputs.skipped], most=SHOWN)
        text = f"{plural(len(inputs.skipped), 'object')} will not be sent ({'; '.join(reasons)}): {names}."
        problems.append(Problem("input_uri", text, "warning"))
    if shared := shared_outputs(inputs, spec.input_uri):
        problems.append(Problem("input_uri", shared, "warning"))
    if not complete:
        text = (
            f"More than {len(inputs.images):,} objects are under {spec.input_uri}; only these were checked."
        )
        problems.append(Problem("input_uri", text, "warning"))
    over = [image for image in inputs.images if image.size > spec.payload_mb * MEGABYTE]
    if over:
        text = (
            f"{plural(len(over), 'image')} exceed the payload limit of {spec.payload_mb} MB and would fail: "
            f"{listing([image.key for image in over], most=SHOWN)}. Set it to {inputs.payload_mb} MB or more."
        )
        problems.append(Problem("payload_mb", text))
    large = [(key, width, height) for key, width, height in sizes if width * height >= LARGE[0] * LARGE[1]]
    if large:
        key, width, height = large[0]
        gpu = "" if processor(spec.instance_type) == "GPU" else ", a GPU instance with more memory"
        text = (
            f"{len(large)} of {len(sizes)} images read are as large as {width} x {height} ({key}). Users report that "
            f"images of about {LARGE[0]} x {LARGE[1]} fail (sagemaker-python-sdk #1284). Use smaller copies{gpu}, or "
            "try a few images first."
        )
        problems.append(Problem("input_uri", text, "warning"))
    return problems


def folder_uri(uri: str) -> str:
    """Return an S3 prefix with a / at its end."""
    return uri if uri.endswith("/") else f"{uri}/"


def output_key(key: str) -> str:
    """Return the key of an input's output, both below their prefixes."""
    return f"{key}{SUFFIX}"


def input_key(key: str) -> str | None:
    """Return the input that an output belongs to; None for an object that is not an output."""
    return key.removesuffix(SUFFIX) if key.endswith(SUFFIX) else None


def missing(images: Iterable[StoredObject], outputs: Collection[str]) -> tuple[StoredObject, ...]:
    """Return the images without an output. outputs: keys below the output prefix."""
    return tuple(image for image in images if output_key(image.key) not in outputs)


def manifest(prefix: str, images: Iterable[StoredObject]) -> str:
    """Return a manifest of these images. prefix: of the keys, an S3 URI that ends in /."""
    return json_text([{"prefix": prefix}, *(image.key for image in images)], indent=None)


def read_manifest(text: bytes | str, uri: str) -> tuple[str, tuple[str, ...]]:
    """Return prefix and keys of a manifest. Raises InputError. uri: its own, for the message."""
    try:
        first, *keys = parse_json(text)
        prefix = first["prefix"]
        valid = isinstance(prefix, str) and all(isinstance(key, str) for key in keys)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{uri} is not a manifest.", why=f"{error!r}.") from error
    if not valid or not keys:
        raise InputError(
            f"{uri} is not a manifest.",
            why='It must be a JSON list: {"prefix": "s3://bucket/folder/"}, then keys below that prefix.',
        )
    if not prefix.endswith("/") and all(key.startswith("/") for key in keys):
        prefix, keys = f"{prefix}/", [key[1:] for key in keys]
    return prefix, tuple(keys)


def _portable(part: str) -> str:
    r"""Return a part of a key as a file name: on Windows, a \ or a : in it would lead out of the folder."""
    return file_name(part).replace("\\", "_").replace(":", "_")


def mask_names(keys: Sequence[str]) -> list[str]:
    """Return the file of each image's mask, in the same subfolders as its image: valid, and no name twice."""
    taken: set[str] = set()
    names = []
    for key in keys:
        parts = [_portable(part) for part in key.split("/") if part not in ("", ".", "..")]
        *folders, last = parts or ["image"]
        stem, number = last.rpartition(".")[0] or last, 1
        name = "/".join((*folders, f"{stem}_mask.png"))
        while name.casefold() in taken:
            number += 1
            name = "/".join((*folders, f"{stem}-{number}_mask.png"))
        taken.add(name.casefold())
        names.append(name)
    return names
