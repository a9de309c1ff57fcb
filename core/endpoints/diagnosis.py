"""Why an endpoint failed, in plain words, with what to do next.

AWS's reason often says no more than that the container did not answer; then its log tells. Where nothing fits, the
text itself is shown.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.training.diagnosis import LINES, Diagnosis, DiagnosisRule, around
from core.training.log_lines import level, plain

RULES: tuple[DiagnosisRule, ...] = (
    DiagnosisRule(
        "Quota reached",
        r"ResourceLimitExceeded|account-level service limit|quota exceeded",
        "The account may not run (another) {instance} for endpoints in this region.",
        "Delete an endpoint that idles, take another instance type, or ask for more under Service Quotas: "
        "“{instance} for endpoint usage”.",
    ),
    DiagnosisRule(
        "No machine free",
        r"CapacityError|unable to provision requested ML compute capacity|insufficient (?:instance )?capacity",
        "AWS had no {instance} to give at that time.",
        "Delete the endpoint, and deploy again later or with another instance type.",
    ),
    DiagnosisRule(
        "The sandbox has no MXNet",
        r"MXNet .{0,20}is (?:not )?installed",
        "The sandbox's models need MXNet 1.9.1, which cannot be used on this machine.",
        "Do what the text below says.",
    ),
    DiagnosisRule(
        "The sandbox has no such image",
        r"no program on this machine stands for the image",
        "The sandbox serves the semantic segmentation algorithm alone.",
        "Serve the model with the algorithm's own image: leave the choice of it to Segdeck.",
    ),
    DiagnosisRule(
        "The model cannot be fetched",
        r"could not (?:access|find|download) model data|NoSuchKey|NoSuchBucket|specified (?:key|bucket) does not"
        r"|model data .{0,200}(?:access ?denied|does not exist|not found)",
        "There is no artifact at that address, it lies in another region, or the role may not read it.",
        "Check the address, and that the role trusts sagemaker.amazonaws.com and may do s3:GetObject there.",
    ),
    DiagnosisRule(
        "The model is no archive",
        r"failed to extract model data|unable to (?:extract|untar|unpack)|not a valid tar|valid tar\.gz"
        r"|leaves the model's folder"
        r"|unpacks to more than|a link, a device",
        "The artifact is no .tar.gz that may be unpacked.",
        "Deploy the model.tar.gz that the training job wrote, unchanged.",
    ),
    DiagnosisRule(
        "The archive holds no such model",
        r"model archive has (?:no|neither)|parameters are those of|these are not parameters of|does not fit"
        r"|not a file of MXNet parameters|is not a JSON object|model_best\.params|hyperparams\.json"
        r"|Parameter .{0,200}(?:is missing|is not present|not loaded)",
        "The archive unpacks, but what it holds is no model of this algorithm.",
        "Deploy the model.tar.gz of a semantic segmentation job, unchanged.",
    ),
    DiagnosisRule(
        "The role cannot be used",
        r"could not assume role|sts:AssumeRole|cannot assume|role .{0,200}(?:does not exist|is invalid)"
        r"|access ?denied|is not authorized to perform",
        "SageMaker cannot take on the execution role, or the role may not do what the text below says.",
        "Check its ARN, that it trusts sagemaker.amazonaws.com, and that it may read the artifact and the image.",
    ),
    DiagnosisRule(
        "Image not found",
        r"CannotPullContainer|requested image not found|manifest unknown|unsupported ecr|cannot find repository"
        r"|(?:repository|image|\becr\b).{0,300}(?:does not exist|not found|not in the same region)",
        "The container image cannot be fetched: its address, account or region is wrong, or the role may not.",
        "Take the image of the region the endpoint runs in. Each region has its own account for it.",
    ),
    DiagnosisRule(
        "Out of memory",
        r"out of memory|cudaMalloc failed|exit code:? (?:137|-9)|\bMemoryError\b|\bOOM\b"
        r"|cannot allocate memory|std::bad_alloc|signal 9|SIGKILL",
        "The model did not fit into the memory of {instance}, or of its GPU.",
        "Take an instance with more memory.",
    ),
    DiagnosisRule(
        "AWS failed",
        r"InternalServerError|internal (?:server )?error|We encountered an internal",
        "Something broke on AWS's side, not in the model.",
        "Delete the endpoint and deploy again. If it comes back, ask AWS's support with the endpoint's ARN.",
    ),
)  # fmt: skip
"""In this order: the first one that fits counts."""

UNHEALTHY = DiagnosisRule(
    "The container does not answer",
    r"ping health check",
    "The container started, and did not say in time that it is ready; most often its model cannot be loaded.",
    "Read the end of the endpoint's log; the first error in it tells.",
)


def diagnose_endpoint(
    failure_reason: str, last_lines: Sequence[str] = (), instance_type: str = ""
) -> Diagnosis:
    """What happened to an endpoint that failed, or whose update did.

    last_lines: the end of its log, oldest first.
    """
    lines = [plain(line) for line in last_lines[-LINES:]]
    wrong = [line for line in reversed(lines) if level(line) == "error"]
    for text in ([failure_reason] if failure_reason else []) + wrong:
        for rule in RULES:
            match = rule.search(text)
            if match:
                return _filled(rule, text, match.start(), instance_type)
    match = UNHEALTHY.search(failure_reason)
    if match:
        return _filled(UNHEALTHY, wrong[-1] if wrong else failure_reason, 0, instance_type)
    return Diagnosis(
        "It failed",
        "AWS gives the reason below." if failure_reason else "AWS gives no reason.",
        "Read the end of the endpoint's log, above all its first error.",
        around(failure_reason or (wrong[-1] if wrong else ""), 0),
    )


def _filled(rule: DiagnosisRule, text: str, place: int, instance_type: str) -> Diagnosis:
    words = {"instance": instance_type or "the instance type"}
    return Diagnosis(rule.title, rule.cause.format(**words), rule.todo.format(**words), around(text, place))
