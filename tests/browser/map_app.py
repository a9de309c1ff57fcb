"""An application with a map on its page, behind the browser boundary, as app.py has it. MAP_FOLDER: of its files."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from pages.parts import boundary
from pages.parts.map import routes, service

app = st.App(
    Path(__file__).with_name("map_page.py"),
    routes=routes.routes(service.maps, service.base_path()),
    middleware=[
        Middleware(
            boundary.BrowserBoundary,
            headers=boundary.security_headers(boundary.streamlit_index()),
            base_path=service.base_path(),
        )
    ],
)
