"""Application Auto Scaling for the variants of endpoints: targets, policies and scaling activities.

Supports target tracking policies on SageMakerVariantInvocationsPerInstance; `sandbox.hosting.autoscaler` applies
them. CloudWatch has no alarms here, so a policy lists none. Source: Application Auto Scaling API reference.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Sequence

from sandbox.common.limits import SandboxLocation
from sandbox.common.store import Document
from sandbox.http.protocol import ApiError, Params, unknown_operation
from sandbox.services.sagemaker.resources import Resources

TARGET, POLICY, ACTIVITY = "scalable-target", "scaling-policy", "scaling-activity"  # kinds in the store
NAMESPACE, DIMENSION = "sagemaker", "sagemaker:variant:DesiredInstanceCount"
METRIC = "SageMakerVariantInvocationsPerInstance"
_RESOURCE = re.compile(r"endpoint/([^/]+)/variant/([^/]+)")
_MAY_CHANGE = ("MinCapacity", "MaxCapacity", "SuspendedState")
_PAGE = 50


class Autoscaling:
    """The service application-autoscaling."""

    def __init__(self, resources: Resources, location: SandboxLocation) -> None:
        self._resources, self._store, self._clock = resources, resources.store, resources.clock
        self._arn = f"arn:aws:application-autoscaling:{location.region}:{location.account}:scalable-target"
        self._role = (
            f"arn:aws:iam::{location.account}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
            "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
        )
        self._operations: dict[str, Callable[[Params], Params | None]] = {
            "RegisterScalableTarget": self._register,
            "DescribeScalableTargets": self._targets,
            "DeregisterScalableTarget": self._deregister,
            "PutScalingPolicy": self._put_policy,
            "DescribeScalingPolicies": self._policies,
            "DeleteScalingPolicy": self._delete_policy,
            "DescribeScalingActivities": self._activities,
        }

    def call(self, operation: str, params: Params) -> Params | None:
        """Run one operation and return its result. Raises ApiError."""
        run = self._operations.get(operation)
        if run is None:
            raise unknown_operation("application-autoscaling", operation)
        _check_scope(params)
        return run(params)

    def targets_of(self, endpoint: str) -> list[Document]:
        """Return the scalable targets of an endpoint's variants."""
        return [
            target for target in self._store.view(TARGET) if target["_endpoint"].lower() == endpoint.lower()
        ]

    def forget(self, endpoint: str) -> None:
        """Delete the targets and policies of a deleted endpoint."""
        for target in self.targets_of(endpoint):
            self._remove(target["ResourceId"])

    # Targets

    def _register(self, params: Params) -> Params:
        """Answer RegisterScalableTarget: create a target, or change the given members of an existing one."""
        name = params["ResourceId"]
        endpoint = self._variant_exists(name)
        old = self._store.get(TARGET, name) or {
            "ServiceNamespace": NAMESPACE,
            "ResourceId": name,
            "ScalableDimension": DIMENSION,
            "RoleARN": self._role,
            "CreationTime": self._clock(),
            "ScalableTargetARN": f"{self._arn}/{uuid.uuid4().hex[:28]}",
            "SuspendedState": {},
            "_endpoint": endpoint,
        }
        given: Document = {member: params[member] for member in _MAY_CHANGE if member in params}
        new = {**old, **given}
        if "MinCapacity" not in new or "MaxCapacity" not in new:
            raise _invalid("A new scalable target needs MinCapacity and MaxCapacity.")
        if new["MinCapacity"] > new["MaxCapacity"]:
            raise _invalid("Maximum capacity cannot be less than minimum capacity.")
        self._store.insert(TARGET, name, new)
        self._store.update(TARGET, name, lambda document: document.update(given))
        return {"ScalableTargetARN": new["ScalableTargetARN"]}

    def _variant_exists(self, resource: str) -> str:
        """Return the endpoint's name. Raises ApiError when the resource is not a variant of an endpoint."""
        match = _RESOURCE.fullmatch(resource)
        if match is None:
            raise _invalid(f"The resource ID must be endpoint/NAME/variant/NAME, not {resource!r}.")
        endpoint = self._resources.get("endpoint", match[1])
        if match[2] not in {variant["VariantName"] for variant in endpoint["_variants"]}:
            raise _invalid(f'Could not find variant "{match[2]}" of endpoint "{endpoint["EndpointArn"]}".')
        name: str = endpoint["EndpointName"]
        return name

    def _targets(self, params: Params) -> Params:
        """Answer DescribeScalableTargets."""
        wanted = params.get("ResourceIds")
        targets = [
            target for target in self._store.all(TARGET) if not wanted or target["ResourceId"] in wanted
        ]
        return _page("ScalableTargets", "ResourceId", targets, params)

    def _deregister(self, params: Params) -> None:
        """Answer DeregisterScalableTarget."""
        if self._store.get(TARGET, params["ResourceId"]) is None:
            raise _missing("No scalable target found for", params)
        self._remove(params["ResourceId"])

    def _remove(self, resource: str) -> None:
        """Delete a target and its policies."""
        for policy in self._store.all(POLICY):
            if policy["ResourceId"] == resource:
                self._store.delete(POLICY, policy["_name"])
        self._store.delete(TARGET, resource)

    # Policies

    def _put_policy(self, params: Params) -> Params:
        """Answer PutScalingPolicy for a target tracking policy."""
        target = self._store.get(TARGET, params["ResourceId"])
        if target is None:
            raise _missing("No scalable target registered for", params)
        config = params.get("TargetTrackingScalingPolicyConfiguration") or {}
        metric = (config.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType")
        if params.get("PolicyType") != "TargetTrackingScaling" or metric != METRIC:
            raise _invalid(f"The sandbox supports TargetTrackingScaling policies on {METRIC} only.")
        if config["TargetValue"] <= 0:
            raise _invalid(f"TargetValue must be above 0, not {config['TargetValue']}.")
        name = f"{params['ResourceId']}:{params['PolicyName']}"
        arn = target["ScalableTargetARN"].replace(":scalable-target/", ":scalingPolicy:")
        document = {
            **params,
            "PolicyARN": f"{arn}:resource/sagemaker/{params['ResourceId']}:policyName/{params['PolicyName']}",
            "CreationTime": self._clock(),
            "_name": name,
        }
        if not self._store.insert(POLICY, name, document):
            self._store.update(POLICY, name, lambda old: old.update({**params}))
        return {"PolicyARN": document["PolicyARN"], "Alarms": []}

    def _policies(self, params: Params) -> Params:
        """Answer DescribeScalingPolicies."""
        names = params.get("PolicyNames")
        policies = _of_resource(self._store.all(POLICY), params)
        policies = [policy for policy in policies if not names or policy["PolicyName"] in names]
        return _page("ScalingPolicies", "_name", policies, params)

    def _delete_policy(self, params: Params) -> None:
        """Answer DeleteScalingPolicy."""
        name = f"{params['ResourceId']}:{params['PolicyName']}"
        if not self._store.delete(POLICY, name):
            raise _missing("No scaling policy found for", params, f", policy name: {params['PolicyName']}")

    # Activities

    def _activities(self, params: Params) -> Params:
        """Answer DescribeScalingActivities, newest first; AWS keeps six weeks of them, the sandbox all."""
        activities = _of_resource(self._store.all(ACTIVITY), params)
        return _page("ScalingActivities", "_name", activities, params)


def _check_scope(params: Params) -> None:
    """Raise ApiError for a namespace or dimension that the sandbox does not scale."""
    if params["ServiceNamespace"] != NAMESPACE or params.get("ScalableDimension", DIMENSION) != DIMENSION:
        raise _invalid(f"The sandbox scales {DIMENSION} of the service namespace {NAMESPACE} only.")


def _of_resource(documents: Sequence[Document], params: Params) -> list[Document]:
    return [document for document in documents if params.get("ResourceId") in {None, document["ResourceId"]}]


def _page(member: str, key: str, documents: Sequence[Document], params: Params) -> Params:
    """Return one page of a listing; the token is the key of its last document."""
    ordered = sorted(
        (document for document in documents if document[key] > params.get("NextToken", "")),
        key=lambda document: document[key],
    )
    size = params.get("MaxResults", _PAGE)
    more = {"NextToken": ordered[size - 1][key]} if len(ordered) > size else {}
    return {member: ordered[:size], **more}


def _missing(what: str, params: Params, more: str = "") -> ApiError:
    resource = f"resource ID: {params['ResourceId']}, scalable dimension: {DIMENSION}{more}"
    return ApiError("ObjectNotFoundException", f"{what} service namespace: {NAMESPACE}, {resource}")


def _invalid(message: str) -> ApiError:
    return ApiError("ValidationException", message)
