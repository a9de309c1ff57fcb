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
from pages.parts import messages, state

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

NARROW = 170
"""Pixels below which fields go to the next line."""


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
            key=state.DEPLOY.field("variant"),
            horizontal=True,
            persist_state="session",
        )
        if not state.DEPLOY.get("variant"):
            with st.grid(2, min_column_width=NARROW, gap="small"):
                _text("Its name", "own_variant", "Letters, digits and hyphens.")
                st.number_input(
                    "Its weight",
                    key=state.DEPLOY.field("weight"),
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
            st.toggle("Call them otherwise", key=state.DEPLOY.field("own_names"), persist_state="session")
            if not state.DEPLOY.get("own_names"):
                return
        st.text_area(
            "One name a line, in the order of the ids",
            key=state.DEPLOY.field("names"),
            placeholder="grass\nforest\nwater #3b82f6",
            help="A colour may stand behind a name. Without names, the classes are numbered.",
            height=26 * min(max(wanted or 0, 3), 8) + 40,
            persist_state="session",
        )
        st.file_uploader(
            "or a `classes.json`",
            type="json",
            key=state.DEPLOY.field("names_file"),
            on_change=_take_names,
            max_upload_size=1,
        )


def _machine(prices: PriceTable) -> None:
    machine, number = st.columns([3, 1], gap="small")
    with machine:
        chosen = state.DEPLOY.get("instance_type")
        options = (
            HOSTING_INSTANCES if chosen in HOSTING_INSTANCES or not chosen else (chosen, *HOSTING_INSTANCES)
        )
        st.selectbox(
            "Instance",
            options,
            format_func=_priced(prices),
            key=state.DEPLOY.field("instance_type"),
            help="This algorithm is served on CPUs of the families c5 and m5, and on GPUs of g4dn and p3.",
            persist_state="session",
        )
    with number:
        st.number_input(
            "How many",
            key=state.DEPLOY.field("count"),
            min_value=1,
            step=1,
            help="Each of them bills by the hour.",
            persist_state="session",
        )
    st.caption(
        f":material/memory: {messages.plain(processor_in_words(state.DEPLOY.get('instance_type') or ''))}"
    )


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
    file: UploadedFile | None = state.DEPLOY.get("names_file")
    if file is not None:
        classes = Classes.from_json(file.getvalue())
        rows = zip(classes.names, classes.colors, strict=True)
        lines = [f"{name} #{red:02x}{green:02x}{blue:02x}" for name, (red, green, blue) in rows]
        state.DEPLOY.set("names", "\n".join(lines))
        state.DEPLOY.renew("names_file")


def _text(label: str, field: str, why: str, placeholder: str = "") -> None:
    st.text_input(
        label, key=state.DEPLOY.field(field), help=why, placeholder=placeholder, persist_state="session"
    )
