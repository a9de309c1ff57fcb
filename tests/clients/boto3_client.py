"""Usage: boto3_client.py IMAGE RECORDIO PNG. Invoke an endpoint with boto3, configured by the environment alone."""

import sys
from pathlib import Path

import boto3

image, recordio, png = map(Path, sys.argv[1:])
runtime = boto3.client("sagemaker-runtime")
for path, accept in ((recordio, "application/x-recordio-protobuf"), (png, "image/png")):
    answer = runtime.invoke_endpoint(
        EndpointName="aerial-land-cover", Body=image.read_bytes(), ContentType="image/jpeg", Accept=accept
    )
    path.write_bytes(answer["Body"].read())
    print(answer["ContentType"], answer["InvokedProductionVariant"], path.stat().st_size)

# The request of the tutorial's own `infer()`: no Accept header, and the response is decoded as RecordIO.
answer = runtime.invoke_endpoint(
    EndpointName="aerial-land-cover", Body=bytearray(image.read_bytes()), ContentType="application/x-image"
)
if answer["Body"].read() != recordio.read_bytes():
    sys.exit("Without an Accept header the response is not the RecordIO record.")
print(answer["ContentType"], "without an Accept header")
