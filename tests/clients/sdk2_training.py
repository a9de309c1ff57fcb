"""`Estimator` of the SageMaker SDK version 2: fit with logs, analytics, deploy, predict, delete."""

import sys
from pathlib import Path

import sagemaker
from sagemaker.deserializers import BytesDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.serializers import IdentitySerializer
from small_data import BUCKET, CHANNELS, HYPERPARAMETERS, ROLE, upload

image = Path(sys.argv[1])
session = sagemaker.Session(default_bucket=BUCKET)
estimator = Estimator(
    sagemaker.image_uris.retrieve("semantic-segmentation", "us-east-1"),
    ROLE,
    1,
    "ml.p3.2xlarge",
    output_path=f"s3://{BUCKET}/clients",
    sagemaker_session=session,
    hyperparameters=HYPERPARAMETERS,
)
inputs = {name: TrainingInput(uri, content_type=CHANNELS[name]) for name, uri in upload().items()}
estimator.fit(inputs, logs=True)
print(estimator.training_job_analytics.dataframe())
serializer, deserializer = IdentitySerializer("image/jpeg"), BytesDeserializer("image/png")
predictor = estimator.deploy(1, "ml.c5.xlarge", serializer=serializer, deserializer=deserializer)
print(predictor.endpoint_name, len(predictor.predict(image.read_bytes())), "bytes of mask")
predictor.delete_endpoint()
