"""SageMaker's control plane: the operations on models, endpoint configurations and tags.

`Control.call` looks an operation up in one table; another group of operations (endpoints, training, search) is
another class with a table of its own, given to `Control`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from sandbox.common.environment import environment_problem
from sandbox.common.store import Document
from sandbox.http.protocol import ApiError, Params, unknown_operation
from sandbox.services.sagemaker.resources import Operation, Resources

MAX_TAGS = 50
_NOT_SERVED = ("ShadowProductionVariants", "AsyncInferenceConfig", "ExplainerConfig")


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
        if problem := environment_problem(container.get("Environment") or {}):
            raise ApiError("ValidationException", f"Environment: {problem}")
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
        for member in _NOT_SERVED:
            if params.get(member):
                raise ApiError("ValidationException", f"The sandbox offers no {member} of an endpoint.")
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


class Tags:
    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def operations(self) -> dict[str, Operation]:
        return {"AddTags": self.add, "ListTags": self.list, "DeleteTags": self.delete}

    def add(self, params: Params) -> Params:
        """Add tags; a key that is there already gets the new value."""
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

    def __init__(self, resources: Resources, *more: Group) -> None:
        groups: tuple[Group, ...] = (Models(resources), EndpointConfigs(resources), Tags(resources), *more)
        self._operations = {name: run for group in groups for name, run in group.operations().items()}

    def call(self, operation: str, params: Params) -> Params | None:
        """Run one operation with valid parameters. Raises ApiError, for an operation not offered too."""
        run = self._operations.get(operation)
        if run is None:
            raise unknown_operation("sagemaker", operation)
        return run(params)
