"""The commands `endpoints ...`, run against a real server on loopback as they would be against AWS."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import WaiterError
from click.testing import Result

import cli
from commands.endpoint_view import EndpointRow, sum_costs, summary
from core.cost.hosting import endpoint_cost
from core.cost.training import shipped_prices
from core.endpoints.endpoint import Endpoint
from core.endpoints.health import Health
from core.endpoints.traffic import Traffic
from sandbox.server import Sandbox
from tests.support.artifacts import archive, aws_files, special
from tests.support.command_line import CliRunner
from tests.support.fleet import IMAGE, put_endpoint
from tests.support.patience import SECONDS, WAITER, wait_until

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "cli-models"
ROLE = "arn:aws:iam::123456789012:role/Server"
MODELS = f"s3://{BUCKET}/"
NAMES = {"classes": [{"name": name, "color": "#102030"} for name in ("land", "road", "water")]}
Run = Callable[..., Result]
Deploy = Callable[..., str]


@pytest.fixture
def environ(aws_environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Return the environment for mode aws against the test's sandbox, with a state directory of its own."""
    return {"SEGDECK_MODE": "aws", **aws_environ, "SEGDECK_STATE_DIR": str(tmp_path / "state")}


@pytest.fixture
def run(environ: dict[str, str]) -> Run:
    """Return a function: run("list", ...) invokes `endpoints`."""

    def invoke(*arguments: object, **more: str) -> Result:
        return CliRunner().invoke(cli.app, ["endpoints", *map(str, arguments)], env={**environ, **more})

    return invoke


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file without which endpoints of the model "slow" are not ready; see `order_of`."""
    return tmp_path_factory.mktemp("slow") / "gate"


@pytest.fixture(scope="module")
def sagemaker(sandbox_server: Sandbox, make_client: Any, gate: Path) -> Any:
    """Return a client; the bucket has a model that works, one that does not, and one with three other classes."""
    s3 = make_client(sandbox_server, "s3")
    s3.create_bucket(Bucket=BUCKET)
    files = aws_files()
    broken = files | {"behavior.json": json.dumps({"exit": "ValueError: no luck"}).encode()}
    slow = files | {"behavior.json": json.dumps({"gate": str(gate)}).encode()}
    for key, content in (
        ("good", files),
        ("other", aws_files(crop_size=480)),
        ("broken", broken),
        ("slow", slow),
        ("unnamed", aws_files(classes=5)),
    ):
        s3.put_object(Bucket=BUCKET, Key=f"{key}/model.tar.gz", Body=archive(content))
    s3.put_object(Bucket=BUCKET, Key="good/classes.json", Body=json.dumps(NAMES).encode())
    return make_client(sandbox_server, "sagemaker")


@pytest.fixture
def deploy(run: Run, sagemaker: Any, sandbox_server: Sandbox) -> Iterator[Deploy]:
    """Return a function: deploy("name") creates an endpoint in service, which is deleted after the test."""

    def make(name: str, model: str = "good") -> str:
        done = run(*order_of(name, model))
        assert done.exit_code == 0, done.stderr
        return name

    yield make
    clear(sagemaker, sandbox_server)


def clear(sagemaker: Any, sandbox: Sandbox) -> None:
    """Delete the endpoints, configurations and models of these tests."""
    sandbox.wait_settled(SECONDS)
    for row in sagemaker.list_endpoints(NameContains="cli-")["Endpoints"]:
        if row["EndpointStatus"] != "Deleting":
            sagemaker.delete_endpoint(EndpointName=row["EndpointName"])
    wait_until(lambda: not sagemaker.list_endpoints(NameContains="cli-")["Endpoints"])
    for row in sagemaker.list_endpoint_configs(NameContains="cli-")["EndpointConfigs"]:
        sagemaker.delete_endpoint_config(EndpointConfigName=row["EndpointConfigName"])
    for row in sagemaker.list_models(NameContains="cli-")["Models"]:
        sagemaker.delete_model(ModelName=row["ModelName"])


def left(sagemaker: Any, name: str) -> tuple[int, int, int]:
    """Return how many endpoints, configurations and models have a name."""
    return (
        len(sagemaker.list_endpoints(NameContains=name)["Endpoints"]),
        len(sagemaker.list_endpoint_configs(NameContains=name)["EndpointConfigs"]),
        len(sagemaker.list_models(NameContains=name)["Models"]),
    )


def test_a_dry_run_shows_steps_and_price_and_makes_nothing(run: Run, sagemaker: Any) -> None:
    """The plan of a deploy shows its steps and its price, and nothing is created."""
    order = (
        "deploy",
        "--artifact",
        f"{MODELS}good/model.tar.gz",
        "--role",
        ROLE,
        "--name",
        "cli-dry",
        "--dry-run",
    )
    text, document = run(*order), run(*order, "--json")
    assert text.exit_code == 0, text.stderr
    assert "algorithm fcn, backbone resnet-50, classes 3, crop size 240" in text.stderr
    assert "per hour" in text.stdout
    plan = json.loads(document.stdout)
    made = ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"]
    assert [step["operation"] for step in plan["steps"]] == made
    tags = {row["Key"]: row["Value"] for row in plan["steps"][2]["params"]["Tags"]}
    assert tags["segdeck:classes"] == f"{MODELS}good/classes.json"
    assert left(sagemaker, "cli-dry") == (0, 0, 0)


def test_an_artifact_is_deployed_and_waited_for(run: Run, deploy: Deploy, sagemaker: Any) -> None:
    """Deploy ends once the endpoint is in service; repeated, it creates nothing twice."""
    name = deploy("cli-wait")
    assert sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService"
    again = (
        "deploy",
        "--artifact",
        f"{MODELS}good/model.tar.gz",
        "--role",
        ROLE,
        "--name",
        name,
        "--yes",
        "--json",
    )
    done = run(*again)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["endpoint"]["status"] == "InService"
    assert left(sagemaker, name) == (1, 1, 1)


def test_list_and_show_have_health_and_cost(run: Run, deploy: Deploy) -> None:
    """Health, instances, calls, cost, lineage and class names are shown, in a table and as JSON."""
    name = deploy("cli-told")
    document = json.loads(run("list", "--json").stdout)
    row = next(row for row in document["endpoints"] if row["name"] == name)
    assert (row["status"], row["health"], row["calls_7d"]) == ("InService", "new", 0)
    assert row["instances"] == ["1 x ml.c5.xlarge"]
    assert float(row["usd_per_hour"]) > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", row["created_at"])
    assert float(document["cost"]["usd_per_month"]) > float(row["usd_per_hour"])
    table = run("list").stdout
    assert name in table
    assert "cost per month" in table
    shown = json.loads(run("show", name, "--json").stdout)
    assert shown["classes"] == ["land", "road", "water"]
    assert shown["lineage"][0].startswith(f"{MODELS}good/model.tar.gz -> {name}-")
    assert shown["lineage"][0].endswith(f" -> {name}")
    text = run("show", name)
    assert text.exit_code == 0, text.stderr
    assert "reason: No calls yet" in text.stdout


def test_a_limited_list_says_what_its_total_covers(run: Run, sagemaker: Any, sandbox_server: Sandbox) -> None:
    """With --limit, the total says that it covers the endpoints shown; unknown prices are counted."""
    put_endpoint(sandbox_server, "cli-lost", status="Failed")
    put_endpoint(sandbox_server, "cli-odd", daily=[5] * 30, instance="ml.p6-b300.48xlarge")
    try:
        whole, part = run("list"), run("list", "--limit", 1)
        document = json.loads(run("list", "--json").stdout)
    finally:
        clear(sagemaker, sandbox_server)
    assert "Total of the 1 shown: $0.00 per hour" in part.stdout
    assert "There are more" in part.stderr
    assert "shown" not in whole.stdout
    assert "at least" in whole.stdout
    assert "The price is unknown for 1 endpoint." in whole.stdout
    assert document["cost"]["unknown"] == ["cli-odd"]


def test_unknown_values_are_not_counted_as_zero(capsys: pytest.CaptureFixture[str]) -> None:
    """Without metrics the idle cost is unknown; without a price an idle endpoint is still named."""
    now, prices = datetime(2026, 11, 25, tzinfo=UTC), shipped_prices("us-east-1")
    endpoint = Endpoint("street", "", "InService", now, now)
    costs = {"street": endpoint_cost(endpoint, prices, now)}
    blind = sum_costs(
        [EndpointRow(endpoint, Health("unknown", ""), None, None)], costs, prices, complete=True
    )
    assert blind.to_dict()["usd_wasted_per_month"] is None
    idle = sum_costs([EndpointRow(endpoint, Health("idle", ""), None, None)], costs, prices, complete=False)
    blind.show()
    idle.show()
    output = capsys.readouterr().out
    assert "Usage is unknown for 1 endpoint." in output
    assert "Total of the 1 shown: at least $0.00 per hour" in output
    assert "Idle: street. Idle cost per month: at least $0.00." in output


def test_unreadable_configurations_are_reported_once(
    run: Run, sagemaker: Any, sandbox_server: Sandbox
) -> None:
    """The reason is shown once for all configurations; idle endpoints are still named."""
    put_endpoint(sandbox_server, "cli-idle")
    put_endpoint(sandbox_server, "cli-idle-too")
    sandbox_server.faults.clear()
    denied = {"code": "AccessDeniedException", "status": 400}
    sandbox_server.faults.add("error", operation="DescribeEndpointConfig", **denied)
    try:
        done, document = run("list"), json.loads(run("list", "--json").stdout)
    finally:
        sandbox_server.faults.clear()
        clear(sagemaker, sandbox_server)
    assert document["idle"] == ["cli-idle", "cli-idle-too"]
    assert done.stderr.count("Could not describe the endpoint configuration") == 1
    assert re.search(r"\d+ more configurations could not be read\.", done.stderr)


def test_an_unknown_price_is_reported(run: Run, sagemaker: Any, sandbox_server: Sandbox) -> None:
    """If the configuration cannot be read, the cost is shown as unknown, with the reason."""
    put_endpoint(sandbox_server, "cli-veiled")
    sandbox_server.faults.clear()
    denied = {"code": "AccessDeniedException", "message": "no", "status": 400}
    sandbox_server.faults.add("error", operation="DescribeEndpointConfig", **denied)
    try:
        done = run("show", "cli-veiled")
    finally:
        sandbox_server.faults.clear()
        clear(sagemaker, sandbox_server)
    assert "cost per hour: unknown" in done.stdout
    assert "not allowed" in done.stderr


def test_the_last_call_has_the_precision_of_cloudwatch() -> None:
    """CloudWatch periods are six hours: both ends of the last period with a call are shown."""
    begin, now = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC)
    endpoint = Endpoint("street", "", "InService", begin, begin)
    row = EndpointRow(endpoint, Health("healthy", ""), Traffic(begin, (0, 3, 0)), None)
    document = summary(row, endpoint_cost(endpoint, shipped_prices("us-east-1"), now))
    assert document["last_call_after"] == "2026-11-01T06:00:00+00:00"
    assert document["last_call_before"] == "2026-11-01T12:00:00+00:00"


def start_job(sagemaker: Any, name: str, **values: str) -> None:
    """Start a training job with additional hyperparameters."""
    channels = ("train", "validation", "train_annotation", "validation_annotation")
    sagemaker.create_training_job(
        TrainingJobName=name,
        RoleArn=ROLE,
        AlgorithmSpecification={
            "TrainingImage": "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1",
            "TrainingInputMode": "File",
        },
        HyperParameters={"num_classes": "3", "num_training_samples": "1", **values},
        InputDataConfig=[
            {
                "ChannelName": channel,
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"{MODELS}good/"}},
            }
            for channel in channels
        ],
        OutputDataConfig={"S3OutputPath": f"{MODELS}out"},
        ResourceConfig={"InstanceType": "ml.g4dn.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        EnableNetworkIsolation=True,
    )


def test_a_job_is_deployed_with_its_image_and_role(run: Run, sagemaker: Any, deploy: Deploy) -> None:
    """`--from-job` takes artifact, image, role and network from the job and names the endpoint after it."""
    start_job(sagemaker, "cli-roads", epochs="1")
    wait = sagemaker.get_waiter("training_job_completed_or_stopped")
    wait.wait(TrainingJobName="cli-roads", WaiterConfig=WAITER)
    done = run("deploy", "--from-job", "cli-roads", "--yes", "--json")
    assert done.exit_code == 0, done.stderr
    plan = json.loads(done.stdout)
    model = next(step["params"] for step in plan["steps"] if step["operation"] == "CreateModel")
    assert model["ExecutionRoleArn"] == ROLE
    assert model["EnableNetworkIsolation"] is True
    assert model["PrimaryContainer"]["ModelDataUrl"] == f"{MODELS}out/cli-roads/output/model.tar.gz"
    shown = json.loads(run("show", "cli-roads", "--json").stdout)
    assert shown["lineage"][0].startswith("cli-roads -> s3://")
    assert run("deploy", "--from-job", "cli-nowhere", "--yes").exit_code == 1


def test_a_job_that_failed_is_not_waited_for(run: Run, sagemaker: Any, sandbox_server: Sandbox) -> None:
    """For a job without a model, `--from-job` shows why it failed and what to do, and which read was denied."""
    start_job(sagemaker, "cli-spent", fail="no space left on device")
    wait = sagemaker.get_waiter("training_job_completed_or_stopped")
    with pytest.raises(WaiterError):
        wait.wait(TrainingJobName="cli-spent", WaiterConfig=WAITER)
    done = run("deploy", "--from-job", "cli-spent", "--yes")
    assert done.exit_code == 1
    assert "Disk full" in done.stderr
    assert "larger volume" in done.stderr
    assert "Wait" not in done.stderr
    assert "search index" not in done.stderr
    sandbox_server.faults.clear()
    sandbox_server.faults.add(
        "error", operation="DescribeTrainingJob", code="AccessDeniedException", status=403
    )
    try:
        done = run("deploy", "--from-job", "cli-spent", "--yes")
    finally:
        sandbox_server.faults.clear()
    assert (done.exit_code, "search index" in done.stderr) == (1, True)


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """Return a model file on this machine with its class names next to it."""
    folder = tmp_path / "cli-local"
    folder.mkdir()
    (folder / "model.tar.gz").write_bytes(archive(aws_files()))
    (folder / "classes.json").write_text(json.dumps(NAMES))
    return folder / "model.tar.gz"


def test_a_local_model_is_uploaded_with_its_names(
    run: Run, local: Path, deploy: Deploy, sandbox_server: Sandbox, make_client: Any
) -> None:
    """File and class names are uploaded to S3 first; the endpoint is named after the folder."""
    done = run("deploy", "--file", local, "--to", f"{MODELS}up", "--role", ROLE, "--yes", "--json")
    assert done.exit_code == 0, done.stderr
    steps = json.loads(done.stdout)["steps"]
    assert [step["operation"] for step in steps[:2]] == ["PutObject", "PutObject"]
    key = steps[0]["params"]["Key"]
    s3 = make_client(sandbox_server, "s3")
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == local.read_bytes()
    assert json.loads(run("show", "cli-local", "--json").stdout)["classes"] == ["land", "road", "water"]


def test_a_local_model_needs_a_place_and_never_takes_anothers(
    run: Run, local: Path, deploy: Deploy, sandbox_server: Sandbox, make_client: Any
) -> None:
    """On AWS, --to is required; an existing object with other content is not replaced."""
    order = ("deploy", "--file", local, "--role", ROLE, "--yes", "--json")
    assert "--to is required" in run(*order).stderr
    planned = json.loads(run(*order, "--to", f"{MODELS}up2", "--dry-run").stdout)
    key = planned["steps"][0]["params"]["Key"]
    s3 = make_client(sandbox_server, "s3")
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"somebody else's")
    refused = run(*order, "--to", f"{MODELS}up2")
    assert refused.exit_code == 1
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"somebody else's"


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (archive(aws_files(), special("../escaped")), "leads out"),
        (archive({"model_algo-1": b"x"}), "lacks model_best.params"),
        ((ROOT / "sandbox/demo/aerial/model.tar.gz").read_bytes(), "cannot be deployed on AWS"),
    ],
)
def test_an_unusable_model_is_refused_before_anything_is_created(
    run: Run, sagemaker: Any, tmp_path: Path, packed: bytes, words: str
) -> None:
    """A hostile archive, an incomplete model and the sandbox's own network are refused with the reason."""
    (tmp_path / "model.tar.gz").write_bytes(packed)
    order = (
        "deploy",
        "--file",
        tmp_path / "model.tar.gz",
        "--to",
        MODELS,
        "--role",
        ROLE,
        "--name",
        "cli-evil",
    )
    done = run(*order, "--yes")
    assert done.exit_code == 1
    assert words in done.stderr
    assert left(sagemaker, "cli-evil") == (0, 0, 0)


def test_a_failed_endpoint_is_reported_with_its_reason(run: Run, deploy: Deploy) -> None:
    """A failed endpoint gives exit code 1, AWS's reason, its meaning, and what to do."""
    order = ("--role", ROLE, "--name", "cli-broken", "--yes", "--json")
    done = run("deploy", "--artifact", f"{MODELS}broken/model.tar.gz", *order)
    assert done.exit_code == 1
    assert "The endpoint cli-broken failed." in done.stderr
    assert "To remove them: segdeck endpoints delete cli-broken" in done.stderr
    endpoint = json.loads(done.stdout)["endpoint"]
    assert endpoint["status"] == "Failed"
    assert "ping health check" in endpoint["failure_reason"]
    assert endpoint["diagnosis"]["todo"]
    row = next(
        row for row in json.loads(run("list", "--json").stdout)["endpoints"] if row["name"] == "cli-broken"
    )
    assert row["health"] == "failed"
    assert run("show", "cli-broken").exit_code == 0


def test_an_update_moves_to_another_model(run: Run, deploy: Deploy, sagemaker: Any) -> None:
    """The endpoint gets the new model and instances, shown next to the old ones; if those fail, it keeps these."""
    name = deploy("cli-moving")
    order = ("update", name, "--artifact", f"{MODELS}other/model.tar.gz", "--instance-type", "ml.g4dn.xlarge")
    done = run(*order, "--yes")
    assert done.exit_code == 0, done.stderr
    assert f" -> {MODELS}other/model.tar.gz" in done.stderr
    assert " -> 1 x ml.g4dn.xlarge" in done.stderr
    shown = json.loads(run("show", name, "--json").stdout)
    assert shown["models"][0]["model_uri"] == f"{MODELS}other/model.tar.gz"
    assert shown["instances"] == ["1 x ml.g4dn.xlarge"]
    assert "would not change" in run(*order, "--yes").stderr
    failed = run("update", name, "--artifact", f"{MODELS}broken/model.tar.gz", "--yes")
    assert failed.exit_code == 1
    assert "was not updated. It serves the same models as before." in failed.stderr
    again = json.loads(run("show", name, "--json").stdout)
    assert (again["status"], again["config"]) == ("InService", shown["config"])
    assert again["diagnosis"]["title"].startswith("The last update failed, and the endpoint was rolled back.")
    assert run("update", name, "--count", 2, "--dry-run").exit_code == 0


def test_another_number_of_unnamed_classes_is_a_warning(run: Run, deploy: Deploy) -> None:
    """A new model with another number of classes is shown as such and warned about, even if it names none."""
    name = deploy("cli-unnamed")
    artifact = ("--artifact", f"{MODELS}unnamed/model.tar.gz")
    done = run("update", name, *artifact, "--dry-run", "--json")
    assert "Classes: 3 (land, road, water) -> 5, unnamed" in done.stderr
    warnings = json.loads(done.stdout)["warnings"]
    assert "The current model has 3 classes, the new one 5." in " ".join(warnings)


def test_an_update_to_a_model_that_may_not_be_read(
    run: Run, deploy: Deploy, sandbox_server: Sandbox, sagemaker: Any
) -> None:
    """Where DescribeModel is denied, an update to an existing model says so and is planned."""
    name = deploy("cli-unread")
    container = {"Image": IMAGE, "ModelDataUrl": f"{MODELS}other/model.tar.gz"}
    sagemaker.create_model(ModelName="cli-unread-2", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    sandbox_server.faults.clear()
    sandbox_server.faults.add(
        "error", operation="DescribeModel", code="AccessDeniedException", message="no", status=400
    )
    try:
        done = run("update", name, "--model", "cli-unread-2", "--dry-run", "--json")
    finally:
        sandbox_server.faults.clear()
    assert done.exit_code == 0, done.stderr
    assert "The model cli-unread-2 was not compared with the current one." in done.stderr
    operations = [step["operation"] for step in json.loads(done.stdout)["steps"]]
    assert operations[:2] == ["CreateEndpointConfig", "UpdateEndpoint"]


def test_an_instance_type_outside_the_documentation(run: Run, deploy: Deploy) -> None:
    """Another instance type is a warning once, not an error; updating on it later is not."""
    name = deploy("cli-other-type")
    update = ("update", name, "--dry-run", "--json")
    plan = json.loads(run(*update, "--instance-type", "ml.m6i.large").stdout)
    assert "does not name ml.m6i.large" in plan["warnings"][0]
    assert plan["steps"][-1]["params"]["RetainDeploymentConfig"] is True
    assert run("update", name, "--instance-type", "ml.m6i.large", "--yes").exit_code == 0
    plan = json.loads(run(*update, "--artifact", f"{MODELS}other/model.tar.gz").stdout)
    assert "documentation" not in str(plan["warnings"])
    model = json.loads(run("show", name, "--json").stdout)["models"][0]["name"]
    plan = json.loads(run(*update, "--model", model, "--count", 2).stdout)
    assert "compared" not in str(plan["warnings"])


def test_weights_counts_and_autoscaling_are_changed(run: Run, deploy: Deploy, sagemaker: Any) -> None:
    """A second variant gets its share of the traffic; weights, counts and autoscaling change."""
    name = deploy("cli-scaled")
    second = ("--artifact", f"{MODELS}other/model.tar.gz", "--variant", "new", "--weight", 0.5)
    done = run("update", name, *second, "--yes")
    assert done.exit_code == 0, done.stderr
    done = run("scale", name, "--variant", "AllTraffic=3", "--variant", "new=1", "--yes")
    assert done.exit_code == 0, done.stderr
    variants = sagemaker.describe_endpoint(EndpointName=name)["ProductionVariants"]
    assert {row["VariantName"]: row["CurrentWeight"] for row in variants} == {"AllTraffic": 3.0, "new": 1.0}
    assert "several variants" in run("scale", name, "--count", 2, "--yes").stderr
    assert run("scale", name, "--variant", "new", "--count", 2, "--yes").exit_code == 0
    order = ("--variant", "new", "--min", 1, "--max", 3, "--target", 60)
    done = run("scale", name, *order, "--yes")
    assert done.exit_code == 0, done.stderr
    shown = json.loads(run("show", name, "--json").stdout)
    assert shown["scaling"] == [{"variant": "new", "min": 1, "max": 3, "target": 60.0}]
    done = run("scale", name, "--variant", "new", "--no-autoscale", "--yes")
    assert (done.exit_code, f"Removed autoscaling from {name}." in done.stderr) == (0, True)
    again = run("scale", name, "--variant", "new", "--no-autoscale", "--yes")
    assert (again.exit_code, "has no autoscaling" in again.stderr) == (1, True)
    assert json.loads(run("show", name, "--json").stdout)["scaling"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("scale", "x"),
        ("scale", "x", "--count", 2, "--no-autoscale"),
        ("scale", "x", "--min", 1),
        ("scale", "x", "--variant", "a=many"),
        ("scale", "x", "--variant", "a=-1"),
        ("deploy",),
        ("deploy", "--from-job", "a", "--model", "b"),
        ("update", "x", "--from-job", "a", "--model", "b"),
        ("update", "x", "--classes", "classes.json"),
        ("deploy", "--model", "a", "--classes", "classes.json"),
        ("deploy", "--artifact", "s3://b/model.tar.gz", "--to", "s3://b/"),
        ("serve-here",),
        ("unfinished", "--finish", "--leave"),
    ],
)
def test_wrong_usage_is_exit_code_2(run: Run, arguments: tuple[object, ...]) -> None:
    """Contradictory options are refused before any call."""
    assert run(*arguments).exit_code == 2


def test_delete_removes_what_only_the_endpoint_used(
    run: Run, deploy: Deploy, sagemaker: Any, sandbox_server: Sandbox, make_client: Any
) -> None:
    """Endpoint, configuration and model are deleted, the artifact stays; a dry run deletes nothing."""
    name = deploy("cli-gone")
    dry = run("delete", name, "--dry-run")
    assert dry.exit_code == 0, dry.stderr
    assert f"The artifact {MODELS}good/model.tar.gz stays in S3." in dry.stdout
    assert left(sagemaker, name) == (1, 1, 1)
    done = run("delete", name, "--yes")
    assert done.exit_code == 0, done.stderr
    assert left(sagemaker, name) == (0, 0, 0)
    assert make_client(sandbox_server, "s3").head_object(Bucket=BUCKET, Key="good/model.tar.gz")
    assert run("delete", name, "--yes").exit_code == 1


def test_a_name_that_serves_something_else_is_refused_first(run: Run, deploy: Deploy, sagemaker: Any) -> None:
    """Nothing is created if another endpoint has the name; the message names `update`."""
    name = deploy("cli-taken")
    done = run(*order_of(name, "other"))
    assert done.exit_code == 1
    assert f"endpoints update {name}" in done.stderr
    assert left(sagemaker, name) == (1, 1, 1)


def test_a_failed_step_names_the_command_that_cleans_up(
    run: Run, deploy: Deploy, sagemaker: Any, sandbox_server: Sandbox
) -> None:
    """If a later step is refused, the message names the command that cleans up."""
    sandbox_server.faults.clear()
    denied = {"code": "AccessDeniedException", "message": "not authorized to perform: it", "status": 400}
    sandbox_server.faults.add("error", operation="CreateEndpoint", **denied)
    try:
        done = run(*order_of("cli-denied"))
    finally:
        sandbox_server.faults.clear()
    assert done.exit_code == 1
    assert "endpoints unfinished" in done.stderr
    assert run("unfinished", "--clean-up", "--yes").exit_code == 0
    assert left(sagemaker, "cli-denied") == (0, 0, 0)


def test_nothing_is_changed_without_confirmation(run: Run, deploy: Deploy, sagemaker: Any) -> None:
    """Without a terminal for confirmation, the plan is shown and nothing is changed."""
    name = deploy("cli-asked")
    done = run("delete", name)
    assert done.exit_code == 1
    assert "Add --yes" in done.stderr
    assert left(sagemaker, name) == (1, 1, 1)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminal to ask in")
@pytest.mark.parametrize(("key", "code"), [(b"\x03", 130), (b"\x04", 1), (b"n\n", 1)])
def test_only_yes_confirms(
    environ: dict[str, str], sagemaker: Any, sandbox_server: Sandbox, key: bytes, code: int
) -> None:
    """Ctrl-C, Ctrl-D and "n" at the prompt change nothing and say so; Ctrl-C has its own exit code."""
    import pty

    name = put_endpoint(sandbox_server, "cli-spared")
    child, terminal = pty.fork()
    if not child:
        os.chdir(ROOT)
        command = [sys.executable, str(ROOT / "cli.py"), "endpoints", "delete", name]
        os.execve(sys.executable, command, {**os.environ, **environ})
    try:
        read_until(terminal, b"Continue?")
        os.write(terminal, key)
        read_until(terminal, b"Nothing was changed.")
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == code
        assert left(sagemaker, name) == (1, 1, 1)
    finally:
        os.close(terminal)
        clear(sagemaker, sandbox_server)


def read_until(terminal: int, text: bytes) -> None:
    """Read from a terminal until a text appears. Raises OSError if the process ends first."""
    output = b""
    while text not in output:
        output += os.read(terminal, 4096)


def process(environ: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Run `python cli.py endpoints ...` as a user does."""
    command = [sys.executable, str(ROOT / "cli.py"), "endpoints", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environ}, stdout=pipe, stderr=pipe, text=True
    )


def order_of(name: str, model: str = "good") -> tuple[str, ...]:
    """Return the command that deploys a model of the bucket under a name."""
    return ("deploy", "--artifact", f"{MODELS}{model}/model.tar.gz", "--role", ROLE, "--name", name, "--yes")


def wait_for_line(child: subprocess.Popen[str], text: str) -> None:
    """Wait until the process has printed a text."""
    assert child.stderr is not None
    while text not in (line := child.stderr.readline()):
        assert line


def test_ctrl_c_does_not_stop_the_endpoint(
    environ: dict[str, str], sagemaker: Any, deploy: Deploy, gate: Path
) -> None:
    """Ctrl-C while waiting exits with 130 and says that AWS continues with the endpoint, which it does."""
    gate.unlink(missing_ok=True)
    try:
        with process(environ, *order_of("cli-slow", "slow")) as child:
            wait_for_line(child, "is being created")
            child.send_signal(signal.SIGINT)
            _, output = child.communicate(timeout=SECONDS)
    finally:
        gate.touch()
    assert child.returncode == 130
    assert "AWS continues with the endpoint cli-slow" in output
    assert left(sagemaker, "cli-slow")[0] == 1


def test_a_failed_call_while_waiting_is_repeated(
    environ: dict[str, str], deploy: Deploy, sandbox_server: Sandbox, gate: Path
) -> None:
    """A throttled call does not end the wait."""
    gate.unlink(missing_ok=True)
    throttled = {"code": "ThrottlingException", "message": "Slow down", "status": 400}
    with process(environ, *order_of("cli-bumpy", "slow")) as child:
        wait_for_line(child, "is being created")
        sandbox_server.faults.add("error", operation="DescribeEndpoint", times=4, **throttled)
        try:
            wait_for_line(child, "Trying again.")
        finally:
            gate.touch()
            sandbox_server.faults.clear()
        _, output = child.communicate(timeout=SECONDS)
    assert child.returncode == 0, output
    assert "The endpoint cli-bumpy is in service." in output


@pytest.fixture
def cut(environ: dict[str, str], sandbox_server: Sandbox, sagemaker: Any) -> Callable[..., None]:
    """Return a function: cut("deploy", ..., at="CreateEndpoint", then=...) kills the command during that call.

    then: whether the call, which completes without its caller, is done.
    """

    def kill(*arguments: str, at: str, then: Callable[[], bool]) -> None:
        sandbox_server.faults.clear()
        sandbox_server.faults.add("delay", operation=at, times=1, seconds=600)
        try:
            with process(environ, *arguments) as child:
                wait_until(lambda: at in [operation for _, operation in sandbox_server.faults.hits])
                child.kill()
                child.communicate(timeout=SECONDS)
            sandbox_server.faults.clear()  # the call is completed without its caller
            wait_until(then)
        finally:
            sandbox_server.faults.clear()
        sandbox_server.wait_settled(SECONDS)

    return kill


def cut_plans(run: Run) -> list[dict[str, Any]]:
    """Return what `unfinished` lists."""
    plans: list[dict[str, Any]] = json.loads(run("unfinished", "--json").stdout)["plans"]
    return plans


def test_a_deploy_that_was_killed_is_finished(
    run: Run, cut: Callable[..., None], sagemaker: Any, deploy: Deploy
) -> None:
    """It is listed with its steps, finished without creating anything twice, and no longer listed."""
    cut(*order_of("cli-cut"), at="CreateEndpointConfig", then=lambda: left(sagemaker, "cli-cut")[1] == 1)
    (row,) = cut_plans(run)
    assert (row["change"], row["of"], row["outcome"]) == ("deploy", "cli-cut", "interrupted")
    assert "cli-cut" in run("unfinished").stdout
    done = run("unfinished", "--finish", "--yes", "--json")
    assert done.exit_code == 0, done.stderr
    (row,) = json.loads(done.stdout)["plans"]
    assert row["outcome"] == "done"
    assert not any("not started" in step for step in row["steps"])
    assert left(sagemaker, "cli-cut") == (1, 1, 1)
    assert cut_plans(run) == []


def test_a_deploy_that_was_killed_is_cleaned_up(
    run: Run, cut: Callable[..., None], sagemaker: Any, deploy: Deploy
) -> None:
    """What it had created is removed, and nothing else."""
    cut(*order_of("cli-cut2"), at="CreateEndpoint", then=lambda: left(sagemaker, "cli-cut2")[0] == 1)
    (row,) = cut_plans(run)
    done = run("unfinished", row["plan"], "--clean-up", "--yes")
    assert done.exit_code == 0, done.stderr
    assert left(sagemaker, "cli-cut2") == (0, 0, 0)
    assert "No interrupted changes." in run("unfinished").stdout


def test_a_delete_that_was_killed_is_finished(
    run: Run, cut: Callable[..., None], sagemaker: Any, deploy: Deploy
) -> None:
    """What remains is deleted, and what is already deleted is not an error."""
    name = deploy("cli-cut3")
    cut("delete", name, "--yes", at="DeleteEndpointConfig", then=lambda: left(sagemaker, name)[1] == 0)
    (row,) = cut_plans(run)
    assert run("unfinished", row["plan"], "--finish", "--yes").exit_code == 0
    assert left(sagemaker, name) == (0, 0, 0)


def test_an_interrupted_delete_names_the_command_that_finishes_it(
    run: Run, environ: dict[str, str], sandbox_server: Sandbox, sagemaker: Any, deploy: Deploy
) -> None:
    """Ctrl-C between the steps exits with 130 and names the command that finishes the change."""
    name = deploy("cli-halted")
    sandbox_server.faults.clear()
    sandbox_server.faults.add("delay", operation="DeleteEndpointConfig", seconds=600)
    try:
        with process(environ, "delete", name, "--yes") as child:
            wait_until(lambda: sandbox_server.faults.hits)
            child.send_signal(signal.SIGINT)
            _, output = child.communicate(timeout=SECONDS)
        sandbox_server.faults.clear()
        wait_until(lambda: left(sagemaker, name)[1] == 0)
    finally:
        sandbox_server.faults.clear()
    assert child.returncode == 130
    assert "endpoints unfinished" in output
    assert run("unfinished", "--finish", "--yes").exit_code == 0
    assert left(sagemaker, name) == (0, 0, 0)


def test_a_change_can_be_left_and_an_unknown_one_is_an_error(
    run: Run, cut: Callable[..., None], sagemaker: Any, deploy: Deploy
) -> None:
    """`show` names an interrupted change; --leave removes it from the list and changes nothing."""
    name = deploy("cli-cut4")
    update = ("update", name, "--count", "2", "--yes")
    cut(*update, at="CreateEndpointConfig", then=lambda: left(sagemaker, name)[1] == 2)
    assert [row["change"] for row in json.loads(run("show", name, "--json").stdout)["unfinished"]] == [
        "update"
    ]
    assert "No interrupted change has the ID nobody." in run("unfinished", "nobody", "--leave").stderr
    assert run("unfinished", "--leave").exit_code == 0
    assert cut_plans(run) == []
    assert left(sagemaker, name) == (1, 2, 1)


def test_changes_of_another_account_are_not_listed(
    run: Run, cut: Callable[..., None], sagemaker: Any, deploy: Deploy
) -> None:
    """A change in one account is not listed in another, where the same name is another endpoint."""
    cut(*order_of("cli-cut5"), at="CreateEndpoint", then=lambda: left(sagemaker, "cli-cut5")[0] == 1)
    assert len(cut_plans(run)) == 1
    assert json.loads(run("unfinished", "--json", AWS_REGION="eu-west-1").stdout)["plans"] == []
