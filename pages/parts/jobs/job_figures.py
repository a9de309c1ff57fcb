"""The figures above the list of training jobs: running, failed today, money this month."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import streamlit as st

from core.aws.connection import Connection
from core.cost.training import NOTHING, Money, PriceTable, total, training_cost
from core.training.filters import JobFilter
from core.training.job import TrainingJob
from pages.parts import cached, formatting, state


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


def figures(jobs: Sequence[TrainingJob], prices: PriceTable, now: datetime) -> JobMetrics:
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


def show(connection: Connection, wanted: JobFilter) -> None:
    """The figures of all jobs, whatever the filters leave in the table. Raises AwsError."""
    reading = cached.jobs(
        connection, JobFilter(only_segmentation=wanted.only_segmentation), state.job_pages()
    )
    jobs, prices = reading.value.jobs, cached.prices(connection)
    now = reading.at.astimezone(formatting.zone())
    found = figures(jobs, prices, now)
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
