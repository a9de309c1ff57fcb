"""Two regions and an assumed role in one browser: side by side, one link apart, and never mixed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from sandbox.server import Sandbox
from tests.support.browser import LONG
from tests.support.fleet import put_endpoint
from tests.support.regions import assumable_role
from tests.support.roles import create_roles

ROOT = Path(__file__).parents[2]
READS = ("sagemaker:List*", "sagemaker:Describe*", "sagemaker:Search", "cloudwatch:*", "s3:*")
COMPARED = "@us-east-1,@eu-west-1,account:reader@eu-west-1,account:gone@us-east-1"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox with one endpoint in one region, two in another, and a role that may read."""
    with Sandbox(tmp_path_factory.mktemp("world")) as sandbox:
        create_roles(sandbox)
        assumable_role(sandbox, "Reader", *READS)
        put_endpoint(sandbox, "virginia-1", daily=[40] * 30)
        put_endpoint(sandbox, "ireland-1", daily=[40] * 30, region="eu-west-1")
        put_endpoint(sandbox, "ireland-2", daily=[40] * 30, region="eu-west-1")
        yield sandbox


@pytest.fixture(scope="module")
def dashboard(
    streamlit_server: Callable[..., str], world: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A dashboard in mode aws on that sandbox, with two roles to assume, one of which does not exist."""
    environ = {
        "SEGDECK_MODE": "aws",
        **world.address.environ(),
        "SEGDECK_STATE_DIR": str(tmp_path_factory.mktemp("state")),
        "SEGDECK_ACCOUNTS": "reader=arn:aws:iam::123456789012:role/Reader;regions=eu-west-1 "
        "gone=arn:aws:iam::123456789012:role/Gone",
    }
    return streamlit_server(ROOT / "app.py", environ)


def test_accounts_and_regions_side_by_side(dashboard: str, page: Page) -> None:
    """The Overview shows four at once, one of which fails; its links and the sidebar switch, and the URL keeps it."""
    sidebar, main = page.get_by_test_id("stSidebar"), page.get_by_test_id("stMain")
    page.goto(f"{dashboard}/?accounts={COMPARED}")
    expect(main.locator("p", has_text="Endpoints in service: 1")).to_have_count(1, timeout=LONG)
    expect(main.locator("p", has_text="Endpoints in service: 2")).to_have_count(2, timeout=LONG)
    expect(main.get_by_text("assumed-role/Reader/segdeck")).to_have_count(1, timeout=LONG)
    expect(main.get_by_text("not allowed to assume the role").first).to_be_visible(timeout=LONG)
    expect(main.get_by_text("Waiting for")).to_have_count(0, timeout=LONG)
    expect(main.get_by_role("link", name="virginia-1")).to_have_count(1)

    main.locator('a[href="?account=reader&region=eu-west-1"]').click()
    expect(sidebar).to_contain_text("reader", timeout=LONG)
    expect(sidebar).to_contain_text("eu-west-1")
    expect(main.get_by_role("link", name="ireland-1")).to_have_count(1, timeout=LONG)
    expect(main.get_by_role("link", name="virginia-1")).to_have_count(0)

    sidebar.get_by_role("link", name="Endpoints").click()
    expect(main.get_by_role("heading", name="Endpoints", exact=True)).to_be_visible(timeout=LONG)
    expect(page).to_have_url(re.compile(r"/endpoints\?account=reader&region=eu-west-1"), timeout=LONG)
    page.reload()
    expect(main.get_by_role("heading", name="Endpoints", exact=True)).to_be_visible(timeout=LONG)
    expect(sidebar).to_contain_text("reader", timeout=LONG)

    sidebar.get_by_role("button", name="reader").click()
    page.get_by_role("combobox", name="Account").click()
    page.get_by_role("option", name="Default account").click()
    page.get_by_role("link", name="Switch").click()
    expect(sidebar.get_by_role("button", name="Default account")).to_be_visible(timeout=LONG)
    expect(sidebar).to_contain_text("us-east-1", timeout=LONG)
    expect(page).to_have_url(re.compile(r"/endpoints\?region=us-east-1"), timeout=LONG)
