"""Tables of training jobs: the list, and several of them side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.cost.training import PriceTable, training_cost
from core.text import duration
from core.training.curves import LOSS, MIOU, PIXEL_ACCURACY, MetricSeries, best_epoch, epochs_done, named
from core.training.hyperparameters import clean, effective
from core.training.job import SECONDARY_WORDS, STATUS_WORDS, TrainingJob, status_in_words

OPEN = "name"
"""The column whose cells open their job."""

ENDED_COLORS = {"Completed": "green", "Failed": "red", "Stopped": "gray"}
"""All other statuses are still under way: blue."""

CUT_SHORT = ("Interrupted", "MaxRuntimeExceeded", "MaxWaitTimeExceeded")
"""Secondary statuses that a person should look at: orange."""

POINTS = 60
"""Points of a sparkline at most; it is 100 pixels wide."""


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
