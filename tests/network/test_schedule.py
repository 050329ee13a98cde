"""Learning rates along a training."""

from __future__ import annotations

import pytest

from cnn_pipeline.network.schedule import first_rate, learning_rate
from cnn_pipeline.settings.trial import Training

IMAGES = 300  # 5 steps an epoch


def one_cycle(epochs: int) -> Training:
    return Training(epochs=epochs, batch_size=64, learning_rate=0.02, schedule="one-cycle")


def test_one_cycle_rises_for_30_percent_and_falls_to_nought() -> None:
    rates = [float(learning_rate(one_cycle(4), IMAGES)(step)) for step in range(21)]
    assert rates[0] == pytest.approx(0.02 / 25)
    assert rates[3] == pytest.approx(0.02 / 25 + (0.02 - 0.02 / 25) / 2)  # half of the way up
    assert rates[6] == max(rates) == pytest.approx(0.02)
    assert rates[13] == pytest.approx(0.01)  # half of the way down
    assert rates[20] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
@pytest.mark.parametrize("epochs", [1, 2, 3, 10])
def test_an_epoch_is_told_the_rate_of_its_first_step(schedule: str, epochs: int) -> None:
    training = one_cycle(epochs).model_copy(update={"schedule": schedule})
    rate = learning_rate(training, IMAGES)
    for epoch in range(epochs):
        found = rate if isinstance(rate, float) else float(rate(5 * epoch))
        assert first_rate(training, IMAGES, epoch) == pytest.approx(found, rel=1e-5)


def test_a_training_of_one_step_has_nothing_to_rise_in() -> None:
    training = one_cycle(1).model_copy(update={"batch_size": 300})
    assert float(learning_rate(training, IMAGES)(0)) == pytest.approx(0.02)
    assert first_rate(training, IMAGES, 0) == pytest.approx(0.02)
