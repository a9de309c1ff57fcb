"""Measure the result files of many images as one ZIP: `python -m bench.export [COUNT]`.

24 images of 800 x 600 pixels with 11 classes, as they come from the Segment page, without probabilities. Reported are
the seconds for the whole ZIP and the processor time of each kind of file. Two threads make them, as on the page.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.imaging.classes import Classes
from core.imaging.image import encode, open_image
from core.imaging.segmentation import Segmentation
from core.inference import export
from core.inference.invoke import EndpointResponse, Inference

CLASSES = Classes.numbered(11)
KINDS: tuple[export.Kind, ...] = ("mask", "overlay", "json", "areas", "figure")
GOAL = 5.0
"""Seconds for 24 images."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("count", type=int, nargs="?", default=24)
    count = parser.parse_args().count
    results = [example(number) for number in range(count)]
    spent: dict[str, float] = defaultdict(float)
    started = time.perf_counter()

    def files(number: int) -> tuple[export.File, ...]:
        data, inference = results[number]
        begun = time.thread_time()
        result = export.result(open_image(data, "image.jpg"), inference, stem=f"image-{number}")
        spent["open"] += time.thread_time() - begun
        made = []
        for kind in KINDS:
            begun = time.thread_time()
            made.append(export.file(result, kind))
            spent[kind] += time.thread_time() - begun
        return tuple(made)

    size = len(export.zip_files(export.made_ahead([partial(files, number) for number in range(count)])))
    seconds = time.perf_counter() - started
    print(f"ZIP of {count} images: {seconds:.2f} s (goal for 24: {GOAL:.0f} s), {size / 1e6:.0f} MB")
    print("processor seconds: " + ", ".join(f"{kind} {value:.2f}" for kind, value in spent.items()))


def example(seed: int) -> tuple[bytes, Inference]:
    """Return an image as JPEG and its inference: smooth shapes with some noise, as real images and masks have."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (15, 20, 3), np.uint8))
    pixels = np.asarray(coarse.resize((800, 600), Image.Resampling.BICUBIC))
    noisy = np.clip(pixels + random.normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, "JPEG", quality=92)
    image = encode(open_image(buffer.getvalue(), "image.jpg"))
    labels = np.ascontiguousarray(pixels[: image.height, : image.width, 0] // 24)
    confidence = random.uniform(0.3, 1, labels.shape).astype(np.float32)
    answer = EndpointResponse(b"", "application/x-protobuf", 0.1)
    segmentation = Segmentation(labels, confidence, None, CLASSES)
    return buffer.getvalue(), Inference(segmentation, answer, image, "street", "", 0.1, 0.01)


if __name__ == "__main__":
    main()
