"""How to segment more images than a page can show: through the endpoint, or as a transform job, with both prices."""

from __future__ import annotations

import shlex

import streamlit as st

from core.aws.connection import Connection
from core.cost.hosting import hosting_price
from core.cost.training import Money, cost_label
from core.endpoints.endpoint import EndpointInfo
from core.training.defaults import INSTANCE
from pages.parts import account, cached, elements, links, messages, state

LABEL = "Segment a folder or S3 prefix"


def offer(connection: Connection, endpoint: EndpointInfo) -> None:
    """Draw both ways, each with its price per hour, in a closed box."""
    with st.expander(LABEL, icon=":material/burst_mode:"):
        through, batch = st.columns(2, gap="medium")
        prices = cached.prices(connection)
        sandbox = connection.is_sandbox
        with through:
            st.markdown("**Through this endpoint**")
            hourly = hosting_price(endpoint.variants, prices).per_hour if endpoint.variants else None
            idle = ", also while it is idle: images add nothing to it" if hourly else ""
            st.caption(
                f"From a terminal: several images at once, and resumable. {_price(hourly, sandbox=sandbox)} for "
                f"{messages.plain(endpoint.name)}{idle}."
            )
            words = command("s3://BUCKET/IMAGES/", endpoint.name, "s3://BUCKET/MASKS/")
            elements.code(words, language=None, wrap_lines=True)
        with batch:
            st.markdown("**As a transform job**")
            st.caption(
                "Instances that start for the images and stop when they are done. "
                f"{_price(prices.per_hour(INSTANCE, 'hosting'), sandbox=sandbox)} for one {INSTANCE}, only while the "
                "job runs. A local folder is uploaded first."
            )
            links.page_link(
                links.LAUNCH_BATCH,
                label="Start a batch",
                icon=":material/rocket_launch:",
                query_params={state.ENDPOINT: endpoint.name},
            )


def command(images: str, endpoint: str, out: str, *more: str) -> str:
    """Return the command that segments images with an endpoint of the chosen account and region."""
    chosen = account.choice()
    options = {"--account": chosen.account, "--profile": chosen.profile, "--region": chosen.region}
    words = ["segdeck", "segment", images, *more, "--endpoint", endpoint, "--out", out]
    words += [word for name, value in options.items() if value for word in (name, value)]
    return shlex.join(words)


def _price(amount: Money | None, *, sandbox: bool) -> str:
    return f"{cost_label('Cost per hour', sandbox=sandbox)}: {messages.plain(str(amount)) if amount else 'unknown'}"
