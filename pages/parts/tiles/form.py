"""The plan of a large image in tiles: options, tiles, requests, time and price, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import streamlit as st

from core.aws.connection import Connection, clients
from core.cost.tiles import TilePrice
from core.datasets.temp_zip import TempFolder
from core.endpoints.endpoint import EndpointInfo
from core.inference.invoke import Want
from core.text import byte_size, duration, plural
from core.tiles.plan import DEFAULT_OVERLAP
from core.tiles.preview import GrowingMap, preview_image
from pages.parts import messages, tasks
from pages.parts.state import Slot
from pages.parts.tasks import BackgroundTask
from pages.parts.tiles import preview, source
from pages.parts.tiles.order import MapOrder, Planned, planned
from pages.parts.tiles.source import SourceFile

POLYGONS = {"": "None", "gpkg": "GeoPackage", "geojson": "GeoJSON"}


@dataclass(frozen=True, slots=True, eq=False)
class PlanView:
    """A plan as it is shown. preview: JPEG, the image with the borders of the tiles."""

    plan: Planned
    preview: bytes


@dataclass(slots=True, eq=False)
class _Current:
    """The plan that is made or shown, and what it was made from."""

    order: MapOrder
    endpoint: EndpointInfo
    connection: Connection
    task: BackgroundTask[PlanView]


_PLAN: Slot[_Current] = Slot("tiles.plan")
_AREA: Slot[tuple[str, TempFolder]] = Slot("tiles.area")
"""The id of the uploaded area, and the folder that it is in."""


def show(
    connection: Connection,
    endpoint: EndpointInfo,
    want: Want,
    start: Callable[[MapOrder, SourceFile], None],
) -> None:
    """Draw the image, its plan and the button that starts. start: called with what was confirmed."""
    chosen = source.choose(connection)
    if chosen is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{messages.plain(chosen.path.name)}**", width="stretch")
        st.button("Another image", icon=":material/close:", type="tertiary", on_click=leave)
    order = _options(MapOrder(str(chosen.path), want=want))
    current = _PLAN.get()
    if current is None or (current.order, current.endpoint, current.connection) != (
        order,
        endpoint,
        connection,
    ):
        current = _Current(
            order,
            endpoint,
            connection,
            tasks.start("Planning", lambda _: _planned(order, connection, endpoint)),
        )
        _PLAN.set(current)
    shown = tasks.show(
        current.task, "tile-plan", status=lambda: "Reading the image and planning the tiles ..."
    )
    if shown is not None:
        _plan(shown, order, endpoint, lambda confirmed: start(confirmed, chosen))


def leave() -> None:
    """Leave the image, its plan and its area; in a callback."""
    source.forget()
    _PLAN.clear()
    _AREA.clear()


def _options(order: MapOrder) -> MapOrder:
    """Draw the options, in a closed box; return them."""
    with st.expander("Options", icon=":material/tune:"):
        with st.grid(3, min_column_width=150):
            tile = st.text_input(
                "Tile size",
                key="tile-size",
                placeholder="512, or the model's crop size",
                help="Pixels of a tile's side, a multiple of 16.",
            )
            overlap = st.text_input(
                "Overlap",
                str(DEFAULT_OVERLAP),
                key="tile-overlap",
                help="Pixels that neighbors overlap, and are blended over.",
            )
            bands = st.text_input(
                "Bands",
                key="tile-bands",
                placeholder="red, green, blue",
                help="Numbers from 1, such as 3,2,1; or one as gray.",
            )
            stretch = st.text_input(
                "Stretch",
                key="tile-stretch",
                placeholder="2,98 for more than 8 bits",
                help="Percentiles of each band that become black and white. 8-bit values are sent unchanged.",
            )
            polygons = st.selectbox(
                "Polygons", list(POLYGONS), format_func=POLYGONS.__getitem__, key="tile-polygons",
                help="The map as polygons too, for an image with coordinates of up to 40 million pixels.",
            )  # fmt: skip
        area = st.file_uploader(
            "Area (GeoJSON): only tiles inside its polygons are sent",
            type=["geojson", "json"],
            max_upload_size=50,
            key="tile-area",
        )
    path = ""
    if area is not None:
        kept = _AREA.get()
        if kept is None or kept[0] != area.file_id:
            folder = TempFolder()
            (folder.path / "area.geojson").write_bytes(area.getbuffer())
            kept = area.file_id, folder
            _AREA.set(kept)
        path = str(kept[1].path / "area.geojson")
    return replace(
        order, tile=tile, overlap=overlap, bands=bands, stretch=stretch, polygons=polygons, area=path
    )


def _planned(order: MapOrder, connection: Connection, endpoint: EndpointInfo) -> PlanView:
    with planned(order, clients(connection), endpoint) as (plan, reader):
        table = preview.colors(endpoint.classes)
        drawn = GrowingMap(preview_image(reader), plan.plan, table).planned()
        return PlanView(plan, preview.jpeg(drawn))


def _plan(view: PlanView, order: MapOrder, endpoint: EndpointInfo, start: Callable[[MapOrder], None]) -> None:
    scene, plan, price = view.plan.scene, view.plan.plan, view.plan.price
    left, right = st.columns([2, 3], gap="medium")
    with left:
        st.image(view.preview, output_format="JPEG", width="stretch")
        st.caption(
            f"{scene.width:,} × {scene.height:,} pixels · {scene.bands} × {scene.dtype} · "
            f"{'georeferenced' if scene.transform else 'no coordinates'} · {byte_size(scene.file_size)}"
        )
    with right:
        down, across = len(plan.rows.starts), len(plan.columns.starts)
        with st.grid(3, min_column_width=130, gap="small"):
            st.metric("Requests", f"{plan.requests:,}", border=True)
            st.metric("Tiles", f"{down:,} × {across:,}", border=True, help="Rows × columns.")
            st.metric("Tile", f"{plan.columns.tile} × {plan.rows.tile}", border=True, help="In pixels.")
            st.metric("Sent", byte_size(plan.request_bytes), border=True)
            st.metric(
                "Expected time", "unknown" if price.seconds is None else duration(price.seconds), border=True
            )
            label, amount, help_text = _price(price)
            st.metric(label, amount, border=True, help=help_text)
        skipped = [
            f"{plural(len(tiles), 'tile')} {why}: not sent"
            for tiles, why in ((plan.empty, "without data"), (plan.outside, "outside the area"))
            if tiles
        ]
        if skipped:
            st.caption(f":material/block: {'; '.join(skipped)}.")
        for note in view.plan.notes:
            st.caption(f":material/info: {messages.plain(note)}")
        st.caption(f":material/payments: {messages.plain(price.source)}")
        suffix = "GeoTIFF" if scene.transform else "PNG"
        files = [f"mask ({suffix})"] + ([f"confidence ({suffix})"] if order.output == "probabilities" else [])
        files += [f"polygons ({POLYGONS[order.polygons]})"] if order.polygons else []
        st.caption(f":material/draft: Files: {', '.join(files)}, areas (CSV), JSON.")
        amount = "" if price.expected is None else f" · {_dollars(str(price.expected))}"
        st.button(
            f"Segment: {plural(plan.requests, 'request')}{amount}",
            type="primary",
            icon=":material/grid_view:",
            key="tiles-start",
            on_click=start,
            args=(replace(order, requests=str(plan.requests)),),
            help=f"Sends the tiles to {messages.plain(endpoint.name)}. Each is sent once, and kept.",
        )


def _price(price: TilePrice) -> tuple[str, str, str]:
    """Return label, amount and help: the price of the whole, or per hour where the time is unknown."""
    label = "Price" if price.billed else "AWS price"
    note = "" if price.billed else " Nothing is billed in the sandbox."
    if price.expected is None and price.per_hour is not None:
        return f"{label} per hour", _dollars(str(price.per_hour)), f"Of the endpoint's instances.{note}"
    amount = "unknown" if price.expected is None else _dollars(str(price.expected))
    return label, amount, f"Of the endpoint's instances for that time.{note}"


def _dollars(text: str) -> str:
    """Return an amount so that Markdown does not read it as a formula."""
    return text.replace("$", r"\$")
