"""Ranges, the variants that they make, and the comparison that follows a search."""

from __future__ import annotations

import math

from cnn_pipeline.comparison.search import SearchRecord
from cnn_pipeline.experiment.data_card import DataShape
from cnn_pipeline.experiment.search.run import Found, fresh_sweep
from cnn_pipeline.experiment.search.space import Range, Search, entry_of, fits, space_faults
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import Training, Variant

SHAPE = DataShape((28, 28, 1), 10, 500, 100)
BASE = Sweep(name="mine", training=Training(batch_size=64))
AXES = {"filters": Range(8, 128, whole=True), "learning_rate": Range(1e-4, 1e-2, whole=False)}


def test_wide_ranges_are_searched_on_a_logarithmic_scale() -> None:
    assert Range(8, 128, whole=True).log and Range(1e-4, 1e-2, whole=False).log
    assert not Range(0.0, 0.5, whole=False).log and not Range(2, 10, whole=True).log


def test_numbers_have_three_digits_and_stay_inside() -> None:
    rates = Range(0.00012345, 0.0098765, whole=False)
    assert rates.rounded(0.0012345678) == 0.00123
    assert rates.rounded(0.0098765) == 0.0098765
    assert rates.rounded(0.00012345) == 0.00012345


def test_the_number_of_variants() -> None:
    assert Search("tpe", 4, 0, AXES).num_variants == math.inf
    few = {"filters": Range(8, 10, whole=True), "pooling": ("max", "none")}
    assert Search("tpe", 4, 0, few).num_variants == 6


def test_a_variant_has_the_values_and_else_the_base() -> None:
    entry = entry_of(BASE, {"filters": 73, "learning_rate": 0.00123})
    assert entry.variant == Variant(filters=73)
    assert entry.training == {"learning_rate": 0.00123}
    assert entry.name == "f73-max-lr0.00123"
    assert entry_of(BASE, {"filters": 73}, epochs=1).name == "f73-max-e1"
    assert entry_of(BASE, {"filters": 73}, epochs=5) == entry_of(BASE, {"filters": 73})


def test_what_does_not_fit_is_said_or_left_out() -> None:
    search = Search("tpe", 4, 0, {"batch_size": Range(8, 1000, whole=True)})
    assert space_faults(BASE, search, SHAPE) == [
        "batch_size must be at most 500, the number of training images, received 1,000"
    ]
    assert space_faults(BASE, Search("tpe", 4, 0, AXES), SHAPE) == []
    # Each alone is valid, together the step takes off more than there is.
    assert not fits(BASE, SHAPE, {"weight_decay": 50.0, "learning_rate": 0.1})
    assert fits(BASE, SHAPE, {"weight_decay": 0.1, "learning_rate": 0.1})


def found(*entries: dict[str, object]) -> Found:
    best = tuple(entry_of(BASE, one) for one in entries)
    record = SearchRecord(
        sweep_id="mine-search-1",
        kind="tpe",
        seed=1000,
        trials=8,
        trainings=8,
        failed=0,
        metric="accuracy",
        axes={"filters": "8..128"},
        scores={one.name: 0.9 for one in best},
    )
    return Found(record, best)


def test_the_best_and_the_settings_without_a_search_are_compared_with_fresh_seeds() -> None:
    search = Search("tpe", 8, 1000, AXES)
    sweep = fresh_sweep(BASE, search, found({"filters": 73, "learning_rate": 0.00123}))
    assert sweep.labels == ("f73-max-lr0.00123", "f64-max")
    assert sweep.baseline_label == "f64-max"
    assert sweep.seeds == "auto" and search.seed not in sweep.all_seeds
    assert (sweep.name, sweep.training, sweep.data) == (BASE.name, BASE.training, BASE.data)


def test_the_settings_without_a_search_are_there_once() -> None:
    search = Search("tpe", 8, 1000, AXES)
    sweep = fresh_sweep(BASE, search, found({"filters": 64, "learning_rate": 0.001}))
    assert sweep.labels == ("f64-max",)
    # Its name says which learning rate it has, where the others have another.
    rate = BASE.model_copy(update={"training": Training(learning_rate=0.01)})
    assert fresh_sweep(rate, search, found({"filters": 8})).labels[-1] == "f64-max-lr0.01"
