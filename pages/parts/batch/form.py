"""The form that starts a transform job: its fields, and their values as a spec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import cast

import streamlit as st

from core.aws.connection import Connection
from core.batch.job import MAX_INSTANCES, BatchSpec, Kind, TransformJob, clone_spec
from core.batch.prepare import job_name
from core.cost.training import PriceTable
from core.endpoints.spec import HOSTING_INSTANCES, EndpointSpec, processor, processor_in_words
from core.errors import CoreError, InputError
from core.escaping import terminal
from core.training.defaults import INSTANCE, SANDBOX_DATA, SANDBOX_ROLE
from core.training.filters import JobFilter
from pages.parts import cached, messages, state
from pages.parts.batch import data, upload
from pages.parts.batch.slots import BATCH
from pages.parts.shared_cache import PendingError

ENDPOINT, MODEL, TRAINING_JOB, ARTIFACT = "endpoint", "model", "job", "artifact"
SOURCES = {
    ENDPOINT: "Endpoint",
    MODEL: "SageMaker model",
    TRAINING_JOB: "Training job",
    ARTIFACT: "S3 artifact",
}
PLACEHOLDERS = {
    ENDPOINT: "Choose an endpoint",
    MODEL: "Choose a model",
    TRAINING_JOB: "Choose a training job",
}
OUTPUTS: dict[Kind, str] = {"mask": "Masks", "probabilities": "Probabilities"}
FIELDS = (
    "name",
    "source",
    ENDPOINT,
    MODEL,
    TRAINING_JOB,
    ARTIFACT,
    "role",
    "input",
    "output",
    "instance",
    "count",
    "concurrency",
    "kind",
)
SANDBOX_BATCHES = "s3://segdeck-sandbox/batches/"
CONCURRENCY = 2


def fill(source: str, fields: dict[str, object]) -> None:
    """Fill the form once for each source; what the user edits afterwards is kept."""
    if BATCH.filled_from() != source:
        BATCH.fill(source, fields)


def first_fields(connection: Connection, now: datetime) -> dict[str, object]:
    """Return the values of a new form. What the URL names is chosen."""
    query = state.query((ENDPOINT, MODEL))
    name = job_name(query.get(ENDPOINT) or query.get(MODEL) or "batch", now)
    sandbox = connection.is_sandbox
    return {
        "name": name,
        "source": MODEL if query.get(MODEL) else ENDPOINT,
        ENDPOINT: query.get(ENDPOINT),
        MODEL: query.get(MODEL),
        TRAINING_JOB: None,
        ARTIFACT: "",
        "role": SANDBOX_ROLE if sandbox else "",
        "input": f"{SANDBOX_DATA}validation/" if sandbox else "",
        "output": f"{SANDBOX_BATCHES}{name}/" if sandbox else "",
        "instance": INSTANCE,
        "count": 1,
        "concurrency": CONCURRENCY,
        "kind": "mask",
    }


def cloned_fields(job: TransformJob, now: datetime) -> dict[str, object]:
    """Return the values for a copy of a job."""
    spec = clone_spec(job, job_name(job.name, now))
    return {
        "name": spec.name,
        "source": MODEL,
        ENDPOINT: None,
        MODEL: spec.model,
        TRAINING_JOB: None,
        ARTIFACT: "",
        "role": "",
        "input": spec.input_uri,
        "output": spec.output_uri,
        "instance": spec.instance_type,
        "count": spec.instance_count,
        "concurrency": spec.concurrency,
        "kind": spec.kind,
    }


def endpoint() -> str:
    """Return the endpoint whose model is used; empty for a SageMaker model."""
    return (BATCH.get(ENDPOINT) or "") if BATCH.get("source") == ENDPOINT else ""


def spec_of(model: str, base: BatchSpec | None) -> BatchSpec:
    """Return the spec that the fields describe. base: of the job that is copied, for what has no field."""
    values = BATCH.fields(FIELDS)
    spec = base or BatchSpec("", "", "", "", "")
    uri = (values["input"] or "").strip()
    return replace(
        spec,
        name=(values["name"] or "").strip(),
        model=model,
        input_uri=uri,
        manifest=spec.manifest and uri == spec.input_uri,
        output_uri=(values["output"] or "").strip(),
        instance_type=values["instance"] or "",
        instance_count=int(values["count"] or 1),
        concurrency=int(values["concurrency"] or 1),
        payload_mb=spec.payload_mb if base is not None and base.manifest else 0,
        kind=cast("Kind", values["kind"] or "mask"),
    )


def draw(connection: Connection, prices: PriceTable) -> None:
    """Draw all fields."""
    with st.container(border=True):
        st.header("Job")
        _text("Name", "name", "Letters, digits and hyphens. AWS never accepts the same name twice.")
        st.segmented_control(
            "Model",
            list(SOURCES),
            format_func=SOURCES.__getitem__,
            required=True,
            key=BATCH.field("source"),
            persist_state="session",
        )
        if BATCH.get("source") == ENDPOINT:
            _choice(
                "Endpoint", ENDPOINT, _endpoints(connection), "Its model is used; the endpoint itself is not."
            )
        elif BATCH.get("source") == MODEL:
            _choice("SageMaker model", MODEL, _models(connection), "One of the newest hundred.")
        elif BATCH.get("source") == TRAINING_JOB:
            _choice(
                "Training job",
                TRAINING_JOB,
                _jobs(connection),
                "A SageMaker model is created from its artifact.",
            )
        else:
            _text(
                "Artifact",
                ARTIFACT,
                "S3 URI of a model.tar.gz of this algorithm. A SageMaker model is created from it.",
                "s3://my-bucket/models/my-job/output/model.tar.gz",
            )
            _text(
                "Execution role",
                "role",
                "ARN of a role that SageMaker can assume, for the new model.",
                "arn:aws:iam::123456789012:role/MyRole",
            )
    with st.container(border=True):
        st.header("Images and masks")
        _text(
            "Images",
            "input",
            "S3 prefix of the images. All JPEG files below it are sent.",
            "s3://my-bucket/images/",
        )
        upload.draw(connection)
        _text(
            "Masks",
            "output",
            "S3 prefix for the masks: that of a/x.jpg is a/x.jpg.out below it.",
            "s3://my-bucket/masks/",
        )
        st.segmented_control(
            "Output",
            list(OUTPUTS),
            format_func=lambda kind: OUTPUTS[cast("Kind", kind)],
            required=True,
            key=BATCH.field("kind"),
            help="Probabilities are some hundred times larger than masks, and show where the model is uncertain.",
            persist_state="session",
        )
    _compute(prices)


def _compute(prices: PriceTable) -> None:
    with st.container(border=True):
        st.header("Compute")
        _instance(prices)
        with st.grid(2, min_column_width=170, gap="small"):
            st.number_input(
                "Instances",
                1,
                MAX_INSTANCES,
                key=BATCH.field("count"),
                step=1,
                help="The images are distributed among them.",
                persist_state="session",
            )
            st.number_input(
                "Concurrent requests per instance",
                1,
                100,
                key=BATCH.field("concurrency"),
                step=1,
                persist_state="session",
            )


def _instance(prices: PriceTable) -> None:
    selected = BATCH.get("instance")
    names = [name for name in HOSTING_INSTANCES if processor(name) == "GPU"]
    names += [name for name in HOSTING_INSTANCES if name not in names]
    options = names if not selected or selected in names else [selected, *names]

    def label(name: str) -> str:
        price = prices.per_hour(name, "hosting")
        cost = f" · {price} per hour" if price else ""
        return f"{name} · {processor_in_words(name)}{cost}"

    st.selectbox(
        "Instance type", options, format_func=label, key=BATCH.field("instance"), persist_state="session"
    )


def _choice(label: str, field: str, names: Sequence[str], help_text: str) -> None:
    selected = BATCH.get(field)
    options = list(names) if not selected or selected in names else [selected, *names]
    st.selectbox(
        label,
        options,
        index=None,
        format_func=terminal,
        key=BATCH.field(field),
        placeholder=PLACEHOLDERS[field],
        help=help_text,
        persist_state="session",
    )


def _endpoints(connection: Connection) -> list[str]:
    try:
        return [endpoint.name for endpoint in cached.endpoints(connection).endpoints]
    except PendingError as pending:
        messages.waiting_line(pending)
    except CoreError as error:
        st.caption(messages.line(error))
    return []


def new_model(connection: Connection) -> tuple[EndpointSpec, tuple[str, ...]] | None:
    """Return the model to create first, and warnings; None for an existing model, or where none is chosen.

    Raises InputError, ArtifactError, AwsError, PendingError.
    """
    source = BATCH.get("source")
    job, uri, role = (BATCH.get(TRAINING_JOB) or ""), (BATCH.get(ARTIFACT) or ""), (BATCH.get("role") or "")
    if source == TRAINING_JOB and job:
        return data.new_model(connection, job=job)
    if source != ARTIFACT or not uri.strip():
        return None
    if not role.strip():
        raise InputError("An execution role is required.", todo="Enter the ARN of a role for the new model.")
    return data.new_model(connection, artifact=uri.strip(), role=role.strip())


def _jobs(connection: Connection) -> list[str]:
    """Return the newest training jobs that may have a model."""
    try:
        jobs = cached.jobs(connection, JobFilter()).value.jobs
        return [job.name for job in jobs if job.model_uri or (job.summary and not job.running)]
    except PendingError as pending:
        messages.waiting_line(pending)
    except CoreError as error:
        st.caption(messages.line(error))
    return []


def _models(connection: Connection) -> Sequence[str]:
    models = data.models(connection)
    if models.waiting is not None:
        messages.waiting_line(models.waiting)
    elif models.failure is not None:
        st.caption(messages.line(models.failure))
    return models.value


def _text(label: str, field: str, help_text: str, placeholder: str = "") -> None:
    st.text_input(
        label, key=BATCH.field(field), help=help_text, placeholder=placeholder, persist_state="session"
    )
