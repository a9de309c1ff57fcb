"""The deploy form: endpoint name, instances, role, and class names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from core.aws.class_names import FoundClasses
from core.cost.hosting import HOURS_A_MONTH
from core.cost.training import PriceTable
from core.endpoints.detail import EndpointDetail
from core.endpoints.spec import HOSTING_INSTANCES, processor, processor_in_words
from core.imaging.classes import Classes
from pages.parts import messages
from pages.parts.deploy.source import DEPLOY

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile


from collections.abc import Collection
from typing import Any

from core.aws.connection import Connection
from core.endpoints.spec import endpoint_name
from core.plans.deploy import current_spec
from core.plans.steps import require_settled
from core.training.defaults import SANDBOX_ROLE
from pages.parts.deploy import source as model_source
from pages.parts.deploy.source import ModelChoice

NARROW = 170
"""Minimum width of a field in pixels; narrower pages wrap fields."""

FIRST_INSTANCE = "ml.c5.xlarge"
"""The hosting instance in AWS's own notebook for this algorithm."""

SANDBOX_FOLDER = "s3://segdeck-sandbox/models/"

FIELDS = (
    "name", "variant", "own_variant", "weight", "instance_type", "count", "role_arn", "own_names", "names",
)  # fmt: skip
"""The fields that `check` reads."""


def endpoint(prices: PriceTable) -> None:
    """Draw the fields of a new endpoint: name, instances, role."""
    with st.container(border=True):
        st.header("Endpoint")
        _text("Endpoint name", "name", "Letters, digits and hyphens. Clients call the endpoint by this name.")
        _instances(prices)
        _role()


def variant(detail: EndpointDetail, prices: PriceTable) -> None:
    """Draw the choice of the variant that gets the model: an existing one, or an additional one."""
    with st.container(border=True):
        st.header("Variant")
        names = [variant.name for variant in detail.endpoint.variants]
        st.radio(
            "Deploy the model to",
            [*names, ""],
            format_func=lambda name: (
                f"{messages.plain(name)} (replace its model)" if name else "Add another variant"
            ),
            key=DEPLOY.field("variant"),
            horizontal=True,
            persist_state="session",
        )
        if not DEPLOY.get("variant"):
            with st.grid(2, min_column_width=NARROW, gap="small"):
                _text("Variant name", "own_variant", "Letters, digits and hyphens.")
                st.number_input(
                    "Variant weight",
                    key=DEPLOY.field("weight"),
                    min_value=0.0,
                    step=0.1,
                    help=messages.plain(_about_weight(detail)),
                    persist_state="session",
                )
        _instances(prices)
        _role()


def class_names(existing: FoundClasses, count: int | None) -> None:
    """Draw the existing class names, or fields to enter some. count: the number of classes of the model."""
    with st.container(border=True):
        st.header("Class names")
        for note in existing.notes:
            st.caption(f":material/info: {messages.plain(note)}")
        if existing.classes is not None:
            st.markdown(f":material/palette: {_listed(existing.classes)}")
            st.caption(f"From {messages.plain(existing.uri)}")
            st.toggle("Rename classes", key=DEPLOY.field("own_names"), persist_state="session")
            if not DEPLOY.get("own_names"):
                return
        st.text_area(
            "Class names, one per line, in order of class ID",
            key=DEPLOY.field("names"),
            placeholder="grass\nforest\nwater #3b82f6",
            help="A name can be followed by a color. Without names, classes are shown as numbers.",
            height=26 * min(max(count or 0, 3), 8) + 40,
            persist_state="session",
        )
        st.file_uploader(
            "Or upload a `classes.json`",
            type="json",
            key=DEPLOY.field("names_file"),
            on_change=_take_names,
            max_upload_size=1,
        )


def _instances(prices: PriceTable) -> None:
    left, right = st.columns([3, 1], gap="small")
    with left:
        chosen = DEPLOY.get("instance_type")
        options = (
            HOSTING_INSTANCES if chosen in HOSTING_INSTANCES or not chosen else (chosen, *HOSTING_INSTANCES)
        )
        st.selectbox(
            "Instance type",
            options,
            format_func=_priced(prices),
            key=DEPLOY.field("instance_type"),
            help=(
                "AWS documents c5 and m5 (CPU) and g4dn and p3 (GPU) instances for this algorithm. "
                "You can also enter another instance type."
            ),
            accept_new_options=True,
            persist_state="session",
        )
    with right:
        st.number_input(
            "Count",
            key=DEPLOY.field("count"),
            min_value=1,
            step=1,
            help="Each instance is billed for as long as it is in service.",
            persist_state="session",
        )
    st.caption(f":material/memory: {messages.plain(processor_in_words(DEPLOY.get('instance_type') or ''))}")


def _role() -> None:
    _text(
        "Execution role",
        "role_arn",
        "The IAM role that SageMaker assumes. It needs read access to the artifact and the container image.",
        "arn:aws:iam::123456789012:role/MyServingRole",
    )


def _priced(prices: PriceTable) -> Callable[[str], str]:
    def label(name: str) -> str:
        price = prices.per_hour(name, "hosting")
        kind = processor(name) or "not documented for this algorithm"
        label = "AWS price " if prices.sandbox else ""
        money = f" · {label}{price} per hour · {price.times(HOURS_A_MONTH)} per month" if price else ""
        return f"{name} · {kind}{money}"

    return label


def _about_weight(detail: EndpointDetail) -> str:
    others = ", ".join(
        f"{variant.name} has {variant.weight:g}"
        for variant in detail.endpoint.variants
        if variant.weight is not None
    )
    return f"A variant's traffic share is its weight divided by the sum of all weights: {others}."


def _listed(classes: Classes) -> str:
    return messages.plain(" · ".join(classes.names))


def _take_names() -> None:
    """Fill the field with the class names of an uploaded file, to be edited. Raises InputError."""
    file: UploadedFile | None = DEPLOY.get("names_file")
    if file is not None:
        classes = Classes.from_json(file.getvalue())
        rows = zip(classes.names, classes.colors, strict=True)
        lines = [f"{name} #{red:02x}{green:02x}{blue:02x}" for name, (red, green, blue) in rows]
        DEPLOY.set("names", "\n".join(lines))
        DEPLOY.renew("names_file")


def _text(label: str, field: str, why: str, placeholder: str = "") -> None:
    st.text_input(label, key=DEPLOY.field(field), help=why, placeholder=placeholder, persist_state="session")


def fill(connection: Connection, detail: EndpointDetail | None) -> None:
    """Fill the form once per URL, before the user edits it. Raises InputError if the endpoint cannot be updated."""
    if detail is not None:
        require_settled(detail.endpoint, "updated")
    from_url = model_source.fields_from_url()
    source = f"{detail.name if detail else ''} {from_url}"
    if DEPLOY.filled_from() != source:
        sandbox = {"folder": SANDBOX_FOLDER, "role_arn": SANDBOX_ROLE} if connection.is_sandbox else {}
        DEPLOY.fill(source, {**_empty(), **sandbox, **_of_endpoint(detail), **from_url})


def suggest(source: ModelChoice, detail: EndpointDetail | None, taken: Collection[str]) -> None:
    """Suggest a name and a role for this model, unless the user has entered others."""
    if detail is None:
        _suggest("name", _free(endpoint_name(source.title), taken))
        _suggest("role_arn", source.role_arn)


def _empty() -> dict[str, Any]:
    return {
        "name": "",
        "variant": "",
        "own_variant": "",
        "weight": 1.0,
        "instance_type": FIRST_INSTANCE,
        "count": 1,
        "role_arn": "",
        "folder": "",
        "own_names": False,
        "names": "",
    }


def _of_endpoint(detail: EndpointDetail | None) -> dict[str, Any]:
    """Return the fields of its first variant. Raises InputError if that is unknown."""
    if detail is None:
        return {}
    spec = current_spec(detail)
    return {
        "variant": spec.variant,
        "own_variant": _free("challenger", [variant.name for variant in detail.endpoint.variants]),
        "instance_type": spec.instance_type,
        "count": spec.instance_count,
        "role_arn": spec.role_arn,
    }


def _suggest(field: str, value: str) -> None:
    """Fill a field that is empty, or that holds the suggestion for another model."""
    current, suggested = DEPLOY.get(field), DEPLOY.get(f"suggested-{field}")
    if value and current in (None, "", suggested):
        DEPLOY.set(field, value)
        DEPLOY.set(f"suggested-{field}", value)


def _free(name: str, taken: Collection[str]) -> str:
    """Return the name, with the first free number appended if it is taken."""
    numbered = (endpoint_name(name, str(number)) for number in range(2, len(taken) + 3))
    return next(candidate for candidate in (name, *numbered) if candidate not in taken)
