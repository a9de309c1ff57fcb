"""`python -m sandbox.demo.dataset FOLDER`: draw the training data of the demo "aerial land cover".

FOLDER then has `train` and `validation` with JPEG images, and `train_annotation` and `validation_annotation` with
palette PNG masks of the same names, as SageMaker's algorithm expects them; and `classes.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sandbox.demo.aerial import COLORS, TRAINING_SEEDS, VALIDATION_SEEDS
from sandbox.demo.demo import jpeg
from sandbox.demo.scenes import CLASSES, scene

TRAINING = 360
VALIDATION = 72
"""Number of images: with these, 14 epochs of the light network come within a few hundredths of its shipped model;
more would take longer to draw in the background."""


def write(folder: Path, training: int = TRAINING, validation: int = VALIDATION) -> None:
    """Draw the dataset into a folder; files of an interrupted run are kept."""
    sets = {"validation": VALIDATION_SEEDS[:validation], "train": TRAINING_SEEDS[:training]}
    for name, seeds in sets.items():
        for part in (name, f"{name}_annotation"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds):
            _write_pair(folder / name / f"{number:04d}.jpg", folder / f"{name}_annotation", seed)
    rows = [{"name": name, "color": color} for name, color in zip(CLASSES, COLORS, strict=True)]
    (folder / "classes.json").write_text(json.dumps({"classes": rows}, indent=1) + "\n", encoding="utf-8")


def _write_pair(path: Path, masks: Path, seed: int) -> None:
    """Write the image, then its mask atomically: where the mask exists, the image does, too."""
    done = masks / f"{path.stem}.png"
    if done.exists():
        return
    image, labels = scene(seed)
    path.write_bytes(jpeg(image))
    mask(labels).save(done.with_suffix(".new"), "PNG", compress_level=6)
    done.with_suffix(".new").replace(done)


def mask(labels: NDArray[np.uint8]) -> Image.Image:
    """Return labels (H, W) uint8 as a palette image in the classes' colors."""
    image = Image.fromarray(labels)
    image.putpalette([part for color in COLORS for part in bytes.fromhex(color[1:])])
    return image


def _exit_at_end_of(death_pipe: int) -> None:
    """Exit the process immediately when the pipe closes."""
    while os.read(death_pipe, 1):
        pass
    os._exit(0)


def main(arguments: list[str] | None = None) -> None:
    """Draw the dataset; with SANDBOX_DEATH_PIPE_FD, the read end of a pipe, exit when that closes."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo.dataset", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder to write to")
    parser.add_argument(
        "--training", type=int, default=TRAINING, help=f"number of training images (default: {TRAINING})"
    )
    parser.add_argument(
        "--validation",
        type=int,
        default=VALIDATION,
        help=f"number of validation images (default: {VALIDATION})",
    )
    options = parser.parse_args(arguments)
    death_pipe = os.environ.get("SANDBOX_DEATH_PIPE_FD")
    if death_pipe:
        threading.Thread(target=_exit_at_end_of, args=(int(death_pipe),), daemon=True).start()
    os.nice(10)
    write(options.folder, options.training, options.validation)


if __name__ == "__main__":
    main()
