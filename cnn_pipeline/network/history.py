"""What an epoch and a whole training gave."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images. Losses are mean cross-entropies in nats."""

    epoch: int
    """From 0."""
    loss: float
    accuracy: float
    """Running mean over the epoch, while the weights moved."""
    val_loss: float
    val_accuracy: float
    """After the epoch, in the training's precision."""
    learning_rate: float
    epoch_seconds: float
    """Training and validation."""


@dataclass(frozen=True)
class History:
    """What training did, epoch by epoch."""

    epochs: tuple[Epoch, ...]
    train_seconds: float
    """All epochs with their validation."""
    images_per_second: float
    """Training images over the time of the training steps; the first epoch, which compiles, is
    left out where there are others."""
    stop_reason: str
    """'' when all epochs ran."""

    @property
    def best(self) -> Epoch:
        """The epoch with the highest validation accuracy; the earliest of equals."""
        return max(self.epochs, key=lambda epoch: epoch.val_accuracy)
