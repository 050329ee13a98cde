"""Results of an epoch, of a training so far, and of a whole training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images. Losses are mean cross-entropies in nats."""

    epoch: int
    """From 0."""
    loss: float
    accuracy: float
    """Mean over the epoch, while the weights changed."""
    val_loss: float
    val_accuracy: float
    """After the epoch, in the precision of the training."""
    learning_rate: float
    """Of the epoch's first step."""
    epoch_seconds: float
    """Training and validation."""


@dataclass(frozen=True)
class Progress:
    """How far a training has come, also over several processes."""

    epochs: tuple[Epoch, ...] = ()
    """The complete ones."""
    fit_seconds: tuple[float, ...] = ()
    """Of the training steps of each complete epoch."""
    starts: tuple[int, ...] = ()
    """Epochs in which a process began, and so compiled, from 0."""
    stop_reason: str = ""
    """Why training stopped early; empty if it did not."""
    seconds: float = 0.0
    """Of the unfinished epoch."""


@dataclass(frozen=True)
class Sums:
    """Sums over the first steps of an epoch, while the weights changed."""

    losses: np.ndarray
    """Summed over the images of each step, float64 `[steps]`."""
    hits: int
    """Images of all these steps that were answered right."""


@dataclass(frozen=True)
class History:
    """A training, epoch by epoch."""

    epochs: tuple[Epoch, ...]
    train_seconds: float
    """Duration of all epochs, validation included."""
    images_per_second: float
    """Training images per second of training steps, without epochs in which a process
    began, because it compiles, unless there are no others."""
    stop_reason: str
    """Why training stopped early; empty if all epochs ran."""
    keeps_best: bool = False
    """Whether the weights are those after the best epoch, not after the last one."""

    @property
    def kept(self) -> Epoch:
        """The epoch whose weights are kept."""
        return self.best if self.keeps_best else self.epochs[-1]

    @property
    def best(self) -> Epoch:
        """The epoch with the highest validation accuracy; the earliest in case of a tie."""
        return self.epochs[best_epoch([epoch.val_accuracy for epoch in self.epochs])]


def best_epoch(val_accuracies: Sequence[float]) -> int:
    """The epoch, from 0, with the highest validation accuracy; the earliest in case of a tie."""
    return max(range(len(val_accuracies)), key=val_accuracies.__getitem__)


def out_of_patience(val_accuracies: Sequence[float], patience: int | None) -> bool:
    """Whether the last `patience` epochs were no better than the best one before them."""
    if patience is None or not val_accuracies:
        return False
    return len(val_accuracies) - 1 - best_epoch(val_accuracies) >= patience
