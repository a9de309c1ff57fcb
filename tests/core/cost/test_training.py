"""The cost of training."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.cost.training import (
    Money,
    PriceTable,
    cost_label,
    estimate,
    price_table,
    shipped_prices,
    spot_saving,
    total,
    training_cost,
)
from core.errors import InputError
from core.training.job import TrainingJob, from_description

T0 = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TABLE = PriceTable("us-east-1", date(2026, 1, 1), "A test", {"ml.x.large": Money(Decimal("3.6"))}, {})


def job(**changes: Any) -> TrainingJob:
    """Return a running job that started an hour ago."""
    return from_description(
        {
            "TrainingJobName": "roads",
            "CreationTime": T0,
            "TrainingJobStatus": "InProgress",
            "TrainingStartTime": T0,
            "ResourceConfig": {"InstanceType": "ml.x.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 7200},
        }
        | changes
    )


ENDED = {"TrainingJobStatus": "Completed", "TrainingEndTime": T0 + timedelta(seconds=1000)}


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        ("0", "$0.00"), ("1234.5", "$1,234.50"), ("0.7364", "$0.74"), ("0.005", "$0.0050"), ("-3", "-$3.00"),
        ("0.125", "$0.13"), ("0.00001", "$0.0000"), ("1000000", "$1,000,000.00"),
    ],
)  # fmt: skip
def test_money_is_shown_in_dollars(usd: str, text: str) -> None:
    """An amount has two decimals and thousands separators; a small amount has four decimals."""
    assert str(Money(Decimal(usd))) == text


def test_money_is_exact() -> None:
    """Sums and products are exact."""
    tenth = Money(Decimal("0.1"))
    assert tenth + tenth + tenth - Money(Decimal("0.3")) == Money(Decimal(0))
    assert Money(Decimal("3.6")).for_seconds(1) == Money(Decimal("0.001"))
    assert tenth.times(3) == Money(Decimal("0.3"))
    assert tenth < Money(Decimal("0.2"))


def test_the_shipped_table_knows_the_families() -> None:
    """The shipped table has training and hosting prices for every family, a date and a source."""
    table = shipped_prices("us-east-1")
    families = {name.split(".")[1] for name in table.training}
    assert families >= {"p2", "p3", "g4dn", "g5", "c5", "m5"}
    assert table.per_hour("ml.p3.2xlarge") == Money(Decimal("3.825"))
    assert table.per_hour("ml.g4dn.xlarge", "hosting") == Money(Decimal("0.7364"))
    assert table.per_hour("ml.moon.large") is None
    assert table.note == "They may have changed."
    assert table.as_of.isoformat() in table.attribution
    assert all(money.usd > 0 for money in [*table.training.values(), *table.hosting.values()])


def test_another_region_says_whose_prices_it_shows() -> None:
    """A region that is not in the table gets the prices of us-east-1, with a note."""
    table = shipped_prices("eu-west-1")
    assert table.training == shipped_prices("us-east-1").training
    assert (table.region, "us-east-1" in table.note, "eu-west-1" in table.attribution) == (
        "eu-west-1",
        True,
        True,
    )


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1", "us-iso-east-1"])
def test_the_prices_of_another_partition_are_unknown(region: str) -> None:
    """China, GovCloud and the isolated partitions get no commercial prices, and the text says that none are known."""
    table = shipped_prices(region)
    assert (dict(table.training), dict(table.hosting)) == ({}, {})
    assert table.attribution == f"The prices of {region} are unknown."
    assert estimate("ml.p3.2xlarge", 3600, table).at_max is None


@pytest.mark.parametrize("data", [{}, {"fallback_region": "x", "regions": {}}, {"regions": []}])
def test_a_broken_table_is_an_error(data: dict[str, Any]) -> None:
    """A table in another format is an InputError."""
    with pytest.raises(InputError, match="price table"):
        price_table(data, "us-east-1")


def test_a_running_job_costs_what_it_ran() -> None:
    """A running job costs its time so far, and at most its maximum run time."""
    cost = training_cost(job(), TABLE, T0 + timedelta(hours=1))
    assert (cost.per_hour, cost.so_far, cost.at_max) == (
        Money(Decimal("3.6")), Money(Decimal("3.6")), Money(Decimal("7.2")),
    )  # fmt: skip
    assert (cost.saved_by_spot, cost.saved_share, cost.final) == (None, None, False)
    assert "A test" in cost.source


def test_a_job_that_waits_costs_nothing() -> None:
    """Before the instance starts, nothing is billed."""
    assert training_cost(job(TrainingStartTime=None), TABLE, T0).so_far == Money(Decimal(0))


def test_a_job_that_ended_costs_what_is_billed() -> None:
    """An ended job costs its billable seconds, otherwise the time it ran, whatever the clock says."""
    billed = training_cost(job(**ENDED, BillableTimeInSeconds=500, TrainingTimeInSeconds=1000), TABLE, T0)
    assert (billed.so_far, billed.final) == (Money(Decimal("0.5")), True)
    assert training_cost(job(**ENDED), TABLE, T0 + timedelta(days=9)).so_far == Money(Decimal(1))


def test_spot_saves_the_seconds_that_are_not_billed() -> None:
    """The spot saving is 1 - billable / training seconds, and the same share of money; without spot there is none."""
    times = {"BillableTimeInSeconds": 100, "TrainingTimeInSeconds": 500}
    spot = job(**ENDED, **times, EnableManagedSpotTraining=True)
    cost = training_cost(spot, TABLE, T0)
    assert cost.saved_share == pytest.approx(0.8)
    assert cost.saved_by_spot == Money(Decimal("0.4"))
    assert spot_saving(job(**ENDED, **times)) is None
    assert spot_saving(job(EnableManagedSpotTraining=True)) is None


def test_an_unknown_price_is_reported() -> None:
    """If no price is known, no amount is made up; the spot saving is still reported as a share."""
    spot = replace(
        job(**ENDED, BillableTimeInSeconds=1, TrainingTimeInSeconds=2, EnableManagedSpotTraining=True),
        instance_type="ml.moon.large",
    )
    cost = training_cost(spot, TABLE, T0)
    assert (cost.per_hour, cost.so_far, cost.at_max, cost.saved_by_spot) == (None, None, None, None)
    assert cost.saved_share == 0.5
    assert "ml.moon.large" in cost.source


def test_an_estimate_counts_the_instances() -> None:
    """The estimate before launch covers all instances for the maximum run time."""
    found = estimate("ml.x.large", 1800, TABLE, instance_count=2)
    assert (found.per_hour, found.at_max) == (Money(Decimal("7.2")), Money(Decimal("3.6")))


def test_sums_name_what_they_lack() -> None:
    """A total over jobs names those without a known price."""
    now = T0 + timedelta(hours=1)
    costs = {
        "a": training_cost(job(), TABLE, now),
        "b": training_cost(replace(job(), instance_type="ml.moon.large"), TABLE, now),
    }
    assert total(costs) == (Money(Decimal("3.6")), ("b",))


def test_prices_for_the_sandbox_are_marked() -> None:
    """Every source says that nothing is billed, and the label of an amount becomes that of AWS's price."""
    table = shipped_prices("us-east-1", sandbox=True)
    assert table.attribution.startswith("Sandbox: nothing is billed. Prices are AWS estimates. On-demand")
    assert estimate("ml.g5.xlarge", 60, table).source == table.attribution
    assert estimate("ml.moon.large", 60, table).source.endswith(table.attribution)
    labels = ("Cost per hour", "Max cost (1 h 00 min)", "Idle cost per month", "cost")
    assert [cost_label(label, sandbox=True) for label in labels] == [
        "AWS price per hour",
        "Max AWS price (1 h 00 min)",
        "Idle AWS price per month",
        "AWS price",
    ]
    assert [cost_label(label, sandbox=False) for label in labels] == list(labels)
