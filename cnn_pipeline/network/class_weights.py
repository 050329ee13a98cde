"""How much each class counts in the loss of a training."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_pipeline.settings.trial import Training


def class_weights(
    training: Training, labels: npt.NDArray[np.integer[Any]], num_classes: int
) -> npt.NDArray[np.float32] | None:
    """Weight of each class, float32 `[num_classes]`, by its training images; None if all count 1.

    'balanced' is n / (k * images of the class), for n images of k classes, as in scikit-learn and
    King and Zeng (2001, 'Logistic Regression in Rare Events Data', Polit. Anal. 9): each class
    counts the same, and the mean weight of an image is 1. A class without images counts 1.

    An image's loss is multiplied by the weight of its class, and the sum over a batch is divided by
    the number of its images, as Keras' `fit(class_weight=...)` does.
    """
    if training.class_weights == "none":
        return None
    counts = np.bincount(labels, minlength=num_classes)
    present = counts > 0
    weights = np.ones(num_classes, np.float32)
    weights[present] = len(labels) / (present.sum() * counts[present])
    return weights
