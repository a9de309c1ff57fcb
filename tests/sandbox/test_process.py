"""`python -m sandbox` in its own process: what it prints, saves and leaves behind."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from core.settings import Settings
from sandbox import launcher
from sandbox.__main__ import main
from sandbox.common.state_dir import StateDir
from sandbox.launcher import Address, LaunchError, running
from sandbox.server import Sandbox
from tests.sandbox.conftest import request as training_request
from tests.support.clients import new_client
from tests.support.patience import SECONDS, WAITER, wait_until

PROJECT = Path(__file__).resolve().parent.parent.parent
STUBBED = [sys.executable, str(PROJECT / "tests" / "support" / "sandbox_process.py")]
Start = Callable[..., subprocess.Popen[str]]
Eventually = Callable[..., Any]


@contextmanager
def _starting() -> Iterator[Start]:
    """Give a function that starts sandbox processes with stub containers, and end them afterwards."""
    processes: list[subprocess.Popen[str]] = []

    def run(
        data_dir: Path, *options: str, command: Sequence[str] = STUBBED, cwd: Path = PROJECT
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*command, "--data", str(data_dir), "--no-demo", *options],
            cwd=cwd,
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
        process.communicate(timeout=SECONDS)


@pytest.fixture
def start() -> Iterator[Start]:
    """start(data_dir, *options) -> a sandbox process with stub containers; ended after the test."""
    with _starting() as start:
        yield start


@pytest.fixture(scope="module")
def ready(eventually: Eventually) -> Callable[[Path, subprocess.Popen[str]], Address]:
    """ready(data_dir, process) -> the address, once the process has announced it."""

    def wait(data_dir: Path, process: subprocess.Popen[str]) -> Address:
        def probe() -> Address | None:
            if process.poll() is not None:
                pytest.fail(f"the sandbox ended with {process.returncode}: {process.communicate()}")
            address = running(data_dir)
            return address if address is not None and address.pid == process.pid else None

        address: Address = eventually(probe)
        return address

    return wait


@pytest.fixture(scope="module")
def standing(
    tmp_path_factory: pytest.TempPathFactory, ready: Callable[..., Address]
) -> Iterator[tuple[Path, Address]]:
    """The folder and the address of a running process, for tests that neither change nor end it.

    Its umask is 0, and its folder had wide permissions, files of an earlier run, and a link to another folder.
    """
    base = tmp_path_factory.mktemp("standing")
    folder, target = base / "data", base / "elsewhere" / "file"
    (folder / "s3" / "blobs").mkdir(parents=True)
    (folder / "sandbox.log").write_text("old")
    target.parent.mkdir()
    target.touch()
    (folder / "link").symlink_to(target)
    for path in (folder, folder / "s3", folder / "s3" / "blobs", target):
        path.chmod(0o777)
    (folder / "sandbox.log").chmod(0o666)
    code = f"import os; os.umask(0); os.execv({sys.executable!r}, {STUBBED!r} + os.sys.argv[1:])"
    with _starting() as start:
        yield folder, ready(folder, start(folder, "--port", "0", command=[sys.executable, "-c", code]))


def _client(address: Address, service: str) -> Any:
    return new_client(address, service, retries={"total_max_attempts": 5})


def _model_pid(address: Address, name: str) -> int:
    """Return the process that answers for a stub endpoint."""
    answer = _client(address, "sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=b"x")
    return int(answer["Body"].read().split(b'"pid": ')[1].split(b",")[0].rstrip(b"}"))


def _gone(pid: int) -> bool:
    """Return whether a process has ended, or is a zombie that was not waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


class _Running:
    """The attributes that `make_endpoint` needs of a sandbox in another process."""

    def __init__(self, address: Address) -> None:
        self.address = address


def test_the_printed_lines_point_any_client_at_it(
    tmp_path: Path, start: Start, ready: Callable[..., Address]
) -> None:
    """A client needs only an `eval` of --print-env, which is printed at the start; no output has the secret key."""
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
    printed, errors = process.communicate(timeout=SECONDS)
    assert f'eval "$({" ".join(command[:4])} --data {tmp_path})"' in printed
    assert f"export AWS_ENDPOINT_URL={address.url}\n" in lines
    assert process.returncode == 0
    assert not (tmp_path / "sandbox.json").exists()
    assert address.url in printed
    assert address.secret_key not in printed + errors  # launchers write the output to a log


def test_the_folder_is_private_whatever_the_umask(standing: tuple[Path, Address]) -> None:
    """With umask 0 every folder is 0700 and every file 0600, including existing ones with wider permissions."""
    folder, address = standing
    _client(address, "s3").create_bucket(Bucket="bucket")
    _client(address, "s3").put_object(Bucket="bucket", Key="key", Body=b"x")
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in [folder, *folder.rglob("*")]}
    del modes[folder / "link"]
    assert len(modes) > 10
    wrong = {path: oct(mode) for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)}
    assert wrong == {}
    assert stat.S_IMODE((folder / "link").stat().st_mode) == 0o777


def test_the_launcher_makes_a_private_folder(tmp_path: Path) -> None:
    """The folder and the log that the launcher creates before the sandbox runs are private to the user."""
    folder = tmp_path / "data"
    before = os.umask(0)
    try:
        process = launcher._start(folder)
    finally:
        os.umask(before)
    mode = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "sandbox.log")]
    process.kill()
    process.communicate(timeout=SECONDS)
    assert mode == [0o700, 0o600]


def test_a_key_in_a_log_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder whose log has the secret key gets a new key at the next start, keeps its port, and reports it once."""
    home = StateDir(tmp_path)
    old = home.identity
    home.remember_port(4567)
    home.close()
    (tmp_path / "sandbox.log").write_text(f"export AWS_SECRET_ACCESS_KEY={old.secret_key}\n")
    home = StateDir(tmp_path)
    new = home.identity
    home.close()
    assert (new.port, new.secret_key != old.secret_key, new.access_key != old.access_key) == (
        4567,
        True,
        True,
    )
    assert "contains the secret key, so it was replaced" in capsys.readouterr().err
    home = StateDir(tmp_path)
    home.close()
    assert (home.identity, capsys.readouterr().err) == (new, "")


def test_secrets_are_the_owners_only(tmp_path: Path, standing: tuple[Path, Address]) -> None:
    """Files with the secret are readable by their owner only, and each folder has its own secret."""
    folder, first = standing
    with Sandbox(tmp_path) as second:
        assert first.secret_key != second.address.secret_key
    for name in ("sandbox.json", "identity.json"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


@dataclass
class Killed:
    """A sandbox that was killed with SIGKILL in the middle of much work, and started again.

    folder:    of the sandbox.
    first:     its address before, and `address` the one after.
    found:     the address that other processes found between the two.
    endpoint:  one in service, `model` and `child` its processes.
    updated:   an endpoint in the middle of an update to the configuration `config`.
    programs:  the processes of the training job "cut-off", which ignore signals.
    """

    folder: Path
    first: Address
    address: Address
    found: Address | None
    endpoint: str
    model: int
    child: int
    updated: str
    config: str
    programs: tuple[int, int]

    def client(self, service: str) -> Any:
        return _client(self.address, service)


@pytest.fixture(scope="module")
def killed(
    tmp_path_factory: pytest.TempPathFactory,
    ready: Callable[..., Address],
    make_endpoint: Callable[..., str],
    model_archive: Callable[..., bytes],
) -> Iterator[Killed]:
    """The sandbox after its second start, on a relative folder, as users give it."""
    base = tmp_path_factory.mktemp("killed")
    folder, child, gate = base / "data", base / "child", base / "gate"
    gate.touch()
    with _starting() as start:
        process = start(Path("data"), cwd=base)
        first = ready(folder, process)
        running_sandbox = _Running(first)
        behavior = {"child": str(child)}
        endpoint = make_endpoint(running_sandbox, files={"kept": b""}, behavior=behavior, tags={"who": "me"})
        old = make_endpoint(running_sandbox, files={"old": b""})
        new = make_endpoint(running_sandbox, files={"new": b""}, behavior={"gate": str(gate)})
        gate.unlink()
        _put_resources(first)
        programs = _start_training(first)
        _start_transforms(first, model_archive)
        model = _model_pid(first, endpoint)
        logs, group = _client(first, "logs"), f"/aws/sagemaker/Endpoints/{endpoint}"
        wait_until(lambda: logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"])
        wait_until(lambda: logs.filter_log_events(logGroupName=group)["events"])
        sagemaker = _client(first, "sagemaker")
        sagemaker.update_endpoint(EndpointName=old, EndpointConfigName=new)
        assert sagemaker.describe_endpoint(EndpointName=old)["EndpointStatus"] == "Updating"
        process.kill()
        process.communicate(timeout=SECONDS)
        pids = (model, int(child.read_text()), *programs)
        wait_until(lambda: all(map(_gone, pids)))
        found = running(folder)
        gate.touch()
        address = ready(folder, start(Path("data"), cwd=base))
        yield Killed(folder, first, address, found, endpoint, *pids[:2], old, new, programs)


def _put_resources(address: Address) -> None:
    """Create an object, a role and a metric, and the image folder of the transform jobs."""
    s3 = _client(address, "s3")
    s3.put_object(Bucket="stub-models", Key="note", Body=b"kept")
    _client(address, "iam").create_role(RoleName="kept", AssumeRolePolicyDocument="{}")
    _client(address, "cloudwatch").put_metric_data(
        Namespace="N", MetricData=[{"MetricName": "kept", "Value": 4.0}]
    )
    s3.create_bucket(Bucket="batch")
    for number in range(4):
        s3.put_object(Bucket="batch", Key=f"in/{number}.jpg", Body=b"image")


def _start_training(address: Address) -> tuple[int, int]:
    """Start a job that ignores SIGTERM, with such a child; return the ids of their processes."""
    hyperparameters = {"stubborn": "1", "seconds": "600", "child": "1"}
    members = {"InputDataConfig": None, "OutputDataConfig": {"S3OutputPath": "s3://segdeck-sandbox/out"}}
    sagemaker, logs = _client(address, "sagemaker"), _client(address, "logs")
    sagemaker.create_training_job(**training_request("cut-off", hyperparameters, **members))
    group = "/aws/sagemaker/TrainingJobs"
    wait_until(lambda: logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"])

    def line(beginning: str) -> str:
        def probe() -> str | None:
            events = logs.filter_log_events(logGroupName=group, logStreamNamePrefix="cut-off/")["events"]
            return next((text for event in events if (text := event["message"]).startswith(beginning)), None)

        return str(wait_until(probe))

    wait_until(lambda: sagemaker.describe_training_job(TrainingJobName="cut-off").get("FinalMetricDataList"))
    return json.loads(line('{"pid"'))["pid"], int(line("child ").removeprefix("child "))


def _start_transforms(address: Address, model_archive: Callable[..., bytes]) -> None:
    """Start two transform jobs that hang after two images, and one that waits for its turn."""
    s3, sagemaker = _client(address, "s3"), _client(address, "sagemaker")
    s3.put_object(Bucket="batch", Key="model.tar.gz", Body=model_archive({}))
    container = {"Image": "semantic-segmentation:1", "ModelDataUrl": "s3://batch/model.tar.gz"}
    sagemaker.create_model(ModelName="batch", PrimaryContainer=container)
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://batch/in/"}}
    hang = {"SM_SANDBOX_FAULT": "hang:2"}
    for name, environment in (("running-1", hang), ("running-2", hang), ("waiting", {})):
        sagemaker.create_transform_job(
            TransformJobName=name,
            ModelName="batch",
            TransformInput={"DataSource": source},
            TransformOutput={"S3OutputPath": f"s3://batch/{name}"},
            TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
            Environment=environment,
        )
    wait_until(lambda: [len(_written(s3, f"running-{number}")) for number in (1, 2)] == [2, 2])


def _written(s3: Any, name: str) -> list[int]:
    """Return the sizes of a transform job's outputs."""
    listed = s3.list_objects_v2(Bucket="batch", Prefix=f"{name}/").get("Contents", [])
    return [item["Size"] for item in listed]


def test_state_survives_a_kill(killed: Killed) -> None:
    """After SIGKILL no model process or child remains; a restart restores every endpoint."""
    assert killed.found is None
    assert all(map(_gone, (killed.model, killed.child)))
    assert (killed.address.url, killed.address.secret_key) == (killed.first.url, killed.first.secret_key)
    sagemaker, name = killed.client("sagemaker"), killed.endpoint
    endpoint = sagemaker.describe_endpoint(EndpointName=name)
    assert endpoint["EndpointStatus"] == "InService"
    tags = sagemaker.list_tags(ResourceArn=endpoint["EndpointArn"])["Tags"]
    assert tags == [{"Key": "who", "Value": "me"}]
    assert _model_pid(killed.address, name) != killed.model
    stored = killed.client("s3").get_object(Bucket="stub-models", Key="note")
    assert stored["Body"].read() == b"kept"
    assert killed.client("iam").get_role(RoleName="kept")["Role"]["RoleName"] == "kept"
    metrics = killed.client("cloudwatch").list_metrics(Namespace="N")["Metrics"]
    assert [metric["MetricName"] for metric in metrics] == ["kept"]
    events = killed.client("logs").filter_log_events(logGroupName=f"/aws/sagemaker/Endpoints/{name}")
    assert events["events"][0]["message"] == "stub serving ['behavior.json', 'kept']"


def test_an_update_survives_a_kill(killed: Killed) -> None:
    """After SIGKILL during UpdateEndpoint the next start completes the update."""
    endpoint = killed.client("sagemaker").describe_endpoint(EndpointName=killed.updated)
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", killed.config)
    answer = killed.client("sagemaker-runtime").invoke_endpoint(EndpointName=killed.updated, Body=b"x")
    assert b'"new"' in answer["Body"].read()


def test_a_transform_job_fails_at_a_restart(killed: Killed) -> None:
    """After SIGKILL the running job has Failed and says so, its outputs are whole, and a waiting job runs."""
    s3, sagemaker = killed.client("s3"), killed.client("sagemaker")
    for name in ("running-1", "running-2"):
        job = sagemaker.describe_transform_job(TransformJobName=name)
        assert job["TransformJobStatus"] == "Failed"
        assert "the sandbox was restarted while this job was running" in job["FailureReason"]
        sizes = _written(s3, name)
        assert len(sizes) == 2
        assert all(sizes)
    sagemaker.get_waiter("transform_job_completed_or_stopped").wait(
        TransformJobName="waiting", WaiterConfig=WAITER
    )
    assert len(_written(s3, "waiting")) == 4


def test_no_training_outlives_the_sandbox(killed: Killed) -> None:
    """After SIGKILL no program or child remains; the next start reports the job's end and metrics."""
    assert all(map(_gone, killed.programs))
    document = killed.client("sagemaker").describe_training_job(TrainingJobName="cut-off")
    assert document["TrainingJobStatus"] == "Failed"
    assert (
        document["FailureReason"]
        == "InternalServerError: the sandbox was restarted while this job was running"
    )
    assert [step["Status"] for step in document["SecondaryStatusTransitions"]][-2:] == ["Training", "Failed"]
    query = {
        "ResourceArn": document["TrainingJobArn"],
        "MetricName": "train:loss",
        "MetricStat": "Last",
        "Period": "IterationNumber",
        "XAxisType": "IterationNumber",
    }
    curves = killed.client("sagemaker-metrics").batch_get_metrics(MetricQueries=[query])
    assert curves["MetricQueryResults"][0]["MetricValues"] == [1.0]
    assert not list((killed.folder / "training").glob("*"))


HOLDER = f"""
import os, signal, subprocess, sys, time
sys.path.insert(0, {str(PROJECT)!r})
from sandbox.hosting.container import ParentDeathPipe, spawn
from pathlib import Path
death_pipe = ParentDeathPipe()
def start(code):
    process, output = spawn([sys.executable, "-c", code], Path("."), {{}}, death_pipe)
    return process, int(output.readline())
deaf = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid(), flush=True); time.sleep(600)"
first, _ = start(deaf)
os.kill(death_pipe._guardian.pid, signal.SIGKILL)
death_pipe._guardian.wait()
second, _ = start(deaf)
print(first.pid, second.pid, flush=True)
{{ending}}
"""  # noqa: E501


@pytest.mark.parametrize(
    "ending",
    ["time.sleep(600)", "death_pipe.close(); death_pipe.guard(1); death_pipe.release(1); time.sleep(600)"],
)
def test_programs_that_ignore_signals_end_with_the_process(ending: str, eventually: Eventually) -> None:
    """All its programs end when it is killed or stopped, even if the guardian was killed before."""
    code = HOLDER.replace("{ending}", ending)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 2
    if "close" in ending:
        eventually(lambda: all(map(_gone, pids)))
    process.kill()
    process.communicate(timeout=SECONDS)
    eventually(lambda: all(map(_gone, pids)))


def test_ctrl_c_ends_it_and_its_models(
    tmp_path: Path, start: Start, ready: Callable[..., Address], make_endpoint: Callable[..., str]
) -> None:
    """On SIGINT it exits with 0, even when a model ignores the signal; no process remains."""
    process = start(tmp_path, "--port", "0")
    address = ready(tmp_path, process)
    model = _model_pid(address, make_endpoint(_Running(address), behavior={"stubborn": True}))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (0, "")
    assert _gone(model)


def test_it_stops_during_a_deletion(
    tmp_path: Path,
    start: Start,
    ready: Callable[..., Address],
    make_endpoint: Callable[..., str],
    stub_programs: dict[str, list[str]],
) -> None:
    """On SIGTERM a deletion in progress ends before the files are closed; the next start completes it."""
    process = start(tmp_path)
    address = ready(tmp_path, process)
    names = [make_endpoint(_Running(address), behavior={"stubborn": True}) for _ in range(3)]
    models = [_model_pid(address, name) for name in names]
    for name in names[:2]:
        _client(address, "sagemaker").delete_endpoint(EndpointName=name)
    process.terminate()
    _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (0, "")
    assert all(map(_gone, models))
    with Sandbox(tmp_path, programs=stub_programs) as again:
        listed = again.loopback.client("sagemaker").list_endpoints()["Endpoints"]
    assert [endpoint["EndpointName"] for endpoint in listed] == names[2:]


def test_a_second_one_on_the_folder_is_refused(standing: tuple[Path, Address], start: Start) -> None:
    """Two servers would corrupt one folder: the second exits immediately with the reason."""
    folder, _ = standing
    second = start(folder, "--port", "0")
    _, errors = second.communicate(timeout=SECONDS)
    assert second.returncode == 3
    assert f"Another sandbox is running on {folder}" in errors


def test_a_taken_port_is_refused_when_asked_for(
    tmp_path: Path, standing: tuple[Path, Address], start: Start
) -> None:
    """--port requires that port; without it, a free one is used instead."""
    _, first = standing
    port = first.url.rpartition(":")[2]
    second = start(tmp_path, "--port", port)
    _, errors = second.communicate(timeout=SECONDS)
    assert second.returncode == 1
    assert f"Port {port} of 127.0.0.1 cannot be used" in errors


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "example.com"])
def test_other_hosts_are_refused_with_a_reason(
    tmp_path: Path, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it runs programs, it listens on loopback only."""
    assert main(["--data", str(tmp_path), "--host", host]) == 2
    assert f"--host {host} is refused: the sandbox runs programs" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["127.0.0.2", "127.1.2.3", "0:0:0:0:0:0:0:1", "::2"])
def test_other_loopback_addresses_are_refused_with_a_reason(
    tmp_path: Path, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An address whose requests would be refused is refused at the start, with the valid ones."""
    assert main(["--data", str(tmp_path), "--host", host]) == 2
    errors = capsys.readouterr().err
    assert f"--host {host} is refused: " in errors
    assert "Use 127.0.0.1." in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("port", ["-1", "65536", "9" * 5000, "٤٥٦٦", "1.5", ""])
def test_an_invalid_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--port accepts 0 to 65535 in plain digits; the error stays short, however long the value is."""
    with pytest.raises(SystemExit) as ended:
        main(["--port", port])
    errors = capsys.readouterr().err
    assert (ended.value.code, "is not a port: use 0 to 65535" in errors, len(errors) < 1000) == (
        2,
        True,
        True,
    )


def test_print_env_without_a_sandbox_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It exits with 1 and says what to do, for an empty folder and for one whose sandbox was killed."""
    assert main(["--data", str(tmp_path), "--print-env"]) == 1
    output, errors = capsys.readouterr()
    assert output == ""
    assert f"No sandbox is running on {tmp_path}. Start one with: python -m sandbox" in errors


@pytest.mark.parametrize(
    ("given", "meant"), [("", PROJECT / ".sandbox"), ("a b", PROJECT / "a b"), ("~/s", Path.home() / "s")]
)
def test_the_folder_is_the_one_of_the_dashboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, meant: Path
) -> None:
    """From any working directory, SEGDECK_SANDBOX_DIR is the same folder as for the dashboard."""
    monkeypatch.setenv("SEGDECK_SANDBOX_DIR", given)
    monkeypatch.chdir(tmp_path)
    assert (
        launcher.default_dir() == meant == Settings.from_environ({"SEGDECK_SANDBOX_DIR": given}).sandbox_dir
    )


def test_an_unusable_folder_is_reported(tmp_path: Path, start: Start) -> None:
    """When the folder cannot be created, the process and its launcher report it without a traceback."""
    (tmp_path / "file").touch()
    process = start(tmp_path / "file" / "folder")
    _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, "Traceback" in errors) == (1, False)
    assert f"the folder {tmp_path / 'file' / 'folder'} cannot be used: Not a directory" in errors
    with pytest.raises(LaunchError, match="cannot be used: Not a directory"):
        launcher.ensure(tmp_path / "file" / "folder")


def test_the_launcher_starts_one_and_finds_it_again(tmp_path: Path) -> None:
    """`ensure` starts a sandbox, which ends with this process; later callers get the running one."""
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
        process.communicate(timeout=SECONDS)  # closes its standard input, as the end of this process does
    assert process.returncode == 0
    assert running(tmp_path) is None


def test_the_launcher_waits_for_one_that_is_ending(tmp_path: Path) -> None:
    """While a stopping sandbox still holds the folder, `ensure` retries until it can start a new one."""
    (tmp_path / "seeded.json").write_text('{"account": "", "aerial": "", "coastlines": ""}')
    log = tmp_path / "sandbox.log"
    with ThreadPoolExecutor(1) as pool:
        with Sandbox(tmp_path, port=0):
            pending = pool.submit(launcher.ensure, tmp_path)
            wait_until(lambda: log.exists() and "Another sandbox is running" in log.read_text())
        address, process = pending.result(60)
    assert process is not None
    assert address.pid == process.pid
    process.communicate(timeout=SECONDS)


def test_a_stale_address_file_is_ignored(tmp_path: Path) -> None:
    """Once a new sandbox answers at the port, the address file of the previous one is ignored."""
    with Sandbox(tmp_path, port=0) as sandbox:
        sandbox.announce()
        left = (tmp_path / "sandbox.json").read_text()
        port = urlsplit(sandbox.address.url).port
    (tmp_path / "sandbox.json").write_text(left)  # its process, this one, is alive, like a zombie
    with Sandbox(tmp_path, port=port):
        assert running(tmp_path) is None


def test_the_launcher_reports_why_it_failed(tmp_path: Path) -> None:
    """The error includes the end of the sandbox's own log."""
    (tmp_path / "identity.json").write_text("not json")
    with pytest.raises(LaunchError, match=r"exited with code 1[\s\S]*JSONDecodeError"):
        launcher.ensure(tmp_path)


def test_the_launcher_is_quick_to_import() -> None:
    """It imports neither boto3 nor moto nor werkzeug."""
    code = (
        "import sys, sandbox.launcher; print([m for m in ('boto3', 'moto', 'werkzeug') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
