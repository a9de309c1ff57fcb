"""The model card: `README.md` of a demo, written from what was measured."""

from __future__ import annotations

import textwrap

from sandbox.algorithm.scores import iou, mean_iou, pixel_accuracy
from sandbox.demo.demo import Demo
from sandbox.demo.figures import Counts, DemoScores

TEMPLATE = """# {title}

{about}

Written by `python -m sandbox.demo.make {name}`; `python -m sandbox.demo.check {name}` measures
again with the weights as they are here.

## Measured

On {pictures} pictures that training never saw:

{table}

Mean IoU **{mean:.3f}**, pixel accuracy **{accuracy:.3f}**. The pictures in `examples/`, one by one:

{shown}

A class that a picture does not have counts as 0 there as soon as one pixel is taken for it.

## Data

{data}

## Recipe

The light network (662,614 parameters with six classes; see `sandbox/algorithm/light.py`), from random weights:
{epochs} epochs of Adam, learning rate {rate} falling as a polynomial, batches of {batch} random crops with {crop}
pixels a side in random orientations, normalised as ImageNet. The epoch with the best mean IoU on the pictures above
is `model_best.params`, the last one `model_algo-1`, as in AWS's archive. Weights are rounded to 12 significant bits,
which makes the archive smaller; the figures are those of the rounded weights. Training took {seconds} seconds on
one core of a busy machine; drawing or reading the data is not in it.

## What it is not

{limits}

## Licence

{licence}
"""


def write_card(demo: Demo, figures: DemoScores) -> str:
    """The text of the card."""
    return TEMPLATE.format(
        title=demo.title,
        name=demo.name,
        about=_wrapped(demo.about),
        data=_wrapped(demo.data),
        limits=_wrapped(demo.limits),
        licence=_wrapped(demo.licence),
        pictures=figures.pictures,
        table=class_table(demo, figures.validation),
        mean=mean_iou(figures.validation),
        accuracy=pixel_accuracy(figures.validation),
        shown=shown_table(figures),
        epochs=demo.schedule.epochs,
        rate=demo.schedule.learning_rate,
        batch=demo.schedule.batch,
        crop=demo.schedule.crop,
        seconds=figures.seconds,
    )


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False)


def class_table(demo: Demo, counts: Counts) -> str:
    """IoU and share of each class, as a Markdown table."""
    shares = counts.sum(axis=1) / max(1, counts.sum())
    rows = [
        f"| {name} | {value:.3f} | {share:.1%} |"
        for name, value, share in zip(demo.class_names, iou(counts), shares, strict=True)
    ]
    return "\n".join(["| class | IoU | share of pixels |", "|---|---|---|", *rows])


def shown_table(figures: DemoScores) -> str:
    """Mean IoU and accuracy of each shipped picture, as a Markdown table."""
    rows = [
        f"| {name} | {mean_iou(counts):.3f} | {pixel_accuracy(counts):.3f} |"
        for name, counts in figures.shown.items()
    ]
    return "\n".join(["| picture | mean IoU | pixel accuracy |", "|---|---|---|", *rows])
