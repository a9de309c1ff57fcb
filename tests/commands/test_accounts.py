"""The options --profile, --account and --region, against a sandbox with resources in two regions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.core import TyperGroup
from typer.main import get_command

import cli
from core.accounts import AccountChoice
from core.aws.accounts import choose
from core.aws.connection import clients
from core.aws.execute import execute, journal_in
from core.cost.training import shipped_prices
from core.endpoints.spec import EndpointSpec
from core.errors import CoreError
from core.plans.deploy import plan_deploy
from core.settings import Settings
from sandbox.server import Sandbox
from tests.support.command_line import CliRunner
from tests.support.dashboard import IMAGE
from tests.support.fleet import put_endpoint
from tests.support.regions import assumable_role

Run = Callable[..., Result]
OPTIONS = {"--profile", "--account", "--region"}
WITHOUT = {"run", "sandbox", "dataset convert", "change", "zones"}
"""Commands that use no account, or start the dashboard."""


@pytest.fixture
def run(sandbox_server: Sandbox, tmp_path: Path) -> Run:
    """run("endpoints", "list", ...) invokes the command in mode aws against the sandbox."""
    environ = {
        "SEGDECK_MODE": "aws",
        **sandbox_server.address.environ(),
        "SEGDECK_STATE_DIR": str(tmp_path / "state"),
        "SEGDECK_ACCOUNTS": "lister=arn:aws:iam::123456789012:role/Lister;regions=eu-west-1",
        "HOME": str(tmp_path),
    }

    def invoke(*arguments: object, **more: str) -> Result:
        return CliRunner().invoke(cli.app, [*map(str, arguments)], env={**environ, **more})

    return invoke


@pytest.fixture(scope="module")
def abroad(sandbox_server: Sandbox) -> str:
    """The name of an endpoint in eu-west-1 alone; the role Lister may list."""
    assumable_role(
        sandbox_server, "Lister", "sagemaker:List*", "sagemaker:Describe*", "sagemaker:Search", "cloudwatch:*"
    )
    return put_endpoint(sandbox_server, "abroad", daily=[1] * 30, region="eu-west-1")


def listed(result: Result) -> list[str]:
    assert result.exit_code == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return [row["name"] for row in document["endpoints"]]


def test_every_command_that_uses_an_account_can_choose_it() -> None:
    """All commands have the three options, except those that need no account."""
    lacking = set()
    for name, command in get_command(cli.app).commands.items():  # type: ignore[attr-defined]
        if command.hidden:  # another name of a command
            continue
        group = command.commands.items() if isinstance(command, TyperGroup) else [("", command)]
        for own, leaf in group:
            options = {option for param in leaf.params for option in param.opts}
            if not options >= OPTIONS:
                lacking.add(f"{name} {own}".strip())
    assert lacking == WITHOUT


def test_region_and_account_are_chosen_per_call(run: Run, abroad: str) -> None:
    """--region and --account hold for one call: the next one without them uses the default again."""
    assert abroad in listed(run("endpoints", "list", "--json", "--region", "eu-west-1"))
    assert abroad in listed(run("endpoints", "list", "--json", "--account", "lister"))
    assert abroad not in listed(
        run("endpoints", "list", "--json", "--account", "lister", "--region", "us-east-1")
    )
    assert abroad not in listed(run("endpoints", "list", "--json"))


def test_what_does_not_exist_cannot_be_chosen(run: Run) -> None:
    """An unknown account, profile or region is an error that names what there is."""
    for option, value, words in (
        ("--account", "payroll", "It lists lister."),
        ("--profile", "work", "~/.aws has no profiles."),
        ("--region", "ireland", "'ireland' is not a region."),
    ):
        result = run("endpoints", "list", option, value)
        assert result.exit_code == 1
        assert words in result.stderr


def test_the_image_is_that_of_the_chosen_account(run: Run) -> None:
    """`image-uri` uses the region of the account where none is given."""
    result = run("image-uri", "--account", "lister")
    assert result.stdout == "685385470294.dkr.ecr.eu-west-1.amazonaws.com/semantic-segmentation:1\n"


def test_an_interrupted_change_is_listed_in_its_region_only(
    run: Run,
    sandbox_server: Sandbox,
    abroad: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`endpoints unfinished` lists the changes of the chosen account and region, and of no other."""
    environ = {"SEGDECK_MODE": "aws", **sandbox_server.address.environ()}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_environ({**environ, "SEGDECK_STATE_DIR": str(tmp_path / "state")})
    chosen = choose(settings, AccountChoice(region="eu-west-1"))
    journal = journal_in(settings.journal_dir_of(chosen.choice), "the test")
    uri = f"s3://models/{abroad}/output/model.tar.gz"
    spec = EndpointSpec("halfway", "arn:aws:iam::123456789012:role/Server", "ml.c5.xlarge", IMAGE, uri)
    sandbox_server.faults.add("error", operation="CreateEndpoint", code="AccessDeniedException", status=400)
    with pytest.raises(CoreError):
        execute(clients(chosen.connection), plan_deploy(spec, shipped_prices("us-east-1")), journal=journal)
    sandbox_server.faults.clear()
    here = json.loads(run("endpoints", "unfinished", "--json").stdout)
    there = json.loads(run("endpoints", "unfinished", "--json", "--region", "eu-west-1").stdout)
    assert (len(here["plans"]), len(there["plans"])) == (0, 1)
    removed = run("endpoints", "unfinished", "--clean-up", "--yes", "--region", "eu-west-1")
    assert removed.exit_code == 0, removed.stderr
    assert json.loads(run("endpoints", "unfinished", "--json", "--region", "eu-west-1").stdout)["plans"] == []
