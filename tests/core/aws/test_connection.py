"""Connections are values; their clients are created once and keep their limits."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core import errors
from core.aws.connection import Clients, Connection, _chain, clients

ROOT = Path(__file__).resolve().parents[3]
SANDBOX = Connection("us-east-1", "http://127.0.0.1:9", None, "AKIDEXAMPLE", "very-secret")


def run(code: str, home: Path, **environ: str) -> str:
    """Run a few lines in a process with that environment and no other AWS configuration."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    clean |= {"HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true"} | environ
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_connection_never_shows_its_secret() -> None:
    """The secret key is in no text about a connection, but connections with different secrets differ."""
    other = Connection("us-east-1", "http://127.0.0.1:9", None, "AKIDEXAMPLE", "other")
    assert "very-secret" not in f"{SANDBOX} {SANDBOX!r} {SANDBOX.location}"
    assert len({SANDBOX, other}) == 2


def test_clients_are_made_once_for_all_threads() -> None:
    """One connection has one set of clients for all threads."""
    with ThreadPoolExecutor(16) as pool:
        sets = list(pool.map(lambda _: clients(SANDBOX), range(64)))
        runtimes = list(pool.map(lambda made: made.runtime, sets))
    assert len({id(made) for made in sets}) == 1
    assert len({id(made) for made in runtimes}) == 1


def test_the_limits_of_each_client() -> None:
    """The runtime waits 70 s and never retries; the control plane waits 14 s and retries; S3 uses signature v4."""
    made = Clients(SANDBOX)
    runtime, control, storage = (client.meta.config for client in (made.runtime, made.sagemaker, made.s3))
    assert (runtime.connect_timeout, runtime.read_timeout) == (5, 70)
    assert runtime.retries["total_max_attempts"] == 1
    assert (control.connect_timeout, control.read_timeout) == (5, 14)
    assert control.retries["total_max_attempts"] == 3
    assert control.max_pool_connections == 32
    assert storage.signature_version == "s3v4"


def test_the_timeout_of_the_settings_counts() -> None:
    """Only invocations may exceed the time limit of the settings; listings take even less."""
    made = Clients(replace(SANDBOX, seconds=3))
    control, lists, runtime = (client.meta.config for client in (made.sagemaker, made.lists, made.runtime))
    assert (control.connect_timeout, control.read_timeout, lists.read_timeout) == (3, 3, 3)
    assert runtime.read_timeout == 70


def test_a_body_that_is_no_text_is_told(canned_server: Any) -> None:
    """A success whose body is not UTF-8 is an unreadable response, not an unexpected error."""
    canned_server.says(canned_server.raw(200, b"\xff\xfe{}"))
    made = canned_server.clients()
    with (
        pytest.raises(errors.UnexpectedAnswerError, match="cannot be read"),
        made.calling("list the endpoints"),
    ):
        made.sagemaker.list_endpoints()


def test_a_reading_call_is_retried(canned_server: Any) -> None:
    """A read is retried when it is throttled once."""
    throttled = canned_server.error(400, "ThrottlingException", "Rate exceeded")
    canned_server.says(throttled, canned_server.json({"Endpoints": []}))
    assert canned_server.clients().sagemaker.list_endpoints()["Endpoints"] == []
    assert len(canned_server.asked) == 2


def test_new_keys_are_read_after_a_refusal(canned_server: Any) -> None:
    """After invalid credentials the session is created again, so that signing in needs no restart."""
    made = canned_server.clients()
    before = made.sagemaker
    canned_server.says(canned_server.error(400, "ExpiredTokenException", "expired"))
    with pytest.raises(errors.CredentialsError), made.calling("list the endpoints"):
        made.sagemaker.list_endpoints()
    assert made.sagemaker is not before


def test_the_sandbox_needs_nothing_of_the_persons_aws_configuration(tmp_path: Path) -> None:
    """A broken profile, other keys, a broken ~/.aws and a proxy do not affect the sandbox."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text("this is no ini file")
    code = """if True:
        from core.aws.connection import Clients, Connection
        s3 = Clients(Connection("us-east-1", "http://127.0.0.1:9", None, "AKIDEXAMPLE", "secret")).s3
        print(s3._request_signer._credentials.access_key, s3.meta.config.proxies, s3.meta.region_name)
    """
    environ = {
        "AWS_PROFILE": "nope",
        "AWS_ACCESS_KEY_ID": "OTHER",
        "AWS_REGION": "eu-west-1",
        "HTTP_PROXY": "http://127.0.0.1:1",
    }
    assert run(code, tmp_path, **environ) == "AKIDEXAMPLE {} us-east-1"


CONNECT = """if True:
    import os
    from core.aws.connection import Clients, connect
    from core.errors import CoreError
    from core.settings import Settings
    try:
        connection = connect(Settings.from_environ(os.environ))
        made = Clients(connection)
        with made.calling("sign"):
            key = made.sts._request_signer._credentials.access_key
        print(connection.region, connection.profile, key)
    except CoreError as error:
        print(type(error).__name__, error)
"""


def test_the_profile_gives_region_and_keys(tmp_path: Path) -> None:
    """A profile gives region and keys; AWS_REGION and keys in the environment take precedence, as in the AWS CLI."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(
        "[profile work]\nregion = eu-central-1\naws_access_key_id = WORKKEY\naws_secret_access_key = s\n"
    )
    mine = {"AWS_ACCESS_KEY_ID": "ENVKEY", "AWS_SECRET_ACCESS_KEY": "s"}
    assert run(CONNECT, tmp_path, AWS_PROFILE="work") == "eu-central-1 work WORKKEY"
    assert run(CONNECT, tmp_path, AWS_PROFILE="work", AWS_REGION="eu-west-3") == "eu-west-3 work WORKKEY"
    assert run(CONNECT, tmp_path, AWS_PROFILE="work", **mine) == "eu-central-1 work ENVKEY"


def test_what_is_missing_is_said_before_any_call(tmp_path: Path) -> None:
    """A missing region and an unknown profile are errors that say what to set."""
    assert run(CONNECT, tmp_path).startswith("SettingsError No AWS region is set.")
    assert "Set AWS_REGION" in run(CONNECT, tmp_path)
    assert run(CONNECT, tmp_path, AWS_PROFILE="nope", AWS_REGION="eu-west-1").startswith("CredentialsError")


def test_connections_share_botocores_service_descriptions() -> None:
    """botocore's service description is parsed once per process, for all connections."""
    other = Connection("eu-west-1", "http://127.0.0.1:9", None, "AKIDEXAMPLE", "other")
    loaders = [_chain(made.profile).get_component("data_loader") for made in (SANDBOX, other)]
    assert loaders[0] is loaders[1]


def test_a_folder_of_other_descriptions_is_honored(tmp_path: Path) -> None:
    """AWS_DATA_PATH is still used for service descriptions."""
    code = "from core.aws.connection import _chain; print(_chain(None).get_component('data_loader').search_paths[0])"
    assert run(code, tmp_path, AWS_DATA_PATH=str(tmp_path)) == str(tmp_path)
