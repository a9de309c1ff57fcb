"""Training jobs that together have every setting of DescribeTrainingJob that CreateTrainingJob accepts.

No job can have them all: AWS accepts one kind of data source per channel, an image or the name of an algorithm, and
one instance type or several.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.support.shapes import filled, in_both, output_of

T0 = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
READ_ONLY = ("SelectedInstanceType", "SelectedInstanceCount")
SOURCES = {
    "train": "S3DataSource",
    "validation": "FileSystemDataSource",
    "train_annotation": "DatasetSource",
}


def description(image: str = "123456789012.dkr.ecr.us-east-1.amazonaws.com/mine:1") -> dict[str, Any]:
    """Return DescribeTrainingJob's response with every setting, for a job on one instance type with this image."""
    shape = output_of("DescribeTrainingJob")
    answer = {
        key: filled(shape.members[key], key) for key in in_both("CreateTrainingJob", "DescribeTrainingJob")
    }
    answer["AlgorithmSpecification"] |= {"TrainingImage": image, "TrainingInputMode": "File"}
    del answer["AlgorithmSpecification"]["AlgorithmName"]
    answer["ResourceConfig"] |= {"InstanceType": "ml.p3.2xlarge", "InstanceCount": 1}
    for key in ("InstanceGroups", "InstancePreferences"):
        del answer["ResourceConfig"][key]
    answer["StoppingCondition"] |= {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200}
    answer["HyperParameters"] = {"num_classes": "6", "num_training_samples": "96"}
    answer["InputDataConfig"] = list(map(_channel, SOURCES))
    return answer | {
        "TrainingJobName": "roads-7",
        "RoleArn": "arn:aws:iam::123456789012:role/Trainer",
        "CreationTime": T0,
        "TrainingJobStatus": "Completed",
        "ModelArtifacts": {"S3ModelArtifacts": "s3://bucket/out/roads-7/output/model.tar.gz"},
    }


def with_algorithm() -> dict[str, Any]:
    """Return the same for a job trained with an algorithm resource instead of an image."""
    answer = description()
    del answer["AlgorithmSpecification"]["TrainingImage"]
    answer["AlgorithmSpecification"]["AlgorithmName"] = "my-algorithm"
    return answer


def with_several_types() -> dict[str, Any]:
    """Return the same for a job on several instance types."""
    answer = description()
    resources = filled(output_of("DescribeTrainingJob").members["ResourceConfig"], "ResourceConfig")
    for key in ("InstanceType", "InstanceCount"):
        del resources[key]
    return answer | {"ResourceConfig": resources}


JOBS = {
    "image": description,
    "algorithm": with_algorithm,
    "several types": with_several_types,
    "built in": lambda: description(IMAGE),
}


def _channel(name: str) -> dict[str, Any]:
    shape = output_of("DescribeTrainingJob").members["InputDataConfig"].member
    channel = filled(shape, name)
    source = channel["DataSource"][SOURCES[name]]
    if "S3Uri" in source:
        source |= {"S3DataType": "S3Prefix", "S3Uri": f"s3://bucket/data/{name}/"}
    return channel | {"ChannelName": name, "DataSource": {SOURCES[name]: source}}
