"""The training loop: one network, two sets of examples, a model folder in AWS's layout."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.algorithm import log
from sandbox.algorithm.archive import BEST, LAST, Architecture, build
from sandbox.algorithm.augment import Examples, Turn, any_way_up, batches
from sandbox.algorithm.mxnet_import import TRAIN_THREADS, load_mxnet
from sandbox.algorithm.predict import MULTIPLE, forward, likeliest, network_input
from sandbox.algorithm.scores import IGNORE, confusion, mean_iou, pixel_accuracy


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    crop:     side of the square crops, pixels.
    warm_up:  steps in which the learning rate rises from a tenth.
    momentum: None for optimizers that know none.
    """

    architecture: Architecture
    epochs: int = 10
    batch: int = 16
    crop: int = 240
    optimizer: str = "sgd"
    learning_rate: float = 0.001
    weight_decay: float = 0.0001
    momentum: float | None = 0.9
    warm_up: int = 0
    turn: Turn = any_way_up
    seed: int = 3


@dataclass(frozen=True, slots=True, eq=False)
class Epoch:
    """What one epoch came to.

    loss:   mean cross-entropy of the training pixels, nats.
    counts: confusion of the validation pixels, see `scores.confusion`.
    """

    number: int
    loss: float
    counts: NDArray[np.int64]

    @property
    def mean_iou(self) -> float:
        """What decides which epoch is the best."""
        return mean_iou(self.counts)


def train(recipe: Recipe, training: Examples, validation: Examples, folder: Path) -> Iterator[Epoch]:
    """Train epoch by epoch. After each, `folder` holds the last parameters and the best so far.

    Repeats itself on the same machine with the same number of threads.
    """
    mx = load_mxnet(TRAIN_THREADS)
    mx.random.seed(recipe.seed)
    random = np.random.default_rng(recipe.seed)
    network = _fresh(recipe.architecture)
    trainer = _trainer(network, recipe, steps=recipe.epochs * max(1, len(training) // recipe.batch))
    best = -1.0
    for number in range(recipe.epochs):
        started = time.time()
        crops = batches(training, size=recipe.batch, crop=recipe.crop, turn=recipe.turn, random=random)
        losses = [_step(network, trainer, pictures, labels, random) for pictures, labels in crops]
        epoch = Epoch(number, float(np.mean(losses)), evaluate(network, recipe.architecture, validation))
        _report(epoch, seconds=time.time() - started)
        network.save_parameters(str(folder / LAST))
        if epoch.mean_iou > best:
            best = epoch.mean_iou
            shutil.copyfile(folder / LAST, folder / BEST)
        yield epoch


def evaluate(network: Any, architecture: Architecture, examples: Examples) -> NDArray[np.int64]:
    """The confusion over all examples, each at its full size."""
    total = np.zeros((architecture.classes, architecture.classes), np.int64)
    for picture, labels in examples:
        height, width = labels.shape
        scores = forward(network, network_input(picture, MULTIPLE[architecture.algorithm]))
        predicted = likeliest(scores[:, :height, :width])
        total += confusion(labels, predicted, architecture.classes)
    return total


def _fresh(architecture: Architecture) -> Any:
    """The network with random parameters."""
    mx = load_mxnet()
    network = build(architecture)
    network.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2))
    network.hybridize(static_alloc=True)
    return network


def _trainer(network: Any, recipe: Recipe, steps: int) -> Any:
    """The optimizer, with a learning rate that falls to a hundredth as a polynomial of the steps."""
    mx = load_mxnet()
    rate = recipe.learning_rate
    options = {
        "learning_rate": rate,
        "wd": recipe.weight_decay,
        "lr_scheduler": mx.lr_scheduler.PolyScheduler(
            steps, rate, pwr=0.9, final_lr=rate / 100,
            warmup_steps=min(recipe.warm_up, steps // 4), warmup_begin_lr=rate / 10,
        ),
    }  # fmt: skip
    if recipe.momentum is not None:
        options["momentum"] = recipe.momentum
    return mx.gluon.Trainer(network.collect_params(), recipe.optimizer, options)


def _step(
    network: Any,
    trainer: Any,
    pictures: NDArray[np.float32],
    labels: NDArray[np.uint8],
    random: np.random.Generator,
) -> float:
    """One step of the optimizer; the mean cross-entropy of the batch before it, nats."""
    mx = load_mxnet()
    with mx.autograd.record():
        outputs = []
        for scores, weight, stride in network.training_scores(mx.nd.array(pictures)):
            # Where scores are coarser than labels, each step learns from another pixel of the square.
            top, left = random.integers(stride, size=2)
            wanted = mx.nd.array(labels[:, top::stride, left::stride])
            outputs.append((_softmax(scores, wanted, weight), wanted))
    mx.autograd.backward([output for output, _ in outputs])
    trainer.step(1)
    return _cross_entropy(*outputs[0])


def _softmax(scores: Any, wanted: Any, weight: float) -> Any:
    """Probabilities whose gradient is that of the mean cross-entropy: a third of the time of log_softmax and pick."""
    return load_mxnet().nd.SoftmaxOutput(
        scores, wanted, grad_scale=weight, multi_output=True,
        use_ignore=True, ignore_label=IGNORE, normalization="valid",
    )  # fmt: skip


def _cross_entropy(probabilities: Any, wanted: Any) -> float:
    nd = load_mxnet().nd
    counted = wanted != IGNORE
    right = nd.pick(probabilities, wanted * counted, axis=1)
    total = -(nd.log(nd.maximum(right, 1e-8)) * counted).sum().asscalar()
    return float(total / max(1.0, counted.sum().asscalar()))


def _report(epoch: Epoch, seconds: float) -> None:
    """The lines that SageMaker reads its metrics from."""
    quality = f"#quality_metric: host=algo-1, epoch={epoch.number}"
    log.info(f"{quality}, train cross_entropy <loss>={epoch.loss:.6f}")
    log.info(f"{quality}, validation mIOU <score>={epoch.mean_iou:.6f}")
    log.info(f"{quality}, validation pixel_accuracy <score>={pixel_accuracy(epoch.counts):.6f}")
    log.info(f"Epoch {epoch.number} took {seconds:.1f} seconds")
