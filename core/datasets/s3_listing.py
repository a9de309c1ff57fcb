"""A data set that lies in S3 already, in channels: what the names of its objects tell. The caller lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.datasets.inspection import ODD
from core.datasets.problems import DataProblem, ordered, problem
from core.datasets.report import LayoutReport
from core.imaging.classes import Classes
from core.text import listing
from core.training.channels import data_channels
from core.training.preflight import check_objects


def check_listing(
    base: str, listing: Mapping[str, Sequence[str]], *, classes: Classes | None = None
) -> LayoutReport:
    """No picture is read, so nothing is said of sizes, class ids and damage.

    base:    the S3 prefix.
    listing: channel -> keys below its URI, of those that could be listed.
    classes: those of the `classes.json` beside them.
    """
    channels = data_channels(base)
    uris = {channel.name: channel.uri for channel in channels}
    problems = [
        problem("channel", uris[each.name], each.message, severity=each.severity, fixable=False)
        for each in check_objects(channels, listing)
    ]
    for name, keys in listing.items():
        problems += _odd(uris[name], keys)
    unknown = "Its objects could not be listed, so nothing is known of them."
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
    odd = [name for key in keys if ODD.search(name := key.rpartition("/")[2])]
    if not odd:
        return []
    todo = "Upload them again under names of letters, digits, dots, hyphens and underscores."
    message = f"{len(odd):,} names have other signs in them: {listing(odd)}."
    return [problem("name_odd", uri, message, todo=todo, fixable=False)]
