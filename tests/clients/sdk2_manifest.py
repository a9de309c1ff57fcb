"""Train on augmented manifests in Pipe mode with `Estimator` of the SageMaker SDK version 2, as AWS documents it."""

from __future__ import annotations

import json

import boto3
import sagemaker
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from small_data import BUCKET, HYPERPARAMETERS, IMAGE, PREFIX, ROLE, upload

upload()
s3 = boto3.client("s3")
inputs = {}
for channel in ("train", "validation"):
    keys = [
        row["Key"] for row in s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{PREFIX}/{channel}/")["Contents"]
    ]
    rows = [
        {
            "source-ref": f"s3://{BUCKET}/{key}",
            "city-ref": f"s3://{BUCKET}/{key.replace(f'/{channel}/', f'/{channel}_annotation/')}"[:-4]
            + ".png",
        }
        for key in keys
    ]
    manifest = f"{PREFIX}/{channel}.manifest"
    s3.put_object(Bucket=BUCKET, Key=manifest, Body="\n".join(map(json.dumps, rows)))
    inputs[channel] = TrainingInput(
        f"s3://{BUCKET}/{manifest}",
        distribution="FullyReplicated",
        content_type="application/x-recordio",
        s3_data_type="AugmentedManifestFile",
        attribute_names=["source-ref", "city-ref"],
        input_mode="Pipe",
        record_wrapping="RecordIO",
    )
estimator = Estimator(
    IMAGE,
    ROLE,
    1,
    "ml.p3.2xlarge",
    output_path=f"s3://{BUCKET}/clients",
    sagemaker_session=sagemaker.Session(default_bucket=BUCKET),
    input_mode="Pipe",
    hyperparameters=HYPERPARAMETERS,
)
estimator.fit(inputs, logs=True)
print(estimator.model_data)
