"""Sweeps found and read back while they run, after they were stopped, and by their names."""

from __future__ import annotations

import json

import pytest

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.comparison import render
from cnn_pipeline.experiment import stored
from cnn_pipeline.settings.sweep import Axes, Sweep
from cnn_pipeline.tracking import names
from tests.experiment.scripted_store import ScriptedSweep, whole

GRID = Sweep(name="grid", axes=Axes(filters=(4, 8), pooling=("max", "none")), seeds=(0,))
PAIR = Sweep(name="pair", axes=Axes(filters=(4, 8)), seeds=(0,))
ROUNDS = Sweep(name="rounds", axes=Axes(filters=(4, 8)), seeds="auto")
OLD, NEW = "pair-20260101-000000-aaaa", "grid-20260102-000000-bbbb"


@pytest.fixture
def running(home: Home, monkeypatch: pytest.MonkeyPatch) -> ScriptedSweep:
    """A finished sweep, and a newer one: two trials ended, one runs, one has not begun."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("CNN_PIPELINE_HOME", str(home.root))
    whole(home, PAIR, OLD, {"f4-max-s0": 60, "f8-max-s0": 20})
    made = ScriptedSweep(home, GRID, NEW)
    first, second, third, _ = GRID.trials()
    made.end(first, wrong=50)
    made.end(second, wrong=10)
    made.begin(third)
    return made


def test_the_default_is_the_last_sweep_that_has_ended(running: ScriptedSweep, home: Home) -> None:
    assert stored.load_comparison(None, home).sweep.sweep_id == OLD
    assert stored.newer_running(None, home) == NEW
    assert stored.newer_running(OLD, home) is None
    running.finish()
    assert stored.load_comparison(None, home).sweep.sweep_id == NEW
    assert stored.newer_running(None, home) is None


def test_an_older_sweep_that_nobody_ended_is_not_newer(running: ScriptedSweep, home: Home) -> None:
    whole(home, PAIR, "pair-3", {"f4-max-s0": 60, "f8-max-s0": 20})
    assert stored.load_comparison(None, home).sweep.sweep_id == "pair-3"
    assert stored.newer_running(None, home) is None


def test_a_running_sweep_is_shown_as_far_as_it_is(running: ScriptedSweep, home: Home) -> None:
    so_far = stored.load_comparison(NEW, home)
    assert [row.label for row in so_far.rows] == ["f4-none", "f4-max"]
    assert so_far.progress is not None
    assert (so_far.progress.ended, so_far.progress.total) == (2, 4)
    assert so_far.progress.remaining == ("f8-max-s0", "f8-none-s0")
    assert so_far.pairwise == () and so_far.axes == ()
    assert so_far.verdict.chosen is None and "Conclusions wait" in so_far.verdict.headline


def test_a_running_sweep_whose_trials_have_ended_is_whole(
    running: ScriptedSweep, home: Home
) -> None:
    """The sweep's run ends last, also if the command was killed before that."""
    _, _, third, fourth = GRID.trials()
    running.tracker.end(running.begin(fourth), "FAILED", "no luck")
    (begun,) = (r for r in running.reader.trials(running.reader.sweep(NEW)) if r.seed == 0
                and r.name == third.name)  # fmt: skip
    running.tracker.end(begun.run_id, "KILLED", "stopped")
    compared = stored.load_comparison(NEW, home)
    assert compared.progress is None and compared.verdict.chosen == "f4-none"


def test_a_running_sweep_with_seeds_auto_says_its_round(home: Home) -> None:
    made = ScriptedSweep(home, ROUNDS, "rounds-1")
    for trial, wrong in zip(ROUNDS.trials((0, 1)), (20, 30, 30, 20), strict=True):
        made.end(trial, wrong)
    so_far = stored.load_comparison("rounds-1", home)
    assert so_far.progress is not None  # a round may follow
    assert (so_far.progress.round, so_far.progress.ended, so_far.progress.total) == (3, 4, 6)
    (third,) = (trial for trial in ROUNDS.trials((2,)) if trial.label == "f4-max")
    made.begin(third)
    so_far = stored.load_comparison("rounds-1", home)
    assert so_far.progress is not None and so_far.progress.remaining == ("f4-max-s2", "f8-max-s2")
    assert so_far.verdict.headline.startswith("Partial: round 3, 4 of 6 trainings have ended")
    assert so_far.pairwise == ()
    text = render.to_text(so_far)
    assert ": round 3, 4 of 6, running" in text


def test_a_stopped_sweep_says_what_never_began(running: ScriptedSweep, home: Home) -> None:
    running.tracker.end(running.run_id, "KILLED", "stopped")
    compared = stored.load_comparison(None, home)
    assert compared.sweep.sweep_id == NEW and compared.progress is None
    assert [fault.reason for fault in compared.faults] == ["run is RUNNING"]
    assert compared.notes[-1].startswith("The sweep ended before 1 of its 4 trials began: f8-none")


def test_a_name_is_the_last_ended_sweep_of_that_name(running: ScriptedSweep, home: Home) -> None:
    assert stored.load_comparison("pair", home).sweep.sweep_id == OLD
    # The only sweep of this name is running.
    assert stored.load_comparison("grid", home).progress is not None
    whole(home, PAIR, "pair-3", {"f4-max-s0": 60, "f8-max-s0": 20})
    assert stored.load_comparison("pair", home).sweep.sweep_id == "pair-3"


def test_a_misspelt_sweep_names_the_nearest(running: ScriptedSweep, home: Home) -> None:
    with pytest.raises(UserError, match=rf"The nearest are: {NEW}.*cnn-pipeline list"):
        stored.load_comparison("grid-20260102-00000-bbb", home)
    with pytest.raises(UserError, match=r"The nearest are: pair\b"):
        stored.load_comparison("piar", home)
    with pytest.raises(UserError, match=f"The latest are: {NEW}, {OLD}"):
        stored.load_comparison("something else", home)


def test_the_screen_says_what_is_partial(
    running: ScriptedSweep, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(["compare"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"Sweep {OLD}")
    assert f"a newer sweep is running: cnn-pipeline compare {NEW}" in err.replace(
        "python -m cnn_pipeline.cli", "cnn-pipeline"
    )
    assert status_of(["compare", NEW]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"Sweep {NEW} (grid) on pets: 2 of 4, running\n\nPartial: 2 of 4 trials")
    assert "Not ended yet: f8-max-s0, f8-none-s0." in out
    assert "Verdict" not in out and "newer" not in err
    assert status_of(["compare", NEW, "--format", "markdown"]) == 0
    assert "on pets: 2 of 4, running" in capsys.readouterr().out


def test_two_sweeps_are_read_with_what_they_were_run_on(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("CNN_PIPELINE_HOME", str(home.root))
    whole(home, PAIR, "pair-1", {"f4-max-s0": 60, "f8-max-s0": 20})
    wrong = {"f4-max-s0": 20, "f4-none-s0": 9, "f8-max-s0": 20, "f8-none-s0": 8}
    whole(home, GRID, "grid-2", wrong, code="c2")
    found = stored.load_two("pair-1", "grid", home)
    assert (found.first.sweep_id, found.second.sweep_id) == ("pair-1", "grid-2")
    assert [one.variant for one in found.variants] == ["f4-max", "f8-max"]
    gained = found.variants[0].difference
    assert gained is not None and (gained.right_alone, gained.wrong_alone) == (40, 0)
    assert [(one.what, one.first, one.second) for one in found.code] == [
        ("code digest", "c1", "c2")
    ]
    assert found.data == () and found.same_test_images
    assert [(one.first_says, one.second_says) for one in found.pairs] == [
        ("less accurate", "not significant")
    ]
    assert status_of(["compare", "pair-1", "grid-2", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_pairs"] == 1
    whole(home, PAIR, "pair-3", {"f4-max-s0": 60, "f8-max-s0": 20}, digest="d2")
    assert not stored.load_two("pair-1", "pair-3", home).same_test_images


def test_two_sweeps_that_cannot_be_compared_are_refused(
    running: ScriptedSweep, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(["compare", OLD, NEW]) == 2
    assert f"{NEW} is running" in capsys.readouterr().err
    assert status_of(["compare", OLD, "pair"]) == 2
    assert f"received {OLD} twice" in capsys.readouterr().err
    assert status_of(["compare", OLD, "no-such"]) == 2
    assert "no sweep 'no-such'" in capsys.readouterr().err
    assert status_of(["compare", OLD, NEW, "pair", "--format", "csv"]) == 2
    faults = capsys.readouterr().err
    assert "two sweeps at most" in faults and "must be table, json or markdown" in faults


def test_a_test_that_was_drawn_is_said_from_the_tag_of_the_sweep(home: Home) -> None:
    made = ScriptedSweep(home, Sweep(seeds=(0,)), "drawn-20260104-000000-dddd")
    (trial,) = made.sweep.trials()
    made.end(trial, 20)
    made.tracker.tag(made.run_id, {names.TEST_DRAWN: "8 of 40 images, 20 % of each class"})
    made.finish()
    said = " ".join(stored.load_comparison(None, home).verdict.sentences)
    assert "drawn from its images: 8 of 40 images, 20 % of each class. --split-seed" in said
