"""Order, seeds, stopping and divergence of the training loop."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from cnn_pipeline.data.dataset import Split
from cnn_pipeline.network.build import build_model, build_twin
from cnn_pipeline.network.device import Device
from cnn_pipeline.network.engines.keras_fit import KerasEngine
from cnn_pipeline.network.history import Epoch, History, out_of_patience
from cnn_pipeline.network.train import Callback, Diverged, epoch_order, train
from cnn_pipeline.settings.trial import Training, Variant

SHAPE = (12, 12, 1)
VARIANT = Variant(filters=3, dense_units=8, dropout=0.25)
DEVICE = Device("cpu", "any", 2, fast_bfloat16=False)


def split(role: str, count: int) -> Split:
    """Two kinds of images: bright on the left or on the right, with noise."""
    rng = np.random.default_rng(len(role))
    labels = rng.integers(0, 2, count)
    images = rng.integers(0, 100, (count, *SHAPE))
    images[labels == 0, :, :6] += 120
    images[labels == 1, :, 6:] += 120
    return Split(role, images.astype(np.uint8), labels.astype(np.int64))


TRAIN, VALIDATION = split("train", 300), split("validation", 80)


def fit(
    training: Training, seed: int = 0, callbacks: tuple[Callback, ...] = ()
) -> tuple[keras.Model, History]:
    model = build_model(VARIANT, SHAPE, 2, seed=seed)
    twin = build_twin(model, VARIANT, precision="float32", seed=seed)
    return twin, train(twin, TRAIN, VALIDATION, training, DEVICE, seed=seed, callbacks=callbacks)


def weights_digest() -> str:
    """SHA-256 of the weights after two epochs; also called in a fresh process."""
    twin, _ = fit(Training(epochs=2, batch_size=32))
    return hashlib.sha256(b"".join(w.tobytes() for w in twin.get_weights())).hexdigest()


def test_it_learns_and_tells_every_epoch() -> None:
    _, history = fit(Training(epochs=4, batch_size=32, learning_rate=0.01))
    assert [epoch.epoch for epoch in history.epochs] == [0, 1, 2, 3]
    assert history.epochs[-1].val_accuracy > 0.95
    assert history.epochs[-1].loss < history.epochs[0].loss
    assert history.stop_reason == ""
    assert history.images_per_second > 0


def test_the_order_of_an_epoch_follows_from_seed_and_epoch_alone() -> None:
    order = epoch_order(7, 3, 1000)
    assert np.array_equal(np.sort(order), np.arange(1000))
    assert np.array_equal(order, epoch_order(7, 3, 1000))
    assert not np.array_equal(order, epoch_order(7, 4, 1000))
    assert not np.array_equal(order, epoch_order(8, 3, 1000))


def test_every_image_is_trained_once_an_epoch_the_last_batch_included() -> None:
    seen: list[int] = []

    class Spy(Callback):
        def on_images(self, epoch: int, images: int) -> None:
            seen.append(images)

    fit(Training(epochs=1, batch_size=299), callbacks=(Spy(),))
    assert max(seen) <= 300
    _, history = fit(Training(epochs=1, batch_size=299))
    assert len(history.epochs) == 1


def test_the_same_seed_gives_the_same_weights_after_other_work_and_in_another_process() -> None:
    here = weights_digest()
    fit(Training(epochs=1, batch_size=64), seed=5)
    assert weights_digest() == here
    code = (
        "from cnn_pipeline.network.device import configure; configure(2);"
        "from tests.network.test_train import weights_digest; print(weights_digest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == here


def test_another_seed_gives_other_weights() -> None:
    one, two = (fit(Training(epochs=1, batch_size=64), seed=seed)[0] for seed in (1, 2))
    assert not np.array_equal(one.get_weights()[0], two.get_weights()[0])


def test_it_stops_after_the_epoch_that_passes_the_threshold() -> None:
    _, history = fit(Training(epochs=50, batch_size=32, learning_rate=0.01, stop_at_accuracy=0.9))
    assert len(history.epochs) < 50
    assert history.epochs[-1].accuracy > 0.9
    assert all(epoch.accuracy <= 0.9 for epoch in history.epochs[:-1])
    assert "passed 0.9" in history.stop_reason


def test_a_loss_that_is_no_number_stops_with_the_remedy() -> None:
    model = build_model(VARIANT, SHAPE, 2, seed=0)
    twin = build_twin(model, VARIANT, precision="float32", seed=0)
    twin.set_weights([weight * np.float32(1e38) for weight in twin.get_weights()])
    with pytest.raises(Diverged, match=r"epoch 1: lower the learning rate, received 0.5"):
        train(twin, TRAIN, VALIDATION, Training(learning_rate=0.5), DEVICE, seed=0)


def test_callbacks_see_each_epoch_as_it_ends() -> None:
    told: list[Epoch] = []

    class Spy(Callback):
        def on_epoch(self, epoch: Epoch) -> None:
            told.append(epoch)

    _, history = fit(Training(epochs=2, batch_size=64), callbacks=(Spy(),))
    assert tuple(told) == history.epochs


def test_the_best_epoch_is_the_earliest_of_equals() -> None:
    def epoch(number: int, accuracy: float) -> Epoch:
        return Epoch(number, 1.0, 0.5, 1.0, accuracy, 0.001, 1.0)

    history = History((epoch(0, 0.7), epoch(1, 0.9), epoch(2, 0.9)), 3.0, 100.0, "")
    assert history.best.epoch == 1


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_every_optimizer_takes_its_learning_rate(optimizer: str) -> None:
    twin, history = fit(Training(epochs=1, batch_size=64, optimizer=optimizer, learning_rate=0.02))
    assert float(twin.optimizer.learning_rate) == pytest.approx(0.02)
    assert history.epochs[0].learning_rate == 0.02


def new_twin() -> keras.Model:
    model = build_model(VARIANT, SHAPE, 2, seed=0)
    return build_twin(model, VARIANT, precision="float32", seed=0)


def weights_after_epochs(training: Training) -> list[list[np.ndarray]]:
    """The weights that the validation of each epoch scores."""
    twin, seen = new_twin(), []

    class Spy(Callback):
        def on_epoch(self, epoch: Epoch) -> None:
            seen.append(twin.get_weights())

    history = train(twin, TRAIN, VALIDATION, training, DEVICE, seed=0, callbacks=(Spy(),))
    assert all(map(np.array_equal, twin.get_weights(), seen[-1]))
    loss = KerasEngine(twin, training, len(TRAIN.labels)).evaluate(VALIDATION)[0]
    assert loss == pytest.approx(history.epochs[-1].val_loss, abs=1e-5)
    return seen


def test_an_average_is_scored_and_kept_and_changes_no_step() -> None:
    """One step an epoch, so that the weights after every step are known."""
    training = Training(epochs=3, batch_size=300)
    steps = weights_after_epochs(training)
    averaged = weights_after_epochs(training.model_copy(update={"ema_momentum": 0.75}))
    wanted = steps[0]
    for weights, averages in zip(steps, averaged, strict=True):
        wanted = [0.75 * a + 0.25 * w for a, w in zip(wanted, weights, strict=True)]
        for mine, theirs in zip(wanted, averages, strict=True):
            np.testing.assert_allclose(theirs, mine, atol=1e-6)
    assert not np.allclose(steps[-1][0], averaged[-1][0], atol=1e-4)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_cosine_ends_at_nought_and_is_told_epoch_by_epoch(optimizer: str) -> None:
    """300 images in batches of 64 are 5 steps an epoch, the last of which counts."""
    seen: list[float] = []

    class Spy(Callback):
        def on_epoch(self, epoch: Epoch) -> None:
            seen.append(float(twin.optimizer.learning_rate))

    training = Training(
        epochs=4, batch_size=64, optimizer=optimizer, learning_rate=0.02, schedule="cosine"
    )
    twin = new_twin()
    history = train(twin, TRAIN, VALIDATION, training, DEVICE, seed=0, callbacks=(Spy(),))
    told = [epoch.learning_rate for epoch in history.epochs]
    assert told[0] == 0.02 and told[2] == pytest.approx(0.01)
    # A rate after an epoch is that of the next one's first step.
    assert seen == pytest.approx([*told[1:], 0], abs=1e-8)


def test_patience_ends_with_the_weights_of_the_best_epoch() -> None:
    """A huge learning rate makes later epochs worse than an earlier one."""
    kept: list[list[np.ndarray]] = []

    class Spy(Callback):
        def on_epoch(self, epoch: Epoch) -> None:
            kept.append(twin.get_weights())

    training = Training(epochs=30, batch_size=64, learning_rate=0.003, patience=2)
    twin = new_twin()
    history = train(twin, TRAIN, VALIDATION, training, DEVICE, seed=0, callbacks=(Spy(),))
    best = history.best.epoch
    accuracies = [epoch.val_accuracy for epoch in history.epochs]
    assert best == accuracies.index(max(accuracies))
    assert len(history.epochs) == best + 3
    assert history.kept is history.best
    assert history.stop_reason == (
        f"validation accuracy did not pass the {max(accuracies):.4f} of epoch {best + 1} in "
        "2 epochs, and its weights are kept"
    )
    for mine, wanted in zip(twin.get_weights(), kept[best], strict=True):
        assert np.array_equal(mine, wanted)
    assert not np.array_equal(twin.get_weights()[0], kept[-1][0])


@pytest.mark.parametrize(
    ("accuracies", "patience", "over"),
    [
        ([], 1, False),
        ([0.5], 1, False),
        ([0.5, 0.5], 1, True),  # an equal one is no better
        ([0.5, 0.4, 0.6], 1, False),
        ([0.5, 0.4, 0.4], 2, True),
        ([0.5, 0.4, 0.4], 3, False),
        ([0.5, 0.4, 0.4], None, False),
    ],
)
def test_patience_counts_epochs_since_the_best_one(
    accuracies: list[float], patience: int | None, over: bool
) -> None:
    assert out_of_patience(accuracies, patience) is over
