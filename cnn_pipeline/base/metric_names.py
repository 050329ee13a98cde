"""Names of the metrics by which runs are logged, compared and filtered.

They are in `base` because nearly every wing needs them: settings state expectations about metrics,
`network` measures them, `comparison` ranks by them, `tracking` stores them, the command line shows
them. Names of tags and params are in `tracking/names.py`.
"""

from __future__ import annotations

from typing import Final, Literal

# Per epoch: the fields of `network.history.Epoch`, named as Keras names them.
LOSS: Final = "loss"
ACCURACY: Final = "accuracy"
VAL_LOSS: Final = "val_loss"
VAL_ACCURACY: Final = "val_accuracy"
CURVES: Final = (LOSS, ACCURACY, VAL_LOSS, VAL_ACCURACY)

# Per trial. Accuracies are shares from 0 to 1, losses mean cross-entropies in nats.
VAL_ACCURACY_FINAL: Final = "val_accuracy_final"
"""Validation accuracy of the logged model; the best variant is chosen by it."""
VAL_LOSS_FINAL: Final = "val_loss_final"
BEST_VAL_ACCURACY: Final = "best_val_accuracy"
BEST_EPOCH: Final = "best_epoch"
TEST_ACCURACY: Final = "test_accuracy"
TEST_LOSS: Final = "test_loss"
GENERALIZATION_GAP: Final = "generalization_gap"
CALIBRATION_ERROR: Final = "calibration_error"

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

# Prefixes of names: MLflow's UI groups metrics by the part before the slash.
TIME: Final = "time"
CLASS_PRECISION: Final = "class_precision"
CLASS_RECALL: Final = "class_recall"
CLASS_F1: Final = "class_f1"

# A Literal cannot refer to constants, so these four are repeated.
ExpectedMetric = Literal["test_accuracy", "train_seconds", "num_params", "macs"]
"""The metrics that an expectation may be stated about."""
