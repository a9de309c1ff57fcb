"""Why an endpoint, or its last update, failed: AWS's reason in plain words, with what to do next.

As with training jobs, the text itself is shown where no pattern fits: a guess would cost somebody a day.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.diagnosis import LINES, Diagnosis, Rule
from core.endpoints import Endpoint
from core.logs import level, plain

MAX_EVIDENCE = 600

RULES: tuple[Rule, ...] = (
    Rule(
        "Quota reached",
        r"ResourceLimitExceeded|account-level service limit|quota exceeded",
        "The account may not run (another) {instance} for endpoints in this region.",
        "Delete an endpoint that stands idle, take another instance type, or ask for more under Service Quotas: "
        "“{instance} for endpoint usage”.",
    ),
    Rule(
        "No machine free",
        r"InsufficientCapacity|unable to provision requested ML compute capacity|insufficient capacity",
        "AWS had no {instance} to give at that time.",
        "Try again later, or take another instance type or region.",
    ),
    Rule(
        "The model's file is not there",
        r"model data .{0,200}(?:not found|does not exist|no such|could not (?:be )?(?:found|access))"
        r"|could not find model data|NoSuchKey|NoSuchBucket|specified (?:key|bucket) does not",
        "There is no model.tar.gz at the address that the model names.",
        "Look at the artifact's address under “Lineage”; deploy again with the right one.",
    ),
    Rule(
        "Access denied",
        r"access ?denied|is not authorized to perform|could not assume role|cannot assume|\b403\b.{0,40}forbidden",
        "The model's role may not do what the text below says, most often read the artifact or the image.",
        "Allow it in the role's policy: s3:GetObject on the artifact, and pulling the image from ECR.",
    ),
    Rule(
        "The model's file cannot be used",
        r"unable to (?:extract|untar|unpack)|invalid tar|not in gzip format|(?:corrupt|damaged|broken|truncated)"
        r"|hyperparams\.json|model_best\.params|model_algo-1"
        r"|(?:archive|model\.tar\.gz)\b.{0,120}(?:lacks|missing|holds no)",
        "The archive is damaged, or is not one of this algorithm's: that has model_best.params and "
        "hyperparams.json at its top.",
        "Look into the file, take the one that the training job wrote, and deploy again.",
    ),
    Rule(
        "The image cannot be pulled",
        r"CannotPullContainer|image .{0,200}(?:not found|does not exist|cannot be pulled)|ECR image"
        r"|repository .{0,120}does not",
        "SageMaker cannot fetch the container's image: its address is of another region, or the role may not.",
        "Take the image of this region; each region has its own account for it.",
    ),
    Rule(
        "Out of memory",
        r"out of memory|cudaMalloc failed|exit code:? 137|\bMemoryError\b|\bOOM\b|std::bad_alloc|SIGKILL|signal 9",
        "The model did not fit into the memory of {instance}, or of its GPU.",
        "Take an instance with more memory.",
    ),
    Rule(
        "The container does not come up",
        r"ping health check|did not (?:pass|answer)|exited|exit code|CannotStartContainer|failed to start|"
        r"not (?:come|came) up",
        "The container ended, or did not answer SageMaker's question whether it is well.",
        "Read the end of its log, above all the first error; most often the model's file is not what it expects.",
    ),
    Rule(
        "AWS failed",
        r"InternalServerError|internal (?:server |service )?error|request to service failed",
        "Something broke on AWS's side, not in the model.",
        "Try again. If it comes back, ask AWS's support with the endpoint's ARN.",
    ),
)  # fmt: skip
"""In this order: the first one that fits counts."""


def diagnose_endpoint(endpoint: Endpoint, last_lines: Sequence[str] = ()) -> Diagnosis | None:
    """What happened, in words; None where nothing failed.

    last_lines: the end of its log, oldest first; empty where it has none, or nobody has looked.
    """
    reason = endpoint.failure_reason
    if not reason and not endpoint.failed:
        return None
    wrong = [plain(line) for line in reversed(last_lines[-LINES:]) if level(line) == "error"]
    before = "" if endpoint.failed else "Its last update failed, and it went back to what it was. "
    for rule in RULES:
        if rule.search(reason):
            return _filled(rule, endpoint, reason, before)
    said = "AWS gives the reason below." if reason else "AWS gives no reason."
    evidence = reason or (wrong[0] if wrong else "")
    todo = "Look at the end of its log, above all at the first error."
    return Diagnosis("It failed", f"{before}{said}", todo, evidence[:MAX_EVIDENCE])


def _filled(rule: Rule, endpoint: Endpoint, reason: str, before: str) -> Diagnosis:
    types = [variant.instance_type for variant in endpoint.variants if variant.instance_type]
    words = {"instance": types[0] if types else "the instance type", "name": "", "hint": ""}
    cause, todo = rule.cause.format(**words), rule.todo.format(**words)
    return Diagnosis(rule.title, f"{before}{cause}", todo, reason[:MAX_EVIDENCE])
