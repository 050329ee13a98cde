"""Names of the metrics by which runs are logged, compared and filtered.

They are in `base` because nearly every wing needs them: settings state expectations about metrics,
`network` measures them, `comparison` ranks by them, `tracking` stores them, the command line shows
them. Names of tags and params are in `tracking/names.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

# Per epoch: the fields of `network.history.Epoch`, named as Keras names them.
LOSS: Final = "loss"
ACCURACY: Final = "accuracy"
VAL_LOSS: Final = "val_loss"
VAL_ACCURACY: Final = "val_accuracy"
EPOCH_SECONDS: Final = "epoch_seconds"
"""Training and validation of one epoch."""
CURVES: Final = (LOSS, ACCURACY, VAL_LOSS, VAL_ACCURACY)

# Per trial. Accuracies are shares from 0 to 1, losses mean cross-entropies in nats.
VAL_ACCURACY_FINAL: Final = "val_accuracy_final"
"""Validation accuracy of the logged model; the best variant is chosen by it."""
VAL_LOSS_FINAL: Final = "val_loss_final"
BEST_VAL_ACCURACY: Final = "best_val_accuracy"
BEST_EPOCH: Final = "best_epoch"
TEST_ACCURACY: Final = "test_accuracy"
TEST_LOSS: Final = "test_loss"
VAL_BALANCED_ACCURACY: Final = "val_balanced_accuracy"
"""Of the logged model, as all scores of a trial are: the mean recall over the classes."""
TEST_BALANCED_ACCURACY: Final = "test_balanced_accuracy"
VAL_MACRO_F1: Final = "val_macro_f1"
TEST_MACRO_F1: Final = "test_macro_f1"
GENERALIZATION_GAP: Final = "generalization_gap"
CALIBRATION_ERROR: Final = "calibration_error"

# Per trial, from the comparison at the end of its sweep: the same for all seeds of a variant.
RANK: Final = "rank"
"""From 1, by mean validation accuracy."""
MAY_BE_BEST: Final = "may_be_best"
"""1 or 0: whether the variant may be the most accurate of all; absent if that is unknown."""
VERDICT_LOW: Final = "verdict_low"
"""Lower end of the interval of the variant's test accuracy."""
VERDICT_HIGH: Final = "verdict_high"
COMPARED: Final = (RANK, MAY_BE_BEST, VERDICT_LOW, VERDICT_HIGH)

# Per trial: cost.
TRAIN_SECONDS: Final = "train_seconds"
IMAGES_PER_SECOND: Final = "images_per_second"
NUM_PARAMS: Final = "num_params"
MACS: Final = "macs"
"""Multiply-accumulates of one image's forward pass."""
LATENCY_MS: Final = "latency_ms"
"""Median milliseconds per image at batch size 1."""
LATENCY_MS_BATCH_256: Final = "latency_ms_batch_256"
MODEL_BYTES: Final = "model_bytes"
"""Size of the `.keras` file."""

# Per sweep, on its parent run. Other names than a trial's, so that a list of both can be sorted.
CHOSEN_VAL_ACCURACY: Final = "chosen_val_accuracy"
"""Validation accuracy of the chosen variant, the mean over its seeds."""
CHOSEN_TEST_ACCURACY: Final = "chosen_test_accuracy"


def chosen(split: Literal["val", "test"], metric: Metric) -> str:
    """Name of the chosen variant's metric: 'chosen_test_accuracy'."""
    return f"chosen_{split}_{metric}"


NUM_VARIANTS: Final = "num_variants"
NUM_TRIALS: Final = "num_trials"
NUM_ROUNDS: Final = "num_rounds"
"""Complete rounds, where the seeds are 'auto'."""
NUM_FAILED: Final = "num_failed"
"""Trials that did not finish."""
SWEEP_MINUTES: Final = "sweep_minutes"
"""From the start of the sweep's run to its answer."""

# Prefixes of names: MLflow's UI groups metrics by the part before the slash.
TIME: Final = "time"
CLASS_PRECISION: Final = "class_precision"
CLASS_RECALL: Final = "class_recall"
CLASS_F1: Final = "class_f1"

Metric = Literal["accuracy", "balanced_accuracy", "macro_f1"]
"""What a sweep can be measured by. Shares from 0 to 1."""
MEASURES: Final[Mapping[Metric, str]] = MappingProxyType(
    {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1"}
)
"""Their names in sentences."""
VALIDATION: Final[Mapping[Metric, str]] = MappingProxyType(
    {
        "accuracy": VAL_ACCURACY_FINAL,
        "balanced_accuracy": VAL_BALANCED_ACCURACY,
        "macro_f1": VAL_MACRO_F1,
    }
)
"""The metric of a trial by which the sweep's variants are ranked."""
TEST: Final[Mapping[Metric, str]] = MappingProxyType(
    {
        "accuracy": TEST_ACCURACY,
        "balanced_accuracy": TEST_BALANCED_ACCURACY,
        "macro_f1": TEST_MACRO_F1,
    }
)
"""The metric of a trial that the sweep's variants are compared in."""

# A Literal cannot refer to constants, so these four are repeated.
ExpectedMetric = Literal["test_accuracy", "train_seconds", "num_params", "macs"]
"""The metrics that an expectation may be stated about."""
