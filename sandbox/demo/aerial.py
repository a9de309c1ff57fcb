"""The demo "aerial land cover": scenes drawn by rule, six classes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from sandbox.demo.demo import Demo, Example, Shown, TrainingSchedule, through_jpeg
from sandbox.demo.scenes import CLASSES, scene

TRAINING_SEEDS = range(480)
VALIDATION_SEEDS = range(900_000, 900_096)
COLORS = ("#9acb6a", "#e6bf57", "#1f6b3a", "#3b82d6", "#8a8791", "#d9533f")
SHOWN = (
    # name, kind, water, seed, title, note
    ("town", "town", "none", 111, "Town", "Grey roofs beside grey streets: the hard pair."),
    ("autumn_village", "village", "river", 102, "Village in autumn", "Turned leaves are rare in training."),
    ("fields", "rural", "none", 113, "Fields", "Crops and meadows can be equally green."),
    ("lake_village", "village", "lake", 115, "Village among lakes", "All six classes in one picture."),
    ("river", "rural", "river", 116, "River", "A few broad shapes, and roads a few pixels wide."),
)


@cache
def drawn(seeds: range) -> Sequence[Example]:
    """The scenes of these seeds, 256 x 256."""
    pairs = (scene(seed) for seed in seeds)
    return [(through_jpeg(picture), labels) for picture, labels in pairs]


def shown() -> list[Shown]:
    """The pictures that ship, 800 x 600, at the scale that training has seen."""
    return [
        Shown(name, title, note, *scene(seed, 600, 800, kind, water))
        for name, kind, water, seed, title, note in SHOWN
    ]


AERIAL = Demo(
    name="aerial",
    title="Aerial land cover",
    classes=tuple(zip(CLASSES, COLORS, strict=True)),
    schedule=TrainingSchedule(epochs=14, batch=8, crop=160, learning_rate=0.004),
    training=lambda: drawn(TRAINING_SEEDS),
    validation=lambda: drawn(VALIDATION_SEEDS),
    shown=shown,
    about="Finds grass, cropland, forest, water, road and building in pictures from above, about a metre to a pixel.",
    data=(
        f"{len(TRAINING_SEEDS)} scenes of 256 x 256 pixels to train on and {len(VALIDATION_SEEDS)} others to "
        "measure with, drawn by `sandbox/demo/scenes.py` from seeds: fields with furrows, trees, lakes, rivers, "
        "roads with cars, houses with gables, the shadows of what stands up, haze, lens and noise. The class of "
        "each pixel is known exactly because the same rule drew it."
    ),
    limits=(
        "It has never seen a photograph. The figures say how well it learned these drawings, not how well it would "
        "do on real aerial pictures: there it will fail. It shows what the tools around a model look like, on a "
        "model small enough to train while you wait. At another scale than a metre to a pixel it gets worse: large "
        "roofs come out hollow."
    ),
    licence="Pictures and weights were made by this project and are under its licence, Apache-2.0.",
)
