"""`python -m sandbox` as a process of its own: what it prints, keeps, and leaves behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from core.settings import Settings
from sandbox import launcher
from sandbox.launcher import Address, LaunchError, running
from sandbox.server import Sandbox

PROJECT = Path(__file__).resolve().parent.parent.parent
STUBBED = [sys.executable, str(PROJECT / "tests" / "support" / "sandbox_process.py")]
Start = Callable[..., subprocess.Popen[str]]
Eventually = Callable[..., Any]


@pytest.fixture
def start() -> Iterator[Start]:
    """start(data_dir, *options) -> a sandbox process with stub containers; ended after the test."""
    processes: list[subprocess.Popen[str]] = []

    def run(data_dir: Path, *options: str, command: Sequence[str] = STUBBED) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*command, "--data", str(data_dir), "--no-demo", *options],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=20)


@pytest.fixture
def ready(eventually: Eventually) -> Callable[[Path, subprocess.Popen[str]], Address]:
    """ready(data_dir, process) -> the address, once the process has announced it."""

    def wait(data_dir: Path, process: subprocess.Popen[str]) -> Address:
        def probe() -> Address | None:
            if process.poll() is not None:
                pytest.fail(f"the sandbox ended with {process.returncode}: {process.communicate()}")
            found = running(data_dir)
            return found if found is not None and found.pid == process.pid else None

        address: Address = eventually(probe, 60)
        return address

    return wait


def _client(address: Address, service: str) -> Any:
    session = boto3.session.Session(address.access_key, address.secret_key, region_name=address.region)
    return session.client(service, endpoint_url=address.url)


def _model_pid(address: Address, name: str) -> int:
    """The process that answers for a stub endpoint."""
    answer = _client(address, "sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=b"x")
    return int(answer["Body"].read().split(b'"pid": ')[1].split(b",")[0].rstrip(b"}"))


def _gone(pid: int) -> bool:
    """Ended, or a zombie that nobody has waited for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


class _Running:
    """What `make_endpoint` needs of a sandbox that runs elsewhere."""

    def __init__(self, address: Address) -> None:
        self.address = address


def test_the_printed_lines_point_any_client_at_it(
    tmp_path: Path, start: Start, ready: Callable[..., Address]
) -> None:
    """The lines printed at the start and by --print-env are the same, and an `eval` of them is all a client needs."""
    process = start(tmp_path, "--port", "0")
    address = ready(tmp_path, process)
    command = [sys.executable, "-m", "sandbox", "--print-env", "--data", str(tmp_path)]
    lines = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    ask = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    script = f'eval "$({" ".join(command)})"; {sys.executable} -c "{ask}"'
    stale = {**os.environ, "AWS_PROFILE": "no-such", "AWS_SESSION_TOKEN": "stale"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=PROJECT, env=stale, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "123456789012", done.stderr
    process.terminate()
    printed, _ = process.communicate(timeout=20)
    assert lines in printed
    assert f"export AWS_ENDPOINT_URL={address.url}\n" in lines
    assert process.returncode == 0
    assert not (tmp_path / "sandbox.json").exists()


def test_secrets_are_the_owners_only(tmp_path: Path, start: Start, ready: Callable[..., Address]) -> None:
    """Files that hold the secret are readable by nobody else, and each folder has a secret of its own."""
    first = ready(tmp_path / "a", start(tmp_path / "a", "--port", "0"))
    second = ready(tmp_path / "b", start(tmp_path / "b", "--port", "0"))
    assert first.secret_key != second.secret_key
    for name in ("sandbox.json", "identity.json"):
        assert stat.S_IMODE((tmp_path / "a" / name).stat().st_mode) == 0o600


def test_state_survives_a_kill(
    tmp_path: Path,
    start: Start,
    ready: Callable[..., Address],
    make_endpoint: Callable[..., str],
    eventually: Eventually,
) -> None:
    """After SIGKILL: no model process is left; after a restart everything is there and the endpoint answers."""
    process = start(tmp_path)
    first = ready(tmp_path, process)
    name = make_endpoint(_Running(first), files={"kept": b""}, tags={"who": "me"})
    _client(first, "s3").put_object(Bucket="stub-models", Key="note", Body=b"kept")
    _client(first, "iam").create_role(RoleName="kept", AssumeRolePolicyDocument="{}")
    model = _model_pid(first, name)
    group = f"/aws/sagemaker/Endpoints/{name}"
    logs = _client(first, "logs")
    eventually(lambda: logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"])
    eventually(lambda: logs.filter_log_events(logGroupName=group)["events"])
    process.kill()
    process.communicate(timeout=20)
    eventually(lambda: _gone(model))
    assert running(tmp_path) is None

    second = ready(tmp_path, start(tmp_path))
    assert (second.url, second.secret_key) == (first.url, first.secret_key)
    found = _client(second, "sagemaker").describe_endpoint(EndpointName=name)
    assert found["EndpointStatus"] == "InService"
    arn = found["EndpointArn"]
    assert _client(second, "sagemaker").list_tags(ResourceArn=arn)["Tags"] == [{"Key": "who", "Value": "me"}]
    assert _model_pid(second, name) != model
    assert _client(second, "s3").get_object(Bucket="stub-models", Key="note")["Body"].read() == b"kept"
    assert _client(second, "iam").get_role(RoleName="kept")["Role"]["RoleName"] == "kept"
    events = _client(second, "logs").filter_log_events(logGroupName=group)["events"]
    assert events[0]["message"] == "stub serving ['behaviour.json', 'kept']"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_its_models(
    tmp_path: Path,
    start: Start,
    ready: Callable[..., Address],
    make_endpoint: Callable[..., str],
    number: signal.Signals,
) -> None:
    """It ends within seconds, with exit code 0, also when a model ignores the signal; no process is left."""
    process = start(tmp_path, "--port", "0")
    address = ready(tmp_path, process)
    model = _model_pid(address, make_endpoint(_Running(address), behaviour={"stubborn": True}))
    begun = time.monotonic()
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert time.monotonic() - begun < 10
    assert _gone(model)


def test_an_update_survives_a_kill(
    tmp_path: Path, start: Start, ready: Callable[..., Address], make_endpoint: Callable[..., str]
) -> None:
    """After SIGKILL in the middle of UpdateEndpoint the next start takes it to its end."""
    process = start(tmp_path)
    address = ready(tmp_path, process)
    gate = tmp_path / "gate"
    gate.touch()
    old = make_endpoint(_Running(address), files={"old": b""})
    new = make_endpoint(_Running(address), files={"new": b""}, behaviour={"gate": str(gate)})
    gate.unlink()
    sagemaker = _client(address, "sagemaker")
    sagemaker.update_endpoint(EndpointName=old, EndpointConfigName=new)
    assert sagemaker.describe_endpoint(EndpointName=old)["EndpointStatus"] == "Updating"
    process.kill()
    process.communicate(timeout=20)
    gate.touch()
    again = ready(tmp_path, start(tmp_path))
    found = _client(again, "sagemaker").describe_endpoint(EndpointName=old)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", new)
    answer = _client(again, "sagemaker-runtime").invoke_endpoint(EndpointName=old, Body=b"x")
    assert b'"new"' in answer["Body"].read()


def test_it_ends_in_the_middle_of_a_deletion(
    tmp_path: Path, start: Start, ready: Callable[..., Address], make_endpoint: Callable[..., str]
) -> None:
    """What deletes an endpoint ends before the files are closed; the next start finishes the deletion."""
    process = start(tmp_path)
    address = ready(tmp_path, process)
    names = [make_endpoint(_Running(address), behaviour={"stubborn": True}) for _ in range(3)]
    for name in names:
        _client(address, "sagemaker").delete_endpoint(EndpointName=name)
    process.terminate()
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    again = ready(tmp_path, start(tmp_path))
    assert _client(again, "sagemaker").list_endpoints()["Endpoints"] == []


def test_it_ends_with_its_parent(tmp_path: Path, start: Start, ready: Callable[..., Address]) -> None:
    """With --exit-with-parent the end of standard input is the end."""
    process = start(tmp_path, "--port", "0", "--exit-with-parent")
    ready(tmp_path, process)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=20) == 0
    process.stdin = None


def test_a_second_one_on_the_folder_is_refused(
    tmp_path: Path, start: Start, ready: Callable[..., Address]
) -> None:
    """Two servers on one folder would spoil it: the second ends at once and says why."""
    ready(tmp_path, start(tmp_path, "--port", "0"))
    second = start(tmp_path, "--port", "0")
    _, errors = second.communicate(timeout=30)
    assert second.returncode == 3
    assert f"Another sandbox runs on {tmp_path}" in errors


def test_a_taken_port_is_refused_when_asked_for(
    tmp_path: Path, start: Start, ready: Callable[..., Address]
) -> None:
    """--port names the port that must be had; without it another one is taken."""
    first = ready(tmp_path / "a", start(tmp_path / "a", "--port", "0"))
    port = first.url.rpartition(":")[2]
    second = start(tmp_path / "b", "--port", port)
    _, errors = second.communicate(timeout=30)
    assert second.returncode == 1
    assert f"Port {port} of 127.0.0.1 cannot be used" in errors


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "example.com"])
def test_other_hosts_are_refused_with_a_reason(tmp_path: Path, start: Start, host: str) -> None:
    """It starts programs: it listens on this machine only."""
    process = start(tmp_path, "--host", host)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert f"--host {host} is refused: the sandbox starts programs" in errors


def test_print_env_without_a_sandbox_says_so(tmp_path: Path, start: Start) -> None:
    """Exit code 1 and what to do, for an empty folder and for one whose sandbox was killed."""
    process = start(tmp_path, "--print-env")
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (1, "")
    assert f"No sandbox runs on {tmp_path}. Start one with: python -m sandbox" in errors


@pytest.mark.parametrize(
    ("given", "meant"), [("", PROJECT / ".sandbox"), ("a b", PROJECT / "a b"), ("~/s", Path.home() / "s")]
)
def test_the_folder_is_the_one_of_the_dashboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, meant: Path
) -> None:
    """Wherever it is called from, SEGDECK_SANDBOX_DIR means the folder that it means to the dashboard."""
    monkeypatch.setenv("SEGDECK_SANDBOX_DIR", given)
    monkeypatch.chdir(tmp_path)
    assert (
        launcher.default_dir() == meant == Settings.from_environ({"SEGDECK_SANDBOX_DIR": given}).sandbox_dir
    )


def test_a_folder_that_cannot_be_is_told_in_words(tmp_path: Path, start: Start) -> None:
    """Where the folder cannot be made, the process and its launcher say so, without a traceback."""
    (tmp_path / "file").touch()
    process = start(tmp_path / "file" / "folder")
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, "Traceback" in errors) == (1, False)
    assert f"the folder {tmp_path / 'file' / 'folder'} cannot be used: Not a directory" in errors
    with pytest.raises(LaunchError, match="cannot be used: Not a directory"):
        launcher.ensure(tmp_path / "file" / "folder")


def test_the_launcher_starts_one_and_finds_it_again(tmp_path: Path) -> None:
    """`ensure` starts a sandbox when none runs, and gives the running one to whoever asks next."""
    assert running(tmp_path) is None
    (tmp_path / "seeded.json").write_text('{"account": "", "aerial": "", "coastlines": ""}')
    address, process = launcher.ensure(tmp_path)
    assert process is not None
    try:
        again, other = launcher.ensure(tmp_path)
        assert (again, other) == (address, None)
        assert address.environ()["AWS_ENDPOINT_URL"] == address.url
        assert _client(address, "sagemaker").list_endpoints()["Endpoints"] == []
        assert address.secret_key not in repr(address)
    finally:
        process.communicate(timeout=20)
    assert running(tmp_path) is None


def test_the_launcher_waits_for_one_that_is_ending(tmp_path: Path) -> None:
    """While the one before still has the folder, `ensure` tries again, and gets it once that has ended."""
    (tmp_path / "seeded.json").write_text('{"account": "", "aerial": "", "coastlines": ""}')
    log = tmp_path / "sandbox.log"
    with ThreadPoolExecutor(1) as pool:
        with Sandbox(tmp_path, port=0):
            asked = pool.submit(launcher.ensure, tmp_path)
            deadline = time.monotonic() + 60
            while not log.exists() or "Another sandbox runs" not in log.read_text():
                assert time.monotonic() < deadline
                time.sleep(0.02)
        address, process = asked.result(60)
    assert process is not None
    assert address.pid == process.pid
    process.communicate(timeout=20)


def test_what_a_killed_one_left_does_not_pass_for_it(tmp_path: Path) -> None:
    """Once a new sandbox answers at the port, the address of the one before it counts no more."""
    with Sandbox(tmp_path, port=0) as sandbox:
        sandbox.announce()
        left = (tmp_path / "sandbox.json").read_text()
        port = urlsplit(sandbox.address.url).port
    (tmp_path / "sandbox.json").write_text(
        left
    )  # its process, this one, is alive, as a dead child nobody asked about
    with Sandbox(tmp_path, port=port):
        assert running(tmp_path) is None


def test_the_launcher_tells_why_it_failed(tmp_path: Path) -> None:
    """The error holds the end of the sandbox's own log."""
    (tmp_path / "identity.json").write_text("not json")
    with pytest.raises(LaunchError, match=r"exit code 1[\s\S]*JSONDecodeError"):
        launcher.ensure(tmp_path)


def test_the_launcher_is_quick_to_import() -> None:
    """It brings neither boto3 nor moto nor werkzeug."""
    code = (
        "import sys, sandbox.launcher; print([m for m in ('boto3', 'moto', 'werkzeug') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
