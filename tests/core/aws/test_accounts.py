"""The connection of a chosen account and region, against a sandbox: other resources, other names, other errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.accounts import AccountChoice, parse_accounts
from core.aws.accounts import choices, choose, region_choices
from core.aws.connection import Connection, clients
from core.aws.endpoints import listed_endpoints
from core.aws.identity import whoami
from core.errors import DeniedError, SettingsError
from core.settings import Settings
from sandbox.server import Sandbox
from tests.support.dashboard import connection_of
from tests.support.fleet import put_endpoint
from tests.support.patience import SECONDS
from tests.support.regions import assumable_role

ROOT = Path(__file__).resolve().parents[3]
SANDBOX = Connection("us-east-1", "http://127.0.0.1:9", None, "AKIDEXAMPLE", "secret")
ROLES = (
    "reader=arn:aws:iam::123456789012:role/Reader;regions=eu-west-1 gone=arn:aws:iam::123456789012:role/Gone"
)


def chosen(choice: AccountChoice, sandbox: Connection = SANDBOX) -> Connection:
    settings = Settings(accounts=parse_accounts(ROLES))
    return choose(settings, choice, sandbox=sandbox).connection


def run(code: str, home: Path, **environ: str) -> Any:
    """Run a few lines that print JSON, in a process with that home and environment and no other AWS settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    clean |= {"HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true"} | environ
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=clean,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_regions_and_roles_are_other_connections() -> None:
    """Every choice has a connection of its own, so that no cache that has it as its key can mix two of them."""
    made = {
        chosen(choice)
        for choice in (
            AccountChoice(),
            AccountChoice(region="eu-west-1"),
            AccountChoice(account="reader"),
            AccountChoice(account="reader", region="us-east-1"),
        )
    }
    assert len(made) == 4
    assert chosen(AccountChoice(account="reader")).region == "eu-west-1"


def test_two_ways_to_one_account_are_one_choice() -> None:
    """A region that is the default is not part of the choice, so that both links share one journal."""
    settings = Settings(accounts=parse_accounts(ROLES))
    for given, normalized in (
        (AccountChoice(region="us-east-1"), AccountChoice()),
        (AccountChoice(account="reader", region="eu-west-1"), AccountChoice(account="reader")),
        (AccountChoice(account="reader", region="us-east-1"),) * 2,
    ):
        assert choose(settings, given, sandbox=SANDBOX).choice == normalized


def test_the_sandbox_has_the_commercial_regions_only() -> None:
    """A region of another partition cannot be chosen in the sandbox, and is not offered."""
    with pytest.raises(SettingsError, match="cn-north-1"):
        chosen(AccountChoice(region="cn-north-1"))
    offered = region_choices(Settings(), AccountChoice(), "us-east-1")
    assert "eu-west-1" in offered
    assert not [name for name in offered if name.startswith(("cn-", "us-gov-"))]
    assert region_choices(Settings(), AccountChoice(), "cn-north-1") == ("cn-north-1", "cn-northwest-1")


def test_what_can_be_chosen_in_the_sandbox() -> None:
    """The sandbox offers the default account and the entries of SEGDECK_ACCOUNTS, and no profile."""
    offered = choices(Settings(accounts=parse_accounts(ROLES)), sandbox=True)
    assert offered == (AccountChoice(), AccountChoice(account="reader"), AccountChoice(account="gone"))


def test_each_region_has_its_own_resources(sandbox_server: Sandbox) -> None:
    """An endpoint of one region is not seen in another, and an assumed role acts as that role."""
    home = connection_of(sandbox_server)
    name = put_endpoint(sandbox_server, "only-at-home", daily=[1] * 30)
    assumable_role(sandbox_server, "Reader", "sagemaker:List*", "sagemaker:Describe*", "sagemaker:Search")
    europe = clients(chosen(AccountChoice(region="eu-west-1"), home))
    reader = clients(chosen(AccountChoice(account="reader", region="us-east-1"), home))
    gone = clients(chosen(AccountChoice(account="gone"), home))

    assert name in [endpoint.name for endpoint in listed_endpoints(clients(home)).endpoints]
    assert name not in [endpoint.name for endpoint in listed_endpoints(europe).endpoints]
    assert name in [endpoint.name for endpoint in listed_endpoints(reader).endpoints]
    assert whoami(reader).arn.endswith(":assumed-role/Reader/segdeck")
    with pytest.raises(DeniedError, match="not allowed to assume the role") as denied:
        listed_endpoints(gone)
    assert "trust policy" in denied.value.todo


def test_a_chosen_profile_ignores_keys_in_the_environment(tmp_path: Path) -> None:
    """A profile chosen by name is used as with --profile of the AWS CLI; AWS_PROFILE alone yields to keys."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[profile work]\nregion = eu-west-3\n")
    (tmp_path / ".aws" / "credentials").write_text(
        "[work]\naws_access_key_id = FROMPROFILE\naws_secret_access_key = x\n"
    )
    code = """
import json, os
from core.accounts import AccountChoice
from core.aws.accounts import choices, choose
from core.aws.connection import Clients
from core.settings import Settings

settings = Settings.from_environ(os.environ)
picked = choose(settings, AccountChoice(profile="work")).connection
usual = choose(settings, AccountChoice()).connection
print(json.dumps([
    Clients(picked).credentials()[0].access_key, picked.region,
    Clients(usual).credentials()[0].access_key, usual.region,
    [choice.profile for choice in choices(settings, sandbox=False)],
]))
"""
    keys = {"AWS_ACCESS_KEY_ID": "FROMENVIRON", "AWS_SECRET_ACCESS_KEY": "y", "AWS_REGION": "us-east-2"}
    found = run(code, tmp_path, SEGDECK_MODE="aws", **keys)
    assert found == ["FROMPROFILE", "eu-west-3", "FROMENVIRON", "us-east-2", ["", "work"]]


def test_a_profile_with_a_role_assumes_it_in_the_region_of_the_connection(
    tmp_path: Path, sandbox_server: Sandbox
) -> None:
    """A profile with role_arn is used as it is configured, its role assumed through the same endpoint."""
    assumable_role(sandbox_server, "Reader", "sagemaker:List*", "sagemaker:Describe*", "sagemaker:Search")
    address = sandbox_server.address
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(
        "[profile reader]\nrole_arn = arn:aws:iam::123456789012:role/Reader\nsource_profile = base\n"
    )
    (tmp_path / ".aws" / "credentials").write_text(
        f"[base]\naws_access_key_id = {address.access_key}\naws_secret_access_key = {address.secret_key}\n"
    )
    code = """
import json, os
from core.accounts import AccountChoice
from core.aws.accounts import choose
from core.aws.connection import Clients
from core.aws.identity import whoami
from core.settings import Settings

chosen = choose(Settings.from_environ(os.environ), AccountChoice(profile="reader", region="eu-west-1"))
print(json.dumps(whoami(Clients(chosen.connection)).arn.rpartition(":")[2].split("/")[:2]))
"""
    found = run(code, tmp_path, SEGDECK_MODE="aws", AWS_ENDPOINT_URL=address.url)
    assert found == ["assumed-role", "Reader"]


def test_a_role_is_part_of_what_messages_name() -> None:
    """Messages name the account of SEGDECK_ACCOUNTS, so that two accounts in one region can be told apart."""
    connection = replace(
        chosen(AccountChoice(account="reader")), access_key=None, secret_key=None, aws_url=None
    )
    assert connection.location.name == "AWS (eu-west-1, account reader)"
