"""Learning rate schedules, and the optimizers with the hyperparameters that each of them uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.algorithm.mxnet_import import load_mxnet

POLY_POWER = 0.9
LAST_SHARE = 0.01
"""Share of the learning rate at the end of `poly` and `cosine`."""
FIRST_SHARE = 0.1
"""Share of the learning rate at the start of a warm-up."""


@dataclass(frozen=True, slots=True)
class LearningRateSchedule:
    """The learning rate over the steps of the optimizer.

    kind:    `poly`, `cosine` or `step`.
    epochs:  for `step`: after which epochs the rate is multiplied by `factor`.
    warm_up: steps in which it rises from a tenth, at most a quarter of all steps.
    """

    kind: str = "poly"
    epochs: Sequence[int] = ()
    factor: float = 0.1
    warm_up: int = 0

    def scheduler(self, rate: float, epochs: int, steps_an_epoch: int) -> Any:
        """Return MXNet's scheduler for this number of epochs."""
        schedulers = load_mxnet().lr_scheduler
        steps = epochs * steps_an_epoch
        warm_up = {
            "warmup_steps": min(self.warm_up, steps // 4),
            "warmup_begin_lr": rate * FIRST_SHARE,
        }
        if self.kind == "poly":
            return schedulers.PolyScheduler(
                steps, rate, pwr=POLY_POWER, final_lr=rate * LAST_SHARE, **warm_up
            )
        if self.kind == "cosine":
            return schedulers.CosineScheduler(steps, rate, final_lr=rate * LAST_SHARE, **warm_up)
        marks = [epoch * steps_an_epoch for epoch in self.epochs if epoch > 0]
        # A step after the end replaces an empty list, which MXNet refuses.
        return schedulers.MultiFactorScheduler(marks or [steps + 1], self.factor, rate, **warm_up)


@dataclass(frozen=True, slots=True)
class Optimizer:
    """An optimizer and its hyperparameters.

    momentum:       for sgd and nag.
    gamma1, gamma2: for rmsprop: the decay of its average, and its momentum.
    """

    name: str = "sgd"
    rate: float = 0.001
    weight_decay: float = 0.0
    momentum: float = 0.9
    gamma1: float = 0.9
    gamma2: float = 0.9

    def trainer(self, network: Any, scheduler: Any) -> Any:
        """Return Gluon's trainer of a network."""
        options: dict[str, Any] = {
            "learning_rate": self.rate,
            "wd": self.weight_decay,
            "lr_scheduler": scheduler,
        }
        if self.name in {"sgd", "nag"}:
            options["momentum"] = self.momentum
        if self.name == "rmsprop":
            # Only MXNet's centered variant has a momentum.
            options |= {"gamma1": self.gamma1, "gamma2": self.gamma2, "centered": True}
        return load_mxnet().gluon.Trainer(network.collect_params(), self.name, options)
