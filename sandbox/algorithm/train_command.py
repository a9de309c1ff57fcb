"""`train`: a training container's program, from /opt/ml to the model.

Environment:

    SM_ML_ROOT              replaces /opt/ml: input/config/hyperparameters.json, input/config/checkpointconfig.json,
                            input/data/CHANNEL, model, checkpoints, output
    SANDBOX_DEATH_PIPE_FD   the read end of the parent-death pipe; when it closes, this process exits

Exit codes: 0 with a model, also after SIGTERM; 2 with output/failure for an invalid hyperparameter or file; another
code with output/failure when the algorithm fails.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sandbox.algorithm import log
from sandbox.algorithm.archive import Architecture, write_hyperparameters
from sandbox.algorithm.augment import ScaledCrop, random_crop, random_mirror, random_orientation
from sandbox.algorithm.channels import Examples, check_channels, read_channel
from sandbox.algorithm.checkpoint import Checkpoints, checkpoint_folder
from sandbox.algorithm.early_stopping import EarlyStopping
from sandbox.algorithm.failure import EXIT_CLIENT_ERROR, ClientError, invalid_channels
from sandbox.algorithm.hyperparameters import DEFAULTS, LIGHT, Hyperparameters, read, round_up
from sandbox.algorithm.incremental import Start, read_start
from sandbox.algorithm.memory import check_memory
from sandbox.algorithm.mxnet_import import TRAIN_THREADS, AlgorithmError, load_mxnet
from sandbox.algorithm.pipe import CONTENT, PipeExamples, piped_channels, read_pipe
from sandbox.algorithm.schedule import LearningRateSchedule, Optimizer
from sandbox.algorithm.train import UNFINISHED, Epoch, Recipe, train

EXIT_ALGORITHM_ERROR = 1
NICENESS = 5
"""Lower priority than the dashboard."""
LIGHT_WARM_UP = 30
LIGHT_MULTIPLE = 16
"""The light network's crops are multiples of its largest stride."""
LAST_STEP = 10.0
"""Seconds for the current step to end after SIGTERM; then the parameters of the last epoch are used."""
MAX_FAILURE = 1024


@dataclass(frozen=True, slots=True)
class Root:
    """The folders of the container contract. death_pipe_fd: an inherited descriptor, None without one."""

    folder: Path
    death_pipe_fd: int | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Root:
        """Read the container contract from the environment."""
        death_pipe = environ.get("SANDBOX_DEATH_PIPE_FD")
        return cls(Path(environ.get("SM_ML_ROOT", "/opt/ml")), int(death_pipe) if death_pipe else None)

    @property
    def data(self) -> Path:
        """Return the folder of the channels."""
        return self.folder / "input" / "data"

    @property
    def model(self) -> Path:
        """Return the folder for the model."""
        return self.folder / "model"

    def hyperparameters(self) -> dict[str, str]:
        """Read the job's hyperparameters. Raises ClientError."""
        path = self.folder / "input" / "config" / "hyperparameters.json"
        try:
            values = json.loads(path.read_bytes())
            return {str(name): str(value) for name, value in values.items()}
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            raise ClientError(f"Unable to parse hyperparameters from {path.name}: {error}") from error


def run(root: Root) -> int:
    """Train one job and return the exit code."""
    if root.death_pipe_fd is not None:
        threading.Thread(target=_exit_at_end_of, args=(root.death_pipe_fd,), daemon=True).start()
    root.model.mkdir(parents=True, exist_ok=True)
    stop = _stop_on_signals(root.model)
    try:
        _train(root, stop)
    except ClientError as error:
        _fail(root, str(error))
        return EXIT_CLIENT_ERROR
    except AlgorithmError as error:
        _fail(root, str(error))
        return EXIT_ALGORITHM_ERROR
    except Exception as error:  # noqa: BLE001 - the top level of the process: reported in the log and to SageMaker
        log.failure("Training failed", error)
        _fail(root, f"{type(error).__name__}: {error}")
        return EXIT_ALGORITHM_ERROR
    return 0


def recipe_of(params: Hyperparameters, start: Start | None) -> Recipe:
    """Return how to train with these hyperparameters."""
    light = params.algorithm == LIGHT
    architecture = Architecture(LIGHT, LIGHT, params.num_classes)
    if not light:
        architecture = Architecture(params.algorithm, params.backbone, params.num_classes, True, "v1s")
    return Recipe(
        architecture=start.architecture if start else architecture,
        epochs=params.epochs,
        batch=params.mini_batch_size,
        crop=round_up(params.crop_size, LIGHT_MULTIPLE) if light else params.crop_size,
        optimizer=_optimizer(params),
        schedule=LearningRateSchedule(
            params.lr_scheduler,
            params.lr_scheduler_step,
            params.lr_scheduler_factor,
            LIGHT_WARM_UP if light else 0,
        ),
        samples=params.num_training_samples,
        cropping=random_crop if light else ScaledCrop(params.base_size),
        orientation=random_orientation if light else random_mirror,
        validation_batch=params.validation_mini_batch_size,
        start=start.parameters if start else None,
    )


def _optimizer(params: Hyperparameters) -> Optimizer:
    """Return the optimizer; by AWS's table, momentum and weight decay apply to sgd only."""
    optimizer = Optimizer(params.optimizer, params.learning_rate, gamma1=params.gamma1, gamma2=params.gamma2)
    if params.optimizer != "sgd":
        return optimizer
    return replace(optimizer, momentum=params.momentum, weight_decay=params.weight_decay)


def _train(root: Root, stop: threading.Event) -> None:
    """Read the job, train and log. Raises ClientError or AlgorithmError."""
    given = root.hyperparameters()
    log.info(f"Reading default configuration: {json.dumps(DEFAULTS)}")
    log.info(f"Merging with provided configuration from hyperparameters.json: {json.dumps(given)}")
    params = read(given)
    log.info(f"Final configuration: {json.dumps(params.text())}")
    piped = piped_channels(root.folder / "input" / "config")
    _check_configuration(piped)
    check_channels(root.data, piped)
    training, validation = (
        (read_pipe if name in piped else read_channel)(root.data, name, params.num_classes)
        for name in ("train", "validation")
    )
    _check_files(training, validation)
    load_mxnet(TRAIN_THREADS)
    start = read_start(root.data / "model", params, root.folder)
    check_memory(params)
    _log_differences(params, training, start)
    folder = checkpoint_folder(root.folder)
    checkpoints = None if folder is None else Checkpoints(folder, root.folder, params)
    write_hyperparameters(root.model, params.text())
    epochs = train(
        recipe_of(params, start),
        training,
        validation,
        root.model,
        stop=stop.is_set,
        checkpoints=checkpoints,
    )
    resumed = checkpoints.resumed if checkpoints else None
    _follow(epochs, params, stop, resumed.scores if resumed else ())


def _check_configuration(piped: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ClientError for a channel in Pipe mode that does not send RecordIO by its content type."""
    for channel in piped.values():
        kind = channel.get("ContentType") or ""
        if kind != CONTENT:
            raise invalid_channels(f"u'{kind}' is not one of [u'{CONTENT}']")


def _check_files(*channels: Examples | PipeExamples) -> None:
    """Check all images and masks of the channels that are files. Raises ClientError."""
    started = time.monotonic()
    files = [examples for examples in channels if isinstance(examples, Examples)]
    for examples in files:
        examples.check()
    if len(files) == len(channels):
        training, validation = files
        log.info(
            f"{len(training)} training images and {len(validation)} validation images, "
            f"checked in {time.monotonic() - started:.1f} seconds"
        )


def _follow(
    epochs: Iterator[Epoch], params: Hyperparameters, stop: threading.Event, scores: Sequence[float]
) -> None:
    """Run the epochs, to the last one or to an early stop. scores: of the epochs before a checkpoint."""
    stopping = EarlyStopping(
        params.early_stopping_min_epochs, params.early_stopping_patience, params.early_stopping_tolerance
    )
    best = max(scores, default=-1.0)
    number = scores.index(best) if scores else 0
    for score in scores:
        stopping.update(score)
    for epoch in epochs:
        if epoch.mean_iou > best:
            best, number = epoch.mean_iou, epoch.number
        if params.early_stopping and stopping.update(epoch.mean_iou):
            log.info(
                f"Early stopping after epoch {epoch.number}: no improvement of validation mIOU for "
                f"{stopping.without_gain} epochs (early_stopping_patience {stopping.patience}, "
                f"early_stopping_tolerance {stopping.tolerance:g})"
            )
            break
    if stop.is_set():
        log.info("Training was stopped; the parameters so far are saved")
    if best >= 0:
        log.info(
            f"The best epoch is {number} with validation mIOU {best:.6f}: its parameters are model_best.params"
        )


def _log_differences(params: Hyperparameters, training: Examples | PipeExamples, start: Start | None) -> None:
    """Log where the sandbox differs from AWS."""
    log.info("Using device: cpu; number of GPUs being used: 0")
    if isinstance(training, Examples):
        _log_counts(params, training)
    if start:
        log.info(f"Continuing from {start.parameters.name} of the channel model")
    elif params.use_pretrained_model:
        log.warning(
            "use_pretrained_model is True, but the sandbox has no pretrained backbone: "
            "training starts from random parameters"
        )
    if params.syncbn:
        log.info("syncbn is True, but unused on a single device")
    if params.optimizer != "sgd":
        log.info(f"momentum and weight_decay are unused with {params.optimizer}")
    if params.algorithm == LIGHT:
        log.info(
            "The light network is the sandbox's own: base_size is unused, crops are taken at the images' "
            "own scale and in all eight orientations"
        )


def _log_counts(params: Hyperparameters, training: Examples) -> None:
    """Warn of hyperparameters that do not fit the number of images."""
    if len(training) != params.num_training_samples:
        log.warning(
            f"num_training_samples is {params.num_training_samples} and the channel train has {len(training)} "
            "images: the learning rate's schedule follows the hyperparameter"
        )
    if len(training) < params.mini_batch_size:
        log.warning(f"mini_batch_size is {params.mini_batch_size}: all {len(training)} images form one batch")


def _fail(root: Root, text: str) -> None:
    """Report the failure to SageMaker and in the log."""
    log.error(text)
    path = root.folder / "output" / "failure"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text[:MAX_FAILURE], encoding="utf-8")


def _stop_on_signals(model: Path) -> threading.Event:
    """Return an event that SIGTERM and SIGINT set.

    A training step may take minutes in which no Python signal handler runs, so a thread waits for the signal, and
    ends the process when the current step takes too long.
    """
    stop = threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)

    def wait() -> None:
        os.read(reader, 1)
        log.info("Received a signal to stop")
        stop.set()
        time.sleep(LAST_STEP)
        log.warning("The current step was interrupted; the model is that of the last complete epoch")
        for path in model.glob(f"{UNFINISHED}*"):
            path.unlink(missing_ok=True)
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
    return stop


def _exit_at_end_of(death_pipe: int) -> None:
    """Exit the process immediately when the pipe closes."""
    while os.read(death_pipe, 1):
        pass
    os._exit(0)
