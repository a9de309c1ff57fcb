"""Save a checkpoint after each epoch, and resume from the newest one.

AWS documents that this algorithm saves checkpoints in /opt/ml/checkpoints and resumes from them without any change to
the job (developer guide, "Use Checkpoints in Amazon SageMaker"), but not what the files are. Here each checkpoint is
one ZIP file, renamed into the folder when it is complete, so that a copy in S3 is never half of one. It holds arrays
and JSON only, which no reader has to execute.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sandbox.algorithm import log
from sandbox.algorithm.archive import BEST, LAST
from sandbox.algorithm.failure import ClientError
from sandbox.algorithm.hyperparameters import INCREMENTAL, Hyperparameters
from sandbox.algorithm.mxnet_import import load_mxnet

ML_ROOT = PurePosixPath("/opt/ml")
DEFAULT_PATH = "/opt/ml/checkpoints"
KEPT = 2
"""Checkpoints that stay in the folder: the newest, and one before it in case the newest cannot be read."""
_STATE, _OPTIMIZER = "checkpoint.json", "optimizer.params"
_SAME = (*INCREMENTAL, "optimizer")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far training had come.

    settings: the hyperparameters that must not change, as text.
    scores:   the validation mIOU of each epoch completed.
    updates:  steps of the optimizer completed.
    """

    settings: dict[str, str]
    scores: tuple[float, ...]
    updates: int

    @property
    def next_epoch(self) -> int:
        """Return the number of the epoch to train next."""
        return len(self.scores)


def checkpoint_folder(root: Path) -> Path | None:
    """Return the job's folder of checkpoints; None for a job without them. root: the folder that is /opt/ml."""
    path = root / "input" / "config" / "checkpointconfig.json"
    if not path.is_file():
        return None
    try:
        local = PurePosixPath(json.loads(path.read_bytes()).get("LocalPath") or DEFAULT_PATH)
        return root / local.relative_to(ML_ROOT)
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise ClientError(f"Unable to read the checkpoint configuration {path.name}: {error}") from error


class Checkpoints:
    """The checkpoints of one job. resumed: where training continues; None to start from the first epoch."""

    def __init__(self, folder: Path, scratch: Path, params: Hyperparameters) -> None:
        """scratch: a folder on the same disk. Raises ClientError for a checkpoint of other settings."""
        self._folder, self._scratch = folder, scratch
        self._settings = {name: str(getattr(params, name)) for name in _SAME}
        self._file: Path | None = None
        self.resumed: Progress | None = None
        folder.mkdir(parents=True, exist_ok=True)
        for path in self._files():
            try:
                progress = _read_progress(path)
            except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
                log.warning(f"The checkpoint {path.name} cannot be read and is not used: {error}")
                continue
            self._check_settings(path, progress)
            self._file, self.resumed = path, progress
            log.info(f"Resuming from the checkpoint {path.name}: the next epoch is {progress.next_epoch}")
            return
        log.info("No checkpoint was found: training starts with epoch 0")

    def restore(self, network: Any, trainer: Any, model: Path) -> None:
        """Restore the network, the optimizer and the files of the model from the checkpoint to resume from."""
        if self._file is None or self.resumed is None:
            return
        with zipfile.ZipFile(self._file) as archive:
            for name in (LAST, BEST):
                with archive.open(name) as source, (model / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
            states = archive.read(_OPTIMIZER)
        network.load_parameters(str(model / LAST))
        _restore_optimizer(trainer, states, self.resumed.updates)

    def save(self, network_file: Path, best_file: Path, trainer: Any, scores: tuple[float, ...]) -> None:
        """Save a checkpoint after an epoch, then delete the oldest ones."""
        number = len(scores) - 1
        progress = Progress(self._settings, scores, int(trainer._optimizer.num_update))
        new, states = self._scratch / ".unfinished-checkpoint", self._scratch / ".unfinished-optimizer"
        load_mxnet().nd.save(str(states), _optimizer_states(trainer))
        with zipfile.ZipFile(new, "w") as archive:
            archive.writestr(_STATE, json.dumps(asdict(progress)))
            archive.write(network_file, LAST)
            archive.write(best_file, BEST)
            archive.write(states, _OPTIMIZER)
        states.unlink()
        name = f"checkpoint-{number:04}.zip"
        new.replace(self._folder / name)
        log.info(f"Saved the checkpoint {name}")
        for path in self._files()[KEPT:]:
            path.unlink()

    def _files(self) -> list[Path]:
        """Return the checkpoints, the newest first."""
        return sorted(self._folder.glob("checkpoint-*.zip"), reverse=True)

    def _check_settings(self, path: Path, progress: Progress) -> None:
        """Raise ClientError unless the checkpoint is of a job with the same network."""
        for name, value in self._settings.items():
            before = progress.settings.get(name)
            if before != value:
                raise ClientError(
                    f"The checkpoint {path.name} is of a job with {name} {before}, but {name} is {value}. "
                    "Use another checkpoint location, or the same values."
                )


def _read_progress(path: Path) -> Progress:
    """Read a checkpoint's JSON. Raises OSError, ValueError, KeyError, TypeError or BadZipFile."""
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise ValueError(f"{damaged} is damaged")
        state = json.loads(archive.read(_STATE))
    return Progress(dict(state["settings"]), tuple(map(float, state["scores"])), int(state["updates"]))


def _optimizer_states(trainer: Any) -> dict[str, Any]:
    """Return the arrays of the optimizer (its momentum, for example) by parameter and position."""
    return {
        f"{index}.{position}": array
        for index, state in trainer._updaters[0].states.items()
        for position, array in enumerate(_arrays(state))
    }


def _restore_optimizer(trainer: Any, content: bytes, updates: int) -> None:
    """Restore the arrays of the optimizer and its number of updates, which the learning rate follows."""
    mx = load_mxnet()
    optimizer, updater = trainer._optimizer, trainer._updaters[0]
    optimizer.begin_num_update = optimizer.num_update = updates
    saved: dict[int, list[Any]] = {}
    arrays = mx.nd.load_frombuffer(content)
    # MXNet reads an empty file, that of an optimizer without arrays, as a list.
    for name, array in (arrays if isinstance(arrays, dict) else {}).items():
        index, _, position = name.partition(".")
        saved.setdefault(int(index), []).insert(int(position), array)
    for index, parameter in enumerate(trainer._params):
        if index in saved:
            state = optimizer.create_state_multi_precision(index, parameter.data())
            for array, value in zip(_arrays(state), saved[index], strict=True):
                array[:] = value
            updater.states[index], updater.states_synced[index] = state, True


def _arrays(state: Any) -> Iterator[Any]:
    """Yield the arrays of one parameter's optimizer state, which may be None, an array, or nested tuples."""
    if isinstance(state, tuple | list):
        for part in state:
            yield from _arrays(part)
    elif state is not None:
        yield state
