"""Latency of a model, with a clock that the test controls."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_pipeline.network import latency
from cnn_pipeline.network.latency import LARGE_BATCH, Latency, Timed

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
