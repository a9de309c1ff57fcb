"""Check a dataset that is already in S3, in channels, by the names of its objects. The caller lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.datasets.inspection import UNSAFE_CHARACTER
from core.datasets.problems import DataProblem, ordered, problem
from core.datasets.report import LayoutReport
from core.imaging.classes import Classes
from core.text import listing
from core.training.channels import data_channels
from core.training.preflight import check_objects


def check_listing(
    base: str, listing: Mapping[str, Sequence[str]], *, classes: Classes | None = None
) -> LayoutReport:
    """Return the report on a dataset in S3. Objects are not read, so sizes, class ids and damage are not checked.

    base:    the S3 prefix.
    listing: channel -> keys below its URI, for the channels that could be listed.
    classes: those in the `classes.json` next to the channels.
    """
    channels = data_channels(base)
    uris = {channel.name: channel.uri for channel in channels}
    problems = [
        problem("channel", uris[each.name], each.message, severity=each.severity, fixable=False)
        for each in check_objects(channels, listing)
    ]
    for name, keys in listing.items():
        problems += _odd(uris[name], keys)
    unknown = "Its objects could not be listed, so they were not checked."
    problems += [problem("channel_unknown", uris[name], unknown) for name in uris if name not in listing]
    return LayoutReport(
        kind="s3 channels",
        root=base,
        counts={name: len([key for key in keys if not key.endswith("/")]) for name, keys in listing.items()},
        classes=classes,
        named=classes is not None,
        class_ids=(),
        histogram=(),
        sizes=(),
        label_tables={},
        problems=ordered(problems),
    )


def _odd(uri: str, keys: Sequence[str]) -> list[DataProblem]:
    unsafe = [name for key in keys if UNSAFE_CHARACTER.search(name := key.rpartition("/")[2])]
    if not unsafe:
        return []
    todo = "Upload them again with names of letters, digits, dots, hyphens and underscores."
    message = f"{len(unsafe):,} names contain other characters: {listing(unsafe)}."
    return [problem("name_odd", uri, message, todo=todo, fixable=False)]
