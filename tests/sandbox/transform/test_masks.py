"""Transform jobs with the real algorithm: their outputs are what an endpoint of the same model returns."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.wire.decode import decode
from sandbox.server import Sandbox
from tests.sandbox.transform.conftest import BUCKET, put_model, request
from tests.support.patience import WAITER

DEMO = Path(__file__).resolve().parents[3] / "sandbox" / "demo" / "aerial"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox with the real algorithm, and the demo's images in S3."""
    with Sandbox(tmp_path_factory.mktemp("real")) as sandbox:
        s3 = sandbox.loopback.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        for path in sorted((DEMO / "examples").glob("*.jpg"))[:2]:
            body = io.BytesIO()
            with Image.open(path) as image:
                image.reduce(2).save(body, "JPEG", quality=95)
            s3.put_object(Bucket=BUCKET, Key=f"photos/{path.name}", Body=body.getvalue())
        yield sandbox


@pytest.mark.mxnet
def test_outputs_equal_the_endpoints(real: Sandbox, make_client: Any) -> None:
    """The masks and the probabilities of a job are those of the endpoint, pixel for pixel."""
    sagemaker, runtime = (
        make_client(real, "sagemaker"),
        make_client(real, "sagemaker-runtime", read_timeout=120),
    )
    s3, model = real.loopback.client("s3"), put_model(real, (DEMO / "model.tar.gz").read_bytes())
    variant = {
        "VariantName": "A",
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName="real", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="real", EndpointConfigName="real")
    accepted = {"masks": "image/png", "probabilities": "application/x-recordio-protobuf"}
    for name, accept in accepted.items():
        output = {"S3OutputPath": f"s3://{BUCKET}/{name}", "Accept": accept}
        sagemaker.create_transform_job(**request(name, model, "photos", TransformOutput=output))
        sagemaker.get_waiter("transform_job_completed_or_stopped").wait(
            TransformJobName=name, WaiterConfig=WAITER
        )
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="real", WaiterConfig=WAITER)
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="photos/")["Contents"]
    assert len(listed) == 2
    for item in listed:
        body = s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
        for name, accept in accepted.items():
            key = f"{name}/{item['Key'].removeprefix('photos/')}.out"
            written = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            answer = runtime.invoke_endpoint(
                EndpointName="real", Body=body, ContentType="image/jpeg", Accept=accept
            )
            ours, its = decode(written, accept), decode(answer["Body"].read(), accept)
            assert np.array_equal(ours.labels, its.labels), key
            assert len(np.unique(ours.labels)) > 1
            if name == "probabilities":
                assert np.array_equal(ours.probabilities, its.probabilities)
            with Image.open(io.BytesIO(body)) as image:
                assert ours.labels.shape == (image.height, image.width)
