"""Where an interrupted spot job resumed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from core.training.interruptions import interruptions
from core.training.job import TrainingJob, from_description
from core.training.log_lines import LogEvent

T0 = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """Return a time of the job."""
    return T0 + timedelta(seconds=seconds)


def job(*steps: tuple[str, float]) -> TrainingJob:
    """Return a job with these steps and their start, in seconds."""
    return from_description(
        {
            "TrainingJobName": "roads",
            "CreationTime": T0,
            "TrainingJobStatus": "InProgress",
            "SecondaryStatusTransitions": [{"Status": name, "StartTime": at(start)} for name, start in steps],
        }
    )


def epoch(number: int, seconds: float) -> LogEvent:
    """Return the line of a completed epoch."""
    text = f"#quality_metric: host=algo-1, epoch={number}, validation mIOU <score>=0.5"
    return LogEvent(at(seconds), f"[11/22/2026 12:00:00 INFO 1] {text}")


ONCE = (("Starting", 0), ("Training", 10), ("Interrupted", 60), ("Starting", 63), ("Training", 80))


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("Resuming from the checkpoint checkpoint-0001.zip: the next epoch is 2", "checkpoint-0001.zip"),
        (
            "Restored checkpoint: /opt/ml/checkpoints/model-0001.params",
            "/opt/ml/checkpoints/model-0001.params",
        ),
        ("Saved the checkpoint checkpoint-0002.zip", ""),
    ],
)
def test_the_log_names_the_checkpoint_and_the_epoch(line: str, file: str) -> None:
    """The first epoch after the interruption is where it resumed; a line about saving is not one about loading."""
    events = [epoch(0, 20), epoch(1, 40), LogEvent(at(81), f"[x INFO 1] {line}"), epoch(2, 100)]
    (cut,) = interruptions(job(*ONCE), events)
    assert (cut.at, cut.resumed_at, cut.checkpoint, cut.next_epoch) == (at(60), at(80), file, 2)
    source = f" from {file}" if file else ""
    assert str(cut) == f"After 20 s without training, resumed{source} at epoch 2."


def test_repeated_epochs_are_counted() -> None:
    """Epochs completed before the interruption and trained again are lost work."""
    events = [epoch(0, 20), epoch(1, 40), epoch(2, 50), epoch(1, 100), epoch(2, 110)]
    (cut,) = interruptions(job(*ONCE), events)
    assert cut.outcome == "resumed at epoch 1, repeating 2 epochs"


def test_without_a_checkpoint_it_started_over() -> None:
    """Epoch 0 after an interruption means that no checkpoint was loaded."""
    (cut,) = interruptions(job(*ONCE), [epoch(0, 20), epoch(0, 100)])
    assert cut.outcome == "started over at epoch 0: no checkpoint was loaded"


def test_each_interruption_has_its_own_outcome() -> None:
    """The second one resumed later; the third has not resumed yet; without a log, only the times are known."""
    twice = job(*ONCE, ("Interrupted", 120), ("Starting", 121), ("Training", 140), ("Interrupted", 150))
    first, second, third = interruptions(twice, [epoch(0, 20), epoch(1, 100), epoch(2, 145)])
    assert (first.next_epoch, second.next_epoch) == (1, 2)
    assert (third.resumed_at, str(third)) == (None, "Waiting for a new instance.")
    assert [cut.outcome for cut in interruptions(twice, [])] == ["resumed", "resumed", "not resumed yet"]
    assert interruptions(job(("Training", 0)), [epoch(0, 1)]) == ()
