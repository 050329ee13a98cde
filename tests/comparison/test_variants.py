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


def rows(**accuracies: dict[int, float]) -> list[tuple[str, float | None]]:
    """Labels and validation accuracies in the order of the ranks."""
    found = comparison(
        *(
            outcome(label, seed=seed, validation=value)
            for label, by_seed in accuracies.items()
            for seed, value in by_seed.items()
        )
    )
    return [(row.label, row.validation_accuracy) for row in found.ranked]


def test_an_easy_seed_does_not_help_the_variant_that_has_it() -> None:
    """b is better with each seed that both have. a was dropped before the hard seed 2."""
    a, b = {0: 0.90, 1: 0.92}, {0: 0.91, 1: 0.93, 2: 0.85}
    assert rows(a=a, b=b) == [("b", pytest.approx(0.8967, abs=1e-4)), ("a", 0.91)]
    assert best(
        *(result(f"a-s{seed}", value) for seed, value in a.items()),
        *(result(f"b-s{seed}", value) for seed, value in b.items()),
    ) == "b-s1"  # fmt: skip


def test_that_ranks_and_means_disagree_is_noted() -> None:
    made = [
        outcome(label, seed=seed, validation=value)
        for label, values in (("a", (0.90, 0.92)), ("b", (0.91, 0.93, 0.85)))
        for seed, value in enumerate(values)
    ]
    assert "The variants have different seeds" in " ".join(comparison(*made).notes)
    assert "different seeds" not in " ".join(comparison(*made[:4]).notes)


def test_without_common_seeds_the_means_are_ranked() -> None:
    found = rows(a={0: 0.90, 1: 0.90}, b={0: 0.88, 1: 0.88}, c={7: 0.89})
    assert [label for label, _ in found] == ["a", "c", "b"]


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
