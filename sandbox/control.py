"""SageMaker's control plane: the operations on models, endpoint configurations, endpoints and tags.

`Control.call` looks an operation up in one table; another group of operations (training, search) is another class
with a table of its own, given to `Control`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from sandbox.lifecycle import Endpoints
from sandbox.limits import Place
from sandbox.listing import Listing
from sandbox.protocol import ApiError, Params, unknown_operation
from sandbox.store import Document, Store

Operation = Callable[[Params], Params | None]
MAX_TAGS = 50
# Kind, as ARNs and the store spell it -> the prefix of its members, and its name in error messages.
_PREFIX = {
    "model": "Model",
    "endpoint-config": "EndpointConfig",
    "endpoint": "Endpoint",
    "training-job": "TrainingJob",
}
_WORDS = {
    "model": "model",
    "endpoint-config": "endpoint configuration",
    "endpoint": "endpoint",
    "training-job": "training job",
}


class Resources:
    """The stored documents under SageMaker's names and with its errors."""

    def __init__(self, store: Store, place: Place, clock: Callable[[], float] = time.time) -> None:
        self.store, self.clock = store, clock
        self._arn = f"arn:aws:sagemaker:{place.region}:{place.account}"

    def arn(self, kind: str, name: str) -> str:
        return f"{self._arn}:{kind}/{name.lower()}"

    def get(self, kind: str, name: str) -> Document:
        """Raises ApiError ValidationException when there is none."""
        document = self.store.get(kind, name)
        if document is None:
            raise ApiError("ValidationException", f'Could not find {_WORDS[kind]} "{self.arn(kind, name)}".')
        return document

    def create(self, kind: str, name: str, members: Params) -> Params:
        """Store a new document with its ARN and times; the answer of a Create operation. Raises ApiError."""
        now, member = self.clock(), f"{_PREFIX[kind]}Arn"
        document = {**members, member: self.arn(kind, name), "CreationTime": now, "LastModifiedTime": now}
        if not self.store.insert(kind, name, document):
            text = f'Cannot create already existing {_WORDS[kind]} "{document[member]}".'
            raise ApiError("ValidationException", text)
        return {member: document[member]}

    def delete(self, kind: str, name: str) -> None:
        """Raises ApiError when there is none."""
        self.get(kind, name)
        self.store.delete(kind, name)

    def page(self, kind: str, member: str, params: Params, *, status: str | None = None) -> Params:
        """The answer of a List operation: one page under `member`."""
        listing = Listing(f"{_PREFIX[kind]}Name", status)
        documents, token = listing.page(self.store.view(kind), params)
        return {member: documents, "NextToken": token}

    def by_arn(self, arn: str) -> tuple[str, str]:
        """Kind and name of what an ARN stands for. Raises ApiError when nothing does."""
        kind, _, name = arn.split(":", 5)[-1].partition("/")
        if kind not in _PREFIX or self.arn(kind, name) != arn.lower():
            raise ApiError("ValidationException", f'Could not find resource "{arn}".')
        self.get(kind, name)
        return kind, name

    def is_training_job(self, arn: str) -> bool:
        kind, _, name = arn.split(":", 5)[-1].partition("/")
        known = kind == "training-job" and self.arn(kind, name) == arn.lower()
        return known and self.store.get(kind, name) is not None


class Models:
    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def operations(self) -> dict[str, Operation]:
        resources = self._resources
        return {
            "CreateModel": self.create,
            "DescribeModel": lambda params: resources.get("model", params["ModelName"]),
            "DeleteModel": lambda params: resources.delete("model", params["ModelName"]),
            "ListModels": lambda params: resources.page("model", "Models", params),
        }

    def create(self, params: Params) -> Params:
        containers = [params[name] for name in ("PrimaryContainer",) if name in params] + params.get(
            "Containers", []
        )
        if len(containers) != 1:
            text = f"The sandbox serves models of one container, not of {len(containers)}."
            raise ApiError("ValidationException", text)
        container = containers[0]
        if not container.get("Image"):
            raise ApiError("ValidationException", "Container image should be provided: set Image.")
        if container.get("ModelDataSource"):
            text = "The sandbox reads a model from ModelDataUrl (a .tar.gz in S3), not from ModelDataSource."
            raise ApiError("ValidationException", text)
        isolation = {"EnableNetworkIsolation": params.get("EnableNetworkIsolation", False)}
        return self._resources.create("model", params["ModelName"], {**params, **isolation})


class EndpointConfigs:
    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def operations(self) -> dict[str, Operation]:
        kind, resources = "endpoint-config", self._resources
        return {
            "CreateEndpointConfig": self.create,
            "DescribeEndpointConfig": lambda params: resources.get(kind, params["EndpointConfigName"]),
            "DeleteEndpointConfig": lambda params: resources.delete(kind, params["EndpointConfigName"]),
            "ListEndpointConfigs": lambda params: resources.page(kind, "EndpointConfigs", params),
        }

    def create(self, params: Params) -> Params:
        variants = [self._variant(variant) for variant in params["ProductionVariants"]]
        names = [variant["VariantName"] for variant in variants]
        if len(set(names)) != len(names):
            raise ApiError("ValidationException", f"Production variant names must be unique, not {names}.")
        members = {**params, "ProductionVariants": variants}
        return self._resources.create("endpoint-config", params["EndpointConfigName"], members)

    def _variant(self, variant: Params) -> Params:
        if "ServerlessConfig" in variant or "InstancePools" in variant:
            raise ApiError(
                "ValidationException", "The sandbox serves from instances: give InstanceType and a count."
            )
        for member in ("ModelName", "InstanceType", "InitialInstanceCount"):
            if member not in variant:
                text = f"{member} is required for production variant {variant['VariantName']}."
                raise ApiError("ValidationException", text)
        self._resources.get("model", variant["ModelName"])
        return {"InitialVariantWeight": 1.0, **variant}


class EndpointOperations:
    def __init__(self, resources: Resources, endpoints: Endpoints) -> None:
        self._resources, self._endpoints = resources, endpoints

    def operations(self) -> dict[str, Operation]:
        resources = self._resources
        status = "EndpointStatus"
        return {
            "CreateEndpoint": self.create,
            "DescribeEndpoint": lambda params: resources.get("endpoint", params["EndpointName"]),
            "DeleteEndpoint": self.delete,
            "ListEndpoints": lambda params: resources.page("endpoint", "Endpoints", params, status=status),
        }

    def create(self, params: Params) -> Params:
        """The endpoint remembers its variants and containers: it lives on when its config or model is deleted."""
        config = self._resources.get("endpoint-config", params["EndpointConfigName"])
        variants = [
            {**variant, "_container": self._container(variant)} for variant in config["ProductionVariants"]
        ]
        members = {**params, "EndpointStatus": "Creating", "_variants": variants}
        result = self._resources.create("endpoint", params["EndpointName"], members)
        self._endpoints.start(params["EndpointName"])
        return result

    def _container(self, variant: Document) -> Document:
        model = self._resources.get("model", variant["ModelName"])
        container: Document = model.get("PrimaryContainer") or model["Containers"][0]
        return container

    def delete(self, params: Params) -> None:
        document = self._resources.get("endpoint", params["EndpointName"])

        def mark(document: Document) -> None:
            if document["EndpointStatus"] not in {"InService", "Failed", "OutOfService"}:
                text = f'Cannot update in-progress endpoint "{document["EndpointArn"]}".'
                raise ApiError("ValidationException", text)
            document["EndpointStatus"] = "Deleting"

        self._resources.store.update("endpoint", document["EndpointName"], mark)
        self._endpoints.delete(document["EndpointName"])


class Tags:
    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def operations(self) -> dict[str, Operation]:
        return {"AddTags": self.add, "ListTags": self.list, "DeleteTags": self.delete}

    def add(self, params: Params) -> Params:
        """A key that is there already gets the new value."""
        given = {tag["Key"]: tag for tag in params["Tags"]}

        def change(document: Document) -> None:
            tags = {**{tag["Key"]: tag for tag in document.get("Tags") or []}, **given}
            if len(tags) > MAX_TAGS:
                raise ApiError(
                    "ResourceLimitExceeded", f"A resource can have {MAX_TAGS} tags, not {len(tags)}."
                )
            document["Tags"] = list(tags.values())

        return {"Tags": self._change(params["ResourceArn"], change)}

    def list(self, params: Params) -> Params:
        kind, name = self._resources.by_arn(params["ResourceArn"])
        return {"Tags": self._resources.get(kind, name).get("Tags") or []}

    def delete(self, params: Params) -> None:
        def change(document: Document) -> None:
            document["Tags"] = [
                tag for tag in document.get("Tags") or [] if tag["Key"] not in params["TagKeys"]
            ]

        self._change(params["ResourceArn"], change)

    def _change(self, arn: str, change: Callable[[Document], None]) -> Any:
        kind, name = self._resources.by_arn(arn)
        document = self._resources.store.update(kind, name, change)
        return (document or {}).get("Tags") or []


class Group(Protocol):
    """Some operations, by name."""

    def operations(self) -> dict[str, Operation]: ...


class Control:
    """All operations of the control plane in one table."""

    def __init__(self, resources: Resources, endpoints: Endpoints, *more: Group) -> None:
        groups: tuple[Group, ...] = (
            Models(resources),
            EndpointConfigs(resources),
            EndpointOperations(resources, endpoints),
            Tags(resources),
            *more,
        )
        self._operations = {name: run for group in groups for name, run in group.operations().items()}

    def call(self, operation: str, params: Params) -> Params | None:
        """Run one operation with valid parameters. Raises ApiError, for an operation not offered too."""
        run = self._operations.get(operation)
        if run is None:
            raise unknown_operation("sagemaker", operation)
        return run(params)
