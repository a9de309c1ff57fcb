"""Whether everything is in place, and what to do where it is not."""

from __future__ import annotations

import streamlit as st

from core.aws.connection import Connection
from core.aws.identity import Caller
from core.endpoints.endpoint import in_words
from core.errors import CoreError
from core.settings import Settings
from pages.parts import backend, cached, links, messages, state
from pages.parts.shared_cache import PendingError


def main() -> None:
    """One line a thing that must hold, from the nearest to the farthest."""
    title = st.container(horizontal=True, vertical_alignment="center")
    title.title("Setup", width="stretch")
    title.button("Check again", icon=":material/refresh:", on_click=state.ask_retry)
    settings = backend.settings()
    _mode(settings)
    try:
        connection = backend.connection()
    except CoreError as error:
        _line("Connection", error)
        return
    _line("Address", f"{connection.aws_url or 'AWS itself'}, region {connection.region}")
    who = cached.caller(connection)
    _line("Identity", f"{who.arn}, account {who.account}" if isinstance(who, Caller) else who)
    _endpoints(connection)
    _limits(settings)


def _mode(settings: Settings) -> None:
    if settings.mode == "sandbox":
        _line(
            "Mode",
            f"The sandbox on this machine, kept in {settings.sandbox_dir}",
            "SEGDECK_MODE=aws uses your account.",
        )
    else:
        profile = f"profile {settings.profile}" if settings.profile else "AWS's own chain of credentials"
        _line("Mode", f"AWS, by {profile}", "Without SEGDECK_MODE=aws, all runs on this machine.")


def _endpoints(connection: Connection) -> None:
    try:
        listed = cached.endpoints(connection).endpoints
    except (CoreError, PendingError) as error:
        _line("Endpoints", error)
        return
    ready = [endpoint.name for endpoint in listed if endpoint.in_service]
    others = [f"{one.name} is {in_words(one.status)}" for one in listed if not one.in_service]
    if ready:
        _line("Endpoints", f"{', '.join(ready)} in service", "; ".join(others))
    else:
        _line(
            "Endpoints",
            CoreError("None is in service.", why="; ".join(others), todo=_how_to_get_one(connection)),
        )
        st.page_link(links.DEPLOY, label="Deploy a model", icon=":material/deployed_code:")


def _how_to_get_one(connection: Connection) -> str:
    if connection.is_sandbox:
        return "The sandbox brings two of its own, which take a moment after its start: check again."
    return f"Deploy a model in {connection.region}, or set AWS_REGION to the region where yours is."


def _limits(settings: Settings) -> None:
    _line(
        "Photographs",
        f"Up to {settings.max_upload_bytes // 1_000_000} MB each",
        "SEGDECK_MAX_UPLOAD_MB sets another limit.",
    )
    _line(
        "Image memory",
        f"{settings.image_memory_bytes // 1_000_000:,} MB for decoded images of all visitors",
        "SEGDECK_IMAGE_MEMORY_MB sets another limit; images wait for their share.",
    )


def _line(name: str, found: str | CoreError | PendingError, hint: str = "") -> None:
    """Draw a thing, whether it holds, what was found, and what to do."""
    if isinstance(found, PendingError):
        sign = ":gray[:material/hourglass_top:]"
    else:
        sign = ":green[:material/check_circle:]" if isinstance(found, str) else ":red[:material/error:]"
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(sign, width="content")
        st.markdown(f"**{name}**", width=110)
        with st.container(gap=None):
            if isinstance(found, PendingError):
                messages.waiting_line(found)
            else:
                st.markdown(messages.plain(found) if isinstance(found, str) else messages.card(found))
            if hint:
                st.caption(messages.plain(hint))


main()
