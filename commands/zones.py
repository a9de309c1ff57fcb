"""The command `zones`: the area of each class in each polygon of a file."""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help is fast

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.common import AsJson, Debug, print_json, progress, reporting, say, write
from commands.inference_options import make_folder
from core.text import listing, percent, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from core.imaging.classes import Classes
    from core.tiles.zones import ZoneAreas

LARGEST_SHOWN, ZONES_SHOWN, NAMED = 4, 20, 5
"""Classes of a zone, and zones, that are printed; the file has all. Zones that are named in a note."""


def zones(
    *,
    mask: Annotated[
        Path, typer.Argument(metavar="MASK", help="A mask that `segdeck segment --tiles` wrote.")
    ],
    polygons: Annotated[
        Path,
        typer.Argument(
            metavar="ZONES",
            help="GeoJSON file with polygons, such as parcels. A zone is named by its property name or id.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for STEM_zones.csv.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output file of an earlier run.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Measure the area of each class in each zone of a map, in hectares on the ellipsoid.

    Writes STEM_zones.csv: one row per zone and class. A pixel belongs to a zone if its center is inside; zones may
    overlap. No endpoint is invoked.
    """
    with reporting(debug):
        from core.errors import InputError
        from core.inference.batch import printable
        from core.tiles.change import open_labels, stem
        from core.tiles.outputs import all_classes
        from core.tiles.zones import count_zones, read_zones, write_zones

        labels = open_labels(mask)
        read = read_zones(polygons, labels.scene)
        path = out / f"{stem(mask)}_zones.csv"
        if path.exists() and not overwrite:
            raise InputError(
                f"{path} already exists.",
                why="Files are only overwritten if you ask for it.",
                todo="Choose another folder, or use --overwrite to replace.",
            )
        make_folder(out)
        with progress() as bar:
            line = bar.add_task("Counting", total=len(read))
            areas = count_zones(labels, read, lambda: bar.advance(line))
        ids = sorted({int(number) for each in areas for number in each.pixels[:-1].nonzero()[0]})
        classes = all_classes(labels.classes, 0, ids)
        write_zones(path, areas, classes, overwrite=overwrite)
        notes = list(_notes(areas))
        for note in notes:
            say(note)
        if as_json:
            print_json(
                mask=printable(str(mask)),
                zones_file=printable(str(polygons)),
                files={"zones": printable(str(path))},
                zones=[
                    {
                        "zone": each.zone.number, "name": each.zone.name, "partly_outside": each.outside,
                        "classes": [
                            {key: value for key, value in row.items() if key not in ("zone", "name")}
                            for row in each.rows(classes)
                        ],
                    }
                    for each in areas
                ],
                notes=notes,
            )  # fmt: skip
        else:
            _show(areas, classes)
            write(f"{path}  {plural(len(areas), 'zone')}")


def _notes(areas: Sequence[ZoneAreas]) -> Iterator[str]:
    """Yield which zones are not wholly on the map."""
    empty = [each.zone.name for each in areas if not each.pixels.any()]
    outside = [each.zone.name for each in areas if each.outside and each.pixels.any()]
    if empty:
        yield f"{plural(len(empty), 'zone')} without a pixel of the map: {listing(empty, NAMED)}."
    if outside:
        yield (
            f"{plural(len(outside), 'zone')} partly outside the map, measured as far as the map goes: "
            f"{listing(outside, NAMED)}."
        )


def _show(areas: Sequence[ZoneAreas], classes: Classes) -> None:
    for each in areas[:ZONES_SHOWN]:
        rows = [row for row in each.rows(classes) if row["share"] is not None]
        shares = ", ".join(
            f"{row['class']} {percent(row['share'])}"
            + ("" if row["hectares"] is None else f" ({row['hectares']:,.2f} ha)")
            for row in rows[:LARGEST_SHOWN]
        )
        more = f", {len(rows) - LARGEST_SHOWN} more" if len(rows) > LARGEST_SHOWN else ""
        write(f"{each.zone.name}: {shares or 'no pixel with a class'}{more}")
    if len(areas) > ZONES_SHOWN:
        write(f"{plural(len(areas) - ZONES_SHOWN, 'more zone')} in the file")
