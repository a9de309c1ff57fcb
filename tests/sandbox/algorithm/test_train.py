"""Training, in a separate process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TRAIN_TWICE = """
import sys
from pathlib import Path
from sandbox.algorithm.mxnet_import import load_mxnet
load_mxnet(1)
import numpy as np
from sandbox.algorithm.archive import Architecture
from sandbox.algorithm.schedule import Optimizer
from sandbox.algorithm.train import Recipe, train
random = np.random.default_rng(0)
labels = [np.repeat(np.repeat(random.integers(0, 2, (4, 4), np.uint8), 16, 0), 16, 1) for _ in range(8)]
examples = [(np.repeat(label[..., None] * 120 + 60, 3, 2).astype(np.uint8), label) for label in labels]
light = Architecture("light", "light", 2)
recipe = Recipe(light, epochs=4, batch=4, crop=48, optimizer=Optimizer("adam", 0.01))
for name in ("a", "b"):
    folder = Path(sys.argv[1]) / name
    folder.mkdir()
    for epoch in train(recipe, examples, examples, folder):
        print(name, epoch.number, f"{epoch.loss:.6f}", f"{epoch.mean_iou:.6f}")
"""


@pytest.mark.mxnet
def test_training_learns_repeats_itself_and_writes_what_sagemaker_reads(tmp_path: Path) -> None:
    """The loss falls, the same seed gives the same scores, and log and files have the format of AWS's algorithm."""
    completed = subprocess.run(
        [sys.executable, "-c", TRAIN_TWICE, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    rows = [line.split() for line in completed.stdout.splitlines() if line[:2] in {"a ", "b "}]
    assert [row[1:] for row in rows[:4]] == [row[1:] for row in rows[4:]]
    assert float(rows[3][2]) < float(rows[0][2])
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"model_algo-1", "model_best.params"}
    assert (
        f"#quality_metric: host=algo-1, epoch=0, train cross_entropy <loss>={rows[0][2]}" in completed.stdout
    )
    assert f"#quality_metric: host=algo-1, epoch=3, validation mIOU <score>={rows[3][3]}" in completed.stdout
