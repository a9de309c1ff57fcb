"""The deploy page: inspection of the model, the form, and pre-flight checks before anything is billed."""

from __future__ import annotations

import itertools
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import InputError
from core.training.security import SecuritySettings
from pages.parts import cached
from pages.parts.deploy.check import to_classes
from sandbox.server import Sandbox
from tests.support.artifacts import archive, aws_files, special
from tests.support.dashboard import (
    BUCKET,
    IMAGE,
    button,
    ended,
    open_page,
    plain_texts,
    put_data,
    start_job,
    texts,
    wait_for,
)
from tests.support.fleet import put_endpoint
from tests.support.roles import create_roles

NUMBERS = itertools.count(1)
ROLE = "arn:aws:iam::123456789012:role/Server"
ARTIFACT = archive(aws_files("psp", "resnet-101", classes=3, crop_size=480))
NAMES = {"classes": [{"name": "road", "color": "#808080"}, {"name": "tree"}, {"name": "sky"}]}

OpenDeploy = Callable[..., AppTest]


@pytest.fixture(scope="module")
def here(
    tmp_path_factory: pytest.TempPathFactory,
    stub_programs: dict[str, list[str]],
    stub_training_programs: dict[str, list[str]],
) -> Iterator[Sandbox]:
    """A sandbox of this module, to which endpoints are added."""
    folder = tmp_path_factory.mktemp("deploy")
    with Sandbox(folder, programs=stub_programs, training_programs=stub_training_programs) as sandbox:
        create_roles(sandbox)
        yield sandbox


@pytest.fixture
def s3(here: Sandbox, make_client: Callable[..., Any]) -> Any:
    """A client of the sandbox, whose bucket holds the training data."""
    client = make_client(here, "s3")
    put_data(client)
    return client


@pytest.fixture
def sagemaker(here: Sandbox, make_client: Callable[..., Any]) -> Any:
    return make_client(here, "sagemaker")


@pytest.fixture
def faults(here: Sandbox) -> Iterator[Any]:
    here.faults.clear()
    yield here.faults
    here.faults.clear()


@pytest.fixture
def open_deploy(here: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OpenDeploy:
    """open_deploy(mode="aws", job=..., artifact=..., model=..., endpoint=...) -> the page after its first run."""

    def start(mode: str = "aws", **query: str) -> AppTest:
        environ = {**here.address.environ(), "SEGDECK_MODE": mode, "SEGDECK_STATE_DIR": str(tmp_path)}
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return open_page("deploy", here, mode=mode, **query)

    return start


@pytest.fixture
def put(s3: Any) -> Callable[..., str]:
    """put(body, names={...}) -> the S3 URI of a model.tar.gz, with its class names next to it."""

    def put_object(body: bytes = ARTIFACT, names: Any = None) -> str:
        folder = f"models/{next(NUMBERS)}-roads"
        s3.put_object(Bucket=BUCKET, Key=f"{folder}/model.tar.gz", Body=body)
        if names is not None:
            s3.put_object(Bucket=BUCKET, Key=f"{folder}/classes.json", Body=json.dumps(names).encode())
        return f"s3://{BUCKET}/{folder}/model.tar.gz"

    return put_object


def field(app: AppTest, name: str) -> Any:
    """The widget of a field. Raises StopIteration."""
    widgets = (*app.text_input, *app.number_input, *app.selectbox, *app.toggle, *app.text_area, *app.radio)
    return next(widget for widget in widgets if (widget.key or "").rpartition("-")[0] == f"deploy-{name}")


def has_field(app: AppTest, name: str) -> bool:
    widgets = (*app.text_input, *app.number_input, *app.selectbox, *app.toggle, *app.text_area, *app.radio)
    return any((widget.key or "").rpartition("-")[0] == f"deploy-{name}" for widget in widgets)


def choose(app: AppTest, kind: str) -> AppTest:
    """Choose the model source."""
    return next(one for one in app.get("button_group")).set_value(kind).run()


def test_an_artifact_is_looked_into(open_deploy, put):
    """The URI of an artifact is enough: the page shows its contents and suggests a name."""
    app = open_deploy(artifact=put(names=NAMES))
    told = plain_texts(app)
    assert "psp · resnet-101" in told
    assert "3 classes" in told
    assert "crop size 480" in told
    assert "road · tree · sky" in told
    assert field(app, "name").value.endswith("-roads")
    assert not app.error


def test_nothing_is_asked_before_a_model_is_chosen(open_deploy):
    """Without a model, the page asks for one, and for nothing else."""
    app = open_deploy()
    assert "Choose a model first" in texts(app)
    assert not has_field(app, "name")


def test_on_aws_the_role_is_asked_for(open_deploy, put):
    """Without a role, which an artifact does not contain, the plan cannot be reviewed; with one, it can."""
    app = open_deploy(artifact=put(names=NAMES))
    assert "The role is ''" in plain_texts(app)
    assert button(app, "Review plan").disabled
    field(app, "role_arn").input(ROLE).run()
    assert "Ready to deploy" in texts(app)
    assert not button(app, "Review plan").disabled


def test_a_job_brings_all(open_deploy, s3, sagemaker):
    """A job provides its artifact, role, network and name, and the class names stored with its data."""
    s3.put_object(Bucket=BUCKET, Key="data/classes.json", Body=json.dumps(NAMES).encode())
    isolated = SecuritySettings(network_isolation=True)
    name = start_job(sagemaker, f"trained-{next(NUMBERS)}", security=isolated)
    uri = wait_for(sagemaker, name, ended)["ModelArtifacts"]["S3ModelArtifacts"]
    s3.put_object(Bucket=BUCKET, Key=uri.removeprefix(f"s3://{BUCKET}/"), Body=ARTIFACT)
    app = button(open_deploy(job=name), "Review plan").click().run()
    told = plain_texts(app)
    assert f"The model has the network isolation of the training job {name}." in told
    assert '"EnableNetworkIsolation": true' in told
    assert field(app, "name").value == name
    assert field(app, "role_arn").value == "arn:aws:iam::123456789012:role/Trainer"
    assert f"Write the class names to {uri.replace('model.tar.gz', 'classes.json')}." in told
    assert f"Create the endpoint {name}." in told
    s3.delete_object(Bucket=BUCKET, Key="data/classes.json")


def test_the_review_starts_nothing(open_deploy, put, faults):
    """The review shows the plan with its price per hour, month and year, and creates nothing."""
    faults.add("delay", seconds=0, operation="CreateModel")
    app = open_deploy(artifact=put(names=NAMES))
    field(app, "role_arn").input(ROLE).run()
    app = button(app, "Review plan").click().run()
    told = plain_texts(app)
    assert "Create the model" in told
    assert "ml.c5.xlarge" in told
    assert "Price per hour: $0.20" in told
    assert "Price per month: $148.92" in told
    assert faults.hits == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (archive({"model_best.params": aws_files()["model_best.params"]}), "lacks hyperparams.json"),
        (archive(aws_files(), special("../../escaped")), "leads out"),
        (b"not an archive at all", "gzip"),
    ],
    ids=["missing file", "traversal", "no archive"],
)
def test_a_bad_artifact_is_refused(open_deploy, put, body, reason):
    """A model that cannot be served is refused with the reason, before the form is shown."""
    app = open_deploy(artifact=put(body))
    assert "This model cannot be deployed" in app.error[0].value
    assert reason in app.error[0].value.replace("\\", "")
    assert not has_field(app, "name")


def test_an_artifact_that_is_not_there(open_deploy, s3):
    """A URI without an object is reported as such, and the choice stays."""
    app = open_deploy(artifact=f"s3://{BUCKET}/none/model.tar.gz")
    assert "none/model" in app.error[0].value.replace("\\", "")
    assert has_field(app, "artifact")


def test_an_artifact_is_read_once(open_deploy, put, faults):
    """However often the form changes, an artifact is read once, also one that is invalid."""
    for body in (ARTIFACT, b"broken"):
        uri = put(body, NAMES)
        faults.clear()
        faults.add("delay", seconds=0, service="s3", operation="GET .*model.tar.gz")
        open_deploy(artifact=uri).run().run()
        assert len(faults.hits) == 1


def test_a_name_that_is_taken(open_deploy, put, here):
    """The name of an existing endpoint is not suggested; typed, it is an error that says what to do."""
    uri = put(names=NAMES)
    title = uri.split("/")[-2]
    put_endpoint(here, title)
    app = open_deploy(artifact=uri)
    assert field(app, "name").value == f"{title}-2"
    field(app, "name").input(title).run()
    assert f"An endpoint named {title} already exists" in plain_texts(app)
    field(app, "name").input("under_score").run()
    assert "use 1 to 63 letters, digits and hyphens" in plain_texts(app)
    assert button(app, "Review plan").disabled


def test_the_instance_tells_its_price_and_its_kind(open_deploy, put):
    """Only supported instance families are offered, with price, CPU or GPU, and a description."""
    app = open_deploy(artifact=put(names=NAMES))
    options = field(app, "instance_type").options
    assert {name.split(".")[1] for name in options} == {"c5", "m5", "g4dn", "p3"}
    assert any(one.startswith("ml.g4dn.xlarge · GPU · $0.74 per hour") for one in options)
    assert "CPU: cheap" in plain_texts(app)
    field(app, "instance_type").set_value("ml.g4dn.xlarge").run()
    assert "GPU: " in plain_texts(app)
    field(app, "count").set_value(2).run()
    assert "Cost per month: $1,075.14" in plain_texts(app)


def test_names_are_typed(open_deploy, put):
    """Missing class names can be typed, with or without a color; a number other than the model's is a warning."""
    app = open_deploy(artifact=put())
    assert "classes are shown as numbers" in plain_texts(app)
    field(app, "role_arn").input(ROLE).run()
    field(app, "names").input("road #808080\ntree").run()
    assert "2 class names given, but the model has 3 classes." in plain_texts(app)
    field(app, "names").input("road #808080\ntree\nsky\n").run()
    app = button(app, "Review plan").click().run()
    assert "Write the class names to" in plain_texts(app)
    assert "#808080" in plain_texts(app)


def test_other_names_overwrite_none(open_deploy, put):
    """Class names typed instead of those next to the artifact are written to a separate file."""
    app = open_deploy(artifact=put(names=NAMES))
    field(app, "role_arn").input(ROLE).run()
    field(app, "own_names").set_value(True).run()
    field(app, "names").input("Strasse\nBaum\nHimmel").run()
    told = plain_texts(button(app, "Review plan").click().run())
    assert "/classes.json." not in told
    assert "/classes-" in told


def test_a_classes_file_fills_the_names(open_deploy, put):
    """An uploaded classes.json fills the field with lines, which can be edited."""
    app = open_deploy(artifact=put())
    app.file_uploader[0].set_value(("classes.json", json.dumps(NAMES).encode(), "application/json")).run()
    assert field(app, "names").value.splitlines()[0] == "road #808080"
    assert "shown as numbers" not in plain_texts(app)


def test_a_file_goes_to_s3_first(open_deploy):
    """A local file is inspected, uploaded to S3 under its hash, and then deployed."""
    app = choose(open_deploy(), "file")
    app.file_uploader[0].set_value(("roads.tar.gz", ARTIFACT, "application/gzip")).run()
    assert "psp · resnet-101" not in plain_texts(app)
    field(app, "folder").input("s3://my-models/vision").run()
    assert "psp · resnet-101" in plain_texts(app)
    assert field(app, "name").value == "roads"
    field(app, "role_arn").input(ROLE).run()
    told = plain_texts(button(app, "Review plan").click().run())
    assert "Upload " in told
    assert "to s3://my-models/vision/" in told


def test_a_file_that_cannot_be_served(open_deploy):
    """A broken file is refused before it is uploaded, by its original name."""
    app = choose(open_deploy(), "file")
    app.file_uploader[0].set_value(("holiday.tar.gz", b"no archive", "application/gzip")).run()
    field(app, "folder").input("s3://my-models/").run()
    assert "holiday.tar.gz" in app.error[0].value.replace("\\", "")
    button(app, "Replace").click().run()
    assert app.file_uploader


def test_files_that_were_left_are_swept(open_deploy, tmp_path):
    """An uploaded file is kept in the state folder; files that a stopped dashboard left a day ago are removed."""
    left = tmp_path / "uploads" / "left"
    left.mkdir(parents=True)
    (left / "model.tar.gz").write_bytes(b"old")
    os.utime(left, (0, 0))
    app = choose(open_deploy(), "file")
    app.file_uploader[0].set_value(("roads.tar.gz", ARTIFACT, "application/gzip")).run()
    assert not left.exists()
    (kept,) = tmp_path.glob("uploads/*/roads.tar.gz")
    assert kept.read_bytes() == ARTIFACT
    assert [stat.S_IMODE(path.stat().st_mode) for path in (kept.parent, kept)] == [0o700, 0o600]


def test_a_registered_model(open_deploy, sagemaker, put):
    """A SageMaker model is used as it is: its artifact is inspected, and no second model is created."""
    name = f"registered-{next(NUMBERS)}"
    container = {"Image": IMAGE, "ModelDataUrl": put(names=NAMES)}
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    app = open_deploy(model=name)
    assert "psp · resnet-101" in plain_texts(app)
    told = plain_texts(button(app, "Review plan").click().run())
    assert "Create the model" not in told
    assert f"Create the endpoint {name}." in told


def test_a_sandbox_model_on_aws(open_deploy, s3):
    """The sandbox's own small network is refused on AWS, with the reason."""
    light = Path(__file__).parents[2] / "sandbox" / "demo" / "aerial" / "model.tar.gz"
    s3.put_object(Bucket=BUCKET, Key="light/model.tar.gz", Body=light.read_bytes())
    uri = f"s3://{BUCKET}/light/model.tar.gz"
    assert "cannot be deployed on AWS" in open_deploy(artifact=uri).error[0].value
    app = open_deploy("sandbox", artifact=uri)
    assert not app.error
    assert "nothing is billed" in texts(app)
    assert "Ready to deploy" in texts(app)


def test_what_may_not_be_read_can_be_deployed(open_deploy, put, faults):
    """If the user cannot read the artifact but the role can, the page says that it was not inspected."""
    uri = put()
    faults.add("error", service="s3", operation="GET .*model.tar.gz", code="AccessDenied", status=403)
    app = open_deploy(artifact=uri)
    field(app, "role_arn").input(ROLE).run()
    assert "The artifact was not inspected" in plain_texts(app)
    assert not button(app, "Review plan").disabled


def test_an_update_keeps_name_and_machine(open_deploy, here, put):
    """For an existing endpoint, the form holds its instance type, compares it, and does not ask for a name."""
    name = put_endpoint(here, f"serving-{next(NUMBERS)}", count=2)
    app = open_deploy(endpoint=name, artifact=put(names=NAMES))
    assert app.title[0].value.replace("\\", "") == f"Update {name}"
    assert not has_field(app, "name")
    assert field(app, "instance_type").value == "ml.g4dn.xlarge"
    assert field(app, "count").value == 2
    assert "Instances: 2 x ml.g4dn.xlarge (unchanged)" in plain_texts(app)
    field(app, "role_arn").input(ROLE).run()
    told = plain_texts(button(app, "Review plan").click().run())
    assert f"Update the endpoint {name} to the new configuration" in told


def test_an_endpoint_on_any_instance_type_can_be_updated(open_deploy, here, put):
    """An endpoint on an undocumented instance type is updated without a warning; a new variant on it has one."""
    name = put_endpoint(here, f"serving-{next(NUMBERS)}", instance="ml.g5.xlarge")
    app = open_deploy(endpoint=name, artifact=put(names=NAMES))
    field(app, "role_arn").input(ROLE).run()
    assert field(app, "instance_type").value == "ml.g5.xlarge"
    assert "documentation" not in plain_texts(app)
    plan = plain_texts(button(app, "Review plan").click().run())
    assert "AllTraffic on 1 × ml.g5.xlarge" in plan
    assert '"RetainDeploymentConfig": true' in plan
    field(app, "variant").set_value("").run()
    text = "does not name ml.g5.xlarge for hosting"
    assert text in plain_texts(app)
    assert plain_texts(button(app, "Review plan").click().run()).count(text) == 2


def test_an_update_that_changes_nothing(open_deploy, here, put, sagemaker):
    """Deploying the current model on the same instances is reported as no change, next to the button."""
    name = put_endpoint(here, f"serving-{next(NUMBERS)}")
    s3 = here.loopback.client("s3")
    s3.create_bucket(Bucket="models")
    s3.put_object(Bucket="models", Key=f"{name}/output/model.tar.gz", Body=ARTIFACT)
    app = button(open_deploy(endpoint=name, model=name), "Review plan").click().run()
    assert "would not change" in app.error[0].value
    assert has_field(app, "instance_type")


def test_a_variant_more(open_deploy, here, put):
    """A model can be added to an endpoint as a variant with its own name and weight."""
    name = put_endpoint(here, f"serving-{next(NUMBERS)}")
    app = open_deploy(endpoint=name, artifact=put(names=NAMES))
    field(app, "role_arn").input(ROLE).run()
    field(app, "variant").set_value("").run()
    assert field(app, "own_variant").value == "challenger"
    field(app, "weight").set_value(0.5).run()
    told = plain_texts(button(app, "Review plan").click().run())
    assert "challenger on 1 × ml.g4dn.xlarge, weight 0.5" in told
    assert "AllTraffic on 1 × ml.g4dn.xlarge, weight 1" in told


def test_an_endpoint_at_work_takes_no_update(open_deploy, here):
    """While AWS changes an endpoint, the form is not offered."""
    name = put_endpoint(here, f"moving-{next(NUMBERS)}", status="Updating")
    app = open_deploy(endpoint=name)
    assert "AWS is changing this endpoint" in app.info[0].value
    assert not app.get("button_group")


@pytest.mark.parametrize(
    ("query", "told"), [("job", "no-such-job"), ("model", "no-such-model"), ("endpoint", "gone")]
)
def test_a_link_to_nothing(open_deploy, query, told):
    """A link to a job, model or endpoint that does not exist says so, and names it."""
    app = open_deploy(**{query: told})
    assert told in app.error[0].value.replace("\\", "")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", None),
        ("  \n\n", None),
        ("road\n\n tree ", ("road", "tree")),
        ("road #aabbcc", ("road",)),
        ("#aabbcc", ("#aabbcc",)),
        ("bus lane 2", ("bus lane 2",)),
    ],
)
def test_names_as_typed(text, names):
    """Each line is a name; a color after it is not part of it; empty lines are ignored."""
    found = to_classes(text)
    assert (found.names if found else None) == names


def test_too_many_names():
    """More names than the algorithm supports are an error with the number."""
    with pytest.raises(InputError, match="300"):
        to_classes("\n".join(f"class {number}" for number in range(300)))


def test_an_endpoint_that_takes_no_update(open_deploy, here):
    """For a failed endpoint, the page does not ask for a model, and says what to do instead."""
    put_endpoint(here, "lost-for-good", status="Failed")
    app = open_deploy(endpoint="lost-for-good")
    assert "cannot be updated: it is in a failed state" in plain_texts(app)
    assert "Delete it, then deploy it again." in plain_texts(app)
    assert not app.get("button_group")


def test_an_endpoint_that_goes_while_its_update_is_chosen(open_deploy, here):
    """Once the endpoint is deleted elsewhere, the page says that it no longer exists, and plans nothing for it."""
    put_endpoint(here, "short-lived")
    app = open_deploy(endpoint="short-lived")
    sagemaker = here.loopback.client("sagemaker")
    sagemaker.delete_endpoint(EndpointName="short-lived")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="short-lived", WaiterConfig={"Delay": 0.1})
    cached.shelf().expire()
    app.run()
    assert "it does not exist" in app.error[0].value
    assert not app.get("button_group")
