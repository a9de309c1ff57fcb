"""The commands `jobs ...`, run against a real server on loopback as they would be against AWS."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from PIL import Image

import cli
from commands.common import print_json
from sandbox.server import Sandbox
from tests.support.command_line import CliRunner
from tests.support.patience import SECONDS, WAITER, wait_until

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
ROLE = "arn:aws:iam::123456789012:role/Trainer"
BUCKET = "cli-jobs"
DATA, OUTPUT = f"s3://{BUCKET}/data/", f"s3://{BUCKET}/out/"
PLACES = ("--data", DATA, "--output", OUTPUT, "--role", ROLE)
RECIPE = (
    "-p",
    "num_classes=3",
    "-p",
    "mini_batch_size=2",
    "-p",
    "validation_mini_batch_size=1",
    "-p",
    "epochs=2",
)
Run = Callable[..., Result]
StartJob = Callable[..., str]


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def run(aws_environ: dict[str, str]) -> Run:
    """Return a function: run("list", ...) invokes `jobs` in mode aws against the test's sandbox."""

    def invoke(*arguments: object, **environ: str) -> Result:
        environ = {"SEGDECK_MODE": "aws", **aws_environ, **environ}
        return CliRunner().invoke(cli.app, ["jobs", *map(str, arguments)], env=environ)

    return invoke


@pytest.fixture(scope="module")
def sagemaker(sandbox_server: Sandbox, make_client: Any) -> Any:
    """Return a client; the bucket has two images for training and one for validation."""
    s3 = make_client(sandbox_server, "s3")
    s3.create_bucket(Bucket=BUCKET)
    for split, count in (("train", 2), ("validation", 1)):
        for number in range(count):
            s3.put_object(Bucket=BUCKET, Key=f"data/{split}/{number}.jpg", Body=picture("JPEG"))
            s3.put_object(Bucket=BUCKET, Key=f"data/{split}_annotation/{number}.png", Body=picture("PNG"))
    return make_client(sandbox_server, "sagemaker")


@pytest.fixture
def start_job(sagemaker: Any) -> Iterator[StartJob]:
    """Return a function: start_job(name, wait=True, **hyperparameters) starts a job, deleted after the test."""
    names: list[str] = []

    def start(name: str, *, wait: bool = True, **values: str) -> str:
        hyperparameters = {"num_classes": "3", "num_training_samples": "2", "mini_batch_size": "2"}
        channels = ("train", "validation", "train_annotation", "validation_annotation")
        sagemaker.create_training_job(
            TrainingJobName=name,
            RoleArn=ROLE,
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            HyperParameters=hyperparameters | {"validation_mini_batch_size": "1"} | values,
            InputDataConfig=[
                {
                    "ChannelName": channel,
                    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"{DATA}{channel}/"}},
                }
                for channel in channels
            ],
            OutputDataConfig={"S3OutputPath": OUTPUT},
            ResourceConfig={"InstanceType": "ml.g4dn.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
            StoppingCondition={"MaxRuntimeInSeconds": 600},
        )
        names.append(name)
        if wait:
            wait_for(sagemaker, name, lambda job: job["TrainingJobStatus"] in ENDED)
        return name

    yield start
    for name in names:
        if sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "InProgress":
            sagemaker.stop_training_job(TrainingJobName=name)
        wait_for(sagemaker, name, lambda job: job["TrainingJobStatus"] in ENDED)
        sagemaker.delete_training_job(TrainingJobName=name)


ENDED = ("Completed", "Failed", "Stopped")


def wait_for(sagemaker: Any, name: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the job's description once the condition holds."""

    def probe() -> dict[str, Any] | None:
        job: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=name)
        return job if holds(job) else None

    job: dict[str, Any] = wait_until(probe)
    return job


def names(sagemaker: Any) -> list[str]:
    return [row["TrainingJobName"] for row in sagemaker.list_training_jobs()["TrainingJobSummaries"]]


def test_a_job_is_launched_followed_and_shown(run: Run, sagemaker: Any) -> None:
    """A launch fills in the number of images, starts the job, and with --follow prints the whole log."""
    done = run("launch", *PLACES, *RECIPE, "--name", "cli-a", "--max-runtime", "10m", "--yes", "--follow")
    assert done.exit_code == 0, done.stderr
    assert "The job cli-a has started." in done.stderr
    assert "The job cli-a is completed." in done.stderr
    assert "validation mIOU <score>=(0.2)" in done.stdout
    job = sagemaker.describe_training_job(TrainingJobName="cli-a")
    assert job["HyperParameters"]["num_training_samples"] == "2"
    assert job["StoppingCondition"]["MaxRuntimeInSeconds"] == 600
    shown = json.loads(run("show", "cli-a", "--json").stdout)
    assert (shown["name"], shown["status"], shown["diagnosis"]) == ("cli-a", "Completed", None)
    assert shown["final_metrics"]["validation:mIOU"] == pytest.approx(0.2)
    assert shown["model_uri"] == f"{OUTPUT}cli-a/output/model.tar.gz"
    assert "validation:mIOU: 0.2" in run("show", "cli-a").stdout


def test_a_dry_run_shows_the_plan_and_starts_nothing(run: Run, sagemaker: Any) -> None:
    """--dry-run prints the call and its price, and starts no job."""
    done = run("launch", *PLACES, *RECIPE, "--name", "cli-dry", "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert "CreateTrainingJob" in done.stdout
    assert "$0.74 per hour, $17.67 at the maximum run time" in done.stdout
    document = json.loads(run("launch", *PLACES, *RECIPE, "--name", "cli-dry", "--dry-run", "--json").stdout)
    assert document["steps"][0]["params"]["HyperParameters"]["num_training_samples"] == "2"
    assert document["price"]["usd_per_hour"] == "0.7364"
    assert "cli-dry" not in names(sagemaker)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-p", "mini_batch_siz=2"), "Did you mean mini_batch_size?"),
        (("-p", "num_training_samples=7"), "the channel train has 2"),
        (("--instance-type", "ml.m5.xlarge"), "does not train on ml.m5.xlarge"),
        (("--data", f"s3://{BUCKET}/nothing/"), "There are no objects under"),
        (("--data", "s3://no-such-bucket/data/"), "There are no objects under"),
        (("--output", "s3://no-such-bucket/out/"), "Could not find the bucket no-such-bucket"),
    ],
)
def test_what_would_fail_is_not_started(
    run: Run, sagemaker: Any, arguments: tuple[str, ...], words: str
) -> None:
    """A job that would fail is refused with the reason, before anything is billed."""
    done = run("launch", *PLACES, *RECIPE, "--name", "cli-bad", *arguments, "--yes")
    assert done.exit_code == 1
    assert words in done.stderr
    assert "was not started" in done.stderr
    assert "cli-bad" not in names(sagemaker)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-p", "novalue"),
        ("--tag", "team"),
        ("--max-runtime", "soon"),
        ("--max-runtime", "0h"),
        ("--instance-type",),
    ],
)
def test_wrong_usage(run: Run, sagemaker: Any, arguments: tuple[str, ...]) -> None:
    """An option with an unusable value is wrong usage: exit code 2."""
    assert run("launch", *PLACES, *RECIPE, *arguments).exit_code == 2


def test_a_vpc_and_none(run: Run, sagemaker: Any) -> None:
    """A clone cannot leave the VPC and name one at the same time: exit code 2."""
    assert run("clone", "any", "--no-vpc", "--subnet", "subnet-1").exit_code == 2


def test_aws_needs_data_output_and_role(run: Run) -> None:
    """On AWS there are no defaults: data, output and role are required."""
    done = run("launch", *RECIPE, "--data", DATA)
    assert done.exit_code == 1
    assert "--output and --role are required" in done.stderr


def test_without_a_terminal_nothing_is_confirmed(run: Run, sagemaker: Any) -> None:
    """Without --yes and without a terminal for confirmation, no job is started."""
    done = run("launch", *PLACES, *RECIPE, "--name", "cli-unasked")
    assert done.exit_code == 1
    assert "Add --yes" in done.stderr
    assert "cli-unasked" not in names(sagemaker)


def test_a_lost_reply_starts_one_job(run: Run, sandbox_server: Sandbox, sagemaker: Any) -> None:
    """When the reply to CreateTrainingJob is lost, the running job is job, and no second one is started."""
    sandbox_server.faults.clear()
    sandbox_server.faults.add("lost_reply", operation="CreateTrainingJob", times=1)
    try:
        done = run("launch", *PLACES, *RECIPE, "--name", "cli-lost", "--yes", "--json")
    finally:
        sandbox_server.faults.clear()
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["recovered"] is True
    assert names(sagemaker).count("cli-lost") == 1
    wait_for(sagemaker, "cli-lost", lambda job: job["TrainingJobStatus"] in ENDED)


def test_a_name_is_taken_once(run: Run, start_job: StartJob, sagemaker: Any) -> None:
    """A name that is in use is refused with the reason."""
    done = run("launch", *PLACES, *RECIPE, "--name", start_job("cli-taken"), "--yes")
    assert done.exit_code == 1
    assert "the name is taken" in done.stderr


def test_jobs_are_listed_by_status_and_text(run: Run, start_job: StartJob) -> None:
    """The list is filtered and sorted by its options, and the JSON says whether it is complete."""
    start_job("cli-list-b")
    start_job("cli-list-a", fail="no such thing")
    document = json.loads(run("list", "--text", "cli-list", "--sort", "name", "--ascending", "--json").stdout)
    assert [(row["name"], row["status"]) for row in document["jobs"]] == [
        ("cli-list-a", "Failed"),
        ("cli-list-b", "Completed"),
    ]
    assert (document["total"], document["complete"]) == (2, True)
    table = run("list", "--status", "Failed", "--text", "cli-list").stdout
    assert "cli-list-a" in table
    assert "cli-list-b" not in table
    assert "There are more" in run("list", "--text", "cli-list", "--limit", "1").stderr
    wrong = run("list", "--status", "Done")
    assert wrong.exit_code == 2
    assert "Unknown status 'Done'" in wrong.stderr


def test_a_failed_job_is_explained(run: Run, start_job: StartJob) -> None:
    """A failed job is shown with its diagnosis."""
    name = start_job(
        "cli-failed", fail="Additional properties are not allowed ('mini_batch_siz' was unexpected)"
    )
    shown = json.loads(run("show", name, "--json").stdout)
    assert shown["diagnosis"]["title"] == "Unknown hyperparameter"
    assert "Did you mean mini_batch_size" in run("show", name).stdout


def test_curves_have_their_source_and_the_best_epoch(run: Run, start_job: StartJob) -> None:
    """Metrics are shown by epoch with the best mean IoU; JSON has null for values that are not numbers."""
    start_job("cli-curve", epochs="3", nan="1")
    curves = json.loads(run("curves", "cli-curve", "--json").stdout)["jobs"]["cli-curve"]
    miou = next(series for series in curves if series["name"] == "validation:mIOU")
    assert (miou["source"], miou["epochs"], miou["values"]) == ("BatchGetMetrics", [0, 1, 2], [0.1, 0.2, 0.3])
    assert miou["best"] == {"epoch": 2, "value": 0.3}
    shown = run("curves", "cli-curve").stdout
    assert "Best mean IoU: 0.300 at epoch 2." in shown
    assert run("curves", *(f"j{n}" for n in range(7))).exit_code == 2


def test_the_log_is_printed(run: Run, start_job: StartJob) -> None:
    """The last lines, all lines, and one JSON document per line are printed; an unknown job is an error."""
    name = start_job("cli-log", epochs="3")
    assert len(run("logs", name, "-n", "2").stdout.splitlines()) == 2
    rows = [json.loads(line) for line in run("logs", name, "--all", "--json").stdout.splitlines()]
    assert any("epoch=0, validation mIOU" in row["message"] for row in rows)
    assert rows[0]["stream"].startswith(f"{name}/algo-1-")
    missing = run("logs", "cli-nowhere")
    assert missing.exit_code == 1
    assert "does not exist" in missing.stderr


def test_a_job_is_stopped(run: Run, start_job: StartJob, sagemaker: Any) -> None:
    """Stop requests the end of a job; a job that has ended cannot be stopped."""
    name = start_job("cli-stop", wait=False, epochs="500", seconds="0.2")
    wait_for(sagemaker, name, lambda job: job["SecondaryStatus"] == "Training")
    assert run("stop", name, "--dry-run").exit_code == 0
    assert sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "InProgress"
    done = run("stop", name, "--yes")
    assert done.exit_code == 0, done.stderr
    wait_for(sagemaker, name, lambda job: job["TrainingJobStatus"] == "Stopped")
    again = run("stop", name, "--yes")
    assert again.exit_code == 1
    assert "cannot be stopped: it is stopped" in again.stderr


def test_a_clone_takes_everything_but_what_is_changed(run: Run, start_job: StartJob) -> None:
    """A clone has the job's request with the changes; --continue adds the channel of its model."""
    name = start_job("cli-old", epochs="2")
    done = run("clone", name, "--name", "cli-new", "-p", "epochs=5", "--spot", "--dry-run", "--json")
    params = json.loads(done.stdout)["steps"][0]["params"]
    assert params["HyperParameters"]["epochs"] == "5"
    assert params["HyperParameters"]["num_classes"] == "3"
    assert params["EnableManagedSpotTraining"] is True
    assert len(params["InputDataConfig"]) == 4
    done = run("clone", name, "--name", "cli-next", "--continue", "--dry-run", "--json")
    params = json.loads(done.stdout)["steps"][0]["params"]
    assert params["InputDataConfig"][4]["ChannelName"] == "model"
    refused = run("clone", name, "--continue", "-p", "crop_size=160", "--dry-run")
    assert refused.exit_code == 1
    assert "must match" in refused.stderr


def test_security_options_of_a_launch_and_a_clone(run: Run, sagemaker: Any) -> None:
    """Network, keys, isolation, encryption and tags are options; a clone has them, and warns of what it turns off."""
    secure = (
        "--subnet",
        "subnet-1",
        "--security-group",
        "sg-1",
        "--output-kms-key",
        "alias/out",
        "--tag",
        "a=b",
    )
    flags = ("--network-isolation", "--encrypt-inter-container-traffic", "--tag", "team=maps")
    done = run("launch", *PLACES, *RECIPE, "--name", "cli-secure", *secure, *flags, "--dry-run", "--json")
    params = json.loads(done.stdout)["steps"][0]["params"]
    assert params["VpcConfig"] == {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
    assert params["OutputDataConfig"]["KmsKeyId"] == "alias/out"
    assert params["EnableNetworkIsolation"] is params["EnableInterContainerTrafficEncryption"] is True
    assert params["Tags"] == [{"Key": "a", "Value": "b"}, {"Key": "team", "Value": "maps"}]
    done = run(
        "launch", *PLACES, *RECIPE, "--name", "cli-secure", *flags, "--output-kms-key", "alias/out", "--yes"
    )
    assert done.exit_code == 0, done.stderr
    wait_for(sagemaker, "cli-secure", lambda job: job["TrainingJobStatus"] in ENDED)
    clone = ("clone", "cli-secure", "--dry-run", "--json")
    plan = json.loads(run(*clone, "--tag", "owner=me").stdout)
    assert "Weaker" not in str(plan["warnings"])
    assert [row["Key"] for row in plan["steps"][0]["params"]["Tags"]] == ["owner", "team"]
    assert plan["steps"][0]["params"]["EnableNetworkIsolation"] is True
    plan = json.loads(run(*clone, "--no-network-isolation", "--output-kms-key", "", "--no-vpc").stdout)
    assert [text.partition(":")[0] for text in plan["warnings"]] == ["Weaker than cli-secure"] * 2
    assert plan["steps"][0]["params"]["EnableNetworkIsolation"] is False
    assert "KmsKeyId" not in plan["steps"][0]["params"]["OutputDataConfig"]


def test_ctrl_c_leaves_the_job_alone(
    aws_environ: dict[str, str], start_job: StartJob, sagemaker: Any
) -> None:
    """Ctrl-C ends following with exit code 130 and says that the job is still running, which it is."""
    name = start_job("cli-follow", wait=False, epochs="500", seconds="0.2")
    environ = {**os.environ, "SEGDECK_MODE": "aws", **aws_environ}
    command = [sys.executable, str(ROOT / "cli.py"), "jobs", "logs", name, "--follow"]
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert f"The job {name} is still running." in errors
    assert sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "InProgress"


def test_following_survives_a_bad_minute(run: Run, sandbox_server: Sandbox, start_job: StartJob) -> None:
    """A log is followed through throttling, and lines written during it are printed afterwards."""
    name = start_job("cli-bumpy", epochs="2")
    sandbox_server.faults.clear()
    sandbox_server.faults.add(
        "error", operation="GetLogEvents", code="ThrottlingException", message="Slow", status=400, times=4
    )
    try:
        done = run("logs", name, "--follow")
    finally:
        sandbox_server.faults.clear()
    assert done.exit_code == 0, done.stderr
    assert "Trying again." in done.stderr
    assert done.stdout.count("validation mIOU") == 2


def test_yes_shows_the_plan_first(run: Run, sagemaker: Any) -> None:
    """With --yes, the plan with its price and warnings is printed before the job starts."""
    done = run("launch", *PLACES, *RECIPE, "-p", "gamma1=0.5", "--name", "cli-shown", "--yes", "--follow")
    assert done.exit_code == 0, done.stderr
    plan, started, _ = done.stderr.partition("The job cli-shown has started.")
    assert started
    assert "$0.74 per hour" in plan
    assert "gamma1" in plan


def test_a_followed_launch_is_one_document(run: Run, start_job: StartJob) -> None:
    """With --json and --follow, standard output is one document with the plan and the job; the log is on stderr."""
    name = start_job("cli-one")
    done = run("clone", name, "--name", "cli-one-2", "--yes", "--follow", "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["job"]["name"], document["job"]["status"], document["done"]) == (
        "cli-one-2",
        "Completed",
        True,
    )
    assert "validation mIOU <score>=(0.2)" in done.stderr


def test_metrics_that_are_not_numbers_are_null(capsys: pytest.CaptureFixture[str]) -> None:
    """NaN and infinity, which JSON does not have, are null in every document."""
    print_json(values=[float("nan"), 1.5], nested={"best": float("inf"), "pair": (float("-inf"), 2)})
    document = json.loads(capsys.readouterr().out)
    assert document == {"values": [None, 1.5], "nested": {"best": None, "pair": [None, 2]}}


def test_metrics_that_may_not_be_read_are_not_missing(
    run: Run, sandbox_server: Sandbox, start_job: StartJob
) -> None:
    """Where no source of metrics may be read, the command says so, and not that there are none."""
    name = start_job("cli-unread")
    sandbox_server.faults.clear()
    for operation in ("BatchGetMetrics", "GetMetricData", "DescribeLogStreams"):
        sandbox_server.faults.add("error", operation=operation, code="AccessDeniedException", status=403)
    try:
        done, document = run("curves", name), run("curves", name, "--json")
    finally:
        sandbox_server.faults.clear()
    assert f"The metrics of {name} could not be read." in done.stdout
    assert "No metrics" not in done.stdout
    assert len(json.loads(document.stdout)["notes"]) == 3


def test_the_list_says_what_it_leaves_out(run: Run, start_job: StartJob) -> None:
    """Without --all, the list says that jobs of other algorithms are not in it."""
    start_job("cli-hidden")
    hint = "Jobs of other algorithms are not listed."
    assert hint in run("list").stderr
    assert hint not in run("list", "--all").stderr


def test_the_number_of_classes_is_filled_in(
    run: Run, sagemaker: Any, make_client: Any, sandbox_server: Sandbox
) -> None:
    """A launch takes num_classes from the classes.json next to the channels; a smaller number is refused."""
    s3 = make_client(sandbox_server, "s3")
    names = {"classes": [{"name": f"class {number}"} for number in range(11)]}
    s3.put_object(Bucket=BUCKET, Key="data/classes.json", Body=json.dumps(names).encode())
    values = ("-p", "mini_batch_size=2", "-p", "validation_mini_batch_size=1")
    try:
        done = run("launch", *PLACES, *values, "--dry-run", "--json")
        refused = run("launch", *PLACES, *values, "-p", "num_classes=5", "--dry-run")
    finally:
        s3.delete_object(Bucket=BUCKET, Key="data/classes.json")
    assert json.loads(done.stdout)["steps"][0]["params"]["HyperParameters"]["num_classes"] == "11"
    assert refused.exit_code == 1
    assert "num_classes is 5, but the dataset has 11 classes." in refused.stderr


@pytest.mark.parametrize(
    ("words", "operation", "shown"),
    [
        ("list", "Search", "Only names, statuses and times of the jobs are shown."),
        ("show {name}", "DescribeTrainingJob", "search index"),
        ("show {name}", "DescribeLogStreams", "The log was not read."),
        ("clone {name} -p fail= --dry-run", "ListTags", "are not copied"),
        ("clone {name} -p fail= --dry-run", "DescribeTrainingJob", "search index"),
    ],
)
def test_a_denied_read_leaves_the_rest(
    run: Run, sandbox_server: Sandbox, start_job: StartJob, *, words: str, operation: str, shown: str
) -> None:
    """Where one read is denied, a command prints what the others return, and which one was denied."""
    name = start_job(f"cli-denied-{operation.lower()}", fail="no memory left")
    sandbox_server.faults.clear()
    sandbox_server.faults.add("error", operation=operation, code="AccessDeniedException", status=403)
    try:
        done = run(*words.format(name=name).split())
    finally:
        sandbox_server.faults.clear()
    assert f"not allowed to {operation}" in done.stderr, done.stderr
    assert shown in done.stderr
    if not words.startswith("clone"):
        assert (done.exit_code, name in done.stdout) == (0, True)


def test_a_spot_job_is_forecast_and_its_interruption_shown(run: Run, sagemaker: Any, faults: Any) -> None:
    """The plan forecasts the saving; `show` has the interruption, where the job resumed, and what was saved."""
    spot = ("--spot", "--max-wait", "2d", "--checkpoints", f"s3://{BUCKET}/saved/", "--name", "cli-spot")
    plan = run("launch", *PLACES, *RECIPE, *spot, "--dry-run", "--json")
    labels = [line["label"] for line in json.loads(plan.stdout)["forecast"]]
    assert labels == ["Saving", "Interruptions", "Delay per interruption", "Delay at most"]
    printed = run("launch", *PLACES, *RECIPE, *spot, "--dry-run").stdout
    assert "Forecast: Delay at most: 1 d 0 h (estimate; source: this job's maximum wait" in printed
    checkpoints = {"CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/saved/"}}
    limits = {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 600}
    faults.add("interrupt", resource="cli-spot", times=1, after_checkpoint=True)
    request = json.loads(plan.stdout)["steps"][0]["params"]
    values = {"HyperParameters": {"hold": "0", "epochs": "2"}, "StoppingCondition": limits}
    sagemaker.create_training_job(**request | values | checkpoints)
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName="cli-spot", WaiterConfig=WAITER)
    shown = json.loads(run("show", "cli-spot", "--json").stdout)
    (cut,) = shown["interruptions"]
    assert (cut["outcome"], cut["next_epoch"]) == ("resumed from epoch-0000.json at epoch 1", 1)
    assert 0 < shown["spot_saving"] < 1
    assert shown["billable_seconds"] < shown["training_seconds"]
    text = run("show", "cli-spot").stdout
    assert "spot saving: " in text
    assert f"interruptions:\n  {cut['at']}  resumed from epoch-0000.json at epoch 1" in text


@pytest.fixture(scope="module")
def manifests(sagemaker: Any, sandbox_server: Sandbox, make_client: Any) -> tuple[str, ...]:
    """Return the options of two augmented manifests, as Ground Truth writes them, over the images of the bucket."""
    s3 = make_client(sandbox_server, "s3")
    colors = {"internal-color-map": {str(number): {"class-name": f"c{number}"} for number in range(3)}}
    options = []
    for split, count, flag in (("train", 2, "--manifest"), ("validation", 1, "--validation-manifest")):
        rows = [
            {
                "source-ref": f"{DATA}{split}/{number}.jpg",
                "city-ref": f"{DATA}{split}_annotation/{number}.png",
                "city-ref-metadata": colors,
            }
            for number in range(count)
        ]
        s3.put_object(Bucket=BUCKET, Key=f"{split}.manifest", Body="\n".join(map(json.dumps, rows)).encode())
        options += [flag, f"s3://{BUCKET}/{split}.manifest"]
    return tuple(options)


WITHOUT_DATA = ("--output", OUTPUT, "--role", ROLE, "-p", "mini_batch_size=2", "-p", "epochs=2")
SMALL_VALIDATION = ("-p", "validation_mini_batch_size=1")


def test_a_job_on_augmented_manifests(run: Run, manifests: tuple[str, ...]) -> None:
    """A launch on manifests finds the label attribute, the samples and the classes; a clone keeps all of it."""
    options = (*manifests, *WITHOUT_DATA, *SMALL_VALIDATION)
    done = run("launch", *options, "--name", "cli-manifest", "--yes", "--follow", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["job"]["status"] == "Completed"
    (step,) = document["steps"]
    hyperparameters = step["params"]["HyperParameters"]
    assert (hyperparameters["num_training_samples"], hyperparameters["num_classes"]) == ("2", "3")
    train, validation = step["params"]["InputDataConfig"]
    assert train["DataSource"]["S3DataSource"]["AttributeNames"] == ["source-ref", "city-ref"]
    assert (train["RecordWrapperType"], train["InputMode"], train["ShuffleConfig"]) == (
        "RecordIO",
        "Pipe",
        {"Seed": 1},
    )
    copy = json.loads(run("clone", "cli-manifest", "--dry-run", "--json").stdout)["steps"][0]["params"]
    for original, copied in zip((train, validation), copy["InputDataConfig"], strict=True):
        assert original.items() <= copied.items()
    other = run("clone", "cli-manifest", "--no-shuffle", "--dry-run", "--json")
    assert "ShuffleConfig" not in json.loads(other.stdout)["steps"][0]["params"]["InputDataConfig"][0]
    assert "in the same order in every epoch" in other.stderr


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--label-attribute", "town-ref"), "has the attribute town-ref"),
        (("--manifest", f"s3://{BUCKET}/none.manifest"), "Could not"),
    ],
)
def test_a_manifest_that_would_fail_is_refused(
    run: Run, manifests: tuple[str, ...], more: tuple[str, ...], words: str
) -> None:
    """A label attribute that no line has, and a missing manifest, end the launch before the job is created."""
    done = run("launch", *manifests, *more, *WITHOUT_DATA, *SMALL_VALIDATION, "--yes")
    assert done.exit_code != 0
    assert words in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--manifest", "s3://b/m", "--data", DATA), "cannot be combined with --manifest"),
        (("--manifest", f"s3://{BUCKET}/train.manifest"), "--validation-manifest is not given"),
    ],
)
def test_manifest_options_that_do_not_go_together(
    run: Run, manifests: tuple[str, ...], arguments: tuple[str, ...], words: str
) -> None:
    """Manifests replace --data, and come in pairs."""
    done = run("launch", *arguments, *WITHOUT_DATA)
    assert done.exit_code != 0
    assert words in " ".join(done.output.split())
