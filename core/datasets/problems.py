"""The problems that a dataset can have: one table, with severity and fix of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.training.hyperparameters import Severity


@dataclass(frozen=True, slots=True)
class DataProblem:
    """A problem of a dataset.

    code:     a key of `RULES`.
    path:     the file it is about, below the dataset's folder; for the whole dataset, the file or folder to check.
    message:  what is wrong.
    todo:     what to do about it.
    severity: "error" (training would fail, or learn from wrong data), "warning" (check it), "note".
    fixable:  whether a fixed copy corrects it.
    """

    code: str
    path: str
    message: str
    todo: str
    severity: Severity
    fixable: bool

    @property
    def is_error(self) -> bool:
        """Return whether the dataset cannot be trained on because of it."""
        return self.severity == "error"

    def __str__(self) -> str:
        return f"{self.path}: {self.message} {self.todo}"


@dataclass(frozen=True, slots=True)
class ProblemRule:
    """One row of the table; see `DataProblem`."""

    severity: Severity
    todo: str
    fixable: bool = False


CONVERT = "A fixed copy corrects this."
COPY_AGAIN = "Copy the file again from its source, or remove the pair."

RULES: dict[str, ProblemRule] = {
    "photo_missing": ProblemRule("error", "Add the image, or remove the mask and its line in the list."),
    "mask_missing": ProblemRule("error", "Add the mask with the image's name, or remove the image."),
    "photo_unreadable": ProblemRule("error", COPY_AGAIN),
    "photo_truncated": ProblemRule("error", COPY_AGAIN),
    "mask_unreadable": ProblemRule("error", COPY_AGAIN),
    "mask_truncated": ProblemRule("error", COPY_AGAIN),
    "photo_not_jpeg": ProblemRule("error", f"The algorithm reads only JPEG images. {CONVERT}", fixable=True),
    "photo_not_rgb": ProblemRule("warning", f"Programs decode such colors differently. {CONVERT}", fixable=True),
    "photo_turned": ProblemRule("warning", f"The algorithm ignores EXIF orientation. {CONVERT}", fixable=True),
    "mask_lying": ProblemRule("error", f"Mask and upright image do not match. {CONVERT}", fixable=True),
    "sizes_differ": ProblemRule("error", "Export the mask again at the image's size, or remove the pair."),
    "mask_not_png": ProblemRule("error", f"The algorithm reads only PNG masks. {CONVERT}", fixable=True),
    "mask_lossy": ProblemRule(
        "error", "JPEG and WebP are lossy and change class ids. Export the mask again as PNG."
    ),
    "mask_rgb": ProblemRule("error", f"The algorithm needs class ids, not colors. {CONVERT}", fixable=True),
    "mask_index": ProblemRule("error", f"The algorithm uses palette indices as class ids. {CONVERT}", fixable=True),
    "color_unknown": ProblemRule(
        "error", "Add each color to labelmap.txt as NAME:RED,GREEN,BLUE, one per line; void is for pixels to ignore."
    ),
    "mask_16bit": ProblemRule("error", f"The algorithm reads masks with 8 bits per pixel. {CONVERT}", fixable=True),
    "mask_nodata": ProblemRule("error", "A fixed copy changes these values to 255, which is ignored.", fixable=True),
    "mask_low_depth": ProblemRule("error", f"Programs scale its gray values to 0-255. {CONVERT}", fixable=True),
    "class_out_of_range": ProblemRule(
        "error", "Add the missing class names, or correct the mask; 255 is for pixels to ignore."
    ),
    "class_stray": ProblemRule(
        "warning",
        "If the value marks pixels to ignore, change it to 255. If it is a class, add a classes.txt that names all "
        "classes.",
    ),
    "name_odd": ProblemRule("warning", f"S3 keys with such characters often cause problems. {CONVERT}", fixable=True),
    "name_twice": ProblemRule(
        "error", f"Images and masks are paired only by name. {CONVERT}", fixable=True
    ),
    "photo_twice": ProblemRule("warning", "It counts twice in training. Remove one of them."),
    "photo_in_both": ProblemRule("warning", "The validation score would be too high. Remove it from one split."),
    "class_empty": ProblemRule("warning", "Remove the class, or add images that show it."),
    "class_not_in_train": ProblemRule("warning", "The model cannot learn it. Move images that show it to training."),
    "class_not_in_validation": ProblemRule(
        "warning", "It has no validation score. Move images that show it to validation."
    ),
    "only_zero_and_255": ProblemRule(
        "error", "255 means ignore, so there is nothing to learn. If 255 marks an object, change it to 1."
    ),
    "label_map_unreadable": ProblemRule(
        "error", 'Write it as {"map": {"LABEL": PIXEL VALUE, ...}} or {"scale": 1}, or remove it.'
    ),
    "label_map_backwards": ProblemRule("error", "Swap them: the key is the new label, the value is the pixel value."),
    "label_map_incomplete": ProblemRule("error", "Add a label for each pixel value, or remove the label map."),
    "scale_with_255": ProblemRule(
        "error", f"AWS does not document how a scale affects 255. {CONVERT}", fixable=True
    ),
    "split_empty": ProblemRule("error", "Add images and masks for both training and validation."),
    "list_missing": ProblemRule(
        "warning", "Add the missing list, or change the validation split and split seed."
    ),
    "link_left_out": ProblemRule("warning", "Links to folders can form a loop. Replace the link with the folder."),
    "file_left_out": ProblemRule("note", "If one of them belongs to the dataset, save it in a supported format."),
    "annotation_unreadable": ProblemRule("warning", f"It is left out. {COPY_AGAIN}"),
    "annotation_size": ProblemRule(
        "warning", "Use the images that were annotated, in their size, or export the annotations again."
    ),
    "annotation_image": ProblemRule("warning", "It is left out. Put the image into the folder, under that name."),
    "annotation_unused_image": ProblemRule(
        "warning", "It is left out. Annotate it, or remove it; an image without objects needs an empty annotation."
    ),
    "shape_left_out": ProblemRule("warning", "Only areas become pixels. Draw them as polygons if needed."),
    "shape_empty": ProblemRule("warning", "Check whether the annotations belong to this image and its size."),
    "shape_outside": ProblemRule("warning", "Check whether the annotations belong to this image and its size."),
    "shape_overlap": ProblemRule("note", "Check that the right shape is on top."),
    "annotation_note": ProblemRule("note", "Check that this is right."),
    "annotations_unused": ProblemRule("note", "To use them instead of the masks, choose them with --annotations."),
    "split_left_out": ProblemRule("note", "Training and validation do not need them. Use them to evaluate a model."),
    "layout_note": ProblemRule("note", "Check that this is right."),
    "names_note": ProblemRule("note", "Check that this is right."),
    "not_listed": ProblemRule("note", "Add their names to a list to use them."),
    "classes_unnamed": ProblemRule("note", "Put a classes.txt next to the folders: one name per line, in id order."),
    "channel": ProblemRule("error", "Correct the objects in S3 below this URI."),
    "channel_unknown": ProblemRule("error", "Check the URI and your permission to list it."),
}  # fmt: skip
"""Rules by code, in the order in which to fix the problems."""


def problem(
    code: str,
    path: str,
    message: str,
    *,
    todo: str = "",
    severity: Severity | None = None,
    fixable: bool | None = None,
) -> DataProblem:
    """Return a problem with the defaults of its rule, replaced by the arguments that are given."""
    rule = RULES[code]
    return DataProblem(
        code,
        path,
        message,
        todo or rule.todo,
        severity or rule.severity,
        rule.fixable if fixable is None else fixable,
    )


def ordered(problems: Sequence[DataProblem]) -> tuple[DataProblem, ...]:
    """Return the problems sorted: errors first, then in the order of `RULES`, then by path."""
    severities, codes = ("error", "warning", "note"), list(RULES)
    return tuple(
        sorted(
            problems, key=lambda each: (severities.index(each.severity), codes.index(each.code), each.path)
        )
    )


def count_by_code(problems: Sequence[DataProblem]) -> dict[str, int]:
    """Return the number of problems of each code, in the given order."""
    counts: dict[str, int] = {}
    for each in problems:
        counts[each.code] = counts.get(each.code, 0) + 1
    return counts
