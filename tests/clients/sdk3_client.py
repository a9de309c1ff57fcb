"""Usage: sdk3_client.py IMAGE RECORDIO PNG. Use `Endpoint` of the SageMaker SDK version 3."""

import sys
from pathlib import Path

from sagemaker.core.resources import Endpoint

image, recordio, png = map(Path, sys.argv[1:])
endpoint = Endpoint.get("aerial-land-cover")
endpoint.wait_for_status("InService", poll=1, timeout=60)
for path, accept in ((recordio, "application/x-recordio-protobuf"), (png, "image/png")):
    answer = endpoint.invoke(body=image.read_bytes(), content_type="image/jpeg", accept=accept)
    path.write_bytes(answer.body.read())
    print(answer.content_type, path.stat().st_size)
