"""The page `setup`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from streamlit.testing.v1 import AppTest

from sandbox.server import Sandbox
from tests.support.access_aws import BUCKET, REGION, ROLE, USER, AccessAws, access_aws, denial
from tests.support.dashboard import button, plain_texts

OpenAccount = Callable[..., AppTest]


@pytest.fixture(scope="module")
def server() -> Iterator[AccessAws]:
    with access_aws() as aws:
        yield aws


@pytest.fixture
def account(server: AccessAws) -> AccessAws:
    """Return an account in which nothing is wrong."""
    for name, value in vars(AccessAws(url=server.url)).items():
        setattr(server, name, value)
    return server


@pytest.fixture
def open_account(account: AccessAws, open_page) -> OpenAccount:
    """open_account(role=..., bucket=...) -> the page for that account after its first run."""
    environ = {"AWS_ENDPOINT_URL": account.url, "AWS_REGION": REGION, "SEGDECK_AWS_SECONDS": "5"}
    return lambda **query: open_page("setup", environ=environ, **query)


def test_all_in_place(open_page, coast, read_texts, aws_environ):
    """Setup shows the mode, the address, the identity and the endpoints in service."""
    told = read_texts(open_page("setup")).replace("\\", "")
    assert "AWS, with the default credential provider chain" in told
    assert aws_environ["AWS_ENDPOINT_URL"] in told
    assert "account 123456789012" in told
    ready = next(line for line in told.splitlines() if line.endswith(" in service"))
    assert coast in ready


def test_wrong_keys(open_page, read_texts, aws_environ):
    """With invalid keys, Setup says so and what to check, and shows the rest."""
    # Another spelling of the address: the clients of the right one are made, and keep the keys they were made with.
    url = aws_environ["AWS_ENDPOINT_URL"].replace("127.0.0.1", "localhost")
    app = open_page("setup", environ={"AWS_ENDPOINT_URL": url, "AWS_SECRET_ACCESS_KEY": "wrong"})
    told = read_texts(app).replace("\\", "")
    assert "rejected the signature" in told
    assert "secret key" in told
    assert "Upload limit" in told
    assert not app.exception


def test_nothing_in_service_leads_to_deploy(open_page, tmp_path, stub_programs):
    """If no endpoint is in service, Setup links to the page that deploys one."""
    with Sandbox(tmp_path, programs=stub_programs) as empty:
        app = open_page("setup", environ=empty.address.environ())
        assert "Deploy a model" in [link.proto.label for link in app.get("page_link")]


def test_every_check_has_a_row(open_account: OpenAccount) -> None:
    """The page shows all checks of the role and bucket that the address names, and the smallest policy."""
    app = open_account(role="Trainer", bucket=BUCKET)
    told = plain_texts(app)
    assert not app.exception
    assert "No problems found" in told
    assert [header.value for header in app.header] == [
        "Account", "Execution role", "Bucket", "Quotas, container image and prices", "Endpoints and limits",
    ]  # fmt: skip
    for text in (
        "can be assumed by sagemaker.amazonaws.com",
        f"s3://{BUCKET} exists in {REGION}",
        "Quota: ml.g4dn.xlarge, training",
        "Allowed by simulation: iam:PassRole",
        '"iam:PassedToService": "sagemaker.amazonaws.com"',
    ):
        assert text in told
    assert not [button for button in app.button if button.label == "Review and create"]


def test_a_problem_is_shown_with_its_fix(open_account: OpenAccount, account: AccessAws) -> None:
    """A problem has a red sign, the missing action, the command that adds it, and its policy."""
    account.denied[USER, "sagemaker:CreateTrainingJob"] = denial()
    account.quotas["ml.g5.xlarge for training job usage"] = ("L-G5", 0)
    app = open_account(role="Trainer", bucket=BUCKET, instance_types="training=ml.g5.xlarge")
    told = plain_texts(app)
    assert "2 problems" in told
    assert "Denied: sagemaker:CreateTrainingJob (start training jobs)." in told
    assert "iam put-user-policy --user-name ada" in told
    assert '"ml.g5.xlarge for training job usage" is 0' in told
    links = [element.proto.url for element in app.get("link_button")]
    assert any("servicequotas" in url and url.endswith("L-G5") for url in links)


def test_what_cannot_be_meant_is_said_at_the_fields(open_account: OpenAccount) -> None:
    """A value that cannot be a bucket, role or instance type is an error at the fields, and hides nothing else."""
    app = open_account(bucket="No_Bucket")
    assert "'No_Bucket' is not the name of a bucket" in plain_texts(app)
    assert "Endpoints and limits" in [header.value for header in app.header]


def test_a_missing_role_is_created_by_a_plan(open_account: OpenAccount, account: AccessAws) -> None:
    """Without a usable role, a button opens the plan that creates one; nothing is changed before it is confirmed."""
    account.roles.clear()
    app = open_account(bucket=BUCKET)
    assert "No role of this account can be assumed by SageMaker" in plain_texts(app)
    button(app, "Review and create").click().run()
    told = plain_texts(app)
    assert "Create the role SegdeckExecutionRole, which sagemaker.amazonaws.com may assume." in told
    assert f"arn:aws:s3:::{BUCKET}/*" in told
    assert "CreateRole" not in account.calls


def test_a_role_needs_a_bucket(open_account: OpenAccount, account: AccessAws) -> None:
    """Without a bucket the role cannot be planned, and the page says why."""
    account.roles.clear()
    app = open_account()
    button(app, "Review and create").click().run()
    assert "No bucket was given." in plain_texts(app)


def test_what_a_field_names_is_checked(open_account: OpenAccount, account: AccessAws) -> None:
    """The fields hold what the address names, and what is typed into them is checked in its place."""
    account.roles["Second"] = {"Statement": []}
    app = open_account(role="Trainer", bucket=BUCKET)
    app.text_input(key="role").input("Second").run()
    assert "Second does not trust sagemaker.amazonaws.com" in plain_texts(app)


def test_a_new_role_is_checked(open_account: OpenAccount) -> None:
    """Once a role is created, its name is in the field, and the page checks it."""
    app = open_account(bucket=BUCKET)
    app.session_state["setup.new_role"] = "Trainer"
    app.run()
    assert app.text_input(key="role").value == "Trainer"
    assert "No problems found" in plain_texts(app)


@pytest.fixture
def open_launch(open_account: OpenAccount, account: AccessAws, open_page) -> Callable[[], AppTest]:
    """open_launch() -> the launch page with a role and data, in that account."""

    def start() -> AppTest:
        environ = {"AWS_ENDPOINT_URL": account.url, "AWS_REGION": REGION, "SEGDECK_AWS_SECONDS": "5"}
        app = open_page("launch_training", environ=environ, data=f"s3://{BUCKET}/data")
        next(field for field in app.text_input if field.label == "IAM role").input(ROLE).run()
        next(field for field in app.text_input if field.label == "Output").input(f"s3://{BUCKET}/out").run()
        return app

    return start


def test_the_launch_form_shows_what_the_account_lacks(open_launch, account: AccessAws) -> None:
    """The launch form shows the problems of its role, bucket and quota, with a link to the Setup page."""
    account.denied[ROLE, "s3:PutObject"] = denial()
    account.quotas["ml.g4dn.xlarge for training job usage"] = ("L-0", 0)
    told = plain_texts(app := open_launch())
    assert "Denied: s3:PutObject" in told
    assert '"ml.g4dn.xlarge for training job usage" is 0' in told
    assert "Fix it on the Setup page" in [link.proto.label for link in app.get("page_link")]


def test_the_launch_form_checks_the_quota_of_spot_jobs(open_launch, account: AccessAws) -> None:
    """With spot capacity, the launch form checks the quota of spot jobs, not that of on-demand jobs."""
    account.quotas["ml.g4dn.xlarge for training job usage"] = ("L-0", 0)
    account.quotas["ml.g4dn.xlarge for spot training job usage"] = ("L-1", 0)
    app = open_launch()
    next(toggle for toggle in app.toggle if "spot" in toggle.label).set_value(True).run()
    told = plain_texts(app)
    assert '"ml.g4dn.xlarge for spot training job usage" is 0' in told
    assert '"ml.g4dn.xlarge for training job usage" is 0' not in told


def test_the_launch_form_shows_no_problem_where_there_is_none(open_launch) -> None:
    """Without a problem of the account, the launch form says nothing about it."""
    app = open_launch()
    assert "Fix it on the Setup page" not in [link.proto.label for link in app.get("page_link")]
    assert not app.exception
