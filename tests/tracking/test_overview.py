"""The list of sweeps, from a store with one of each kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.home import Home
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.cli.commands.list import list_text
from cnn_pipeline.settings.sweep import Axes, Sweep
from cnn_pipeline.settings.trial import Variant
from cnn_pipeline.tracking import overview
from cnn_pipeline.tracking.overview import (
    Best,
    SweepList,
    SweepSummary,
    TrialCounts,
    list_sweeps,
)
from cnn_pipeline.tracking.store import Store, open_store
from tests.experiment.scripted_store import ScriptedSweep, whole

GRID = Sweep(name="grid", axes=Axes(filters=(4, 8), pooling=("max", "none")), seeds=(0, 1))
PAIR = Sweep(name="pair", axes=Axes(filters=(4, 8)), seeds=(0,))
LONG = Sweep(
    name="a" * 40,
    variant=Variant(
        filters=(1024, 512, 256, 128), kernel_size=5, padding="same", dropout=0.25, batch_norm=True
    ),
)
LONG_ID = f"{LONG.name}-20260105-000000-abcd"


@pytest.fixture
def store(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A finished, a stopped, a failed and a running sweep, in this order."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("CNN_PIPELINE_HOME", str(home.root))
    whole(home, PAIR, "pair-1", {"f4-max-s0": 60, "f8-max-s0": 20})
    stopped = ScriptedSweep(home, GRID, "grid-2")
    stopped.end(GRID.trials()[0], wrong=3)
    stopped.tracker.end(stopped.begin(GRID.trials()[1]), "KILLED", "stopped")
    stopped.tracker.end(stopped.run_id, "KILLED", "the sweep was stopped:\nKeyboardInterrupt")
    failed = ScriptedSweep(home, PAIR, "pair-3", dataset="shoes")
    failed.end(PAIR.trials()[0], wrong=40)
    failed.tracker.end(failed.begin(PAIR.trials()[1]), "FAILED", "no luck")
    failed.finish("FAILED")
    running = ScriptedSweep(home, GRID, "grid-4", dataset="shoes")
    running.end(GRID.trials()[0], wrong=3)
    running.begin(GRID.trials()[1])
    return open_store(home, {})


def test_each_sweep_says_how_it_ended(store: Store) -> None:
    found = list_sweeps(store, 10)
    assert [one.sweep_id for one in found.sweeps] == ["grid-4", "pair-3", "grid-2", "pair-1"]
    assert [one.state for one in found.sweeps] == ["running", "failed", "stopped", "finished"]
    assert [one.variants for one in found.sweeps] == [4, 2, 4, 2]
    assert [one.trials for one in found.sweeps] == [
        TrialCounts(total=8, finished=1, failed=0),
        TrialCounts(total=2, finished=1, failed=1),
        TrialCounts(total=8, finished=1, failed=1),
        TrialCounts(total=2, finished=2, failed=0),
    ]
    running, failed, stopped, finished = found.sweeps
    assert finished.best == Best(variant="f8-max", validation_accuracy=0.9, test_accuracy=0.9)
    assert finished.verdict.startswith("f8-max answered most") and finished.reason == ""
    assert failed.best is not None and failed.best.variant == "f4-max"
    assert "the only variant that finished" in failed.verdict
    assert stopped.best is None and stopped.reason == "the sweep was stopped: KeyboardInterrupt"
    assert running.ended is None and running.last_record is not None
    assert finished.started < finished.ended and finished.last_record is None
    assert not found.more


def test_a_running_sweep_with_seeds_auto_says_its_round(home: Home) -> None:
    sweep = Sweep(name="rounds", axes=Axes(filters=(4, 8)), seeds="auto")
    made = ScriptedSweep(home, sweep, "rounds-1")
    for trial in sweep.trials((0, 1)):
        made.end(trial, wrong=20)
    made.begin(sweep.trials((2,))[0])
    (found,) = list_sweeps(open_store(home, {}), 1).sweeps
    assert found.round == 3
    assert found.trials == TrialCounts(total=5, finished=4, failed=0)
    text = list_text(SweepList(sweeps=(found,), more=False), datetime.now(UTC))
    assert "pets, 2 variants, round 3, 4 of 5 trials finished" in text
    made.tracker.end(made.run_id, "KILLED", "stopped")
    (found,) = list_sweeps(open_store(home, {}), 1).sweeps
    assert found.round == 0


def test_a_running_sweep_says_when_it_last_wrote(store: Store, home: Home) -> None:
    """A sweep whose process was killed is RUNNING for ever: its last epoch tells."""
    (before,) = list_sweeps(store, 1).sweeps
    made = ScriptedSweep(home, PAIR, "pair-5")
    run_id = made.begin(PAIR.trials()[0])
    (began,) = list_sweeps(store, 1).sweeps
    made.tracker.curves(run_id).add(0, {metric_names.LOSS: 0.5})
    (logged,) = list_sweeps(store, 1).sweeps
    assert before.last_record and began.last_record and logged.last_record
    assert before.last_record < began.last_record < logged.last_record


def test_the_list_is_cut_and_filtered(store: Store) -> None:
    newest = list_sweeps(store, 2)
    assert [one.sweep_id for one in newest.sweeps] == ["grid-4", "pair-3"] and newest.more
    assert not list_sweeps(store, 4).more
    assert [one.sweep_id for one in list_sweeps(store, 9, data="pets").sweeps] == [
        "grid-2",
        "pair-1",
    ]
    assert [one.sweep_id for one in list_sweeps(store, 9, name="AIR").sweeps] == [
        "pair-3",
        "pair-1",
    ]
    both = list_sweeps(store, 9, name="pair", data="shoes")
    assert [one.sweep_id for one in both.sweeps] == ["pair-3"]
    assert list_sweeps(store, 9, name="it's").sweeps == ()


def test_lost_artifacts_hide_no_sweep(store: Store, home: Home) -> None:
    for file in home.artifacts.rglob("*.json"):
        file.unlink()
    found = list_sweeps(store, 10)
    assert [one.state for one in found.sweeps] == ["running", "failed", "stopped", "finished"]
    assert found.sweeps[-1].verdict.startswith("f8-max answered most")
    assert found.sweeps[-1].trials == TrialCounts(total=2, finished=2, failed=0)


def test_settings_of_another_version_hide_no_sweep(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "read_artifact", lambda *_: b'{"name": "x", "colour": "red"}')
    running = list_sweeps(store, 1).sweeps[0]
    assert running.trials == TrialCounts(total=2, finished=1, failed=0)


def test_the_command_prints_a_paragraph_each(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(["list", "--limit", "3"]) == 0
    text = capsys.readouterr().out
    assert "UTC  running   grid-4\n  shoes, 4 variants, 1 of 8 trials finished\n" in text
    assert "  No verdict until all trials have ended. Its last record is" in text
    assert "UTC  failed    pair-3\n  shoes, 2 variants, 1 of 2 trials finished, 1 failed" in text
    assert "  No verdict: the sweep was stopped: KeyboardInterrupt\n" in text
    assert text.endswith("There are older sweeps: --limit 6 shows more.\n")
    assert status_of(["list", "--json", "--name", "pair", "--data", "pets"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["sweeps"]
    assert one["best"]["variant"] == "f8-max" and one["started"].endswith("Z")


def test_the_command_refuses_what_it_cannot_list(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(["list", "--data", "shoe"]) == 2
    assert "no sweep on 'shoe'; did you mean 'shoes'?" in capsys.readouterr().err
    assert status_of(["list", "--data", "cars"]) == 2
    assert "no sweep on 'cars'; there are" in capsys.readouterr().err
    assert status_of(["list", "--limit", "0"]) == 2
    assert status_of(["list", "--name", "zz"]) == 0
    assert "no sweep matches" in capsys.readouterr().out


def test_an_empty_home_says_how_to_start(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["list", "--home", str(home.root)], ["list", "--home", str(home.root / "new")]):
        assert status_of(words) == 0
        assert "`cnn-pipeline run`" in capsys.readouterr().out


def test_the_text_fits_80_columns(home: Home) -> None:
    (trial,) = LONG.trials()
    whole(home, LONG, LONG_ID, {trial.name: 5})
    text = list_text(list_sweeps(open_store(home, {}), 5), datetime.now(UTC))
    assert max(map(len, text.splitlines())) <= 80
    assert LONG_ID in text and trial.label in text


def test_an_old_record_is_shown_as_old(store: Store) -> None:
    found = list_sweeps(store, 1)
    (one,) = found.sweeps
    assert one.last_record is not None
    later = one.last_record + timedelta(hours=3)
    assert "Its last record is 3 h old." in list_text(SweepList(sweeps=(one,), more=False), later)


def test_the_best_is_that_on_validation_and_is_rounded_once() -> None:
    now = datetime.now(UTC)
    best = Best(
        variant="f8", metric="balanced_accuracy", validation_accuracy=0.9, test_accuracy=0.3565
    )
    one = SweepSummary(
        sweep_id="s-1", name="s", data="pets", state="finished", started=now, ended=now,
        last_record=None, variants=1, round=0, trials=TrialCounts(total=1, finished=1, failed=0),
        best=best, verdict="It is best.", reason="", experiment_id="1", run_id="r",
    )  # fmt: skip
    said = " ".join(list_text(SweepList(sweeps=(one,), more=False), now).split())
    assert "1 trial, best on validation f8 with 35.65 % balanced accuracy on test" in said
