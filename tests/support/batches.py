"""Models, images and jobs of batch transform in the sandbox, for tests of the commands and of the pages."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from core.render.masks import mask_png
from sandbox.server import Sandbox
from tests.support.patience import wait_until

BUCKET = "batch-commands"
ROLE = "arn:aws:iam::123456789012:role/SegdeckSandboxRole"
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
NUMBERS = itertools.count(1)
BROKEN = b"broken"


def jpeg(size: tuple[int, int] = (8, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "JPEG")
    return buffer.getvalue()


def mask() -> bytes:
    labels = np.zeros((4, 5), np.uint8)
    labels[0] = 1
    return mask_png(labels, np.zeros((256, 3), np.uint8))


class Store:
    """Models and images of the tests in one bucket."""

    def __init__(self, sandbox: Sandbox, archive: Callable[..., bytes]) -> None:
        self.s3, self.sagemaker = sandbox.loopback.client("s3"), sandbox.loopback.client("sagemaker")
        self.archive = archive
        if BUCKET not in [bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]]:
            self.s3.create_bucket(Bucket=BUCKET)

    def model(self, files: Mapping[str, bytes] = {}, **behavior: Any) -> str:
        name = f"batch-model-{next(NUMBERS)}"
        content = {"answer.png": mask(), "behavior.json": json.dumps(behavior).encode(), **files}
        self.put(f"models/{name}/model.tar.gz", self.archive(content))
        self.put(
            f"models/{name}/classes.json",
            json.dumps({"classes": [{"name": "land"}, {"name": "sea"}]}).encode(),
        )
        container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/models/{name}/model.tar.gz"}
        self.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
        return name

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def images(self, *names: str, bad: tuple[str, ...] = ()) -> tuple[str, str]:
        """Put images; return the prefix of the images and that of their masks, as S3 URIs."""
        folder = f"set-{next(NUMBERS)}"
        for name in (*names, *bad):
            self.put(f"{folder}/in/{name}", jpeg() + (BROKEN if name in bad else b""))
        return f"s3://{BUCKET}/{folder}/in/", f"s3://{BUCKET}/{folder}/out/"

    def keys(self, uri: str) -> list[str]:
        prefix = uri.removeprefix(f"s3://{BUCKET}/")
        rows = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return [row["Key"].removeprefix(prefix) for row in rows]

    def start(self, name: str, model: str, source: str, out: str, accept: str = "image/png") -> str:
        """Start a job and return its name."""
        data_source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source}}
        self.sagemaker.create_transform_job(
            TransformJobName=name,
            ModelName=model,
            TransformInput={"DataSource": data_source, "ContentType": "image/jpeg"},
            TransformOutput={"S3OutputPath": out, "Accept": accept},
            TransformResources={"InstanceType": "ml.g4dn.xlarge", "InstanceCount": 1},
        )
        return name

    def status(self, name: str) -> str:
        return str(self.sagemaker.describe_transform_job(TransformJobName=name)["TransformJobStatus"])


def ended(store: Store, name: str, status: str) -> None:
    """Wait until a job has ended."""
    wait_until(lambda: store.status(name) not in ("InProgress", "Stopping"), 120)
    assert store.status(name) == status
