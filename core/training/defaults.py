"""The default training job that a form or the command line starts from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from core.training.channels import data_channels
from core.training.hyperparameters import LIGHT
from core.training.job import TrainingSpec

INSTANCE = "ml.g4dn.xlarge"
"""The cheapest instance type that the algorithm trains on."""

SANDBOX_DATA = "s3://segdeck-sandbox/datasets/aerial/"
SANDBOX_OUTPUT = "s3://segdeck-sandbox/training/"
SANDBOX_MODELS = "s3://segdeck-sandbox/models/"
SANDBOX_ROLE = "arn:aws:iam::123456789012:role/SegdeckSandboxRole"
SANDBOX_CLASSES = {"num_classes": "6"}
"""The hyperparameters that fit the data at `SANDBOX_DATA`."""

LIGHT_RECIPE = {
    "algorithm": LIGHT,
    "use_pretrained_model": "False",
    "crop_size": "160",
    "epochs": "14",
    "mini_batch_size": "8",
    "optimizer": "adam",
    "learning_rate": "0.004",
}
"""The hyperparameters of the sandbox's small demo network: minutes on two cores."""

STAMP = re.compile(r"-\d{8}-\d{6}$")
MAX_NAME = 63
DAY, HOUR = 86_400, 3600


def default_spec(
    image: str,
    *,
    sandbox: bool,
    data: str = "",
    output: str = "",
    role: str = "",
    values: Mapping[str, str] | None = None,
) -> TrainingSpec:
    """Return a spec without a name yet; missing values are the sandbox's defaults, or stay empty on AWS.

    data: the S3 prefix of the four channels. values: hyperparameters.
    """
    values = values or {}
    own: dict[str, str] = {}
    if sandbox and values.get("algorithm", LIGHT) == LIGHT:
        own |= LIGHT_RECIPE
    if sandbox:
        own |= SANDBOX_CLASSES if (data or SANDBOX_DATA) == SANDBOX_DATA else {}
        data, output, role = data or SANDBOX_DATA, output or SANDBOX_OUTPUT, role or SANDBOX_ROLE
    return TrainingSpec(
        name="",
        role_arn=role,
        image=image,
        instance_type=INSTANCE,
        hyperparameters={**own, **values},
        channels=data_channels(data) if data else (),
        output_uri=output,
        max_runtime_seconds=HOUR if sandbox else DAY,
    )


def new_name(previous: str, now: datetime) -> str:
    """Return a unique name: the previous one with its timestamp replaced by this time.

    now: aware, or UTC.
    """
    stamp = f"-{now:%Y%m%d-%H%M%S}"
    return STAMP.sub("", previous)[: MAX_NAME - len(stamp)].rstrip("-") + stamp
