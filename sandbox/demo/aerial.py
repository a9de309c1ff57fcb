"""The demo "aerial land cover": scenes drawn by rules, six classes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from sandbox.demo.demo import Demo, Example, ExampleImage, TrainingSchedule, through_jpeg
from sandbox.demo.scenes import CLASSES, scene

TRAINING_SEEDS = range(480)
VALIDATION_SEEDS = range(900_000, 900_096)
COLORS = ("#9acb6a", "#e6bf57", "#1f6b3a", "#3b82d6", "#8a8791", "#d9533f")
SHOWN = (
    # name, kind, water, seed, title, note
    ("town", "town", "none", 111, "Town", "Gray roofs next to gray streets: hard to tell apart."),
    (
        "autumn_village",
        "village",
        "river",
        102,
        "Village in autumn",
        "Fall colors are rare in the training data.",
    ),
    ("fields", "rural", "none", 113, "Fields", "Crops and meadows can have the same green."),
    ("lake_village", "village", "lake", 115, "Village among lakes", "All six classes in one image."),
    ("river", "rural", "river", 116, "River", "A few broad shapes, and roads a few pixels wide."),
)


@cache
def drawn(seeds: range) -> Sequence[Example]:
    """Return the scenes of these seeds, 256 x 256."""
    pairs = (scene(seed) for seed in seeds)
    return [(through_jpeg(image), labels) for image, labels in pairs]


def shown() -> list[ExampleImage]:
    """Return the example images, 800 x 600, at the scale of the training data."""
    return [
        ExampleImage(name, title, note, *scene(seed, 600, 800, kind, water))
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
    about="Segments grass, cropland, forest, water, road and building in aerial images, at about 1 m per pixel.",
    data=(
        f"{len(TRAINING_SEEDS)} training scenes of 256 x 256 pixels and {len(VALIDATION_SEEDS)} held-out "
        "validation scenes, drawn from seeds by `sandbox/demo/scenes.py`: fields with furrows, trees, lakes, "
        "rivers, roads with cars, houses with gables, shadows, haze, lens blur and noise. The class of each pixel "
        "is exact because the same rule drew it."
    ),
    limits=(
        "The model was trained on synthetic images only. Its scores measure how well it learned these drawings, "
        "not how well it would do on real aerial images: it will fail on those. It demonstrates the tools around "
        "a model, with a model small enough to train while you wait. At a scale other than 1 m per pixel it gets "
        "worse: large roofs are segmented with holes."
    ),
    license="The images and weights were made by this project and are under its license, Apache-2.0.",
)
