"""The setup page: check settings, connection, identity and endpoints, and what to do about a failed check."""

from __future__ import annotations

import streamlit as st

from core.aws.connection import Connection
from core.endpoints.endpoint import in_words
from core.errors import CoreError
from core.notifications import webhook
from core.settings import Settings
from pages.parts import backend, cached, links, messages, state
from pages.parts.setup import report
from pages.parts.shared_cache import PendingError


def main() -> None:
    """Draw one line per check, from the local settings to the endpoints."""
    title = st.container(horizontal=True, vertical_alignment="center")
    title.title("Setup", width="stretch")
    title.button("Check again", icon=":material/refresh:", on_click=state.request_retry)
    settings = backend.settings()
    try:
        connection = backend.connection()
    except CoreError as error:
        _mode(settings)
        _line("Connection", error)
        return
    _mode(settings, connection)
    _line("Endpoint URL", f"{connection.aws_url or 'AWS'}, region {connection.region}")
    with messages.error_boundary("checks"):
        report.show(connection)
    st.header("Endpoints and limits")
    _endpoints(connection)
    _limits(settings)
    _notifications(settings)


def _mode(settings: Settings, connection: Connection | None = None) -> None:
    """Draw where the credentials come from. connection: None where it cannot be made."""
    role = f", assuming {connection.role_arn}" if connection is not None and connection.role_arn else ""
    name = connection.profile if connection is not None else settings.profile
    if settings.mode == "sandbox":
        _line(
            "Mode",
            f"Sandbox on this machine, data in {settings.sandbox_dir}{role}",
            "Set SEGDECK_MODE=aws to use your AWS account.",
        )
    else:
        profile = f"profile {name}" if name else "the default credential provider chain"
        _line(
            "Mode",
            f"AWS, with {profile}{role}",
            "Unset SEGDECK_MODE to run everything in the sandbox on this machine.",
        )


def _endpoints(connection: Connection) -> None:
    try:
        listed = cached.endpoints(connection).endpoints
    except (CoreError, PendingError) as error:
        _line("Endpoints", error)
        return
    ready = [endpoint.name for endpoint in listed if endpoint.in_service]
    others = [
        f"{endpoint.name} is {in_words(endpoint.status)}" for endpoint in listed if not endpoint.in_service
    ]
    if ready:
        _line("Endpoints", f"{', '.join(ready)} in service", "; ".join(others))
    else:
        _line(
            "Endpoints",
            CoreError("No endpoint is in service.", why="; ".join(others), todo=_next_step(connection)),
        )
        links.page_link(links.DEPLOY, label="Deploy a model", icon=":material/deployed_code:")


def _next_step(connection: Connection) -> str:
    if connection.has_demo:
        return "The sandbox is starting two demo endpoints. This takes a moment. Check again shortly."
    return f"Deploy a model in {connection.region}, or choose the region of your endpoints in the sidebar."


def _limits(settings: Settings) -> None:
    _line(
        "Upload limit",
        f"Up to {settings.max_upload_bytes // 1_000_000} MB per file",
        "Set SEGDECK_MAX_UPLOAD_MB to change this.",
    )
    _line(
        "Image memory",
        f"{settings.image_memory_bytes // 1_000_000:,} MB for decoded images, shared by all users",
        "Images wait while it is used up. Set SEGDECK_IMAGE_MEMORY_MB to change this.",
    )


def _notifications(settings: Settings) -> None:
    url = settings.webhook_url
    _line(
        "Notifications",
        f"Sent to {webhook.shown(url)}" if url else "None",
        "When a training job ends or an endpoint becomes idle."
        if url
        else "Set SEGDECK_WEBHOOK_URL to be notified when a training job ends or an endpoint becomes idle.",
    )


def _line(name: str, result: str | CoreError | PendingError, hint: str = "") -> None:
    """Draw the result of one check: a text if it passed, an error with what to do, or a waiting state."""
    if isinstance(result, PendingError):
        sign = ":gray[:material/hourglass_top:]"
    else:
        sign = ":green[:material/check_circle:]" if isinstance(result, str) else ":red[:material/error:]"
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(sign, width="content")
        st.markdown(f"**{name}**", width=110)
        with st.container(gap=None):
            if isinstance(result, PendingError):
                messages.waiting_line(result)
            else:
                st.markdown(messages.plain(result) if isinstance(result, str) else messages.card(result))
            if hint:
                st.caption(messages.plain(hint))


main()
