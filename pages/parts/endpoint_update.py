"""The form that gives a variant another model or another machine, without a call that fails."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from core.aws.connection import Connection
from core.endpoint_detail import EndpointDetail
from core.endpoint_plans import plan_update, spec_of
from core.endpoint_spec import HOSTING_INSTANCES, EndpointSpec, processor_in_words
from core.errors import CoreError
from core.job_filter import JobFilter
from core.training import TrainingJob
from pages.parts import cached, messages, plan_dialog

STAYS = "The model that it has"


def show(connection: Connection, detail: EndpointDetail) -> None:
    """Model and machine; then the plan. The old machines answer until the new ones do."""
    endpoint = detail.endpoint
    if endpoint.changing:
        st.info(
            "AWS is at work on it, and takes no other change until it is done.",
            icon=":material/hourglass_top:",
        )
        return
    names = [variant.name for variant in endpoint.variants]
    if not names:
        st.caption("Its variants are not known: the configuration may not be read.")
        return
    with st.container(border=True):
        st.caption(
            "A new configuration with new machines is made beside the old ones. They take over once they answer; "
            "where they do not, all stays as it is."
        )
        chosen = st.selectbox("Variant", names, key=f"update-{endpoint.name}") if len(names) > 1 else names[0]
        spec = spec_of(detail, chosen)
        left, right = st.columns(2, gap="medium")
        with left:
            wanted = _model(connection, spec)
        with right:
            wanted = _machine(connection, wanted)
        if st.button(
            "Review the update", key="update", type="primary", icon=":material/published_with_changes:"
        ):
            with messages.error_door():
                plan = plan_update(detail, wanted, cached.prices(connection))
                plan_dialog.ask(plan, connection, st.rerun)


def _model(connection: Connection, spec: EndpointSpec) -> EndpointSpec:
    """A finished job's model, or any artifact by its address."""
    jobs = {job.name: job for job in _finished(connection)}
    asked = st.selectbox(
        "Model",
        [STAYS, *jobs],
        key=f"update-model-{spec.name}-{spec.variant}",
        accept_new_options=True,
        help="A training job that has ended, or the S3 address of a model.tar.gz, typed in.",
    )
    if asked is None or asked == STAYS:
        st.caption(f":material/deployed_code: {messages.plain(spec.model_uri or spec.model)}")
        return spec
    if asked in jobs:
        return _of_job(spec, jobs[asked])
    return replace(spec, model="", model_uri=asked.strip(), job="", classes_uri="")


def _of_job(spec: EndpointSpec, job: TrainingJob) -> EndpointSpec:
    st.caption(f":material/deployed_code: {messages.plain(job.model_uri or '')}")
    return replace(
        spec, model="", model_uri=job.model_uri or "", image=job.image, job=job.name, classes_uri=""
    )


def _machine(connection: Connection, spec: EndpointSpec) -> EndpointSpec:
    prices = cached.prices(connection)
    types = list(dict.fromkeys([spec.instance_type, *HOSTING_INSTANCES]))

    def label(name: str) -> str:
        price = prices.per_hour(name, "hosting")
        said = [name, f"{price} an hour" if price else "", processor_in_words(name)]
        return " · ".join(part for part in said if part)

    instance = st.selectbox(
        "Instance", types, format_func=label, key=f"update-instance-{spec.name}-{spec.variant}"
    )
    count = st.number_input(
        "Instances", 1, None, spec.instance_count, 1, key=f"update-count-{spec.name}-{spec.variant}"
    )
    return replace(spec, instance_type=instance, instance_count=int(count))


def _finished(connection: Connection) -> list[TrainingJob]:
    """Jobs whose model can be served; without the right to list them, addresses can still be typed in."""
    try:
        found = cached.jobs(connection, JobFilter(statuses=("Completed", "Stopped"))).value.jobs
    except CoreError as error:
        st.caption(f":material/info: {messages.line(error)}")
        return []
    return [job for job in found if job.model_uri]
