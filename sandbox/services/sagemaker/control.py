"""SageMaker's control plane: the operations on models, endpoint configurations and tags.

`Control.call` looks an operation up in one table; another group of operations (endpoints, training, search) is
another class with a table of its own, passed to `Control`. Source: SageMaker API reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from sandbox.common.environment import environment_problem
from sandbox.common.store import Document
from sandbox.http.protocol import ApiError, Params, unknown_operation
from sandbox.services.sagemaker import members
from sandbox.services.sagemaker.references import References
from sandbox.services.sagemaker.resources import Operation, Resources

MAX_TAGS = 50


class Models:
    """The operations on models."""

    def __init__(self, resources: Resources, references: References) -> None:
        self._resources, self._references = resources, references

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        resources = self._resources
        return {
            "CreateModel": self.create,
            "DescribeModel": lambda params: resources.get("model", params["ModelName"]),
            "DeleteModel": lambda params: resources.delete("model", params["ModelName"]),
            "ListModels": lambda params: resources.page("model", "Models", params),
        }

    def create(self, params: Params) -> Params:
        """Answer CreateModel for a model of one container. Raises ApiError."""
        members.MODEL.check(params)
        containers = [params[name] for name in ("PrimaryContainer",) if name in params] + params.get(
            "Containers", []
        )
        if len(containers) != 1:
            text = f"The sandbox supports models with one container, not {len(containers)}."
            raise ApiError("ValidationException", text)
        container = containers[0]
        if not container.get("Image"):
            raise ApiError("ValidationException", "Container image should be provided: set Image.")
        if problem := environment_problem(container.get("Environment") or {}):
            raise ApiError("ValidationException", f"Environment: {problem}")
        self._references.check_role(params.get("ExecutionRoleArn"))
        self._references.check_model(container.get("ModelDataUrl"))
        isolation = {"EnableNetworkIsolation": params.get("EnableNetworkIsolation", False)}
        return self._resources.create("model", params["ModelName"], {**params, **isolation})


class EndpointConfigs:
    """The operations on endpoint configurations."""

    def __init__(self, resources: Resources, references: References) -> None:
        self._resources, self._references = resources, references

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        kind, resources = "endpoint-config", self._resources
        return {
            "CreateEndpointConfig": self.create,
            "DescribeEndpointConfig": lambda params: resources.get(kind, params["EndpointConfigName"]),
            "DeleteEndpointConfig": lambda params: resources.delete(kind, params["EndpointConfigName"]),
            "ListEndpointConfigs": lambda params: resources.page(kind, "EndpointConfigs", params),
        }

    def create(self, params: Params) -> Params:
        """Answer CreateEndpointConfig for variants on instances. Raises ApiError."""
        members.ENDPOINT_CONFIG.check(params)
        self._references.check_role(params.get("ExecutionRoleArn"))
        if capture := params.get("DataCaptureConfig"):
            self._references.check_bucket("DataCaptureConfig.DestinationS3Uri", capture["DestinationS3Uri"])
        variants = [self._variant(variant) for variant in params["ProductionVariants"]]
        names = [variant["VariantName"] for variant in variants]
        if len(set(names)) != len(names):
            raise ApiError("ValidationException", f"Production variant names must be unique, not {names}.")
        document = {**params, "ProductionVariants": variants}
        return self._resources.create("endpoint-config", params["EndpointConfigName"], document)

    def _variant(self, variant: Params) -> Params:
        """Return a variant with AWS's defaults. Raises ApiError."""
        for member in ("ModelName", "InstanceType", "InitialInstanceCount"):
            if member not in variant:
                text = f"{member} is required for production variant {variant['VariantName']}."
                raise ApiError("ValidationException", text)
        self._resources.get("model", variant["ModelName"])
        return {"InitialVariantWeight": 1.0, **variant}


class Tags:
    """The operations on tags."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {"AddTags": self.add, "ListTags": self.list, "DeleteTags": self.delete}

    def add(self, params: Params) -> Params:
        """Answer AddTags; an existing key gets the new value. Raises ApiError."""
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
        """Answer ListTags, in one page. Raises ApiError."""
        kind, name = self._resources.by_arn(params["ResourceArn"])
        return {"Tags": self._resources.get(kind, name).get("Tags") or []}

    def delete(self, params: Params) -> None:
        """Answer DeleteTags. Raises ApiError."""

        def change(document: Document) -> None:
            document["Tags"] = [
                tag for tag in document.get("Tags") or [] if tag["Key"] not in params["TagKeys"]
            ]

        self._change(params["ResourceArn"], change)

    def _change(self, arn: str, change: Callable[[Document], None]) -> Any:
        """Change the document behind an ARN and return its tags. Raises ApiError."""
        kind, name = self._resources.by_arn(arn)
        document = self._resources.store.update(kind, name, change)
        return (document or {}).get("Tags") or []


class Group(Protocol):
    """A group of operations."""

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""


class Control:
    """All operations of the control plane in one table."""

    def __init__(self, resources: Resources, references: References, *more: Group) -> None:
        models, configs = Models(resources, references), EndpointConfigs(resources, references)
        groups: tuple[Group, ...] = (models, configs, Tags(resources), *more)
        self._operations = {name: run for group in groups for name, run in group.operations().items()}

    def call(self, operation: str, params: Params) -> Params | None:
        """Run one operation with validated parameters. Raises ApiError, also for an unsupported operation."""
        run = self._operations.get(operation)
        if run is None:
            raise unknown_operation("sagemaker", operation)
        return run(params)
