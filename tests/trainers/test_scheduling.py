"""The number of trainers, and the order of trials."""

from __future__ import annotations

import pytest

from cnn_pipeline.settings.sweep import Axes, Sweep
from cnn_pipeline.settings.trial import Training
from cnn_pipeline.trainers import scheduling
from cnn_pipeline.trainers.scheduling import (
    TRAINER_BYTES,
    longest_first,
    threads_for,
    wall_seconds,
    workers_for,
)


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four cores, much memory, no GPU."""
    monkeypatch.setattr(scheduling, "available_cores", lambda: 4)
    monkeypatch.setattr(scheduling, "available_memory", lambda: 100 * TRAINER_BYTES)
    monkeypatch.setattr(scheduling, "has_gpu", lambda: False)


def test_a_given_number_of_trainers_is_used() -> None:
    assert workers_for(7, 2) == 7


@pytest.mark.parametrize(("trials", "workers"), [(1, 1), (3, 3), (4, 4), (60, 4)])
def test_by_default_one_per_core_and_at_most_one_per_trial(trials: int, workers: int) -> None:
    assert workers_for(0, trials) == workers


def test_memory_limits_trainers_but_one_always_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "available_memory", lambda: 2 * TRAINER_BYTES)
    assert workers_for(0, 6) == 2
    monkeypatch.setattr(scheduling, "available_memory", lambda: TRAINER_BYTES // 2)
    assert workers_for(0, 6) == 1


@pytest.mark.parametrize(("trials", "workers"), [(1, 1), (2, 2), (6, 3)])
def test_a_gpu_gets_three_at_most(
    monkeypatch: pytest.MonkeyPatch, trials: int, workers: int
) -> None:
    monkeypatch.setattr(scheduling, "has_gpu", lambda: True)
    assert workers_for(0, trials) == workers
    monkeypatch.setattr(scheduling, "available_cores", lambda: 1)
    assert workers_for(0, trials) == 1


def test_threads_share_the_cores_unless_given() -> None:
    assert threads_for(Sweep(name="x"), 1) == 4
    assert threads_for(Sweep(name="x"), 2) == 2
    assert threads_for(Sweep(name="x"), 8) == 1
    assert threads_for(Sweep(name="x", training=Training(threads=3)), 2) == 3


def test_the_longest_goes_first_within_its_seed() -> None:
    sweep = Sweep(name="x", axes=Axes(filters=(2, 8, 4)), seeds=(5, 1))
    seconds = {trial.name: float(trial.variant.filters[0]) for trial in sweep.trials()}
    assert [trial.name for trial in longest_first(sweep.trials(), seconds)] == [
        "f8-max-s5", "f4-max-s5", "f2-max-s5", "f8-max-s1", "f4-max-s1", "f2-max-s1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("durations", "workers", "seconds"),
    [
        ([5.0, 3.0, 2.0], 1, 10.0),
        ([5.0, 3.0, 2.0], 2, 5.0),
        ([9.0, 2.0, 2.0, 2.0], 2, 9.0),  # the longest alone takes that long
        ([2.0, 2.0, 2.0], 2, 4.0),
        ([3.0], 4, 3.0),
    ],
)
def test_each_trial_goes_to_the_first_trainer_that_is_free(
    durations: list[float], workers: int, seconds: float
) -> None:
    assert wall_seconds(durations, workers) == seconds
