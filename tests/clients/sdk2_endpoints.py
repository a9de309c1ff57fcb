"""Usage: sdk2_endpoints.py IMAGE. `Model.deploy`, `predict`, `update_endpoint` and `delete_endpoint` of version 2."""

import sys
from pathlib import Path

import sagemaker
from sagemaker.deserializers import BytesDeserializer
from sagemaker.model import Model
from sagemaker.predictor import Predictor
from sagemaker.serializers import IdentitySerializer
from small_data import BUCKET, IMAGE, ROLE

image = Path(sys.argv[1]).read_bytes()
session = sagemaker.Session(default_bucket=BUCKET)
model = Model(
    IMAGE,
    model_data=f"s3://{BUCKET}/models/aerial/model.tar.gz",
    role=ROLE,
    predictor_cls=Predictor,
    sagemaker_session=session,
)
predictor = model.deploy(
    1,
    "ml.c5.xlarge",
    endpoint_name="sdk2-life",
    serializer=IdentitySerializer("image/jpeg"),
    deserializer=BytesDeserializer("image/png"),
)
print(len(predictor.predict(image)), "bytes of mask")
predictor.update_endpoint(initial_instance_count=2, instance_type="ml.c5.xlarge", model_name="coastlines")
described = session.sagemaker_client.describe_endpoint(EndpointName=predictor.endpoint_name)
print(described["EndpointStatus"], described["ProductionVariants"][0]["CurrentInstanceCount"], "instances")
print(len(predictor.predict(image)), "bytes of mask")
predictor.delete_endpoint()
model.delete_model()
