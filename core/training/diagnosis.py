"""Diagnose why a training job failed, in plain words, with what to do next.

The patterns match messages of AWS, its containers, MXNet and the kernel. If none matches, the message itself is
shown: a wrong guess could cost a day.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain

from core.training.channels import CONTENT_TYPES
from core.training.hyperparameters import BY_NAME
from core.training.job import TrainingJob
from core.training.log_lines import level, plain

MAX_EVIDENCE = 600
LINES = 400
"""How many of the last log lines are read."""

NAME = re.compile(r"u?'(?P<name>[^']{1,100})'")
VALUE = r"(?:u?'(?P<name>[^']{0,100})'|(?P<number>[-+]?\d[\d.eE+-]{0,30})) "
"""The rejected value in an error of the JSON schema, which the container quotes before what is wrong with it."""

ONE_OF = VALUE + r"is not one of \[(?P<allowed>[^\]]{0,400})\]"
UNEXPECTED = r"additional properties are not allowed \((?P<names>[^)]{0,400}?) (?:was|were) unexpected\)"
IN_CHANNELS = r"input data config(?:uration)?[\s\S]{0,300}?"
CHANNEL_SETTINGS = {
    "/": "content type",
    "FullyReplicated": "S3DataDistributionType",
    "Pipe": "input mode",
    "RecordIO": "RecordWrapperType",
    "Gzip": "CompressionType",
    "S3Prefix": "S3DataType",
}
"""A part of an allowed value -> the setting of a channel that has such values."""


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

    The texts can contain `{instance}`, the instance type; `{name}`, the pattern's group of that name, else the first
    quoted name; `{names}` and `{allowed}`, the groups of these names; `{of}`, the hyperparameter that has this value;
    `{setting}`, the setting of a channel; `{batch}`, the job's batch size; and `{hint}`, the name that may have been
    meant.
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
        "“{instance} for {spot}training job usage”.",
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
        "Unknown channel",
        IN_CHANNELS + UNEXPECTED,
        "The algorithm has no channel {names}, and rejects jobs with unknown channels.",
        "Rename the channel or remove it.{hint}",
    ),
    DiagnosisRule(
        "Invalid channel setting",
        IN_CHANNELS + ONE_OF,
        "The {setting} of a channel is “{name}”, which is not allowed. Allowed: {allowed}.",
        "Correct the {setting} of the channel, then start the job again.",
    ),
    DiagnosisRule(
        "Invalid channel setting",
        IN_CHANNELS + VALUE + r"(?:is not|is a required|does not|is less|is greater)",
        "The algorithm rejects the configuration of the channels: see “{name}” below.",
        "Correct the channel's content type, input mode or distribution, then start the job again.",
    ),
    DiagnosisRule(
        "Unknown hyperparameter",
        UNEXPECTED,
        "The algorithm has no hyperparameter {names}, and rejects jobs with unknown hyperparameters.",
        "Correct the name or remove it.{hint}",
    ),
    DiagnosisRule(
        "Invalid hyperparameter",
        ONE_OF,
        "The value “{name}”{of} is not allowed. Allowed: {allowed}.",
        "Clone the job with one of the allowed values.",
    ),
    DiagnosisRule(
        "Invalid hyperparameter",
        VALUE + r"is a required property",
        "The hyperparameter “{name}” is missing.",
        "Clone the job with a value for it.",
    ),
    DiagnosisRule(
        "Invalid hyperparameter",
        VALUE + r"(?:is not valid under any of the given schemas|is not of type"
        r"|is (?:less|greater) than (?:or equal to )?the (?:minimum|maximum)|does not match)",
        "The value “{name}”{of} is not allowed.",
        "Compare the values below with their ranges, then clone the job with a valid value.",
    ),
    DiagnosisRule(
        "Batch larger than the dataset",
        r"number of (?:input|training|validation)? ?(?:images|samples) must be (?:bigger|greater|larger)[\s\S]{0,80}"
        r"batch_size",
        "A batch is larger than the number of images{batch}.",
        "Set mini_batch_size to the number of images or less, and check that the channels hold all images.",
    ),
    DiagnosisRule(
        "Empty batches",
        r"empty batch from pipe|\bAttributeNames\b",
        "Pipe mode delivered no data: the manifest has no valid lines, or the channel's AttributeNames differ from "
        "the attributes in the manifest.",
        "Compare AttributeNames with the attributes of the manifest, such as source-ref, then start the job again.",
    ),
    DiagnosisRule(
        "Not RecordIO data",
        r"unable to parse record|record ?io\b[\s\S]{0,120}(?:magic|header|format)|(?:correct|valid) record ?io",
        "The algorithm expected RecordIO, and the channel delivered something else.",
        "In Pipe mode with images or an augmented manifest, set RecordWrapperType to RecordIO and the content type "
        "to application/x-recordio; for image files, use File mode. If the files are RecordIO, create them again.",
    ),
    DiagnosisRule(
        "Invalid hyperparameter",
        r"unable to parse hyperparameter|hyperparameters? .{0,80}(?:invalid|not valid|out of range|required)",
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
)  # fmt: skip
"""In order of precedence: the first match is used."""

WEAK_RULES: tuple[DiagnosisRule, ...] = (
    DiagnosisRule(
        "Invalid input",
        r"\binput error\b|\bcustomer error\b",
        "The algorithm reports a problem with the job's input, in the words below.",
        "Correct what the message names, then start the job again.",
    ),
    DiagnosisRule(
        "AWS failed",
        r"InternalServerError|internal (?:server )?error|We encountered an internal",
        "There was an internal error in AWS, not in the job.",
        "Start it again. If the error recurs, contact AWS Support with the job's ARN.",
    ),
)
"""Rules for messages that containers also write around a specific error: used if none of `RULES` matches anything."""

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
    """Match AWS's failure reason before the log; in the log, errors only, the last one first.

    The weak rules come last, so that an error in the log is used before a reason that only says that AWS failed.
    """
    lines = [plain(line) for line in last_lines[-LINES:]]
    errors = [line for line in reversed(lines) if level(line) == "error"]
    texts = ([job.failure_reason] if job.failure_reason else []) + errors
    strong = ((rule, text) for text in texts for rule in RULES)
    weak = ((rule, text) for rule in WEAK_RULES for text in texts)
    for rule, text in chain(strong, weak):
        match = rule.search(text)
        if match:
            return _filled(rule, job, text, match)
    return None


def _filled(rule: DiagnosisRule, job: TrainingJob, text: str, match: re.Match[str]) -> Diagnosis:
    groups = match.groupdict()
    listed = [quoted["name"] for quoted in NAME.finditer(groups.get("names") or "")]
    allowed = [quoted["name"] for quoted in NAME.finditer(groups.get("allowed") or "")]
    name = listed[0] if listed else _name(text, match)
    known = CONTENT_TYPES if rule.title == "Unknown channel" else BY_NAME
    near = get_close_matches(name, known, n=1)
    batch = job.hyperparameters.get("mini_batch_size")
    words = {
        "instance": job.instance_type or "the instance type",
        "spot": "spot " if job.spot else "",
        "name": name,
        "names": ", ".join(f"“{each}”" for each in listed or [name]),
        "allowed": ", ".join(allowed) or groups.get("allowed") or "",
        "of": _of(job, name),
        "setting": next(
            (setting for part, setting in CHANNEL_SETTINGS.items() if any(part in each for each in allowed)),
            "configuration",
        ),
        "batch": f": mini_batch_size is {batch}" if batch else "",
        "hint": f" Did you mean {near[0]}?" if near and name not in known else "",
    }
    return Diagnosis(
        rule.title, rule.cause.format(**words), rule.todo.format(**words), excerpt(text, match.start())
    )


def _name(text: str, match: re.Match[str]) -> str:
    """Return the name or value that a message is about, else the first quoted one at or before the match."""
    groups = match.groupdict()
    if (name := groups.get("name") or groups.get("number")) is not None:
        return name
    quoted = NAME.search(text, match.start()) or NAME.search(text)
    return quoted["name"] if quoted else "see below"


def _of(job: TrainingJob, value: str) -> str:
    """Return " of NAME" for the only hyperparameter with this value; empty if none or several have it."""
    names = [name for name, text in job.hyperparameters.items() if text == value]
    return f" of {names[0]}" if len(names) == 1 else ""


def _unknown(job: TrainingJob, last_lines: Sequence[str] | None) -> Diagnosis:
    """Return a diagnosis for what no rule matches, with the evidence there is."""
    reason = job.failure_reason or ""
    if last_lines is not None and not last_lines and not job.container_ran:
        return Diagnosis(
            "Failed before it started",
            "The job has no log: its container never ran. The instance, the image, the role or the data was not "
            "available.",
            "Read AWS's reason below, and check the image, the role and the channels.",
            excerpt(reason, 0),
        )
    no_log = " Its log is empty or has expired." if last_lines is not None and not last_lines else ""
    error = next((line for line in reversed(last_lines or ()) if level(line) == "error"), "")
    return Diagnosis(
        "Failed",
        ("AWS gave the reason below." if reason else "AWS gave no reason.") + no_log,
        "Check what the reason names, then clone the job; the new job has a log of its own."
        if no_log
        else "Read the end of the log, starting from its first error.",
        excerpt(reason or plain(error), 0),
    )


def excerpt(text: str, place: int) -> str:
    """Return the text; of a long one, the part around this position."""
    if len(text) <= MAX_EVIDENCE:
        return text.strip()
    start = max(0, min(place - MAX_EVIDENCE // 4, len(text) - MAX_EVIDENCE))
    end = start + MAX_EVIDENCE
    return ("…" if start else "") + text[start:end].strip() + ("…" if end < len(text) else "")
