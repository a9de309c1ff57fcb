"""Usage: sdk3_transform.py IMAGE. `TransformJob` of the SageMaker SDK version 3: create, wait, list."""

import sys
from pathlib import Path

import boto3
from sagemaker.core.resources import TransformJob
from sagemaker.core.shapes import (
    TransformDataSource,
    TransformInput,
    TransformOutput,
    TransformResources,
    TransformS3DataSource,
)
from small_data import BUCKET

image, s3 = Path(sys.argv[1]), boto3.client("s3")
s3.upload_file(str(image), BUCKET, f"batch/sdk3/{image.name}")
source = TransformS3DataSource(s3_data_type="S3Prefix", s3_uri=f"s3://{BUCKET}/batch/sdk3/")
job = TransformJob.create(
    transform_job_name="sdk3-batch",
    model_name="aerial-land-cover",
    transform_input=TransformInput(
        data_source=TransformDataSource(s3_data_source=source), content_type="image/jpeg"
    ),
    transform_output=TransformOutput(s3_output_path=f"s3://{BUCKET}/batch/sdk3-masks", accept="image/png"),
    transform_resources=TransformResources(instance_type="ml.c5.xlarge", instance_count=1),
)
job.wait(poll=1, timeout=120)
listed = [item.transform_job_name for item in TransformJob.get_all(status_equals="Completed")]
mask = s3.get_object(Bucket=BUCKET, Key=f"batch/sdk3-masks/{image.name}.out")["Body"].read()
print(job.transform_job_status, "sdk3-batch" in listed, len(mask), "bytes of mask")
if "sdk3-batch" not in listed or not mask.startswith(b"\x89PNG"):
    sys.exit("The job is not listed, or its output is not a PNG.")
