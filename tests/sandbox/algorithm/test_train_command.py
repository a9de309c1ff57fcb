"""`python -m sandbox.algorithm train` as a training container: its input, output, log and exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.patience import SECONDS

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "sandbox.algorithm", "train"]
SMALL = {
    "algorithm": "light",
    "num_classes": "2",
    "num_training_samples": "4",
    "mini_batch_size": "2",
    "crop_size": "32",
    "epochs": "2",
    "optimizer": "adam",
    "learning_rate": "0.01",
}
OPTIMIZERS = {
    "sgd": {"optimizer": "sgd", "momentum": "0.5", "weight_decay": "0.001", "lr_scheduler": "cosine"},
    "nag": {
        "optimizer": "nag",
        "lr_scheduler": "step",
        "lr_scheduler_step": "1, 90",
        "lr_scheduler_factor": "0",
    },
    "rmsprop": {"optimizer": "rmsprop", "gamma1": "0.8", "gamma2": "0.5", "learning_rate": "0.001"},
    "adagrad": {
        "optimizer": "adagrad",
        "syncbn": "True",
        "validation_mini_batch_size": "3",
        "mini_batch_size": "9",
    },
}
TRAIN_EACH = """
import os, sys
from sandbox.algorithm.__main__ import main
for root in sys.argv[1:]:
    os.environ["SM_ML_ROOT"] = root
    print("The exit code is", main(["train"]), flush=True)
"""
EARLY = {"early_stopping": "True", "early_stopping_min_epochs": "1", "early_stopping_patience": "2"}
INDEPENDENT: dict[str, dict[str, str]] = {
    **OPTIMIZERS,
    "early": {"epochs": "50", **EARLY, "early_stopping_tolerance": "1.0"},
    "aws": {
        "algorithm": "fcn", "backbone": "resnet-50", "base_size": "48", "crop_size": "24", "epochs": "1",
        "optimizer": "sgd",
    },
    "fresh": {},
    "long": {"epochs": "6"},
    "saved": {"epochs": "3"},
    "single": {"epochs": "1"},
}  # fmt: skip
DEPENDENT = {
    "incremental": {"epochs": "1", "learning_rate": "0.0001"},
    "other classes": {"num_classes": "3"},
    "resumed": {"epochs": "4"},
    "other checkpoint": {"num_classes": "3"},
}
Prepare = Callable[..., Path]


def _prepare(root: Path, hyperparameters: dict[str, str], side: int = 48) -> Path:
    """Make a folder that replaces /opt/ml, with four images per channel."""
    random = np.random.default_rng(0)
    (root / "input" / "config").mkdir(parents=True)
    (root / "input/config/hyperparameters.json").write_text(json.dumps(hyperparameters))
    for channel in ("train", "validation"):
        data = root / "input" / "data"
        (data / channel).mkdir(parents=True)
        (data / f"{channel}_annotation").mkdir()
        for number in range(4):
            coarse = random.integers(0, 2, (4, 4), np.uint8)
            labels = np.repeat(np.repeat(coarse, side // 4, 0), side // 4, 1)
            Image.fromarray(labels).save(data / f"{channel}_annotation" / f"{number}.png")
            Image.fromarray(labels * 120 + 60).convert("RGB").save(data / channel / f"{number}.jpg")
    return root


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """prepare(hyperparameters) -> a folder that replaces /opt/ml, with four images per channel."""
    return lambda hyperparameters: _prepare(tmp_path / "ml", hyperparameters)


@dataclass(frozen=True)
class Job:
    """A job that has ended, and what it printed."""

    root: Path
    code: int
    log: str


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Job]:
    """The jobs that start from nothing, in one process: importing MXNet takes longer than most of them."""
    base = tmp_path_factory.mktemp("trained")
    jobs = {name: _prepare(base / name, {**SMALL, **more}) for name, more in INDEPENDENT.items()}
    for name in ("saved", "single"):
        _with_checkpoints(jobs[name])
    return _train_each(jobs)


@pytest.fixture(scope="module")
def continued(trained: dict[str, Job], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Job]:
    """The jobs that start from the model or the checkpoints of another one, in one process."""
    base = tmp_path_factory.mktemp("continued")
    jobs = {name: _prepare(base / name, {**SMALL, **more}) for name, more in DEPENDENT.items()}
    archive = base / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for path in (trained["long"].root / "model").iterdir():
            tar.add(path, path.name)
    for name in ("incremental", "other classes"):
        (jobs[name] / "input/data/model").mkdir()
        (jobs[name] / "input/data/model/model.tar.gz").write_bytes(archive.read_bytes())
    saved, copied = trained["saved"].root / "checkpoints", _with_checkpoints(jobs["resumed"])
    (copied / "checkpoint-0001.zip").write_bytes((saved / "checkpoint-0001.zip").read_bytes())
    (copied / "checkpoint-0002.zip").write_bytes(b"PK damaged")
    single = trained["single"].root
    (_with_checkpoints(jobs["other checkpoint"]) / "checkpoint-0000.zip").write_bytes(
        (single / "checkpoints/checkpoint-0000.zip").read_bytes()
    )
    (single / "model/model_algo-1").unlink()
    return _train_each({**jobs, "finished": single})


def _train(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        COMMAND, cwd=ROOT, env=_environ(root), capture_output=True, text=True, check=False, timeout=120
    )


def _train_each(roots: Mapping[str, Path]) -> dict[str, Job]:
    """Return the ended jobs, trained one after the other in one process."""
    command = [sys.executable, "-c", TRAIN_EACH, *map(str, roots.values())]
    timeout = 120 + 30 * len(roots)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    parts = re.split(r"^The exit code is (\d+)\n", done.stdout, flags=re.MULTILINE)
    ends = zip(roots.items(), parts[:-1:2], parts[1::2], strict=True)
    return {name: Job(root, int(code), log) for (name, root), log, code in ends}


def _environ(root: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "SM_ML_ROOT": str(root), **more}


def _start(root: Path, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(COMMAND, cwd=ROOT, stdout=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload,no-any-return]


@pytest.mark.mxnet
def test_a_job_leaves_the_model_in_awss_layout_and_the_log_that_metrics_are_read_from(
    prepare: Prepare,
) -> None:
    """It writes three files with text values, and logs loss, mIOU, accuracy, throughput and the best epoch."""
    root = prepare(SMALL)
    done = _train(root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in (root / "model").iterdir()} == {
        "model_algo-1",
        "model_best.params",
        "hyperparams.json",
    }
    kept = json.loads((root / "model/hyperparams.json").read_text())
    assert (kept["algorithm"], kept["num_classes"], kept["crop_size"], kept["epochs"]) == (
        "light",
        "2",
        "32",
        "2",
    )
    line = r"^\[\d\d/\d\d/\d{4} \d\d:\d\d:\d\d INFO \d+\] #"
    quality = line + "quality_metric: host=algo-1, epoch=1, "
    for pattern in (
        quality + r"train cross_entropy <loss>=\d\.\d+$",
        quality + r"validation mIOU <score>=\d\.\d+$",
        quality + r"validation pixel_accuracy <score>=\d\.\d+$",
        line + r"throughput_metric: host=algo-1, train throughput=[\d.]+ records/second$",
        line + r"progress_metric: host=algo-1, completed 100 % of epochs$",
    ):
        assert re.search(pattern, done.stdout, re.MULTILINE), done.stdout
    assert "use_pretrained_model is True, but the sandbox has no pretrained backbone" in done.stdout
    assert re.search(r"The best epoch is [01] with validation mIOU", done.stdout)


def test_a_bad_hyperparameter_ends_it_with_awss_words(prepare: Prepare) -> None:
    """Exit code 2, and the reason in output/failure and in the log."""
    root = prepare({**SMALL, "mini_batch_siz": "8"})
    done = _train(root)
    failure = (root / "output/failure").read_text()
    assert done.returncode == 2, done.stdout
    assert "Additional properties are not allowed (u'mini_batch_siz' was unexpected)" in failure
    assert re.search(r" ERROR \d+\] " + re.escape(failure), done.stdout)


def test_an_invalid_mask_ends_it_before_training(prepare: Prepare) -> None:
    """An invalid mask gives exit code 2 and a reason with its name."""
    root = prepare(SMALL)
    Image.new("RGB", (48, 48)).save(root / "input/data/validation_annotation/2.png")
    done = _train(root)
    assert done.returncode == 2, done.stdout
    assert "2.png: it has mode RGB" in (root / "output/failure").read_text()


@pytest.mark.mxnet
def test_incremental_training_starts_from_a_model_of_the_same_kind(
    trained: dict[str, Job], continued: dict[str, Job]
) -> None:
    """Training starts from the channel `model`; another num_classes is refused with both values."""
    assert trained["long"].code == 0
    incremental, refused = continued["incremental"], continued["other classes"]
    assert incremental.code == 0, incremental.log
    assert _losses(incremental.log)[0] < _losses(trained["fresh"].log)[0]
    assert "Continuing from model_best.params of the channel model" in incremental.log
    assert refused.code == 2
    assert "num_classes is 3, but was 2" in (refused.root / "output/failure").read_text()


@pytest.mark.mxnet
def test_it_stops_early_when_asked_to(trained: dict[str, Job]) -> None:
    """With a tolerance that no epoch reaches, patience ends it long before its last epoch."""
    job = trained["early"]
    assert job.code == 0, job.log
    assert "Early stopping after epoch" in job.log
    assert len(_losses(job.log)) < 50


@pytest.mark.mxnet
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_and_schedule_trains(trained: dict[str, Job], name: str) -> None:
    """Each writes a model, and its losses are numbers."""
    job = trained[name]
    assert job.code == 0, job.log
    assert len(_losses(job.log)) == 2
    assert np.isfinite(_losses(job.log)).all()
    assert (job.root / "model/model_best.params").is_file()


@pytest.mark.mxnet
def test_aws_own_networks_train(trained: dict[str, Job]) -> None:
    """One epoch of FCN on ResNet-50 trains with a small crop; the other networks have the same parts."""
    job = trained["aws"]
    assert job.code == 0, job.log
    assert len(_losses(job.log)) == 1
    assert json.loads((job.root / "model/hyperparams.json").read_text())["backbone"] == "resnet-50"


@pytest.mark.mxnet
def test_sigterm_saves_the_model_and_exits_with_0(prepare: Prepare) -> None:
    """The model of the last step is saved, so that a stopped job has an artifact."""
    root = prepare({**SMALL, "epochs": "100000"})
    process = _start(root, env=_environ(root))
    assert process.stdout is not None
    for line in process.stdout:
        if "epoch=1, validation mIOU" in line:
            break
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    assert "Training was stopped; the parameters so far are saved" in output
    kept = {path.name for path in (root / "model").iterdir()}
    assert kept == {"model_algo-1", "model_best.params", "hyperparams.json"}


@pytest.mark.mxnet
def test_it_ends_with_its_parent_process(prepare: Prepare) -> None:
    """When the parent-death pipe closes, as when the sandbox is killed, training exits."""
    root = prepare({**SMALL, "epochs": "100000"})
    reader, writer = os.pipe()
    process = _start(root, env=_environ(root, SANDBOX_DEATH_PIPE_FD=str(reader)), pass_fds=(reader,))
    os.close(reader)
    assert process.stdout is not None
    for line in process.stdout:
        if "epoch=0, validation mIOU" in line:
            break
    os.close(writer)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 0


def _losses(text: str) -> list[float]:
    return [float(value) for value in re.findall(r"train cross_entropy <loss>=(\S+)", text)]


def _with_checkpoints(root: Path) -> Path:
    """Give a job a checkpoint configuration, and return its folder of checkpoints."""
    config = {"S3Uri": "s3://bucket/saved", "LocalPath": "/opt/ml/checkpoints"}
    (root / "input/config/checkpointconfig.json").write_text(json.dumps(config))
    (root / "checkpoints").mkdir()
    return root / "checkpoints"


@pytest.mark.mxnet
def test_a_job_resumes_from_its_newest_checkpoint(trained: dict[str, Job], continued: dict[str, Job]) -> None:
    """It keeps two checkpoints; a damaged one is passed over with a warning, and no saved epoch is repeated."""
    first, resumed = trained["saved"], continued["resumed"]
    assert first.code == 0, first.log
    assert "No checkpoint was found: training starts with epoch 0" in first.log
    kept = [path.name for path in sorted((first.root / "checkpoints").iterdir())]
    assert kept == ["checkpoint-0001.zip", "checkpoint-0002.zip"]
    assert resumed.code == 0, resumed.log
    assert "The checkpoint checkpoint-0002.zip cannot be read and is not used" in resumed.log
    assert "Resuming from the checkpoint checkpoint-0001.zip: the next epoch is 2" in resumed.log
    assert re.findall(r"epoch=(\d+), validation mIOU", resumed.log) == ["2", "3"]
    assert {path.name for path in (resumed.root / "model").iterdir()} == {
        "model_algo-1",
        "model_best.params",
        "hyperparams.json",
    }
    assert _losses(resumed.log)[0] < _losses(first.log)[0]


@pytest.mark.mxnet
def test_a_checkpoint_of_another_network_is_refused(
    trained: dict[str, Job], continued: dict[str, Job]
) -> None:
    """The reason names the hyperparameter with both values; a finished job only writes its model again."""
    assert trained["single"].code == 0
    again, refused = continued["finished"], continued["other checkpoint"]
    assert (again.code, re.findall("validation mIOU", again.log)) == (0, ["validation mIOU"])
    assert (again.root / "model/model_algo-1").is_file()
    assert refused.code == 2, refused.log
    failure = (refused.root / "output/failure").read_text()
    assert "is of a job with num_classes 2, but num_classes is 3" in failure
