"""Usage: sdk2_client.py IMAGE RECORDIO PNG. Use `Predictor` of the SageMaker SDK version 2 as AWS's notebook does."""

import sys
from pathlib import Path

import sagemaker
from sagemaker.deserializers import BytesDeserializer
from sagemaker.predictor import Predictor
from sagemaker.serializers import IdentitySerializer

image, recordio, png = map(Path, sys.argv[1:])
# The SDK asks sts.<region>.amazonaws.com for the account unless a bucket is given.
session = sagemaker.Session(default_bucket="segdeck-sandbox")
predictor = Predictor(
    "aerial-land-cover", sagemaker_session=session, serializer=IdentitySerializer("image/jpeg")
)
for path, accept in ((recordio, "application/x-protobuf"), (png, "image/png")):
    predictor.deserializer = BytesDeserializer(accept)
    path.write_bytes(predictor.predict(image.read_bytes()))
    print(sagemaker.__version__, accept, path.stat().st_size)
