"""The verdict on tables of runs, made up and wrong in every way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.comparison.table import verdict
from cnn_pipeline.comparison.types import Comparison

IMAGES = 1000


def table(seeds: int = 4, **changes: Any) -> pd.DataFrame:
    """Runs of 16 and 64 units with and without dropout; 64 are better by five points."""
    rng = np.random.default_rng(3)
    rows = [
        {
            "units": units,
            "dropout": dropout,
            "seed": seed,
            "test_accuracy": 0.80 + 0.05 * (units == 64) + 0.002 * rng.normal(),
        }
        for units in (16, 64)
        for dropout in ("no", "yes")
        for seed in range(seeds)
    ]
    frame = pd.DataFrame(rows).assign(**changes)
    frame.index = pd.Index([f"run{number}" for number in range(len(frame))])
    return frame


def faults_of(frame: pd.DataFrame, **arguments: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        verdict(frame, **{"group_by": ["units", "dropout"], **arguments})
    return "\n".join(caught.value.faults)


def gaps(found: Comparison) -> dict[str, list[float]]:
    """Estimate and interval by the variant that the chosen one is compared with."""
    return {
        pair.against: [pair.estimate or 0.0, pair.interval.low, pair.interval.high]
        for pair in found.pairwise
        if pair.interval is not None
    }


def test_groups_are_ranked_and_compared() -> None:
    found = verdict(table(), group_by=["units", "dropout"], name="digits")
    assert {row.label for row in found.ranked[:2]} == {
        "units=64 dropout=no",
        "units=64 dropout=yes",
    }
    assert {pair.against: pair.significant for pair in found.pairwise} == {
        found.ranked[1].label: False,
        "units=16 dropout=no": True,
        "units=16 dropout=yes": True,
    }
    assert [axis.axis for axis in found.axes] == ["units", "dropout"]
    assert found.ranked[0].run_ids[0] in table().index
    assert "units=64" in str(found)


def test_one_column_may_be_named_alone_and_ids_are_kept() -> None:
    frame = table().query("dropout == 'no'").assign(run_id=lambda rows: "id-" + rows.index)
    found = verdict(frame, group_by="units")
    assert [row.label for row in found.rows] == ["units=64", "units=16"]
    assert found.rows[1].run_ids == ("id-run0", "id-run1", "id-run2", "id-run3")


def test_validation_ranks_where_every_run_has_it() -> None:
    flipped = table().assign(val_accuracy=lambda rows: 1 - rows["test_accuracy"])
    found = verdict(flipped, group_by="units", seed="none")
    assert found.sweep.runs is not None
    assert (found.sweep.runs.ranked_by, found.rows[0].label) == ("val_accuracy", "units=16")
    flipped.loc["parent", "val_accuracy"] = None
    assert verdict(flipped, group_by="units", seed="none").rows[0].label == "units=16"
    flipped.loc["run3", "val_accuracy"] = None
    found = verdict(flipped, group_by="units", seed="none")
    assert (found.sweep.runs.ranked_by, found.rows[0].label) == ("test_accuracy", "units=64")
    found = verdict(flipped.drop("parent"), group_by="units", seed="none", rank_by="val_accuracy")
    assert found.rows[0].label == "units=16"
    assert "Left out, because they have no val_accuracy: run3." in found.notes


def test_seeds_are_shared_only_where_they_are_recorded_in_every_group() -> None:
    def shares(frame: pd.DataFrame) -> bool:
        info = verdict(frame, group_by=["units", "dropout"]).sweep.runs
        assert info is not None
        return info.same_seeds

    assert shares(table())
    assert shares(table(seed=[f"s{n}" for n in range(4)] * 4))
    assert not shares(table().drop(columns="seed"))
    assert not shares(table(seed=range(16)))
    assert shares(table(seed=[0, 1, 2, 3] * 3 + [0, 1, 8, 9]))
    assert not shares(table(seeds=6, seed=[0, 1, 2, 3, 4, 5] * 3 + [0, 1, 6, 7, 8, 9]))
    assert not shares(table(seed=[None, 1, 2, 3] * 4))


def test_without_seeds_the_order_of_runs_does_not_matter() -> None:
    frame = table(seeds=5).drop(columns="seed")
    shuffled = pd.concat([frame[:10], frame[10:].iloc[::-1]])
    first, second = (gaps(verdict(one, group_by=["units", "dropout"])) for one in (frame, shuffled))
    assert first.keys() == second.keys() and len(first) == 3
    for against, values in first.items():
        assert second[against] == pytest.approx(values)


def test_answers_count_where_they_are_known() -> None:
    rng = np.random.default_rng(0)
    frame = table()
    correct = rng.random((len(frame), IMAGES)) < frame["test_accuracy"].to_numpy()[:, None]
    frame["test_accuracy"] = correct.mean(axis=1)
    with_images = verdict(frame, group_by=["units", "dropout"], correct=correct)
    assert with_images.sweep.num_test == IMAGES
    assert faults_of(frame, correct=~correct).startswith("predictions must be of the images")
    assert "bool [16, n]" in faults_of(frame, correct=correct[1:])


def test_rows_without_a_value_are_left_out_and_named() -> None:
    frame = table()
    frame.loc["run0", "test_accuracy"] = float("nan")
    frame.loc["run5", "dropout"] = None
    found = verdict(frame, group_by=["units", "dropout"])
    assert found.sweep.runs is not None and found.sweep.runs.runs == 14
    assert found.notes[-2:] == (
        "Left out, because they have no dropout: run5.",
        "Left out, because they have no test_accuracy: run0.",
    )


def test_columns_that_do_not_exist_are_named_together() -> None:
    faults = faults_of(table(), group_by=["unit", "dropout"], metric="acc", rank_by="other")
    assert "group_by: no column 'unit'; did you mean 'units'?" in faults
    assert "metric: no column 'acc'; columns are units, dropout, seed, test_accuracy" in faults
    assert "rank_by: no column 'other'" in faults
    assert "needs one column or more" in faults_of(table(), group_by=[])


def test_groups_that_cannot_be_compared_are_named_with_wrong_values() -> None:
    frame = table(seeds=1).assign(test_accuracy=lambda rows: 100 * rows["test_accuracy"])
    faults = faults_of(frame)
    assert "these have one: units=16 dropout=no, units=16 dropout=yes" in faults
    assert "divide by 100" in faults
    assert "there is one: units=16" in faults_of(table()[:8], group_by="units", seed="none")
    assert "there is none" in faults_of(table(test_accuracy=float("nan")))


def test_a_seed_that_a_group_has_twice_is_refused() -> None:
    faults = faults_of(table(), group_by="units")
    assert "units=16 has 2 of seed 0: run0, run4" in faults


def test_two_runs_of_two_groups_are_too_few_and_it_says_so() -> None:
    frame = table(seeds=2).query("dropout == 'no'")
    found = verdict(frame, group_by="units")
    assert not found.pairwise[0].significant and found.pairwise[0].interval is None
    assert "2 seeds of 2 recipes are too few" in found.verdict.headline
    assert str(found).startswith("4 runs by units\n")


def test_runs_without_seeds_are_counted_as_runs() -> None:
    text = str(verdict(table().drop(columns="seed"), group_by="units"))
    assert "The groups share no recorded seeds" in text and "n: runs" in text
