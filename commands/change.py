"""The command `change`: compare two label maps of the same place."""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help is fast

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from commands.common import AsJson, Debug, print_json, progress, reporting, say, write
from commands.inference_options import make_folder
from core.errors import InputError
from core.text import percent, plural

if TYPE_CHECKING:
    from core.tiles.change import Change, ChangeFiles, ChangeRequest, LabelMap

LARGEST_SHOWN = 5


def change(
    before: Annotated[
        Path,
        typer.Argument(
            metavar="BEFORE_MASK", help="The first label map, such as the STEM_mask.tif of `segment`."
        ),
    ],
    after: Annotated[
        Path,
        typer.Argument(metavar="AFTER_MASK", help="The second one; it is put on the grid of the first."),
    ],
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Output folder; created if it does not exist.")],
    min_confidence: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT",
            min=0,
            max=100,
            help="Compare only pixels where both maps have at least this confidence. Default: all pixels.",
        ),
    ] = None,
    before_confidence: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Confidence of the first map. Default: STEM_confidence.tif next to STEM_mask.tif.",
        ),
    ] = None,
    after_confidence: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Confidence of the second map. Default: the same."),
    ] = None,
    min_size: Annotated[
        int,
        typer.Option(
            metavar="PIXELS",
            min=1,
            help="Leave out patches of a change that have fewer pixels: with the same classes before and after, "
            "connected by their sides.",
        ),
    ] = 1,
    polygons: Annotated[
        Literal["gpkg", "geojson"] | None,
        typer.Option(help="Also write what changed as polygons, STEM_change.gpkg or STEM_change.geojson."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output files of an earlier run.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Compare two label maps of the same place: what changed, where, and how many hectares.

    Writes STEM_change.tif, STEM_transitions.csv and STEM_change.json, with the STEM of the second map. No endpoint is
    invoked.

    Errors of both maps look like change: use --min-confidence and --min-size.
    """
    for option, given in (
        ("--before-confidence", before_confidence),
        ("--after-confidence", after_confidence),
    ):
        if given is not None and min_confidence is None:
            raise typer.BadParameter("This option needs --min-confidence.", param_hint=option)
    if min_confidence is not None and not math.isfinite(min_confidence):
        raise typer.BadParameter("It must be a number from 0 to 100.", param_hint="--min-confidence")
    with reporting(debug):
        from core.tiles.change import ChangeFiles, ChangeRequest, compare, open_labels, stem
        from core.tiles.polygons import check_polygons

        maps = open_labels(before), open_labels(after)
        confidences = None
        if min_confidence is not None:
            confidences = (
                _confidence(before, maps[0], before_confidence, "--before-confidence"),
                _confidence(after, maps[1], after_confidence, "--after-confidence"),
            )
        files = ChangeFiles.of(out, stem(after))
        outlines = None if polygons is None else files.map.with_suffix(f".{polygons}")
        if outlines is not None:
            check_polygons(maps[0].scene)
            if outlines.exists() and not overwrite:
                raise InputError(
                    f"{outlines} already exists.",
                    why="Files are only overwritten if you ask for it.",
                    todo="Choose another folder, or use --overwrite to replace.",
                )
        request = ChangeRequest(*maps, confidences, min_confidence or 0.0, min_size)
        notes = list(_notes(request))
        for note in notes:
            say(note)
        make_folder(out)
        with progress() as bar:
            line = bar.add_task("Comparing", total=2 * maps[0].scene.height)
            result = compare(
                request, files, overwrite=overwrite, advance=lambda rows: bar.advance(line, rows)
            )
        row = _summary(request, result, files, notes)
        row["polygons"] = _polygons(result, files, outlines, overwrite=overwrite)
        _save(row, files, overwrite=overwrite)
        if as_json:
            print_json(**row)
        else:
            _show(result, files)


def _confidence(path: Path, labels: LabelMap, given: Path | None, option: str) -> LabelMap:
    """Open the confidence of a label map. Raises InputError."""
    from core.tiles.change import confidence_beside, open_confidence

    if given is None:
        given = confidence_beside(path)
        if not given.exists():
            raise InputError(
                f"{path} has no confidence: {given} does not exist.",
                why="--min-confidence needs the confidence of both maps; `--format mask` writes none.",
                todo=f"Name it with {option}, or leave out --min-confidence.",
            )
        say(f"The confidence of {path} is {given}.")
    return open_confidence(given, labels)


def _polygons(
    result: Change, files: ChangeFiles, path: Path | None, *, overwrite: bool
) -> dict[str, Any] | None:
    """Write the polygons, if they were asked for; return a row on them. Raises InputError."""
    from core.inference.batch import printable
    from core.tiles.change import write_change_polygons

    if path is None:
        return None
    made = write_change_polygons(result, files, path, overwrite=overwrite)
    say(f"{plural(made.polygons, 'polygon')} in {path}.")
    return {"file": printable(str(path)), "polygons": made.polygons, "vertices": made.vertices}


def _notes(request: ChangeRequest) -> Iterator[str]:
    """Yield what limits the comparison."""
    from core.tiles.change import COARSE, ERRORS_LOOK_LIKE_CHANGE, pixel_ratio

    before, after = request.before, request.after
    ratio = 1.0 if request.same_grid else pixel_ratio(before.scene, after.scene)
    if ratio >= COARSE:
        yield (
            f"A pixel of {before.scene.name} is {ratio:.1f} pixels of {after.scene.name} wide: the one in its middle "
            "decides. Resample the finer map first, for example with gdalwarp -r mode -tr."
        )
    if not request.same_grid:
        yield (
            f"{after.scene.name} was put on the grid of {before.scene.name} (nearest pixel): borders of classes may "
            "move by up to a pixel, which looks like change."
        )
    for labels, other in ((before, after), (after, before)):
        if labels.classes is None:
            names = "those of the other map are used" if other.classes else "they are numbered"
            yield f"{labels.scene.name} has no class names: {names}."
    missing = [
        name
        for name, given in (("--min-confidence", request.confidences), ("--min-size", request.min_size > 1))
        if not given
    ]
    yield ERRORS_LOOK_LIKE_CHANGE + (f" Not used: {' and '.join(missing)}." if missing else "")


def _summary(request: ChangeRequest, result: Change, files: ChangeFiles, notes: list[str]) -> dict[str, Any]:
    from core.inference.batch import printable

    confidences = request.confidences or (None, None)
    if not result.on_the_ground:
        notes.append("Areas are in pixels: the maps have no place on the earth.")
        say(notes[-1])
    return {
        "before": printable(str(request.before.scene.path)),
        "after": printable(str(request.after.scene.path)),
        "before_confidence": None if confidences[0] is None else printable(str(confidences[0].scene.path)),
        "after_confidence": None if confidences[1] is None else printable(str(confidences[1].scene.path)),
        "min_confidence_percent": request.min_confidence if request.confidences else None,
        "min_size_pixels": request.min_size,
        "resampled": not request.same_grid,
        **result.to_dict(),
        "notes": notes,
        "files": {
            kind: printable(str(path))
            for kind, path in (
                ("map", files.map), ("transitions", files.transitions), ("json", files.summary),
            )
        },
    }  # fmt: skip


def _save(row: dict[str, Any], files: ChangeFiles, *, overwrite: bool) -> None:
    from core.escaping import json_bytes
    from core.inference.export import write_new

    write_new(files.summary, json_bytes(row), overwrite=overwrite)


def _show(result: Change, files: ChangeFiles) -> None:
    """Print the map with the changed share, the largest changes, and what was left out."""
    from core.tiles.areas import HECTARE

    def area(m2: float | None) -> str:
        return "" if m2 is None else f" ({m2 / HECTARE:,.2f} ha)"

    share = percent(result.changed / result.compared if result.compared else None)
    write(f"{files.map}  changed: {share} of {plural(result.compared, 'pixel')}{area(result.changed_m2)}")
    changes = [row for row in result.rows() if row["changed"]]
    for row in changes[:LARGEST_SHOWN]:
        write(f"{row['from']} to {row['to']}: {plural(row['pixels'], 'pixel')}{area(row['m2'])}")
    if len(changes) > LARGEST_SHOWN:
        write(f"{plural(len(changes) - LARGEST_SHOWN, 'more change')} in {files.transitions}")
    write(
        f"Left out: {plural(result.uncertain, 'pixel')} not confident, {result.small:,} in small patches, "
        f"{result.none:,} without a class in both maps."
    )
