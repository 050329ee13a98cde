"""Latency of a model, with a clock that the test controls."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from cnn_pipeline.network import latency
from cnn_pipeline.network.latency import LARGE_BATCH, Latency, Timed, measure_in_turn

IMAGES = np.zeros((10, 4, 4, 1), np.uint8)


class Model:
    """Answers after a scripted number of seconds, then after `steady` milliseconds an image."""

    def __init__(self, first: dict[int, list[float]], steady: dict[int, float]) -> None:
        self.first = first
        self.steady = steady
        self.now = 0.0
        self.calls: list[int] = []

    def clock(self) -> float:
        return self.now

    def __call__(self, images: np.ndarray) -> np.ndarray:
        size = len(images)
        left = self.first.get(size)
        self.now += left.pop(0) if left else self.steady[size] * size / 1000
        self.calls.append(size)
        return np.full((size, 2), 0.5, np.float32)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> tuple[Model, Timed]:
    model = Model({1: [3.0], LARGE_BATCH: [5.0]}, {1: 2.0, LARGE_BATCH: 0.5, 7: 9.0})
    monkeypatch.setattr(latency.time, "perf_counter", model.clock)
    return model, Timed(model)


def test_the_answers_are_those_of_the_model(timed: tuple[Model, Timed]) -> None:
    _, predict = timed
    assert predict(IMAGES[:7]).shape == (7, 2)


def test_a_first_call_of_a_size_which_may_trace_does_not_count(timed: tuple[Model, Timed]) -> None:
    _, predict = timed
    found = predict.latency(IMAGES)
    assert (found.batch_1, found.batch_256) == pytest.approx((2.0, 0.5))


def test_calls_of_an_evaluation_count_and_are_not_made_again(timed: tuple[Model, Timed]) -> None:
    model, predict = timed
    for _ in range(8):
        predict(np.zeros((LARGE_BATCH, 4, 4, 1), np.uint8))
    predict(IMAGES[:7])  # the last batch of a split has another size and does not count
    assert predict.latency(IMAGES).batch_256 == pytest.approx(0.5)
    assert model.calls.count(LARGE_BATCH) == 8


def test_few_images_are_repeated_to_fill_a_batch(timed: tuple[Model, Timed]) -> None:
    model, predict = timed
    predict.latency(IMAGES)
    assert model.calls.count(LARGE_BATCH) == 6


def test_it_is_the_median_so_one_interruption_changes_nothing(timed: tuple[Model, Timed]) -> None:
    model, predict = timed
    model.first[LARGE_BATCH] = [5.0, 100.0]
    found = predict.latency(IMAGES)
    assert found == Latency(pytest.approx(2.0), pytest.approx(0.5))


def test_a_ratio_measured_in_turn_does_not_change_with_the_load_of_the_host() -> None:
    """The host is up to 40 times slower from one pair of calls to the next."""
    now = 0.0
    calls = 0

    def model(seconds: float) -> Callable[[np.ndarray], np.ndarray]:
        def predict(image: np.ndarray) -> np.ndarray:
            nonlocal now, calls
            pair, calls = (calls - 2) // 2, calls + 1
            now += seconds * (1 + 39 * (pair % 7) / 6)
            return image

        return predict

    image = np.zeros((1, 2, 2, 1), dtype=np.uint8)
    both = measure_in_turn(model(0.003), model(0.002), image, clock=lambda: now)
    assert both.ratio == pytest.approx(1.5)
    assert both.first_ms == pytest.approx(3.0 * 20.5)


def test_a_busy_host_slows_both_models() -> None:
    """Twice as many busy loops as cores: each call takes longer, and the ratio stays."""
    numbers = np.random.default_rng(0).random(20_000)

    def model(times: int) -> Callable[[np.ndarray], np.ndarray]:
        return lambda image: np.sort(np.tile(numbers, (times, 1)))

    loops = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(2 * (os.cpu_count() or 1))
    ]
    try:
        both = measure_in_turn(model(2), model(1), numbers)
    finally:
        for loop in loops:
            loop.kill()
        for loop in loops:
            loop.wait()
    assert 1.5 < both.ratio < 2.7
