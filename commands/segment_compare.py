"""`segment --compare`: the masks of two endpoints on the same images, sorted by how much they differ."""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help is fast

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from commands.common import print_table, say
from core.errors import AwsError, InputError
from core.text import duration, percent

if TYPE_CHECKING:
    from core.aws.connection import Clients
    from core.endpoints.endpoint import EndpointInfo

TABLES = ("comparison.csv", "comparison_pairs.csv")
SHOWN_IMAGES = 20


def check_compared(infos: Sequence[EndpointInfo]) -> None:
    """Raise BadParameter unless there are two endpoints; report class names that differ."""
    first, second = infos
    if first.name == second.name:
        raise typer.BadParameter(f"{first.name} cannot be compared with itself.", param_hint="--compare")
    if first.classes and second.classes and first.classes.names != second.classes.names:
        say(
            f"The class names of {first.name} and {second.name} differ. They are compared by class id: if an id "
            "means different classes, the comparison is meaningless."
        )


def check_files(folder: Path, images: Sequence[Path], *, replace: bool) -> None:
    """Raise InputError if files of an earlier comparison exist and may not be replaced."""
    from core.inference.comparison import DIFF_SUFFIX
    from core.inference.export import unique_stems

    stems = unique_stems([image.name for image in images])
    for name in (*TABLES, *(f"{stem}{DIFF_SUFFIX}" for stem in stems)):
        if not replace and (folder / name).exists():
            raise InputError(
                f"{folder / name} already exists.",
                why="Files are only overwritten if you ask for it. The endpoints were not invoked.",
                todo="Choose another folder, use --resume to continue, or --overwrite to replace.",
            )


def say_prices(clients: Clients, infos: Sequence[EndpointInfo], images: int) -> None:
    """Print the price of each endpoint, and what the images are expected to take."""
    from core.aws.batch_speed import endpoint_speed
    from core.aws.prices import prices
    from core.cost.hosting import hosting_price

    table = prices(clients)
    for info in infos:
        try:
            speed = endpoint_speed(clients, info.name, datetime.now(UTC))
        except AwsError as error:
            say(f"The speed of {info.name} is unknown. {error}")
            speed = None
        hosting = hosting_price(info.variants, table)
        label = "AWS price" if table.sandbox else "price"
        text = f"{info.name}: {label} " + (f"{hosting.per_hour} per hour" if hosting.per_hour else "unknown")
        if speed is not None:
            seconds = images * speed.seconds_per_image
            amount = f", {hosting.per_hour.for_seconds(seconds)}" if hosting.per_hour else ""
            text += f"; expected for these images: {duration(seconds)}{amount}"
        say(f"{text}. {hosting.source}")


def write_comparison(
    rows: Sequence[Mapping[str, dict[str, Any]]],
    infos: Sequence[EndpointInfo],
    folder: Path,
    *,
    replace: bool,
) -> list[dict[str, Any]]:
    """Write STEM_diff.png of each image and both tables; return the rows of comparison.csv, largest difference first.

    rows: for each endpoint, the summaries of its images by path. Images without both masks are not compared.
    """
    from core.escaping import csv_bytes
    from core.imaging.classes import Classes
    from core.imaging.image import open_mask
    from core.inference.comparison import (
        DIFF_SUFFIX,
        compare_masks,
        difference_png,
        image_rows,
        pair_rows,
        ranked,
    )
    from core.inference.export import SUFFIXES, write_new
    from core.local_files import read_regular

    comparisons = []
    names: list[tuple[str, ...]] = [(), ()]
    for path in rows[0].keys() & rows[1].keys():
        files = [Path(each[path]["files"]["mask"]) for each in rows]
        first, second = (open_mask(read_regular(file), file.name) for file in files)
        comparisons.append(compare_masks(path, first, second))
        stem = files[0].name.removesuffix(SUFFIXES["mask"])
        write_new(folder / f"{stem}{DIFF_SUFFIX}", difference_png(first, second), overwrite=replace)
        names = [
            max(known, tuple(each[path]["class_names"]), key=len)
            for known, each in zip(names, rows, strict=True)
        ]
    classes = [
        info.classes or Classes(known, Classes.numbered(len(known)).colors) if known else Classes.numbered(1)
        for info, known in zip(infos, names, strict=True)
    ]
    comparisons = ranked(comparisons)
    tables = image_rows(comparisons, classes), pair_rows(comparisons, classes)
    for name, table in zip(TABLES, tables, strict=True):
        write_new(folder / name, csv_bytes(table, COLUMNS[name]), overwrite=replace)
    return tables[0]


COLUMNS = {
    "comparison.csv": (
        "image",
        "differing_share",
        "differing_pixels",
        "compared_pixels",
        "left_out_pixels",
        "largest_pairs",
    ),
    "comparison_pairs.csv": ("image", "first_class", "second_class", "pixels", "share"),
}


def print_comparison(rows: Sequence[dict[str, Any]], infos: Sequence[EndpointInfo], folder: Path) -> None:
    """Print the images that differ most."""
    title = f"{infos[0].name} / {infos[1].name}: largest difference first"
    shown = [
        {
            "image": row["image"],
            "differing": percent(row["differing_share"]),
            "largest class pairs": row["largest_pairs"] or "-",
        }
        for row in rows[:SHOWN_IMAGES]
    ]
    print_table(title, shown)
    say(f"All {len(rows)} images: {folder / TABLES[0]}")
