"""Pre-flight checks: find what would make a training job fail before an instance is paid for.

`check_spec` checks only the request; `preflight` also the names of the objects in its channels. The caller lists
them; nothing here uses the network.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from core.text import listing, plural
from core.training.channels import (
    CONTENT_TYPES,
    DATA_CHANNELS,
    DATASET,
    FILE_SYSTEMS,
    MANIFEST_CHANNELS,
    MODEL_CHANNEL,
    MODEL_CONTENT,
    S3_PREFIX,
    Channel,
)
from core.training.hyperparameters import INCREMENTAL_KEYS, Problem, Severity, check, effective, whole
from core.training.job import IMAGE, TrainingSpec, check_copy
from core.training.manifest import ManifestFile, check_manifest_channel, check_manifests
from core.training.security import check_security

NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", re.ASCII)
"""TrainingJobName of SageMaker's API."""

ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/?[a-zA-Z0-9+=,.@_/-]+", re.ASCII)
S3_URI = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?", re.ASCII)
INSTANCE = re.compile(r"ml\.(?P<family>[a-z0-9-]+)\.[a-z0-9]+", re.ASCII)

FAMILIES = ("p2", "p3", "g4dn", "g5")
"""Instance families that support training (developer guide, semantic segmentation); not g6, p4 or p5."""

MAX_RUNTIME = 28 * 86_400
UNSAVED_SECONDS = 3600
"""A spot job that can run for longer is warned when it saves no checkpoints, which this algorithm supports (developer
guide); for a shorter one it is a note."""

GPUS = {
    "ml.p2.8xlarge": 8,
    "ml.p2.16xlarge": 16,
    "ml.p3.8xlarge": 4,
    "ml.p3.16xlarge": 8,
    "ml.g4dn.12xlarge": 4,
    "ml.g5.12xlarge": 4,
    "ml.g5.24xlarge": 4,
    "ml.g5.48xlarge": 8,
}
"""GPUs of the instance types that have several (EC2 user guide, accelerated computing)."""

SIZE_SENSITIVE = ("psp", "deeplab")
"""Decoders with which validation on images of another size than crop_size was reported to fail: "Incompatible input
shape", with images of 512 x 640 pixels and a crop_size of 240 (aws/deep-learning-containers#902)."""

BATCHES = (("mini_batch_size", "train"), ("validation_mini_batch_size", "validation"))
IMAGES, MASKS = (".jpg", ".jpeg", ".png"), (".png",)

MAX_VOLUME = 16_384
MAX_TAGS = 50
PAIRS = (("train", "train_annotation"), ("validation", "validation_annotation"))


def check_spec(
    spec: TrainingSpec, *, families: Collection[str] | None = FAMILIES, sandbox: bool = False
) -> list[Problem]:
    """Return the problems of a request, in the order of its fields.

    families: instance families to allow; None allows any.
    sandbox:  allow what only the sandbox supports.
    """
    return [
        *_identity(spec),
        *_machine(spec, families),
        *_limits(spec),
        *check(spec.hyperparameters, sandbox=sandbox),
        *_channels(spec),
        *check_security(spec.security, spec.instance_type),
        *_tags(spec),
        *check_copy(spec),
    ]


def preflight(
    spec: TrainingSpec,
    listing: Mapping[str, Sequence[str]],
    *,
    previous: Mapping[str, str] | None = None,
    families: Collection[str] | None = FAMILIES,
    sandbox: bool = False,
    classes: int | None = None,
    sizes: Collection[tuple[int, int]] | None = None,
    manifests: Mapping[str, ManifestFile] | None = None,
) -> list[Problem]:
    """Return the problems of `check_spec` and of the data, errors first.

    listing:   channel -> keys of the objects under its URI; channels not in it are not checked.
    previous:  hyperparameters of the job that the `model` channel comes from; None if unknown.
    classes:   number of the dataset's classes, 255 not counted; None if unknown.
    sizes:     (width, height) in pixels of some validation images; None if unknown.
    manifests: channel -> its augmented manifest, for those that were read.
    """
    manifests = manifests or {}
    problems = check_spec(spec, families=families, sandbox=sandbox)
    problems += _incremental(spec, previous)
    files = _all_files(spec.channels, listing)
    files |= {
        channel.name: manifests[channel.name].images(channel.attributes)
        for channel in spec.channels
        if channel.name in manifests
    }
    problems += check_objects(spec.channels, listing) + check_manifests(spec.channels, manifests)
    problems += _samples(spec, files)
    reported = {problem.name for problem in problems}
    problems += [problem for problem in _batches(spec, files) if problem.name not in reported]
    problems += _class_count(spec, classes) + _image_sizes(spec, sizes)
    order = ("error", "warning", "note")
    return sorted(problems, key=lambda problem: order.index(problem.severity))


def check_objects(channels: Collection[Channel], listing: Mapping[str, Sequence[str]]) -> list[Problem]:
    """Return the problems that the object names in the channels show, for any job; see `preflight`."""
    uris = {channel.name: channel.uri for channel in channels}
    files = _all_files(channels, listing)
    problems = [
        Problem(name, f"There are no objects under {uris[name]}. Upload the data, or correct the S3 URI.")
        for name, keys in files.items()
        if not keys
    ]
    for images, masks in PAIRS:
        problems += _suffixes(files, images, IMAGES, "JPEG") + _suffixes(files, masks, MASKS, "PNG")
        problems += _png_images(files, images)
        problems += _pairs(files, images, masks)
    return problems


def _identity(spec: TrainingSpec) -> list[Problem]:
    problems = []
    if not NAME.fullmatch(spec.name):
        problems.append(
            Problem(
                "name",
                f"The name {spec.name!r} is invalid. Use 1 to 63 letters, digits and hyphens, "
                "with a letter or digit at both ends.",
            )
        )
    if not ROLE.fullmatch(spec.role_arn):
        wrong = (
            f"The role {spec.role_arn!r} is not an IAM role ARN." if spec.role_arn else "No IAM role is set."
        )
        problems.append(Problem("role_arn", f"{wrong} Use one such as arn:aws:iam::123456789012:role/NAME."))
    if not spec.image:
        problems.append(Problem("image", "No container image is set."))
    elif not IMAGE.search(spec.image):
        problems.append(
            Problem("image", f"{spec.image} is not AWS's semantic segmentation image.", "warning")
        )
    return problems


def _machine(spec: TrainingSpec, families: Collection[str] | None) -> list[Problem]:
    problems = []
    kind = INSTANCE.fullmatch(spec.instance_type)
    if not kind:
        problems.append(
            Problem(
                "instance_type",
                f"{spec.instance_type!r} is not an instance type. Use one such as ml.g4dn.xlarge.",
            )
        )
    elif families is not None and kind["family"] not in families:
        problems.append(
            Problem(
                "instance_type",
                f"The algorithm does not train on {spec.instance_type}. Use one of the families "
                f"{', '.join(families)}, such as ml.g4dn.xlarge.",
            )
        )
    if spec.instance_count != 1:
        problems.append(
            Problem(
                "instance_count",
                f"The instance count is {spec.instance_count}; the algorithm trains on one instance. Set it to 1.",
            )
        )
    if not 1 <= spec.volume_gb <= MAX_VOLUME:
        problems.append(
            Problem(
                "volume_gb",
                f"The volume size is {spec.volume_gb} GB. Set it to 1 to {MAX_VOLUME}; 50 is typical.",
            )
        )
    return problems


def _limits(spec: TrainingSpec) -> list[Problem]:
    problems = []
    if not 1 <= spec.max_runtime_seconds <= MAX_RUNTIME:
        problems.append(
            Problem(
                "max_runtime_seconds",
                f"The maximum run time is {spec.max_runtime_seconds} s. Set it to 1 s to 28 days.",
            )
        )
    wait = spec.max_wait_seconds
    if spec.spot and wait is not None and wait < spec.max_runtime_seconds:
        problems.append(
            Problem(
                "max_wait_seconds",
                f"The maximum wait of {wait} s is less than the maximum run time of {spec.max_runtime_seconds} s, "
                "which it includes. Raise it.",
            )
        )
    if not spec.spot and wait is not None:
        problems.append(
            Problem(
                "max_wait_seconds", "The maximum wait applies only to spot jobs; it is not sent.", "warning"
            )
        )
    if spec.spot and not spec.checkpoint_uri:
        long = (wait or spec.max_runtime_seconds) > UNSAVED_SECONDS
        example = checkpoint_prefix(spec)
        problems.append(
            Problem(
                "checkpoint_uri",
                "Without checkpoints, an interrupted spot job starts again from scratch. The algorithm supports "
                f"checkpoints: set an S3 prefix for them{f', such as {example}' if example else ''}.",
                "warning" if long else "note",
            )
        )
    if spec.checkpoint_uri and not S3_URI.fullmatch(spec.checkpoint_uri):
        problems.append(_no_s3("checkpoint_uri", spec.checkpoint_uri))
    if not S3_URI.fullmatch(spec.output_uri):
        problems.append(_no_s3("output_uri", spec.output_uri))
    return problems


def checkpoint_prefix(spec: TrainingSpec) -> str:
    """Return an S3 prefix for the checkpoints of this job, next to its model; empty if its output is invalid."""
    if not spec.name or not S3_URI.fullmatch(spec.output_uri):
        return ""
    return f"{spec.output_uri.rstrip('/')}/{spec.name}/checkpoints/"


def _channels(spec: TrainingSpec) -> list[Problem]:
    names = [channel.name for channel in spec.channels]
    by_manifest = uses_manifests(spec)
    required = MANIFEST_CHANNELS if by_manifest else tuple(DATA_CHANNELS)
    missing = [name for name in required if name not in names]
    problems = [Problem(missing[0], _without(missing, required))] if missing else []
    problems += [
        Problem(name, f"The channel {name} is given {names.count(name)} times.")
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    for channel in spec.channels:
        problems += _one_channel(channel, spec.input_mode)
        if by_manifest and channel.name in DATA_CHANNELS and not channel.is_manifest:
            problems.append(_not_a_manifest(channel))
    if by_manifest and spec.channel(MODEL_CHANNEL) is not None:
        text = "AWS documents continued training with image files only, not with augmented manifests."
        problems.append(Problem(MODEL_CHANNEL, text, "warning"))
    if spec.input_mode not in ("File", "Pipe"):
        problems.append(Problem("input_mode", f"The input mode is {spec.input_mode!r}. Set it to File."))
    elif spec.input_mode == "Pipe" and not by_manifest:
        problems.append(
            Problem("input_mode", "Pipe mode is the older mode; use File mode if you can.", "warning")
        )
    return problems


def uses_manifests(spec: TrainingSpec) -> bool:
    """Return whether the job trains or validates on an augmented manifest."""
    return any(channel.is_manifest for channel in spec.channels if channel.name in MANIFEST_CHANNELS)


def _not_a_manifest(channel: Channel) -> Problem:
    if channel.name in MANIFEST_CHANNELS:
        text = f"The channel {channel.name} reads files, and the other one an augmented manifest. Use one for both."
        return Problem(channel.name, text)
    text = (
        f"The channel {channel.name} is not used with augmented manifests, which name the masks. Remove it."
    )
    return Problem(channel.name, text, "warning")


def _one_channel(channel: Channel, input_mode: str) -> list[Problem]:
    if channel.name not in CONTENT_TYPES:
        known = ", ".join(CONTENT_TYPES)
        return [Problem(channel.name, f"The algorithm has no channel {channel.name!r}. It has {known}.")]
    if channel.data_type in (*FILE_SYSTEMS, DATASET):
        text = f"The channel reads a {channel.data_type}, {channel.uri}, whose files Segdeck cannot check."
        return [Problem(channel.name, text, "warning")]
    if not S3_URI.fullmatch(channel.uri):
        return [_no_s3(channel.name, channel.uri)]
    if channel.is_manifest:
        return check_manifest_channel(channel, input_mode)
    problems = []
    if channel.data_type != S3_PREFIX:
        problems.append(
            Problem(
                channel.name,
                f"The channel reads a {channel.data_type}. Use an S3 prefix or an augmented manifest.",
            )
        )
    wanted = CONTENT_TYPES[channel.name]
    if channel.content_type and channel.content_type != wanted and channel.name in DATA_CHANNELS:
        severity: Severity = "warning" if channel.content_type == "application/x-image" else "error"
        problems.append(
            Problem(
                channel.name, f"The content type is {channel.content_type!r}. Set it to {wanted}.", severity
            )
        )
    if channel.name == MODEL_CHANNEL:
        problems += _model_channel(channel)
    return problems


def _tags(spec: TrainingSpec) -> list[Problem]:
    """Check AWS's limits on tags (API reference, Tag)."""
    bad = [
        key
        for key, text in sorted(spec.tags.items())
        if not 1 <= len(key) <= 128 or len(text) > 256 or key.lower().startswith("aws:")
    ]
    if not bad and len(spec.tags) <= MAX_TAGS:
        return []
    shown = _listing([repr(key[:40]) for key in bad]) or f"there are {len(spec.tags)}"
    todo = (
        "Use at most 50 tags, keys of 1 to 128 and values of up to 256 characters, none starting with aws:."
    )
    return [Problem("tags", f"The tags are invalid: {shown}. {todo}")]


def _model_channel(channel: Channel) -> list[Problem]:
    if channel.content_type not in ("", MODEL_CONTENT):
        return [
            Problem(channel.name, f"The content type is {channel.content_type!r}. Set it to {MODEL_CONTENT}.")
        ]
    if not channel.uri.endswith(".tar.gz"):
        return [
            Problem(
                channel.name, f"{channel.uri} does not look like a model.tar.gz of an earlier job.", "warning"
            )
        ]
    return []


def _incremental(spec: TrainingSpec, previous: Mapping[str, str] | None) -> list[Problem]:
    """Check that incremental training uses the same network."""
    if spec.channel(MODEL_CHANNEL) is None:
        return []
    if previous is None:
        keys = ", ".join(INCREMENTAL_KEYS)
        return [Problem(MODEL_CHANNEL, f"Make sure that {keys} match the earlier model.", "note")]
    before, now = effective(previous), effective(spec.hyperparameters)
    return [
        Problem(
            key,
            f"{key} is {now.get(key, 'not set')}, but the earlier model was trained with {before.get(key, 'none')}. "
            f"They must match to continue from it.",
        )
        for key in INCREMENTAL_KEYS
        if now.get(key) != before.get(key)
    ]


def _all_files(channels: Iterable[Channel], listing: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {
        channel.name: _files(channel, listing[channel.name])
        for channel in channels
        if channel.name in listing
    }


def _files(channel: Channel, keys: Sequence[str]) -> list[str]:
    """Return the keys of this channel's files: no folder markers, and no key of `train_annotation` in `train`."""
    prefix = channel.uri.removeprefix("s3://").partition("/")[2]
    below = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
    return [key for key in keys if not key.endswith("/") and (key == prefix or key.startswith(below))]


def _png_images(files: Mapping[str, Sequence[str]], channel: str) -> list[Problem]:
    """Warn of images in PNG: AWS documents JPEG, but jobs with PNG images have been reported to train."""
    images = [key for key in files.get(channel, ()) if key.lower().endswith(".png")]
    if not images:
        return []
    return [
        Problem(
            channel,
            f"{_plural(images, 'image is', 'images are')} PNG: {_listing(images)}. AWS documents only JPEG; if the "
            "job fails to read them, convert them to JPEG.",
            "warning",
        )
    ]


def _suffixes(
    files: Mapping[str, Sequence[str]], channel: str, allowed: tuple[str, ...], kind: str
) -> list[Problem]:
    wrong = [key for key in files.get(channel, ()) if not key.lower().endswith(allowed)]
    if not wrong:
        return []
    return [
        Problem(
            channel,
            f"{_plural(wrong, 'object is', 'objects are')} not {kind}: {_listing(wrong)}. "
            "Move them out of the channel.",
        )
    ]


def _pairs(files: Mapping[str, Sequence[str]], images: str, masks: str) -> list[Problem]:
    """Check that images and masks pair up by file name without extension."""
    if not files.get(images) or not files.get(masks):
        return []
    left, right = _stems(files[images]), _stems(files[masks])
    problems = []
    for channel, names, others, kind in (
        (masks, left, right, "mask in"),
        (images, right, left, "image in"),
    ):
        missing = sorted(names - others)
        if missing:
            problems.append(
                Problem(
                    channel,
                    f"{_plural(missing, 'name has', 'names have')} no {kind} {channel}: {_listing(missing)}.",
                )
            )
    return problems + _doubles(files[images], images) + _doubles(files[masks], masks)


def _doubles(keys: Sequence[str], channel: str) -> list[Problem]:
    seen: dict[str, int] = {}
    for key in keys:
        stem = _stem(key)
        seen[stem] = seen.get(stem, 0) + 1
    twice = sorted(stem for stem, count in seen.items() if count > 1)
    if not twice:
        return []
    return [
        Problem(channel, f"{_plural(twice, 'name is', 'names are')} used more than once: {_listing(twice)}.")
    ]


def _samples(spec: TrainingSpec, files: Mapping[str, Sequence[str]]) -> list[Problem]:
    """Check that num_training_samples is the number of images: the learning rate schedule depends on it."""
    if not files.get("train"):
        return []
    count, declared = (
        len(files["train"]),
        whole(effective(spec.hyperparameters).get("num_training_samples", "")),
    )
    problems = []
    if declared is not None and declared != count:
        problems.append(
            Problem(
                "num_training_samples",
                f"num_training_samples is {declared}, but the channel train has {count}. Set it to {count}.",
            )
        )
    return problems


def _batches(spec: TrainingSpec, files: Mapping[str, Sequence[str]]) -> list[Problem]:
    """Warn of a batch that is larger than its channel, or smaller than the number of GPUs."""
    values = effective(spec.hyperparameters)
    gpus = GPUS.get(spec.instance_type, 1)
    problems = []
    for name, channel in BATCHES:
        count, batch = len(files.get(channel, ())), whole(values.get(name, ""))
        if batch is None:
            continue
        if count and batch > count:
            message = f"{name} is {batch}, but the channel {channel} has {count}. Set it to {count} or less."
            problems.append(Problem(name, message, "warning"))
        elif batch < gpus:
            message = (
                f"{name} is {batch}, but {spec.instance_type} has {gpus} GPUs, which share each batch. Set it to "
                f"{gpus} or more, or use an instance type with fewer GPUs."
            )
            problems.append(Problem(name, message, "warning"))
    return problems


def _class_count(spec: TrainingSpec, classes: int | None) -> list[Problem]:
    """Compare num_classes with the dataset: a label map can merge classes, so that it then only warns."""
    declared = whole(effective(spec.hyperparameters).get("num_classes", ""))
    if classes is None or declared is None or declared == classes:
        return []
    mapped = spec.channel("label_map") is not None
    severity: Severity = "error" if declared < classes and not mapped else "warning"
    return [
        Problem(
            "num_classes",
            f"num_classes is {declared}, but the dataset has {classes} classes. Set it to {classes}.",
            severity,
        )
    ]


def _image_sizes(spec: TrainingSpec, sizes: Collection[tuple[int, int]] | None) -> list[Problem]:
    """Warn of a decoder that was reported to fail on images of another size than crop_size."""
    values = effective(spec.hyperparameters)
    crop = whole(values.get("crop_size", ""))
    if values.get("algorithm") not in SIZE_SENSITIVE or crop is None:
        return []
    advice = (
        f"With {values['algorithm']}, jobs with images of another size than crop_size were reported to fail in "
        "validation. Resize the images to crop_size, or use fcn."
    )
    if sizes is None:
        return [Problem("algorithm", advice, "note")]
    other = next((size for size in sizes if size != (crop, crop)), None)
    if other is None:
        return []
    message = (
        f"crop_size is {crop}, but there are validation images of {other[0]} x {other[1]} pixels. {advice}"
    )
    return [Problem("algorithm", message, "warning")]


def _stems(keys: Sequence[str]) -> set[str]:
    return {_stem(key) for key in keys}


def _stem(key: str) -> str:
    """Return a file name without its extension, by which images and masks pair up."""
    name = key.rpartition("/")[2]
    return name.rpartition(".")[0] or name


def _without(missing: Sequence[str], required: Sequence[str]) -> str:
    """Return one message for all missing data channels."""
    if len(missing) == len(required):
        lack = "No data channels are set."
    elif len(missing) > 1:
        lack = f"The channels {', '.join(missing)} are missing."
    else:
        lack = f"The channel {missing[0]} is missing."
    return f"{lack} The algorithm requires {', '.join(required)}."


def _no_s3(name: str, uri: str) -> Problem:
    wrong = f"{uri!r} is not an S3 URI" if uri else "No S3 URI is set"
    return Problem(name, f"{wrong} for {name.removesuffix('_uri')}. Use one such as s3://BUCKET/PREFIX.")


def _listing(names: Sequence[str]) -> str:
    return listing(names, grouping="")


def _plural(names: Sequence[str], noun: str, nouns: str) -> str:
    return plural(len(names), noun, nouns, grouping="")
