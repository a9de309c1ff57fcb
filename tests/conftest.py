"""Configure the test suite, and define shared fixtures: one sandbox with a stub container instead of MXNet.

Every test gets its markers here, by what it uses: `browser`, `sandbox` and `mxnet` (`make test-fast` leaves these
out), and its time limit. With pytest-xdist a file stays on one worker, and the costliest files start first.
"""

from __future__ import annotations

import gc
import importlib.util
import io
import itertools
import json
import os
import signal
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from sandbox import launcher
from sandbox.launcher import Address
from sandbox.server import Sandbox
from tests.support.clients import new_client
from tests.support.endpoints import remove_endpoint
from tests.support.patience import WAITER
from tests.support.roles import create_roles

# A run in the background has this signal ignored, and every program that a test starts would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A slow machine is not a failure, and every run tries the same examples: new ones are for long runs
# (SEGDECK_FUZZ_RUNS), where a failure is not mistaken for one of the change under test.
settings.register_profile(
    "segdeck",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="SEGDECK_FUZZ_RUNS" not in os.environ,
)
settings.load_profile("segdeck")

STUB = Path(__file__).parent / "support" / "stub_container.py"
STUB_TRAINING = STUB.with_name("stub_training.py")
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
BUCKET = "stub-models"
StubEndpoint = Callable[..., str]
KEPT_CLIENTS = 100

TESTS = Path(__file__).parent
BROWSER_SECONDS = 300
"""What a test of a journey may take; the bound of any other test is `timeout` in pyproject.toml."""
SANDBOX_FIXTURES = {"sandbox_server", "stub_programs", "stub_training_programs", "streamlit_server"}
JOURNEYS = {
    "demo": ("test_journey.py", "test_boundary.py", "test_deploy_journey.py", "test_training_journey.py"),
    "account": (
        "test_runs.py", "test_datasets.py", "test_faults.py", "test_evaluate.py", "test_batch_journey.py",
    ),
    "parts": ("test_viewer.py", "test_page_switch.py", "test_cards.py", "test_text.py"),
}  # fmt: skip
"""Browser tests on one server (`demo_dashboard`, `account_dashboard`, `parts`): all on one worker, in this order."""
KINDS = ("browser", "mxnet", "sandbox")
COLLECT_AFTER = (10_000, 20, 20)
"""Python's own are 700, 10 and 10: each collection after so many new objects, or collections of younger ones."""
MXNET = importlib.util.find_spec("mxnet") is not None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by what it uses, bound its time, and put the costly files first."""
    for item in items:
        if item.path.is_relative_to(TESTS / "browser"):
            item.add_marker("browser")
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(BROWSER_SECONDS))
        if _uses_sandbox(item):
            item.add_marker("sandbox")
        if "mxnet_writes" in getattr(item, "fixturenames", ()):
            item.add_marker("mxnet")
        if item.get_closest_marker("mxnet") and not MXNET:
            item.add_marker(pytest.mark.skip(reason="MXNet has no wheel for this platform"))
    cost: dict[Path, int] = {}
    for item in items:
        cost[item.path] = min(_cost(item), cost.get(item.path, len(KINDS)))
    place = {path: (rank, number) for number, (path, rank) in enumerate(cost.items())}
    items.sort(
        key=lambda item: place[item.path]
    )  # pytest itself groups by a fixture's parameters, over files


def pytest_collection_finish() -> None:
    """Keep the garbage collector away from what is imported by now, and let it run less often.

    A worker has millions of objects of Streamlit, pandas and botocore, and every full collection visits them all.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def _uses_sandbox(item: pytest.Item) -> bool:
    """Return whether a test uses a sandbox: by its fixtures, or because its module starts one."""
    module = item.getparent(pytest.Module)
    names = vars(module.obj).values() if module else ()
    return bool(SANDBOX_FIXTURES.intersection(getattr(item, "fixturenames", ()))) or any(
        value is Sandbox or value is launcher for value in names
    )


def _cost(item: pytest.Item) -> int:
    """Rank a test, costly ones first: the journeys that share a server, then by what the tests use."""
    shared = [name for files in JOURNEYS.values() for name in files]
    if item.path.parent.name == "browser" and item.path.name in shared:
        return shared.index(item.path.name) - len(shared)
    return next((rank for rank, kind in enumerate(KINDS) if item.get_closest_marker(kind)), len(KINDS))


class FileScheduling(LoadScopeScheduling):
    """Give each worker whole files, in the order of collection; journeys on one server count as one file."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        folder, _, name = path.rpartition("/")
        if not folder.endswith("browser"):
            return path
        return next((server for server, files in JOURNEYS.items() if name in files), path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileScheduling:
    """Start costly files first: ordered by number of tests, as pytest-xdist does, one worker would finish last."""
    config.option.loadscopereorder = False
    return FileScheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run one worker more than there are cores, at most five: many tests wait for servers and browsers."""
    return min(5, (os.cpu_count() or 1) + 1)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Give bytes no id: an archive contains its creation time, and two workers would collect different tests."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def without_mxnet(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep MXNet out of the tests' own process: its threads can hang at the end of the process."""
    before = "mxnet" in sys.modules
    yield
    assert before or "mxnet" not in sys.modules, f"{request.node.nodeid} imported MXNet in the tests' process"


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """Restore the main module, which AppTest replaces and processes of later tests would otherwise run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="session")
def stub_programs() -> dict[str, list[str]]:
    """The `programs` argument of a Sandbox whose containers are stubs."""
    return {"semantic-segmentation": [sys.executable, str(STUB)]}


@pytest.fixture(scope="session")
def stub_training_programs() -> dict[str, list[str]]:
    """The `training_programs` argument of a Sandbox without real training: see tests/support/stub_training.py."""
    # A SIGTERM that comes while Python is still starting waits until the program listens; macOS's env cannot do this.
    blocked = ["env", "--block-signal=TERM"] if sys.platform == "linux" else []
    return {"semantic-segmentation": [*blocked, sys.executable, str(STUB_TRAINING)]}


@pytest.fixture(scope="session")
def sandbox_server(
    tmp_path_factory: pytest.TempPathFactory,
    stub_programs: dict[str, list[str]],
    stub_training_programs: dict[str, list[str]],
) -> Iterator[Sandbox]:
    """A running sandbox without demos, with the roles of the tests; its containers are stubs."""
    folder = tmp_path_factory.mktemp("sandbox")
    with Sandbox(folder, programs=stub_programs, training_programs=stub_training_programs) as sandbox:
        create_roles(sandbox)
        yield sandbox


@pytest.fixture
def faults(sandbox_server: Sandbox) -> Iterator[Any]:
    """The sandbox's faults, cleared before and after the test."""
    sandbox_server.faults.clear()
    yield sandbox_server.faults
    sandbox_server.faults.clear()


@pytest.fixture(scope="session")
def aws_environ(sandbox_server: Sandbox) -> dict[str, str]:
    """The AWS_* variables that point any client at `sandbox_server`."""
    return sandbox_server.address.environ()


@pytest.fixture(scope="session")
def make_client() -> Callable[..., Any]:
    """make_client(sandbox, service, **config) -> a boto3 client without retries, so that tests see each failure.

    It is the same one for the same arguments: making one takes longer than most calls.
    """
    made: dict[tuple[Address, str, str], Any] = {}

    def make(sandbox: Sandbox, service: str, **config: Any) -> Any:
        key = sandbox.address, service, repr(sorted(config.items()))
        if key not in made:
            if len(made) >= KEPT_CLIENTS:  # most are of sandboxes that have ended
                made.clear()
            made[key] = new_client(sandbox.address, service, **config)
        return made[key]

    return make


@pytest.fixture(scope="session")
def model_archive() -> Callable[[Mapping[str, bytes]], bytes]:
    """model_archive({"name": content}) -> the bytes of a model.tar.gz."""

    def make(files: Mapping[str, bytes]) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        return buffer.getvalue()

    return make


@pytest.fixture(scope="session")
def make_endpoint(
    make_client: Callable[..., Any], model_archive: Callable[[Mapping[str, bytes]], bytes]
) -> StubEndpoint:
    """make_endpoint(sandbox, files={...}, behavior={...}, tags={...}, name=..., wait=True) -> the endpoint's name.

    files go into the model archive (`answer.recordio`, `answer.png`); behavior: see tests/support/stub_container.py.
    wait=False returns as soon as it is Creating.
    """
    numbers = itertools.count(1)

    def make(
        sandbox: Sandbox,
        *,
        files: Mapping[str, bytes] | None = None,
        behavior: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        name: str = "",
        wait: bool = True,
    ) -> str:
        name = name or f"stub-{next(numbers)}"
        s3, sagemaker = make_client(sandbox, "s3"), make_client(sandbox, "sagemaker")
        if BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
            s3.create_bucket(Bucket=BUCKET)
        content = {**(files or {}), "behavior.json": json.dumps(behavior or {}).encode()}
        s3.put_object(Bucket=BUCKET, Key=f"{name}/model.tar.gz", Body=model_archive(content))
        container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/{name}/model.tar.gz"}
        variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.g4dn.xlarge"}
        sagemaker.create_model(ModelName=name, PrimaryContainer=container)
        sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
        )
        pairs = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=pairs)
        if wait:
            waiter = sagemaker.get_waiter("endpoint_in_service")
            waiter.wait(EndpointName=name, WaiterConfig=WAITER)
        return name

    return make


@pytest.fixture
def stub_endpoint(sandbox_server: Sandbox, make_endpoint: StubEndpoint) -> Iterator[StubEndpoint]:
    """stub_endpoint(files=..., ...) -> the name of an InService endpoint of `sandbox_server`; deleted afterwards."""
    made: list[str] = []

    def make(**options: Any) -> str:
        made.append(make_endpoint(sandbox_server, **options))
        return made[-1]

    yield make
    for name in made:
        remove_endpoint(sandbox_server, name)
