"""What a plan of tiles needs from AWS: the crop size of the endpoint's model, its speed and its price."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from core.aws.batch_speed import endpoint_speed
from core.aws.connection import Clients
from core.aws.prices import prices
from core.aws.training import describe_job
from core.cost.tiles import TilePrice, tile_price
from core.endpoints.endpoint import EndpointInfo
from core.errors import AwsError
from core.tiles.plan import default_tile


def tile_size_of(clients: Clients, info: EndpointInfo, say: Callable[[str], None]) -> tuple[int, int]:
    """Return the default width and height of a tile for an endpoint. say: gets why the crop size is unknown."""
    side = default_tile(_crop_size(clients, info, say))
    return side, side


def price_of_tiles(
    clients: Clients,
    info: EndpointInfo,
    requests: int,
    *,
    concurrency: int,
    now: datetime,
    say: Callable[[str], None],
) -> TilePrice:
    """Return the time and price of so many requests. say: gets why the speed is unknown."""
    try:
        speed = endpoint_speed(clients, info.name, now)
    except AwsError as error:
        say(f"The speed of {info.name} is unknown. {error}")
        speed = None
    return tile_price(requests, concurrency, speed, info.variants, prices(clients))


def _crop_size(clients: Clients, info: EndpointInfo, say: Callable[[str], None]) -> int | None:
    """Return the crop size that the model was trained with; None if unknown."""
    if not info.job:
        return None
    try:
        text = describe_job(clients, info.job).hyperparameters.get("crop_size", "")
    except AwsError as error:
        say(f"The crop size of the model is unknown. {error}")
        return None
    return int(text) if text.isdecimal() else None
