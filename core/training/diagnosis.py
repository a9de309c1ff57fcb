"""Why a training job ended as it did, in plain words, with what to do next.

The patterns are pieces of the texts that AWS, its containers, MXNet and the kernel use. Where none fits, the text
itself is shown: a guess would cost somebody a day.
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
"""How many of the last lines are looked at."""

NAME = re.compile(r"u?'(?P<name>[^']{1,100})'")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What happened to a job.

    title:    a few words.
    cause:    sentences.
    todo:     what to do now.
    evidence: the text it was told from, word by word; "" where the status alone tells.
    """

    title: str
    cause: str
    todo: str
    evidence: str


@dataclass(frozen=True, slots=True)
class DiagnosisRule:
    """A pattern, looked for in AWS's reason first and in the log then, and what it means.

    `{instance}` and `{name}` in the texts stand for the instance type and the first name in quotes.
    """

    title: str
    pattern: str
    cause: str
    todo: str

    def search(self, text: str) -> re.Match[str] | None:
        """Where it fits, in any case of letters."""
        return re.search(self.pattern, text, re.IGNORECASE)


RULES: tuple[DiagnosisRule, ...] = (
    DiagnosisRule(
        "The sandbox was restarted",
        r"sandbox was (?:restarted|stopped|killed)",
        "The sandbox that ran this job ended while it trained, and took it along.",
        "Clone the job to run it again.",
    ),
    DiagnosisRule(
        "Quota reached",
        r"ResourceLimitExceeded|account-level service limit|quota exceeded",
        "The account may not run (another) {instance} for training in this region.",
        "Wait for other jobs to end, take another instance type, or ask for more under Service Quotas: "
        "“{instance} for training job usage”.",
    ),
    DiagnosisRule(
        "No machine free",
        r"CapacityError|unable to provision requested ML compute capacity|insufficient capacity",
        "AWS had no {instance} to give at that time.",
        "Start it again later, take another instance type or region; for a spot job, raise the maximum wait.",
    ),
    DiagnosisRule(
        "The role cannot be used",
        r"could not assume role|sts:AssumeRole|cannot assume|role .{0,200}(?:does not exist|is invalid)",
        "SageMaker cannot take on the job's execution role: it does not exist, or does not trust SageMaker.",
        "Check the role's ARN, and that its trust policy names sagemaker.amazonaws.com.",
    ),
    DiagnosisRule(
        "Image not found",
        r"CannotPullContainer|requested image not found"
        r"|(?:repository|container image|\becr\b).{0,300}(?:does not exist|not found)"
        r"|manifest unknown|unsupported ecr|is not in the same region|cannot find repository|ecr:",
        "The container image cannot be fetched: its address, account or region is wrong, or the role may not.",
        "Take the image of the region the job runs in. Each region has its own account for it.",
    ),
    DiagnosisRule(
        "Access denied",
        r"access ?denied|is not authorized to perform|\b403\b.{0,40}forbidden|\bAccessDenied",
        "The execution role may not do what the text below says, most often read or write in S3.",
        "Allow it in the role's policy: s3:ListBucket and s3:GetObject on the data, s3:PutObject on the output.",
    ),
    DiagnosisRule(
        "No data found",
        r"no (?:S3 )?objects? found under|failed to download data|NoSuchBucket|NoSuchKey"
        r"|specified (?:key|bucket) does not|no (?:such )?(?:images?|files?|data) (?:were |was )?found",
        "There is no object under a channel's address, or its bucket does not exist.",
        "Look at the channels' addresses below: the prefix, its spelling and its slash at the end.",
    ),
    DiagnosisRule(
        "Channel missing",
        r"missing (?:required )?(?:input )?channels?|requires? .{0,40}\bchannel\b"
        r"|channel .{0,80}(?:missing|not (?:found|provided|specified|given))"
        r"|u?'(?:train|validation)(?:_annotation)?' is a required property",
        "The job was started without a channel that the algorithm needs.",
        "Give all four: train, validation, train_annotation and validation_annotation.",
    ),
    DiagnosisRule(
        "Unknown hyperparameter",
        r"additional properties are not allowed \(.{0,200}unexpected\)",
        "The algorithm has no hyperparameter “{name}”, and refuses a job with a name it does not know.",
        "Correct the name or leave it out.{hint}",
    ),
    DiagnosisRule(
        "Bad hyperparameter",
        r"is not valid under any of the given schemas|is not one of \[|is a required property"
        r"|is (?:less|greater) than (?:or equal to )?the (?:minimum|maximum)|is not of type"
        r"|unable to parse hyperparameter|hyperparameters? .{0,80}(?:invalid|not valid|out of range|required)",
        "A hyperparameter's value is missing or not allowed: “{name}”.",
        "Compare the values below with their ranges, then clone the job with the right one.",
    ),
    DiagnosisRule(
        "Not the model's own settings",
        r"incremental training.{0,400}must be identical",
        "Going on from a model takes the settings that it was trained with: they shape its network.",
        "Set algorithm, backbone, crop_size and num_classes as the earlier job had them.",
    ),
    DiagnosisRule(
        "Pictures without masks",
        r"has no (?:annotation|label|mask)|(?:image|picture)s? .{0,120}without (?:an? )?(?:annotation|label|mask)",
        "A picture has no mask of the same name in the annotation channel.",
        "Give every picture a mask with its name, 0001.png for 0001.jpg; or take the picture out.",
    ),
    DiagnosisRule(
        "Label map not read",
        r"label.?map .{0,200}(?:cannot be read|not valid|invalid|malformed)",
        "The JSON of the label_map channel is not one that the algorithm understands.",
        "Write whole numbers: in “map” the new label first and the mask's value second, or one “scale”.",
    ),
    DiagnosisRule(
        "Out of memory",
        r"out of memory|cudaMalloc failed|exit code:? 137|\bMemoryError\b|CUDA_ERROR_OUT_OF_MEMORY|\bOOM\b"
        r"|cannot allocate memory|std::bad_alloc|signal 9|SIGKILL",
        "A batch of pictures did not fit into the memory of {instance}, or of its GPU.",
        "Halve mini_batch_size or crop_size, or take an instance with more memory.",
    ),
    DiagnosisRule(
        "Disk full",
        r"no space left on device|disk (?:is )?full",
        "Data, model and scratch files did not fit on the volume.",
        "Give the job a larger volume.",
    ),
    DiagnosisRule(
        "Picture and mask differ in size",
        r"size mismatch|shape mismatch|inconsistent shape"
        r"|\b(?:size|shape|width|height|dimension)s?\b.{0,120}(?:differ|mismatch|(?:do|does) not match)"
        r"|(?:image|picture|label|mask|annotation)s?\b.{0,120}(?:size|shape|width|height|dimension)s?\b.{0,60}"
        r"(?:differ|mismatch|(?:do|does) not match|not (?:the same|equal))",
        "A mask does not have the width and height of its picture.",
        "Make every mask as large as its picture, scaled by nearest neighbour.",
    ),
    DiagnosisRule(
        "Labels outside the classes",
        r"(?:label|class|mask|annotation|pixel)s?\b.{0,120}(?:out of (?:range|bounds)|outside|exceeds?|invalid|not in"
        r"|(?:larger|greater|more|higher) than)|num_classes|index .{0,60}out of (?:range|bounds)",
        "A mask holds a value that is no class: allowed are 0 to num_classes - 1, and 255 for “ignore”.",
        "Count the values in the masks; raise num_classes, or map the values with a label_map channel.",
    ),
    DiagnosisRule(
        "A file cannot be read",
        r"cannot identify image|corrupt|truncated|not a (?:png|jpe?g)|imdecode|unreadable"
        r"|(?:cannot|could not|failed to) (?:read|open|decode|load) .{0,200}\.(?:png|jpe?g)",
        "A picture or a mask is broken, or is not what its name says.",
        "Open the file that the text names; pictures must be JPEG, masks PNG with one channel.",
    ),
    DiagnosisRule(
        "AWS failed",
        r"InternalServerError|internal (?:server )?error|We encountered an internal",
        "Something broke on AWS's side, not in the job.",
        "Start it again. If it comes back, ask AWS's support with the job's ARN.",
    ),
)  # fmt: skip
"""In this order: the first one that fits counts."""

INTERRUPTED = Diagnosis(
    "Spot machine taken back",
    "AWS needed the spare machine itself. The job waits for another one, and starts again from its checkpoint, or "
    "from nothing where it has none.",
    "Wait; or stop it and run it without spot.",
    "",
)


def diagnose(job: TrainingJob, last_lines: Sequence[str] | None = None) -> Diagnosis | None:
    """What happened, in words; None where a job runs or ended as it should.

    last_lines: the end of its log, oldest first; empty where it has no log; None where nobody has looked.
    """
    if job.secondary_status == "Interrupted" and job.running:
        return INTERRUPTED
    if job.secondary_status in ("MaxRuntimeExceeded", "MaxWaitTimeExceeded"):
        return _out_of_time(job)
    if job.status != "Failed":
        return None
    return _by_rules(job, last_lines or ()) or _unknown(job, last_lines)


def _out_of_time(job: TrainingJob) -> Diagnosis:
    kept = f"The model saved until then lies at {job.model_uri}." if job.model_uri else "It left no model."
    if job.secondary_status == "MaxWaitTimeExceeded":
        interruptions = sum(step.status == "Interrupted" for step in job.transitions)
        return Diagnosis(
            "Spot capacity came too late",
            f"With waiting, the job took longer than its {job.max_wait_seconds} s; its machine was taken back "
            f"{'once' if interruptions == 1 else f'{interruptions} times'}. {kept}",
            "Raise the maximum wait, give it checkpoints, or run it without spot.",
            job.failure_reason or "",
        )
    return Diagnosis(
        "Stopped at its maximum run time",
        f"The job was still training after {job.max_runtime_seconds} s, its own limit. {kept}",
        "Raise the maximum run time, take fewer epochs or a faster machine"
        f"{'; or go on from the saved model' if job.model_uri else ''}.",
        job.failure_reason or "",
    )


def _by_rules(job: TrainingJob, last_lines: Sequence[str]) -> Diagnosis | None:
    """AWS's reason counts before the log; in the log, errors count, the last one first."""
    lines = [plain(line) for line in last_lines[-LINES:]]
    wrong = [line for line in reversed(lines) if level(line) == "error"]
    for text in ([job.failure_reason] if job.failure_reason else []) + wrong:
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
        rule.title, rule.cause.format(**words), rule.todo.format(**words), around(text, match.start())
    )


def _unknown(job: TrainingJob, last_lines: Sequence[str] | None) -> Diagnosis:
    """No rule fits: say so, and show what there is."""
    reason = job.failure_reason or ""
    if last_lines is not None and not last_lines:
        return Diagnosis(
            "It died before its start",
            "The job has no log: its container never ran. The machine, the image, the role or the data were not "
            "there for it.",
            "Read AWS's reason below; check image, role and channels.",
            around(reason, 0),
        )
    error = next((line for line in reversed(last_lines or ()) if level(line) == "error"), "")
    return Diagnosis(
        "It failed",
        "AWS gives the reason below." if reason else "AWS gives no reason.",
        "Look at the end of the log, above all at its first error.",
        around(reason or plain(error), 0),
    )


def around(text: str, place: int) -> str:
    """The text, or so much of a long one that the place found stands in it."""
    if len(text) <= MAX_EVIDENCE:
        return text.strip()
    start = max(0, min(place - MAX_EVIDENCE // 4, len(text) - MAX_EVIDENCE))
    end = start + MAX_EVIDENCE
    return ("…" if start else "") + text[start:end].strip() + ("…" if end < len(text) else "")
