"""Results of an epoch and of a whole training."""

from __future__ import annotations

from dataclasses import dataclass


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
    epoch_seconds: float
    """Training and validation."""


@dataclass(frozen=True)
class History:
    """A training, epoch by epoch."""

    epochs: tuple[Epoch, ...]
    train_seconds: float
    """Duration of all epochs, validation included."""
    images_per_second: float
    """Training images per second of training steps, without the first epoch, which compiles,
    unless it is the only one."""
    stop_reason: str
    """Why training stopped early; empty if all epochs ran."""

    @property
    def best(self) -> Epoch:
        """The epoch with the highest validation accuracy; the earliest in case of a tie."""
        return max(self.epochs, key=lambda epoch: epoch.val_accuracy)
