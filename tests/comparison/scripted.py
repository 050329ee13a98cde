"""Results made up for the tests: every number is chosen, nothing is trained."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cnn_pipeline.comparison.compare import compare
from cnn_pipeline.comparison.statistics import Interval
from cnn_pipeline.comparison.types import Comparison, SweepInfo
from cnn_pipeline.network.results import TrialResult

NUM_TEST = 1000

Outcome = tuple[TrialResult, NDArray[np.bool_] | None]


def right(*wrong: Iterable[int], total: int = NUM_TEST) -> NDArray[np.bool_]:
    """Answers that are right but for the images listed."""
    answers = np.ones(total, dtype=bool)
    for images in wrong:
        answers[list(images)] = False
    return answers


def near(found: Interval | None, expected: Interval | None) -> bool:
    """Whether two intervals are equal but for rounding."""
    assert found is not None and expected is not None
    return (found.low, found.high) == pytest.approx((expected.low, expected.high))


def outcome(
    label: str,
    *,
    seed: int = 0,
    validation: float = 0.9,
    correct: NDArray[np.bool_] | None = None,
    settings: dict[str, Any] | None = None,
    **metrics: float,
) -> Outcome:
    """A finished trial; its label 'f64-max' gives filters and pooling, else the tutorial's."""
    named = re.fullmatch(r"f(\d+)-(max|average|none)", label)
    filters, pooling = named.groups() if named else ("64", "max")
    params = {
        "variant": label,
        "filters": int(filters),
        "pooling": pooling,
        "pool_size": 1 if pooling == "none" else 2,
        "dropout": 0.0,
        "seed": seed,
        **(settings or {}),
    }
    numbers = {
        "val_accuracy_final": validation,
        "num_params": 1000.0,
        "macs": 10_000.0,
        "train_seconds": 20.0,
        "images_per_second": 9000.0,
        "latency_ms": 0.42,
        "latency_ms_batch_256": 0.05,
        "model_bytes": 2_900_000.0,
    }
    if correct is not None:
        numbers["test_accuracy"] = float(correct.mean())
    result = TrialResult(
        name=f"{label}-s{seed}",
        label=label,
        seed=seed,
        run_id=f"run-{label}-{seed}",
        status="FINISHED",
        params=params,
        metrics={**numbers, **metrics},
    )
    return result, correct


def failure(label: str, *, seed: int = 0, reason: str = "out of memory") -> Outcome:
    """A failed trial without metrics."""
    finished, _ = outcome(label, seed=seed)
    return (
        TrialResult(
            finished.name, label, seed, finished.run_id, "FAILED", reason, finished.params, {}
        ),
        None,
    )


def comparison(*outcomes: Outcome, **sweep: Any) -> Comparison:
    """The comparison of made-up trials; `sweep` overrides fields of its record."""
    fields = {
        "sweep_id": "20260102-030405-abcd",
        "name": "filters-and-pooling",
        "dataset": "fashion-mnist",
        "num_test": NUM_TEST,
        **sweep,
    }
    return compare(
        [result for result, _ in outcomes],
        {result.name: correct for result, correct in outcomes if correct is not None},
        num_validation=500,
        sweep=SweepInfo(**fields),
    )


def recipes(seeds: int = 3, interaction: int = 0, **better: int) -> tuple[Outcome, ...]:
    """Filters 16 and 64 by max and none, with seeds that spread by 2 images of 1,000.

    Every variant gets images wrong by its own chance: 100 of 1,000, less those `better`, by label
    with an underscore. `interaction` is how many images more f64-none gets right.
    """
    rng = np.random.default_rng(20260102)
    outcomes = []
    for label in ("f64-max", "f64-none", "f16-max", "f16-none"):
        lead = better.get(label.replace("-", "_"), 0) + interaction * (label == "f64-none")
        for seed in range(seeds):
            wrong = range(100 - lead + int(rng.integers(-2, 3)))
            outcomes.append(outcome(label, seed=seed, validation=0.9 + lead / 1000,
                                    correct=right(wrong)))  # fmt: skip
    return tuple(outcomes)


def clear_grid() -> tuple[Outcome, ...]:
    """Filters 16 and 64 by max and none: each step loses 40 more images, significantly."""
    return (
        outcome("f64-max", validation=0.93, correct=right(range(50)), num_params=4e3, macs=4e4),
        outcome("f64-none", validation=0.91, correct=right(range(90)), num_params=8e4, macs=2e5),
        outcome("f16-max", validation=0.89, correct=right(range(130)), num_params=1e3, macs=1e4),
        outcome("f16-none", validation=0.87, correct=right(range(170)), num_params=2e4, macs=5e4),
    )
