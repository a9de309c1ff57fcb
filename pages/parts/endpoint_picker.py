"""The choice of an endpoint, and of how it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.aws.connection import Connection
from core.endpoints.endpoint import Endpoint, EndpointInfo, in_words
from core.errors import CoreError, NotFoundError, NotReadyError
from core.escaping import terminal
from core.imaging.image import FIT
from core.inference.invoke import Want
from core.text import listing
from pages.parts import cached, links, messages, state
from pages.parts.shared_cache import PendingError

ANSWERS: dict[Want, str] = {"probabilities": "Probabilities", "mask": "Mask only"}
SIZES = {"fit": f"Fits {FIT[0]} × {FIT[1]}", "own": "Own size"}
AGAINST = "against"
"""The key of the second endpoint's widget, which is bound to the URL under the same name."""

FEW_CLASSES = 12
"""Names of classes that one line holds."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom to ask, and how.

    fit:     the box that pictures are fitted into, (width, height); None: their own size.
    pending: set while the class names have not arrived; what is sent waits for them.
    """

    serving: EndpointInfo
    want: Want
    fit: tuple[int, int] | None
    pending: PendingError | None = None


@dataclass(frozen=True, slots=True)
class EndpointChoice:
    """Whom to judge, one or two, and in what box they see a photo. pending: as in `Choice`."""

    servings: tuple[EndpointInfo, ...]
    fit: tuple[int, int] | None
    pending: PendingError | None = None


def choose_judged(connection: Connection) -> EndpointChoice | None:
    """The row of choices of an evaluation; None as in `choose`. Raises AwsError, NotFoundError."""
    listed = cached.endpoints(connection).endpoints
    names = [endpoint.name for endpoint in listed if endpoint.in_service]
    asked = state.endpoint_asked_for()
    if not names and not asked:
        _none_in_service(connection, listed)
        return None
    with st.container(horizontal=True, vertical_alignment="top", gap="small"):
        name = _endpoint(names, asked)
        other = _against([one for one in names if one != name])
        size = _either(
            "The model sees", state.SIZE, SIZES, "Large photos take longer, and may be more than it takes."
        )
    if name not in names:
        raise _not_in_service(connection, name, listed, names)
    chosen = (name, other) if other else (name,)
    read = [_serving(connection, one) for one in chosen]
    pending = next((pending for _, pending in read if pending is not None), None)
    return EndpointChoice(tuple(serving for serving, _ in read), None if size == "own" else FIT, pending)


def _serving(connection: Connection, name: str) -> tuple[EndpointInfo, PendingError | None]:
    """Return the endpoint, as yet without class names where these are pending."""
    bare = cached.unnamed(connection, name)
    try:
        return cached.with_names(connection, bare), None
    except PendingError as pending:
        return bare, pending


def _against(names: list[str]) -> str | None:
    """A second endpoint to compare with, if one is wanted; a link to one that is not there chooses none."""
    found: str | None = st.selectbox(
        "Compare with",
        names,
        format_func=terminal,
        index=None,
        placeholder="No other endpoint",
        key=AGAINST,
        bind="query-params",
        help="Both are asked about the same photos; the table then shows the difference of each class.",
    )
    return found


def choose(connection: Connection) -> Choice | None:
    """The row of choices. None where there is no endpoint, which is then said. Raises AwsError, NotFoundError."""
    listed = cached.endpoints(connection).endpoints
    names = [endpoint.name for endpoint in listed if endpoint.in_service]
    asked = state.endpoint_asked_for()
    if not names and not asked:
        _none_in_service(connection, listed)
        return None
    with st.container(horizontal=True, vertical_alignment="top", gap="small"):
        name = _endpoint(names, asked)
        want = _either(
            "Answer", state.ANSWER, ANSWERS, "Probabilities show how sure the model is; a mask is smaller."
        )
        size = _either(
            "The model sees", state.SIZE, SIZES, "Large pictures take longer, and may be more than it takes."
        )
    if name not in names:
        raise _not_in_service(connection, name, listed, names)
    serving, pending = _serving(connection, name)
    return Choice(
        serving,
        "mask" if want == "mask" else "probabilities",
        None if size == "own" else FIT,
        pending,
    )


def _endpoint(names: list[str], asked: str) -> str:
    """The list to choose from. What a link asks for stays in it, also where it is not in service."""
    state.choose(state.ENDPOINT, asked or names[0])
    options = names if not asked or asked in names else [asked, *names]
    name: str = st.selectbox(
        "Endpoint",
        options,
        format_func=terminal,
        key=state.ENDPOINT,
        persist_state="session",
        on_change=state.clear_examples,  # they are pictures of the other endpoint's kind
    )
    state.remember_endpoint(name)
    return name


def _either(label: str, key: str, options: Mapping[Any, str], why: str) -> str | None:
    value: str | None = st.segmented_control(
        label,
        list(options),
        default=next(iter(options)),
        format_func=options.__getitem__,
        required=True,
        key=key,
        bind="query-params",
        help=why,
    )
    return value


def describe(choice: Choice) -> None:
    """Badges of the endpoint: how it is, on what it runs, what it knows."""
    serving = choice.serving
    machines = " + ".join(
        f"{'' if variant.count in {None, 1} else f'{variant.count} × '}{variant.instance_type or 'serverless'}"
        for variant in serving.variants
    )
    known = f"{len(serving.classes)} classes" if serving.classes else "class names unknown"
    known = known if choice.pending is None else "class names pending"
    with st.container(
        horizontal=True,
        horizontal_alignment="right",
        vertical_alignment="center",
        gap="xsmall",
        width="content",
    ):
        st.badge(messages.plain(in_words(serving.status)), icon=":material/check_circle:", color="green")
        if machines:
            st.badge(messages.plain(machines), icon=":material/memory:", color="gray")
        st.badge(
            known,
            icon=":material/palette:",
            color="gray",
            help=", ".join(messages.plain(name) for name in serving.classes.names)
            if serving.classes
            else None,
        )
        st.page_link(
            links.ENDPOINT,
            label="Endpoint",
            icon=":material/monitor_heart:",
            query_params={state.ENDPOINT: serving.name},
            help="Its traffic, cost, variants and log.",
        )


def introduce(serving: EndpointInfo) -> None:
    """Which classes it tells apart, for whoever has not asked it yet: of anything else it makes one of these."""
    if serving.classes:
        names = [messages.plain(name) for name in serving.classes.names]
        st.caption(f":material/palette: It knows {listing(names, FEW_CLASSES)}; nothing else.")


def warn(serving: EndpointInfo) -> None:
    """What a person should know of the endpoint before they wonder."""
    warn_of_another(serving.aws_algorithm)
    for text in serving.notes:
        st.caption(f":material/info: {messages.plain(text)}")


def warn_of_another(aws_algorithm: bool | None) -> None:
    """That another algorithm answers here, where that is known."""
    if aws_algorithm is False:
        st.warning(
            "**This endpoint does not run AWS's semantic segmentation algorithm.** It may not understand.",
            icon=":material/warning:",
        )


def _none_in_service(connection: Connection, listed: tuple[Endpoint, ...]) -> None:
    """What to do without any endpoint."""
    others = "".join(
        f"\n- **{messages.plain(one.name)}** is {messages.plain(in_words(one.status))}" for one in listed[:8]
    )
    if connection.is_sandbox:
        todo = "The sandbox brings two endpoints of its own, which take a moment at its start."
    else:
        todo = (
            f"Deploy a model in **{connection.region}**, or set `AWS_REGION` to the region where yours is. "
            "`make run` without `MODE=aws` starts two demo endpoints on this machine."
        )
    st.info(f"**No endpoint is in service here.** {todo}{others}", icon=":material/dns:")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Look again", icon=":material/refresh:", on_click=state.ask_retry)
        st.page_link(links.DEPLOY, label="Deploy a model", icon=":material/deployed_code:")


def _not_in_service(
    connection: Connection, name: str, listed: tuple[Endpoint, ...], names: list[str]
) -> CoreError:
    """A link, or an older choice, names an endpoint that cannot be asked: say so, and switch nothing silently."""
    todo = "Choose another above." if names else "Wait until one is in service, or deploy one."
    for one in listed:
        if one.name == name:
            return NotReadyError(f"The endpoint {name} is {in_words(one.status)}.", todo=todo)
    return NotFoundError(
        f"There is no endpoint {name}.",
        why=f"It was looked for in {connection.place.name}.",
        todo=todo,
    )
