"""What the Runs page says about a run, as plain text: escape it for where it is shown."""

from __future__ import annotations

from core.runs.run import Kind, Run
from core.text import listing, plural

KINDS: dict[Kind, str] = {"segmentation": "Segmentation", "map": "Map", "evaluation": "Evaluation"}

FEW = 1
"""Images of a segmentation that its name has."""


def name(run: Run) -> str:
    """Return a run's name: the dataset of an evaluation, the image of a map, or the first images."""
    if run.kind == "map":
        return run.title
    if run.kind == "evaluation":
        return run.title or "Labeled images"
    return listing([image.name for image in run.images], FEW) or "No images"


def endpoints(run: Run) -> str:
    """Return the endpoint, or the two that were compared."""
    return " vs. ".join(endpoint.name for endpoint in run.endpoints)


def images(run: Run) -> str:
    """Return the number of images, and how many of them failed or are not done yet."""
    parts = [plural(run.total, "image")]
    if run.failures:
        parts.append(f"{run.failures:,} failed")
    pending = run.total - run.done - run.failures
    if pending:
        parts.append(f"{pending:,} pending")
    return ", ".join(parts)


def options(run: Run) -> str:
    """Return the output and the input size."""
    if run.kind == "map":
        return f"{'probabilities' if run.want == 'probabilities' else 'mask only'}, tiles"
    size = "original size" if run.fit is None else f"input fit {run.fit[0]} × {run.fit[1]}"
    return f"{'probabilities' if run.want == 'probabilities' else 'mask only'}, {size}"


def user(run: Run) -> str:
    """Return who started a run, without the account of an ARN: `user/ann`; empty if unknown."""
    return run.user.rpartition(":")[2]
