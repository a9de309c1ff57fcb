"""Stop a training job before its last epoch, by AWS's `early_stopping_*` hyperparameters.

Source: SageMaker developer guide, "Semantic Segmentation Hyperparameters".
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class EarlyStopping:
    """Decides, from the score of each epoch, when to stop.

    min_epochs: epochs that always run.
    patience:   epochs in a row without improvement before stopping, at least one.
    tolerance:  the relative rise of the best score that counts as improvement; a smaller one does not.
    """

    min_epochs: int
    patience: int
    tolerance: float
    best: float | None = None
    epochs: int = 0
    without_gain: int = 0

    def update(self, score: float) -> bool:
        """Return whether to stop after an epoch with this validation mIOU."""
        self.epochs += 1
        if self.best is None or score > self.best + self.tolerance * abs(self.best):
            self.best, self.without_gain = score, 0
        else:
            self.without_gain += 1
        return self.epochs >= self.min_epochs and self.without_gain >= max(1, self.patience)
