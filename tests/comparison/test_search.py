"""What is said of a search, from made-up scores."""

from __future__ import annotations

from dataclasses import replace

from cnn_pipeline.comparison.compare import compare
from cnn_pipeline.comparison.search import SearchRecord, flattered, sentences
from cnn_pipeline.comparison.types import Comparison, SweepInfo
from cnn_pipeline.network.results import TrialResult

RECORD = SearchRecord(
    sweep_id="mine-search-1",
    kind="tpe",
    seed=1000,
    trials=20,
    trainings=18,
    failed=1,
    metric="accuracy",
    axes={"filters": "8..128", "pooling": "max,none"},
    scores={"f73-max": 0.912, "f90-max": 0.911, "f9-max": 0.7},
    importance={"filters": 0.8, "pooling": 0.2},
)


def comparison(baseline: str | None = None, **accuracies: float) -> Comparison:
    results = [
        TrialResult(
            name=f"{label}-s{seed}",
            label=label,
            seed=seed,
            run_id=f"{label}-{seed}",
            status="FINISHED",
            metrics={"val_accuracy_final": accuracy, "test_accuracy": accuracy},
        )
        for label, accuracy in accuracies.items()
        for seed in (0, 1)
    ]
    sweep = SweepInfo(
        sweep_id="mine-2", name="mine", dataset="fashion-mnist", num_test=1000, baseline=baseline
    )
    return compare(results, {}, num_validation=500, sweep=sweep)


def test_each_chosen_variant_has_both_scores() -> None:
    found = flattered(RECORD, comparison(**{"f64-max": 0.9, "f90-max": 0.92, "f73-max": 0.9}))
    assert [one.cells for one in found] == [
        ("f73-max", "91.20 %", "90.00 %", "2", "-1.20"),
        ("f90-max", "91.10 %", "92.00 %", "2", "+0.90"),
    ]


def test_the_sentences_say_how_much_was_luck() -> None:
    said = sentences(RECORD, comparison(**{"f73-max": 0.9, "f64-max": 0.91}))
    assert said == (
        "Search mine-search-1 (tpe) tried 20 variants of filters 8..128, pooling max,none in 18 "
        "trainings, 1 of which failed, all with seed 1000.",
        "Its best, f73-max, had 91.20 % validation accuracy in the search, and 90.00 % in the "
        "mean of 2 fresh seeds. Luck flattered it by 1.20 points.",
        "What set the best trials apart (PED-ANOVA): filters 80 %, pooling 20 %.",
    )
    better = sentences(replace(RECORD, importance={}), comparison(**{"f73-max": 0.92}))
    assert better[1].endswith("It was not flattered: fresh seeds are 0.80 points better.")
    assert better[2].startswith("Too few whole trainings")


def test_whether_the_search_was_worth_it_is_said() -> None:
    scores = {"f73-max": 0.9, "f90-max": 0.92}
    for own, said in {
        0.9325: "The search lost: the settings without it, f64-max, have 93.25 % with fresh seeds, "
        "1.25 points more than f90-max, the best of what it found.",
        0.92: "The search won nothing: the settings without it, f64-max, have 92.00 % with fresh "
        "seeds, as much as f90-max, the best of what it found.",
        0.91: "The search won: the settings without it, f64-max, have 91.00 % with fresh seeds, "
        "1.00 points less than f90-max.",
    }.items():
        assert sentences(RECORD, comparison("f64-max", **scores, **{"f64-max": own}))[2] == said
    alone = sentences(RECORD, comparison("f73-max", **{"f73-max": 0.9}))
    assert len(alone) == 3  # the search found the settings without it
