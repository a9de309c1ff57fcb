"""`python -m sandbox.algorithm train` as a training container: its input, output, log and exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
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
Prepare = Callable[..., Path]


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """prepare(hyperparameters, side=48) -> a folder that replaces /opt/ml, with four images per channel."""

    def make(hyperparameters: dict[str, str], name: str = "ml", side: int = 48) -> Path:
        root, random = tmp_path / name, np.random.default_rng(0)
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

    return make


def _train(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        COMMAND, cwd=ROOT, env=_environ(root), capture_output=True, text=True, check=False, timeout=120
    )


def _train_each(*roots: Path) -> list[tuple[int, str]]:
    """Return the exit code and the log of each job, trained one after the other: MXNet is imported once."""
    command = [sys.executable, "-c", TRAIN_EACH, *map(str, roots)]
    timeout = 120 * len(roots)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    logs = re.split(r"^The exit code is (\d+)\n", done.stdout, flags=re.MULTILINE)
    jobs = [(int(code), log) for log, code in zip(logs[:-1:2], logs[1::2], strict=True)]
    assert len(jobs) == len(roots), done.stdout
    return jobs


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
def test_incremental_training_starts_from_a_model_of_the_same_kind(prepare: Prepare, tmp_path: Path) -> None:
    """Training starts from the channel `model`; another num_classes is refused with both values."""
    first = prepare({**SMALL, "epochs": "6"})
    (trained, _), (_, fresh) = _train_each(first, prepare(SMALL, "fresh"))
    assert trained == 0
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for path in (first / "model").iterdir():
            tar.add(path, path.name)
    second = prepare({**SMALL, "epochs": "1", "learning_rate": "0.0001"}, "second")
    third = prepare({**SMALL, "num_classes": "3"}, "third")
    for root in (second, third):
        (root / "input/data/model").mkdir()
        (root / "input/data/model/model.tar.gz").write_bytes(archive.read_bytes())
    (code, continued), (refused, _) = _train_each(second, third)
    assert code == 0, continued
    assert _losses(continued)[0] < _losses(fresh)[0]
    assert "Continuing from model_best.params of the channel model" in continued
    assert refused == 2
    assert "num_classes is 3, but was 2" in (third / "output/failure").read_text()


@pytest.mark.mxnet
def test_it_stops_early_when_asked_to(prepare: Prepare) -> None:
    """With a tolerance that no epoch reaches, patience ends it long before its last epoch."""
    early = {"early_stopping": "True", "early_stopping_min_epochs": "1", "early_stopping_patience": "2"}
    done = _train(prepare({**SMALL, "epochs": "50", **early, "early_stopping_tolerance": "1.0"}))
    assert done.returncode == 0, done.stdout
    assert "Early stopping after epoch" in done.stdout
    assert len(_losses(done.stdout)) < 50


@pytest.mark.mxnet
def test_every_optimizer_and_schedule_trains(prepare: Prepare) -> None:
    """Each writes a model, and its losses are numbers."""
    roots = [prepare({**SMALL, **more}, name) for name, more in OPTIMIZERS.items()]
    for root, (code, log) in zip(roots, _train_each(*roots), strict=True):
        assert code == 0, log
        assert len(_losses(log)) == 2, root.name
        assert np.isfinite(_losses(log)).all(), root.name
        assert (root / "model/model_best.params").is_file(), root.name


@pytest.mark.mxnet
def test_aws_own_networks_train(prepare: Prepare) -> None:
    """One epoch of FCN on ResNet-50 trains with a small crop; the other networks have the same parts."""
    aws = {"algorithm": "fcn", "backbone": "resnet-50", "base_size": "48", "crop_size": "24", "epochs": "1"}
    root = prepare({**SMALL, **aws, "optimizer": "sgd"})
    done = _train(root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(_losses(done.stdout)) == 1
    assert json.loads((root / "model/hyperparams.json").read_text())["backbone"] == "resnet-50"


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
def test_a_job_resumes_from_its_newest_checkpoint(prepare: Prepare) -> None:
    """It keeps two checkpoints; a damaged one is passed over with a warning, and no saved epoch is repeated."""
    first = prepare({**SMALL, "epochs": "3"})
    folder = _with_checkpoints(first)
    done = _train(first)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No checkpoint was found: training starts with epoch 0" in done.stdout
    assert [path.name for path in sorted(folder.iterdir())] == ["checkpoint-0001.zip", "checkpoint-0002.zip"]
    second = prepare({**SMALL, "epochs": "4"}, "second")
    copied = _with_checkpoints(second)
    (copied / "checkpoint-0001.zip").write_bytes((folder / "checkpoint-0001.zip").read_bytes())
    (copied / "checkpoint-0002.zip").write_bytes(b"PK damaged")
    resumed = _train(second)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert "The checkpoint checkpoint-0002.zip cannot be read and is not used" in resumed.stdout
    assert "Resuming from the checkpoint checkpoint-0001.zip: the next epoch is 2" in resumed.stdout
    assert re.findall(r"epoch=(\d+), validation mIOU", resumed.stdout) == ["2", "3"]
    assert {path.name for path in (second / "model").iterdir()} == {
        "model_algo-1",
        "model_best.params",
        "hyperparams.json",
    }
    assert _losses(resumed.stdout)[0] < _losses(done.stdout)[0]


@pytest.mark.mxnet
def test_a_checkpoint_of_another_network_is_refused(prepare: Prepare) -> None:
    """The reason names the hyperparameter with both values; a finished job only writes its model again."""
    first = prepare({**SMALL, "epochs": "1"})
    folder = _with_checkpoints(first)
    assert _train(first).returncode == 0
    (first / "model/model_algo-1").unlink()
    other = prepare({**SMALL, "num_classes": "3"}, "other")
    (_with_checkpoints(other) / "checkpoint-0000.zip").write_bytes(
        (folder / "checkpoint-0000.zip").read_bytes()
    )
    (code, again), (refused, log) = _train_each(first, other)
    assert (code, re.findall("validation mIOU", again)) == (0, ["validation mIOU"])
    assert (first / "model/model_algo-1").is_file()
    assert refused == 2, log
    assert "is of a job with num_classes 2, but num_classes is 3" in (other / "output/failure").read_text()
