"""Run pages with Streamlit's AppTest against a sandbox on loopback, in either mode, with jobs to show."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.testing.v1 import AppTest

from core.aws.connection import Connection
from core.training.channels import data_channels
from core.training.job import TrainingSpec, to_request
from pages.parts import backend, cached
from sandbox.server import Sandbox
from tests.support.apps import app_from_file
from tests.support.patience import wait_until

SHELL = Path(__file__).parents[2] / "pages" / "parts" / "shell.py"
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
BUCKET = "dashboard"
ONE_ATTEMPT = {"SEGDECK_AWS_SECONDS": "19"}
"""Environment of a dashboard that calls AWS once: before further attempts, botocore pauses for seconds."""
ENDED = ("Completed", "Failed", "Stopped")
SPEC = TrainingSpec(
    name="",
    role_arn="arn:aws:iam::123456789012:role/Trainer",
    image=IMAGE,
    instance_type="ml.g4dn.xlarge",
    hyperparameters={
        "num_classes": "3",
        "num_training_samples": "4",
        "epochs": "3",
        "mini_batch_size": "2",
        "validation_mini_batch_size": "2",
    },
    channels=data_channels(f"s3://{BUCKET}/data"),
    output_uri=f"s3://{BUCKET}/out/",
    max_runtime_seconds=600,
)
"""A job with four training and two validation images, see `put_data`."""


def connection_of(sandbox: Sandbox) -> Connection:
    """Return the connection of mode `sandbox`, as app.py creates it."""
    at = sandbox.address
    return Connection(at.region, at.url, None, at.access_key, at.secret_key)


def open_page(page: str, sandbox: Sandbox, *, mode: str = "aws", **query: str) -> AppTest:
    """Return the page of this name after its first run. The environment sets the mode, and in mode aws the address.

    Both caches are emptied, so that values of other tests are not seen.
    """
    fresh_caches()
    if mode == "sandbox":
        backend.register(lambda: connection_of(sandbox))
        backend.restart_sandbox()
    app = app_from_file(SHELL, default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    return (app if page == "overview" else app.switch_page(f"../{page}.py")).run()


def fresh_caches(patience: float = 30) -> None:
    """Clear the values of other tests. patience: seconds that a page waits for a value before it is pending."""
    st.cache_data.clear()
    st.cache_resource.clear()
    cached.shelf().patience = patience


def priced(app: AppTest, seconds: float = 60) -> AppTest:
    """Run the page again until the configurations of all endpoints have arrived; it waits only a moment for them."""
    deadline = time.monotonic() + seconds
    while any(metric.label == "Cost per hour" and metric.value.startswith("≥") for metric in app.metric):
        assert time.monotonic() < deadline, texts(app)
        app.run()
    return app


def texts(app: AppTest) -> str:
    """Return all text that a user reads on the page, including widgets' labels."""
    kinds = ("title", "header", "subheader", "markdown", "caption", "error", "warning", "info", "code")
    values = [str(element.value) for kind in kinds for element in app.get(kind)]
    values += [f"{metric.label}: {metric.value}" for metric in app.metric]
    return "\n".join([*values, *(status.label for status in app.status)])


def plain_texts(app: AppTest) -> str:
    """Return the same without Markdown's backslashes."""
    return texts(app).replace("\\", "")


def button(app: AppTest, label: str) -> Any:
    """Return the button whose label starts with this text. Raises StopIteration."""
    return next(element for element in app.button if element.label.startswith(label))


def put_data(s3: Any) -> None:
    """Create the bucket with the data that `SPEC` names, once."""
    if BUCKET in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        return
    s3.create_bucket(Bucket=BUCKET)
    for folder, count in (("train", 4), ("validation", 2)):
        for number in range(count):
            s3.put_object(Bucket=BUCKET, Key=f"data/{folder}/{number}.jpg", Body=b"image")
            s3.put_object(Bucket=BUCKET, Key=f"data/{folder}_annotation/{number}.png", Body=b"mask")


def start_job(sagemaker: Any, name: str, values: Mapping[str, str] = {}, **changes: Any) -> str:
    """Start a job like `SPEC`, with additional hyperparameters."""
    spec = replace(SPEC, name=name, hyperparameters={**SPEC.hyperparameters, **values}, **changes)
    sagemaker.create_training_job(**to_request(spec))
    return name


def wait_for(
    sagemaker: Any, name: str, holds: Callable[[dict[str, Any]], bool], seconds: float = 120
) -> dict[str, Any]:
    """Wait until a job's description meets a condition, and return it."""

    def probe() -> dict[str, Any] | None:
        document: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=name)
        return document if holds(document) else None

    document: dict[str, Any] = wait_until(probe, seconds)
    return document


def ended(document: dict[str, Any]) -> bool:
    """Return whether a job's description says that it has ended."""
    return document["TrainingJobStatus"] in ENDED
