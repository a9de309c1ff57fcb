"""Service Quotas: the SageMaker quotas of every instance type, and those of a file in the sandbox's folder.

`quotas.json` maps names to values, {"ml.g4dn.xlarge for training job usage": 0}; it is read at each request. A name
without a value has the default. AWS's codes are not published as a list: the sandbox's are derived from the names.

Source: Service Quotas API reference; names as in the AWS General Reference, "Amazon SageMaker quotas".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from pathlib import Path

from sandbox.common.limits import SandboxLocation
from sandbox.http.protocol import ApiError, Params, service, unknown_operation

SERVICE, SERVICE_NAME = "sagemaker", "Amazon SageMaker"
FILE = "quotas.json"
DEFAULT = 4.0
PAGE = 100
# A usage in a quota's name -> the shape with its instance types.
_USAGES = {
    "endpoint usage": "ProductionVariantInstanceType",
    "spot training job usage": "TrainingInstanceType",
    "training job usage": "TrainingInstanceType",
    "transform job usage": "TransformInstanceType",
}


class Quotas:
    """The operations of Service Quotas. folder: of the file with the values."""

    def __init__(self, folder: Path, location: SandboxLocation) -> None:
        self._file, self._location = folder / FILE, location

    def call(self, operation: str, params: Params) -> Params:
        """Run one operation with validated parameters. Raises ApiError, also for an unsupported operation."""
        if operation == "ListServices":
            return {"Services": [{"ServiceCode": SERVICE, "ServiceName": SERVICE_NAME}]}
        if operation not in {"ListServiceQuotas", "GetServiceQuota", *_DEFAULTS}:
            raise unknown_operation("service-quotas", operation)
        if params["ServiceCode"] != SERVICE:
            text = f"The sandbox has the quotas of {SERVICE} only, not of {params['ServiceCode']}."
            raise ApiError("NoSuchResourceException", text)
        values = {} if operation in _DEFAULTS else self._values()
        quotas = [self._quota(name, values.get(name, DEFAULT)) for name in sorted(names() | values.keys())]
        if "QuotaCode" not in params:
            return _page(quotas, params)
        for quota in quotas:
            if quota["QuotaCode"] == params["QuotaCode"]:
                return {"Quota": quota}
        raise ApiError("NoSuchResourceException", f"The quota {params['QuotaCode']} does not exist.")

    def value(self, name: str) -> float:
        """Return the value of the quota with this name. Raises ApiError for an invalid file."""
        return self._values().get(name, DEFAULT)

    def _values(self) -> dict[str, float]:
        """Return the values of the file. Raises ApiError for an invalid one."""
        try:
            values = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as problem:
            raise ApiError("ServiceException", f"{self._file} cannot be read: {problem}", 500) from problem
        good = isinstance(values, dict) and all(
            isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
            for value in values.values()
        )
        if not good:
            text = f"{self._file} must map the names of quotas to numbers of at least 0."
            raise ApiError("ServiceException", text, 500)
        return {name: float(value) for name, value in values.items()}

    def _quota(self, name: str, value: float) -> Params:
        """Return one quota."""
        code = quota_code(name)
        region, account = self._location.region, self._location.account
        return {
            "ServiceCode": SERVICE,
            "ServiceName": SERVICE_NAME,
            "QuotaArn": f"arn:aws:servicequotas:{region}:{account}:{SERVICE}/{code}",
            "QuotaCode": code,
            "QuotaName": name,
            "Value": value,
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
            "QuotaAppliedAtLevel": "ACCOUNT",
        }


_DEFAULTS = frozenset({"ListAWSDefaultServiceQuotas", "GetAWSDefaultServiceQuota"})


def names() -> set[str]:
    """Return the names of the quotas on instances, as AWS spells them."""
    model = service(SERVICE)
    return {
        f"{instance} for {usage}"
        for usage, shape in _USAGES.items()
        for instance in model.shape_for(shape).metadata["enum"]
    }


def quota_code(name: str) -> str:
    """Return the code of a quota in AWS's form, L-XXXXXXXX."""
    return f"L-{hashlib.sha256(name.encode()).hexdigest()[:8].upper()}"


def _page(quotas: list[Params], params: Params) -> Params:
    """Return one page of quotas and the token of the next. Raises ApiError for an invalid token."""
    start = 0
    if params.get("NextToken"):
        try:
            text = base64.urlsafe_b64decode(params["NextToken"]).decode()
        except (ValueError, binascii.Error):
            text = ""
        if not re.fullmatch(r"[0-9]{1,6}", text):
            raise ApiError("InvalidPaginationTokenException", "Invalid pagination token.")
        start = int(text)
    size = params.get("MaxResults", PAGE)
    end = start + size
    token = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(quotas) else None
    return {"Quotas": quotas[start:end], "NextToken": token}


def refuse_prices(operation: str, _: Params) -> Params:
    """Refuse an operation of the Price List. Raises ApiError."""
    text = f"The sandbox does not support {operation} of pricing: it bills nothing and publishes no prices."
    raise ApiError("AccessDeniedException", text)
