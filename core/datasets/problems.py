"""What can be wrong with a data set: one table, with what to do about each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.training.hyperparameters import Severity


@dataclass(frozen=True, slots=True)
class DataProblem:
    """Something wrong with a data set.

    code:     a key of `RULES`.
    path:     the file it is about, below the set's folder; for the whole set, the file or folder to look into.
    message:  what was found there.
    todo:     what to do about it.
    severity: "error" (the job would fail, or learn something wrong), "warning" (look at it), "note".
    fixable:  whether a converted copy is free of it.
    """

    code: str
    path: str
    message: str
    todo: str
    severity: Severity
    fixable: bool

    @property
    def is_error(self) -> bool:
        """Whether the set cannot be trained on as it is."""
        return self.severity == "error"

    def __str__(self) -> str:
        return f"{self.path}: {self.message} {self.todo}"


@dataclass(frozen=True, slots=True)
class ProblemRule:
    """One line of the table; see DataProblem."""

    severity: Severity
    todo: str
    fixable: bool = False


CONVERT = "A converted copy has it right."
COPY_AGAIN = "Copy the file again from where it came, or take the pair out."

RULES: dict[str, ProblemRule] = {
    "photo_missing": ProblemRule("error", "Add the photograph, or take the mask and its line in a list out."),
    "mask_missing": ProblemRule("error", "Add the mask under the photograph's name, or take the photograph out."),
    "photo_unreadable": ProblemRule("error", COPY_AGAIN),
    "photo_truncated": ProblemRule("error", COPY_AGAIN),
    "mask_unreadable": ProblemRule("error", COPY_AGAIN),
    "mask_truncated": ProblemRule("error", COPY_AGAIN),
    "photo_not_jpeg": ProblemRule("error", f"The algorithm takes JPEG alone. {CONVERT}", fixable=True),
    "photo_not_rgb": ProblemRule("warning", f"Readers disagree about such colours. {CONVERT}", fixable=True),
    "photo_turned": ProblemRule("warning", f"A model sees it as it is stored. {CONVERT}", fixable=True),
    "mask_lying": ProblemRule("error", f"Shown upright, the two would not meet. {CONVERT}", fixable=True),
    "sizes_differ": ProblemRule("error", "Export the mask again at the photograph's size, or take the pair out."),
    "mask_not_png": ProblemRule("error", f"The algorithm takes PNG masks alone. {CONVERT}", fixable=True),
    "mask_lossy": ProblemRule(
        "error", "JPEG and WebP blur class ids. Export the mask again from its source as PNG."
    ),
    "mask_rgb": ProblemRule("error", f"A mask holds class ids, not colours. {CONVERT}", fixable=True),
    "mask_index": ProblemRule("error", f"A job takes the indices for class ids. {CONVERT}", fixable=True),
    "color_unknown": ProblemRule(
        "error", "Name the colour in labelmap.txt, a line each: NAME:RED,GREEN,BLUE; void is for pixels to ignore."
    ),
    "mask_16bit": ProblemRule("error", f"The algorithm takes 8 bits a pixel. {CONVERT}", fixable=True),
    "mask_low_depth": ProblemRule("error", f"Readers spread its few greys over 0 to 255. {CONVERT}", fixable=True),
    "class_out_of_range": ProblemRule(
        "error", "Add the missing names to the list of classes, or correct the mask; 255 is for pixels to ignore."
    ),
    "name_odd": ProblemRule("warning", f"Such keys are a known source of trouble in S3. {CONVERT}", fixable=True),
    "name_twice": ProblemRule(
        "error", f"Photographs and masks pair up by their name alone. {CONVERT}", fixable=True
    ),
    "photo_twice": ProblemRule("warning", "It counts twice in training. Take one of them out."),
    "photo_in_both": ProblemRule("warning", "The score would flatter the model. Take it out of one of the two."),
    "class_empty": ProblemRule("warning", "Take the class out of the list, or add photographs that show it."),
    "class_not_in_train": ProblemRule("warning", "The model cannot learn it. Move images that show it to train."),
    "class_not_in_validation": ProblemRule(
        "warning", "Its score stays unknown. Move photographs that show it to validation."
    ),
    "only_zero_and_255": ProblemRule(
        "error", "255 means ignore, so there is nothing to learn. Where 255 means an object, write it as 1."
    ),
    "label_map_unreadable": ProblemRule(
        "error", 'Write it as {"map": {"LABEL": PIXEL VALUE, ...}} or {"scale": 1}, or take it away.'
    ),
    "label_map_backwards": ProblemRule("error", "The key is the new label, the value the pixel value in the mask."),
    "label_map_incomplete": ProblemRule("error", "Name a label for each pixel value, or take the label map away."),
    "scale_with_255": ProblemRule(
        "error", f"What becomes of 255 under a scale is not documented. {CONVERT}", fixable=True
    ),
    "split_empty": ProblemRule("error", "Give photographs and masks for training and for validation."),
    "list_missing": ProblemRule(
        "warning", "Add the list if there is one. Another share of validation or seed divides otherwise."
    ),
    "link_left_out": ProblemRule("warning", "Links to folders may lead in a circle. Put the folder itself there."),
    "not_listed": ProblemRule("note", "Add their names to a list if they should take part."),
    "classes_unnamed": ProblemRule("note", "Put a classes.txt next to the folders: one name per line, in id order."),
    "channel": ProblemRule("error", "Correct what stands in S3 below this address."),
    "channel_unknown": ProblemRule("error", "Check the URI, and that you may list it; the reason is shown with it."),
}  # fmt: skip
"""By code, in the order in which one would mend them."""


def problem(
    code: str,
    path: str,
    message: str,
    *,
    todo: str = "",
    severity: Severity | None = None,
    fixable: bool | None = None,
) -> DataProblem:
    """A problem by its rule; what is given counts instead of the rule's own."""
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
    """Errors first, then in the order of `RULES`, then by path."""
    severities, codes = ("error", "warning", "note"), list(RULES)
    return tuple(
        sorted(
            problems, key=lambda each: (severities.index(each.severity), codes.index(each.code), each.path)
        )
    )


def count_by_code(problems: Sequence[DataProblem]) -> dict[str, int]:
    """How many there are of each code, in the order given."""
    counts: dict[str, int] = {}
    for each in problems:
        counts[each.code] = counts.get(each.code, 0) + 1
    return counts
