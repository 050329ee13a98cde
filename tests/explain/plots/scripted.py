"""Made-up records to plot: nothing is trained."""

from __future__ import annotations

import numpy as np

from cnn_pipeline.explain.plots.journey import LayerOutput
from cnn_pipeline.network.evaluation import Evaluation

HISTORY = {
    "accuracy": [0.70, 0.85, 0.90, 0.91],
    "val_accuracy": [0.80, 0.86, 0.89, 0.88],
    "loss": [0.9, 0.5, 0.4, 0.3],
    "val_loss": [0.6, 0.5, 0.45, 0.47],
}


NAMES = tuple(f"class {i}" for i in range(10))


def fake_evaluation(k: int, n: int = 300, strength: float = 3.0) -> Evaluation:
    rng = np.random.default_rng(k)
    labels = rng.integers(0, k, n)
    logits = rng.normal(size=(n, k))
    logits[np.arange(n), labels] += strength
    rows = np.exp(logits)
    probabilities = (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)
    return Evaluation(tuple(f"class {i}" for i in range(k)), labels, probabilities)


def layers(n: int = 3, filters: int = 64) -> list[LayerOutput]:
    rng = np.random.default_rng(0)

    def maps(size: int) -> np.ndarray:
        return np.maximum(rng.normal(size=(n, size, size, filters)), 0).astype(np.float32)

    first, second = maps(26), maps(11)
    pooled = first.reshape(n, 13, 2, 13, 2, filters).max(axis=(2, 4))
    small = second[:, :10, :10].reshape(n, 5, 2, 5, 2, filters).max(axis=(2, 4))
    return [
        LayerOutput("input", "pixels", rng.integers(0, 256, (n, 28, 28, 1)).astype(np.uint8)),
        LayerOutput("conv_1", "convolution 3x3, ReLU", first),
        LayerOutput("pool_1", "max-pooling 2x2", pooled),
        LayerOutput("conv_2", "convolution 3x3, ReLU", second),
        LayerOutput("pool_2", "max-pooling 2x2", small),
        LayerOutput("flatten", "one row", small.reshape(n, -1)),
        LayerOutput("dense", "dense, ReLU", np.maximum(rng.normal(size=(n, 128)), 0)),
        LayerOutput("classes", "softmax", fake_evaluation(10, n).probabilities),
    ]
