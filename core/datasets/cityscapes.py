"""The classes of Cityscapes: the ids of its two kinds of masks.

labelIds has all 34 labels, with 0 for unlabeled. trainIds has the 19 that are evaluated, and 255 for all others.

Source: Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding" (2016), and the label
definitions on cityscapes-dataset.com.
"""

from __future__ import annotations

from core.imaging.classes import Classes, Color

LABELS: tuple[tuple[str, int, Color], ...] = (
    ("unlabeled", 255, (0, 0, 0)),
    ("ego vehicle", 255, (0, 0, 0)),
    ("rectification border", 255, (0, 0, 0)),
    ("out of roi", 255, (0, 0, 0)),
    ("static", 255, (0, 0, 0)),
    ("dynamic", 255, (111, 74, 0)),
    ("ground", 255, (81, 0, 81)),
    ("road", 0, (128, 64, 128)),
    ("sidewalk", 1, (244, 35, 232)),
    ("parking", 255, (250, 170, 160)),
    ("rail track", 255, (230, 150, 140)),
    ("building", 2, (70, 70, 70)),
    ("wall", 3, (102, 102, 156)),
    ("fence", 4, (190, 153, 153)),
    ("guard rail", 255, (180, 165, 180)),
    ("bridge", 255, (150, 100, 100)),
    ("tunnel", 255, (150, 120, 90)),
    ("pole", 5, (153, 153, 153)),
    ("polegroup", 255, (153, 153, 153)),
    ("traffic light", 6, (250, 170, 30)),
    ("traffic sign", 7, (220, 220, 0)),
    ("vegetation", 8, (107, 142, 35)),
    ("terrain", 9, (152, 251, 152)),
    ("sky", 10, (70, 130, 180)),
    ("person", 11, (220, 20, 60)),
    ("rider", 12, (255, 0, 0)),
    ("car", 13, (0, 0, 142)),
    ("truck", 14, (0, 0, 70)),
    ("bus", 15, (0, 60, 100)),
    ("caravan", 255, (0, 0, 90)),
    ("trailer", 255, (0, 0, 110)),
    ("train", 16, (0, 80, 100)),
    ("motorcycle", 17, (0, 0, 230)),
    ("bicycle", 18, (119, 11, 32)),
)
"""Name, train id and color; the position is the label id."""

LABEL_IDS, TRAIN_IDS = "labelIds", "trainIds"
ENDINGS = {LABEL_IDS: "_labelIds", TRAIN_IDS: "_labelTrainIds"}
"""Kind of mask -> the end of its file name, without suffix."""


def cityscapes_classes(kind: str) -> Classes:
    """Return the classes of the masks of this kind."""
    rows = LABELS if kind == LABEL_IDS else tuple(row for row in LABELS if row[1] != 255)
    return Classes(tuple(name for name, _, _ in rows), tuple(color for _, _, color in rows))
