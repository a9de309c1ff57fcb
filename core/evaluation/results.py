"""The scores of a dataset: of each endpoint, by class and by image, and the difference between two endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.evaluation.bootstrap import Comparison, ImageTable, Interval, compared, interval, resampled_scores
from core.evaluation.calibration import Calibration, calibration
from core.evaluation.run import EvaluatedEndpoint, EvaluationFailure, EvaluationTask, ImageOutcome
from core.evaluation.store import ImageScore
from core.imaging.classes import Classes
from core.imaging.contours import boundary_f1, boundary_iou, contour_table
from core.imaging.scores import ConfusionMatrix, ImageMeans, Scores, image_means, mean_of, scores
from core.imaging.suspects import Suspect
from core.text import plural

WHY_JOBS_DIFFER = (
    "The two numbers measure different things. During training, a job evaluates its own validation channel at the "
    "sizes used in training, with a formula that AWS does not document; and its last value is not always that of the "
    "epoch whose weights the endpoint serves. Here, each image is sent to the endpoint as a JPEG of the chosen input "
    "size, the mask is resized to the image's own size, all pixels of the dataset are counted together, and a class "
    "in neither ground truth nor prediction is not part of the mean."
)


@dataclass(frozen=True, slots=True, eq=False)
class ImageMeasures:
    """The scores of one image at one endpoint.

    score:                    its pixel counts.
    mean_iou, pixel_accuracy: NaN where the whole ground truth is 255.
    boundary_iou, boundary_f1: means of its classes; NaN also where they were not computed.
    """

    score: ImageScore
    mean_iou: float
    pixel_accuracy: float
    boundary_iou: float
    boundary_f1: float


@dataclass(frozen=True, slots=True, eq=False)
class ContourScores:
    """The scores of the contours; see `core.imaging.contours`. NaN for a class without a contour, or if not computed.

    iou: (K,) float64, boundary IoU of each class, all images counted together.
    f1:  (K,) float64, boundary F1 of each class, mean over the images.
    """

    iou: NDArray[np.float64]
    f1: NDArray[np.float64]
    mean_iou: float
    mean_f1: float


@dataclass(frozen=True, slots=True, eq=False)
class EndpointScores:
    """The scores of one endpoint on a dataset.

    total, band: the confusion matrix of all pixels, and of those in the trimap (see
                 `core.imaging.scores.trimap_band`).
    scores:      cumulative scores, of `total`.
    trimap:      cumulative scores of `band`: the trimap IoU.
    per_image:   averages over the images.
    contours:    boundary IoU and boundary F1.
    images:      worst first.
    calibration: confidence compared with accuracy; None if labels only were requested.
    resampled:   the scores of each resample of the images, by key; see `core.evaluation.bootstrap`.
    """

    endpoint: str
    total: ConfusionMatrix
    band: ConfusionMatrix
    scores: Scores
    trimap: Scores
    per_image: ImageMeans
    contours: ContourScores
    images: tuple[ImageMeasures, ...]
    resampled: Mapping[str, NDArray[np.float64]]
    calibration: Calibration | None = None

    @property
    def measures(self) -> dict[str, float]:
        """Return the scores of `core.imaging.scores.MEASURES`, in that order."""
        overall = self.scores
        return {
            "mean_iou": overall.mean_iou,
            "image_mean_iou": self.per_image.mean_iou,
            "trimap_mean_iou": self.trimap.mean_iou,
            "mean_dice": overall.mean_dice,
            "pixel_accuracy": overall.pixel_accuracy,
            "mean_accuracy": overall.mean_accuracy,
            "frequency_weighted_iou": overall.frequency_weighted_iou,
            "boundary_mean_iou": self.contours.mean_iou,
            "boundary_f1": self.contours.mean_f1,
        }

    @property
    def intervals(self) -> dict[str, Interval | None]:
        """Return the confidence interval of each of the `measures`; None where it cannot be computed."""
        count = len(self.images)
        return {
            name: interval(self.resampled[name], count) if name in self.resampled else None
            for name in self.measures
        }


@dataclass(frozen=True, slots=True)
class JobScore:
    """The validation mean IoU that a training job reported. best: of all epochs; None if only the last is known."""

    job: str
    last: float | None
    best: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The evaluation of one or two endpoints on a dataset.

    endpoints: the scores of each endpoint, on the same images.
    failures:  images that could not be evaluated; they are not counted.
    notes:     sentences that a reader should know.
    jobs:      endpoint -> the score that its training job reported, where it is known.
    """

    classes: Classes
    endpoints: tuple[EndpointScores, ...]
    failures: tuple[EvaluationFailure, ...] = ()
    notes: tuple[str, ...] = ()
    jobs: Mapping[str, JobScore] | None = None

    @property
    def image_count(self) -> int:
        """Return the number of images that are counted."""
        return len(self.endpoints[0].images)

    @property
    def difference(self) -> NDArray[np.float64] | None:
        """Return the IoU of the first endpoint minus that of the second, (K,) float64; None for a single endpoint.

        NaN for classes without an IoU at one of them.
        """
        if len(self.endpoints) < 2:
            return None
        first, second = self.endpoints
        difference: NDArray[np.float64] = first.scores.iou - second.scores.iou
        return difference

    @property
    def comparison(self) -> Comparison | None:
        """Return the paired comparison of two endpoints; None for a single one."""
        if len(self.endpoints) < 2:
            return None
        image_ious = [
            np.array([image.mean_iou for image in sorted(result.images, key=_by_name)])
            for result in self.endpoints
        ]
        return compared(
            [result.endpoint for result in self.endpoints],
            [result.measures for result in self.endpoints],
            [result.resampled for result in self.endpoints],
            image_ious,
        )


def resolve_classes(
    endpoints: Sequence[EvaluatedEndpoint], given: Classes | None
) -> tuple[Classes | None, tuple[str, ...]]:
    """Return the classes for the evaluation: `given`, else those of the endpoints; and notes where they differ."""
    known = {endpoint.name: endpoint.classes for endpoint in endpoints if endpoint.classes is not None}
    same = [classes for classes in known.values() if given is not None and classes.names == given.names]
    chosen = next(iter(same), given) or next(
        iter(known.values()), None
    )  # with the same names, prefer the model's colors
    if chosen is None:
        return None, (
            "The class names are unknown: classes are numbered up to the highest id in the masks and predictions.",
        )
    notes = []
    for name, classes in known.items():
        if classes.names != chosen.names:
            source = "the given class names" if given is not None else f"those of {next(iter(known))}"
            notes.append(
                f"The {len(classes)} class names of endpoint {name} differ from {source}, which are used here: "
                f"{_first_difference(classes, chosen)}. If an id means different classes, the scores are meaningless."
            )
    return chosen, tuple(notes)


def score_outcomes(
    outcomes: Iterable[ImageOutcome], task: EvaluationTask, *, jobs: Mapping[str, JobScore] | None = None
) -> Evaluation:
    """Return the evaluation of all outcomes. Raises InputError where no image was evaluated by all endpoints.

    For two endpoints, only images with a prediction from both count: otherwise different images would be compared.
    """
    done = list(outcomes)
    failures = tuple(failure for outcome in done for failure in outcome.failures)
    whole = [outcome for outcome in done if len(outcome.scores) == len(task.endpoints)]
    if not whole:
        raise InputError(
            f"No image could be evaluated: {plural(len(done), 'image')} failed.",
            why=str(failures[0].error) if failures else "",
            todo="Read the error of each image, then evaluate again.",
        )
    left_out = sum(0 < len(outcome.scores) < len(task.endpoints) for outcome in done)
    notes = list(task.notes)
    if left_out:
        notes.append(
            f"Not counted, because only one of the two endpoints returned a prediction: {plural(left_out, 'image')}."
        )
    rows = [[outcome.scores[index] for outcome in whole] for index in range(len(task.endpoints))]
    named = task.classes or Classes.numbered(max(1, 1 + max(score.highest for row in rows for score in row)))
    results = tuple(
        endpoint_scores(endpoint.name, row, len(named))
        for endpoint, row in zip(task.endpoints, rows, strict=True)
    )
    notes += [note for result in results if (note := _outside(result))]
    return Evaluation(named, results, failures, tuple(notes), jobs)


def endpoint_scores(endpoint: str, rows: Sequence[ImageScore], classes: int) -> EndpointScores:
    """Return the scores of one endpoint. Adds one confusion matrix at a time: with 254 classes each takes 0.5 MB."""
    total, band = ConfusionMatrix.zeros(classes), ConfusionMatrix.zeros(classes)
    images, ious, pixels, trimaps = [], [], [], []
    ordered = sorted(rows, key=lambda row: row.name)  # the same draws of the bootstrap for every endpoint
    for row in ordered:
        matrix, near = row.confusion(classes), row.band_confusion(classes)
        total, band = total + matrix, band + near
        measured = scores(matrix)
        contours = _contours([row], classes)
        images.append(
            ImageMeasures(
                row, measured.mean_iou, measured.pixel_accuracy, contours.mean_iou, contours.mean_f1
            )
        )
        ious.append(measured.iou)
        pixels.append(_class_pixels(matrix))
        trimaps.append(_class_pixels(near))
    contours = _contours(ordered, classes)
    resampled = resampled_scores(_image_table(ordered, images, pixels, trimaps, classes)) if images else {}
    images.sort(key=lambda image: (np.isnan(image.mean_iou), image.mean_iou, image.score.name))
    return EndpointScores(
        endpoint,
        total,
        band,
        scores(total),
        scores(band),
        image_means(ious, classes),
        contours,
        tuple(images),
        resampled,
        _calibration(ordered, classes),
    )


def _calibration(rows: Sequence[ImageScore], classes: int) -> Calibration | None:
    counts = [row.confidences for row in rows if row.confidences is not None]
    if not rows or len(counts) < len(rows):
        return None
    return calibration([count for image in counts for count in image], classes)


def _by_name(image: ImageMeasures) -> str:
    return image.score.name


def _class_pixels(matrix: ConfusionMatrix) -> NDArray[np.float64]:
    """Return the correct pixels, those of the ground truth and the predicted ones of each class, (3, K) float64."""
    parts = [np.diag(matrix.counts), matrix.ground_truth, matrix.counts.sum(axis=0)]
    return np.array(parts, np.float64)


def _contours(rows: Sequence[ImageScore], classes: int) -> ContourScores:
    """Return the scores of the contours; all NaN if those of an image were not computed."""
    counts = [row.contours for row in rows if row.contours is not None]
    if len(counts) < len(rows) or not rows:
        return ContourScores(np.full(classes, np.nan), np.full(classes, np.nan), np.nan, np.nan)
    iou = boundary_iou([count for image in counts for count in image], classes)
    by_image = image_means([boundary_f1(image, classes) for image in counts], classes)
    return ContourScores(iou, by_image.iou, mean_of(iou), by_image.mean_iou)


def _image_table(
    rows: Sequence[ImageScore],
    images: Sequence[ImageMeasures],
    pixels: Sequence[NDArray[np.float64]],
    trimaps: Sequence[NDArray[np.float64]],
    classes: int,
) -> ImageTable:
    """Return what the bootstrap needs, of images in the order of `rows`."""
    bands = image_f1 = None
    if all(row.contours is not None for row in rows):
        tables = np.stack([contour_table(row.contours or (), classes) for row in rows])
        bands = tables[:, [2, 0, 1]]
        image_f1 = np.array([image.boundary_f1 for image in images])
    return ImageTable(
        np.stack(pixels), np.stack(trimaps), bands, np.array([image.mean_iou for image in images]), image_f1
    )


def ranked_suspects(result: EndpointScores) -> tuple[tuple[ImageScore, Suspect], ...]:
    """Return the regions that contradict the label, of all images, the most suspect first; empty if not computed."""
    regions = [(image.score, region) for image in result.images for region in image.score.suspects or ()]
    return tuple(sorted(regions, key=lambda pair: (-pair[1].rank, pair[0].name)))


def confused_images(
    result: EndpointScores, actual: int, predicted: int
) -> tuple[tuple[ImageMeasures, int], ...]:
    """Return the images in which one class was confused with another, with the number of pixels, most first.

    predicted: 255 stands for any id that is not a class.
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
    outside = int(result.total.outside.sum())
    if not outside:
        return ""
    size = len(result.total)
    return (
        f"{result.endpoint} predicted an id above {size - 1} for {outside:,} pixels "
        f"({outside / result.total.pixels:.1%}): they count as missed. "
        "Check that the class names are those of its model."
    )


def _first_difference(first: Classes, other: Classes) -> str:
    class_id = next(
        (i for i, (a, b) in enumerate(zip(first.names, other.names, strict=False)) if a != b),
        min(len(first), len(other)),
    )
    return f"id {class_id} is {first.name(class_id)} there and {other.name(class_id)} here"
