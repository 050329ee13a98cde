"""A sweep that another process runs, from a scripted store."""

from __future__ import annotations

import json
import time

import pytest

from cnn_pipeline.base import events, metric_names
from cnn_pipeline.base.home import Home
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.cli.forecast import SweepState
from cnn_pipeline.cli.snapshot import Snapshot
from cnn_pipeline.cli.watching import Follower, Watch
from cnn_pipeline.services.running import mlflow_address
from cnn_pipeline.settings.sweep import Axes, Sweep
from cnn_pipeline.settings.trial import Training, Trial
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.store import StoreError
from tests.experiment.scripted_store import ScriptedSweep, whole
from tests.running import wait_until

GRID = Sweep(
    name="grid",
    axes=Axes(filters=(4, 8, 16), pooling=("max", "none")),
    seeds=(0,),
    training=Training(epochs=3, stop_at_accuracy=0.99),
)
ROUNDS = Sweep(
    name="rounds",
    axes=Axes(filters=(4, 8), pooling=("max", "none")),
    max_rounds=5,
    training=Training(epochs=3),
)
# Before the two accuracies of the training that make its curve and decide when it stops.
SHAPE = {names.IMAGE_SHAPE: "28x28x1"}
COUNTS = json.dumps({"fitted": [1000, 1000], "test": [100, 100]})


@pytest.fixture(autouse=True)
def _own_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNN_PIPELINE_HOME", str(home.root))
    for name in ("MLFLOW_TRACKING_URI", "CNN_PIPELINE_MLFLOW_UI"):
        monkeypatch.delenv(name, raising=False)


def epoch(made: ScriptedSweep, run_id: str, number: int, score: float, train: float) -> None:
    made.tracker.curves(run_id).add(
        number,
        {
            metric_names.VAL_ACCURACY: score,
            metric_names.ACCURACY: train,
            metric_names.EPOCH_SECONDS: 2.0,
        },
    )


def training(made: ScriptedSweep, trial: Trial, *scores: float, train: float = 0.5) -> str:
    """A trial that has trained so many epochs."""
    run_id = made.begin(trial)
    made.tracker.tag(run_id, SHAPE)
    for number, score in enumerate(scores):
        epoch(made, run_id, number, score, train)
    return run_id


def running(home: Home) -> ScriptedSweep:
    """A sweep with a trial in each state."""
    made = ScriptedSweep(home, GRID, "grid-1")
    made.tracker.tag(made.run_id, {names.CLASS_COUNTS: COUNTS})
    trials = GRID.trials()
    made.end(trials[0], wrong=20)
    training(made, trials[1], 0.6)
    training(made, trials[2], 0.6, 0.7, 0.8)
    failed = training(made, trials[3], 0.6)
    made.tracker.end(failed, "FAILED", "loss became NaN")
    made.begin(trials[4])
    return made


def snapshot(home: Home, word: str | None = None, server: str = "") -> Snapshot:
    return Watch(word, home, server, wait=True).snapshot()


def test_each_trial_has_its_state(home: Home) -> None:
    running(home)
    shown = snapshot(home, server="http://h:5000")
    assert (shown.sweep_id, shown.data, shown.state) == ("grid-1", "pets", "running")
    assert {trial.name: trial.state for trial in shown.trials} == {
        "f4-max-s0": "finished",
        "f4-none-s0": "training",
        "f8-max-s0": "scoring",
        "f8-none-s0": "failed",
        "f16-max-s0": "starting",
        "f16-none-s0": "waiting",
    }
    by_name = {trial.name: trial for trial in shown.trials}
    assert by_name["f4-max-s0"].validation_accuracy == 0.9
    assert by_name["f8-max-s0"].curve == (0.6, 0.7, 0.8)
    assert (by_name["f4-none-s0"].epoch, by_name["f4-none-s0"].epochs) == (2, 3)
    assert by_name["f8-none-s0"].reason == "loss became NaN"
    assert shown.leader is not None and shown.leader.variant == "f4-max"
    assert shown.seconds_left is not None and 0 < shown.seconds_left < 1000
    assert 0 < shown.done < 1
    assert shown.silent_seconds is not None and shown.silent_seconds < 60
    assert shown.page.startswith("http://h:5000/#/experiments/") and "grid" in shown.page


def test_a_training_that_stopped_early_is_scored(home: Home) -> None:
    made = ScriptedSweep(home, GRID, "grid-1")
    training(made, GRID.trials()[0], 0.9, train=0.995)
    assert snapshot(home).trials[0].state == "scoring"


def test_reused_and_never_begun_trials_are_told_apart(home: Home) -> None:
    whole(home, GRID, "grid-1", {trial.name: 10 for trial in GRID.trials()})
    made = ScriptedSweep(home, GRID, "grid-2")
    made.end(GRID.trials()[0], wrong=20)
    made.tracker.tag(snapshot_run(made, 0), {names.REUSED_FROM: "4f1c"})
    made.tracker.end(made.run_id, "KILLED", "the sweep was stopped: KeyboardInterrupt")
    shown = snapshot(home, "grid-2")
    assert [trial.state for trial in shown.trials] == ["reused", *5 * ["waiting"]]
    assert (shown.state, shown.seconds_left) == ("stopped", None)
    assert "KeyboardInterrupt" in shown.reason


def snapshot_run(made: ScriptedSweep, number: int) -> str:
    record = made.reader.sweep(made.sweep_id)
    return made.reader.trials(record)[number].run_id


def test_events_and_mlflow_give_the_same_picture(home: Home) -> None:
    running(home)
    state = SweepState(started=0.0)
    curve = {metric_names.VAL_ACCURACY: 0.6}
    score = {metric_names.VAL_ACCURACY_FINAL: 0.9}
    for event in (
        events.SweepStarted(
            "grid-1",
            {trial.name: 10.0 for trial in GRID.trials()},
            2,
            data="pets",
            trials=tuple(trial.name for trial in GRID.trials()),
        ),
        events.TrialEnded("f4-max-s0", "FINISHED", 1.0, "", score),
        events.TrialPhase("f4-none-s0", "training"),
        events.TrialProgress("f4-none-s0", 0, 3, 100, 300, curve),
        events.TrialProgress("f4-none-s0", 1, 3, 150, 300),
        *(
            events.TrialProgress("f8-max-s0", number, 3, 100 + 100 * number, 300, {**curve, **at})
            for number, at in enumerate({metric_names.VAL_ACCURACY: x} for x in (0.6, 0.7, 0.8))
        ),
        events.TrialPhase("f8-max-s0", "evaluating"),
        events.TrialProgress("f8-none-s0", 0, 3, 100, 300, curve),
        events.TrialEnded("f8-none-s0", "FAILED", 1.0, "loss became NaN"),
        events.TrialPhase("f16-max-s0", "building"),
    ):
        state.apply(event, 1.0)
    told, read = state.snapshot(1.0), snapshot(home)
    left_out = {"epoch", "epochs"}  # MLflow knows the planned epochs earlier
    assert [trial.model_dump(exclude=left_out) for trial in told.trials] == [
        trial.model_dump(exclude=left_out) for trial in read.trials
    ]
    assert told.leader == read.leader


WRONG = {"f4-max": (60, 62), "f4-none": (58, 56), "f8-max": (20, 26), "f8-none": (22, 18)}


def in_rounds(home: Home) -> ScriptedSweep:
    """Two rounds have ended; two variants are left, and one of them trains."""
    made = ScriptedSweep(home, ROUNDS, "rounds-1")
    made.tracker.tag(made.run_id, {names.CLASS_COUNTS: COUNTS})
    for trial in ROUNDS.trials((0, 1)):
        made.end(trial, wrong=WRONG[trial.label][trial.seed])
    training(made, ROUNDS.trials((2,))[2], 0.6)
    return made


def test_the_rounds_are_those_of_the_trials_that_have_ended(home: Home) -> None:
    made = in_rounds(home)
    shown = snapshot(home)
    assert (shown.round, shown.max_rounds, shown.decide) == (3, 5, 1.0)
    assert shown.dropped == {"f4-max": 2, "f4-none": 2}
    third = {trial.name: trial.state for trial in shown.trials if trial.seed == 2}
    assert third == {"f8-max-s2": "training", "f8-none-s2": "waiting"}
    first, second = shown.rounds
    assert first.lead_low is None and "one seed" in first.answer
    assert second.leader == "f8-none" and second.runner_up == "f8-max"
    assert second.lead_low is not None and second.lead_low < 0 and not second.over
    assert shown.seconds_left is not None and shown.seconds_left_at_most is not None
    assert 0 < shown.seconds_left < shown.seconds_left_at_most
    assert shown.leader is not None and shown.leader.of == 2
    made.tracker.end(made.run_id, "KILLED", "stopped")
    assert [trial.name for trial in snapshot(home, "rounds").trials if trial.seed == 2] == [
        "f8-max-s2"
    ]


def test_events_and_mlflow_tell_the_same_of_the_rounds(home: Home) -> None:
    in_rounds(home)
    read = snapshot(home)
    state = SweepState(started=0.0)
    first = tuple(trial.name for trial in ROUNDS.trials())
    for event in (
        events.SweepStarted("rounds-1", {}, 1, data="pets", trials=first, max_rounds=5, decide=1.0),
        *read.rounds,
        events.RoundStarted(3, {}, ("f8-max-s2", "f8-none-s2")),
    ):
        state.apply(event, 1.0)
    told = state.snapshot(1.0)
    for name in ("round", "max_rounds", "decide", "rounds", "dropped"):
        assert getattr(told, name) == getattr(read, name)
    assert [trial.name for trial in told.trials] == [trial.name for trial in read.trials]


def test_the_newest_running_sweep_is_watched(home: Home) -> None:
    running(home)
    whole(home, GRID, "grid-2", {trial.name: 10 for trial in GRID.trials()})
    assert snapshot(home).sweep_id == "grid-1"
    assert Watch(None, home, "", wait=False).snapshot().sweep_id == "grid-1"
    assert snapshot(home, "grid").sweep_id == "grid-2"
    assert snapshot(home, "grid").verdict


def test_it_waits_where_nothing_runs(home: Home) -> None:
    assert "Waiting" in snapshot(home).told[0]
    assert snapshot(Home(home.root / "new")).state == "waiting"
    whole(home, GRID, "grid-2", {trial.name: 10 for trial in GRID.trials()})
    watch = Watch(None, home, "", wait=True)
    assert watch.snapshot().state == "waiting"
    made = running(home)
    assert watch.snapshot().sweep_id == "grid-1"
    ScriptedSweep(home, GRID, "grid-3")
    assert watch.snapshot().sweep_id == "grid-1"  # it stays with the first that it has found
    made.tracker.end(made.run_id, "FAILED", "f8-none-s0: loss became NaN")
    assert watch.snapshot().state == "failed"


def test_a_follower_outlives_a_server_that_is_restarted() -> None:
    """Once a sweep was seen, a store that does not answer is asked again."""
    answers: list[Snapshot | Exception] = [
        Snapshot(sweep_id="grid-1", state="running"),
        StoreError("the MLflow store must answer."),
        Snapshot(sweep_id="grid-1", state="finished"),
    ]
    told: list[str] = []

    def take() -> Snapshot:
        told.extend(follower.last.told if len(answers) < 3 else ())
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    follower = Follower(lambda: (time.sleep(0.05), take())[1])
    wait_until(follower.over.is_set, "the sweep has ended")
    assert follower.last.state == "finished" and follower.fault is None
    assert told == ["the MLflow store must answer. Trying again."]


@pytest.mark.parametrize("error", [StoreError("no sweep 'x'"), ValueError("an old sweep")])
def test_a_follower_ends_where_there_is_nothing_to_follow(error: Exception) -> None:
    def take() -> Snapshot:
        raise error

    follower = Follower(take)
    wait_until(follower.over.is_set, "it gives up")
    assert follower.fault is error


def test_one_frame_has_no_escape_codes(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    running(home)
    assert status_of(["watch", "--once"]) == 0
    text = capsys.readouterr().out
    assert "grid-1" in text and "epoch 2/3" in text and "\x1b" not in text
    assert "f4-max has 90.0 % on validation images." in text
    assert status_of(["watch", "grid", "--once", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["leader"]["variant"] == "f4-max"
    assert [trial["state"] for trial in data["trials"]].count("waiting") == 1


def test_one_frame_without_a_sweep(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    for place in (home.root, home.root / "new"):
        assert status_of(["watch", "--once", "--home", str(place)]) == 0
        assert "`cnn-pipeline run`" in capsys.readouterr().out
    assert status_of(["watch", "--once", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trials"] == []


def test_what_cannot_be_watched_is_refused(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    running(home)
    assert status_of(["watch"]) == 2
    assert "needs a terminal; print one picture with --once" in capsys.readouterr().err
    assert status_of(["watch", "a", "b", "--json"]) == 2
    assert "one sweep at most" in capsys.readouterr().err
    assert status_of(["watch", "gird", "--once"]) == 2
    assert "no sweep 'gird'" in capsys.readouterr().err


def test_the_page_is_that_of_the_server_that_was_named(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mlflow_address(home) == ""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@h.example:5000/")
    assert mlflow_address(home) == "http://h.example:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///elsewhere.db")
    assert mlflow_address(home) == ""
