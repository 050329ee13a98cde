"""What a search chooses, without any training: scores are made up."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.experiment.search.space import Kind, Range, Search
from cnn_pipeline.experiment.search.study import Candidate, candidates

pytest.importorskip("optuna")

AXES = {
    "filters": Range(8, 128, whole=True),
    "learning_rate": Range(1e-4, 1e-2, whole=False),
    "pooling": ("max", "none"),
}


def quality(values: Mapping[str, Any]) -> float:
    """Best at a learning rate of 0.01, whatever the filters; pooling is worth little."""
    return float(values["learning_rate"]) * 50 + 0.01 * (values["pooling"] == "none")


def searched(
    kind: Kind, trials: int = 12, seed: int = 3, epochs: int = 9, broken: int = 0
) -> tuple[list[list[Candidate]], dict[str, float]]:
    """The batches of a search, and the importance of its settings. The first `broken` fail."""
    plan = candidates(
        Search(kind, trials, seed, AXES), epochs=epochs, at_once=2, fits=lambda values: True
    )
    batches = [next(plan)]
    done = 0
    while True:
        scores: list[float | None] = []
        for one in batches[-1]:
            done += 1
            scores.append(None if done <= broken else quality(one.values))
        try:
            batches.append(plan.send(scores))
        except StopIteration as end:
            return batches, end.value


@pytest.mark.parametrize("kind", ["tpe", "random", "hyperband"])
def test_a_search_chooses_again_what_it_chose(kind: Kind) -> None:
    """So a stopped search needs no store of its own."""
    assert searched(kind) == searched(kind)
    assert searched(kind)[0] != searched(kind, seed=4)[0]


@pytest.mark.parametrize("kind", ["tpe", "random"])
def test_all_trials_are_whole_and_inside_their_ranges(kind: Kind) -> None:
    batches, _ = searched(kind, trials=11)
    assert [len(batch) for batch in batches] == [2, 2, 2, 2, 2, 1]
    for one in itertools.chain(*batches):
        assert one.whole and one.first and one.epochs == 9
        assert 8 <= one.values["filters"] <= 128
        assert isinstance(one.values["filters"], int)
        assert 1e-4 <= one.values["learning_rate"] <= 1e-2
        assert one.values["learning_rate"] == float(f"{one.values['learning_rate']:.3g}")


def test_tpe_finds_better_settings_than_it_began_with() -> None:
    batches, _ = searched("tpe", trials=40)
    scores = [quality(one.values) for batch in batches for one in batch]
    assert sum(scores[-10:]) > sum(scores[:10])


def test_hyperband_gives_the_best_third_more_epochs() -> None:
    batches, _ = searched("hyperband", trials=17)
    # 9 for an epoch, the best 3 for three, the best for nine; then 5 for three; then 3 for nine.
    assert [(len(batch), batch[0].epochs) for batch in batches] == [
        (9, 1),
        (3, 3),
        (1, 9),
        (5, 3),
        (1, 9),
        (3, 9),
    ]
    assert sum(one.first for batch in batches for one in batch) == 17
    assert all(one.whole == (one.epochs == 9) for batch in batches for one in batch)
    best = sorted((one.values for one in batches[0]), key=quality)[-3:]
    assert all(one.values in best for one in batches[1])


def test_trainings_that_fail_end_no_search() -> None:
    assert sum(map(len, searched("tpe", broken=12)[0])) == 12
    batches, importance = searched("hyperband", trials=9, broken=9)
    assert [len(batch) for batch in batches] == [9]
    assert importance == {}


def test_the_importance_names_the_setting_that_matters() -> None:
    _, importance = searched("random", trials=60)
    assert next(iter(importance)) == "learning_rate"
    assert sum(importance.values()) == pytest.approx(1)


def test_few_trials_say_nothing_of_importance() -> None:
    assert searched("random", trials=9)[1] == {}


def test_a_space_that_hardly_fits_is_refused() -> None:
    search = Search("random", 4, 0, AXES)
    plan = candidates(search, epochs=5, at_once=2, fits=lambda values: False)
    with pytest.raises(InvalidInput, match="combinations in a row did not"):
        next(plan)
