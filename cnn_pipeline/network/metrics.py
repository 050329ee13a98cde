"""Turn the results of a trial into metrics."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cnn_pipeline.base import metric_names
from cnn_pipeline.network.evaluation import Evaluation
from cnn_pipeline.network.history import History
from cnn_pipeline.network.latency import Latency
from cnn_pipeline.network.plan import Plan

MEASURED_ON = {
    metric_names.BEST_VAL_ACCURACY: "validation",
    metric_names.VAL_ACCURACY_FINAL: "validation",
    metric_names.VAL_LOSS_FINAL: "validation",
    metric_names.TEST_ACCURACY: "test",
    metric_names.TEST_LOSS: "test",
    metric_names.VAL_BALANCED_ACCURACY: "validation",
    metric_names.TEST_BALANCED_ACCURACY: "test",
    metric_names.VAL_MACRO_F1: "validation",
    metric_names.TEST_MACRO_F1: "test",
    metric_names.CALIBRATION_ERROR: "test",
}
"""The split that a headline metric was measured on. The others use no split, or two."""


@dataclass(frozen=True)
class TrialOutcome:
    """Results of training, evaluation and timing; scores are those of the logged model."""

    plan: Plan
    history: History
    validation: Evaluation
    test: Evaluation
    latency: Latency
    seconds: dict[str, float]
    """Seconds by phase: 'data', 'build', 'train', 'evaluate', 'plots'."""


def headline_metrics(outcome: TrialOutcome) -> dict[str, float]:
    """Metrics to compare runs by: shares from 0 to 1, times in seconds, latency in ms.

    MLflow lists them in this order. What variants are ranked and stored predictions are checked by
    is exact; the others are rounded to what they mean.
    """
    kept = outcome.history.kept
    best = outcome.history.best
    return {
        metric_names.VAL_ACCURACY_FINAL: outcome.validation.accuracy,
        metric_names.TEST_ACCURACY: outcome.test.accuracy,
        metric_names.NUM_PARAMS: float(outcome.plan.num_params),
        metric_names.MACS: float(outcome.plan.macs),
        metric_names.TRAIN_SECONDS: round(outcome.history.train_seconds, 3),
        metric_names.IMAGES_PER_SECOND: round(outcome.history.images_per_second, 1),
        metric_names.LATENCY_MS: round(outcome.latency.batch_1, 4),
        metric_names.LATENCY_MS_BATCH_256: round(outcome.latency.batch_256, 4),
        metric_names.BEST_VAL_ACCURACY: shown(best.val_accuracy),
        metric_names.BEST_EPOCH: float(best.epoch),
        metric_names.GENERALIZATION_GAP: shown(kept.accuracy - outcome.test.accuracy),
        metric_names.CALIBRATION_ERROR: shown(outcome.test.calibration_error),
        metric_names.VAL_LOSS_FINAL: shown(outcome.validation.loss),
        metric_names.TEST_LOSS: shown(outcome.test.loss),
        metric_names.VAL_BALANCED_ACCURACY: outcome.validation.score("balanced_accuracy"),
        metric_names.TEST_BALANCED_ACCURACY: outcome.test.score("balanced_accuracy"),
        metric_names.VAL_MACRO_F1: outcome.validation.score("macro_f1"),
        metric_names.TEST_MACRO_F1: outcome.test.score("macro_f1"),
    }


def shown(value: float) -> float:
    """A share, a loss or seconds with the digits that mean something."""
    return round(value, 4)


def detail_metrics(outcome: TrialOutcome) -> dict[str, float]:
    """Scores per class on test and seconds by phase; MLflow's UI groups them by prefix."""
    metrics = {
        f"{metric_names.TIME}/{phase}_seconds": round(value, 2)
        for phase, value in outcome.seconds.items()
    }
    rows = outcome.test.per_class
    for key, row in zip(metric_keys([row["name"] for row in rows]), rows, strict=True):
        metrics[f"{metric_names.CLASS_PRECISION}/{key}"] = shown(row["precision"])
        metrics[f"{metric_names.CLASS_RECALL}/{key}"] = shown(row["recall"])
        metrics[f"{metric_names.CLASS_F1}/{key}"] = shown(row["f1"])
    return metrics


def metric_keys(names: Sequence[str]) -> list[str]:
    """Names of classes as MLflow allows them in metrics: 'Ankle boot' becomes 'ankle_boot'.

    Names that become equal or empty ('T shirt' and 'T-shirt', or other scripts) get their number
    appended.
    """
    plain = [re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") for name in names]
    repeated = {key for key, count in Counter(plain).items() if count > 1 or not key}
    return [
        f"{key or 'class'}_{number}" if key in repeated else key for number, key in enumerate(plain)
    ]


def epoch_metrics(epoch: object) -> dict[str, float]:
    """Metrics of an `Epoch` by name, without its number, which is MLflow's step."""
    fields = dataclasses.asdict(epoch)  # type: ignore[call-overload]
    del fields["epoch"]
    return dict(fields)


def rounded_curves(metrics: Mapping[str, float]) -> dict[str, float]:
    """`epoch_metrics` as MLflow gets them; `history.csv` has all digits."""
    return {
        name: value if name == "learning_rate" else shown(value) for name, value in metrics.items()
    }
