"""Endpoint changes executed against the sandbox: with lost responses, rejections, and killed processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from core import errors
from core.aws.connection import Clients, Connection
from core.aws.endpoint_detail import endpoint_detail, users
from core.aws.endpoints import all_endpoints, endpoint_info
from core.aws.execute import PlanOutcome, clean_up_interrupted, execute, journal_in, resume
from core.cost.training import shipped_prices
from core.endpoints.detail import EndpointDetail, Scaling
from core.endpoints.spec import EndpointSpec
from core.imaging.classes import Classes
from core.plans.delete import clean_up, plan_delete
from core.plans.deploy import ModelUpload, current_spec, plan_deploy, plan_update
from core.plans.journal import Journal, JournalEntry
from core.plans.plan import Plan
from core.plans.scale import VariantChange, plan_autoscale, plan_scale, plan_stop_autoscale
from tests.support.patience import SECONDS, wait_until

ROOT = Path(__file__).resolve().parents[3]
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
ROLE = "arn:aws:iam::123456789012:role/Server"
BUCKET = "endpoint-changes"
SLOW = f"s3://{BUCKET}/slow/model.tar.gz"
PRICES = shipped_prices("us-east-1")
ONE_PLAN = ROOT / "tests/support/one_plan.py"


@pytest.fixture(scope="module")
def connection(
    sandbox_server: Any, make_client: Any, model_archive: Callable[[dict[str, bytes]], bytes]
) -> Connection:
    """Return the sandbox, whose bucket has three artifacts."""
    s3 = make_client(sandbox_server, "s3")
    s3.create_bucket(Bucket=BUCKET)
    for name, behavior in (("one", {}), ("two", {}), ("slow", {"ping_seconds": 1})):
        body = model_archive({"behavior.json": json.dumps(behavior).encode()})
        s3.put_object(Bucket=BUCKET, Key=f"{name}/model.tar.gz", Body=body)
    s3.put_object(Bucket=BUCKET, Key="broken/model.tar.gz", Body=b"not an archive")
    address = sandbox_server.address
    return Connection(address.region, address.url, None, address.access_key, address.secret_key)


@dataclass
class Place:
    """The sandbox, as a test sees it."""

    clients: Clients
    sandbox: Any
    made: list[str] = field(default_factory=list)

    @property
    def faults(self) -> Any:
        return self.sandbox.faults

    def name(self, name: str) -> str:
        """Return the name of an endpoint whose resources are deleted after the test."""
        self.made.append(name)
        return name

    def deployed(self, name: str) -> EndpointDetail:
        """Return an endpoint in service."""
        execute(self.clients, deploy(name))
        return self.settled(name)

    def settled(self, name: str) -> EndpointDetail:
        self.sandbox.wait_settled(SECONDS)
        return endpoint_detail(self.clients, name)

    def remains(self, name: str) -> list[str]:
        """Return the remaining resources with an endpoint's name."""
        sagemaker = self.clients.sagemaker
        answers = (
            (sagemaker.list_endpoints, "Endpoints", "EndpointName"),
            (sagemaker.list_endpoint_configs, "EndpointConfigs", "EndpointConfigName"),
            (sagemaker.list_models, "Models", "ModelName"),
        )
        return [row[key] for call, rows, key in answers for row in call(NameContains=name)[rows]]


@pytest.fixture
def at(connection: Connection, sandbox_server: Any) -> Iterator[Place]:
    place = Place(Clients(connection), sandbox_server)
    sandbox_server.faults.clear()
    yield place
    sandbox_server.faults.clear()
    for name in place.made:
        if name in place.remains(name):
            found = place.settled(name)
            execute(place.clients, plan_delete([found], users(place.clients, [found])))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return journal_in(tmp_path, "ada")


def spec(name: str, artifact: str = "one", **values: Any) -> EndpointSpec:
    uri = f"s3://{BUCKET}/{artifact}/model.tar.gz"
    return replace(EndpointSpec(name, ROLE, "ml.c5.xlarge", IMAGE, uri, job="roads-8"), **values)


def deploy(name: str, artifact: str = "one", **values: Any) -> Plan:
    return plan_deploy(spec(name, artifact, **values), PRICES)


def states(outcome: PlanOutcome) -> list[str]:
    return [done.state for done in outcome.done]


def test_an_endpoint_lives_and_leaves_nothing(at: Place) -> None:
    """An endpoint is deployed with its job, updated, scaled and autoscaled as requested, and deleted completely."""
    name = at.name("whole-life")
    assert states(execute(at.clients, deploy(name))) == ["done", "done", "done"]
    now = at.settled(name)
    assert (now.endpoint.in_service, now.endpoint.job, now.aws_algorithm) == (True, "roads-8", True)
    assert now.models[0].model_uri == f"s3://{BUCKET}/one/model.tar.gz"

    other = current_spec(now).with_model(IMAGE, f"s3://{BUCKET}/two/model.tar.gz", job="roads-9")
    beside = replace(current_spec(now), variant="beside", weight=1.0)
    execute(at.clients, plan_update(now, other, PRICES))
    now = at.settled(name)
    assert (now.models[0].model_uri, now.endpoint.job) == (other.model_uri, "roads-9")
    execute(at.clients, plan_update(now, beside, PRICES))
    now = at.settled(name)
    assert [variant.name for variant in now.endpoint.variants] == ["AllTraffic", "beside"]

    execute(at.clients, plan_scale(now.endpoint, [VariantChange("beside", weight=3.0)], PRICES))
    now = at.settled(name)
    assert [variant.weight for variant in now.endpoint.variants] == [1.0, 3.0]

    scaling = Scaling("beside", 1, 2, 60.0)
    execute(at.clients, plan_autoscale(now.endpoint, scaling, PRICES))
    now = endpoint_detail(at.clients, name)
    assert now.scaling == (replace(scaling, policies=("segdeck-calls",)),)
    execute(at.clients, plan_stop_autoscale(now.endpoint, "beside"))
    assert endpoint_detail(at.clients, name).scaling == ()

    assert len(at.remains(name)) == 6
    plan = plan_delete([now], users(at.clients, [now]))
    assert set(states(execute(at.clients, plan))) <= {"done", "already"}
    assert at.remains(name) == []
    assert at.clients.s3.head_object(Bucket=BUCKET, Key="one/model.tar.gz")["ContentLength"]


def test_an_update_stays_isolated_and_tagged(at: Place) -> None:
    """The model of an updated endpoint is isolated from the network as before, and has the tags of the old one."""
    name = at.name("isolated")
    settings = {"EnableNetworkIsolation": True}
    execute(at.clients, deploy(name, model_settings=settings, model_tags={"team": "maps"}))
    now = at.settled(name)
    other = current_spec(now).with_model(IMAGE, f"s3://{BUCKET}/two/model.tar.gz")
    execute(at.clients, plan_update(now, other, PRICES))
    model = at.settled(name).models[0]
    assert model.model_uri == other.model_uri
    assert model.request["EnableNetworkIsolation"] is True
    assert model.tags["team"] == "maps"


def test_the_same_deploy_doubles_nothing(at: Place) -> None:
    """A repeated deploy creates nothing; one of the same name with another model is rejected."""
    name = at.name("twice")
    at.deployed(name)
    assert states(execute(at.clients, deploy(name))) == ["already"] * 3
    with pytest.raises(errors.TakenError, match="name is taken"):
        execute(at.clients, deploy(name, "two"))


@pytest.mark.parametrize("kind", ["lost_reply", "truncate"])
def test_a_lost_reply_of_any_step_doubles_nothing(at: Place, kind: str) -> None:
    """Whichever response of a deploy or a delete is lost or truncated, a check finds the step done."""
    name = at.name(f"lost-{kind.replace('_', '-')}")
    options = {} if kind == "lost_reply" else {"at": 3}
    for operation in ("CreateModel", "CreateEndpointConfig", "CreateEndpoint"):
        at.faults.add(kind, operation=operation, times=1, **options)
    assert states(execute(at.clients, deploy(name))) == ["recovered"] * 3
    found = at.settled(name)
    for operation in ("DeleteEndpoint", "DeleteEndpointConfig", "DeleteModel"):
        at.faults.add("lost_reply", operation=operation, times=1)
    plan = plan_delete([found], users(at.clients, [found]))
    assert states(execute(at.clients, plan)) == ["recovered", "done", "recovered", "recovered"]
    assert at.remains(name) == []


def test_a_lost_reply_of_a_change_is_found_done(at: Place) -> None:
    """After a lost response of an update, tagging, scaling or autoscaling, a check finds it done."""
    name = at.name("lost-change")
    now = at.deployed(name)
    for operation in (
        "UpdateEndpoint",
        "AddTags",
        "UpdateEndpointWeightsAndCapacities",
        "RegisterScalableTarget",
        "PutScalingPolicy",
        "DeregisterScalableTarget",
    ):
        at.faults.add("lost_reply", operation=operation, times=1)
    other = current_spec(now).with_model(IMAGE, f"s3://{BUCKET}/two/model.tar.gz")
    assert states(execute(at.clients, plan_update(now, other, PRICES)))[2:] == ["recovered", "recovered"]
    now = at.settled(name)
    scale = plan_scale(now.endpoint, [VariantChange("AllTraffic", weight=2.0)], PRICES)
    assert states(execute(at.clients, scale)) == ["recovered"]
    now = at.settled(name)
    scaling = Scaling("AllTraffic", 1, 2, 60.0)
    assert states(execute(at.clients, plan_autoscale(now.endpoint, scaling, PRICES))) == ["recovered"] * 2
    assert states(execute(at.clients, plan_stop_autoscale(now.endpoint, "AllTraffic"))) == ["recovered"]


def test_what_is_gone_already_is_deleted(at: Place) -> None:
    """A delete of an endpoint, configuration and model that are already deleted succeeds."""
    found = replace(at.deployed(at.name("gone")), scaling=(Scaling("AllTraffic", 1, 2, 60.0),))
    plan = plan_delete([found], users(at.clients, [found]))
    execute(at.clients, plan)
    assert states(execute(at.clients, plan)) == ["already", "already", "done", "already", "already"]


def test_what_others_use_is_seen_and_stays(at: Place) -> None:
    """A model that another endpoint uses is kept when its endpoint is deleted, and deleted with its last user."""
    first = at.deployed(at.name("shares"))
    model = first.endpoint.variants[0].model
    second = at.name("borrows")
    execute(at.clients, plan_deploy(spec(second, model=model), PRICES))
    other = at.settled(second)
    used = users(at.clients, [first])
    assert used.models[model] == ("the endpoint borrows",)
    execute(at.clients, plan_delete([first], used))
    assert at.remains("shares") == [model]
    execute(at.clients, plan_delete([other], users(at.clients, [other])))
    assert at.remains("shares") == at.remains("borrows") == []


def test_an_endpoint_that_failed_is_deleted_with_all_it_has(at: Place) -> None:
    """A deploy whose model does not start leaves a failed endpoint, which can be deleted like any other."""
    name = at.name("fails")
    execute(at.clients, deploy(name, "broken"))
    found = at.settled(name)
    assert (found.endpoint.status, bool(found.endpoint.failure_reason)) == ("Failed", True)
    with pytest.raises(errors.TakenError, match="name is taken"):
        execute(at.clients, deploy(name, "broken"))
    execute(at.clients, plan_delete([found], users(at.clients, [found])))
    assert at.remains(name) == []


def test_a_change_of_one_that_is_changing_is_refused(at: Place) -> None:
    """A change planned before another one started is rejected as not ready, and nothing of it is done."""
    name = at.name("busy")
    now = at.deployed(name)
    scale = plan_scale(now.endpoint, [VariantChange("AllTraffic", weight=2.0)], PRICES)
    execute(at.clients, plan_update(now, current_spec(now).with_model(IMAGE, SLOW), PRICES))
    with pytest.raises(errors.NotReadyError, match="in-progress"):
        execute(at.clients, scale)
    assert at.settled(name).models[0].model_uri == SLOW


def test_throttling_is_waited_out(at: Place) -> None:
    """A throttled step is repeated."""
    at.faults.add(
        "error",
        operation="Create.*",
        code="ThrottlingException",
        message="Rate exceeded",
        status=400,
        times=2,
    )
    assert states(execute(at.clients, deploy(at.name("throttled")))) == ["done"] * 3
    at.sandbox.wait_settled(SECONDS)


def test_an_expired_token_in_the_middle_is_finished_later(at: Place, journal: Journal) -> None:
    """A plan with a rejected step is recorded with what is done; finished later, only the rest is executed."""
    name = at.name("expired")
    expired = {"code": "ExpiredTokenException", "message": "The security token is expired", "status": 400}
    at.faults.add("error", operation="CreateEndpoint", **expired)
    with pytest.raises(errors.CredentialsError):
        execute(at.clients, deploy(name), journal=journal)
    (entry,) = journal.unfinished()
    assert (entry.states, entry.outcome, entry.user) == (("done", "done", None), "failed", "ada")
    assert "expired" in entry.error
    assert entry.identity.startswith("arn:aws:")
    with pytest.raises(errors.InputError, match="started in account 1; this is account"):
        resume(at.clients, journal, replace(entry, location="account 1"))
    at.faults.clear()
    assert states(resume(at.clients, journal, entry)) == ["already", "already", "done"]
    assert journal.unfinished() == ()
    assert at.settled(name).endpoint.in_service
    with pytest.raises(
        errors.InputError, match="Another process is executing this change, or has finished it"
    ):
        resume(at.clients, journal, entry)


def test_when_nothing_can_be_seen_it_is_told_and_kept(at: Place, journal: Journal) -> None:
    """If the response is lost and the check fails too, the step is recorded as possibly done."""
    name = at.name("in-the-dark")
    at.faults.add("lost_reply", operation="CreateEndpointConfig")
    at.faults.add("error", operation="DescribeEndpointConfig", code="InternalFailure", message="", status=500)
    at.faults.add("drop", operation="DescribeEndpointConfig")
    with pytest.raises(errors.AwsError):
        execute(at.clients, deploy(name), journal=journal)
    at.faults.clear()
    (entry,) = journal.entries()
    assert entry.states[0] == "done"
    clean_up_interrupted(at.clients, journal, entry, clean_up(entry.plan, entry.states))
    assert at.remains(name) == []
    assert journal.unfinished() == ()
    assert [entry.outcome for entry in journal.entries()] == ["cleaned up"]


@pytest.fixture
def killed(connection: Connection, tmp_path: Path) -> Callable[[Plan, Callable[[], bool]], None]:
    """Return killed(plan, until): execute a plan in a separate process, and kill it once that holds."""

    def run(plan: Plan, until: Callable[[], bool]) -> None:
        process = subprocess.Popen(
            [sys.executable, str(ONE_PLAN), str(tmp_path)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
        )
        try:
            assert process.stdin is not None
            process.stdin.write(
                json.dumps({"connection": asdict(connection), "plan": plan.to_dict()}).encode()
            )
            process.stdin.close()
            wait_until(lambda: until() or process.poll() is not None)
            assert process.poll() is None
            (entry,) = journal_in(tmp_path).entries()
            assert (entry.outcome, entry.unfinished) == ("running", False)
            with pytest.raises(errors.InputError, match="Another process is executing this change"):
                journal_in(tmp_path).dismiss(entry)
        finally:
            process.kill()
            process.wait()

    return run


Killed = Callable[[Plan, Callable[[], bool]], None]


def test_a_deploy_cut_by_a_kill_is_finished(at: Place, killed: Killed, journal: Journal) -> None:
    """A deploy killed during its second call is known at the next start, and finished without duplicates."""
    name = at.name("killed-deploy")
    at.faults.add("slow", operation="CreateEndpointConfig", times=1, chunk=1, pause=0.2)
    killed(deploy(name), lambda: len(at.remains(name)) == 2)
    (entry,) = journal.unfinished()
    assert (entry.outcome, entry.plan, entry.states) == ("interrupted", deploy(name), ("done", "start", None))
    assert states(resume(at.clients, journal, entry)) == ["already", "already", "done"]
    assert at.settled(name).endpoint.in_service
    assert len(at.remains(name)) == 3
    assert journal.unfinished() == ()


def test_a_deploy_cut_by_a_kill_is_cleaned_up(at: Place, killed: Killed, journal: Journal) -> None:
    """A deploy killed while its endpoint is created is cleaned up: after a wait, all that it created is deleted."""
    name = at.name("killed-clean")
    at.faults.add("slow", operation="CreateEndpoint", times=1, chunk=1, pause=0.2)
    killed(deploy(name, "slow"), lambda: len(at.remains(name)) == 3)
    (entry,) = journal.unfinished()
    assert entry.states == ("done", "done", "start")
    told: list[str] = []
    cleaning = clean_up(entry.plan, entry.states)
    clean_up_interrupted(
        at.clients,
        journal,
        entry,
        cleaning,
        on_step=lambda number, _, state: told.append(f"{number} {state}"),
    )
    assert told[:3] == ["0 start", "0 waiting", "0 done"]
    assert at.remains(name) == []
    assert journal.unfinished() == ()
    assert journal.entries()[0].outcome == "cleaned up"


def test_a_delete_cut_by_a_kill_is_finished(at: Place, killed: Killed, journal: Journal) -> None:
    """A delete killed before it deleted configuration and model is finished: nothing is left."""
    name = at.name("killed-delete")
    found = at.deployed(name)
    plan = plan_delete([found], users(at.clients, [found]))
    at.faults.add("delay", operation="DeleteEndpointConfig", times=1, seconds=600)
    killed(plan, lambda: ("delay", "DeleteEndpointConfig") in at.faults.hits)
    (entry,) = journal.unfinished()
    with pytest.raises(errors.InputError, match="Finish the change"):
        clean_up(entry.plan, entry.states)
    assert states(resume(at.clients, journal, entry))[:2] == ["already", "done"]
    assert at.remains(name) == []


def test_a_cut_plan_can_be_left(at: Place, killed: Killed, journal: Journal) -> None:
    """A dismissed interrupted plan is no longer listed as unfinished."""
    name = at.name("killed-left")
    at.faults.add("slow", operation="CreateModel", times=1, chunk=1, pause=0.2)
    killed(deploy(name), lambda: len(at.remains(name)) == 1)
    (entry,) = journal.unfinished()
    journal.dismiss(entry)
    assert journal.unfinished() == ()
    assert journal.entries()[0].outcome == "left"
    execute(at.clients, clean_up(entry.plan, entry.states))
    assert at.remains(name) == []


def test_what_was_there_before_is_not_cleaned_up(at: Place, journal: Journal) -> None:
    """A repeated deploy creates nothing, so nothing of it is unfinished or can be cleaned up."""
    name = at.name("before")
    at.deployed(name)
    execute(at.clients, deploy(name), journal=journal)
    (entry,) = journal.entries()
    assert (entry.states, entry.outcome) == (("already",) * 3, "done")
    with pytest.raises(errors.InputError, match="nothing to clean up"):
        clean_up(entry.plan, entry.states)


def test_a_file_and_names_are_uploaded_once_and_never_over_others(
    at: Place, model_archive: Callable[[dict[str, bytes]], bytes], tmp_path: Path
) -> None:
    """A local artifact is uploaded with its class names; the same one is recognized, another one is rejected."""
    path, name = tmp_path / "model.tar.gz", at.name("from-a-file")
    path.write_bytes(model_archive({"behavior.json": b"{}"}))
    classes = Classes(("water", "land"), ((0, 0, 255), (0, 255, 0)))

    def plan(count: int) -> Plan:
        body = path.read_bytes()
        target = spec(name, "uploaded", instance_count=count)
        upload = ModelUpload(str(path), target.model_uri, len(body), sha256(body).hexdigest())
        return plan_deploy(target, PRICES, upload=upload, classes=classes)

    assert states(execute(at.clients, plan(1))) == ["done"] * 5
    assert states(execute(at.clients, plan(1))) == ["already"] * 5
    at.settled(name)
    serving = endpoint_info(at.clients, name)
    assert serving.classes == classes
    stale = plan(1)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(errors.TakenError, match="name is taken"):
        execute(at.clients, plan(1))
    at.clients.client_for_changes("s3").delete_object(Bucket=BUCKET, Key="uploaded/model.tar.gz")
    with pytest.raises(errors.InputError, match="has changed since"):
        execute(at.clients, stale)


def test_who_may_not_list_a_bucket_can_write_but_not_over(at: Place) -> None:
    """If S3 returns "denied" for a missing object, it is written, and another one's object is still kept."""
    name = at.name("blind")
    target = spec(name, classes_uri=f"s3://{BUCKET}/blind/classes.json")
    denied = {"code": "AccessDenied", "message": "Access Denied", "status": 403}
    at.faults.add("error", operation="GET /endpoint-changes/blind/.*", **denied)
    assert states(execute(at.clients, plan_deploy(target, PRICES, classes=Classes.numbered(2))))[0] == "done"
    with pytest.raises(errors.TakenError):
        execute(at.clients, plan_deploy(target, PRICES, classes=Classes.numbered(3)))


def test_the_list_tells_all_of_them(at: Place) -> None:
    """Search returns status, configuration, variants and tags of a deployed endpoint."""
    name = at.name("in-the-list")
    at.deployed(name)
    found = next(one for one in all_endpoints(at.clients).endpoints if one.name == name)
    assert (found.in_service, found.job, found.variants[0].count) == (True, "roads-8", 1)


EXPIRED = {"code": "ExpiredTokenException", "message": "The security token is expired", "status": 400}
ONE_INTERRUPTED = ROOT / "tests/support/one_interrupted.py"


def interrupted(at: Place, journal: Journal, name: str, before: str = "CreateEndpoint") -> JournalEntry:
    """Deploy an endpoint up to the call that AWS rejects, and return the journal's entry."""
    at.faults.add("error", operation=before, times=1, **EXPIRED)
    with pytest.raises(errors.CredentialsError):
        execute(at.clients, deploy(name), journal=journal)
    (entry,) = journal.unfinished()
    return entry


@pytest.fixture
def processes(connection: Connection, tmp_path: Path) -> Iterator[Callable[..., list[Any]]]:
    """Return processes("finish", "clean up"): processes that have read the change, and act after a line on stdin."""
    started: list[subprocess.Popen[str]] = []

    def start(*actions: str) -> list[Any]:
        started.extend(
            subprocess.Popen(
                [sys.executable, str(ONE_INTERRUPTED), str(tmp_path), action],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for action in actions
        )
        for process in started:
            say(process, json.dumps(asdict(connection)))
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        return started

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=SECONDS)


def say(process: subprocess.Popen[str], line: str) -> None:
    """Write a line to a process."""
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def test_a_clean_up_shown_before_somebody_finished_removes_nothing(at: Place, journal: Journal) -> None:
    """A clean-up confirmed before another process finished the change is rejected; the endpoint is unaffected."""
    name = at.name("finished-since")
    entry = interrupted(at, journal, name)
    shown = clean_up(entry.plan, entry.states)
    resume(at.clients, journal, entry)
    with pytest.raises(
        errors.InputError, match="Another process is executing this change, or has finished it"
    ):
        clean_up_interrupted(at.clients, journal, entry, shown)
    assert at.settled(name).endpoint.in_service
    assert len(at.remains(name)) == 3
    with pytest.raises(
        errors.InputError, match="Another process is executing this change, or has finished it"
    ):
        resume(at.clients, journal, entry)


def test_a_clean_up_of_what_has_gone_on_since_removes_nothing(at: Place, journal: Journal) -> None:
    """If the change progressed after the plan was shown, nothing is removed, and the change is unaffected."""
    name = at.name("further-since")
    entry = interrupted(at, journal, name, "CreateEndpointConfig")
    shown = clean_up(entry.plan, entry.states)
    at.faults.add("error", operation="CreateEndpoint", times=1, **EXPIRED)
    with pytest.raises(errors.CredentialsError):
        resume(at.clients, journal, entry)
    (before,) = journal.unfinished()
    with pytest.raises(errors.InputError, match="has progressed since"):
        clean_up_interrupted(at.clients, journal, entry, shown)
    assert len(at.remains(name)) == 2
    (after,) = journal.unfinished()
    assert (after.states, after.outcome, after.error) == (before.states, "failed", before.error)
    clean_up_interrupted(at.clients, journal, after, clean_up(after.plan, after.states))
    assert at.remains(name) == []


@pytest.mark.parametrize(
    "first",
    [("finish", "CreateEndpoint", 3), ("clean up", "DeleteEndpointConfig", 0)],
    ids=lambda row: row[0],
)
def test_of_two_processes_at_one_change_the_second_is_refused(
    at: Place, journal: Journal, processes: Callable[..., list[Any]], first: tuple[str, str, int]
) -> None:
    """While one process finishes or cleans up, another one can do neither; the first one's result is complete."""
    action, call, left = first
    name = at.name(f"two-{action.replace(' ', '-')}")
    entry = interrupted(at, journal, name)
    shown = clean_up(entry.plan, entry.states)
    at.faults.clear()
    at.faults.add("delay", operation=call, times=1, seconds=600)
    (process,) = processes(action)
    say(process, "go")
    wait_until(lambda: ("delay", call) in at.faults.hits)
    with pytest.raises(errors.InputError, match="Another process is executing this change"):
        clean_up_interrupted(at.clients, journal, entry, shown)
    with pytest.raises(errors.InputError, match="Another process is executing this change"):
        resume(at.clients, journal, entry)
    at.faults.clear()
    assert process.stdout.readline() == "carried out\n"
    at.sandbox.wait_settled(SECONDS)
    assert len(at.remains(name)) == left
    assert journal.unfinished() == ()


def test_of_processes_that_race_one_wins_and_leaves_a_whole(
    at: Place, journal: Journal, processes: Callable[..., list[Any]]
) -> None:
    """Whichever of two racing processes wins, the endpoint is complete, or completely deleted."""
    name = at.name("race")
    interrupted(at, journal, name)
    both = processes("finish", "clean up")
    for process in both:
        say(process, "go")
    ends = [process.stdout.readline() for process in both]
    assert ends.count("carried out\n") == 1
    assert sum("Another process is executing this change" in end for end in ends) == 1
    at.sandbox.wait_settled(SECONDS)
    assert len(at.remains(name)) == (3 if ends[0] == "carried out\n" else 0)
    assert [entry.outcome for entry in journal.entries()] == [
        "done" if ends[0] == "carried out\n" else "cleaned up"
    ]


@pytest.mark.parametrize("user", ["serves", "moves to it"])
def test_a_clean_up_leaves_what_a_live_endpoint_uses(at: Place, journal: Journal, user: str) -> None:
    """A clean-up keeps, and names, what another endpoint runs on or is moving to; that endpoint still serves."""
    name = at.name(f"used-{user[:5]}")
    other = at.name(f"elsewhere-{user[:5]}")
    if user == "moves to it":
        at.deployed(other)
    entry = interrupted(at, journal, name)
    config = entry.plan.steps[1].params["EndpointConfigName"]
    changing = at.clients.client_for_changes("sagemaker")
    if user == "serves":
        changing.create_endpoint(EndpointName=other, EndpointConfigName=config)
    else:
        changing.update_endpoint(EndpointName=other, EndpointConfigName=config)
    outcome = clean_up_interrupted(at.clients, journal, entry, clean_up(entry.plan, entry.states))
    assert states(outcome) == ["kept", "kept"]
    assert f"It is used by the endpoint {other}." in outcome.kept[0]
    assert f"It is used by the endpoint configuration {config}." in outcome.kept[1]
    assert len(at.remains(name)) == 2
    assert journal.unfinished() == ()
    assert at.settled(other).endpoint.in_service
    at.clients.runtime.invoke_endpoint(EndpointName=other, Body=b"jpeg", ContentType="image/jpeg")


def test_a_delete_leaves_what_came_into_use_since_it_was_planned(at: Place) -> None:
    """A model that another endpoint uses since the deletion was shown is kept; the deletion is completed."""
    first = at.deployed(at.name("planned"))
    plan = plan_delete([first], users(at.clients, [first]))
    second = at.name("came-since")
    execute(at.clients, plan_deploy(spec(second, model=first.endpoint.variants[0].model), PRICES))
    outcome = execute(at.clients, plan)
    assert states(outcome) == ["done", "done", "done", "kept"]
    assert "It is used by the endpoint configuration came-since" in outcome.kept[0]
    at.settled(second)


def test_a_delete_spares_another_endpoint_of_the_same_name(at: Place, journal: Journal) -> None:
    """An endpoint that was deleted and created again since the deletion was planned is not deleted."""
    name = at.name("again")
    found = at.deployed(name)
    plan = plan_delete([found], users(at.clients, [found]))
    execute(at.clients, plan)
    at.deployed(name)
    with pytest.raises(errors.InputError, match=r"CreationTime is .* when the plan was made"):
        execute(at.clients, plan, journal=journal)
    assert len(at.remains(name)) == 3
    assert journal.unfinished() == ()


def test_an_update_does_not_undo_another_one(at: Place, journal: Journal) -> None:
    """An interrupted update is not finished if another update was executed since."""
    name = at.name("twice-updated")
    now = at.deployed(name)
    at.faults.add("error", operation="UpdateEndpoint", times=1, **EXPIRED)
    with pytest.raises(errors.CredentialsError):
        execute(
            at.clients,
            plan_update(now, current_spec(now).with_model(IMAGE, SLOW), PRICES),
            journal=journal,
        )
    other = f"s3://{BUCKET}/two/model.tar.gz"
    execute(at.clients, plan_update(now, current_spec(now).with_model(IMAGE, other), PRICES))
    at.settled(name)
    (entry,) = journal.unfinished()
    with pytest.raises(errors.InputError, match=r"EndpointConfigName is .* when the plan was made"):
        resume(at.clients, journal, entry)
    assert at.settled(name).models[0].model_uri == other
    (entry,) = journal.unfinished()
    clean_up_interrupted(at.clients, journal, entry, clean_up(entry.plan, entry.states))
    assert at.settled(name).models[0].model_uri == other


def test_an_interrupted_clean_up_can_be_repeated_or_the_change_finished(at: Place, journal: Journal) -> None:
    """After an interrupted clean-up, the clean-up can be repeated, or the change can be finished instead."""
    name = at.name("cleaned-half")
    entry = interrupted(at, journal, name)
    at.faults.add("error", operation="DeleteModel", times=1, **EXPIRED)
    with pytest.raises(errors.CredentialsError):
        clean_up_interrupted(at.clients, journal, entry, clean_up(entry.plan, entry.states))
    (entry,) = journal.unfinished()
    assert entry.states == ("done", None, None)
    assert states(resume(at.clients, journal, entry)) == ["already", "done", "done"]
    assert at.settled(name).endpoint.in_service
    assert len(at.remains(name)) == 3
