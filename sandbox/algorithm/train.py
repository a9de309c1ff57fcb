"""The training loop: one network, two sets of examples, a model folder in AWS's layout."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.algorithm import log
from sandbox.algorithm.archive import BEST, LAST, Architecture, build
from sandbox.algorithm.augment import (
    Cropping,
    Example,
    Examples,
    Orientation,
    batches,
    random_crop,
    random_orientation,
    scaled_down,
)
from sandbox.algorithm.checkpoint import Checkpoints
from sandbox.algorithm.fixed_size import check_size, fixed_size
from sandbox.algorithm.mxnet_import import TRAIN_THREADS, load_mxnet
from sandbox.algorithm.predict import MULTIPLE, most_likely_class, network_input
from sandbox.algorithm.schedule import LearningRateSchedule, Optimizer
from sandbox.algorithm.scores import IGNORE, confusion, mean_iou, pixel_accuracy

VALIDATION_PIXELS = {"light": 4_000_000}
VALIDATION_PIXELS_RESNET = 1_000_000
"""Pixels of all images validated at once. A single image with more is scaled down to this."""
UNFINISHED = ".unfinished-"
"""Prefix of files that are being written in the model's folder."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    crop:             side of the square crops, pixels.
    samples:          number of training images for the learning rate's schedule; None counts them.
    validation_batch: images validated at once, if they have the same size.
    start:            the initial parameters; None starts with random ones.
    """

    architecture: Architecture
    epochs: int = 10
    batch: int = 16
    crop: int = 240
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: LearningRateSchedule = field(default_factory=LearningRateSchedule)
    samples: int | None = None
    cropping: Cropping = random_crop
    orientation: Orientation = random_orientation
    validation_batch: int = 1
    start: Path | None = None
    seed: int = 3


@dataclass(frozen=True, slots=True, eq=False)
class Epoch:
    """The result of one epoch.

    loss:       mean cross-entropy of the training pixels, nats.
    counts:     confusion matrix of the validation pixels, see `scores.confusion`.
    throughput: images trained on per second.
    """

    number: int
    loss: float
    counts: NDArray[np.int64]
    throughput: float

    @property
    def mean_iou(self) -> float:
        """Return the mean IoU, by which the best epoch is chosen."""
        return mean_iou(self.counts)


def never() -> bool:
    """Return False: training is never stopped."""
    return False


def train(
    recipe: Recipe,
    training: Examples,
    validation: Examples,
    folder: Path,
    *,
    stop: Callable[[], bool] = never,
    checkpoints: Checkpoints | None = None,
) -> Iterator[Epoch]:
    """Train epoch by epoch. After each, `folder` holds the last parameters and the best so far.

    stop:        called between steps; when it returns true, the parameters are saved and training ends.
    checkpoints: where a checkpoint is saved after each epoch, and which one training resumes from.
    The result is reproducible on the same machine with the same number of threads.
    """
    mx = load_mxnet(TRAIN_THREADS)
    scores = checkpoints.resumed.scores if checkpoints and checkpoints.resumed else ()
    mx.random.seed(recipe.seed + len(scores))
    # Resumed training does not repeat the crops of the first epochs.
    random = np.random.default_rng([recipe.seed, len(scores)] if scores else recipe.seed)
    network = _network(recipe)
    trainer = _trainer(network, recipe, recipe.samples or _count(training))
    if checkpoints:
        checkpoints.restore(network, trainer, folder)
    best = max(scores, default=-1.0)
    for number in range(len(scores), recipe.epochs):
        started = time.time()
        losses: list[float] = []
        seen = 0
        for images, labels in _batches(recipe, training, random):
            losses.append(_step(network, trainer, images, labels, random))
            seen += len(labels)
            if stop():
                _save(network, folder / LAST)
                return
        throughput = seen / (time.time() - started)
        _save(network, folder / LAST)
        only_side = fixed_size(recipe.architecture.algorithm, recipe.crop)
        counts = evaluate(network, recipe.architecture, validation, recipe.validation_batch, only_side)
        epoch = Epoch(number, float(np.mean(losses)), counts, throughput)
        if epoch.mean_iou > best:
            best = epoch.mean_iou
            _copy(folder / LAST, folder / BEST)
        scores = (*scores, epoch.mean_iou)
        _report(epoch, recipe.epochs, seconds=time.time() - started, best=best)
        if checkpoints:
            checkpoints.save(folder / LAST, folder / BEST, trainer, scores)
        yield epoch
        if stop():
            return


def _count(examples: Examples) -> int:
    """Return the number of examples; 1 for a stream, whose length is unknown before its end."""
    return len(examples) if isinstance(examples, Sequence) else 1


def _batches(
    recipe: Recipe, training: Examples, random: np.random.Generator
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
    """Yield the batches of one epoch."""
    return batches(
        training,
        size=recipe.batch,
        crop=recipe.crop,
        cropping=recipe.cropping,
        orientation=recipe.orientation,
        random=random,
    )


def evaluate(
    network: Any,
    architecture: Architecture,
    examples: Examples,
    batch: int = 1,
    only_side: int | None = None,
) -> NDArray[np.int64]:
    """Return the confusion matrix over all examples, each at full size unless above VALIDATION_PIXELS.

    only_side: the side of the only images that the network accepts; None if it accepts any. Raises AlgorithmError for
    others.
    """
    total = np.zeros((architecture.classes, architecture.classes), np.int64)
    limit = VALIDATION_PIXELS.get(architecture.algorithm, VALIDATION_PIXELS_RESNET)
    for group in _groups((scaled_down(example, limit) for example in examples), batch, limit):
        height, width = group[0][1].shape
        inputs = [network_input(image, MULTIPLE[architecture.algorithm]) for image, _ in group]
        images = np.concatenate(inputs)
        check_size(architecture.algorithm, only_side, images.shape)
        predicted = _predict(network, images)[:, :height, :width]
        total += confusion(np.stack([labels for _, labels in group]), predicted, architecture.classes)
    return total


def _groups(examples: Iterable[Example], batch: int, limit: int) -> Iterator[list[Example]]:
    """Yield consecutive examples of one size, at most `batch` and at most `limit` pixels, but at least one."""
    group: list[Example] = []
    for example in examples:
        shape = example[1].shape
        full = len(group) >= batch or (len(group) + 1) * shape[0] * shape[1] > limit
        if group and (full or group[0][1].shape != shape):
            yield group
            group = []
        group.append(example)
    if group:
        yield group


def _predict(network: Any, images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Convert (N, 3, H, W) float32 to class ids (N, H, W) uint8."""
    scores = network(load_mxnet().nd.array(images))
    main = scores[0] if isinstance(scores, tuple | list) else scores
    return np.stack([most_likely_class(pixel_scores) for pixel_scores in main.asnumpy()])


def _network(recipe: Recipe) -> Any:
    """Return the network with random parameters, or with those to start from."""
    mx = load_mxnet()
    network = build(recipe.architecture)
    network.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2))
    if recipe.start is not None:
        network.load_parameters(str(recipe.start))
    network.hybridize(static_alloc=True)
    return network


def _trainer(network: Any, recipe: Recipe, examples: int) -> Any:
    """Return the optimizer with its schedule."""
    steps = max(1, examples // recipe.batch)
    rate = recipe.optimizer.rate
    return recipe.optimizer.trainer(network, recipe.schedule.scheduler(rate, recipe.epochs, steps))


def _save(network: Any, path: Path) -> None:
    """Save the parameters atomically: an interruption keeps the previous ones."""
    new = path.with_name(UNFINISHED + path.name)
    network.save_parameters(str(new))
    new.replace(path)


def _copy(source: Path, path: Path) -> None:
    """Copy a file atomically."""
    new = path.with_name(UNFINISHED + path.name)
    shutil.copyfile(source, new)
    new.replace(path)


def _step(
    network: Any,
    trainer: Any,
    images: NDArray[np.float32],
    labels: NDArray[np.uint8],
    random: np.random.Generator,
) -> float:
    """Run one step of the optimizer; return the mean cross-entropy of the batch before it, nats."""
    mx = load_mxnet()
    with mx.autograd.record():
        outputs = []
        for scores, weight, stride in network.training_scores(mx.nd.array(images)):
            # Where scores are coarser than labels, each step trains on another pixel of the square.
            top, left = random.integers(stride, size=2)
            wanted = mx.nd.array(labels[:, top::stride, left::stride])
            outputs.append((_softmax(scores, wanted, weight), wanted))
    mx.autograd.backward([output for output, _ in outputs])
    trainer.step(1)
    return _cross_entropy(*outputs[0])


def _softmax(scores: Any, wanted: Any, weight: float) -> Any:
    """Return probabilities whose gradient is that of the mean cross-entropy.

    It takes a third of the time of log_softmax and pick.
    """
    return load_mxnet().nd.SoftmaxOutput(
        scores, wanted, grad_scale=weight, multi_output=True,
        use_ignore=True, ignore_label=IGNORE, normalization="valid",
    )  # fmt: skip


def _cross_entropy(probabilities: Any, wanted: Any) -> float:
    """Return the mean cross-entropy of the pixels that count, nats."""
    nd = load_mxnet().nd
    counted = wanted != IGNORE
    right = nd.pick(probabilities, wanted * counted, axis=1)
    total = -(nd.log(nd.maximum(right, 1e-8)) * counted).sum().asscalar()
    return float(total / max(1.0, counted.sum().asscalar()))


def _report(epoch: Epoch, epochs: int, *, seconds: float, best: float) -> None:
    """Log the lines from which SageMaker extracts its metrics."""
    quality = f"#quality_metric: host=algo-1, epoch={epoch.number}"
    log.info(f"{quality}, train cross_entropy <loss>={epoch.loss:.6f}")
    log.info(f"#throughput_metric: host=algo-1, train throughput={epoch.throughput:.3f} records/second")
    log.info(f"{quality}, validation mIOU <score>={epoch.mean_iou:.6f}")
    log.info(f"{quality}, validation pixel_accuracy <score>={pixel_accuracy(epoch.counts):.6f}")
    done = 100 * (epoch.number + 1) // epochs
    log.info(f"#progress_metric: host=algo-1, completed {done} % of epochs")
    mark = " and is the best so far" if epoch.mean_iou >= best else ""
    log.info(f"Epoch {epoch.number} took {seconds:.1f} seconds{mark}")
