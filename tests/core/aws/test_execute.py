"""Plans executed against the sandbox and against a server that responds like AWS."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core import errors
from core.aws.connection import Clients, Connection
from core.aws.execute import MAX_UNREADABLE, execute, journal_in
from core.aws.logs import all_events, tail
from core.aws.metrics import curves, sparklines, utilization
from core.aws.operations import OPERATIONS
from core.aws.training import all_jobs, describe_job, list_channels, search_jobs
from core.cost.training import shipped_prices
from core.plans.plan import ApiCall, Plan, plan_launch, plan_stop
from core.plans.steps import scalable_target
from core.training.channels import data_channels
from core.training.curves import best_epoch, named
from core.training.filters import JobFilter
from core.training.job import TrainingJob, TrainingSpec, to_request
from core.training.preflight import preflight
from tests.support.patience import wait_until

IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
ROLE = "arn:aws:iam::123456789012:role/Trainer"
BUCKET = "plans"
WHOAMI = (
    b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    b"<Arn>arn:aws:iam::123456789012:user/ada</Arn><UserId>A</UserId><Account>123456789012</Account>"
    b"</GetCallerIdentityResult></GetCallerIdentityResponse>"
)
SPEC = TrainingSpec(
    name="plan-a",
    role_arn=ROLE,
    image=IMAGE,
    instance_type="ml.g4dn.xlarge",
    hyperparameters={"num_classes": "3", "num_training_samples": "2", "epochs": "3", "mini_batch_size": "2"}
    | {"validation_mini_batch_size": "1"},
    channels=data_channels(f"s3://{BUCKET}/data"),
    output_uri=f"s3://{BUCKET}/out",
    max_runtime_seconds=600,
    tags={"team": "maps"},
)


@pytest.fixture(scope="module")
def clients(sandbox_server: Any, make_client: Any) -> Clients:
    """Return clients of the sandbox, whose bucket has two training images and one validation image."""
    s3 = make_client(sandbox_server, "s3")
    s3.create_bucket(Bucket=BUCKET)
    for key in ("train/0.jpg", "train/1.jpg", "validation/0.jpg"):
        folder, _, name = key.partition("/")
        s3.put_object(Bucket=BUCKET, Key=f"data/{key}", Body=b"picture")
        s3.put_object(
            Bucket=BUCKET, Key=f"data/{folder}_annotation/{name.replace('jpg', 'png')}", Body=b"mask"
        )
    address = sandbox_server.address
    return Clients(Connection(address.region, address.url, None, address.access_key, address.secret_key))


def launch(name: str, **more: str) -> Plan:
    """Return a launch plan. more: hyperparameters of the training stub."""
    values = {**SPEC.hyperparameters, **more}
    return plan_launch(replace(SPEC, name=name, hyperparameters=values), shipped_prices("us-east-1"))


def ended(clients: Clients, name: str) -> TrainingJob:
    wait_until(lambda: not describe_job(clients, name).running)
    return describe_job(clients, name)


def test_a_plan_is_carried_out_and_its_job_can_be_read(clients: Clients) -> None:
    """A launch starts the plan's job; the list, the curves, the log and the utilization then include it."""
    listing = list_channels(clients, SPEC.channels)
    assert listing.notes == ()
    assert not [problem for problem in preflight(SPEC, listing.keys) if problem.is_error]
    told: list[tuple[int, str]] = []
    outcome = execute(
        clients, launch("plan-a"), on_step=lambda number, _, state: told.append((number, state))
    )
    assert told == [(0, "start"), (0, "done")]
    assert outcome.done[0].answer["TrainingJobArn"].endswith("training-job/plan-a")
    job = ended(clients, "plan-a")
    assert (job.status, job.instance_type) == ("Completed", "ml.g4dn.xlarge")
    assert tuple(replace(channel, carried={}) for channel in job.channels) == SPEC.channels
    found = all_jobs(clients, JobFilter(text="plan-a"))
    assert (found.jobs[0].tags, found.total, found.complete) == ({"team": "maps"}, 1, True)
    miou = named(curves(clients, [job])["plan-a"], "validation:mIOU")
    assert miou is not None
    assert (miou.source, miou.values.tolist()) == ("BatchGetMetrics", [0.1, 0.2, 0.3])
    best = best_epoch(miou)
    assert best is not None
    assert best.epoch == 2
    assert sparklines(clients, [job])["plan-a"].values.tolist() == [0.1, 0.2, 0.3]
    assert tail(clients, "plan-a").events == all_events(clients, "plan-a").events
    assert all(series.name.endswith("Utilization") for series in utilization(clients, job))


def test_cloudwatch_and_the_log_tell_the_same(clients: Clients, faults: Any) -> None:
    """If BatchGetMetrics fails, CloudWatch has the job's metrics; if that fails too, the log has them."""
    execute(clients, launch("plan-sources"))
    job = ended(clients, "plan-sources")
    error = {"code": "AccessDeniedException", "message": "no", "status": 400}
    faults.add("error", operation="BatchGetMetrics", **error)
    notes: list[str] = []
    found = curves(clients, [job], notes=notes)["plan-sources"]
    assert {series.source for series in found} == {"CloudWatch"}
    faults.add("error", operation="GetMetricData", **error)
    miou = named(curves(clients, [job], notes=notes)["plan-sources"], "validation:mIOU")
    assert miou is not None
    assert (miou.source, miou.values.tolist()) == ("log", [0.1, 0.2, 0.3])
    assert len(notes) == 3


@pytest.mark.parametrize("kind", ["lost_reply", "truncate", "reset_body"])
def test_a_lost_reply_starts_no_second_job(clients: Clients, faults: Any, kind: str) -> None:
    """If the response to CreateTrainingJob is lost or truncated, the running job is found: success, and one job."""
    name = f"plan-{kind.replace('_', '-')}"
    faults.add(kind, operation="CreateTrainingJob", times=1, **({} if kind == "lost_reply" else {"at": 5}))
    told: list[str] = []
    outcome = execute(clients, launch(name), on_step=lambda _, __, state: told.append(state))
    assert outcome.recovered
    assert told == ["start", "recovered"]
    assert ended(clients, name).status == "Completed"


def test_a_late_reply_starts_no_second_job(clients: Clients, faults: Any) -> None:
    """A call still in progress at the timeout is not repeated: the name is taken by the same job."""
    faults.add("delay", operation="CreateTrainingJob", times=1, seconds=5)
    assert execute(Clients(clients.connection, read_seconds=3), launch("plan-late")).done
    assert ended(clients, "plan-late").status == "Completed"
    found = search_jobs(clients, JobFilter(text="plan-late"))
    assert found.total == 1


@pytest.mark.parametrize("kind", ["reset", "drop"])
def test_a_call_that_never_arrived_is_made_again(clients: Clients, faults: Any, kind: str) -> None:
    """If the call itself was lost, a check finds no job, and the call is repeated."""
    faults.add(kind, operation="CreateTrainingJob", times=1)
    outcome = execute(clients, launch(f"plan-{kind}"))
    assert not outcome.recovered
    assert ended(clients, f"plan-{kind}").status == "Completed"


def test_somebody_elses_job_is_not_taken_for_ours(clients: Clients, faults: Any) -> None:
    """A name taken by a different job is an error, also after a lost response."""
    execute(clients, launch("plan-theirs"))
    with pytest.raises(errors.AwsError, match="name is taken") as caught:
        execute(clients, launch("plan-theirs"))
    assert caught.value.code == "ResourceInUse"
    faults.add("drop", operation="CreateTrainingJob", times=1)
    with pytest.raises(errors.AwsError, match="name is taken"):
        execute(clients, launch("plan-theirs", epochs="4"))
    ended(clients, "plan-theirs")


def test_when_nothing_can_be_seen_it_says_so(clients: Clients, faults: Any) -> None:
    """If the check fails too, the error says that the call may have succeeded."""
    faults.add("lost_reply", operation="CreateTrainingJob", times=1)
    faults.add("drop", operation="DescribeTrainingJob")
    with pytest.raises(errors.UnreachableError, match="It may have succeeded"):
        execute(clients, launch("plan-dark"))
    faults.clear()
    assert ended(clients, "plan-dark").status == "Completed"


def test_throttling_is_waited_out_and_a_refusal_is_not(clients: Clients, faults: Any) -> None:
    """A throttled change is repeated; a rejected one is not."""
    throttled = {"code": "ThrottlingException", "message": "slow", "status": 400}
    faults.add("error", operation="CreateTrainingJob", times=1, **throttled)
    assert not execute(clients, launch("plan-throttled")).recovered
    ended(clients, "plan-throttled")
    limit = {
        "code": "ResourceLimitExceeded",
        "message": "The account-level service limit is 0",
        "status": 400,
    }
    faults.clear()
    faults.hits.clear()
    faults.add("error", operation="CreateTrainingJob", **limit)
    with pytest.raises(errors.AwsError, match="quota"):
        execute(clients, launch("plan-quota"))
    assert len(faults.hits) == 1


def test_a_job_is_stopped_though_the_reply_is_lost(clients: Clients, faults: Any) -> None:
    """A stop whose response is lost is confirmed by the job's status."""
    execute(clients, launch("plan-stop", epochs="500", seconds="0.2"))
    faults.add("lost_reply", operation="StopTrainingJob", times=1)
    assert execute(clients, plan_stop(describe_job(clients, "plan-stop"))).recovered
    assert ended(clients, "plan-stop").status == "Stopped"


def test_an_unknown_step_is_refused_before_the_first(canned_server: Any) -> None:
    """A plan with an unsupported step changes nothing at all."""
    good = ApiCall("sagemaker", "CreateTrainingJob", to_request(SPEC), "Start it.")
    bad = ApiCall("sagemaker", "DeleteEverything", {}, "Delete it all.")
    with pytest.raises(errors.InputError, match="DeleteEverything"):
        execute(canned_server.clients(), Plan("launch", "a", (good, bad), None, (), ""))
    assert canned_server.asked == []


MISSING = (400, "ValidationException", "Requested resource not found.")


@pytest.mark.parametrize(
    ("later", "look"),
    [
        (None, "empty"),
        (None, "html"),
        ((400, "AccessDeniedException", "not allowed"), "missing"),
        ((400, "ExpiredTokenException", "expired"), "missing"),
        ((400, "ValidationException", "1 validation error"), "missing"),
        ((400, "ThrottlingException", "slow"), "missing"),
        ((400, "ResourceInUse", "The name is taken"), "missing"),
        ((520, "Odd", "a proxy's own status"), "missing"),
    ],
)
def test_a_change_whose_reply_was_lost_stays_unclear(
    canned_server: Any, tmp_path: Path, later: tuple[int, str, str] | None, look: str
) -> None:
    """After a lost response, failed checks and later rejections leave it unclear, and it is recorded."""
    looks = {
        "empty": canned_server.json({}),
        "html": canned_server.raw(200, b"<html>"),
        "missing": canned_server.error(*MISSING),
    }
    whoami = canned_server.raw(200, WHOAMI)
    rest = [canned_server.error(*later), looks[look]] * 3 if later else []
    canned_server.says(whoami, canned_server.hangs_up("reset"), looks[look], *rest, looks[look])
    journal = journal_in(tmp_path)
    with pytest.raises(errors.AwsError, match="It may have succeeded") as caught:
        execute(canned_server.clients(), launch("plan-unclear"), journal=journal)
    assert caught.value.unclear
    assert "ry again" not in caught.value.todo
    (entry,) = journal.unfinished()
    assert entry.states == ("start",)
    made = [operation for operation, _ in canned_server.asked if operation == "CreateTrainingJob"]
    assert len(made) == (1 if later is None else 3 if later[1] in {"ThrottlingException", "Odd"} else 2)


@pytest.mark.parametrize(
    "reply", [(500, "NeverHeardOf", ""), (504, "", ""), (408, "", ""), (529, "SiteOverloaded", "")]
)
def test_an_error_of_the_service_itself_is_unclear(canned_server: Any, reply: tuple[int, str, str]) -> None:
    """After status 408, or 500 and up, the call may have succeeded, whatever its error code."""
    job = {"TrainingJobName": "plan-5xx", "TrainingJobStatus": "InProgress"} | {
        key: to_request(SPEC)[key] for key in ("RoleArn", "HyperParameters", "OutputDataConfig")
    }
    canned_server.says(canned_server.error(*reply), canned_server.json(job))
    assert execute(canned_server.clients(), launch("plan-5xx")).recovered
    assert [operation for operation, _ in canned_server.asked] == ["CreateTrainingJob", "DescribeTrainingJob"]


PARAMS = {
    "CreateTrainingJob": to_request(SPEC),
    "StopTrainingJob": {"TrainingJobName": "a"},
    "CreateTransformJob": {
        "TransformJobName": "a",
        "ModelName": "a",
        "TransformInput": {},
        "TransformOutput": {},
    },
    "StopTransformJob": {"TransformJobName": "a"},
    "CreateModel": {"ModelName": "a", "PrimaryContainer": {}, "ExecutionRoleArn": ROLE},
    "CreateEndpointConfig": {"EndpointConfigName": "a", "ProductionVariants": []},
    "CreateEndpoint": {"EndpointName": "a", "EndpointConfigName": "a"},
    "UpdateEndpoint": {"EndpointName": "a", "EndpointConfigName": "a"},
    "UpdateEndpointWeightsAndCapacities": {"EndpointName": "a", "DesiredWeightsAndCapacities": []},
    "AddTags": {"ResourceArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/a", "Tags": []},
    "DeleteEndpoint": {"EndpointName": "a"},
    "DeleteEndpointConfig": {"EndpointConfigName": "a"},
    "DeleteModel": {"ModelName": "a"},
    "RegisterScalableTarget": scalable_target("a", "b"),
    "PutScalingPolicy": scalable_target("a", "b"),
    "DeregisterScalableTarget": scalable_target("a", "b"),
    "CreateRole": {"RoleName": "a", "AssumeRolePolicyDocument": "{}"},
    "PutRolePolicy": {"RoleName": "a", "PolicyName": "b", "PolicyDocument": "{}"},
}
XML = {
    "CreateRole": b"<GetRoleResponse><GetRoleResult/></GetRoleResponse>",
    "PutRolePolicy": b"<GetRolePolicyResponse><GetRolePolicyResult/></GetRolePolicyResponse>",
}
"""What has no fields in IAM's protocol, for the reads of each operation."""


@pytest.mark.parametrize("key", [key for key in OPERATIONS if key[0] != "s3"], ids=lambda key: key[1])
def test_an_empty_look_shows_no_state(canned_server: Any, key: tuple[str, str]) -> None:
    """A response without required fields shows neither that a change was made nor that it was not."""
    name = key[1]
    canned_server.says(canned_server.raw(200, XML[name]) if name in XML else canned_server.json({}))
    with pytest.raises(errors.UnexpectedAnswerError):
        OPERATIONS[key].is_done(canned_server.clients(), PARAMS[name])


def test_an_empty_answer_does_not_end_the_wait(canned_server: Any) -> None:
    """A wait continues until a response has the endpoint's status; only repeated empty responses are an error."""
    wait = ApiCall("sagemaker", "DescribeEndpoint", {"EndpointName": "a"}, "Wait.", "endpoint_settled")
    plan = Plan("clean up", "a", (wait,), None, (), "")
    empty, created = canned_server.json({}), {"EndpointName": "a", "EndpointStatus": "Creating"}
    settled = canned_server.json(created | {"EndpointStatus": "InService"})
    canned_server.says(empty, canned_server.json(created), empty, settled)
    execute(canned_server.clients(), plan)
    assert len(canned_server.asked) == 4
    canned_server.says(empty)
    with pytest.raises(errors.UnexpectedAnswerError, match="has no EndpointName"):
        execute(canned_server.clients(), plan)
    assert len(canned_server.asked) == MAX_UNREADABLE
