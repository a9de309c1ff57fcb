"""The launch form: built from the hyperparameter table, checked against the data, prefilled from another job."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.training.channels import Channel, data_channels, manifest_channel, manifest_channels
from core.training.defaults import SANDBOX_DATA, default_spec
from core.training.hyperparameters import HYPERPARAMETERS, Problem, applies
from core.training.job import clone_spec, from_description, to_request
from core.training.preflight import check_spec
from core.training.security import SecuritySettings
from pages.parts.launch.check import Fix, fix_for
from pages.parts.launch.fields import (
    CONTENT,
    EXTRA,
    LABEL,
    MANIFEST_FIELDS,
    MANIFESTS,
    REQUIRED_SETTINGS,
    SHUFFLE,
    TAGS,
    VALUE_FIELDS,
    repeated_tags,
    to_fields,
    to_spec,
    to_tags,
    unreadable,
)
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
from tests.support.full_job import JOBS

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
def demo_data(sandbox_server: Sandbox, make_client: Callable[..., Any]) -> None:
    """Put the object keys of the sandbox's demo dataset into S3: 20 training and 16 validation images."""
    s3 = make_client(sandbox_server, "s3")
    if "segdeck-sandbox" in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        return
    s3.create_bucket(Bucket="segdeck-sandbox")
    for folder, count in (("train", 20), ("validation", 16)):
        for number in range(count):
            key = f"datasets/aerial/{folder}{{}}/{number}"
            s3.put_object(Bucket="segdeck-sandbox", Key=f"{key.format('')}.jpg", Body=b"image")
            s3.put_object(Bucket="segdeck-sandbox", Key=f"{key.format('_annotation')}.png", Body=b"mask")


def finished(sagemaker: Any, **values: str) -> str:
    """Return the name of a job that has ended."""
    name = start_job(sagemaker, f"origin-{next(NUMBERS)}", values)
    wait_for(sagemaker, name, ended)
    return name


def field(app: AppTest, name: str) -> Any:
    """Return the widget of a form field. Raises StopIteration."""
    widgets = (*app.text_input, *app.number_input, *app.selectbox, *app.toggle)
    return next(widget for widget in widgets if (widget.key or "").rpartition("-")[0] == f"launch-{name}")


def has_field(app: AppTest, name: str) -> bool:
    widgets = (*app.text_input, *app.number_input, *app.selectbox, *app.toggle)
    return any((widget.key or "").rpartition("-")[0] == f"launch-{name}" for widget in widgets)


def tags_of(app: AppTest) -> Any:
    """Return the text area with the tags."""
    return next(area for area in app.text_area if (area.key or "").startswith(f"launch-{TAGS}"))


def test_the_form_is_ready_in_the_sandbox(open_form, demo_data):
    """In the sandbox the form is ready to launch as it opens, with its images counted."""
    app = open_form("sandbox")
    assert field(app, "value-num_training_samples").value == 20
    assert field(app, "value-algorithm").value == "light"
    assert "Ready to launch" in texts(app)
    assert not button(app, "Review and launch").disabled


def test_review_shows_a_plan_and_launches_nothing(open_form, demo_data, faults):
    """The review button shows the plan with its price, and creates no job."""
    faults.add("delay", seconds=0, operation="CreateTrainingJob")
    app = button(open_form("sandbox"), "Review and launch").click().run()
    shown = plain_texts(app)
    assert f"Start the training job {field(app, 'name').value} on ml.g4dn.xlarge." in shown
    assert "AWS price at the maximum run time: $0.74" in shown
    assert faults.hits == []


def test_on_aws_nothing_is_guessed(open_form):
    """On AWS the form has no default data, output or role and no `light`, and cannot be launched as it opens."""
    app = open_form()
    assert field(app, "role_arn").value == ""
    assert "light" not in field(app, "value-algorithm").options
    assert "No data channels are set." in plain_texts(app)
    assert button(app, "Review and launch").disabled


def test_every_used_hyperparameter_has_a_field(open_form, demo_data):
    """Each hyperparameter that the algorithm uses has a field with its help and range; the others have none."""
    app = open_form("sandbox")
    values = default_spec(IMAGE, sandbox=True).hyperparameters
    for row in HYPERPARAMETERS:
        assert has_field(app, f"value-{row.name}") == applies(row, values), row.name
    help_text = field(app, "value-crop_size").help.replace("\\", "")
    assert "rounded up to a multiple of 8" in help_text
    assert "A whole number above 16." in help_text


def test_a_choice_shows_the_fields_that_it_uses(open_form, demo_data):
    """The step schedule shows its fields, an error until its epochs are set, and a button that sets them."""
    app = open_form("sandbox")
    field(app, "value-lr_scheduler").select("step").run()
    assert "lr_scheduler_step is not set" in plain_texts(app)
    button(app, "Set to 7, 10").click().run()
    assert field(app, "value-lr_scheduler_step").value == "7, 10"
    assert "Ready to launch" in texts(app)
    field(app, "value-lr_scheduler").select("poly").run()
    assert not has_field(app, "value-lr_scheduler_step")
    assert "Ready to launch" in texts(app)


def test_demo_images_still_being_generated(open_form, demo_data):
    """While a new sandbox generates its demo images, the form says so, without an error, and cannot be launched."""
    app = open_form("sandbox")
    field(app, "base_uri").set_value(f"{SANDBOX_DATA}to-come/").run()
    shown = plain_texts(app)
    assert "Preparing the demo data. A new sandbox generates these demo images first" in shown.replace(
        "**", ""
    )
    assert ":red" not in shown
    assert "Ready to launch" not in shown
    assert button(app, "Review and launch").disabled


def test_wrong_number_of_images(open_form, demo_data):
    """A number of images that differs from the number of files blocks the launch, and one click fixes it."""
    app = open_form("sandbox")
    field(app, "value-num_training_samples").set_value(33).run()
    assert "num_training_samples is 33, but the channel train has 20" in plain_texts(app)
    assert button(app, "Review and launch").disabled
    button(app, "Set to 20").click().run()
    assert field(app, "value-num_training_samples").value == 20
    assert not button(app, "Review and launch").disabled


def test_a_fixed_field_stays_fixed(open_form, demo_data):
    """A value that the browser still sends from before the page changed the field does not undo the change."""
    app = open_form("sandbox")
    field(app, "value-num_training_samples").set_value(33).run()
    key = field(app, "value-num_training_samples").key
    button(app, "Set to 20").click().run()
    app.session_state[key] = 33
    app.run()
    assert field(app, "value-num_training_samples").value == 20
    assert "Ready to launch" in texts(app)


def test_other_data(open_form, demo_data, sagemaker):
    """Another S3 prefix is checked as soon as it is entered: its files are counted, and missing ones are reported."""
    app = open_form("sandbox")
    field(app, "base_uri").set_value("s3://dashboard/data").run()
    assert "train **4**" in texts(app).replace("\\", "")
    assert field(app, "value-num_training_samples").value == 4
    field(app, "base_uri").set_value("s3://dashboard/nothing/").run()
    assert "There are no objects under s3://dashboard/nothing/train/" in plain_texts(app)
    field(app, "base_uri").set_value("s3://no-such-bucket/x/").run()
    shown = plain_texts(app)
    assert "There are no objects under s3://no-such-bucket/x/train/" in shown
    assert "Could not find the bucket no-such-bucket." in shown
    assert button(app, "Review and launch").disabled


def test_a_channel_is_listed_once(open_form, demo_data, faults):
    """However often the form changes, channels, class names and output are read once within half a minute."""
    faults.add("delay", seconds=0, service="s3")
    app = open_form("sandbox")
    for epochs in (3, 5, 8):
        field(app, "value-epochs").set_value(epochs).run()
    operations = [operation for _, operation in faults.hits]
    classes = "GET /segdeck-sandbox/datasets/aerial/classes.json"
    assert sorted(operations) == [*["GET /segdeck-sandbox"] * 5, classes]


def test_the_number_of_classes_comes_from_the_dataset(open_form, demo_data, sandbox_server):
    """num_classes is filled in from the classes.json next to the channels; another number is an error with a fix."""
    s3 = sandbox_server.loopback.client("s3")
    names = {"classes": [{"name": f"class {number}"} for number in range(11)]}
    s3.put_object(Bucket="dashboard", Key="named/classes.json", Body=json.dumps(names).encode())
    for folder, kind in (("train", "jpg"), ("validation", "jpg")):
        s3.put_object(Bucket="dashboard", Key=f"named/{folder}/a.{kind}", Body=b"image")
        s3.put_object(Bucket="dashboard", Key=f"named/{folder}_annotation/a.png", Body=b"mask")
    app = open_form("sandbox")
    field(app, "value-num_classes").set_value(None).run()
    field(app, "base_uri").set_value("s3://dashboard/named/").run()
    assert field(app, "value-num_classes").value == 11
    field(app, "value-num_classes").set_value(5).run()
    assert "num_classes is 5, but the dataset has 11 classes." in plain_texts(app)
    assert button(app, "Review and launch").disabled
    button(app, "Set to 11").click().run()
    assert field(app, "value-num_classes").value == 11


def test_price_follows_the_instance(open_form, demo_data):
    """Price and maximum cost follow the selected instance, and each instance is listed with its price."""
    app = open_form("sandbox")
    instances = field(app, "instance_type")
    assert "ml.p3.2xlarge · AWS price $3.83 per hour" in instances.options
    assert not any("ml.c5" in option for option in instances.options)
    instances.select("ml.p3.2xlarge").run()
    field(app, "max_minutes").set_value(120.0).run()
    shown = plain_texts(app)
    assert "AWS price per hour: $3.83" in shown
    assert "Max AWS price (2 h 00 min): $7.65" in shown


def test_spot(open_form, demo_data):
    """Spot has its own fields; a wait limit below the run time is reported, and one click fixes it."""
    app = open_form("sandbox")
    field(app, "spot").set_value(True).run()
    field(app, "wait_minutes").set_value(5.0).run()
    assert "The maximum wait of 300 s is less" in plain_texts(app)
    button(app, "Set to max run time").click().run()
    assert field(app, "wait_minutes").value == 60.0


def test_clone_of_a_failed_job(open_form, sagemaker):
    """A clone copies the job under a new name; a hyperparameter that the algorithm does not have can be removed."""
    name = finished(sagemaker, mini_batch_siz="4", fail="no", epochs="9")
    app = open_form(clone=name)
    assert field(app, "name").value.startswith(f"{name}-")
    assert field(app, "value-epochs").value == 9
    assert field(app, "base_uri").value == "s3://dashboard/data/"
    assert "'mini_batch_siz' is not a hyperparameter" in plain_texts(app)
    button(app, "Remove mini").click().run()
    assert "mini_batch_siz" not in plain_texts(app)


def test_continuing_from_a_model(open_form, sagemaker):
    """A job that continues from a model keeps the network: those fields are locked, and the model is a channel."""
    name = start_job(sagemaker, f"origin-{next(NUMBERS)}")
    wait_for(sagemaker, name, ended)
    app = open_form(**{"continue": name})
    assert field(app, "value-crop_size").disabled
    assert not field(app, "value-epochs").disabled
    assert f"/{name}/output/model.tar.gz" in texts(app)
    assert "Ready to launch" in texts(app)
    button(app, "Review and launch").click().run()
    assert '"ChannelName": "model"' in texts(app)


def test_a_clone_keeps_its_tags(open_form, sagemaker, faults):
    """A clone copies the tags of the job; where they cannot be read, the form says that they were not copied."""
    name = start_job(sagemaker, f"origin-{next(NUMBERS)}", tags={"team": "maps"})
    wait_for(sagemaker, name, ended)
    app = open_form(clone=name)
    button(app, "Review and launch").click().run()
    assert '"Value": "maps"' in texts(app)
    faults.add("error", operation="ListTags", code="AccessDeniedException", message="no", status=400)
    assert "Its tags were not copied." in plain_texts(open_form(clone=name))


def test_a_clone_is_not_weaker_unless_edited(open_form, sagemaker):
    """A clone copies network, keys and settings without a field; turning one off is a warning in form and plan."""
    security = SecuritySettings((), (), "alias/out", "", True, True)
    carried = {"Environment": {"APP_MODE": "quick"}}
    name = start_job(sagemaker, f"origin-{next(NUMBERS)}", security=security, carried=carried)
    wait_for(sagemaker, name, ended)
    app = open_form(clone=name)
    assert field(app, "output_kms_key").value == "alias/out"
    assert f"Also copied from {name}, see the API request: " in plain_texts(app)
    assert "Environment" in plain_texts(app)
    assert "Weaker than" not in plain_texts(app)
    field(app, "network_isolation").set_value(False).run()
    text = f"Weaker than {name}: network isolation is turned off"
    assert text in plain_texts(app)
    app = button(app, "Review and launch").click().run()
    assert plain_texts(app).count(text) == 2
    assert all(part in texts(app) for part in ('"KmsKeyId": "alias/out"', '"APP_MODE": "quick"'))


def test_security_fields_are_sent(open_form, demo_data):
    """Subnets, security groups, keys, flags and tags of the form are in the request."""
    app = open_form("sandbox")
    field(app, "subnets").set_value("subnet-1, subnet-2")
    field(app, "network_isolation").set_value(True)
    tags_of(app).set_value("team=maps\nteam=roads").run()
    assert "Subnets are set without a security group" in plain_texts(app)
    assert "The tag team is set more than once" in plain_texts(app)
    tags_of(app).set_value("team=maps")
    field(app, "security_groups").set_value("sg-1").run()
    app = button(app, "Review and launch").click().run()
    shown = texts(app)
    assert all(text in shown for text in ('"subnet-2"', '"sg-1"', '"EnableNetworkIsolation": true', '"maps"'))


def test_clone_of_a_missing_job(open_form):
    """A job to clone that does not exist is reported by name."""
    app = open_form(clone="never-there")
    assert "never-there" in plain_texts(app)
    assert "it does not exist" in app.error[0].value


def test_what_was_typed_stays(open_form, demo_data):
    """What the user entered is kept while another page is open."""
    app = open_form("sandbox")
    field(app, "value-epochs").set_value(21).run()
    app.switch_page("../training_jobs.py").run()
    app.switch_page("../launch_training.py").run()
    assert field(app, "value-epochs").value == 21


SPECS = {
    "first": default_spec(IMAGE, sandbox=True),
    "spot": replace(
        SPEC,
        name="a",
        spot=True,
        max_wait_seconds=900,
        checkpoint_uri="s3://dashboard/keep/",
        tags={"team": "maps"},
    ),
    "separate channels": replace(
        SPEC, name="b", channels=(Channel("train", "s3://x/elsewhere/", "image/jpeg"), *SPEC.channels[1:])
    ),
    "continued": replace(SPEC, channels=(*SPEC.channels, Channel("model", "s3://x/m.tar.gz"))),
    "secured": replace(
        SPEC, security=SecuritySettings(("subnet-1", "subnet-2"), ("sg-1",), "out", "volume", True, True)
    ),
    "unknown": replace(SPEC, hyperparameters={**SPEC.hyperparameters, "odd": "1"}),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_form_and_back(spec):
    """A spec survives the round trip through the form's fields, its hyperparameters with their defaults."""
    back = to_spec(to_fields(spec), spec)
    assert replace(back, hyperparameters={}) == replace(spec, hyperparameters={})
    assert {**back.hyperparameters, **spec.hyperparameters} == back.hyperparameters


@pytest.mark.parametrize("job", JOBS)
def test_the_form_keeps_every_setting_of_a_job(job):
    """The request of a copied job is the same after the round trip, also for settings without a field."""
    spec = clone_spec(replace(from_description(JOBS[job]()), tags={"cost=center": "a=b", "team": ""}), "copy")
    before, after = to_request(spec), to_request(to_spec(to_fields(spec), spec))
    used = {name: before["HyperParameters"][name] for name in after["HyperParameters"]}
    assert {**before, "HyperParameters": used} == after


def test_another_prefix_keeps_the_settings_of_the_channels():
    """Where all channels get one prefix, they keep their settings, but not those of a manifest or file system."""
    spec = clone_spec(from_description(JOBS["image"]()), "copy")
    fields = {**to_fields(spec), "separate": False, "base_uri": "s3://other/data"}
    before, after = spec.channel("train"), to_spec(fields, spec).channel("train")
    assert after == replace(before, uri="s3://other/data/train/")
    manifest = replace(
        spec, channels=(replace(before, data_type="AugmentedManifestFile"), *spec.channels[1:])
    )
    train = to_spec(fields, manifest).channel("train")
    assert (train.data_type, "DataSource" in train.carried, "ShuffleConfig" in train.carried) == (
        "S3Prefix", False, True,
    )  # fmt: skip
    assert to_spec(fields, spec).channel("validation").data_type == "S3Prefix"


def test_tags_from_text():
    """Each line is a tag; lines of copied tags are recognized, also with "=" in the key; repeated keys are listed."""
    before = {"a=b": "c", "team": "maps"}
    assert to_tags(" a=b=c \n\nteam = roads\nsole", before) == {"a=b": "c", "team": "roads", "sole": ""}
    assert repeated_tags("team=maps\nteam=roads\nx=1", before) == ["team"]


def test_unused_values_are_not_sent():
    """A hyperparameter that the algorithm would not use is not sent, even where its field has a value."""
    fields = to_fields(replace(SPEC, hyperparameters={"optimizer": "adam"}))
    assert fields[VALUE_FIELDS["momentum"]] == 0.9
    assert "momentum" not in to_spec(fields, SPEC).hyperparameters


def test_unreadable_numbers():
    """A text that is not a number is reported, and its field is empty."""
    assert unreadable({"epochs": "ten", "learning_rate": "nan", "crop_size": "240"}) == {
        "epochs": "ten",
        "learning_rate": "nan",
    }
    assert to_fields(replace(SPEC, hyperparameters={"epochs": "ten"}))[VALUE_FIELDS["epochs"]] is None


TYPES = {channel.name: channel.content_type for channel in SPEC.channels}


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (Problem("num_training_samples", ""), Fix("Set to 4", "value-num_training_samples", 4)),
        (Problem("validation_mini_batch_size", ""), Fix("Set to 1", "value-validation_mini_batch_size", 1)),
        (Problem("instance_type", ""), Fix("Use ml.g4dn.xlarge", "instance_type", "ml.g4dn.xlarge")),
        (Problem("role_arn", ""), None),
        (Problem("odd", ""), Fix("Remove odd", EXTRA, {"other": "2"})),
        (Problem("backbone", ""), Fix("Set to resnet-101", "value-backbone", "resnet-101")),
        (
            Problem("train", "The content type is 'image/gif'. Set it to image/jpeg."),
            Fix("Set to image/jpeg", CONTENT, {**TYPES, "train": "image/jpeg"}),
        ),
        (Problem("volume_kms_key", ""), Fix("Remove the volume KMS key", "volume_kms_key", "")),
        (Problem("train", "There are no objects under s3://x/."), None),
    ],
)
def test_fixes(problem, expected):
    """A problem that one click can fix has a fix with its label; any other problem has none."""
    values = {**SPEC.hyperparameters, "odd": "1", "other": "2"}
    channels = (replace(SPEC.channels[0], content_type="image/gif"), *SPEC.channels[1:])
    spec = replace(SPEC, hyperparameters=values, channels=channels)
    assert fix_for(problem, spec, {"train": 4, "validation": 1}, {"backbone": "resnet-101"}) == expected


def test_every_fix_works():
    """Applying a fix to the form removes its problem."""
    broken = replace(
        default_spec(IMAGE, sandbox=False, role=ROLE, output="s3://dashboard/out/"),
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
        fixes = [
            fix for problem in problems if (fix := fix_for(problem, to_spec(fields, broken), {"train": 40}))
        ]
        if not fixes:
            break
        seen.add(fixes[0].field)
        fields[fixes[0].field] = fixes[0].value
    assert seen >= {"instance_type", "wait_minutes", EXTRA, "value-lr_scheduler_step", "value-crop_size"}
    assert [problem for problem in check_spec(to_spec(fields, broken)) if problem.is_error] == []


BY_MANIFEST = replace(
    SPEC,
    channels=manifest_channels(
        "s3://labels/train.manifest", "s3://labels/val.manifest", "city-ref", shuffle=True
    ),
    input_mode="Pipe",
)


def test_manifests_fill_the_form_and_come_back_unchanged():
    """A job on augmented manifests is the same after the form, with every setting of its channels."""
    odd = replace(
        BY_MANIFEST.channels[1], carried={**BY_MANIFEST.channels[1].carried, "CompressionType": "Gzip"}
    )
    other = manifest_channel("validation", "s3://labels/val.manifest", "town-ref", shuffle=True)
    train = BY_MANIFEST.channels[0]
    for channels in (BY_MANIFEST.channels, (train, odd), (train, other)):
        spec = replace(BY_MANIFEST, channels=channels)
        assert to_spec(to_fields(spec), spec).channels == channels
        assert to_spec(to_fields(spec), spec).input_mode == "Pipe"


def test_a_job_can_change_between_manifests_and_folders():
    """Turning manifests on or off in a copied job gives the channels of the other kind, without old settings."""
    fields = to_fields(SPEC) | {
        MANIFESTS: True,
        MANIFEST_FIELDS["train"]: "s3://labels/train.manifest",
        MANIFEST_FIELDS["validation"]: "s3://labels/val.manifest",
        LABEL: "city-ref",
    }
    assert to_spec(fields, SPEC).channels == BY_MANIFEST.channels
    fields = to_fields(BY_MANIFEST) | {MANIFESTS: False, "base_uri": "s3://labels/data"}
    spec = to_spec(fields, BY_MANIFEST)
    assert spec.input_mode == "File"
    for channel, fresh in zip(spec.channels, data_channels("s3://labels/data"), strict=True):
        assert (channel.uri, channel.content_type, channel.data_type) == (
            fresh.uri,
            fresh.content_type,
            fresh.data_type,
        )
        assert channel.input_mode in ("", "File")
        assert (channel.attributes, channel.record_wrapper) == ((), "")


def test_shuffling_can_be_turned_off():
    """Without shuffling the training channel has no ShuffleConfig, and keeps its other settings."""
    spec = to_spec(to_fields(BY_MANIFEST) | {SHUFFLE: False}, BY_MANIFEST)
    assert not spec.channels[0].shuffled
    assert spec.channels[0].attributes == ("source-ref", "city-ref")


def test_settings_of_a_manifest_can_be_fixed():
    """Every setting that fails a job on manifests has a fix, after which the form has no problem of this kind."""
    broken = (
        Channel("train", "s3://labels/train.manifest", "image/jpeg", "File", "AugmentedManifestFile"),
        manifest_channel("validation", "s3://labels/val.manifest", "town-ref", shuffle=False),
    )
    base = replace(BY_MANIFEST, channels=broken)
    fields, used = to_fields(base), set()
    for _ in range(6):
        spec = to_spec(fields, base)
        problems = [problem for problem in check_spec(spec) if problem.name == "train"]
        fixes = [fix for each in problems if (fix := fix_for(each, spec, {}, labels=("city-ref",)))]
        if not fixes:
            break
        used.add(fixes[0].field)
        fields[fixes[0].field] = fixes[0].value
    assert [problem for problem in check_spec(to_spec(fields, base)) if problem.name == "train"] == []
    assert used == {LABEL, SHUFFLE}
    wrapped = replace(
        BY_MANIFEST.channels[0], carried={**BY_MANIFEST.channels[0].carried, "RecordWrapperType": "None"}
    )
    base = replace(BY_MANIFEST, channels=(wrapped, BY_MANIFEST.channels[1]))
    (problem,) = [each for each in check_spec(base) if each.name == "train"]
    fix = fix_for(problem, base, {}, labels=("city-ref",))
    assert fix.field == REQUIRED_SETTINGS
    repaired = to_spec(to_fields(base) | {REQUIRED_SETTINGS: True}, base)
    assert repaired.channels == BY_MANIFEST.channels


def test_the_form_opens_on_a_manifest(open_form, sandbox_server, make_client):
    """A link to an output manifest fills in the label attribute, the samples and the classes; the rest is missing."""
    s3 = make_client(sandbox_server, "s3")
    bucket = f"labeled-{next(NUMBERS)}"
    s3.create_bucket(Bucket=bucket)
    colors = {"internal-color-map": {"0": {"class-name": "road"}, "3": {"class-name": "tree"}}}
    rows = [
        {
            "source-ref": f"s3://{bucket}/{n}.jpg",
            "city-ref": f"s3://{bucket}/{n}.png",
            "city-ref-metadata": colors,
        }
        for n in range(3)
    ]
    for n in range(3):
        for end in ("jpg", "png"):
            s3.put_object(Bucket=bucket, Key=f"{n}.{end}", Body=b"x")
    s3.put_object(Bucket=bucket, Key="output.manifest", Body="\n".join(map(json.dumps, rows)).encode())
    app = open_form(data=f"s3://{bucket}/output.manifest")
    assert field(app, MANIFEST_FIELDS["train"]).value == f"s3://{bucket}/output.manifest"
    assert field(app, LABEL).value == "city-ref"
    assert field(app, "value-num_training_samples").value == 3
    assert field(app, "value-num_classes").value == 4
    assert "No S3 URI is set for validation." in plain_texts(app)
    assert not has_field(app, "base_uri")
