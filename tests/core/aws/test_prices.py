"""Prices read from a server that responds like the AWS Price List."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from core.aws.connection import Clients, Connection
from core.aws.prices import prices
from core.cost.training import Money, shipped_prices

TODAY = date(2026, 11, 22)


def product(instance: str, usd: str, *, unit: str = "Hrs", key: str = "instanceName") -> str:
    dimension = {"unit": unit, "pricePerUnit": {"USD": usd}}
    return json.dumps(
        {
            "product": {"attributes": {key: instance}},
            "terms": {"OnDemand": {"x": {"priceDimensions": {"y": dimension}}}},
        }
    )


def page(server: Any, *products: str, token: str = "") -> Any:
    return server.json({"PriceList": list(products)} | ({"NextToken": token} if token else {}))


@pytest.fixture
def aws(canned_server: Any, monkeypatch: pytest.MonkeyPatch) -> Clients:
    """Return clients as in mode aws, with keys from the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return Clients(Connection("us-east-1", canned_server.url))


def test_aws_own_prices_are_taken(canned_server: Any, aws: Clients) -> None:
    """If the Price List responds, its prices are used, of all pages, and the table says so."""
    canned_server.says(
        page(canned_server, product("ml.g4dn.xlarge", "0.7364000000"), token="t"),
        page(
            canned_server,
            product("USE1-Train:ml.g5.xlarge", "1.408", key="usagetype"),
            product("ml.g5.xlarge", "9", unit="GB"),
            product("Studio", "1"),
        ),
        page(canned_server, product("ml.c5.xlarge", "0.204")),
    )
    table = prices(aws, today=TODAY)
    assert table.per_hour("ml.g4dn.xlarge") == Money(Decimal("0.7364"))
    assert table.per_hour("ml.g5.xlarge") == Money(Decimal("1.408"))
    assert table.per_hour("ml.c5.xlarge", "hosting") == Money(Decimal("0.204"))
    assert (table.as_of, table.region, table.note) == (TODAY, "us-east-1", "")
    assert "Price List" in table.attribution


def test_without_the_price_list_our_own_table_counts(canned_server: Any, aws: Clients) -> None:
    """If the Price List is denied, the shipped table is used, with the reason."""
    canned_server.says(canned_server.error(400, "AccessDeniedException", "no"))
    notes: list[str] = []
    assert prices(aws, notes=notes) == shipped_prices("us-east-1")
    assert "not allowed" in notes[0]


def test_an_empty_price_list_is_none(canned_server: Any, aws: Clients) -> None:
    """A Price List without the region falls back to the shipped table."""
    canned_server.says(page(canned_server))
    assert prices(aws) == shipped_prices("us-east-1")


GARBLED = {
    "text": "no json",
    "a list": "[]",
    "null": "null",
    "nesting": "[" * 100_000,
    "no product": json.dumps({"product": None}),
    "attributes": json.dumps({"product": {"attributes": ["ml.c5.xlarge"]}}),
    "the name": json.dumps({"product": {"attributes": {"instanceName": 5}}}),
    **{
        f"terms {value!r}": json.dumps(
            {"product": {"attributes": {"instanceName": "ml.c5.xlarge"}}, "terms": value}
        )
        for value in (
            7,
            {"OnDemand": ["x"]},
            {"OnDemand": {"x": None}},
            {"OnDemand": {"x": {"priceDimensions": {"y": "Hrs"}}}},
            {"OnDemand": {"x": {"priceDimensions": {"y": {"unit": "Hrs", "pricePerUnit": 1}}}}},
            {"OnDemand": {"x": {"priceDimensions": {"y": {"unit": "Hrs", "pricePerUnit": {"USD": None}}}}}},
            {"OnDemand": {"x": {"priceDimensions": {"y": {"unit": "Hrs", "pricePerUnit": {"USD": ["1"]}}}}}},
        )
    },
}


@pytest.mark.parametrize("row", GARBLED.values(), ids=GARBLED)
def test_a_garbled_price_row_is_reported(canned_server: Any, aws: Clients, row: str) -> None:
    """A product of unknown format leads to the shipped table, with the reason."""
    canned_server.says(page(canned_server, product("ml.g4dn.xlarge", "0.7364"), row))
    notes: list[str] = []
    assert prices(aws, notes=notes) == shipped_prices("us-east-1")
    assert "a product in the list has an unknown format" in notes[0]
    assert len(notes[0]) < 1000


@pytest.mark.parametrize("usd", ["", "free", "NaN", "sNaN", "Infinity", "-1", "0", "1e99999"])
def test_a_number_that_is_not_a_price_is_left_out(canned_server: Any, aws: Clients, usd: str) -> None:
    """Only a positive, finite amount is a price; the other rows of the list are kept."""
    canned_server.says(
        page(canned_server, product("ml.g4dn.xlarge", "0.7364"), product("ml.c5.xlarge", usd)),
        page(canned_server, product("ml.g4dn.xlarge", "0.8")),
    )
    table = prices(aws, today=TODAY)
    assert table.per_hour("ml.g4dn.xlarge") == Money(Decimal("0.7364"))
    assert table.per_hour("ml.c5.xlarge") is None


def test_the_sandbox_is_not_asked_for_prices(canned_server: Any) -> None:
    """With the sandbox, the shipped table is used without any call."""
    assert prices(canned_server.clients()).source == shipped_prices("us-east-1").source
    assert canned_server.asked == []


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1"])
def test_keys_of_another_partition_are_not_sent_to_the_price_list(
    aws: Clients, canned_server: Any, region: str
) -> None:
    """In China and GovCloud the commercial Price List is not called, and no price is known."""
    canned_server.says(page(canned_server, product("ml.p3.2xlarge", "3.8")))
    table = prices(Clients(replace(aws.connection, region=region)), today=TODAY)
    assert canned_server.asked == []
    assert table.per_hour("ml.p3.2xlarge") is None
