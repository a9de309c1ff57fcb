"""Usage: boto3_endpoints.py IMAGE. Update an endpoint's model and weights while a client keeps invoking it."""

import sys
import threading
from collections import Counter
from pathlib import Path

import boto3

image = Path(sys.argv[1]).read_bytes()
sagemaker, runtime = boto3.client("sagemaker"), boto3.client("sagemaker-runtime")
NAME, MODELS = "boto3-life", ("aerial-land-cover", "coastlines")


def variant(name: str, model: str) -> dict[str, object]:
    return {
        "VariantName": name,
        "ModelName": model,
        "InstanceType": "ml.c5.xlarge",
        "InitialInstanceCount": 1,
    }


def wait() -> None:
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=NAME, WaiterConfig={"Delay": 1})


for model in MODELS:
    variants = [variant("A", model), variant("B", model)]
    sagemaker.create_endpoint_config(EndpointConfigName=f"{NAME}-{model}", ProductionVariants=variants)
sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=f"{NAME}-{MODELS[0]}")
wait()
stop, seen = threading.Event(), Counter()


def keep_calling() -> None:
    while not stop.is_set():
        answer = runtime.invoke_endpoint(
            EndpointName=NAME, Body=image, ContentType="image/jpeg", Accept="image/png"
        )
        answer["Body"].read()
        seen[answer["InvokedProductionVariant"]] += 1


client = threading.Thread(target=keep_calling)
client.start()
sagemaker.update_endpoint(EndpointName=NAME, EndpointConfigName=f"{NAME}-{MODELS[1]}")
wait()
weights = [{"VariantName": "A", "DesiredWeight": 0.0}, {"VariantName": "B", "DesiredWeight": 1.0}]
sagemaker.update_endpoint_weights_and_capacities(EndpointName=NAME, DesiredWeightsAndCapacities=weights)
wait()
if not client.is_alive():
    sys.exit("A call failed while the endpoint changed.")
stop.set()
client.join()
print(sagemaker.describe_endpoint(EndpointName=NAME)["EndpointConfigName"], dict(seen))
sagemaker.delete_endpoint(EndpointName=NAME)
sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=NAME, WaiterConfig={"Delay": 1})
for model in MODELS:
    sagemaker.delete_endpoint_config(EndpointConfigName=f"{NAME}-{model}")
