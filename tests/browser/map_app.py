"""An application with a map on its page, behind the browser boundary, as app.py has it.

MAP_FOLDER is that of its files. A request of /invalidate makes all links of the map invalid, as if they had expired.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pages.parts import boundary
from pages.parts.map import routes, service


async def invalidate(_request: Request) -> PlainTextResponse:
    """Change the key that signs the links."""
    service.maps()._key = secrets.token_bytes(32)
    return PlainTextResponse("done")


app = st.App(
    Path(__file__).with_name("map_page.py"),
    routes=[Route("/invalidate", invalidate), *routes.routes(service.maps, service.base_path())],
    middleware=[
        Middleware(
            boundary.BrowserBoundary,
            headers=boundary.security_headers(boundary.streamlit_index()),
            base_path=service.base_path(),
        )
    ],
)
