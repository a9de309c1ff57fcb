"""The numbers of a set: of each endpoint, by class and by photo, and of two endpoints against each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.evaluation.run import EvaluatedEndpoint, EvaluationFailure, EvaluationTask, ImageOutcome
from core.evaluation.store import ImageScore
from core.imaging.classes import Classes
from core.imaging.scores import Confusion, ImageMeans, Scores, image_means, scores
from core.text import plural

WHY_JOBS_DIFFER = (
    "The two numbers answer different questions. While it trains, a job shows its network the pictures of its own "
    "validation channel at the sizes that training uses, and counts by a rule that AWS does not document; what it "
    "reports last need not be the epoch whose weights the endpoint serves. Here each photo goes to the endpoint as a "
    "JPEG within the size that was chosen, its mask is scaled back to the photo's own size, all pixels of the set "
    "are counted together, and a class in neither truth nor prediction is left out of the mean."
)


@dataclass(frozen=True, slots=True, eq=False)
class ImageMeasures:
    """One photo at one endpoint.

    mean_iou, pixel_accuracy: NaN where all of the truth is 255.
    """

    score: ImageScore
    mean_iou: float
    pixel_accuracy: float


@dataclass(frozen=True, slots=True, eq=False)
class EndpointScores:
    """One endpoint.

    total, band:     the confusion of all pixels, and of those near a border.
    scores:          of `total`: cumulative.
    boundary:        of `band`, likewise.
    per_image:       each photo weighing the same.
    images:          worst first.
    """

    endpoint: str
    total: Confusion
    band: Confusion
    scores: Scores
    boundary: Scores
    per_image: ImageMeans
    images: tuple[ImageMeasures, ...]

    @property
    def measures(self) -> dict[str, float]:
        """The numbers of `core.imaging.scores.MEASURES`, in that order."""
        overall = self.scores
        return {
            "mean_iou": overall.mean_iou,
            "image_mean_iou": self.per_image.mean_iou,
            "boundary_mean_iou": self.boundary.mean_iou,
            "mean_dice": overall.mean_dice,
            "pixel_accuracy": overall.pixel_accuracy,
            "mean_accuracy": overall.mean_accuracy,
            "frequency_weighted_iou": overall.frequency_weighted_iou,
        }


@dataclass(frozen=True, slots=True)
class JobScore:
    """What a training job said of its own model. best: of its epochs; None where only the last is known."""

    job: str
    last: float | None
    best: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """A set, judged.

    endpoints: the scores of one or two endpoints on the same images.
    failures:  images that could not be evaluated; they count nowhere.
    notes:     sentences on what a reader should know.
    jobs:      endpoint -> what its own training job said, where that is known.
    """

    classes: Classes
    endpoints: tuple[EndpointScores, ...]
    failures: tuple[EvaluationFailure, ...] = ()
    notes: tuple[str, ...] = ()
    jobs: Mapping[str, JobScore] | None = None

    @property
    def image_count(self) -> int:
        """Return how many images are counted."""
        return len(self.endpoints[0].images)

    @property
    def difference(self) -> NDArray[np.float64] | None:
        """(K,) IoU of the first endpoint less that of the second; NaN where one has none; None for a single one."""
        if len(self.endpoints) < 2:
            return None
        first, second = self.endpoints
        less: NDArray[np.float64] = first.scores.iou - second.scores.iou
        return less


def resolve_classes(
    endpoints: Sequence[EvaluatedEndpoint], given: Classes | None
) -> tuple[Classes | None, tuple[str, ...]]:
    """The classes to count by: those given, else those of the endpoints; and what to say where they do not agree."""
    known = {endpoint.name: endpoint.classes for endpoint in endpoints if endpoint.classes is not None}
    same = [classes for classes in known.values() if given is not None and classes.names == given.names]
    chosen = next(iter(same), given) or next(
        iter(known.values()), None
    )  # the same names, but the model's colours
    if chosen is None:
        return None, (
            "Nobody told the class names: they are numbered, as many as the masks and the answers hold.",
        )
    notes = []
    for name, classes in known.items():
        if classes.names != chosen.names:
            source = "the names given" if given is not None else f"those of {next(iter(known))}"
            notes.append(
                f"The endpoint {name} names {len(classes)} classes otherwise than {source}, which count here: "
                f"{_first_difference(classes, chosen)}. The same id must mean the same, or the numbers mean nothing."
            )
    return chosen, tuple(notes)


def score_outcomes(
    outcomes: Iterable[ImageOutcome], task: EvaluationTask, *, jobs: Mapping[str, JobScore] | None = None
) -> Evaluation:
    """Add everything up. Raises InputError where not one photo was judged by all endpoints.

    Of two endpoints, only photos that both answered count: otherwise they would be compared on different sets.
    """
    done = list(outcomes)
    failures = tuple(failure for outcome in done for failure in outcome.failures)
    whole = [outcome for outcome in done if len(outcome.scores) == len(task.endpoints)]
    if not whole:
        raise InputError(
            f"Of {plural(len(done), 'photo')} none could be judged.",
            why=str(failures[0].error) if failures else "",
            todo="See what is said of each, and evaluate again.",
        )
    left_out = sum(0 < len(outcome.scores) < len(task.endpoints) for outcome in done)
    notes = list(task.notes)
    if left_out:
        notes.append(
            f"Left out of both, because only one of the two endpoints answered: {plural(left_out, 'photo')}."
        )
    rows = [[outcome.scores[place] for outcome in whole] for place in range(len(task.endpoints))]
    named = task.classes or Classes.numbered(max(1, 1 + max(each.highest for row in rows for each in row)))
    results = tuple(
        _endpoint_scores(each.name, row, len(named)) for each, row in zip(task.endpoints, rows, strict=True)
    )
    notes += [note for result in results if (note := _outside(result))]
    return Evaluation(named, results, failures, tuple(notes), jobs)


def _endpoint_scores(endpoint: str, rows: Sequence[ImageScore], classes: int) -> EndpointScores:
    """One confusion at a time: of 254 classes each takes half a megabyte."""
    total, band = Confusion.nothing(classes), Confusion.nothing(classes)
    images, ious = [], []
    for row in rows:
        confusion = row.confusion(classes)
        total, band = total + confusion, band + row.band_confusion(classes)
        measured = scores(confusion)
        images.append(ImageMeasures(row, measured.mean_iou, measured.pixel_accuracy))
        ious.append(measured.iou)
    images.sort(key=lambda image: (np.isnan(image.mean_iou), image.mean_iou, image.score.name))
    return EndpointScores(
        endpoint, total, band, scores(total), scores(band), image_means(ious, classes), tuple(images)
    )


def confused_images(
    result: EndpointScores, actual: int, predicted: int
) -> tuple[tuple[ImageMeasures, int], ...]:
    """The photos in which pixels of one class were taken for the other, with how many, most first.

    predicted: 255 stands for what is none of the classes.
    """
    size = len(result.total)
    confused = []
    for image in result.images:
        pixels = sum(
            count
            for true, to, count in image.score.pixels
            if true == actual and (to == predicted or (predicted >= size and to >= size))
        )
        if pixels:
            confused.append((image, pixels))
    return tuple(sorted(confused, key=lambda pair: (-pair[1], pair[0].score.name)))


def _outside(result: EndpointScores) -> str:
    beyond = int(result.total.outside.sum())
    if not beyond:
        return ""
    size = len(result.total)
    return (
        f"{result.endpoint} answered {beyond:,} pixels ({beyond / result.total.pixels:.1%}) with no id from 0 to "
        f"{size - 1}: they count as missed. Check that the class names are those of its model."
    )


def _first_difference(first: Classes, other: Classes) -> str:
    place = next(
        (i for i, (a, b) in enumerate(zip(first.names, other.names, strict=False)) if a != b),
        min(len(first), len(other)),
    )
    return f"id {place} is {first.name(place)} there and {other.name(place)} here"
