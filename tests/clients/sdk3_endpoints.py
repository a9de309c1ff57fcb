"""Usage: sdk3_endpoints.py IMAGE. Create, update, shift traffic of and delete an `Endpoint` of SDK version 3."""

import sys
from pathlib import Path

from sagemaker.core.resources import Endpoint, EndpointConfig
from sagemaker.core.shapes import DesiredWeightAndCapacity, ProductionVariant

image = Path(sys.argv[1]).read_bytes()


def configure(model: str) -> EndpointConfig:
    variants = [
        ProductionVariant(
            variant_name=name, model_name=model, instance_type="ml.c5.xlarge", initial_instance_count=1
        )
        for name in ("A", "B")
    ]
    return EndpointConfig.create(endpoint_config_name=f"sdk3-{model}", production_variants=variants)


configs = [configure(model) for model in ("aerial-land-cover", "coastlines")]
endpoint = Endpoint.create(endpoint_name="sdk3-life", endpoint_config_name=configs[0].endpoint_config_name)
endpoint.wait_for_status("InService", poll=1, timeout=120)
endpoint.endpoint_config_name = configs[1].endpoint_config_name
endpoint.update()
endpoint.wait_for_status("InService", poll=1, timeout=120)
weights = [
    DesiredWeightAndCapacity(variant_name="A", desired_weight=0.0),
    DesiredWeightAndCapacity(variant_name="B", desired_weight=1.0),
]
endpoint.update_weights_and_capacities(desired_weights_and_capacities=weights)
endpoint.wait_for_status("InService", poll=1, timeout=120)
answer = endpoint.invoke(body=image, content_type="image/jpeg", accept="image/png")
print(
    endpoint.endpoint_config_name, answer.invoked_production_variant, len(answer.body.read()), "bytes of mask"
)
endpoint.delete()
endpoint.wait_for_delete(poll=1, timeout=120)
for config in configs:
    config.delete()
