"""Endpoints in a real browser: idle ones found, priced and deleted; one tested, rebalanced, and deleted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from sandbox.server import Sandbox
from tests.support.answers import mask, probabilities, recordio
from tests.support.browser import LONG, click_row, eventually, fits_in_both_themes, press, set_slider, shown
from tests.support.fleet import put_endpoint

APP = Path(__file__).parents[2] / "app.py"
LONG_NAME = "flood-mapping-experiment-with-a-name-as-long-as-aws-allows-it-v1"[:63]

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, stub_programs: dict[str, list[str]]) -> Iterator[Sandbox]:
    """A sandbox with two idle endpoints and one that is called."""
    with Sandbox(tmp_path_factory.mktemp("fleet"), programs=stub_programs) as sandbox:
        put_endpoint(sandbox, "forgotten", daily=[9] * 5 + [0] * 20, instance="ml.p3.2xlarge")
        put_endpoint(sandbox, LONG_NAME)
        put_endpoint(sandbox, "roads", daily=[40] * 30, count=2)
        yield sandbox


@pytest.fixture(scope="module")
def address(
    fleet: Sandbox, streamlit_server: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> str:
    environ = {"SEGDECK_MODE": "aws", "SEGDECK_STATE_DIR": str(tmp_path_factory.mktemp("state"))}
    return streamlit_server(APP, {**environ, **fleet.address.environ()})


@pytest.fixture
def two_variants(fleet: Sandbox, make_client: Callable[..., Any], model_archive: Callable[..., bytes]) -> str:
    """An endpoint that responds, whose variants `blue` and `green` get the same traffic share."""
    s3, sagemaker = make_client(fleet, "s3"), make_client(fleet, "sagemaker")
    s3.create_bucket(Bucket="models")
    archive = model_archive({"answer.recordio": recordio(probabilities()), "answer.png": mask()})
    s3.put_object(Bucket="models", Key="coast/model.tar.gz", Body=archive)
    image = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
    container = {"Image": image, "ModelDataUrl": "s3://models/coast/model.tar.gz"}
    sagemaker.create_model(ModelName="coast", PrimaryContainer=container)
    row = {"ModelName": "coast", "InstanceType": "ml.c5.xlarge", "InitialInstanceCount": 1}
    rows = [{**row, "VariantName": name, "InitialVariantWeight": 1.0} for name in ("blue", "green")]
    sagemaker.create_endpoint_config(EndpointConfigName="coast", ProductionVariants=rows)
    sagemaker.create_endpoint(EndpointName="coast", EndpointConfigName="coast")
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName="coast", WaiterConfig={"Delay": 0.1, "MaxAttempts": 600})
    return "coast"


def left(fleet: Sandbox) -> dict[str, set[str]]:
    """The names of all endpoints, configurations and models that there are."""
    sagemaker = fleet.loopback.client("sagemaker")
    listed = {
        "EndpointName": sagemaker.list_endpoints()["Endpoints"],
        "EndpointConfigName": sagemaker.list_endpoint_configs()["EndpointConfigs"],
        "ModelName": sagemaker.list_models()["Models"],
    }
    return {key: {row[key] for row in rows} for key, rows in listed.items()}


def confirm(page: Page, typed: str, button: str) -> None:
    """Type what the dialog asks for, and press its button."""
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("to confirm").fill(typed, timeout=LONG)
    press(dialog.get_by_role("button", name=button))


def metric(page: Page, label: str) -> Locator:
    return page.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue").first


@pytest.mark.parametrize("place", ["endpoints", f"endpoint?endpoint={LONG_NAME}"])
def test_a_narrow_window_has_no_sideways_scroll(address: str, page: Page, ready, place):
    """On a narrow window, with a name as long as AWS allows, only the table scrolls sideways, never the page."""
    page.set_viewport_size({"width": 480, "height": 900})
    page.goto(f"{address}/{place}")
    ready(page)
    expect(page.get_by_test_id("stMetric").first).to_be_visible(timeout=LONG)
    fits_in_both_themes(page, 480)


def test_idle_endpoints_are_found_priced_and_deleted(address: str, fleet: Sandbox, page: Page, ready):
    """The idle cost is on top; one click selects idle endpoints, a typed confirmation deletes all that is theirs."""
    page.goto(f"{address}/endpoints")
    ready(page)
    expect(metric(page, "Idle cost per month")).to_have_text("$3,329.82", timeout=LONG)
    press(page.get_by_role("button", name="Select 2 idle endpoints"))
    press(page.get_by_role("button", name="Delete 2 endpoints"))
    shown(page.get_by_role("dialog").filter(has_text="Delete the endpoint forgotten"), timeout=LONG)
    expect(page.get_by_role("dialog").get_by_role("button", name="Delete permanently").first).to_be_disabled()
    confirm(page, "2 endpoints", "Delete permanently")
    expect(page.get_by_role("dialog")).to_have_count(0, timeout=LONG)
    expect(metric(page, "Idle cost per month")).to_have_text("$0.00", timeout=LONG)
    assert all(names == {"roads"} for names in left(fleet).values())


def test_a_name_opens_its_endpoint(address: str, page: Page, ready):
    """A click on an endpoint's name leads to its page."""
    page.goto(f"{address}/endpoints?text=roads")
    ready(page)
    click_row(page, 0, 90, "roads")
    expect(page).to_have_url(re.compile(r"/endpoint\?endpoint=roads"), timeout=LONG)
    shown(page.get_by_role("heading", name="roads"), timeout=LONG)


def test_the_list_asks_no_more_while_nothing_changes(address: str, page: Page, ready, comes_to_rest):
    """With all endpoints settled and all prices read, the page sends nothing automatically."""
    page.goto(f"{address}/endpoints")
    ready(page)
    expect(page.get_by_test_id("stDataFrame").first).to_be_visible(timeout=LONG)
    expect(page.get_by_text("still being read")).to_have_count(0, timeout=LONG)
    comes_to_rest()


def test_an_endpoints_page_mends_itself(address: str, fleet: Sandbox, page: Page, ready):
    """While AWS throttles, the page says so next to the last data; once AWS responds, the message disappears."""
    page.goto(f"{address}/endpoint?endpoint=roads")
    ready(page)
    stale = page.get_by_text("Last updated")
    fleet.faults.add("error", operation="DescribeEndpoint", code="ThrottlingException", status=400)
    try:
        tabs = cycle(("Scale", "Lineage"))

        def look() -> bool:
            press(page.get_by_role("tab", name=next(tabs)))
            ready(page)
            return stale.count() > 0

        eventually(page, look, bool)  # what was read before is shown until it is too old
    finally:
        fleet.faults.clear()
    expect(stale).to_have_count(0, timeout=LONG)
    shown(page.get_by_role("heading", name="roads"))


def test_one_endpoint_tried_shared_out_and_deleted(
    address: str, fleet: Sandbox, two_variants: str, page: Page, ready
):
    """A test call shows its mask; a slider and a confirmation shift traffic; the typed name deletes everything."""
    page.goto(f"{address}/endpoint?endpoint={two_variants}&part=Test+call")
    ready(page)
    press(page.get_by_role("group", name="Sample images").get_by_role("button").first)
    expect(page.locator(".viewer")).to_have_attribute("data-planes", re.compile("[1-9]"), timeout=LONG)

    press(page.get_by_role("tab", name="Scale"))
    set_slider(page.get_by_role("slider"), 70)
    shown(page.get_by_text("blue 70% · green 30%"), timeout=LONG)
    press(page.get_by_role("button", name="Review change"))
    press(page.get_by_role("dialog").get_by_role("button", name="Apply"))
    expect(page.get_by_role("dialog")).to_have_count(0, timeout=LONG)
    expect(page.get_by_text("blue 70% · green 30%").first).to_be_visible(timeout=LONG)
    found = fleet.loopback.client("sagemaker").describe_endpoint(EndpointName=two_variants)
    assert [row["CurrentWeight"] for row in found["ProductionVariants"]] == pytest.approx([0.7, 0.3])

    press(page.get_by_role("button", name="Delete", exact=True))
    confirm(page, two_variants, "Delete permanently")
    expect(page).to_have_url(re.compile("/endpoints$"), timeout=LONG)
    assert all(two_variants not in names for names in left(fleet).values())
    assert fleet.loopback.client("s3").head_object(Bucket="models", Key="coast/model.tar.gz")
