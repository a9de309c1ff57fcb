"""Diagnose why an endpoint failed, in plain words, with what to do next.

AWS's reason often says only that the container did not respond; then the log is used. If no rule matches, the
message itself is shown.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.training.diagnosis import LINES, Diagnosis, DiagnosisRule, excerpt
from core.training.log_lines import level, plain

RULES: tuple[DiagnosisRule, ...] = (
    DiagnosisRule(
        "Quota reached",
        r"ResourceLimitExceeded|account-level service limit|quota exceeded",
        "The account's quota does not allow (another) {instance} for endpoints in this region.",
        "Delete an idle endpoint, use another instance type, or request an increase in Service Quotas: "
        "“{instance} for endpoint usage”.",
    ),
    DiagnosisRule(
        "No capacity",
        r"CapacityError|unable to provision requested ML compute capacity|insufficient (?:instance )?capacity",
        "AWS had no {instance} available at that time.",
        "Delete the endpoint, then deploy again later or with another instance type.",
    ),
    DiagnosisRule(
        "The sandbox has no MXNet",
        r"MXNet .{0,20}is (?:not )?installed",
        "The sandbox's models require MXNet 1.9.1, which does not work on this machine.",
        "Follow the instructions below.",
    ),
    DiagnosisRule(
        "Image not available in the sandbox",
        r"no program on this machine stands for the image",
        "The sandbox serves only the semantic segmentation algorithm.",
        "Use the algorithm's own image: leave the image empty, and Segdeck selects it.",
    ),
    DiagnosisRule(
        "The model cannot be downloaded",
        r"could not (?:access|find|download) model data|NoSuchKey|NoSuchBucket|specified (?:key|bucket) does not"
        r"|model data .{0,200}(?:access ?denied|does not exist|not found)",
        "There is no artifact at that S3 URI, it is in another region, or the role may not read it.",
        "Check the URI, and that the role trusts sagemaker.amazonaws.com and allows s3:GetObject there.",
    ),
    DiagnosisRule(
        "The model is not a valid archive",
        r"failed to extract model data|unable to (?:extract|untar|unpack)|not a valid tar|valid tar\.gz"
        r"|leaves the model's folder"
        r"|unpacks to more than|a link, a device",
        "The artifact is not a .tar.gz that can be unpacked.",
        "Deploy the model.tar.gz that the training job wrote, unchanged.",
    ),
    DiagnosisRule(
        "The archive has no valid model",
        r"model archive has (?:no|neither)|parameters are those of|these are not parameters of|does not fit"
        r"|not a file of MXNet parameters|is not a JSON object|model_best\.params|hyperparams\.json"
        r"|Parameter .{0,200}(?:is missing|is not present|not loaded)",
        "The archive can be unpacked, but it does not contain a model of this algorithm.",
        "Deploy the model.tar.gz of a semantic segmentation job, unchanged.",
    ),
    DiagnosisRule(
        "The role cannot be used",
        r"could not assume role|sts:AssumeRole|cannot assume|role .{0,200}(?:does not exist|is invalid)"
        r"|access ?denied|is not authorized to perform",
        "SageMaker cannot assume the execution role, or the role lacks the permission named below.",
        "Check its ARN, that it trusts sagemaker.amazonaws.com, and that it can read the artifact and the image.",
    ),
    DiagnosisRule(
        "Image not found",
        r"CannotPullContainer|requested image not found|manifest unknown|unsupported ecr|cannot find repository"
        r"|(?:repository|image|\becr\b).{0,300}(?:does not exist|not found|not in the same region)",
        "The container image cannot be pulled: its URI, account or region is wrong, or the role has no permission.",
        "Use the image of the region that the endpoint runs in. Each region has its own registry account.",
    ),
    DiagnosisRule(
        "Out of memory",
        r"out of memory|cudaMalloc failed|exit code:? (?:137|-9)|\bMemoryError\b|\bOOM\b"
        r"|cannot allocate memory|std::bad_alloc|signal 9|SIGKILL",
        "The model did not fit into the memory of {instance}, or of its GPU.",
        "Use an instance type with more memory.",
    ),
    DiagnosisRule(
        "AWS failed",
        r"InternalServerError|internal (?:server )?error|We encountered an internal",
        "There was an internal error in AWS, not in the model.",
        "Delete the endpoint and deploy again. If the error recurs, contact AWS Support with the endpoint's ARN.",
    ),
)  # fmt: skip
"""In order of precedence: the first match is used."""

UNHEALTHY = DiagnosisRule(
    "The container does not respond",
    r"ping health check",
    "The container started but did not become ready in time; usually its model cannot be loaded.",
    "Read the end of the endpoint's log; the first error there is usually the cause.",
)


def diagnose_endpoint(
    failure_reason: str, last_lines: Sequence[str] = (), instance_type: str = ""
) -> Diagnosis:
    """Return why an endpoint, or its last update, failed.

    last_lines: the end of its log, oldest first.
    """
    lines = [plain(line) for line in last_lines[-LINES:]]
    errors = [line for line in reversed(lines) if level(line) == "error"]
    for text in ([failure_reason] if failure_reason else []) + errors:
        for rule in RULES:
            match = rule.search(text)
            if match:
                return _filled(rule, text, match.start(), instance_type)
    match = UNHEALTHY.search(failure_reason)
    if match:
        return _filled(UNHEALTHY, errors[-1] if errors else failure_reason, 0, instance_type)
    return Diagnosis(
        "Failed",
        "AWS gave the reason below." if failure_reason else "AWS gave no reason.",
        "Read the end of the endpoint's log, starting from its first error.",
        excerpt(failure_reason or (errors[-1] if errors else ""), 0),
    )


def _filled(rule: DiagnosisRule, text: str, place: int, instance_type: str) -> Diagnosis:
    words = {"instance": instance_type or "the instance type"}
    return Diagnosis(rule.title, rule.cause.format(**words), rule.todo.format(**words), excerpt(text, place))
