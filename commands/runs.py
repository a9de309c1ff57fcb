"""The commands `runs ...`: list, show and delete the stored runs of the dashboard."""

# ruff: noqa: PLC0415 - each command imports what it needs, so that --help is fast

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.common import (
    AsJson,
    CommandGroup,
    Debug,
    label,
    print_json,
    print_table,
    reporting,
    say,
    write,
)
from commands.plans import confirm, runs_dir
from core.errors import InputError, SettingsError
from core.settings import Settings
from core.text import listing, percent, plural

if TYPE_CHECKING:
    from core.runs.run import Run
    from core.runs.store import RunStore

LEAST_BEGINNING = 4
"""The least characters of an ID that name a run."""

SHOWN_ID = 12
"""Characters of an ID in the table: enough to name the run."""

LABELS = {"id": "ID", "mean_iou": "mean IoU", "started_at": "started"}
"""How people read keys of the JSON document."""

runs = CommandGroup(help="List, show and delete the dashboard's stored segmentations and evaluations.")

RunId = Annotated[str, typer.Argument(metavar="RUN", help="ID of the run, or its beginning.")]


@runs.command("list")
def list_runs(
    *,
    search: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Only runs with these words in a file name, the endpoint, the model or the user.",
        ),
    ] = "",
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="Maximum number of runs.")] = 50,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List stored runs with endpoint, images and mean IoU, newest first."""
    with reporting(debug):
        from core.runs.run import summary

        stored = _store().all()
        matching = [run for run in stored.runs if run.matches(search)]
        for name in stored.unreadable:
            say(f"Skipped {name}: it was not written by this version of Segdeck, or it is damaged.")
        if as_json:
            print_json(runs=[summary(run) for run in matching[:limit]], total=len(matching))
            return
        print_table("Runs", [_row(run) for run in matching[:limit]])
        if len(matching) > limit:
            say(f"There are {plural(len(matching), 'run')}. To list them, raise --limit.")


@runs.command()
def show(run: RunId, as_json: AsJson = False, debug: Debug = False) -> None:
    """Show one run: who, when, endpoint, model, scores, and the result of each image."""
    with reporting(debug):
        from core.runs.run import image_rows, summary

        found = _run(_store(), run)
        if as_json:
            print_json(**summary(found), results=image_rows(found))
            return
        document = summary(found)
        for key in ("id", "kind", "started_at", "user", "location", "dataset", "output"):
            if document[key] is not None:
                write(f"{label(key, LABELS)}: {document[key]}")
        for endpoint in found.endpoints:
            write(f"endpoint: {endpoint.name}, model {endpoint.model_uri or 'unknown'}")
        if found.kind == "evaluation":
            write(f"images: {found.done}, failed: {found.failures}")
            print_table("Scores", _score_rows(found))
        else:
            print_table("Images", [_image_row(row) for row in image_rows(found)])


@runs.command()
def delete(
    run: RunId,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without confirmation.")] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Delete one run with its images, responses and scores, after confirmation."""
    with reporting(debug):
        from core.runs.run import summary

        store = _store()
        found = _run(store, run)
        say(
            f"Delete the {found.kind} {found.id} of {plural(found.total, 'image')} with {_endpoints(found)}. "
            "Its link stops working, and its images are billed if they are segmented again."
        )
        confirm(yes=yes)
        store.delete(found.id)
        if as_json:
            print_json(**summary(found), deleted=True)
        else:
            write(f"Deleted {found.id}.")


def _store() -> RunStore:
    from core.runs.store import RunStore

    settings = Settings.from_environ(os.environ)
    if not settings.results_bytes:
        raise SettingsError(
            "No runs are stored: SEGDECK_RESULTS_MB is 0.",
            todo="Set it to the megabytes of disk space that runs may use.",
        )
    return RunStore(runs_dir(), settings.results_bytes, lambda: datetime.now(UTC))


def _run(store: RunStore, beginning: str) -> Run:
    """Return the run whose ID begins like this. Raises InputError where there is none, or more than one."""
    matching = [run for run in store.all().runs if run.id.startswith(beginning)]
    if len(beginning) < LEAST_BEGINNING or not matching:
        return store.get(beginning)
    if len(matching) > 1:
        raise InputError(
            f"{len(matching)} runs begin with {beginning}: {listing([run.id for run in matching])}.",
            todo="Add more characters of the ID.",
        )
    return matching[0]


def _row(run: Run) -> dict[str, str]:
    return {
        "ID": run.id[:SHOWN_ID],
        "started": f"{run.started_at:%Y-%m-%d %H:%M} UTC",
        "type": run.kind,
        "endpoint": _endpoints(run),
        "images": f"{run.done} of {run.total}",
        "mean IoU": percent(run.mean_iou),
        "content": run.title or listing([image.name for image in run.images], 1),
        "by": run.user or "unknown",
    }


def _endpoints(run: Run) -> str:
    return " vs. ".join(endpoint.name for endpoint in run.endpoints)


def _image_row(row: dict[str, Any]) -> dict[str, str]:
    classes = ", ".join(f"{area['name']} {area['share']:.1%}" for area in row["classes"])
    return {
        "image": row["name"],
        "state": row["state"],
        "classes": row["error"] or classes,
        "mean IoU": percent(row["mean_iou"]),
        "seconds": "" if row["seconds"] is None else f"{row['seconds']:.2f}",
    }


def _score_rows(run: Run) -> list[dict[str, str]]:
    from core.imaging.scores import MEASURES

    return [
        {"score": title}
        | {
            endpoint.name: percent(measures.get(name))
            for endpoint, measures in zip(run.endpoints, run.measures, strict=False)
        }
        for name, (title, _) in MEASURES.items()
    ]
