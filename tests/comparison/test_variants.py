"""The best trial of a sweep: chosen as the leaderboard ranks, on validation alone."""

from __future__ import annotations

import pytest

from cnn_pipeline.comparison.variants import best_trial
from cnn_pipeline.network.results import TrialResult
from tests.comparison.scripted import comparison, outcome


def result(name: str, validation: float | None, status: str = "FINISHED") -> TrialResult:
    label, _, seed = name.rpartition("-s")
    metrics = {"test_accuracy": 0.99 - (validation or 0)}
    if validation is not None:
        metrics["val_accuracy_final"] = validation
    return TrialResult(name, label, int(seed), f"run-{name}", status, metrics=metrics)  # type: ignore[arg-type]


def best(*results: TrialResult, label: str | None = None) -> str | None:
    found = best_trial(results, label)
    return found and found.name


def test_the_best_mean_on_validation_is_chosen_and_of_it_the_best_seed() -> None:
    results = [
        result("a-s0", 0.95), result("a-s1", 0.70), result("b-s0", 0.88), result("b-s1", 0.90),
    ]  # fmt: skip
    assert best(*results) == "b-s1"
    assert best(*results, label="a") == "a-s0"
    assert best(*results, label="c") is None


def test_unfinished_and_unscored_trials_are_never_chosen() -> None:
    results = [result("a-s0", 0.99, "FAILED"), result("b-s0", None), result("c-s0", 0.5)]
    assert best(*results) == "c-s0"
    assert best(*results[:2]) is None
    assert best(*results, label="a") is None
    assert best(result("a-s0", 1.5), results[2]) == "c-s0"


def test_the_earlier_of_equals_is_chosen() -> None:
    assert best(result("a-s0", 0.9), result("b-s0", 0.9)) == "a-s0"
    assert best(result("a-s5", 0.9), result("a-s0", 0.9)) == "a-s5"


@pytest.mark.parametrize(
    "costs",
    [
        {"f64-max": (40, 8), "f32-max": (40, 9), "f16-max": (50, 5)},
        {"f16-max": (50, 5), "f32-max": (40, 9), "f64-max": (40, 8)},
        {"f64-max": (40, 8), "f16-max": (40, 8)},
    ],
)
def test_the_verdict_chooses_the_same_also_among_equals(costs: dict[str, tuple[int, int]]) -> None:
    made = [outcome(label, macs=macs, num_params=n) for label, (macs, n) in costs.items()]
    found = best_trial([item for item, _ in made])
    assert found is not None
    assert found.label == comparison(*made).verdict.chosen
