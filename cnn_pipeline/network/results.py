"""What leaves a trial: names, settings and numbers, read back from its run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Scalar = str | int | float | bool
Status = Literal["FINISHED", "FAILED", "KILLED"]

# MLflow stores an infinity as the largest double, 1.797e308: no real metric is near it.
_LARGEST_METRIC = 1e300


@dataclass(frozen=True)
class TrialResult:
    """One network, trained with one seed: the record of one run.

    `params` holds the settings ("filters", "pooling", "learning_rate", ...) as plain scalars or
    as the text that MLflow returns. `metrics` holds the numbers ("val_accuracy_final",
    "test_accuracy", "num_params", "macs", "train_seconds", ...): accuracies are shares from 0 to
    1, times are seconds but for `latency_ms`, sizes are bytes.
    """

    name: str
    """Name of the trial, unique in its sweep: 'f64-max-s0'."""
    label: str
    """Name of the variant, shared by its seeds: 'f64-max'."""
    seed: int
    run_id: str
    status: Status
    reason: str = ""
    """Why it did not finish; empty where it did."""
    params: Mapping[str, Scalar] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    reused_from: str = ""
    """The run that trained it, where this one only repeats its record; else empty."""
    content_key: str = ""
    """What its numbers follow from, as one key; empty where it was not recorded."""

    @property
    def finished(self) -> bool:
        """Whether the run ended as it should."""
        return self.status == "FINISHED"

    def metric(self, name: str) -> float | None:
        """The metric, or None where it is missing, NaN or infinite."""
        value = self.metrics.get(name)
        if value is None or not math.isfinite(value) or abs(value) > _LARGEST_METRIC:
            return None
        return float(value)
