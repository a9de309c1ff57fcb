"""One endpoint with all that belongs to it, and who else uses any of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.aws.connection import Clients
from core.endpoint_detail import EndpointDetail, Users
from core.endpoints import EndpointConfig


def endpoint_detail(clients: Clients, name: str) -> EndpointDetail:
    """One endpoint, whole. Raises NotFoundError, AwsError.

    Everything but the endpoint itself is optional: what may not be read is left out, with a note.
    """
    raise NotImplementedError


def users(
    clients: Clients, details: Sequence[EndpointDetail], known: Mapping[str, EndpointConfig] | None = None
) -> Users:
    """Which other endpoints and configurations use what belongs to these. Raises AwsError.

    known: configurations read before (see `core.aws.endpoints.configs`); only the others are asked for.
    """
    raise NotImplementedError
