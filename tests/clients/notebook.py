"""Usage: notebook.py NOTEBOOK EXAMPLES FOLDER. Run the code cells of AWS's semantic segmentation notebook unmodified.

Only the notebook's surroundings are provided, in FOLDER: the files that its shell commands would download (a small
dataset in the layout of Pascal VOC, and a test image), and the metadata of a notebook instance with its role. Shell
commands and magics are not run. EXAMPLES: a folder with images and their masks, NAME_truth.png.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
import sagemaker.session
from PIL import Image
from small_data import ROLE

mpl.use("Agg")
np.bool = bool  # removed in numpy 1.24, which MXNet 1.9.1 does not know
MAGICS = ("!", "%")


def prepare(examples: Path, folder: Path) -> None:
    """Write what the notebook downloads, and the metadata of its instance."""
    voc = folder / "pascal-voc/VOC2012"
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (voc / name).mkdir(parents=True)
    (folder / "data").mkdir()
    images = sorted(examples.glob("*.jpg"))
    for image in images:
        with Image.open(image) as original, Image.open(image.with_name(f"{image.stem}_truth.png")) as mask:
            size = (original.width // 4, original.height // 4)
            original.resize(size).save(voc / f"JPEGImages/{image.name}")
            mask.resize(size, Image.NEAREST).save(voc / f"SegmentationClass/{image.stem}.png")
    lists = voc / "ImageSets/Segmentation"
    (lists / "val.txt").write_text(images[0].stem)
    (lists / "train.txt").write_text("\n".join(image.stem for image in images[1:]))
    shutil.copyfile(images[0], folder / "data/test.jpg")
    metadata = folder / "resource-metadata.json"
    metadata.write_text(json.dumps({"ResourceName": "notebook", "ExecutionRoleArn": ROLE}))
    sagemaker.session.NOTEBOOK_METADATA_FILE = str(metadata)


def python_of(source: str) -> tuple[str, list[str]]:
    """Return a cell's Python, its shell commands and magics replaced by empty lines, and those."""
    lines = source.splitlines()
    others = [line.strip() for line in lines if line.lstrip().startswith(MAGICS)]
    return "\n".join("" if line.lstrip().startswith(MAGICS) else line for line in lines), others


def main() -> None:
    """Run the notebook."""
    notebook, examples, folder = map(Path, sys.argv[1:])
    cells = json.loads(notebook.read_text())["cells"]
    folder.mkdir()
    prepare(examples, folder)
    os.chdir(folder)
    names: dict[str, object] = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        if cell["cell_type"] != "code":
            continue
        source, others = python_of("".join(cell["source"]))
        for line in others:
            print(f"[{number}] not run: {line}")
        began = time.monotonic()
        exec(compile(source, f"cell {number}", "exec"), names)
        print(f"[{number}] {time.monotonic() - began:.1f} s")
    labels, probabilities = names["cls_mask"], names["prob_mask"]
    if not np.array_equal(labels, np.argmax(probabilities, axis=0)):
        sys.exit("The notebook's mask is not the argmax of its probabilities.")
    print("The notebook ran to its end:", labels.shape, probabilities.shape)


if __name__ == "__main__":
    main()
