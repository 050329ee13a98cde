"""Scripted data of a report for the tests: every answer is chosen, nothing is trained."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from cnn_pipeline.comparison.report.data import ReportData, TrialData
from cnn_pipeline.comparison.types import Comparison
from cnn_pipeline.data.describe import Description, SplitDescription
from cnn_pipeline.network.evaluation import Answers, Evaluation
from tests.comparison.scripted import NUM_TEST, Outcome, clear_grid, comparison

CLASSES = ("boot", "bag", "shirt & tie")


def answers(
    correct: np.ndarray, class_names: tuple[str, ...] = CLASSES, sureness: float = 0.8
) -> Answers:
    """Image i is of class i modulo k; a wrong answer is the class after the true one."""
    n, k = len(correct), len(class_names)
    labels = np.arange(n) % k
    given = np.where(correct, labels, (labels + 1) % k)
    probabilities = np.full((n, k), (1 - sureness) / (k - 1), dtype=np.float32)
    probabilities[np.arange(n), given] = sureness
    return Evaluation(class_names, labels, probabilities).answers


def picture(width: int = 40, height: int = 30) -> bytes:
    """A PNG file."""
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


def images(shape: tuple[int, int, int] = (28, 28, 1), count: int = NUM_TEST) -> np.ndarray:
    """Test images; every pixel of an image is its index."""
    greys = (np.arange(count) % 256).astype(np.uint8)
    return np.broadcast_to(greys[:, None, None, None], (count, *shape)).copy()


def trial(outcome: Outcome, **fields: Any) -> TrialData:
    """The curves and files of a scripted trial."""
    result, correct = outcome
    config = {
        "trial": {
            "variant": {"filters": result.params["filters"], "pooling": result.params["pooling"]},
            "training": {"epochs": 3, "stop_at_accuracy": None, "weight_decay": None},
        },
        "data": {"source": "fashion-mnist"},
        "device": {"kind": "cpu", "threads": 2},
        "versions": {"python": "3.11.7", "keras": "3.15.1"},
    }
    layer = {"name": "conv1", "kind": "convolution", "output_shape": [26, 26, 8], "params": 80,
             "macs": 48672, "receptive_field": 3}  # fmt: skip
    given: dict[str, Any] = {
        "curves": {
            "loss": (0.9, 0.6, 0.5),
            "accuracy": (0.7, 0.8, 0.85),
            "val_loss": (0.8, 0.6, 0.55),
            "val_accuracy": (0.72, 0.81, 0.84),
        },
        "answers": None if correct is None else answers(correct),
        "journey": picture(),
        "config": config,
        "plan": {"architecture": "28x28x1 > C8 3x3 > 3", "layers": [layer]},
        **fields,
    }
    return TrialData(result.name, result.label, result.seed, result.run_id, **given)


def description() -> Description:
    """A data card."""
    return Description(
        name="fashion-mnist",
        source="verified cache",
        digest="ab" * 32,
        image_shape=(28, 28, 1),
        dtype="uint8",
        class_names=CLASSES,
        splits=tuple(
            SplitDescription(role, 3 * count, (count,) * 3)
            for role, count in (("train", 500), ("validation", 50), ("test", 100))
        ),
        shared_with_test=1,
        repeated_in_train=2,
    )


def whole(*outcomes: Outcome, compared: Comparison | None = None, **fields: Any) -> ReportData:
    """All that a report can show, of the scripted grid unless other outcomes are given."""
    chosen = outcomes or clear_grid()
    given: dict[str, Any] = {
        "trials": tuple(trial(outcome) for outcome in chosen),
        "dataset": description(),
        "images": images(),
        "facts": {"started": "2026-09-01 10:15 UTC", "git commit": "0123abc"},
        "commands": ("cnn-pipeline run --filters 16,64 --pooling max,none",),
        **fields,
    }
    return ReportData(compared or comparison(*chosen), **given)
