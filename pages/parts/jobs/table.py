"""The list of training jobs and the metrics above it; the same tables for several jobs next to each other."""

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
from core.cost.training import NOTHING, Money, PriceTable, total, training_cost
from core.errors import CoreError
from core.text import duration
from core.training.curves import LOSS, MIOU, PIXEL_ACCURACY, MetricSeries, best_epoch, epochs_done, named
from core.training.filters import PAGE, JobFilter
from core.training.hyperparameters import clean, effective
from core.training.job import SECONDARY_WORDS, STATUS_WORDS, TrainingJob, status_in_words
from pages.parts import cached, elements, formatting, links, messages, state
from pages.parts.jobs import slots
from pages.parts.shared_cache import PendingError

ROW, HEADER, ROWS = 37, 39, 12
"""Heights in pixels, and how many rows are seen before the table scrolls."""

OPEN = "name"
"""The column whose cells open their job."""

ENDED_COLORS = {"Completed": "green", "Failed": "red", "Stopped": "gray"}
"""All other statuses are still under way: blue."""

CUT_SHORT = ("Interrupted", "MaxRuntimeExceeded", "MaxWaitTimeExceeded")
"""Secondary statuses that a person should look at: orange."""

POINTS = 60
"""Points of a sparkline at most; it is 100 pixels wide."""


def show(connection: Connection, jobs: Sequence[TrainingJob], now: datetime) -> None:
    """The table. A click on a name leaves for that job's page."""
    names = tuple(job.name for job in jobs)
    # Streamlit knows ticked rows and clicked cells by their place. So another order of rows is another table.
    key = f"jobs-{crc32(','.join(names).encode())}"
    clicked = state.clicked_row(f"{key}-open")
    if clicked is not None and clicked < len(names):
        links.open_page(links.TRAINING_JOB, {state.JOB: names[clicked]})
    compared = slots.compared()
    elements.dataframe(
        jobs_frame(jobs, _lines(connection, jobs), cached.prices(connection), now),
        column_config=jobs_columns(key=f"{key}-open"),
        hide_index=True,
        row_height=ROW,
        placeholder="–",
        height=HEADER + ROW * min(len(jobs), ROWS),
        key=key,
        selection_mode="multi-row",
        selection_default={"selection": {"rows": [n for n, name in enumerate(names) if name in compared]}},
        on_select=lambda: _tick(key, names),
        alt="Training jobs, newest first",
    )


def offer_more(found: JobList) -> None:
    """How many there are, and a button for the next hundred."""
    if found.complete:
        return
    total = f" of {found.total:,}" if found.total else ""
    pages = slots.pages()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f"The newest {len(found.jobs):,}{total} jobs. Filters look through all of them.")
        if pages < MAX_PAGES:
            st.button(f"Show {PAGE} more", type="tertiary", on_click=slots.show_pages, args=(pages + 1,))


def _tick(key: str, names: tuple[str, ...]) -> None:
    """Compare what is ticked, and what a link named that this table does not hold."""
    others = [name for name in slots.compared() if name not in names]
    slots.compare([*others, *(names[row] for row in state.ticked_rows(key))])


def _lines(connection: Connection, jobs: Sequence[TrainingJob]) -> dict[str, MetricSeries]:
    """The table stands without its curves, too."""
    try:
        curves = cached.sparklines(connection, jobs)
    except PendingError as pending:
        messages.waiting_line(pending)
        return {}
    except CoreError as error:
        st.caption(f":material/show_chart: {messages.line(error)}")
        return {}
    if curves.failure is not None:
        st.caption(f":material/show_chart: The curves are from {formatting.moment(curves.at)}.")
    return curves.value.found


def jobs_frame(
    jobs: Sequence[TrainingJob], lines: Mapping[str, MetricSeries], prices: PriceTable, now: datetime
) -> pd.DataFrame:
    """A row a job, in their order.

    lines: job name -> its validation mIOU, of those that have one.
    now:   when the jobs were read: rows of the same reading are the same, and are not sent again.
    """
    epochs = [_epochs(job, lines.get(job.name)) for job in jobs]
    costs = [training_cost(job, prices, now).so_far for job in jobs]
    return pd.DataFrame(
        {
            OPEN: [job.name for job in jobs],
            "status": [[chip(job)] for job in jobs],
            "progress": pd.Series([share for share, _ in epochs], dtype="float64"),
            "epoch": [said for _, said in epochs],
            "line": [sparkline(lines.get(job.name)) for job in jobs],
            "best": pd.Series([best_miou(job, lines.get(job.name)) for job in jobs], dtype="float64"),
            "duration": [duration(job.seconds(now)) if job.started_at else None for job in jobs],
            "cost": pd.Series([None if cost is None else float(cost.usd) for cost in costs], dtype="float64"),
            "created": [job.created_at for job in jobs],
            "instance": [_instance(job) for job in jobs],
        }
    )


def jobs_columns(**button: Any) -> dict[str, Any]:
    """How the columns of `jobs_frame` look. button: key and callback of the column that opens a job."""
    column = st.column_config
    words, colors = chips()
    return {
        OPEN: column.ButtonColumn(
            "Job", type="tertiary", alignment="left", pinned=True, width=230, help="Opens the job.", **button
        ),
        "status": column.MultiselectColumn("Status", options=words, color=colors, width=180),
        "progress": column.ProgressColumn(
            "Done", format=" ", min_value=0, max_value=1, width=65, help="Share of the epochs."
        ),
        "epoch": column.TextColumn("Epoch", width=75, alignment="right"),
        "line": column.LineChartColumn(
            "mIOU", y_min=0, y_max=1, width=75, help="On the validation data, by epoch, from 0 to 1."
        ),
        "best": column.NumberColumn("Best", format="%.3f", width=60, help=BEST),
        "duration": column.TextColumn("Duration", width=95, alignment="right"),
        "cost": column.NumberColumn("Cost", format="dollar", width=70, help=COST),
        "created": column.DatetimeColumn("Age", format="distance", width=110),
        "instance": column.TextColumn("Instance", width=150),
    }


BEST = "The highest validation mIOU: the endpoint serves the model of that epoch, not of the last one."
COST = "What AWS bills for the time so far, at the on-demand price of an hour; for spot, after its discount."


def chip(job: TrainingJob) -> str:
    """A job's status in few words."""
    return _short(status_in_words(job))


def sparkline(series: MetricSeries | None) -> list[float] | None:
    """Its values, thinned where there are very many; None where there is none."""
    if series is None:
        return None
    values = series.values[np.isfinite(series.values)]
    every = -(-values.size // POINTS) or 1
    found: list[float] = values[::every].round(4).tolist()
    return found


def best_miou(job: TrainingJob, series: MetricSeries | None) -> float | None:
    """The best validation mIOU; without a curve, the last that AWS kept."""
    best = best_epoch(series) if series is not None else None
    return best.value if best is not None else job.final_metrics.get(MIOU)


def best_frame(
    jobs: Sequence[TrainingJob],
    curves: Mapping[str, Sequence[MetricSeries]],
    prices: PriceTable,
    now: datetime,
) -> pd.DataFrame:
    """What each job reached and took: a row a job, by name."""
    rows = []
    for job in jobs:
        found = curves.get(job.name, ())
        miou = named(found, MIOU)
        best = best_epoch(miou) if miou is not None else None
        cost = training_cost(job, prices, now).so_far
        rows.append(
            {
                "": "",
                "Job": job.name,
                "Best mIOU": best_miou(job, miou),
                "At epoch": best.epoch if best else None,
                "Best pixel accuracy": _best(named(found, PIXEL_ACCURACY)),
                "Lowest loss": _best(named(found, LOSS), lowest=True),
                "Duration": duration(job.seconds(now)),
                "Cost": float(cost.usd) if cost else None,
            }
        )
    return pd.DataFrame(rows)


def settings_frame(jobs: Sequence[TrainingJob], *, everything: bool) -> pd.DataFrame:
    """What the jobs were started with: a row a setting, a column a job; those alone that differ, or all."""
    several = [_settings(job) for job in jobs]
    names = list(dict.fromkeys(name for settings in several for name in settings))
    rows = {name: [settings.get(name, "–") for settings in several] for name in names}
    kept = {name: texts for name, texts in rows.items() if everything or len(set(texts)) > 1}
    return pd.DataFrame.from_dict(kept, orient="index", columns=[job.name for job in jobs], dtype=str)


def _settings(job: TrainingJob) -> dict[str, str]:
    """Hyperparameters as the algorithm takes them, defaults filled in; the machine; the data."""
    built_in = job.is_semantic_segmentation
    values = effective(job.hyperparameters) if built_in else clean(job.hyperparameters)
    return {
        **values,
        "instance": _instance(job),
        **{f"channel {channel.name}": channel.uri for channel in job.channels},
    }


def _epochs(job: TrainingJob, series: MetricSeries | None) -> tuple[float | None, str | None]:
    """The share of the epochs that are done, and "k of n"."""
    if job.epochs is None or not job.is_semantic_segmentation or job.started_at is None:
        return None, None
    done = epochs_done(series) if series is not None else 0
    if not done and not job.running:
        return None, None
    return min(1.0, done / max(1, job.epochs)), f"{done} of {job.epochs}"


def _best(series: MetricSeries | None, *, lowest: bool = False) -> float | None:
    best = best_epoch(series, lowest=lowest) if series is not None else None
    return best.value if best else None


def _instance(job: TrainingJob) -> str:
    several = f"{job.instance_count} × " if job.instance_count > 1 else ""
    return f"{several}{job.instance_type}{' spot' if job.spot else ''}"


def chips() -> tuple[list[str], list[str]]:
    """Every word that `chip` may say, and its colour."""
    chips = dict.fromkeys(map(_short, SECONDARY_WORDS.values()), "blue")
    chips |= {word: ENDED_COLORS.get(status, "blue") for status, word in STATUS_WORDS.items()}
    chips |= {_short(SECONDARY_WORDS[name]): "orange" for name in CUT_SHORT}
    return list(chips), list(chips.values())


def _short(words: str) -> str:
    return words.partition(":")[0].replace("stopped at its maximum", "stopped at max.")


@dataclass(frozen=True, slots=True)
class JobMetrics:
    """What is counted.

    unpriced: jobs of this month whose price nobody knows.
    """

    running: int
    failed_today: int
    completed_today: int
    spent: Money
    unpriced: int


def count_jobs(jobs: Sequence[TrainingJob], prices: PriceTable, now: datetime) -> JobMetrics:
    """Count.

    now: aware, in the zone whose midnight begins the day and the month. A job's money counts in the month in which
         it was created.
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
    """When this month began, in the zone of `now`."""
    return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def metrics_row(connection: Connection, wanted: JobFilter) -> None:
    """The figures of all jobs, whatever the filters leave in the table. Raises AwsError."""
    reading = cached.jobs(connection, JobFilter(only_segmentation=wanted.only_segmentation), slots.pages())
    jobs, prices = reading.value.jobs, cached.prices(connection)
    now = reading.at.astimezone(formatting.zone())
    found = count_jobs(jobs, prices, now)
    cut = not reading.value.complete and all(job.created_at >= month(now) for job in jobs)
    spent = f"{'≥ ' if cut or found.unpriced else ''}{found.spent}"
    with st.grid(3, min_column_width=160, gap="small"):
        st.metric("Running", found.running, border=True, icon=":material/play_circle:")
        st.metric(
            "Failed today", found.failed_today, border=True, icon=":material/error:",
            help=f"Completed today: {found.completed_today}.",
        )  # fmt: skip
        st.metric(
            "On AWS, this month" if connection.is_sandbox else "Cost this month",
            spent, border=True, icon=":material/payments:",
            help=_about_money(connection, found, prices, len(jobs) if cut else None),
        )  # fmt: skip


def _about_money(connection: Connection, found: JobMetrics, prices: PriceTable, counted: int | None) -> str:
    """Where the amount comes from, and what is not in it."""
    parts = ["Training jobs created this month."]
    parts += [f"Only the newest {counted} are counted: show more below."] if counted else []
    parts += [f"{found.unpriced} with an unknown price are left out."] if found.unpriced else []
    parts += (
        ["In the sandbox nothing is billed; AWS would."]
        if connection.is_sandbox and found.spent > NOTHING
        else []
    )
    return " ".join([*parts, prices.said])
