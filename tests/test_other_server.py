"""Segdeck against moto's own server: an independent implementation of AWS's API that knows less of it than AWS does.

It rejects filters of Search, and has no sagemaker-metrics and no Price List: what can be shown is shown all the same.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from streamlit.testing.v1 import AppTest

import cli
from tests.support.apps import app_from_file
from tests.support.command_line import CliRunner
from tests.support.dashboard import IMAGE, SHELL, SPEC, fresh_caches, plain_texts, put_data, start_job
from tests.support.ports import free_port

JOB, ENDPOINT, BATCH = "road-1", "coast-1", "tiles-1"
START_SECONDS = 60

PAGES: tuple[tuple[str, dict[str, str], tuple[str, ...]], ...] = (
    ("overview", {}, ("Jobs running: 0", "Endpoints in service: 1", "Only names, statuses and times")),
    ("segment", {}, ("in service",)),
    ("evaluate", {}, ("Unknown property name: ModelArtifacts",)),
    ("datasets", {}, ("Datasets",)),
    ("training_jobs", {}, (f"row {JOB}", "Only names, statuses and times", "other algorithms are included")),
    ("training_job", {"job": JOB}, ("completed", "ml.g4dn.xlarge")),
    ("launch_training", {"clone": JOB}, ("Ready to launch",)),
    ("endpoints", {}, (f"row {ENDPOINT}",)),
    ("endpoint", {"endpoint": ENDPOINT}, ("in service", "Unknown property name: ModelArtifacts")),
    ("deploy", {}, (f"option {JOB}",)),
    ("deploy", {"job": JOB}, ("The specified key does not exist",)),
    ("deploy", {"endpoint": ENDPOINT}, (f"option {JOB}",)),
    ("setup", {}, (f"{ENDPOINT} in service",)),
    ("runs", {}, ("No runs yet",)),
    ("runs", {"run": "20260101T000000-0123456789abcdef"}, ("Run",)),
    ("batches", {}, (f"row {BATCH}",)),
    ("batch", {"job": BATCH}, ("Completed", "Masks: 0 of 4")),
    ("launch_batch", {}, (f"option {ENDPOINT}", "Start a batch", "No model is chosen")),
    (
        "launch_batch",
        {"clone": BATCH},
        (f"Cloned from {BATCH}", "Ready to start", "The tags of tiles-1 may be incomplete"),
    ),
)
"""Page, its URL parameters, and what it shows."""

COMMANDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("jobs list", (JOB, "Only names, statuses and times")),
    ("jobs list --all", (JOB,)),
    (f"jobs show {JOB}", ("status: Completed", "ml.g4dn.xlarge")),
    (f"jobs curves {JOB}", (f"The metrics of {JOB} could not be read.",)),
    (f"jobs logs {JOB}", (JOB,)),
    ("endpoints list", (ENDPOINT, "ml.g4dn.xlarge")),
    (f"endpoints show {ENDPOINT}", ("status: InService", "Unknown property name: ModelArtifacts")),
    ("endpoints unfinished", ("No interrupted changes",)),
    ("batch list", (BATCH,)),
    (f"batch show {BATCH}", (BATCH, "Completed")),
    ("dataset check s3://dashboard/data", ("4 training images",)),
)
"""Command line, and what it prints."""

DOCUMENTS = (
    "jobs list",
    f"jobs show {JOB}",
    f"jobs curves {JOB}",
    "endpoints list",
    f"endpoints show {ENDPOINT}",
)
"""Commands whose --json is one document."""


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return the environment of a user of moto's server, a program of its own with a few resources."""
    port = free_port()
    folder = tmp_path_factory.mktemp("other")
    with (folder / "server.log").open("wb") as log:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        await_port(server, port)
        values = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }
        make_resources(values)
        yield {
            **values,
            "SEGDECK_MODE": "aws",
            "SEGDECK_STATE_DIR": str(folder),
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    finally:
        server.kill()
        server.wait()


def await_port(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert server.poll() is None, "moto's server has ended"
        assert time.monotonic() < deadline, "moto's server does not listen"
        time.sleep(0.05)


def make_resources(values: dict[str, str]) -> None:
    session = boto3.session.Session(
        values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"], region_name=values["AWS_REGION"]
    )
    url = values["AWS_ENDPOINT_URL"]
    put_data(session.client("s3", endpoint_url=url))
    sagemaker: Any = session.client("sagemaker", endpoint_url=url)
    start_job(sagemaker, JOB)
    artifact = f"s3://dashboard/out/{JOB}/output/model.tar.gz"
    sagemaker.create_model(
        ModelName=ENDPOINT,
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": artifact},
        ExecutionRoleArn=SPEC.role_arn,
    )
    variant = {"VariantName": "AllTraffic", "ModelName": ENDPOINT, "InstanceType": "ml.g4dn.xlarge"}
    sagemaker.create_endpoint_config(
        EndpointConfigName=ENDPOINT, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
    )
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=ENDPOINT)
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://dashboard/data/train/"}
    sagemaker.create_transform_job(
        TransformJobName=BATCH,
        ModelName=ENDPOINT,
        TransformInput={"DataSource": {"S3DataSource": source}, "ContentType": "image/jpeg"},
        TransformOutput={"S3OutputPath": "s3://dashboard/masks/", "Accept": "image/png"},
        TransformResources={"InstanceType": "ml.g4dn.xlarge", "InstanceCount": 1},
    )


@pytest.mark.parametrize(
    ("name", "query", "shown"), PAGES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_page_shows_what_another_server_has(
    name: str,
    query: dict[str, str],
    shown: tuple[str, ...],
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a server that supports a part of the API, each page shows what it reads and why the rest is missing."""
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    fresh_caches()
    app = app_from_file(SHELL, default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    app = (app if name == "overview" else app.switch_page(f"../{name}.py")).run()
    text = all_texts(app)
    assert not app.exception
    assert "did not foresee" not in text
    assert "Unexpected error" not in text
    assert [part for part in shown if part not in text] == [], text


@pytest.mark.parametrize(
    ("words", "printed"), COMMANDS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_that_reads_works_on_another_server(
    words: str, printed: tuple[str, ...], environ: dict[str, str]
) -> None:
    """Each command that reads succeeds, and prints why something is missing."""
    result = CliRunner().invoke(cli.app, words.split(), env=environ)
    text = result.stdout + result.stderr
    assert result.exit_code == 0, text
    assert [part for part in printed if part not in text] == [], text


@pytest.mark.parametrize("words", DOCUMENTS)
def test_documents_of_another_server_are_whole(words: str, environ: dict[str, str]) -> None:
    """With --json, standard output is one document, whatever could not be read."""
    result = CliRunner().invoke(cli.app, [*words.split(), "--json"], env=environ)
    assert result.exit_code == 0, result.stderr
    assert isinstance(json.loads(result.stdout), dict)


def all_texts(app: AppTest) -> str:
    rows = [f"row {name}" for table in app.dataframe for name in table.value.get("name", ())]
    options = [f"option {option}" for widget in app.selectbox for option in widget.options]
    return "\n".join([plain_texts(app), *rows, *options])
