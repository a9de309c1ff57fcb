"""`python -m sandbox.demo.make [aerial] [coastlines]`: build the demos from scratch, as they ship.

Draws or reads the data, trains, evaluates, and writes the folder of each demo: the archive, class names, example
images, scores and the model card. `make demo-models` runs it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from sandbox.algorithm.archive import (
    BEST,
    LAST,
    Architecture,
    pack,
    unpack,
    write_hyperparameters,
)
from sandbox.algorithm.augment import random_orientation
from sandbox.algorithm.mxnet_import import TRAIN_THREADS, load_mxnet
from sandbox.algorithm.predict import Predictor
from sandbox.algorithm.schedule import LearningRateSchedule, Optimizer
from sandbox.algorithm.train import Recipe, train
from sandbox.demo.aerial import AERIAL
from sandbox.demo.card import write_card
from sandbox.demo.coastlines import COASTLINES
from sandbox.demo.demo import Demo, Example, jpeg, read_example
from sandbox.demo.scores import measure

DEMOS = {demo.name: demo for demo in (AERIAL, COASTLINES)}
KEPT_BITS = 12
"""Significant bits of the shipped weights; the archive is half as large, and the scores are those of the rounded
weights."""
WARM_UP = 30
WEIGHT_DECAY = 0.0001


def make(demo: Demo) -> None:
    """Build one demo, from data to card."""
    demo.folder.mkdir(exist_ok=True)
    write_classes(demo)
    names = write_examples(demo)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = fit(demo, names, folder)
        for file in (BEST, LAST):
            round_weights(folder / file)
        pack(folder, demo.folder / "model.tar.gz")
    with tempfile.TemporaryDirectory() as name:
        unpack(demo.folder / "model.tar.gz", Path(name))
        scores = measure(Predictor.from_folder(Path(name)), demo, names, seconds)
    (demo.folder / "scores.json").write_text(scores.to_json() + "\n", encoding="utf-8")
    (demo.folder / "README.md").write_text(write_card(demo, scores), encoding="utf-8")
    print(write_card(demo, scores))


def fit(demo: Demo, names: list[str], folder: Path) -> int:
    """Train, and write the model into `folder` as SageMaker would; return the CPU seconds without the data."""
    plan = demo.schedule
    recipe = Recipe(
        Architecture("light", "light", len(demo.classes)),
        epochs=plan.epochs, batch=plan.batch, crop=plan.crop,
        optimizer=Optimizer("adam", plan.learning_rate, WEIGHT_DECAY),
        schedule=LearningRateSchedule("poly", warm_up=WARM_UP), orientation=random_orientation,
    )  # fmt: skip
    training = demo.training()
    validation: list[Example] = list(demo.validation()) or [read_example(demo.folder, name) for name in names]
    print(f"{demo.title}: {len(training)} training images, {len(validation)} validation images", flush=True)
    started = time.process_time()
    for epoch in train(recipe, training, validation, folder):
        print(f"epoch {epoch.number}: mean IoU {epoch.mean_iou:.4f}", flush=True)
    write_hyperparameters(folder, hyperparameters(demo, len(training)))
    return round(time.process_time() - started)


def hyperparameters(demo: Demo, training_samples: int) -> dict[str, str]:
    """Return the settings under the algorithm's names."""
    plan = demo.schedule
    return {
        "algorithm": "light",
        "backbone": "light",
        "num_classes": str(len(demo.classes)),
        "num_training_samples": str(training_samples),
        "crop_size": str(plan.crop),
        "epochs": str(plan.epochs),
        "mini_batch_size": str(plan.batch),
        "optimizer": "adam",
        "learning_rate": str(plan.learning_rate),
        "lr_scheduler": "poly",
        "use_pretrained_model": "False",
    }


def write_classes(demo: Demo) -> None:
    """Write `classes.json`."""
    rows = [{"name": name, "color": color} for name, color in demo.classes]
    text = json.dumps({"classes": rows}, indent=1)
    (demo.folder / "classes.json").write_text(text + "\n", encoding="utf-8")


def write_examples(demo: Demo) -> list[str]:
    """Write the example images, their ground truth and `examples.json`; return their names."""
    folder = demo.folder / "examples"
    folder.mkdir(exist_ok=True)
    rows = []
    for item in demo.shown():
        (folder / f"{item.name}.jpg").write_bytes(jpeg(item.image))
        mask = Image.fromarray(item.labels)
        mask.putpalette(palette(demo))
        mask.save(folder / f"{item.name}_truth.png", optimize=True)
        rows.append({"file": f"{item.name}.jpg", "title": item.title, "note": item.note})
    (folder / "examples.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return [row["file"].removesuffix(".jpg") for row in rows]


def palette(demo: Demo) -> bytes:
    """Return 256 colors: the classes', then black; 255, ignored, is off-white as in Pascal VOC's masks."""
    colors = np.zeros((256, 3), np.uint8)
    for number, (_, color) in enumerate(demo.classes):
        colors[number] = tuple(bytes.fromhex(color[1:]))
    colors[255] = (224, 224, 192)
    return colors.tobytes()


def round_weights(path: Path) -> None:
    """Round the parameters in a file to KEPT_BITS significant bits (float32 has 24), to the nearest."""
    mx = load_mxnet()
    arrays = mx.nd.load(str(path))
    dropped = np.uint32(24 - KEPT_BITS)
    for name, array in arrays.items():
        bits = array.asnumpy().view(np.uint32) + (np.uint32(1) << (dropped - np.uint32(1)))
        arrays[name] = mx.nd.array(((bits >> dropped) << dropped).view(np.float32))
    mx.nd.save(str(path), arrays)


def main(arguments: list[str] | None = None) -> None:
    """Build the given demos, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo.make", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="|".join(DEMOS), help="which demos (default: all)")
    names = parser.parse_args(arguments).names
    unknown = set(names) - set(DEMOS)
    if unknown:
        parser.error(f"unknown demo: {', '.join(sorted(unknown))}")
    load_mxnet(TRAIN_THREADS)
    for name in names or DEMOS:
        make(DEMOS[name])


if __name__ == "__main__":
    main()
