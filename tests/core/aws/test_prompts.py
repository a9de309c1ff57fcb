"""Nothing on a server asks for anything: an MFA code, a sign-in, a program's question. An error says what to do."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.server import Sandbox
from tests.support.patience import SECONDS
from tests.support.regions import assumable_role

ROOT = Path(__file__).resolve().parents[3]
DEVICE = "arn:aws:iam::123456789012:mfa/me"
ROLE = "arn:aws:iam::123456789012:role/Reader"
ASK = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from core.aws.connection import Clients, Connection
from core.aws.identity import whoami
from core.errors import CoreError

clients = Clients(Connection("us-east-1", sys.argv[1] or None, "work", profile_chosen=True))

def ask(_):
    try:
        return [whoami(clients).arn]
    except CoreError as error:
        return [type(error).__name__, error.what, error.why, error.todo]

with ThreadPoolExecutor(4) as pool:
    answers = list(pool.map(ask, range(8)))
print(json.dumps(answers))
"""


def ask(home: Path, url: str = "", **environ: str) -> list[str]:
    """Return what eight parallel calls with the profile `work` end with: the same for all.

    Their standard input stays open and silent, as a terminal at which nobody sits: whatever reads it never ends.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    clean |= {"HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true"} | environ
    silent, held = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", ASK, url],
            cwd=ROOT,
            env=clean,
            stdin=silent,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            start_new_session=True,
        )
    finally:
        os.close(silent)
        os.close(held)
    assert done.returncode == 0, done.stderr
    answers: list[list[str]] = json.loads(done.stdout)
    assert all(answer == answers[0] for answer in answers), answers
    return answers[0]


def configure(home: Path, config: str, credentials: str = "") -> None:
    (home / ".aws").mkdir(exist_ok=True)
    (home / ".aws" / "config").write_text(config)
    (home / ".aws" / "credentials").write_text(credentials)


def mfa_profile(home: Path, sandbox: Sandbox) -> None:
    """Configure the profile `work`: a role with an MFA device, and the keys that assume it."""
    address = sandbox.address
    configure(
        home,
        f"[profile work]\nrole_arn = {ROLE}\nmfa_serial = {DEVICE}\nsource_profile = base\n",
        f"[base]\naws_access_key_id = {address.access_key}\naws_secret_access_key = {address.secret_key}\n",
    )


def keep_session(home: Path, sandbox: Sandbox, left: timedelta) -> None:
    """Write a session of that role as the AWS CLI keeps it after a code was entered."""
    role = sandbox.loopback.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="cli")
    credentials: dict[str, Any] = role["Credentials"]
    credentials["Expiration"] = (datetime.now(UTC) + left).isoformat()
    key = json.dumps({"RoleArn": ROLE, "SerialNumber": DEVICE}, sort_keys=True)
    folder = home / ".aws" / "cli" / "cache"
    folder.mkdir(parents=True)
    (folder / f"{hashlib.sha1(key.encode()).hexdigest()}.json").write_text(
        json.dumps({"Credentials": credentials})
    )


@pytest.fixture(scope="module")
def reader(sandbox_server: Sandbox) -> Sandbox:
    """The sandbox with the role that the profile assumes."""
    assumable_role(sandbox_server, "Reader", "sagemaker:List*")
    return sandbox_server


def test_a_missing_mfa_code_is_an_error_that_says_how_to_enter_it(tmp_path: Path, reader: Sandbox) -> None:
    """Without a session, a profile with MFA is an error that names the device and the command, at once."""
    mfa_profile(tmp_path, reader)
    kind, what, why, todo = ask(tmp_path, reader.address.url, AWS_ENDPOINT_URL=reader.address.url)
    assert kind == "CredentialsError"
    assert "the profile work needs an MFA code" in what
    assert DEVICE in why
    assert "aws sts get-caller-identity --profile work" in todo


def test_the_session_of_the_aws_cli_is_used(tmp_path: Path, reader: Sandbox) -> None:
    """After a code was entered in the AWS CLI, its session is used until it expires."""
    mfa_profile(tmp_path, reader)
    keep_session(tmp_path, reader, timedelta(minutes=50))
    (arn,) = ask(tmp_path, reader.address.url, AWS_ENDPOINT_URL=reader.address.url)
    assert arn.endswith(":assumed-role/Reader/cli")


def test_an_expired_mfa_session_is_another_error(tmp_path: Path, reader: Sandbox) -> None:
    """An expired session is reported as expired, not as missing."""
    mfa_profile(tmp_path, reader)
    keep_session(tmp_path, reader, timedelta(minutes=-1))
    kind, what, _, todo = ask(tmp_path, reader.address.url, AWS_ENDPOINT_URL=reader.address.url)
    assert kind == "CredentialsError"
    assert "the session that an MFA code had started for the profile work has expired" in what
    assert "aws sts get-caller-identity --profile work" in todo


SSO = """[profile work]
sso_account_id = 123456789012
sso_role_name = Reader
{more}
"""
OWN = "sso_start_url = https://example.awsapps.com/start\nsso_region = us-east-1"
SHARED = f"sso_session = team\n[sso-session team]\n{OWN}"


@pytest.mark.parametrize(
    ("more", "name"), [(OWN, "https://example.awsapps.com/start"), (SHARED, "team")], ids=["own", "session"]
)
def test_a_missing_and_an_expired_sso_session_are_two_errors(tmp_path: Path, more: str, name: str) -> None:
    """Both say to sign in with the profile; one says that there is no session, the other that it has expired."""
    configure(tmp_path, SSO.format(more=more))
    kind, what, _, todo = ask(tmp_path)
    assert (kind, todo) == ("CredentialsError", "Run `aws sso login --profile work`, then try again.")
    assert "there is no IAM Identity Center session for the profile work" in what

    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    token = {"accessToken": "t", "expiresAt": "2020-01-01T00:00:00Z", "startUrl": name, "region": "us-east-1"}
    (cache / f"{hashlib.sha1(name.encode()).hexdigest()}.json").write_text(json.dumps(token))
    kind, what, _, todo = ask(tmp_path)
    assert (kind, todo) == ("CredentialsError", "Run `aws sso login --profile work`, then try again.")
    assert "the IAM Identity Center session of the profile work has expired" in what


def test_a_program_that_asks_gets_no_terminal(tmp_path: Path) -> None:
    """A credential_process cannot read the server's standard input, so that its question fails at once."""
    program = tmp_path / "ask.sh"
    program.write_text("#!/bin/sh\nread answer || { echo nobody answers >&2; exit 7; }\n")
    program.chmod(0o700)
    configure(tmp_path, f"[profile work]\ncredential_process = {program}\n")
    kind, _, why, _ = ask(tmp_path)
    assert kind == "CredentialsError"
    assert "nobody answers" in why
