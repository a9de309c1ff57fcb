"""Usage: sdk2_transform.py IMAGE. `Transformer` of the SageMaker SDK version 2: transform with logs, attach, stop."""

import sys
from pathlib import Path

import boto3
import sagemaker
from sagemaker.transformer import Transformer
from small_data import BUCKET

image, s3 = Path(sys.argv[1]), boto3.client("s3")
session = sagemaker.Session(default_bucket=BUCKET)
s3.upload_file(str(image), BUCKET, f"batch/sdk2/{image.name}")


def transformer(**options: object) -> Transformer:
    return Transformer(
        "aerial-land-cover",
        1,
        "ml.c5.xlarge",
        output_path=f"s3://{BUCKET}/batch/sdk2-masks",
        accept="image/png",
        sagemaker_session=session,
        **options,
    )


batch = transformer()
batch.transform(f"s3://{BUCKET}/batch/sdk2/", content_type="image/jpeg", split_type="None", logs=True)
key = f"batch/sdk2-masks/{image.name}.out"
mask = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
if not mask.startswith(b"\x89PNG"):
    sys.exit("The output is not a PNG.")
attached = Transformer.attach(batch.latest_transform_job.name, session)
print(attached.instance_type, attached.accept, len(mask), "bytes of mask")

slow = transformer(env={"SM_SANDBOX_FAULT": "delay:60"})
slow.transform(f"s3://{BUCKET}/batch/sdk2/", content_type="image/jpeg", wait=False)
slow.stop_transform_job()
status = session.sagemaker_client.describe_transform_job(TransformJobName=slow.latest_transform_job.name)
print(status["TransformJobStatus"])
if status["TransformJobStatus"] != "Stopped":
    sys.exit("The job was not stopped.")
