"""The table of training jobs and the metrics row above it, and the tables that compare several jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
import streamlit as st

from core.aws.connection import Connection
from core.aws.training import MAX_PAGES, JobList
from core.cost.training import SANDBOX_NOTE, Money, PriceTable, cost_label, total, training_cost
from core.errors import CoreError
from core.text import duration, plural
from core.training.curves import LOSS, MIOU, PIXEL_ACCURACY, MetricSeries, best_epoch, epochs_done, named
from core.training.eta import seconds_left
from core.training.filters import PAGE, JobFilter
from core.training.hyperparameters import clean, effective
from core.training.job import SECONDARY_WORDS, STATUS_WORDS, TrainingJob, status_in_words
from pages.parts import cached, elements, formatting, links, messages, state
from pages.parts.jobs import slots
from pages.parts.row_links.row_links import row_links
from pages.parts.shared_cache import PendingError

ROW, HEADER, ROWS = 37, 39, 12
"""Heights in pixels of a row and of the header, and how many rows are visible before the table scrolls."""

OPEN = "name"
"""The column whose cells open the job."""

ENDED_COLORS = {"Completed": "green", "Failed": "red", "Stopped": "gray"}
"""The colors of final statuses. All others are in progress: blue."""

INTERRUPTED = ("Interrupted", "MaxRuntimeExceeded", "MaxWaitTimeExceeded")
"""Secondary statuses that need attention: orange."""

MAX_POINTS = 60
"""Points in a sparkline, which is about 100 pixels wide."""


def open_clicked() -> None:
    """Open the page of the job whose name was just clicked, whichever rows the table has by now."""
    if (name := slots.CLICKED.pop()) is not None:
        links.open_page(links.TRAINING_JOB, {state.JOB: name})


def show(connection: Connection, jobs: Sequence[TrainingJob], now: datetime) -> None:
    """Draw the table. `open_clicked` opens the job whose name is clicked."""
    names = tuple(job.name for job in jobs)
    # Streamlit identifies selected rows and clicked cells by position, so another order of rows gets another key.
    key = f"jobs-{crc32(','.join(names).encode())}"
    compared = slots.compared()
    elements.dataframe(
        _prepared(jobs, _sparklines(connection, jobs), cached.prices(connection), now),
        column_config=jobs_columns(
            sandbox=connection.is_sandbox, key=f"{key}-open", on_click=_click, args=(f"{key}-open", names)
        ),
        hide_index=True,
        row_height=ROW,
        placeholder="–",
        height=HEADER + ROW * min(len(jobs), ROWS),
        key=key,
        selection_mode="multi-row",
        selection_default={"selection": {"rows": [n for n, name in enumerate(names) if name in compared]}},
        on_select=lambda: _select(key, names),
        alt="Training jobs, newest first",
    )
    row_links(names, links.TRAINING_JOB, state.JOB, "job", key="jobs-links")


def offer_more(listed: JobList) -> None:
    """Draw how many jobs are shown of how many, and a button that shows the next hundred."""
    if listed.complete:
        return
    total = f" of {listed.total:,}" if listed.total else ""
    pages = slots.pages()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f"Showing the newest {len(listed.jobs):,}{total} jobs. Filters search all of them.")
        if pages < MAX_PAGES:
            st.button(f"Show {PAGE} more", type="tertiary", on_click=slots.show_pages, args=(pages + 1,))


def _click(key: str, names: tuple[str, ...]) -> None:
    """Note the job in the clicked row. names: of the rows that the user saw, which a refresh may replace."""
    row = state.clicked_row(key)
    if row is not None and row < len(names):
        slots.CLICKED.keep(names[row])


def _select(key: str, names: tuple[str, ...]) -> None:
    """Compare the selected jobs, and those that a link named and this table does not list."""
    others = [name for name in slots.compared() if name not in names]
    slots.compare([*others, *(names[row] for row in state.ticked_rows(key))])


def _sparklines(connection: Connection, jobs: Sequence[TrainingJob]) -> dict[str, MetricSeries] | None:
    """Return each job's validation mean IoU; None where it cannot be read, after drawing why."""
    try:
        curves = cached.sparklines(connection, jobs)
    except PendingError as pending:
        messages.waiting_line(pending)
        return None
    except CoreError as error:
        st.caption(f":material/show_chart: {messages.line(error)}")
        return None
    if curves.failure is not None:
        st.caption(f":material/show_chart: Curves last updated {formatting.moment(curves.at)}.")
    return curves.value.found


def _prepared(
    jobs: Sequence[TrainingJob], curves: Mapping[str, MetricSeries] | None, prices: PriceTable, now: datetime
) -> elements.PreparedTable:
    """Return the table of these readings, built once for all viewers."""
    return cached.derived().get(
        "jobs table",
        (jobs, curves, prices),
        lambda: elements.prepared(jobs_frame(jobs, curves, prices, now)),
        now,
    )


def jobs_frame(
    jobs: Sequence[TrainingJob],
    curves: Mapping[str, MetricSeries] | None,
    prices: PriceTable,
    now: datetime,
) -> pd.DataFrame:
    """Return one row per job, in the order of the jobs.

    curves: job name -> its validation mean IoU, for the jobs that have one; None where they could not be read.
    now:    when the jobs were read, so that a snapshot always gives equal rows, which are not sent again.
    """
    epochs = [(None, None) if curves is None else _epochs(job, curves.get(job.name)) for job in jobs]
    curves = curves or {}
    costs = [training_cost(job, prices, now).so_far for job in jobs]
    return pd.DataFrame(
        {
            OPEN: [job.name for job in jobs],
            "status": [[status_label(job)] for job in jobs],
            "progress": pd.Series([share for share, _ in epochs], dtype="float64"),
            "epoch": [text for _, text in epochs],
            "line": [sparkline(curves.get(job.name)) for job in jobs],
            "best": pd.Series([best_miou(job, curves.get(job.name)) for job in jobs], dtype="float64"),
            "left": [_left(job, curves.get(job.name), now) for job in jobs],
            "duration": [duration(job.seconds(now)) if job.started_at else None for job in jobs],
            "cost": pd.Series([None if cost is None else float(cost.usd) for cost in costs], dtype="float64"),
            "created": [job.created_at for job in jobs],
            "instance": [_instance(job) for job in jobs],
        }
    )


def jobs_columns(*, sandbox: bool = False, **button: Any) -> dict[str, Any]:
    """Return the configuration of the columns of `jobs_frame`. button: options of the column that opens a job."""
    column = st.column_config
    labels, colors = status_labels()
    return {
        OPEN: column.ButtonColumn(
            "Job", type="tertiary", alignment="left", pinned=True, width=215, help="Open the job", **button
        ),
        "status": column.MultiselectColumn("Status", options=labels, color=colors, width=180),
        "progress": column.ProgressColumn(
            "Progress", format=" ", min_value=0, max_value=1, width=80, help="Share of the epochs completed"
        ),
        "epoch": column.TextColumn("Epoch", width=75, alignment="right"),
        "line": column.LineChartColumn(
            "Mean IoU",
            y_min=0,
            y_max=1,
            width=75,
            help="Validation mean IoU by epoch, on a scale from 0 to 1",
        ),
        "best": column.NumberColumn("Best", format="%.3f", width=60, help=BEST),
        "left": column.TextColumn("Time left", width=95, alignment="right", help=LEFT),
        "duration": column.TextColumn("Duration", width=95, alignment="right"),
        "cost": column.NumberColumn(
            cost_label("Cost", sandbox=sandbox),
            format="dollar",
            width=80 if sandbox else 70,
            help=cost_help(sandbox=sandbox),
        ),
        "created": column.DatetimeColumn("Created", format="distance", width=110),
        "instance": column.TextColumn("Instance", width=150),
    }


BEST = "Highest validation mean IoU. An endpoint serves the model of that epoch, not of the last one."
LEFT = "Estimated from the epochs completed so far. Early stopping can end a job sooner."
COST = "AWS charges so far at the on-demand price per hour; for spot jobs, after the discount."


def cost_help(*, sandbox: bool) -> str:
    """Return the help of a column of costs."""
    return f"{SANDBOX_NOTE} On-demand; for spot jobs, after the discount." if sandbox else COST


def status_label(job: TrainingJob) -> str:
    """Return a job's status in a few words."""
    return _short(status_in_words(job))


def sparkline(series: MetricSeries | None) -> list[float] | None:
    """Return the finite values of a series, thinned to at most `MAX_POINTS`; None without a series."""
    if series is None:
        return None
    values = series.values[np.isfinite(series.values)]
    every = -(-values.size // MAX_POINTS) or 1
    points: list[float] = values[::every].round(4).tolist()
    return points


def best_miou(job: TrainingJob, series: MetricSeries | None) -> float | None:
    """Return the best validation mean IoU; without a curve, the final value that AWS reports."""
    best = best_epoch(series) if series is not None else None
    return best.value if best is not None else job.final_metrics.get(MIOU)


def best_frame(
    jobs: Sequence[TrainingJob],
    curves: Mapping[str, Sequence[MetricSeries]],
    prices: PriceTable,
    now: datetime,
) -> pd.DataFrame:
    """Return the results, duration and cost of each job, one row per job."""
    rows = []
    for job in jobs:
        series = curves.get(job.name, ())
        miou = named(series, MIOU)
        best = best_epoch(miou) if miou is not None else None
        cost = training_cost(job, prices, now).so_far
        rows.append(
            {
                "Color": "",
                "Job": job.name,
                "Best mean IoU": best_miou(job, miou),
                "Best epoch": best.epoch if best else None,
                "Best pixel accuracy": _best(named(series, PIXEL_ACCURACY)),
                "Lowest loss": _best(named(series, LOSS), lowest=True),
                "Duration": duration(job.seconds(now)),
                "Cost": float(cost.usd) if cost else None,
            }
        )
    return pd.DataFrame(rows)


def settings_frame(jobs: Sequence[TrainingJob], *, show_all: bool) -> pd.DataFrame:
    """Return the settings of the jobs, one row per setting and one column per job.

    show_all: also return the settings that are the same for all jobs.
    """
    by_job = [_settings(job) for job in jobs]
    names = list(dict.fromkeys(name for settings in by_job for name in settings))
    rows = {name: [settings.get(name, "–") for settings in by_job] for name in names}
    shown = {name: texts for name, texts in rows.items() if show_all or len(set(texts)) > 1}
    return pd.DataFrame.from_dict(
        shown, orient="index", columns=[job.name for job in jobs], dtype=str
    ).rename_axis("Setting")


def _settings(job: TrainingJob) -> dict[str, str]:
    """Return the effective hyperparameters with defaults filled in, the instance and the channels, as texts."""
    built_in = job.is_semantic_segmentation
    values = effective(job.hyperparameters) if built_in else clean(job.hyperparameters)
    return {
        **values,
        "instance": _instance(job),
        **{f"channel {channel.name}": channel.uri for channel in job.channels},
    }


def _epochs(job: TrainingJob, series: MetricSeries | None) -> tuple[float | None, str | None]:
    """Return the share of epochs completed, 0 to 1, and the text "k of n"; None for both where unknown."""
    if job.epochs is None or not job.is_semantic_segmentation or job.started_at is None:
        return None, None
    done = epochs_done(series) if series is not None else 0
    if not done and not job.running:
        return None, None
    return min(1.0, done / max(1, job.epochs)), f"{done} of {job.epochs}"


def _left(job: TrainingJob, series: MetricSeries | None, now: datetime) -> str | None:
    """Return the time left of a running job as text; None for a job that has ended."""
    if not job.running:
        return None
    seconds = seconds_left(job, series, now)
    return "unknown" if seconds is None else duration(seconds)


def _best(series: MetricSeries | None, *, lowest: bool = False) -> float | None:
    best = best_epoch(series, lowest=lowest) if series is not None else None
    return best.value if best else None


def _instance(job: TrainingJob) -> str:
    count = f"{job.instance_count} × " if job.instance_count > 1 else ""
    return f"{count}{job.instance_type}{' spot' if job.spot else ''}"


def status_labels() -> tuple[list[str], list[str]]:
    """Return every text that `status_label` returns for a known status, and the color of each."""
    colors = dict.fromkeys(map(_short, SECONDARY_WORDS.values()), "blue")
    colors |= {label: ENDED_COLORS.get(status, "blue") for status, label in STATUS_WORDS.items()}
    colors |= {_short(SECONDARY_WORDS[name]): "orange" for name in INTERRUPTED}
    return list(colors), list(colors.values())


def _short(words: str) -> str:
    return words.partition(":")[0].replace("stopped at its maximum", "stopped at max.")


@dataclass(frozen=True, slots=True)
class JobMetrics:
    """The numbers in the metrics row.

    spent:    cost of the jobs created this month whose price is known.
    unpriced: number of jobs created this month whose price is unknown.
    """

    running: int
    failed_today: int
    completed_today: int
    spent: Money
    unpriced: int


def count_jobs(jobs: Sequence[TrainingJob], prices: PriceTable, now: datetime) -> JobMetrics:
    """Count running jobs, those that ended today, and the cost of those created this month.

    now: aware, in the time zone whose midnight begins the day and the month. A job's whole cost counts in the month
         in which it was created.
    """
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    today = [job.status for job in jobs if job.ended_at is not None and job.ended_at >= day]
    costs = {job.name: training_cost(job, prices, now) for job in jobs if job.created_at >= month(now)}
    spent, unpriced = total(costs)
    return JobMetrics(
        running=sum(job.running for job in jobs),
        failed_today=today.count("Failed"),
        completed_today=today.count("Completed"),
        spent=spent,
        unpriced=len(unpriced),
    )


def month(now: datetime) -> datetime:
    """Return when this month began, in the time zone of `now`."""
    return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def metrics_row(connection: Connection, job_filter: JobFilter) -> None:
    """Draw the metrics of all jobs, whatever the filters leave in the table. Raises AwsError."""
    every_job = JobFilter(only_segmentation=job_filter.only_segmentation)
    snapshot = cached.jobs(connection, every_job, slots.pages())
    jobs, prices = snapshot.value.jobs, cached.prices(connection)
    now = snapshot.at.astimezone(formatting.zone())
    counts = cached.derived().get(
        "job counts", (jobs, prices), lambda: count_jobs(jobs, prices, now), now, formatting.zone()
    )
    least = "" if snapshot.value.complete else "≥ "
    partial = None if snapshot.value.complete else f"Counts only the newest {len(jobs):,} jobs."
    incomplete = not snapshot.value.complete and all(job.created_at >= month(now) for job in jobs)
    spent = f"{'≥ ' if incomplete or counts.unpriced else ''}{counts.spent}"
    with st.grid(3, min_column_width=160, gap="small"):
        st.metric(
            "Running", f"{least}{counts.running}", border=True, icon=":material/play_circle:", help=partial
        )
        st.metric(
            "Failed today", f"{least}{counts.failed_today}", border=True, icon=":material/error:",
            help=f"Completed today: {least}{counts.completed_today}. {partial or ''}".rstrip(),
        )  # fmt: skip
        st.metric(
            "AWS price to date" if connection.is_sandbox else "Month to date",
            spent, border=True, icon=":material/payments:",
            help=_cost_help(counts, prices, len(jobs) if incomplete else None),
        )  # fmt: skip


def _cost_help(counts: JobMetrics, prices: PriceTable, counted: int | None) -> str:
    """Return what the amount includes, what it leaves out, and the source of the prices.

    counted: number of jobs that the amount covers, where older jobs of this month may be missing; None: all.
    """
    parts = ["Training jobs created this month."]
    parts += (
        [f"Covers only the newest {counted} jobs. Show more below to include older ones."] if counted else []
    )
    parts += [f"Excludes {plural(counts.unpriced, 'job')} with an unknown price."] if counts.unpriced else []
    return " ".join([*parts, prices.attribution])
