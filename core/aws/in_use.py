"""Check what uses an endpoint configuration or a model right before it is deleted.

AWS silently deletes a configuration that a live endpoint uses. Search reads an index that lags some seconds behind,
so here it only saves calls: ListEndpoints returns which endpoints exist, and DescribeEndpoint the configuration of
those that Search does not know, reports differently, or reports as users. A short race between this check and the
deletion remains; AWS offers no way to avoid it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from core.aws.connection import Clients
from core.aws.endpoint_detail import listed_names
from core.aws.endpoints import all_endpoints, configs, list_endpoints
from core.aws.operations import endpoint_now
from core.endpoints.endpoint import Endpoint, EndpointConfig
from core.errors import DeniedError, NotFoundError, RejectedError
from core.plans.plan import ApiCall

UNSEEN = "Segdeck could not check whether something else uses it."


@dataclass(slots=True)
class UseCheck:
    """Finds the users of resources during one plan.

    configurations: those read so far; a configuration never changes, so each is read once.
    """

    clients: Clients
    configurations: dict[str, EndpointConfig] = field(default_factory=dict)

    def reason_to_keep(self, step: ApiCall) -> str:
        """Return why the resource that a step deletes must be kept, as "It is used by ..."; empty if it can go.

        Raises AwsError if the check failed for another reason than missing permission.
        """
        try:
            if step.operation == "DeleteEndpointConfig":
                return self._of_config(step.params["EndpointConfigName"])
            if step.operation == "DeleteModel":
                return self._of_model(step.params["ModelName"])
        except (DeniedError, RejectedError) as error:
            return f"{UNSEEN} {error}"
        return ""

    def _of_config(self, config: str) -> str:
        fleet = list_endpoints(self.clients)
        if not fleet.complete:
            return f"{UNSEEN} There are too many endpoints to check."
        users = list(self._endpoints_on(config, fleet.endpoints))
        return _used_by("the endpoint", users)

    def _endpoints_on(self, config: str, listed: tuple[Endpoint, ...]) -> Iterator[str]:
        indexed = {endpoint.name: endpoint for endpoint in all_endpoints(self.clients).endpoints}
        for endpoint in listed:
            known = indexed.get(endpoint.name)
            settled = known is not None and known.config and not endpoint.changing
            fresh = settled and known is not None and known.modified_at == endpoint.modified_at
            if fresh and known is not None and known.config != config:
                continue
            if config in self._configs_of(endpoint.name):
                yield endpoint.name

    def _configs_of(self, endpoint: str) -> tuple[str, ...]:
        """Return its current and pending configurations; none if it is deleted."""
        try:
            answer = endpoint_now(self.clients, {"EndpointName": endpoint})
        except NotFoundError:
            return ()
        pending = answer.get("PendingDeploymentSummary", {}).get("EndpointConfigName", "")
        return (answer.get("EndpointConfigName", ""), pending)

    def _of_model(self, model: str) -> str:
        names = listed_names(self.clients, "endpoint configurations", "EndpointConfigs", "EndpointConfigName")
        if names is None:
            return f"{UNSEEN} There are too many endpoint configurations to check."
        notes: list[str] = []
        unread = [name for name in names if name not in self.configurations]
        self.configurations |= configs(self.clients, unread, notes=notes)
        if notes:
            return f"{UNSEEN} {notes[0]}"
        users = [name for name in names if model in self.configurations[name].models]
        return _used_by("the endpoint configuration", users)


def _used_by(kind: str, names: list[str]) -> str:
    return f"It is used by {kind} {', '.join(names)}." if names else ""
