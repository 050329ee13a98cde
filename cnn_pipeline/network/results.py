"""The record of a trial: names, settings and metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Scalar = str | int | float | bool
Status = Literal["FINISHED", "FAILED", "KILLED"]

# MLflow stores infinity as the largest double, 1.797e308. No real metric is near it.
_LARGEST_METRIC = 1e300


@dataclass(frozen=True)
class TrialResult:
    """The record of one run: one network, trained with one seed.

    `params` holds the settings by name as scalars, or as the text that MLflow returns. `metrics`
    holds numbers by the names in `base/metric_names.py`: accuracies are shares from 0 to 1, times
    are seconds except `latency_ms`, sizes are bytes.
    """

    name: str
    """Name of the trial, unique in its sweep: 'f64-max-s0'."""
    label: str
    """Name of the variant, shared by its seeds: 'f64-max'."""
    seed: int
    run_id: str
    status: Status
    reason: str = ""
    """Why it did not finish; empty if it did."""
    params: Mapping[str, Scalar] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    reused_from: str = ""
    """The run that trained it, if this run is a copy of its record; else empty."""
    content_key: str = ""
    """Key of everything that its numbers depend on; empty if it was not recorded."""
    device: str = ""
    """Name of the processor or GPU that trained it; empty if it is not known."""

    @property
    def finished(self) -> bool:
        """Whether the run finished."""
        return self.status == "FINISHED"

    def metric(self, name: str) -> float | None:
        """The metric, or None if it is missing, NaN or infinite."""
        value = self.metrics.get(name)
        if value is None or not math.isfinite(value) or abs(value) > _LARGEST_METRIC:
            return None
        return float(value)
