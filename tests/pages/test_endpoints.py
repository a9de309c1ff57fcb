"""The page `endpoints`, against a sandbox with a fleet in it, whose calls are counted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import buttons, cached
from sandbox.server import Sandbox
from tests.support.dashboard import ONE_ATTEMPT, button, fresh_caches, open_page, plain_texts, priced, texts
from tests.support.fleet import DAY, configure, put_endpoint

OpenList = Callable[..., AppTest]
READS = "Search|GetMetricData|DescribeEndpointConfig|ListEndpoints|DescribeEndpoint"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, stub_programs: dict[str, list[str]]) -> Iterator[Sandbox]:
    """A sandbox with endpoints of every kind, none of which has a process."""
    with Sandbox(tmp_path_factory.mktemp("fleet"), programs=stub_programs) as sandbox:
        put_endpoint(sandbox, "roads", daily=[40] * 30, count=2)
        put_endpoint(sandbox, "forgotten", daily=[9] * 5 + [0] * 20, instance="ml.p3.2xlarge")
        put_endpoint(sandbox, "never-called", instance="ml.c5.xlarge")
        put_endpoint(sandbox, "faulty", daily=[10] * 30, failed=5)
        put_endpoint(sandbox, "sleepy", daily=[10] * 30, milliseconds=20_000)
        put_endpoint(sandbox, "shared-out", daily=[10] * 30, weights={"blue": 3.0, "green": 1.0})
        yield sandbox


@pytest.fixture
def faults(fleet: Sandbox) -> Iterator[Any]:
    """The faults of the fleet's sandbox: none before a test, and none after it."""
    fleet.faults.clear()
    yield fleet.faults
    fleet.faults.clear()


@pytest.fixture
def open_list(fleet: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path) -> OpenList:
    """open_list(health="idle", ...) -> the page at this URL after its first run, in mode aws."""
    return _opener(fleet, monkeypatch, str(tmp_path))


def _opener(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, state_dir: str) -> OpenList:
    environ = {
        "SEGDECK_MODE": "aws",
        "SEGDECK_STATE_DIR": state_dir,
        **sandbox.address.environ(),
        **ONE_ATTEMPT,
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return lambda **query: open_page("endpoints", sandbox, **query)


def _first_paint(sandbox: Sandbox, app: AppTest) -> Counter[str]:
    """Return the AWS calls made when the page is opened from another page with empty caches."""
    fresh_caches()
    sandbox.faults.add("delay", seconds=0, operation=READS)
    app.switch_page("../endpoints.py").run()
    return Counter(operation for _, operation in sandbox.faults.hits)


def names(app: AppTest) -> list[str]:
    return list(app.dataframe[0].value["name"])


def figures(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def test_what_needs_a_hand_comes_first(open_list):
    """Idle endpoints come first, the most expensive at the top, then failing and slow ones; healthy ones are last."""
    app = open_list()
    table = app.dataframe[0].value
    assert [chips[0] for chips in table["health"]] == [
        "idle",
        "idle",
        "erroring",
        "slow",
        "healthy",
        "healthy",
    ]
    assert names(app) == ["forgotten", "never-called", "faulty", "sleepy", "roads", "shared-out"]


def test_money_on_top(open_list):
    """The page starts with the cost of all endpoints per hour and month, and the idle part of it."""
    told = figures(priced(open_list()))
    assert told["Cost per hour"] == "$8.45"
    assert told["Cost per month"] == "$6,166.60"
    assert told["Idle cost per month"] == "$2,941.17"
    assert "Month to date" in told


def test_a_row_tells_what_it_runs_on_and_how_it_answers(open_list):
    """A row has the instances, each variant's traffic share, latencies in seconds and the share of errors."""
    table = priced(open_list()).dataframe[0].value.set_index("name")
    assert table.loc["roads", "instance"] == "2 × ml.g4dn.xlarge"
    assert table.loc["shared-out", "variants"] == "blue 75% · green 25%"
    assert 0.1 < table.loc["roads", "p50"] < table.loc["roads", "p90"] < 0.3
    assert table.loc["faulty", "errors"] > 0.1
    assert sum(table.loc["roads", "line"]) >= 29 * 40
    assert table["line"].isna()["never-called"]
    assert table["last"].isna()["never-called"]


def test_filters_are_in_the_address(open_list):
    """A link with a health status or a text shows only those endpoints; the cost is still that of all."""
    app = priced(open_list(health="idle"))
    assert set(names(app)) == {"forgotten", "never-called"}
    assert figures(app)["Cost per hour"] == "$8.45"
    assert "2 shown" in texts(app)
    assert names(priced(open_list(text="p3.2x"))) == ["forgotten"]


def test_no_endpoint_fits(open_list):
    """If no endpoint matches the filters, the page says so, and one click clears them."""
    app = open_list(text="nothing-like-it")
    assert "No endpoints match" in texts(app)
    button(app, "Clear filters").click().run()
    assert len(names(app)) == 6


def test_prices_that_are_still_being_read(open_list, faults):
    """Until the configurations have arrived, the page says how many prices are missing, and its sums begin with ≥."""
    faults.add("delay", seconds=60, operation="DescribeEndpointConfig")  # until `clear`
    app = open_list()
    assert "The prices of **6** endpoints are still being read" in texts(app)
    assert figures(app)["Cost per hour"].startswith("≥ ")
    assert len(names(app)) == 6


def test_idle_ones_are_chosen_and_deleted_in_one_plan(open_list, fleet):
    """One click selects all idle endpoints, a second shows the plan with what is deleted and what stays."""
    app = priced(open_list())
    assert "Select endpoints" in texts(app)
    button(app, "Select 2 idle endpoints").click().run()
    assert "**$2,941.17** per month" in texts(app)
    button(app, "Delete 2 endpoints").click().run()
    told = plain_texts(app)
    for kind in ("endpoint", "endpoint configuration", "model"):
        for name in ("forgotten", "never-called"):
            assert f"Delete the {kind} {name}" in told
    assert "The artifact s3://models/forgotten/output/model.tar.gz stays" in told
    assert "Type **2 endpoints** to confirm" in app.text_input(key="plan-typed").label
    assert button(app, "Delete permanently").disabled
    assert fleet.loopback.client("sagemaker").describe_endpoint(EndpointName="forgotten")


def test_a_click_on_delete_never_acts_on_endpoints_selected_later(open_list):
    """A click whose run does not reach the button acts on the same endpoints only: never on others."""
    app = priced(open_list())
    app.session_state["endpoints.ticked"] = ("roads",)
    for names, opened in (({"forgotten", "never-called"}, False), ({"roads"}, True)):
        click = buttons._Click((frozenset(names),), time.monotonic())
        app.session_state["clicked.delete-chosen"] = click
        app.run()
        assert button(app, "Delete roads")
        assert any(field.key == "plan-typed" for field in app.text_input) == opened


def test_a_table_without_cloudwatch(open_list, faults):
    """Without permission to read metrics, the list is shown, says why, and reports no endpoint as idle."""
    faults.add("error", operation="GetMetricData", code="AccessDenied", message="not authorized", status=403)
    app = priced(open_list())
    assert {chips[0] for chips in app.dataframe[0].value["health"]} == {"unknown"}
    assert "not allowed to" in texts(app)
    assert figures(app)["Cost per hour"] == "$8.45"


def test_the_last_good_list_stays_when_aws_fails(open_list, faults):
    """If Search fails, the list stays with its time and the reason; once it responds, the reason disappears."""
    app = open_list()
    faults.add("error", operation="Search", code="ThrottlingException", message="Rate exceeded", status=400)
    cached.shelf().expire()
    app.run()
    assert len(names(app)) == 6
    assert "Last updated" in texts(app)
    faults.clear()
    button(app, "Refresh").click().run()
    assert not app.warning


def test_failure_from_the_start(open_list, faults):
    """If AWS never responded, the page shows the reason instead of the list, with a button that tries again."""
    faults.add(
        "error", operation="Search|ListEndpoints", code="ValidationException", message="no", status=400
    )
    app = open_list()
    assert app.error
    assert not app.dataframe
    faults.clear()
    button(app, "Try again").click().run()
    assert len(names(app)) == 6


def test_visitors_share_what_was_read(open_list, faults):
    """Nine more page views within a moment make no further AWS calls."""
    app = open_list()
    faults.add("delay", seconds=0, operation=READS)
    for _ in range(9):
        app.run()
    assert len(faults.hits) <= 1  # the list may have grown old once in between


def test_no_endpoint(tmp_path, stub_programs, monkeypatch):
    """In an account without endpoints, the page says that none is billed."""
    with Sandbox(tmp_path / "empty", programs=stub_programs) as sandbox:
        app = _opener(sandbox, monkeypatch, str(tmp_path))()
        assert "No endpoints yet" in texts(app)
        assert not app.error


def test_five_hundred_endpoints_in_seven_calls(tmp_path, stub_programs, monkeypatch):
    """The first paint of 500 endpoints, 90 in use, takes 5 Search and 2 GetMetricData calls, and no other."""
    with Sandbox(tmp_path / "many", programs=stub_programs) as sandbox:
        configure(sandbox, "shared", instance="ml.m5.large", count=1, weights={"AllTraffic": 1.0})
        importer, now = sandbox.endpoint_importer, time.time()
        for number in range(500):
            importer.adopt(f"many-{number:03}", "shared", created=now - 10 * DAY - number)
            if number < 90:
                importer.measure(f"many-{number:03}", "Invocations", [(now - 600, 5)])
        app = _opener(sandbox, monkeypatch, str(tmp_path))()
        asked = _first_paint(sandbox, app)
        assert len(names(app)) == 500
        assert asked == {"Search": 5, "GetMetricData": 2, "DescribeEndpointConfig": 1}
        button(app, "Select 410 idle endpoints").click().run()
        assert "Only the first 50 of 410 selected endpoints are deleted at once." in texts(app)
        assert button(app, "Delete 50 endpoints")


def test_what_is_wasted_without_metrics(open_list, faults):
    """If CloudWatch cannot be read, the idle cost is shown as unknown."""
    faults.add("error", operation="GetMetricData", code="AccessDenied", status=403)
    app = open_list()
    assert figures(app)["Idle cost per month"] == "unknown"
    assert "not allowed" in plain_texts(app)


def test_why_a_price_is_not_known(open_list, faults):
    """If configurations cannot be read, all sums are lower bounds, and the page says why."""
    faults.add("error", operation="DescribeEndpointConfig", code="AccessDeniedException", status=400)
    app = open_list()
    assert figures(app)["Cost per month"] == "≥ $0.00"
    assert figures(app)["Idle cost per month"] == "≥ $0.00"
    assert "Instances and price of 6 endpoints are unknown" in plain_texts(app)
    button(app, "Select 2 idle endpoints").click().run()
    assert "They cost at least **$0.00** per month." in plain_texts(app)
