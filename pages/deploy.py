"""Deploy a model to an endpoint: inspect it first, show the plan, start after confirmation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.access.quotas import InstanceNeed
from core.aws.connection import Connection
from core.cost.training import PriceTable
from core.endpoints.detail import EndpointDetail
from core.plans.comparison import compare
from core.plans.deploy import plan_deploy, plan_update
from core.plans.plan import Plan
from pages.parts import account_checks, backend, buttons, cached, fleet, links, messages, plan_dialog, state
from pages.parts.deploy import form as deploy_form
from pages.parts.deploy import model, source, summary
from pages.parts.deploy.check import CheckedDeployment, check
from pages.parts.deploy.model import Chosen
from pages.parts.deploy.source import DEPLOY
from pages.parts.endpoints import data

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator


def main() -> None:
    """Draw model and form on the left; price, pre-flight checks and the review button on the right."""
    links.page_link(links.ENDPOINTS, label="Endpoints", icon=":material/arrow_back:")
    connection = backend.connection()
    _head(state.endpoint_in_url())
    detail = _endpoint(connection)
    if detail is not None and detail.endpoint.changing:
        st.info("**AWS is changing this endpoint** and accepts no other change until that is done.")
        return
    deploy_form.fill(connection, detail)
    form, right = st.columns([5, 3], gap="medium")
    chosen = None
    with form, st.container(border=True):
        st.header("Model")
        with messages.error_boundary("model"):
            chosen = model.choose(connection)
    with right, st.container(border=True):
        st.header("Pre-flight checks")
        if chosen is None:
            st.caption("Choose a model first. Segdeck inspects it before anything is billed.")
            return
        rest = st.container()
    with rest, messages.error_boundary("rest"):
        _rest(connection, chosen, detail, form, rest)


def _endpoint(connection: Connection) -> EndpointDetail | None:
    """Return the endpoint to update; None to create a new one. Raises NotFoundError, AwsError, PendingError."""
    name = state.endpoint_in_url()
    return data.detail(connection, name).value if name else None


def _head(name: str) -> None:
    """Draw the title; the endpoint's name appears before anything about it has been read."""
    if not name:
        st.container(horizontal=True).title("Deploy a model")
        st.caption("Create an endpoint that returns a segmentation mask for each image sent to it.")
    else:
        st.container(horizontal=True).title(f"Update {messages.plain(name)}")
        st.caption("The current model serves until the new one is in service. No requests are dropped.")


def _rest(
    connection: Connection,
    chosen: Chosen,
    detail: EndpointDetail | None,
    form: DeltaGenerator,
    right: DeltaGenerator,
) -> None:
    """Draw the rest of the form and the checks, once a model is chosen."""
    taken = [endpoint.name for endpoint in fleet.everything(connection).endpoints] if detail is None else []
    deploy_form.suggest(chosen.source, detail, taken)
    prices = cached.prices(connection)
    checked = check(connection, chosen, DEPLOY.fields(deploy_form.FIELDS), detail=detail, taken=taken)
    with form:
        if detail is None:
            deploy_form.endpoint(prices)
        else:
            deploy_form.variant(detail, prices)
        deploy_form.class_names(chosen.names, chosen.count)
    with right:
        if detail is not None:
            summary.comparison(compare(detail, checked.spec, checked.new_classes, chosen.count))
        summary.price(checked.spec, prices, sandbox=connection.is_sandbox)
        summary.problems(checked.problems)
        account_checks.show_problems(
            connection,
            role=checked.spec.role_arn,
            uri=checked.spec.model_uri,
            need=InstanceNeed("hosting", checked.spec.instance_type),
        )
        reviewed = buttons.button(
            "Review plan",
            key="review-deployment",
            acts_on=(detail.name if detail else "", chosen.source.identity),
            type="primary",
            disabled=checked.blocked,
            width="stretch",
        )
        with messages.error_boundary("review"):
            if reviewed:
                plan = _plan(chosen, checked, detail, prices)
                plan_dialog.open_plan(plan, connection, lambda: _show(plan.target))


def _plan(
    chosen: Chosen, checked: CheckedDeployment, detail: EndpointDetail | None, prices: PriceTable
) -> Plan:
    spec, warnings, upload = checked.spec, checked.warnings, chosen.source.upload
    if detail is None:
        return plan_deploy(spec, prices, warnings=warnings, upload=upload, classes=checked.classes)
    return plan_update(
        detail,
        spec,
        prices,
        warnings=warnings,
        upload=upload,
        classes=checked.classes,
        model=chosen.source.registered,
    )


def _show(name: str) -> None:
    DEPLOY.forget()
    source.MODEL_FILE.clear()
    links.open_page(links.ENDPOINT, {state.ENDPOINT: name})


main()
