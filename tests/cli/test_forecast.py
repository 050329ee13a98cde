"""The state and forecast of a sweep, from scripted events and a scripted clock."""

import pytest

from cnn_pipeline.base.events import (
    DownloadProgress,
    Stage,
    SweepStarted,
    TrialEnded,
    TrialPhase,
    TrialProgress,
)
from cnn_pipeline.cli.forecast import TRAINING_SHARE, SweepState


def started(at_once: int = 1, **estimates: float) -> SweepState:
    state = SweepState(started=0.0)
    state.apply(SweepStarted("s-1", estimates, at_once), 0.0)
    return state


def progress(trial: str, images: int, total: int = 100, **metrics: float) -> TrialProgress:
    return TrialProgress(trial, 0, 2, images, total, metrics)


def test_before_the_sweep_nothing_is_forecast() -> None:
    state = SweepState(started=0.0)
    state.apply(Stage("fetching"), 1.0)
    state.apply(DownloadProgress("f", "mirror", 1, 2), 1.0)
    assert state.seconds_left(1.0) is None
    assert (state.stage, state.done, state.total) == ("fetching", 0.0, 0)
    assert state.download is not None
    state.apply(Stage("next"), 2.0)
    assert state.download is None


def test_the_forecast_starts_from_the_estimates() -> None:
    assert started(a=10.0, b=30.0).seconds_left(0.0) == pytest.approx(40.0)


def test_at_the_estimated_speed_the_forecast_falls_with_the_work() -> None:
    state = started(a=10.0, b=30.0)
    state.apply(TrialPhase("a", "training"), 0.0)
    state.apply(TrialEnded("a", "FINISHED", 10.0), 10.0)
    assert state.seconds_left(10.0) == pytest.approx(30.0)
    assert state.done == pytest.approx(0.25)


def test_a_slower_machine_is_noticed() -> None:
    state = started(a=10.0, b=30.0)
    state.apply(TrialEnded("a", "FINISHED", 20.0), 20.0)
    left = state.seconds_left(20.0)
    assert left is not None and 50.0 < left < 60.0


def test_a_faster_machine_is_noticed_while_the_first_trial_runs() -> None:
    state = started(a=100.0, b=100.0)
    state.apply(TrialPhase("a", "training"), 0.0)
    state.apply(progress("a", 0), 1.0)
    state.apply(progress("a", 50), 10.0)
    left = state.seconds_left(10.0)
    assert left is not None and 40.0 < left < 90.0


def test_a_failed_trial_is_over_but_tells_nothing_of_the_speed() -> None:
    state = started(a=10.0, b=30.0)
    state.apply(TrialEnded("a", "FAILED", 0.1, "diverged"), 0.1)
    assert state.seconds_left(0.1) == pytest.approx(30.0)


def test_two_trials_at_a_time_take_half_as_long() -> None:
    state = started(at_once=2, a=10.0, b=10.0, c=10.0, d=10.0)
    assert state.seconds_left(0.0) == pytest.approx(20.0)
    for name in "abc":
        state.apply(TrialEnded(name, "FINISHED", 10.0), 20.0)
    assert state.seconds_left(20.0) == pytest.approx(10.0)  # the last runs alone


def test_the_longest_trial_is_waited_for() -> None:
    assert started(at_once=2, a=10.0, b=90.0).seconds_left(0.0) == pytest.approx(90.0)


def test_one_trial_more_than_trainers_is_waited_for() -> None:
    assert started(at_once=2, a=10.0, b=10.0, c=10.0).seconds_left(0.0) == pytest.approx(20.0)


def test_running_trials_have_a_trainer_already() -> None:
    state = started(at_once=2, a=10.0, b=30.0, c=40.0)
    state.apply(TrialPhase("a", "training"), 0.0)
    state.apply(TrialPhase("b", "training"), 0.0)
    assert state.seconds_left(0.0) == pytest.approx(50.0)  # c after a


def test_a_trained_trial_still_needs_evaluation() -> None:
    state = started(a=10.0)
    state.apply(progress("a", 100), 5.0)
    assert state.done == pytest.approx(TRAINING_SHARE)
    state.apply(TrialEnded("a", "FINISHED", 10.0), 10.0)
    assert state.done == 1.0
    assert state.seconds_left(10.0) == 0.0


def test_speed_counts_from_the_first_progress() -> None:
    state = started(a=10.0)
    state.apply(TrialPhase("a", "building"), 0.0)
    state.apply(progress("a", 10), 5.0)
    assert state.running["a"].images_per_second is None
    state.apply(progress("a", 30), 7.0)
    assert state.running["a"].images_per_second == pytest.approx(10.0)


def test_the_last_whole_epochs_metrics_stay() -> None:
    state = started(a=10.0)
    state.apply(progress("a", 50, accuracy=0.8), 1.0)
    state.apply(progress("a", 60), 2.0)
    assert state.running["a"].metrics == {"accuracy": 0.8}


def test_an_ended_trial_runs_no_more() -> None:
    state = started(a=10.0, b=10.0)
    state.apply(TrialPhase("a", "training"), 0.0)
    state.apply(TrialEnded("a", "FINISHED", 1.0), 1.0)
    assert not state.running and set(state.ended) == {"a"} and state.total == 2
