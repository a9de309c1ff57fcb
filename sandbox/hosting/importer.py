"""Import endpoints without a process, and metrics of the past: for tests and benchmarks.

Such an endpoint is listed, described, found by Search and deleted like any other; invoking it reports "not found".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sandbox.hosting.fleet import summary
from sandbox.hosting.metrics import NAMESPACE
from sandbox.hosting.operations import deployment
from sandbox.services.cloudwatch.service import CloudWatch
from sandbox.services.sagemaker.resources import Resources


@dataclass(frozen=True, slots=True)
class EndpointImporter:
    """Imports into these resources and metrics."""

    resources: Resources
    cloudwatch: CloudWatch

    def adopt(
        self,
        name: str,
        config: str,
        *,
        created: float,
        tags: Mapping[str, str] = {},
        status: str = "InService",
    ) -> bool:
        """Import an endpoint of a stored configuration; return False, and change nothing, when the name is taken.

        created: seconds since 1970. Raises ApiError when the configuration is missing, or one of its models.
        """
        kind, (config, variants) = "endpoint", deployment(self.resources, config)
        document = {
            "EndpointName": name,
            "EndpointArn": self.resources.arn(kind, name),
            "EndpointConfigName": config,
            "EndpointStatus": status,
            "ProductionVariants": [summary(variant, created) for variant in variants],
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            "CreationTime": created,
            "LastModifiedTime": created,
            "_variants": variants,
            "_imported": True,
        }
        return self.resources.store.insert(kind, name, document)

    def measure(
        self,
        endpoint: str,
        metric: str,
        points: Iterable[tuple[float, float]],
        *,
        variant: str = "AllTraffic",
        namespace: str = NAMESPACE,
    ) -> None:
        """Import (seconds since 1970, value) points of an endpoint's variant, of any age. Raises ApiError."""
        dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
        data = [
            {"MetricName": metric, "Dimensions": dimensions, "Timestamp": at, "Value": value}
            for at, value in points
        ]
        self.cloudwatch.keep(namespace, data)
