"""CloudWatch data of a training job: its metrics and its use of the machine.

Source: SageMaker developer guide, "Monitor SageMaker AI with Amazon CloudWatch" (/aws/sagemaker/TrainingJobs).
"""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.common.publish import Datum
from sandbox.training.metrics import Point
from sandbox.training.opt_ml import HOST

NAMESPACE = "/aws/sagemaker/TrainingJobs"


def metric_data(job: str, points: Iterable[Point]) -> list[Datum]:
    """Return a job's metrics once for each of AWS's two dimensions: TrainingJobName and Host, each alone."""
    dimensions = (
        {"Name": "TrainingJobName", "Value": job},
        {"Name": "Host", "Value": f"{job}/{HOST}"},
    )
    return [
        {
            "MetricName": point.name,
            "Dimensions": [dimension],
            "Value": point.value,
            "Timestamp": point.time / 1000,
        }
        for point in points
        for dimension in dimensions
    ]
