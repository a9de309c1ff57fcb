"""Diagnose why a training job failed, in plain words, with what to do next.

The patterns match messages of AWS, its containers, MXNet and the kernel. If none matches, the message itself is
shown: a wrong guess could cost a day.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from core.training.hyperparameters import BY_NAME
from core.training.job import TrainingJob
from core.training.log_lines import level, plain

MAX_EVIDENCE = 600
LINES = 400
"""How many of the last log lines are read."""

NAME = re.compile(r"u?'(?P<name>[^']{1,100})'")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What happened to a job or an endpoint.

    title:    a few words.
    cause:    sentences.
    todo:     what to do now.
    evidence: the message it is based on, verbatim; "" if it is based on the status alone.
    """

    title: str
    cause: str
    todo: str
    evidence: str


@dataclass(frozen=True, slots=True)
class DiagnosisRule:
    """A pattern, searched in AWS's failure reason first, then in the log, and its meaning.

    `{instance}` and `{name}` in the texts are replaced by the instance type and the first quoted name.
    """

    title: str
    pattern: str
    cause: str
    todo: str

    def search(self, text: str) -> re.Match[str] | None:
        """Return the first match, ignoring case."""
        return re.search(self.pattern, text, re.IGNORECASE)


RULES: tuple[DiagnosisRule, ...] = (
    DiagnosisRule(
        "The sandbox was restarted",
        r"sandbox was (?:restarted|stopped|killed)",
        "The sandbox that ran this job stopped during training, and the job stopped with it.",
        "Clone the job to run it again.",
    ),
    DiagnosisRule(
        "Quota reached",
        r"ResourceLimitExceeded|account-level service limit|quota exceeded",
        "The account's quota does not allow (another) {instance} for training in this region.",
        "Wait for other jobs to end, use another instance type, or request an increase in Service Quotas: "
        "“{instance} for training job usage”.",
    ),
    DiagnosisRule(
        "No capacity",
        r"CapacityError|unable to provision requested ML compute capacity|insufficient capacity",
        "AWS had no {instance} available at that time.",
        "Retry later, or use another instance type or region; for a spot job, raise the maximum wait.",
    ),
    DiagnosisRule(
        "The role cannot be used",
        r"could not assume role|sts:AssumeRole|cannot assume|role .{0,200}(?:does not exist|is invalid)",
        "SageMaker cannot assume the job's execution role: it does not exist, or does not trust SageMaker.",
        "Check the role's ARN, and that its trust policy names sagemaker.amazonaws.com.",
    ),
    DiagnosisRule(
        "Image not found",
        r"CannotPullContainer|requested image not found"
        r"|(?:repository|container image|\becr\b).{0,300}(?:does not exist|not found)"
        r"|manifest unknown|unsupported ecr|is not in the same region|cannot find repository|ecr:",
        "The container image cannot be pulled: its URI, account or region is wrong, or the role has no permission.",
        "Use the image of the region that the job runs in. Each region has its own registry account.",
    ),
    DiagnosisRule(
        "Access denied",
        r"access ?denied|is not authorized to perform|\b403\b.{0,40}forbidden|\bAccessDenied",
        "The execution role lacks the permission named below, most often to read or write in S3.",
        "Allow it in the role's policy: s3:ListBucket and s3:GetObject on the data, s3:PutObject on the output.",
    ),
    DiagnosisRule(
        "No data found",
        r"no (?:S3 )?objects? found under|failed to download data|NoSuchBucket|NoSuchKey"
        r"|specified (?:key|bucket) does not|no (?:such )?(?:images?|files?|data) (?:were |was )?found",
        "There are no objects under a channel's S3 URI, or its bucket does not exist.",
        "Check the channels' S3 URIs below: the prefix, its spelling and its trailing slash.",
    ),
    DiagnosisRule(
        "Channel missing",
        r"missing (?:required )?(?:input )?channels?|requires? .{0,40}\bchannel\b"
        r"|channel .{0,80}(?:missing|not (?:found|provided|specified|given))"
        r"|u?'(?:train|validation)(?:_annotation)?' is a required property",
        "The job was started without a channel that the algorithm requires.",
        "Set all four: train, validation, train_annotation and validation_annotation.",
    ),
    DiagnosisRule(
        "Unknown hyperparameter",
        r"additional properties are not allowed \(.{0,200}unexpected\)",
        "The algorithm has no hyperparameter “{name}”, and rejects jobs with unknown hyperparameters.",
        "Correct the name or remove it.{hint}",
    ),
    DiagnosisRule(
        "Invalid hyperparameter",
        r"is not valid under any of the given schemas|is not one of \[|is a required property"
        r"|is (?:less|greater) than (?:or equal to )?the (?:minimum|maximum)|is not of type"
        r"|unable to parse hyperparameter|hyperparameters? .{0,80}(?:invalid|not valid|out of range|required)",
        "A hyperparameter's value is missing or not allowed: “{name}”.",
        "Compare the values below with their ranges, then clone the job with a valid value.",
    ),
    DiagnosisRule(
        "Settings differ from the earlier model",
        r"incremental training.{0,400}must be identical",
        "Incremental training requires the settings of the earlier model: they define its network.",
        "Set algorithm, backbone, crop_size and num_classes to the earlier job's values.",
    ),
    DiagnosisRule(
        "Images without masks",
        r"has no (?:annotation|label|mask)|(?:image|picture)s? .{0,120}without (?:an? )?(?:annotation|label|mask)",
        "An image has no mask with the same name in the annotation channel.",
        "Add a mask with the same name for every image, 0001.png for 0001.jpg, or remove the image.",
    ),
    DiagnosisRule(
        "Invalid label map",
        r"label.?map .{0,200}(?:cannot be read|not valid|invalid|malformed)",
        "The algorithm cannot read the JSON of the label_map channel.",
        "Use whole numbers: in “map”, the new label first and the mask value second; or a single “scale”.",
    ),
    DiagnosisRule(
        "Out of memory",
        r"out of memory|cudaMalloc failed|exit code:? 137|\bMemoryError\b|CUDA_ERROR_OUT_OF_MEMORY|\bOOM\b"
        r"|cannot allocate memory|std::bad_alloc|signal 9|SIGKILL",
        "A batch of images did not fit into the memory of {instance}, or of its GPU.",
        "Halve mini_batch_size or crop_size, or use an instance type with more memory.",
    ),
    DiagnosisRule(
        "Disk full",
        r"no space left on device|disk (?:is )?full",
        "The data, the model and temporary files did not fit on the volume.",
        "Use a larger volume.",
    ),
    DiagnosisRule(
        "Image and mask sizes differ",
        r"size mismatch|shape mismatch|inconsistent shape"
        r"|\b(?:size|shape|width|height|dimension)s?\b.{0,120}(?:differ|mismatch|(?:do|does) not match)"
        r"|(?:image|picture|label|mask|annotation)s?\b.{0,120}(?:size|shape|width|height|dimension)s?\b.{0,60}"
        r"(?:differ|mismatch|(?:do|does) not match|not (?:the same|equal))",
        "A mask does not have the same width and height as its image.",
        "Resize every mask to the size of its image, with nearest-neighbor interpolation.",
    ),
    DiagnosisRule(
        "Label out of range",
        r"(?:label|class|mask|annotation|pixel)s?\b.{0,120}(?:out of (?:range|bounds)|outside|exceeds?|invalid|not in"
        r"|(?:larger|greater|more|higher) than)|num_classes|index .{0,60}out of (?:range|bounds)",
        "A mask contains a value that is not a class ID: 0 to num_classes - 1 are allowed, and 255 for “ignore”.",
        "Check the values in the masks; raise num_classes, or map the values with a label_map channel.",
    ),
    DiagnosisRule(
        "A file cannot be read",
        r"cannot identify image|corrupt|truncated|not a (?:png|jpe?g)|imdecode|unreadable"
        r"|(?:cannot|could not|failed to) (?:read|open|decode|load) .{0,200}\.(?:png|jpe?g)",
        "An image or a mask is corrupt, or its content does not match its file extension.",
        "Open the file named below. Images must be JPEG, and masks PNG with one channel.",
    ),
    DiagnosisRule(
        "AWS failed",
        r"InternalServerError|internal (?:server )?error|We encountered an internal",
        "There was an internal error in AWS, not in the job.",
        "Start it again. If the error recurs, contact AWS Support with the job's ARN.",
    ),
)  # fmt: skip
"""In order of precedence: the first match is used."""

INTERRUPTED = Diagnosis(
    "Spot instance interrupted",
    "AWS reclaimed the spot instance. The job waits for a new one, then restarts from its last checkpoint, or from "
    "scratch if it has none.",
    "Wait, or stop the job and run it without spot.",
    "",
)


def diagnose(job: TrainingJob, last_lines: Sequence[str] | None = None) -> Diagnosis | None:
    """Return what happened to a job; None while it runs, or if it ended normally.

    last_lines: the end of its log, oldest first; empty if it has no log; None if the log was not read.
    """
    if job.secondary_status == "Interrupted" and job.running:
        return INTERRUPTED
    if job.secondary_status in ("MaxRuntimeExceeded", "MaxWaitTimeExceeded"):
        return _out_of_time(job)
    if job.status != "Failed":
        return None
    return _by_rules(job, last_lines or ()) or _unknown(job, last_lines)


def _out_of_time(job: TrainingJob) -> Diagnosis:
    kept = f"The model saved so far is at {job.model_uri}." if job.model_uri else "It saved no model."
    if job.secondary_status == "MaxWaitTimeExceeded":
        interruptions = sum(step.status == "Interrupted" for step in job.transitions)
        return Diagnosis(
            "Stopped at its maximum wait time",
            f"The job, including its wait for spot capacity, reached its limit of {job.max_wait_seconds} s. It was "
            f"interrupted {'once' if interruptions == 1 else f'{interruptions} times'}. {kept}",
            "Raise the maximum wait, set a checkpoint URI, or run it without spot.",
            job.failure_reason or "",
        )
    return Diagnosis(
        "Stopped at its maximum run time",
        f"The job was still training at its limit of {job.max_runtime_seconds} s. {kept}",
        "Raise the maximum run time, train fewer epochs, use a faster instance type"
        f"{', or continue from the saved model' if job.model_uri else ''}.",
        job.failure_reason or "",
    )


def _by_rules(job: TrainingJob, last_lines: Sequence[str]) -> Diagnosis | None:
    """Match AWS's failure reason before the log; in the log, errors only, the last one first."""
    lines = [plain(line) for line in last_lines[-LINES:]]
    errors = [line for line in reversed(lines) if level(line) == "error"]
    for text in ([job.failure_reason] if job.failure_reason else []) + errors:
        for rule in RULES:
            match = rule.search(text)
            if match:
                return _filled(rule, job, text, match)
    return None


def _filled(rule: DiagnosisRule, job: TrainingJob, text: str, match: re.Match[str]) -> Diagnosis:
    quoted = NAME.search(text, match.start()) or NAME.search(text)
    name = quoted["name"] if quoted else "see below"
    near = get_close_matches(name, BY_NAME, n=1)
    words = {
        "instance": job.instance_type or "the instance type",
        "name": name,
        "hint": f" Did you mean {near[0]}?" if near and name not in BY_NAME else "",
    }
    return Diagnosis(
        rule.title, rule.cause.format(**words), rule.todo.format(**words), excerpt(text, match.start())
    )


def _unknown(job: TrainingJob, last_lines: Sequence[str] | None) -> Diagnosis:
    """Return a diagnosis for what no rule matches, with the evidence there is."""
    reason = job.failure_reason or ""
    if last_lines is not None and not last_lines:
        return Diagnosis(
            "Failed before it started",
            "The job has no log: its container never ran. The instance, the image, the role or the data was not "
            "available.",
            "Read AWS's reason below, and check the image, the role and the channels.",
            excerpt(reason, 0),
        )
    error = next((line for line in reversed(last_lines or ()) if level(line) == "error"), "")
    return Diagnosis(
        "Failed",
        "AWS gave the reason below." if reason else "AWS gave no reason.",
        "Read the end of the log, starting from its first error.",
        excerpt(reason or plain(error), 0),
    )


def excerpt(text: str, place: int) -> str:
    """Return the text; of a long one, the part around this position."""
    if len(text) <= MAX_EVIDENCE:
        return text.strip()
    start = max(0, min(place - MAX_EVIDENCE // 4, len(text) - MAX_EVIDENCE))
    end = start + MAX_EVIDENCE
    return ("…" if start else "") + text[start:end].strip() + ("…" if end < len(text) else "")
