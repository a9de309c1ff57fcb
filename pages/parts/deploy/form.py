"""The form of a deploy: the endpoint's name and machine, and the names of the classes."""

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
"""Pixels below which fields go to the next line."""

FIRST_INSTANCE = "ml.c5.xlarge"
"""What AWS's own notebook of this algorithm serves on."""

SANDBOX_FOLDER = "s3://segdeck-sandbox/models/"

FIELDS = (
    "name", "variant", "own_variant", "weight", "instance_type", "count", "role_arn", "own_names", "names",
)  # fmt: skip
"""What `check` reads."""


def endpoint(prices: PriceTable) -> None:
    """A new endpoint: name, machine, role."""
    with st.container(border=True):
        st.subheader("Endpoint")
        _text("Name", "name", "Letters, digits and hyphens. It is what clients call.")
        _machine(prices)
        _role()


def variant(detail: EndpointDetail, prices: PriceTable) -> None:
    """What of an endpoint gets the model: one of its variants, or one more."""
    with st.container(border=True):
        st.subheader("Variant")
        names = [one.name for one in detail.endpoint.variants]
        st.radio(
            "The model goes to",
            [*names, ""],
            format_func=lambda name: (
                f"{messages.plain(name)}, in place of its model" if name else "One variant more, beside"
            ),
            key=DEPLOY.field("variant"),
            horizontal=True,
            persist_state="session",
        )
        if not DEPLOY.get("variant"):
            with st.grid(2, min_column_width=NARROW, gap="small"):
                _text("Its name", "own_variant", "Letters, digits and hyphens.")
                st.number_input(
                    "Its weight",
                    key=DEPLOY.field("weight"),
                    min_value=0.0,
                    step=0.1,
                    help=messages.plain(_about_weight(detail)),
                    persist_state="session",
                )
        _machine(prices)
        _role()


def class_names(found: FoundClasses, wanted: int | None) -> None:
    """What the classes are called: as it was found, or as it is typed. wanted: how many classes the model has."""
    with st.container(border=True):
        st.subheader("Class names")
        for note in found.notes:
            st.caption(f":material/info: {messages.plain(note)}")
        if found.classes is not None:
            st.markdown(f":material/palette: {_listed(found.classes)}")
            st.caption(f"From {messages.plain(found.uri)}")
            st.toggle("Call them otherwise", key=DEPLOY.field("own_names"), persist_state="session")
            if not DEPLOY.get("own_names"):
                return
        st.text_area(
            "One name a line, in the order of the ids",
            key=DEPLOY.field("names"),
            placeholder="grass\nforest\nwater #3b82f6",
            help="A colour may stand behind a name. Without names, the classes are numbered.",
            height=26 * min(max(wanted or 0, 3), 8) + 40,
            persist_state="session",
        )
        st.file_uploader(
            "or a `classes.json`",
            type="json",
            key=DEPLOY.field("names_file"),
            on_change=_take_names,
            max_upload_size=1,
        )


def _machine(prices: PriceTable) -> None:
    machine, number = st.columns([3, 1], gap="small")
    with machine:
        chosen = DEPLOY.get("instance_type")
        options = (
            HOSTING_INSTANCES if chosen in HOSTING_INSTANCES or not chosen else (chosen, *HOSTING_INSTANCES)
        )
        st.selectbox(
            "Instance",
            options,
            format_func=_priced(prices),
            key=DEPLOY.field("instance_type"),
            help="This algorithm is served on CPUs of the families c5 and m5, and on GPUs of g4dn and p3.",
            persist_state="session",
        )
    with number:
        st.number_input(
            "How many",
            key=DEPLOY.field("count"),
            min_value=1,
            step=1,
            help="Each of them bills by the hour.",
            persist_state="session",
        )
    st.caption(f":material/memory: {messages.plain(processor_in_words(DEPLOY.get('instance_type') or ''))}")


def _role() -> None:
    _text(
        "Role",
        "role_arn",
        "What SageMaker acts as: it must read the artifact and the image.",
        "arn:aws:iam::123456789012:role/MyServingRole",
    )


def _priced(prices: PriceTable) -> Callable[[str], str]:
    def label(name: str) -> str:
        price = prices.per_hour(name, "hosting")
        kind = processor(name) or "not for this algorithm"
        money = f" · {price} an hour · {price.times(HOURS_A_MONTH)} a month" if price else ""
        return f"{name} · {kind}{money}"

    return label


def _about_weight(detail: EndpointDetail) -> str:
    others = ", ".join(
        f"{one.name} has {one.weight:g}" for one in detail.endpoint.variants if one.weight is not None
    )
    return f"Its share of the calls is its weight over the sum of all: {others}."


def _listed(classes: Classes) -> str:
    return messages.plain(" · ".join(classes.names))


def _take_names() -> None:
    """Put an uploaded file's names into the field, where they can be seen and changed. Raises InputError."""
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
    """Once for each address; from then on the form is its visitor's. Raises InputError for who takes no update."""
    if detail is not None:
        require_settled(detail.endpoint, "updated")
    asked = model_source.asked_for()
    source = f"{detail.name if detail else ''} {asked}"
    if DEPLOY.filled_from() != source:
        sandbox = {"folder": SANDBOX_FOLDER, "role_arn": SANDBOX_ROLE} if connection.is_sandbox else {}
        DEPLOY.fill(source, {**_empty(), **sandbox, **_of_endpoint(detail), **asked})


def suggest(source: ModelChoice, detail: EndpointDetail | None, taken: Collection[str]) -> None:
    """A name and a role for this model, unless a person has given others."""
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
    """As its first variant is. Raises InputError where nobody may know that."""
    if detail is None:
        return {}
    spec = current_spec(detail)
    return {
        "variant": spec.variant,
        "own_variant": _free("challenger", [one.name for one in detail.endpoint.variants]),
        "instance_type": spec.instance_type,
        "count": spec.instance_count,
        "role_arn": spec.role_arn,
    }


def _suggest(field: str, value: str) -> None:
    """Put it in, where nothing stands, or what was suggested for another model."""
    said, suggested = DEPLOY.get(field), DEPLOY.get(f"suggested-{field}")
    if value and said in (None, "", suggested):
        DEPLOY.set(field, value)
        DEPLOY.set(f"suggested-{field}", value)


def _free(name: str, taken: Collection[str]) -> str:
    """The name, with the first number behind it that nobody has."""
    numbered = (endpoint_name(name, str(number)) for number in range(2, len(taken) + 3))
    return next(one for one in (name, *numbered) if one not in taken)
