"""Augmented manifests: read one, and find what would make a job on it fail before an instance is paid for.

    {"source-ref": "s3://b/images/a.jpg", "city-ref": "s3://b/masks/a.png", "city-ref-metadata": {...}}

Each line is an image. Of it, SageMaker sends the attributes that the channel's AttributeNames list, in that order;
those that end in -ref as the content of the S3 object. Everything else in the line is ignored.

Source: SageMaker developer guide, "Augmented Manifest Files for Training Jobs" and "Semantic Segmentation Algorithm".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.strict_json import parse_json
from core.text import listing, plural
from core.training.channels import (
    MANIFEST_CHANNELS,
    MANIFEST_CONTENT,
    RECORDIO,
    REF,
    SOURCE_REF,
    Channel,
)
from core.training.hyperparameters import Problem

IMAGES, MASKS = (".jpg", ".jpeg", ".png"), (".png",)
IGNORED_ID = 255
MAX_CLASSES = 254
CLASS_ID = re.compile(r"\d{1,3}", re.ASCII)
OBJECT_URI = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+", re.ASCII | re.DOTALL)
LISTED = 3
"""Line numbers and names in one message."""


@dataclass(frozen=True, slots=True)
class ManifestLine:
    """One line: its number from 1, and the attributes whose values are texts, such as S3 URIs."""

    number: int
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """An augmented manifest.

    lines:    those that are JSON objects.
    damaged:  line number -> what is wrong with it, for the others.
    counts:   attribute that ends in -ref -> number of lines that have it.
    failed:   numbers of the lines whose labeling failed, as Ground Truth reports it in their metadata.
    classes:  number of classes by the color maps in the metadata; None if there are none.
    """

    lines: tuple[ManifestLine, ...]
    damaged: Mapping[int, str]
    counts: Mapping[str, int]
    failed: tuple[int, ...] = ()
    classes: int | None = None

    @property
    def label_attributes(self) -> tuple[str, ...]:
        """Return the attributes that can be the masks, the most frequent first."""
        names = [name for name in self.counts if name != SOURCE_REF]
        return tuple(sorted(names, key=lambda name: (-self.counts[name], name)))

    def uris(self, attribute: str) -> list[str]:
        """Return the S3 URIs of an attribute, in the order of the lines; a line without it is skipped."""
        return [line.texts[attribute] for line in self.lines if line.texts.get(attribute)]

    def images(self, attributes: Sequence[str]) -> list[str]:
        """Return the S3 URIs of the images that a job on these attributes gets: of lines that have all of them."""
        needed = {SOURCE_REF, *attributes}
        return [line.texts[SOURCE_REF] for line in self.lines if needed <= line.texts.keys()]


def read_manifest(content: bytes) -> ManifestFile:
    """Read a manifest's content. Anything can be read: what is wrong is in `damaged`."""
    lines: list[ManifestLine] = []
    damaged: dict[int, str] = {}
    counts: Counter[str] = Counter()
    failed: list[int] = []
    highest = -1
    for number, text in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not text.strip():
            continue
        try:
            row = parse_json(text)
        except ValueError as error:
            damaged[number] = f"it is not JSON: {error}"
            continue
        if not isinstance(row, dict):
            damaged[number] = "it is not a JSON object"
            continue
        counts.update(name for name in row if name.endswith(REF))
        texts = {name: value for name, value in row.items() if isinstance(value, str)}
        lines.append(ManifestLine(number, texts))
        metadata = [
            value for name, value in row.items() if name.endswith("-metadata") and isinstance(value, dict)
        ]
        if any("failure-reason" in each for each in metadata):
            failed.append(number)
        highest = max([highest, *(_highest_id(each) for each in metadata)])
    classes = highest + 1 if 1 <= highest < MAX_CLASSES else None
    return ManifestFile(tuple(lines), damaged, dict(counts), tuple(failed), classes)


def _highest_id(metadata: Mapping[str, Any]) -> int:
    """Return the highest class id in a line's color map, whose keys are the ids; -1 without any."""
    color_map = metadata.get("internal-color-map")
    if not isinstance(color_map, dict):
        return -1
    ids = [int(key) for key in color_map if CLASS_ID.fullmatch(key)]
    return max((number for number in ids if number != IGNORED_ID), default=-1)


def check_manifest_channel(channel: Channel, input_mode: str) -> list[Problem]:
    """Return the problems of the channel's settings. input_mode: that of the job."""
    name = channel.name
    if name not in MANIFEST_CHANNELS:
        text = (
            f"The channel {name} reads an augmented manifest. Only {' and '.join(MANIFEST_CHANNELS)} can; use an S3 "
            "prefix."
        )
        return [Problem(name, text)]
    problems = [*_attribute_problems(channel)]
    if channel.record_wrapper != RECORDIO:
        text = (
            f"RecordWrapperType is {channel.record_wrapper or 'not set'}: the algorithm could not tell one file from "
            f"the next. Set it to {RECORDIO}."
        )
        problems.append(Problem(name, text))
    mode = channel.input_mode or input_mode
    if mode != "Pipe":
        text = f"The input mode is {mode or 'not set'}, but AWS reads augmented manifests only in Pipe mode. Set it."
        problems.append(Problem(name, text))
    if channel.content_type not in ("", MANIFEST_CONTENT):
        text = f"The content type is {channel.content_type!r}. Set it to {MANIFEST_CONTENT}."
        problems.append(Problem(name, text))
    if name == "train" and not channel.shuffled:
        text = (
            "The lines of the training manifest are read in the same order in every epoch. Turn on shuffling, unless "
            "that is what you want."
        )
        problems.append(Problem(name, text, "warning"))
    return problems


def _attribute_problems(channel: Channel) -> Iterator[Problem]:
    names = channel.attributes
    wanted = f"Use {SOURCE_REF} and the attribute of the masks, such as {SOURCE_REF}, city-ref."
    if not names:
        yield Problem(channel.name, f"AttributeNames is not set. {wanted}")
    elif len(names) != len(set(names)):
        yield Problem(channel.name, f"AttributeNames has a name twice: {', '.join(names)}. {wanted}")
    elif SOURCE_REF not in names:
        yield Problem(channel.name, f"AttributeNames is {', '.join(names)}, without {SOURCE_REF}. {wanted}")
    elif len(names) != 2:
        count = plural(len(names), "attribute")
        yield Problem(channel.name, f"AttributeNames has {count}: {', '.join(names)}. {wanted}")
    elif not channel.label_attribute.endswith(REF):
        text = (
            f"The label attribute {channel.label_attribute} does not end in {REF}, so SageMaker would send its text "
            f"instead of the mask. {wanted}"
        )
        yield Problem(channel.name, text)
    elif names[0] != SOURCE_REF:
        yield Problem(
            channel.name, f"AttributeNames is {', '.join(names)}: the image must come first. {wanted}"
        )


def check_manifests(channels: Iterable[Channel], manifests: Mapping[str, ManifestFile]) -> list[Problem]:
    """Return the problems of the manifests' lines.

    manifests: channel -> its manifest; a channel without one was not read, and is not checked.
    """
    problems: list[Problem] = []
    for channel in channels:
        if channel.is_manifest and channel.name in manifests:
            problems += _line_problems(channel, manifests[channel.name])
    return problems + _in_both(manifests)


def _line_problems(channel: Channel, manifest: ManifestFile) -> Iterator[Problem]:
    name = channel.name
    if manifest.damaged:
        number, why = next(iter(manifest.damaged.items()))
        first = f"Line {number} of {channel.uri} is invalid: {why}.{_more(len(manifest.damaged))}"
        yield Problem(name, f"{first} Each line must be a JSON object.")
    if not manifest.lines:
        if not manifest.damaged:
            yield Problem(
                name, f"{channel.uri} has no lines. Correct the S3 URI, or create the manifest again."
            )
        return
    for attribute in channel.attributes:
        yield from _missing(channel, manifest, attribute)
    label = channel.label_attribute
    for attribute, suffixes, kind in ((SOURCE_REF, IMAGES, "a JPEG image"), (label, MASKS, "a PNG mask")):
        yield from _uri_problems(channel, manifest, attribute, suffixes, kind)
    yield from _png_and_doubles(channel, manifest)


def _missing(channel: Channel, manifest: ManifestFile, attribute: str) -> Iterator[Problem]:
    lines = [line.number for line in manifest.lines if attribute not in line.texts]
    if not lines:
        return
    others = [other for other in manifest.label_attributes if other != attribute]
    if len(lines) == len(manifest.lines) and others and attribute != SOURCE_REF:
        text = (
            f"No line of {channel.uri} has the attribute {attribute}. Attributes that end in {REF}: "
            f"{listing(others)}. Choose one of them as label attribute."
        )
        yield Problem(channel.name, text)
        return
    failed = len(set(lines) & set(manifest.failed))
    why = f" The labeling of {plural(failed, 'image')} failed." if failed else ""
    it = "it" if len(lines) == 1 else "them"
    text = (
        f"{plural(len(lines), 'line has', 'lines have', grouping='')} no {attribute} in {channel.uri}: "
        f"{_numbers(lines)}.{why} AWS requires it in every line: remove {it} from the manifest."
    )
    every = len(lines) == len(manifest.lines)
    yield Problem(channel.name, text, "error" if every else "warning")


def _uri_problems(
    channel: Channel, manifest: ManifestFile, attribute: str, suffixes: tuple[str, ...], kind: str
) -> Iterator[Problem]:
    """Yield the problems of the S3 URIs in an attribute."""
    texts = [(line.number, line.texts[attribute]) for line in manifest.lines if attribute in line.texts]
    invalid = [number for number, text in texts if not OBJECT_URI.fullmatch(text)]
    if invalid:
        first = dict(texts)[invalid[0]]
        yield Problem(
            channel.name,
            f"{attribute} in line {invalid[0]} of {channel.uri} is {first[:200]!r}, which is not the S3 URI of an "
            f"object.{_more(len(invalid))} Use URIs such as s3://BUCKET/FOLDER/FILE.",
        )
    other = [text for _, text in texts if OBJECT_URI.fullmatch(text) and not text.lower().endswith(suffixes)]
    if other:
        text = (
            f"{plural(len(other), 'value', grouping='')} of {attribute} in {channel.uri} may not be {kind}, by the "
            f"end of the name: {listing(other, LISTED)}."
        )
        yield Problem(channel.name, text, "warning")
    spaces = [text for _, text in texts if OBJECT_URI.fullmatch(text) and " " in text]
    if spaces:
        text = (
            f"{plural(len(spaces), 'S3 key has', 'S3 keys have')} spaces in {attribute} of {channel.uri}: "
            f"{listing(spaces, LISTED)}. A job on such a manifest was reported to fail; rename the objects if yours "
            "does."
        )
        yield Problem(channel.name, text, "warning")


def _png_and_doubles(channel: Channel, manifest: ManifestFile) -> Iterator[Problem]:
    images = manifest.uris(SOURCE_REF)
    png = [uri for uri in images if uri.lower().endswith(".png")]
    if png:
        text = (
            f"{plural(len(png), 'image is', 'images are', grouping='')} PNG: {listing(png, LISTED)}. AWS documents "
            "only JPEG; if the job fails to read them, convert them to JPEG."
        )
        yield Problem(channel.name, text, "warning")
    twice = [uri for uri, count in Counter(images).items() if count > 1]
    if twice:
        text = (
            f"{plural(len(twice), 'image is', 'images are', grouping='')} in several lines of {channel.uri}: "
        )
        yield Problem(channel.name, f"{text}{listing(twice, LISTED)}.", "warning")


def _in_both(manifests: Mapping[str, ManifestFile]) -> list[Problem]:
    """Warn of images that are both trained on and validated on."""
    if not all(name in manifests for name in MANIFEST_CHANNELS):
        return []
    train, validation = (manifests[name].uris(SOURCE_REF) for name in MANIFEST_CHANNELS)
    both = sorted(set(train) & set(validation))
    if not both:
        return []
    count = plural(len(both), "image is", "images are", grouping="")
    text = (
        f"{count} in both manifests: {listing(both, LISTED)}. The validation scores would be too good; use different "
        "images."
    )
    return [Problem("validation", text, "warning")]


def _numbers(lines: Sequence[int]) -> str:
    word = "line" if len(lines) == 1 else "lines"
    return f"{word} {listing([str(number) for number in lines], LISTED, grouping='')}"


def _more(count: int) -> str:
    """Return a sentence on the other lines with the same problem; empty without any."""
    if count < 2:
        return ""
    return f" {plural(count - 1, 'more line has', 'more lines have', grouping='')} the same problem."
