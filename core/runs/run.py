"""A run: the segmentation of one or many images, a map of a large image, or an evaluation."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from core.errors import InputError
from core.imaging.classes import Classes
from core.inference.invoke import Want

RUN_ID = re.compile(r"[0-9a-f]{32}")
"""The id of a run: 128 random bits, so that an address cannot be guessed."""

CONTENT_ID = re.compile(r"(?:[0-9a-f]{32})?")
"""The id of a content or a response in the store; empty where there is none."""

Kind = Literal["segmentation", "evaluation", "map"]
KINDS: tuple[Kind, ...] = get_args(Kind)

State = Literal["pending", "done", "failed"]

VERSION = 1
MOST_LARGEST = 3
"""Classes of an image that its run names."""

MOST_NAMES = 200
"""File names of an evaluation that its run has, to search for."""


@dataclass(frozen=True, slots=True)
class RunEndpoint:
    """An endpoint as it was during the run.

    config:    its configuration's name and creation time; empty if unknown.
    model_uri: the S3 URI of its model; empty if unknown.
    job:       the training job of the model; empty if unknown.
    """

    name: str
    config: str = ""
    model_uri: str = ""
    job: str = ""


@dataclass(frozen=True, slots=True)
class RunImage:
    """One image of a segmentation.

    id:       as on the Segment page: of its content, or the S3 URI of an example.
    name:     its file name.
    content:  the id of its bytes in the store; empty before they are written.
    response: the key of the response; empty before there is one.
    mask:     the id of its ground-truth mask in the store; empty without one. mask_name: its file name.
    seconds:  how long the endpoint took; None before that is known.
    largest:  its largest classes, with their shares, 0 to 1.
    mean_iou: against the ground truth; None without one.
    error:    why it failed; else empty.
    """

    id: str
    name: str
    content: str = ""
    response: str = ""
    mask: str = ""
    mask_name: str = ""
    state: State = "pending"
    seconds: float | None = None
    largest: tuple[tuple[str, float], ...] = ()
    mean_iou: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    id:         unguessable, see `new_id`.
    started_at: aware, UTC.
    user:       who started it: an ARN or a user of the machine; empty if unknown.
    location:   the account or sandbox and the region, in words.
    endpoints:  one, or two that were compared.
    fit:        the box that images were fitted into, (width, height) in pixels; None: their original size.
    classes:    names and colors; None: the decoder's defaults.
    images:     of a segmentation, in their order on the page; empty for an evaluation.
    title:      of an evaluation: the name of its dataset; of a map: that of its image.
    names:      of an evaluation: file names to search for, the worst first.
    image_count: of an evaluation: images that were scored; failed: images that were not.
    measures:   of an evaluation: for each endpoint, the scores of `core.imaging.scores.MEASURES`; None for NaN.
    scores:     of an evaluation: the id of its scores in the store, see `core.runs.evaluation`.
    contents:   of an evaluation: ids of all other contents that it needs.
    form:       of an evaluation: the fields of the form that it was started with, by URL parameter; of a map: what it
                is made with, see `core.runs.map`.
    """

    id: str
    kind: Kind
    started_at: datetime
    user: str
    location: str
    endpoints: tuple[RunEndpoint, ...]
    want: Want = "probabilities"
    fit: tuple[int, int] | None = None
    classes: Classes | None = None
    images: tuple[RunImage, ...] = ()
    title: str = ""
    names: tuple[str, ...] = ()
    image_count: int = 0
    failed: int = 0
    measures: tuple[Mapping[str, float | None], ...] = ()
    scores: str = ""
    contents: tuple[str, ...] = ()
    form: Mapping[str, str] | None = None

    @property
    def endpoint(self) -> RunEndpoint:
        """Return the first endpoint."""
        return self.endpoints[0]

    @property
    def total(self) -> int:
        """Return the number of images, failed ones included."""
        return len(self.images) if self.kind == "segmentation" else self.image_count + self.failed

    @property
    def done(self) -> int:
        """Return the number of images with a result."""
        if self.kind != "segmentation":
            return self.image_count
        return sum(image.state == "done" for image in self.images)

    @property
    def failures(self) -> int:
        """Return the number of images that failed."""
        if self.kind != "segmentation":
            return self.failed
        return sum(image.state == "failed" for image in self.images)

    @property
    def mean_iou(self) -> float | None:
        """Return the mean IoU of the first endpoint; of a segmentation, the average over images with ground truth."""
        if self.kind == "evaluation":
            return self.measures[0].get("mean_iou") if self.measures else None
        known = [image.mean_iou for image in self.images if image.mean_iou is not None]
        return sum(known) / len(known) if known else None

    @property
    def content_ids(self) -> frozenset[str]:
        """Return the ids of all contents in the store that the run needs."""
        images = (value for image in self.images for value in (image.content, image.mask))
        return frozenset(filter(None, (*images, self.scores, *self.contents)))

    @property
    def response_keys(self) -> frozenset[str]:
        """Return the keys of all responses that the run needs."""
        return frozenset(image.response for image in self.images if image.response)

    def with_image(self, image: RunImage) -> Run:
        """Return the run with this image: in the place of the one with its id, else at the end."""
        if all(other.id != image.id for other in self.images):
            return replace(self, images=(*self.images, image))
        return replace(self, images=tuple(image if other.id == image.id else other for other in self.images))

    def without_images(self, ids: Sequence[str]) -> Run:
        """Return the run without the images with these ids."""
        return replace(self, images=tuple(image for image in self.images if image.id not in ids))

    def matches(self, text: str) -> bool:
        """Return whether all words of a search occur in the run, in any case: in names, its user or its id."""
        parts = [self.id, self.kind, self.user, self.title, self.location, *self.names]
        parts += [image.name for image in self.images]
        for endpoint in self.endpoints:
            parts += [endpoint.name, endpoint.model_uri, endpoint.job]
        joined = "\n".join(parts).casefold()
        return all(word in joined for word in text.casefold().split())

    def to_dict(self) -> dict[str, Any]:
        """Return the run in JSON types."""
        document = asdict(self)
        document["started_at"] = self.started_at.astimezone(UTC).isoformat()
        document["fit"] = None if self.fit is None else list(self.fit)
        document["classes"] = None if self.classes is None else self.classes.to_json()
        return {"segdeck": "run", "version": VERSION, **document}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Run:
        """Read what `to_dict` returned. Raises ValueError for anything else."""
        try:
            if document["segdeck"] != "run" or document["version"] != VERSION:
                raise ValueError("it is not a run of this version")
            run = _from_dict(document)
        except (AttributeError, InputError, KeyError, OverflowError, TypeError) as error:
            raise ValueError(f"it is not a run: {error!r}") from error
        ids = (*run.content_ids, *run.response_keys)
        valid = RUN_ID.fullmatch(run.id) and all(map(CONTENT_ID.fullmatch, ids))
        if not valid or run.kind not in KINDS or not run.endpoints or run.started_at.tzinfo is None:
            raise ValueError("it is not a run: a value is invalid")
        return run


def new_id() -> str:
    """Return the id of a new run."""
    return secrets.token_hex(16)


def summary(run: Run) -> dict[str, Any]:
    """Return a run in JSON types for programs, without the ids of its files in the store."""
    return {
        "id": run.id,
        "kind": run.kind,
        "started_at": run.started_at.astimezone(UTC).isoformat(),
        "user": run.user or None,
        "location": run.location,
        "endpoints": [asdict(endpoint) for endpoint in run.endpoints],
        "output": run.want,
        "input_size": None if run.fit is None else list(run.fit),
        "dataset": run.title or None,
        "images": run.total,
        "done": run.done,
        "failed": run.failures,
        "mean_iou": run.mean_iou,
        "scores": [dict(measures) for measures in run.measures],
    }


def image_rows(run: Run) -> list[dict[str, Any]]:
    """Return a row in JSON types for each image of a segmentation."""
    return [
        {
            "name": image.name,
            "state": image.state,
            "seconds": image.seconds,
            "classes": [{"name": name, "share": share} for name, share in image.largest],
            "ground_truth": image.mask_name or None,
            "mean_iou": image.mean_iou,
            "error": image.error or None,
        }
        for image in run.images
    ]


def _from_dict(document: Mapping[str, Any]) -> Run:
    fit, classes, form = document["fit"], document["classes"], document["form"]
    return Run(
        id=_text(document["id"]),
        kind=document["kind"],
        started_at=datetime.fromisoformat(document["started_at"]),
        user=_text(document["user"]),
        location=_text(document["location"]),
        endpoints=tuple(RunEndpoint(**_texts(row)) for row in document["endpoints"]),
        want="mask" if document["want"] == "mask" else "probabilities",
        fit=None if fit is None else (int(fit[0]), int(fit[1])),
        classes=None if classes is None else Classes.from_json(classes),
        images=tuple(map(_image, document["images"])),
        title=_text(document["title"]),
        names=tuple(map(_text, document["names"])),
        image_count=int(document["image_count"]),
        failed=int(document["failed"]),
        measures=tuple(
            {_text(name): _number(value) for name, value in row.items()} for row in document["measures"]
        ),
        scores=_text(document["scores"]),
        contents=tuple(map(_text, document["contents"])),
        form=None if form is None else _texts(form),
    )


def _image(row: Mapping[str, Any]) -> RunImage:
    return RunImage(
        id=_text(row["id"]),
        name=_text(row["name"]),
        content=_text(row["content"]),
        response=_text(row["response"]),
        mask=_text(row["mask"]),
        mask_name=_text(row["mask_name"]),
        state=row["state"] if row["state"] in get_args(State) else "pending",
        seconds=_number(row["seconds"]),
        largest=tuple((_text(name), float(share)) for name, share in row["largest"]),
        mean_iou=_number(row["mean_iou"]),
        error=_text(row["error"]),
    )


def _texts(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: _text(value) for name, value in row.items()}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
