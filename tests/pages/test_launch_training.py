"""The launch form: made from the table, checked against the data, pre-filled from an older job."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.training.channels import Channel, data_channels
from core.training.defaults import SANDBOX_DATA, first_spec
from core.training.hyperparameters import HYPERPARAMETERS, Problem, applies
from core.training.preflight import check_spec
from pages.parts.launch.check import Fix, fix_for
from pages.parts.launch.fields import EXTRA, VALUE_FIELDS, to_fields, to_spec, unreadable
from sandbox.server import Sandbox
from tests.support.dashboard import (
    IMAGE,
    SPEC,
    button,
    ended,
    open_page,
    plain_texts,
    start_job,
    texts,
    wait_for,
)

NUMBERS = itertools.count(1)
ROLE = "arn:aws:iam::123456789012:role/Trainer"


@pytest.fixture
def open_form(
    sandbox_server: Sandbox, aws_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AppTest]:
    """open_form(mode="aws", **query) -> the form after its first run."""

    def start(mode: str = "aws", **query: str) -> AppTest:
        for name, value in {**aws_environ, "SEGDECK_MODE": mode}.items():
            monkeypatch.setenv(name, value)
        return open_page("launch_training", sandbox_server, mode=mode, **query)

    return start


@pytest.fixture
def demonstration(sandbox_server: Sandbox, make_client: Callable[..., Any]) -> None:
    """The sandbox's own data, as far as the form looks at it: 20 pictures and 8 to validate with."""
    s3 = make_client(sandbox_server, "s3")
    if "segdeck-sandbox" in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        return
    s3.create_bucket(Bucket="segdeck-sandbox")
    for folder, count in (("train", 20), ("validation", 16)):
        for number in range(count):
            key = f"datasets/aerial/{folder}{{}}/{number}"
            s3.put_object(Bucket="segdeck-sandbox", Key=f"{key.format('')}.jpg", Body=b"picture")
            s3.put_object(Bucket="segdeck-sandbox", Key=f"{key.format('_annotation')}.png", Body=b"mask")


def finished(sagemaker: Any, **values: str) -> str:
    name = start_job(sagemaker, f"origin-{next(NUMBERS)}", values)
    wait_for(sagemaker, name, ended)
    return name


def field(app: AppTest, name: str) -> Any:
    """The widget of a field. Raises StopIteration."""
    widgets = (*app.text_input, *app.number_input, *app.selectbox, *app.toggle)
    return next(widget for widget in widgets if (widget.key or "").rpartition("-")[0] == f"launch-{name}")


def has_field(app: AppTest, name: str) -> bool:
    widgets = (*app.text_input, *app.number_input, *app.selectbox, *app.toggle)
    return any((widget.key or "").rpartition("-")[0] == f"launch-{name}" for widget in widgets)


def test_one_click_in_the_sandbox(open_form, demonstration):
    """In the sandbox the form is ready as it opens: its pictures are counted, and nothing stands in the way."""
    app = open_form("sandbox")
    assert field(app, "value-num_training_samples").value == 20
    assert field(app, "value-algorithm").value == "light"
    assert "Nothing stands in its way" in texts(app)
    assert not button(app, "Review and start").disabled


def test_review_shows_a_plan_and_starts_nothing(open_form, demonstration, faults):
    """The way on leads to the plan with its price; no job is created by that click."""
    faults.add("delay", seconds=0, operation="CreateTrainingJob")
    app = button(open_form("sandbox"), "Review and start").click().run()
    told = plain_texts(app)
    assert f"Start the training job {field(app, 'name').value} on ml.g4dn.xlarge." in told
    assert "On AWS, at the maximum run time: $0.74" in told
    assert faults.hits == []


def test_on_aws_nothing_is_guessed(open_form):
    """On AWS the form lacks data, output and role, says so, offers no light network, and cannot go on."""
    app = open_form()
    assert field(app, "role_arn").value == ""
    assert "light" not in field(app, "value-algorithm").options
    assert "No data is given." in plain_texts(app)
    assert button(app, "Review and start").disabled


def test_every_hyperparameter_that_counts_has_a_field(open_form, demonstration):
    """The form is the table: each row that counts has a field with its help and range, each other one has none."""
    app = open_form("sandbox")
    values = first_spec(IMAGE, sandbox=True).hyperparameters
    for row in HYPERPARAMETERS:
        assert has_field(app, f"value-{row.name}") == applies(row, values), row.name
    shown = field(app, "value-crop_size").help.replace("\\", "")
    assert "rounded up to a multiple of 8" in shown
    assert "A whole number above 16." in shown


def test_a_field_comes_with_what_makes_it_count(open_form, demonstration):
    """The step schedule brings its fields, an error until the epochs are given, and a click that gives them."""
    app = open_form("sandbox")
    field(app, "value-lr_scheduler").select("step").run()
    assert "lr_scheduler_step is not set" in plain_texts(app)
    button(app, "Set to 7, 10").click().run()
    assert field(app, "value-lr_scheduler_step").value == "7, 10"
    assert "Nothing stands in its way" in texts(app)
    field(app, "value-lr_scheduler").select("poly").run()
    assert not has_field(app, "value-lr_scheduler_step")
    assert "Nothing stands in its way" in texts(app)


def test_pictures_still_being_drawn(open_form, demonstration):
    """While a new sandbox draws its pictures the form says so, and that it will look again by itself."""
    app = open_form("sandbox")
    field(app, "base_uri").set_value(f"{SANDBOX_DATA}to-come/").run()
    assert "A new sandbox draws these pictures first" in plain_texts(app)
    assert button(app, "Review and start").disabled


def test_wrong_number_of_pictures(open_form, demonstration):
    """A number of pictures that is not that of the files blocks the way, and one click mends it."""
    app = open_form("sandbox")
    field(app, "value-num_training_samples").set_value(33).run()
    assert "num_training_samples is 33, the channel train has 20" in plain_texts(app)
    assert button(app, "Review and start").disabled
    button(app, "Set to 20").click().run()
    assert field(app, "value-num_training_samples").value == 20
    assert not button(app, "Review and start").disabled


def test_a_mended_field_stays_mended(open_form, demonstration):
    """What the browser still sends of a field from before the page changed it does not undo the change."""
    app = open_form("sandbox")
    field(app, "value-num_training_samples").set_value(33).run()
    key = field(app, "value-num_training_samples").key
    button(app, "Set to 20").click().run()
    app.session_state[key] = 33
    app.run()
    assert field(app, "value-num_training_samples").value == 20
    assert "Nothing stands in its way" in texts(app)


def test_data_elsewhere(open_form, demonstration, sagemaker):
    """Other data is looked at as soon as it is named: its files are counted, and what is not there is told."""
    app = open_form("sandbox")
    field(app, "base_uri").set_value("s3://dashboard/data").run()
    assert "train **4**" in texts(app).replace("\\", "")
    assert field(app, "value-num_training_samples").value == 4
    field(app, "base_uri").set_value("s3://dashboard/nothing/").run()
    assert "There is no object under s3://dashboard/nothing/train/" in plain_texts(app)
    field(app, "base_uri").set_value("s3://no-such-bucket/x/").run()
    assert "was not looked into" in plain_texts(app)


def test_a_channel_is_listed_once(open_form, demonstration, faults):
    """However often the form is changed, each channel is listed once within half a minute."""
    faults.add("delay", seconds=0, service="s3")
    app = open_form("sandbox")
    for epochs in (3, 5, 8):
        field(app, "value-epochs").set_value(epochs).run()
    assert len(faults.hits) == 4


def test_price_follows_the_machine(open_form, demonstration):
    """Price and limit follow what is chosen; the machine's price stands beside its name."""
    app = open_form("sandbox")
    machines = field(app, "instance_type")
    assert "ml.p3.2xlarge · $3.83 an hour" in machines.options
    assert not any("ml.c5" in option for option in machines.options)
    machines.select("ml.p3.2xlarge").run()
    field(app, "max_minutes").set_value(120.0).run()
    told = plain_texts(app)
    assert "On AWS, an hour: $3.83" in told
    assert "In 2 h 00 min at most: $7.65" in told


def test_spot(open_form, demonstration):
    """With spot come its own fields; a wait shorter than the run is told, and one click mends it."""
    app = open_form("sandbox")
    field(app, "spot").set_value(True).run()
    field(app, "wait_minutes").set_value(5.0).run()
    assert "The maximum wait of 300 s is less" in plain_texts(app)
    button(app, "Wait as long as it may run").click().run()
    assert field(app, "wait_minutes").value == 60.0


def test_clone_of_a_failed_job(open_form, sagemaker):
    """A clone has everything of the old job and a new name; what the algorithm does not know can be left out."""
    name = finished(sagemaker, mini_batch_siz="4", fail="no", epochs="9")
    app = open_form(clone=name)
    assert field(app, "name").value.startswith(f"{name}-")
    assert field(app, "value-epochs").value == 9
    assert field(app, "base_uri").value == "s3://dashboard/data/"
    assert "'mini_batch_siz' is no hyperparameter" in plain_texts(app)
    button(app, "Leave mini").click().run()
    assert "mini_batch_siz" not in plain_texts(app)


def test_going_on_from_a_model(open_form, sagemaker):
    """A job that goes on from a model keeps the network: those fields are locked, and the model is a channel."""
    name = start_job(sagemaker, f"origin-{next(NUMBERS)}")
    wait_for(sagemaker, name, ended)
    app = open_form(**{"continue": name})
    assert field(app, "value-crop_size").disabled
    assert not field(app, "value-epochs").disabled
    assert f"/{name}/output/model.tar.gz" in texts(app)
    assert "Nothing stands in its way" in texts(app)
    button(app, "Review and start").click().run()
    assert '"ChannelName": "model"' in texts(app)


def test_a_clone_keeps_its_tags(open_form, sagemaker, faults):
    """A clone carries the tags of the old job; where they cannot be read, the form says that it leaves them out."""
    name = start_job(sagemaker, f"origin-{next(NUMBERS)}", tags={"team": "maps"})
    wait_for(sagemaker, name, ended)
    app = open_form(clone=name)
    button(app, "Review and start").click().run()
    assert '"Value": "maps"' in texts(app)
    faults.add("error", operation="ListTags", code="AccessDeniedException", message="no", status=400)
    assert "Its tags are left out." in plain_texts(open_form(clone=name))


def test_no_such_origin(open_form):
    """A job to clone that does not exist is told by its name, with the way back."""
    app = open_form(clone="never-there")
    assert "never-there" in plain_texts(app)
    assert "it does not exist" in app.error[0].value


def test_what_was_typed_stays(open_form, demonstration):
    """What a visitor typed survives a look at another page; another origin fills the form anew."""
    app = open_form("sandbox")
    field(app, "value-epochs").set_value(21).run()
    app.switch_page("../training_jobs.py").run()
    app.switch_page("../launch_training.py").run()
    assert field(app, "value-epochs").value == 21


SPECS = {
    "first": first_spec(IMAGE, sandbox=True),
    "spot": replace(
        SPEC,
        name="a",
        spot=True,
        max_wait_seconds=900,
        checkpoint_uri="s3://dashboard/keep/",
        tags={"team": "maps"},
    ),
    "apart": replace(
        SPEC, name="b", channels=(Channel("train", "s3://x/elsewhere/", "image/jpeg"), *SPEC.channels[1:])
    ),
    "going on": replace(SPEC, channels=(*SPEC.channels, Channel("model", "s3://x/m.tar.gz"))),
    "unknown": replace(SPEC, hyperparameters={**SPEC.hyperparameters, "odd": "1"}),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_form_and_back(spec):
    """A spec comes back from the form's fields as it was, its hyperparameters with their defaults."""
    back = to_spec(to_fields(spec), spec)
    assert replace(back, hyperparameters={}) == replace(spec, hyperparameters={})
    assert {**back.hyperparameters, **spec.hyperparameters} == back.hyperparameters


def test_values_that_do_not_count_are_not_sent():
    """What the algorithm would not look at does not travel, however it stands in a field."""
    fields = to_fields(replace(SPEC, hyperparameters={"optimizer": "adam"}))
    assert fields[VALUE_FIELDS["momentum"]] == 0.9
    assert "momentum" not in to_spec(fields, SPEC).hyperparameters


def test_unreadable_numbers():
    """A number that is none is told, and its field is empty."""
    assert unreadable({"epochs": "ten", "learning_rate": "nan", "crop_size": "240"}) == {
        "epochs": "ten",
        "learning_rate": "nan",
    }
    assert to_fields(replace(SPEC, hyperparameters={"epochs": "ten"}))[VALUE_FIELDS["epochs"]] is None


@pytest.mark.parametrize(
    ("problem", "wanted"),
    [
        (Problem("num_training_samples", ""), Fix("Set to 4", "value-num_training_samples", 4)),
        (Problem("validation_mini_batch_size", ""), Fix("Set to 1", "value-validation_mini_batch_size", 1)),
        (Problem("instance_type", ""), Fix("Take ml.g4dn.xlarge", "instance_type", "ml.g4dn.xlarge")),
        (Problem("role_arn", ""), None),
        (Problem("odd", ""), Fix("Leave odd out", EXTRA, {"other": "2"})),
        (Problem("backbone", ""), Fix("Set to resnet-101", "value-backbone", "resnet-101")),
    ],
)
def test_fixes(problem, wanted):
    """What a click can mend has a fix that says what it does; the rest has none."""
    spec = replace(SPEC, hyperparameters={**SPEC.hyperparameters, "odd": "1", "other": "2"})
    assert fix_for(problem, spec, {"train": 4, "validation": 1}, {"backbone": "resnet-101"}) == wanted


def test_every_fix_mends():
    """Putting a fix into the form takes its problem away."""
    broken = replace(
        first_spec(IMAGE, sandbox=False, role=ROLE, output="s3://dashboard/out/"),
        name="broken",
        instance_type="ml.m5.large",
        channels=data_channels(SANDBOX_DATA),
        spot=True,
        max_wait_seconds=1,
        hyperparameters={"num_classes": "2", "lr_scheduler": "step", "odd": "1", "crop_size": "100"},
    )
    fields, seen = to_fields(broken), set()
    for _ in range(9):
        problems = check_spec(to_spec(fields, broken))
        fixes = [fix for one in problems if (fix := fix_for(one, to_spec(fields, broken), {"train": 40}))]
        if not fixes:
            break
        seen.add(fixes[0].field)
        fields[fixes[0].field] = fixes[0].value
    assert seen >= {"instance_type", "wait_minutes", EXTRA, "value-lr_scheduler_step", "value-crop_size"}
    assert [one for one in check_spec(to_spec(fields, broken)) if one.is_error] == []
