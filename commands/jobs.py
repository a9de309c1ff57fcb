"""The commands `jobs ...`: list, show, follow and stop training jobs. `commands.launch` has those that start one."""

# ruff: noqa: PLC0415 - each command imports what it needs, so that --help is fast

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from commands import launch as launching
from commands.common import (
    AsJson,
    CommandGroup,
    Debug,
    connected,
    iso,
    label,
    open_backend,
    print_json,
    print_table,
    reporting,
    say,
    write,
)
from commands.follow import follow_to_end, print_events
from commands.plans import DryRun, Yes, confirm_and_execute
from core.errors import AwsError, DeniedError, RejectedError
from core.text import plural

if TYPE_CHECKING:
    from core.aws.connection import Clients
    from core.cost.training import PriceTable
    from core.training.curves import MetricSeries
    from core.training.filters import JobFilter
    from core.training.job import TrainingJob

MOST_COMPARED = 6
LAST_LINES = 200

LABELS = {
    "arn": "ARN",
    "mean_iou": "mean IoU",
    "seconds": "duration (s)",
    "remaining_seconds": "time left (s)",
    "cost_usd": "cost",
    "max_runtime_seconds": "maximum run time (s)",
    "training_seconds": "training time (s)",
    "billable_seconds": "billable time (s)",
    "checkpoint_uri": "checkpoints",
    "role_arn": "role ARN",
    "model_uri": "model URI",
}
"""How people read keys of the JSON document."""

jobs = CommandGroup(help="Launch, monitor, compare and stop training jobs.")
jobs.command("launch")(launching.launch)
jobs.command("clone")(launching.clone)

Name = Annotated[str, typer.Argument(metavar="JOB", help="Training job name.")]
Sort = Literal["created", "modified", "name", "status"]


@jobs.command("list")
def list_jobs(
    *,
    status: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATUS",
            help="InProgress, Completed, Failed, Stopping or Stopped; repeat for several.",
        ),
    ] = None,
    text: Annotated[str, typer.Option(metavar="TEXT", help="Only jobs whose name contains this text.")] = "",
    created_from: Annotated[
        str,
        typer.Option(
            "--from", metavar="DAY", help="Only jobs created on or after this day, for example 2026-11-22."
        ),
    ] = "",
    created_to: Annotated[
        str, typer.Option("--to", metavar="DAY", help="Only jobs created on or before this day.")
    ] = "",
    every: Annotated[bool, typer.Option("--all", help="Include jobs of other algorithms.")] = False,
    sort: Annotated[Sort, typer.Option(help="Sort by this field.")] = "created",
    ascending: Annotated[
        bool, typer.Option("--ascending", help="Sort in ascending order: oldest, or A, first.")
    ] = False,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="Maximum number of jobs.")] = 50,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List training jobs with status, mean IoU, duration and cost, newest first."""
    query = {
        "status": ",".join(status or ()),
        "text": text,
        "from": created_from,
        "to": created_to,
        "all": "1" if every else "",
        "sort": sort,
        "desc": "0" if ascending else "1",
    }
    with reporting(debug):
        job_filter = _filter(query)
        with connected() as clients:
            from core.aws.prices import prices
            from core.aws.training import all_jobs

            listing = all_jobs(clients, job_filter, pages=-(-limit // 100))
            table = prices(clients)
            left = _seconds_left(clients, listing.jobs[:limit])
        rows = [_summary(job, table, left) for job in listing.jobs[:limit]]
        complete = listing.complete and len(rows) == len(listing.jobs)
        if as_json:
            notes = list(listing.notes)
            print_json(
                jobs=rows, total=listing.total, complete=complete, notes=notes, prices=table.attribution
            )
            return
        print_table("Training jobs", [_table_row(row, sandbox=table.sandbox) for row in rows])
        _say_what_prices_are(table)
        for note in listing.notes:
            say(note)
        if job_filter.only_segmentation and not any(job.summary for job in listing.jobs):
            say("Jobs of other algorithms are not listed. To list them, add --all.")
        if not complete:
            total = f" ({listing.total} in total)" if listing.total else ""
            say(f"There are more jobs{total}. To list them, raise --limit.")


@jobs.command()
def show(name: Name, as_json: AsJson = False, debug: Debug = False) -> None:
    """Show one job: status, settings, metrics, cost and, if it failed, the diagnosis."""
    with reporting(debug):
        with connected() as clients:
            from core.aws.prices import prices
            from core.aws.training import describe_job
            from core.training.diagnosis import diagnose

            job = describe_job(clients, name)
            lines = _last_lines(clients, name) if job.status == "Failed" else None
            cuts = _interruptions(clients, job)
            table = prices(clients)
            left = _seconds_left(clients, [job])
        for note in job.notes:
            say(note)
        diagnosis = diagnose(job, lines)
        document = _summary(job, table, left) | _details(job) | {"interruptions": cuts}
        document["diagnosis"] = (
            {
                "title": diagnosis.title,
                "cause": diagnosis.cause,
                "todo": diagnosis.todo,
                "evidence": diagnosis.evidence,
            }
            if diagnosis
            else None
        )
        if as_json:
            print_json(**document, prices=table.attribution)
        else:
            _print_details(document, sandbox=table.sandbox)
            _say_what_prices_are(table)


@jobs.command()
def curves(
    names: Annotated[list[str], typer.Argument(metavar="JOB", help="Names of one to six jobs.")],
    *,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show the training metrics of jobs by epoch, and the best mean IoU."""
    names = list(dict.fromkeys(names))
    if len(names) > MOST_COMPARED:
        raise typer.BadParameter(f"{len(names)} jobs are given; at most {MOST_COMPARED} can be compared.")
    with reporting(debug):
        notes: list[str] = []
        with connected() as clients:
            from core.aws.metrics import curves as read_curves
            from core.aws.training import describe_job

            jobs = [describe_job(clients, name) for name in names]
            by_job = read_curves(clients, jobs, notes=notes)
        series_by_name = {name: by_job[job.name] for name, job in zip(names, jobs, strict=True)}
        for note in notes:
            say(note)
        if as_json:
            documents = {name: [_series(series) for series in series_by_name[name]] for name in names}
            print_json(jobs=documents, notes=notes)
            return
        for name in names:
            _print_curves(name, series_by_name[name], unread=bool(notes))


@jobs.command()
def logs(
    name: Name,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing new lines until the job ends.")
    ] = False,
    lines: Annotated[
        int,
        typer.Option(
            "--lines", "-n", metavar="N", min=1, max=10_000, help="Number of lines, from the end of the log."
        ),
    ] = 100,
    every: Annotated[bool, typer.Option("--all", help="Print the whole log.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document per line.")] = False,
    debug: Debug = False,
) -> None:
    """Print the log of a job. Ctrl-C ends --follow and does not stop the job."""
    with reporting(debug), open_backend() as backend:
        from core.aws.logs import all_events, tail
        from core.aws.training import describe_job

        if follow:
            follow_to_end(backend, name, lines=lines, as_json=as_json)
            return
        if every:
            log = all_events(backend.clients, name)
            print_events(log.events, as_json)
            if not log.complete:
                say(f"Printed the first {plural(len(log.events), 'line')} only; the log has more.")
            return
        page = tail(backend.clients, name, limit=lines)
        print_events(page.events, as_json)
        if page.cut and len(page.events) < lines:
            say(f"Printed the last {plural(len(page.events), 'line')} only; for older ones, add --all.")
        if not page.has_log:
            job = describe_job(backend.clients, name)
            missing = "has no log yet" if job.running else "has no log"
            expired = " It may have expired, or the container wrote nothing." if _log_gone(job) else ""
            say(f"The job {name} {missing}. Status: {job.status}.{expired}")


@jobs.command()
def stop(
    name: Name,
    *,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Stop a job. The model trained up to then is kept in S3."""
    with reporting(debug), connected() as clients:
        from core.aws.training import describe_job
        from core.plans.plan import plan_stop

        plan = plan_stop(describe_job(clients, name))
        if confirm_and_execute(clients, plan, yes=yes, dry_run=dry_run, as_json=as_json):
            say(f"The job {name} is stopping.")


# Output.


def _filter(query: dict[str, str]) -> JobFilter:
    """Return the filter of these options. Raises BadParameter for a value that a page would ignore."""
    from core.training.filters import JobFilter

    job_filter = JobFilter.from_query(query)
    if job_filter.notes:
        raise typer.BadParameter(" ".join(job_filter.notes))
    return job_filter


def _log_gone(job: TrainingJob) -> bool:
    """Return whether a job without a log has run, so that it had one."""
    return not job.running and job.container_ran


def _last_lines(clients: Clients, name: str) -> list[str] | None:
    """Return the last lines of a job's log; None, after saying why, where it cannot be read."""
    from core.aws.logs import tail

    try:
        return [event.message for event in tail(clients, name, limit=LAST_LINES).events]
    except (DeniedError, RejectedError) as error:
        say(f"The log was not read. {error}")
        return None


def _seconds_left(clients: Clients, jobs: Sequence[TrainingJob]) -> dict[str, float]:
    """Return running job -> seconds until its last epoch, for those where that is known; say what was not read."""
    from core.aws.metrics import sparklines
    from core.training.eta import seconds_left

    running = [job for job in jobs if job.running and not job.summary]
    if not running:
        return {}
    try:
        curves = sparklines(clients, running)
    except AwsError as error:
        say(f"The time left of running jobs is unknown. {error}")
        return {}
    now = datetime.now(UTC)
    by_job = {job.name: seconds_left(job, curves.get(job.name), now) for job in running}
    return {name: seconds for name, seconds in by_job.items() if seconds is not None}


def _summary(job: TrainingJob, prices: PriceTable, left: Mapping[str, float]) -> dict[str, Any]:
    """Return one row of the JSON document. left: job name -> seconds until its last epoch."""
    from core.cost.training import training_cost
    from core.training.curves import MIOU

    now = datetime.now(UTC)
    cost = training_cost(job, prices, now)
    return {
        "name": job.name,
        "status": job.status,
        "secondary_status": job.secondary_status,
        "mean_iou": job.final_metrics.get(MIOU),
        "instance_type": job.instance_type,
        "spot": None if job.summary else job.spot,
        "seconds": None if job.summary else round(job.seconds(now)),
        "remaining_seconds": round(left[job.name]) if job.name in left else None,
        "cost_usd": str(cost.so_far.usd) if cost.so_far else None,
        "created_at": iso(job.created_at),
    }


def _table_row(row: dict[str, Any], *, sandbox: bool) -> dict[str, str]:
    """Return the cells that fit into a line of a terminal."""
    from core.cost.training import cost_label
    from core.text import clock_duration

    return {
        "name": row["name"],
        "status": row["status"]
        if row["status"] == row["secondary_status"]
        else f"{row['status']}: {row['secondary_status']}",
        "mean IoU": "" if row["mean_iou"] is None else f"{row['mean_iou']:.3f}",
        "instance": row["instance_type"] + (" spot" if row["spot"] else ""),
        "duration": "" if row["seconds"] is None else clock_duration(row["seconds"]),
        "left": _left(row),
        cost_label("cost", sandbox=sandbox): _cost(row["cost_usd"]),
        "created": f"{datetime.fromisoformat(row['created_at']).astimezone():%Y-%m-%d %H:%M}",
    }


def _say_what_prices_are(table: PriceTable) -> None:
    """Report that the prices of the sandbox are estimates."""
    from core.cost.training import SANDBOX_NOTE

    if table.sandbox:
        say(SANDBOX_NOTE)


def _interruptions(clients: Clients, job: TrainingJob) -> list[dict[str, Any]]:
    """Return when a spot job was interrupted and where it resumed, by its log."""
    from core.aws.logs import all_events
    from core.training.interruptions import interruptions

    if not any(step.status == "Interrupted" for step in job.transitions):
        return []
    try:
        events = all_events(clients, job.name).events
    except (DeniedError, RejectedError) as error:
        say(f"The log was not read, so it is unknown where the job resumed. {error}")
        events = ()
    return [
        {
            "at": iso(cut.at),
            "resumed_at": iso(cut.resumed_at),
            "next_epoch": cut.next_epoch,
            "checkpoint": cut.checkpoint,
            "outcome": cut.outcome,
        }
        for cut in interruptions(job, events)
    ]


def _left(row: Mapping[str, Any]) -> str:
    """Return the time left of a running job; empty for a job that has ended."""
    from core.text import clock_duration

    if row["status"] not in ("InProgress", "Stopping"):
        return ""
    return "unknown" if row["remaining_seconds"] is None else clock_duration(row["remaining_seconds"])


def _details(job: TrainingJob) -> dict[str, Any]:
    """Return what `show` adds to the row of `list`."""
    from core.cost.training import spot_saving

    saving = spot_saving(job)
    return {
        "arn": job.arn,
        "failure_reason": job.failure_reason,
        "started_at": iso(job.started_at),
        "ended_at": iso(job.ended_at),
        "max_runtime_seconds": job.max_runtime_seconds,
        "training_seconds": job.training_seconds,
        "billable_seconds": job.billable_seconds,
        "spot_saving": None if saving is None else round(saving, 4),
        "checkpoint_uri": job.checkpoint_uri or None,
        "image": job.image,
        "role_arn": job.role_arn,
        "channels": {channel.name: channel.uri for channel in job.channels},
        "model_uri": job.model_uri,
        "final_metrics": dict(job.final_metrics),
        "hyperparameters": dict(job.hyperparameters),
        "transitions": [
            {"status": step.status, "started_at": iso(step.started_at), "message": step.message}
            for step in job.transitions
        ],
    }


def _print_details(document: dict[str, Any], *, sandbox: bool) -> None:
    """Print name and value on a line each; a list or a mapping takes a line per entry."""
    from core.cost.training import cost_label

    for name, value in document.items():
        if name == "remaining_seconds" and value is None and document["status"] == "InProgress":
            write(f"{label(name, LABELS)}: unknown")
        if value is None or name in ("transitions", "diagnosis", "interruptions"):
            continue
        if isinstance(value, dict):
            write(f"{label(name, LABELS)}:")
            for key, text in value.items():
                write(f"  {key}: {text}")
        else:
            shown = cost_label(label(name, LABELS), sandbox=sandbox and name == "cost_usd")
            write(f"{shown}: {_cell(name, value)}")
    write("transitions:")
    for step in document["transitions"]:
        write(f"  {step['started_at']}  {step['status']}  {step['message']}")
    if document["interruptions"]:
        write("interruptions:")
    for cut in document["interruptions"]:
        write(f"  {cut['at']}  {cut['outcome']}")
    diagnosis = document["diagnosis"]
    if diagnosis:
        write(f"diagnosis: {diagnosis['title']}")
        for name in ("cause", "todo", "evidence"):
            write(f"  {diagnosis[name]}")


def _series(series: MetricSeries) -> dict[str, Any]:
    """Return a metric for JSON, with null for NaN."""
    from core.training.curves import best_epoch

    best = best_epoch(series, lowest=series.name.endswith("loss"))
    return {
        "name": series.name,
        "unit": series.unit,
        "source": series.source,
        "times": [None if text == "NaT" else f"{text}Z" for text in map(str, series.times)],
        "epochs": None if series.epochs is None else series.epochs.tolist(),
        "values": [value if math.isfinite(value) else None for value in series.values.tolist()],
        "best": {"epoch": best.epoch, "value": best.value} if best else None,
    }


def _print_curves(name: str, curves_of_job: tuple[MetricSeries, ...], *, unread: bool) -> None:
    """Print a row per epoch and a column per metric. The model that is deployed is that of the best mean IoU.

    unread: whether a source of metrics could not be read, so that no metrics does not mean that there are none.
    """
    from core.training.curves import MIOU, best_epoch, named, notes

    cells: dict[int, dict[str, str]] = {}
    for series in curves_of_job:
        for index, value in enumerate(series.values.tolist()):
            cells.setdefault(series.epoch_at(index), {})[series.name] = f"{value:.4g}"
    rows = [
        {"epoch": str(epoch), **{series.name: cells[epoch].get(series.name, "") for series in curves_of_job}}
        for epoch in sorted(cells)
    ]
    empty = f"The metrics of {name} could not be read." if unread else f"No metrics for {name} yet."
    sources = ", ".join(dict.fromkeys(series.source for series in curves_of_job))
    print_table(f"{name} (from {sources})" if sources else name, rows, empty=empty)
    miou = named(curves_of_job, MIOU)
    best = best_epoch(miou) if miou else None
    if best:
        write(f"Best mean IoU: {best.value:.3f} at epoch {best.epoch}.")
    for series in curves_of_job:
        for note in notes(series):
            say(note)


def _cell(name: str, value: Any) -> Any:
    """Return a value of the JSON document as people read it."""
    if name == "cost_usd":
        return _cost(value)
    return f"{value:.0%}" if name == "spot_saving" else value


def _cost(usd: str | None) -> str:
    from decimal import Decimal

    from core.cost.training import Money

    return "unknown" if usd is None else str(Money(Decimal(usd)))
