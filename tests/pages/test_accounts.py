"""The account and region of a session: kept in the URL, never mixed with another, and several side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.accounts import AccountChoice
from core.aws.connection import Connection, clients
from core.aws.execute import clean_up_interrupted, execute, journal_in, resume
from core.cost.training import shipped_prices
from core.endpoints.spec import EndpointSpec
from core.errors import CoreError, InputError
from core.plans.delete import clean_up
from core.plans.deploy import plan_deploy
from core.settings import Settings
from pages.parts import backend, links
from pages.parts.evaluate.run import store_for
from sandbox.server import Sandbox
from tests.support.apps import app_from_file
from tests.support.dashboard import IMAGE, connection_of, fresh_caches, plain_texts, texts
from tests.support.fleet import put_endpoint
from tests.support.regions import assumable_role
from tests.support.roles import create_roles

SHELL = Path(__file__).parents[2] / "pages" / "parts" / "shell.py"
HERE, THERE = "only-in-virginia", "only-in-ireland"
READS = ("sagemaker:List*", "sagemaker:Describe*", "sagemaker:Search", "cloudwatch:*", "s3:*")
ACCOUNTS = (
    "reader=arn:aws:iam::123456789012:role/Reader;regions=us-east-1,eu-west-1 "
    "gone=arn:aws:iam::123456789012:role/Gone"
)
OpenPage = Callable[..., AppTest]


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory,
    stub_programs: dict[str, list[str]],
) -> Iterator[Sandbox]:
    """A sandbox with an endpoint in one region, another endpoint in a second, and a role that may read both."""
    with Sandbox(tmp_path_factory.mktemp("world"), programs=stub_programs) as sandbox:
        create_roles(sandbox)
        assumable_role(sandbox, "Reader", *READS)
        put_endpoint(sandbox, HERE, daily=[40] * 30)
        put_endpoint(sandbox, THERE, daily=[40] * 30, region="eu-west-1")
        yield sandbox


@pytest.fixture
def open_in(world: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenPage:
    """open_in(page, **query) -> the page in mode sandbox after its first run, with the caches of the earlier ones."""
    monkeypatch.setenv("SEGDECK_MODE", "sandbox")
    monkeypatch.setenv("SEGDECK_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("SEGDECK_ACCOUNTS", ACCOUNTS)
    fresh_caches()
    backend.register(lambda: connection_of(world))
    backend.restart_sandbox()

    def start(page: str, **query: str) -> AppTest:
        app = app_from_file(SHELL)
        for key, value in query.items():
            app.query_params[key] = value
        return (app if page == "overview" else app.switch_page(f"../{page}.py")).run()

    return start


def card(app: AppTest, name: str, region: str) -> str:
    """Return the text of an account's card on the Overview."""
    for container in app.get("flex_container"):
        words = [str(element.value) for element in container.get("markdown")]
        if words and words[0].replace("\\", "") == f"**{name}**  \n{region}":
            kinds = ("markdown", "caption", "error")
            parts = [str(part.value) for kind in kinds for part in container.get(kind)]
            return "\n".join(parts).replace("\\", "")
    raise AssertionError(f"No card of {name}, {region}")


@pytest.mark.parametrize("name", ["overview", "endpoints", "segment", "evaluate", "training_jobs", "deploy"])
def test_nothing_of_one_region_is_shown_in_another(open_in: OpenPage, name: str) -> None:
    """With the same caches, each page shows the endpoints of its own region only, whichever was opened first."""
    for query, own, other in (
        ({}, HERE, THERE),
        ({"region": "eu-west-1"}, THERE, HERE),
        ({"account": "reader", "region": "us-east-1"}, HERE, THERE),
    ):
        app = open_in(name, **query)
        assert not app.exception
        shown = everything(app)
        assert other not in shown
        assert own in shown or name in ("training_jobs", "deploy")
        assert query.get("region", "us-east-1") in shown


def everything(app: AppTest) -> str:
    """Return all that the page sends to the browser, tables and options included."""
    frames = [frame.value.to_csv() for frame in app.dataframe]
    boxes = [str(box.options) for box in (*app.selectbox, *app.multiselect)]
    return "\n".join([plain_texts(app), *frames, *boxes, str(app.main), str(app.sidebar)])


def test_a_session_keeps_its_account_and_its_url_says_so(open_in: OpenPage) -> None:
    """Other pages of the session have the same account and region in their URLs; another URL does not change it."""
    app = open_in("endpoints", account="reader", region="eu-west-1")
    app.query_params.clear()
    app.switch_page("../training_jobs.py").run()
    assert (app.query_params["account"], app.query_params["region"]) == ("reader", "eu-west-1")
    app.query_params["region"] = "us-east-1"
    app.switch_page("../endpoints.py").run()
    assert app.query_params["region"] == "eu-west-1"
    assert THERE in everything(app)


def test_links_to_pages_carry_the_account(open_in: OpenPage) -> None:
    """Every link of the Overview leads to a page in the same account and region, also in a new tab."""
    app = open_in("overview", account="reader", region="eu-west-1")
    links = [link.proto.query_string for link in app.get("page_link")]
    assert links
    assert all("account=reader" in query and "region=eu-west-1" in query for query in links)


def test_several_accounts_and_regions_are_side_by_side(open_in: OpenPage) -> None:
    """Each card has the numbers of its own account and region, and what fails in one does not hide the others."""
    app = open_in(
        "overview", accounts="@us-east-1,@eu-west-1,account:reader@eu-west-1,account:gone@us-east-1"
    )
    for name, region in (
        ("Default account", "us-east-1"),
        ("Default account", "eu-west-1"),
        ("reader", "eu-west-1"),
    ):
        assert "Endpoints in service: **1**" in card(app, name, region)
    assert "assumed-role/Reader/segdeck" in card(app, "reader", "eu-west-1")
    assert card(app, "gone", "us-east-1").count("not allowed to assume the role") == 1
    assert "Endpoints in service" not in card(app, "gone", "us-east-1")
    assert "Shown above" in card(app, "Default account", "us-east-1")
    assert 'href="?account=reader&amp;region=eu-west-1"' in card(app, "reader", "eu-west-1")


def test_without_a_choice_the_listed_accounts_are_compared(open_in: OpenPage) -> None:
    """The Overview compares the entries of SEGDECK_ACCOUNTS, in their regions, until others are chosen."""
    app = open_in("overview")
    (picker,) = (box for box in app.multiselect if box.label == "Accounts and regions to compare")
    assert picker.value == [
        AccountChoice(),
        AccountChoice(account="reader", region="us-east-1"),
        AccountChoice(account="reader", region="eu-west-1"),
        AccountChoice(account="gone"),
    ]
    picker.set_value([AccountChoice(account="reader", region="eu-west-1")]).run()
    assert app.query_params["accounts"] == "account:reader@eu-west-1"


def test_an_account_that_does_not_exist_is_an_error_with_a_way_back(open_in: OpenPage) -> None:
    """A link to an account that is not listed shows none instead, and leads to the default account."""
    app = open_in("endpoints", account="payroll")
    assert "The account 'payroll' is not in SEGDECK_ACCOUNTS." in plain_texts(app)
    assert '<a href="?" target="_self">Open the default account</a>' in texts(app)
    assert HERE not in everything(app)


def test_the_switcher_offers_accounts_and_regions(open_in: OpenPage) -> None:
    """The sidebar offers all accounts and regions, and a link to what is chosen, once that differs."""
    app = open_in("endpoints")
    account, region = app.sidebar.selectbox
    assert account.options == ["Default account", "reader", "gone"]
    assert {"us-east-1", "eu-west-1", "ap-south-1"} <= set(region.options)
    assert "This is the current account and region." in texts(app)
    app.sidebar.selectbox[1].set_value("eu-west-1").run()
    assert '<a href="?region=eu-west-1" target="_self">Switch</a>' in texts(app)


def test_an_interrupted_change_stays_in_its_account_and_region(open_in: OpenPage, world: Sandbox) -> None:
    """It is listed only where it was started, and cannot be finished or cleaned up with another connection."""
    choice = AccountChoice(region="eu-west-1")
    journal = journal_in(Settings.from_environ(os.environ).journal_dir_of(choice), "the test")
    role, uri = "arn:aws:iam::123456789012:role/Server", f"s3://models/{THERE}/output/model.tar.gz"
    plan = plan_deploy(EndpointSpec("stuck", role, "ml.c5.xlarge", IMAGE, uri), shipped_prices("us-east-1"))
    home = connection_of(world)
    world.faults.add("error", operation="CreateEndpoint", code="AccessDeniedException", status=400)
    with pytest.raises(CoreError):
        execute(clients(replace(home, region="eu-west-1")), plan, journal=journal)
    world.faults.clear()

    words = "Interrupted change: deploying endpoint stuck."
    assert words in plain_texts(open_in("overview", region="eu-west-1"))
    for query in ({}, {"region": "us-west-2"}, {"account": "reader", "region": "eu-west-1"}):
        assert words not in plain_texts(open_in("overview", **query))
    (entry,) = journal.unfinished()
    with pytest.raises(InputError, match="was started in account 123456789012 in eu-west-1"):
        resume(clients(home), journal, entry)
    with pytest.raises(InputError, match="was started in account 123456789012 in eu-west-1"):
        clean_up_interrupted(clients(home), journal, entry, clean_up(entry.plan, entry.states))
    assert clients(home).sagemaker.list_models(NameContains="stuck")["Models"] == []


def test_a_profile_with_mfa_is_an_error_on_the_page(
    world: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page says how to enter the code, names the profile, and waits for nothing."""
    (tmp_path / "config").write_text(
        "[profile work]\nregion = eu-west-1\nsource_profile = base\n"
        "role_arn = arn:aws:iam::123456789012:role/Reader\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n"
    )
    address = world.address
    (tmp_path / "credentials").write_text(
        f"[base]\naws_access_key_id = {address.access_key}\naws_secret_access_key = {address.secret_key}\n"
    )
    environ = {
        "HOME": str(tmp_path),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "SEGDECK_MODE": "aws",
        **address.environ(),
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    fresh_caches()
    app = app_from_file(SHELL)
    app.query_params["profile"] = "work"
    app.switch_page("../endpoints.py").run()
    shown = plain_texts(app)
    assert "the profile work needs an MFA code" in shown
    assert "aws sts get-caller-identity --profile work" in shown
    assert HERE not in everything(app)
    assert app.sidebar.selectbox[0].value == AccountChoice(profile="work")


@pytest.mark.parametrize(
    ("region", "address"),
    [
        ("eu-west-1", "https://eu-west-1.console.aws.amazon.com/s3/object/b"),
        ("cn-north-1", "https://cn-north-1.console.amazonaws.cn/s3/object/b"),
        ("us-gov-west-1", "https://us-gov-west-1.console.amazonaws-us-gov.com/s3/object/b"),
        ("us-iso-east-1", ""),
    ],
)
def test_console_links_are_those_of_the_partition(region: str, address: str) -> None:
    """A link to S3 leads to the console of the region's partition; where none is public, there is no link."""
    link = links.s3_console("s3://b/model.tar.gz", region)
    assert link.startswith(address)
    assert bool(link) == bool(address)


def test_predictions_of_two_accounts_are_kept_apart(tmp_path: Path) -> None:
    """An endpoint's cached predictions are those of its own account, region and credentials."""
    settings = Settings(state_dir=tmp_path)
    connection = Connection("us-east-1", profile="work")
    variants = (
        connection,
        replace(connection, region="eu-west-1"),
        replace(connection, profile_chosen=True),
        replace(connection, role_arn="arn:aws:iam::123456789012:role/A"),
        replace(connection, role_arn="arn:aws:iam::123456789012:role/B"),
    )
    folders = {store_for(settings, variant, ["roads"]).folder for variant in variants}
    assert len(folders) == len(variants)
