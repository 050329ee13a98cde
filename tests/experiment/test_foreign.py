"""The verdict on runs that were logged by hand, in a real store of MLflow."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cnn_pipeline.base.home import Home
from cnn_pipeline.comparison.types import Comparison, Effect
from cnn_pipeline.experiment.foreign import Question, verdict_on_runs
from cnn_pipeline.experiment.stored import load_comparison
from cnn_pipeline.settings.sweep import Axes, Sweep
from tests.comparison.scripted import near
from tests.experiment.foreign_runs import IMAGES, LABELS, Loop
from tests.experiment.scripted_store import whole


@pytest.fixture
def loop(home: Home, tmp_path: Path) -> Loop:
    return Loop(home, tmp_path / "artifacts")


def test_runs_are_compared_with_and_without_predictions(loop: Loop) -> None:
    loop.grid()
    plain = loop.ask()
    assert [row.label for row in plain.rows] == ["units=64", "units=16"]
    assert plain.sweep.runs is not None and plain.sweep.runs.same_seeds
    assert plain.sweep.num_test == 0 and plain.sweep.name == "digits"
    whole_method = loop.ask(predictions="predictions.csv")
    assert whole_method.sweep.num_test == IMAGES
    assert whole_method.notes == ()
    assert whole_method.rows[0].test_accuracy == pytest.approx(plain.rows[0].test_accuracy)


def test_the_projects_own_runs_get_the_numbers_of_compare(home: Home) -> None:
    sweep = Sweep(name="grid", axes=Axes(filters=(4, 8), pooling=("max", "none")), seeds=(0, 1, 2))
    rng = np.random.default_rng(1)
    wrong = {
        trial.name: int(rng.integers(20, 30) + 20 * (trial.variant.filters[0] == 4))
        for trial in sweep.trials()
    }
    whole(home, sweep, "grid-20260102-000000-bbbb", wrong)
    ours = load_comparison(None, home)
    theirs = verdict_on_runs(
        Question(
            home.database_uri,
            "pets-cnn",
            ("filters", "pooling"),
            predictions="predictions.parquet",
        )
    ).comparison
    own_labels = {row.run_ids: row.label for row in ours.rows}
    labels = {row.label: own_labels[row.run_ids] for row in theirs.rows}
    assert [labels[row.label] for row in theirs.rows] == [row.label for row in ours.rows]
    for own, row in zip(ours.rows, theirs.rows, strict=True):
        assert near(row.test_interval, own.test_interval)
        assert (row.test_accuracy, row.validation_accuracy) == (
            own.test_accuracy,
            own.validation_accuracy,
        )
        assert (row.macs, row.train_seconds) == (own.macs, own.train_seconds)
    assert [labels[d.against] for d in theirs.pairwise] == [d.against for d in ours.pairwise]
    assert [axis.axis for axis in theirs.axes] == [axis.axis for axis in ours.axes]
    for found, own_found in (
        *zip(theirs.pairwise, ours.pairwise, strict=True),
        *zip(effects(theirs), effects(ours), strict=True),
    ):
        assert found.estimate == pytest.approx(own_found.estimate)
        assert near(found.interval, own_found.interval)


def effects(comparison: Comparison) -> list[Effect]:
    return [effect for axis in comparison.axes for effect in axis.effects]


def test_runs_that_do_not_count_are_left_out_and_named(loop: Loop) -> None:
    loop.grid()
    loop.run(64, "again", seed=2)
    failed = loop.client.create_run(loop.experiment, run_name="broken").info.run_id
    loop.client.set_terminated(failed, "FAILED")
    loop.client.create_run(loop.experiment, run_name="now")
    parent = loop.client.create_run(loop.experiment, run_name="parent").info.run_id
    loop.client.set_terminated(parent)
    found = loop.ask(predictions="predictions.csv")
    assert found.sweep.runs is not None and found.sweep.runs.runs == 6
    notes = "\n".join(found.notes)
    assert "have not finished: broken (FAILED); now (RUNNING)" in notes
    assert "newer run has the same params and the same seed: u64-2" in notes
    assert "they have no units: parent" in notes


def test_what_else_differs_in_a_group_is_named(loop: Loop) -> None:
    for units in (16, 64):
        for number in range(3):
            loop.run(units, f"u{units}-{number}", batch=32 * number)
    found = loop.ask()
    assert found.sweep.runs is not None and not found.sweep.runs.same_seeds
    assert "Runs of one group differ in batch" in found.notes[-1]
    loop.run(64, "twice", seed=0, batch=1)
    for number, units in enumerate((16, 16, 64)):
        loop.run(units, f"more{number}", seed=0, batch=2 + number)
    faults = loop.faults(condition="params.seed = '0'")
    assert "units=64 has 2 of seed 0" in faults and "differ in batch" in faults


def test_runs_without_seeds_are_called_runs(loop: Loop) -> None:
    for units in (16, 64):
        for number in range(3):
            loop.run(units, f"u{units}-{number}")

    found = loop.ask()

    assert found.sweep.runs is not None and not found.sweep.runs.same_seeds
    (effect,) = (text for text in found.verdict.sentences if text.startswith("Units: "))
    assert "1 matched pair, 3 runs)" in effect
    said = " ".join(found.verdict.sentences)
    assert "could have shown" in said and not re.search(r"\d seed|more seeds|seeds are", said)


def test_names_that_no_run_has_are_refused_together(loop: Loop) -> None:
    loop.grid(seeds=2)
    faults = loop.faults(group_by=("unit", "lr"), metric="accuracy", rank_by="val")
    assert "--group-by: no finished run of experiment 'digits' has the param 'unit'; did" in faults
    assert "has the param 'lr'; there are units, seed" in faults
    assert "--metric: no finished run of experiment 'digits' has the metric 'accuracy'" in faults
    assert "--rank-by" in faults


def test_an_experiment_without_finished_runs_is_refused(loop: Loop) -> None:
    assert "has no run" in loop.faults()
    loop.client.create_run(loop.experiment, run_name="now")
    assert "no run of experiment 'digits' has finished: now (RUNNING)" in loop.faults()
    assert "has no run that meets --filter" in loop.faults(condition="params.units = '5'")


OTHERS: list[tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = [
    (lambda table: table[:400], "odd (400 images instead of 500)"),
    (lambda table: table.iloc[::-1], "odd (other labels or another order)"),
    (lambda table: table.rename(columns={"label": "truth"}), "predictions.csv of odd: needs"),
]


@pytest.mark.parametrize(("change", "said"), OTHERS)
def test_predictions_of_other_images_are_refused(
    loop: Loop, change: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    loop.grid()
    odd = loop.run(64, "odd", seed=3)
    table = change(pd.DataFrame({"label": LABELS, "prediction": LABELS}))
    loop.client.log_text(odd, table.to_csv(index=False), "predictions.csv")
    faults = loop.faults(predictions="predictions.csv")
    assert faults.startswith("--predictions: ") and said in faults


def test_predictions_that_are_missing_are_named_with_other_faults(loop: Loop) -> None:
    loop.grid(seeds=1)
    faults = loop.faults(predictions="answers.csv")
    assert "needs an artifact 'answers.csv', and u16-0, u64-0 have none" in faults
    assert "the artifacts of u16-0 are: predictions.csv" in faults
    assert "each group needs two runs or more" in faults


def test_predictions_of_another_metric_are_refused(loop: Loop) -> None:
    loop.grid()
    faults = loop.faults(metric="loss", predictions="predictions.csv")
    assert "predictions must be of the images that loss is about" in faults
