"""The operations on endpoints: requests are validated and stored here; `sandbox.hosting.lifecycle` runs them."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.common.limits import SandboxLimits
from sandbox.common.store import Document
from sandbox.hosting.autoscaling import Autoscaling
from sandbox.hosting.fleet import count_of, pending
from sandbox.hosting.lifecycle import Endpoints
from sandbox.http.protocol import ApiError, Params
from sandbox.services.sagemaker import members
from sandbox.services.sagemaker.resources import Operation, Resources

STATUS = "EndpointStatus"
# The properties kept by RetainAllVariantProperties -> their initial values in a configuration.
_RETAINED = {"DesiredInstanceCount": "InitialInstanceCount", "DesiredWeight": "InitialVariantWeight"}


class EndpointOperations:
    """The endpoint operations of the SageMaker API."""

    def __init__(
        self, resources: Resources, endpoints: Endpoints, autoscaling: Autoscaling, limits: SandboxLimits
    ) -> None:
        self._resources, self._endpoints, self._limits = resources, endpoints, limits
        self._autoscaling = autoscaling

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        resources = self._resources
        return {
            "CreateEndpoint": self.create,
            "DescribeEndpoint": lambda params: resources.get("endpoint", params["EndpointName"]),
            "UpdateEndpoint": self.update,
            "UpdateEndpointWeightsAndCapacities": self.update_weights,
            "DeleteEndpoint": self.delete,
            "ListEndpoints": lambda params: resources.page("endpoint", "Endpoints", params, status=STATUS),
        }

    def create(self, params: Params) -> Params:
        """Answer CreateEndpoint: the endpoint keeps its variants even when its config or model is deleted."""
        members.ENDPOINT.check(params)
        config, variants = self._deployment(params["EndpointConfigName"])
        document = {
            **params,
            "EndpointConfigName": config,
            STATUS: "Creating",
            "_variants": variants,
            "DataCaptureConfig": self._capture(config),
            "LastDeploymentConfig": params.get("DeploymentConfig"),
            "PendingDeploymentSummary": pending(config, variants, self._resources.clock()),
        }
        result = self._resources.create("endpoint", params["EndpointName"], document)
        self._endpoints.start(params["EndpointName"])
        return result

    def update(self, params: Params) -> Params:
        """Answer UpdateEndpoint: replace all replicas, with another configuration or the same one."""
        members.ENDPOINT_UPDATE.check(params)
        document = self._configured(params["EndpointName"])
        config, variants = self._deployment(params["EndpointConfigName"])
        self._check_targets(document, variants)
        capture, policy = self._capture(config), params.get("DeploymentConfig")
        if params.get("RetainAllVariantProperties"):
            excluded = {
                item["VariantPropertyType"] for item in params.get("ExcludeRetainedVariantProperties", ())
            }
            variants = _retain(variants, document["_variants"], excluded)
            self._check_counts(variants)
            if "DataCaptureConfig" not in excluded:
                capture = document.get("DataCaptureConfig")
        if policy is None and params.get("RetainDeploymentConfig"):
            policy = document.get("LastDeploymentConfig")
        wait = ((policy or {}).get("BlueGreenUpdatePolicy") or {}).get("TerminationWaitInSeconds", 0)
        wanted = {"EndpointConfigName": config, "variants": variants, "replace_all": True}
        return self._change(
            document["EndpointName"],
            {**wanted, "capture": capture, "termination_wait": wait},
            PendingDeploymentSummary=pending(config, variants, self._resources.clock()),
            LastDeploymentConfig=policy,
        )

    def update_weights(self, params: Params) -> Params:
        """Answer UpdateEndpointWeightsAndCapacities: the replicas that remain keep answering."""
        document = self._configured(params["EndpointName"])
        requested = {item["VariantName"]: item for item in params["DesiredWeightsAndCapacities"]}
        missing = sorted(requested.keys() - {variant["VariantName"] for variant in document["_variants"]})
        if missing:
            arn = self._resources.arn("endpoint-config", document["EndpointConfigName"])
            names = ", ".join(f'"{name}"' for name in missing)
            text = f'The variant name(s) {names} is/are not present within endpoint configuration "{arn}".'
            raise ApiError("ValidationException", text)
        variants = [
            _changed(variant, requested.get(variant["VariantName"], {})) for variant in document["_variants"]
        ]
        self._check_counts(variants)
        wanted = {
            "EndpointConfigName": document["EndpointConfigName"],
            "variants": variants,
            "replace_all": False,
        }
        shown = [
            _changed(variant, requested.get(variant["VariantName"], {}))
            for variant in document.get("ProductionVariants") or []
        ]
        return self._change(document["EndpointName"], wanted, ProductionVariants=shown)

    def delete(self, params: Params) -> None:
        """Answer DeleteEndpoint: allowed when InService, Failed or OutOfService, as in AWS."""
        name = self._resources.get("endpoint", params["EndpointName"])["EndpointName"]

        def mark(document: Document) -> None:
            if document[STATUS] not in {"InService", "Failed", "OutOfService"}:
                raise _in_progress(document)
            document[STATUS] = "Deleting"

        self._resources.store.update("endpoint", name, mark)
        self._autoscaling.forget(name)
        self._endpoints.delete(name)

    def _change(self, name: str, wanted: Document, **shown: object) -> Params:
        """Mark an endpoint in service as Updating and start the change. Raises ApiError."""

        def mark(document: Document) -> None:
            if document[STATUS] == "Failed":
                arn = document["EndpointArn"]
                text = f'Cannot update endpoint "{arn}" with status "Failed"; it can only be deleted.'
                raise ApiError("ValidationException", text)
            if document[STATUS] != "InService":
                raise _in_progress(document)
            document.pop("FailureReason", None)  # of the previous update
            now = self._resources.clock()
            document.update(shown, _pending=wanted, LastModifiedTime=now, **{STATUS: "Updating"})

        document = self._resources.store.update("endpoint", name, mark)
        if document is None:
            self._resources.get("endpoint", name)  # deleted in between: raises
            raise AssertionError(name)
        self._endpoints.update(name)
        return {"EndpointArn": document["EndpointArn"]}

    def _capture(self, config: str) -> Document | None:
        """Return a configuration's data capture as DescribeEndpoint reports it; None without one."""
        capture = self._resources.get("endpoint-config", config).get("DataCaptureConfig")
        if capture is None:
            return None
        enabled = capture.get("EnableCapture", True)
        return {
            "EnableCapture": enabled,
            "CaptureStatus": "Started" if enabled else "Stopped",
            "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
            "DestinationS3Uri": capture["DestinationS3Uri"],
            "KmsKeyId": capture.get("KmsKeyId", ""),
            "_config": capture,
        }

    def _configured(self, name: str) -> Document:
        """Return an endpoint whose configuration still exists: AWS changes no other. Raises ApiError."""
        document = self._resources.get("endpoint", name)
        self._resources.get("endpoint-config", document["EndpointConfigName"])
        return document

    def _check_targets(self, document: Document, variants: Sequence[Document]) -> None:
        """Raise ApiError, as AWS does, when a variant with automatic scaling is removed or changes its type."""
        before = {variant["VariantName"]: variant["InstanceType"] for variant in document["_variants"]}
        after = {variant["VariantName"]: variant["InstanceType"] for variant in variants}
        for target in self._autoscaling.targets_of(document["EndpointName"]):
            name = target["ResourceId"].rpartition("/")[2]
            if before.get(name) != after.get(name):
                text = f'Deregister the scalable target of variant "{name}" before you remove it or change its type.'
                raise ApiError("ValidationException", text)

    def _deployment(self, config_name: str) -> tuple[str, list[Document]]:
        """Return a configuration's name and its validated variants. Raises ApiError."""
        config, variants = deployment(self._resources, config_name)
        self._check_counts(variants)
        return config, variants

    def _check_counts(self, variants: Sequence[Document]) -> None:
        """Raise ApiError for an instance count below 1 or above this machine's limit: an instance is a process."""
        limit = self._limits.variant_instances
        for variant in variants:
            count = count_of(variant)
            if count < 1:
                text = (
                    f"The instance count of variant {variant['VariantName']} must be at least 1, not {count}."
                )
                raise ApiError("ValidationException", text)
            if count > limit:
                raise ApiError(
                    "ResourceLimitExceeded",
                    f"The account-level service limit '{variant['InstanceType']} for endpoint usage' is {limit} "
                    f"Instances, with current utilization of 0 Instances and a request delta of {count} Instances. "
                    "In the sandbox an instance is a process on this machine, and this is the limit for one variant.",
                )


def deployment(resources: Resources, config_name: str) -> tuple[str, list[Document]]:
    """Return a configuration's name and its variants, each with the container of its model. Raises ApiError."""
    config = resources.get("endpoint-config", config_name)
    variants = [
        {**variant, "_container": _container(resources.get("model", variant["ModelName"]))}
        for variant in config["ProductionVariants"]
    ]
    return config["EndpointConfigName"], variants


def _container(model: Document) -> Document:
    """Return a model's only container."""
    container: Document = model.get("PrimaryContainer") or model["Containers"][0]
    return container


def _in_progress(document: Document) -> ApiError:
    """Return AWS's error for an endpoint that is being changed."""
    return ApiError("ValidationException", f'Cannot update in-progress endpoint "{document["EndpointArn"]}".')


def _retain(variants: Sequence[Document], old: Sequence[Document], excluded: set[str]) -> list[Document]:
    """Return a new configuration's variants with the current counts and weights of the same names."""
    before = {variant["VariantName"]: variant for variant in old}
    names = [name for name in _RETAINED if name not in excluded]

    def kept(variant: Document) -> Document:
        was = before.get(variant["VariantName"])
        return {} if was is None else {name: was.get(name, was[_RETAINED[name]]) for name in names}

    return [{**variant, **kept(variant)} for variant in variants]


def _changed(variant: Document, requested: Params) -> Document:
    """Return a variant with the requested count and weight."""
    return {**variant, **{name: requested[name] for name in _RETAINED if name in requested}}
