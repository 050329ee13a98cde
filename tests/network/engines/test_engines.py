"""All engines compute the same; parts of a batch and chunks of steps change nothing."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from cnn_pipeline.data.dataset import Split
from cnn_pipeline.network.build import build_model, build_twin
from cnn_pipeline.network.class_weights import class_weights
from cnn_pipeline.network.compiled import operations
from cnn_pipeline.network.compiled.operations import LEAST_CHANNELS
from cnn_pipeline.network.device import Device
from cnn_pipeline.network.engines import Engine, chunks, engine_for, graph
from cnn_pipeline.network.engines.fused_adam import FusedAdam
from cnn_pipeline.network.engines.graph import GraphEngine
from cnn_pipeline.network.engines.keras_fit import KerasEngine
from cnn_pipeline.settings.trial import Training, Variant

SHAPE = (12, 12, 1)
PLAIN = Variant(filters=3, dense_units=8)
NORMALISED = Variant(filters=3, dense_units=8, batch_norm=True)
TRAINING = Training(batch_size=32, learning_rate=0.01)
# 10 batches an epoch, the last one of 12: halves and thirds of both are of unequal size.
COUNT = 300


def split(count: int = COUNT) -> Split:
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (count, *SHAPE)).astype(np.uint8)
    return Split("train", images, rng.integers(0, 2, count).astype(np.int64))


def twin(variant: Variant = PLAIN) -> keras.Model:
    model = build_model(variant, SHAPE, 2, seed=0)
    return build_twin(model, variant, precision="float32", seed=0)


Trained = tuple[list[np.ndarray], list[float]]


def trained(engine: Engine, model: keras.Model, data: Split) -> Trained:
    """Weights, their averages if there are some, and the four numbers of two epochs."""
    numbers: list[float] = []
    for epoch in range(2):
        order = np.random.default_rng(epoch).permutation(len(data.labels))
        numbers += engine.epoch(data, order, lambda images, sums: None)
        numbers += engine.evaluate(data)
    weights = list(model.get_weights())
    if model.optimizer.use_ema:
        model.optimizer.finalize_variable_values(model.trainable_weights)
        weights += model.get_weights()
    return weights, numbers


def graph_trained(threads: int, variant: Variant = PLAIN, training: Training = TRAINING) -> Trained:
    model = twin(variant)
    return trained(GraphEngine(model, training, COUNT, threads), model, split())


def keras_trained(variant: Variant = PLAIN, training: Training = TRAINING) -> Trained:
    model = twin(variant)
    return trained(KerasEngine(model, training, COUNT), model, split())


def assert_close(one: Trained, other: Trained, tolerance: float) -> None:
    for mine, theirs in zip(one[0], other[0], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=tolerance)
    np.testing.assert_allclose(one[1], other[1], atol=tolerance)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize(("schedule", "momentum"), [("constant", 0.0), ("cosine", 0.9)])
def test_the_graph_trains_as_keras_does_but_for_rounding(
    threads: int, optimizer: str, schedule: str, momentum: float
) -> None:
    changed = {"optimizer": optimizer, "schedule": schedule, "ema_momentum": momentum, "epochs": 2}
    training = TRAINING.model_copy(update=changed)
    assert_close(graph_trained(threads, training=training), keras_trained(training=training), 2e-4)


def unequal_split() -> Split:
    """Every sixth image is of class 1."""
    plain = split()
    return Split("train", plain.images, (np.arange(COUNT) % 6 == 0).astype(np.int64))


@pytest.mark.parametrize("threads", [0, 1, 3])  # 0 is Keras' own engine
def test_class_weights_train_as_those_of_keras_fit(threads: int) -> None:
    """300 images, of which 50 are of class 1: n / (k * n_class) is 0.6 and 3."""
    data, training = unequal_split(), TRAINING.model_copy(update={"class_weights": "balanced"})
    weights = class_weights(training, data.labels, 2)
    assert weights is not None and weights.tolist() == pytest.approx([0.6, 3.0])

    fitted = twin()
    fitted.compile(
        optimizer=keras.optimizers.Adam(TRAINING.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    numbers: list[float] = []
    for epoch in range(2):
        order = np.random.default_rng(epoch).permutation(COUNT)
        told = fitted.fit(
            data.images[order], data.labels[order], batch_size=32, shuffle=False, verbose=0,
            class_weight={0: 0.6, 1: 3.0},
        ).history  # fmt: skip
        numbers += [told["loss"][0], told["accuracy"][0]]
        numbers += fitted.evaluate(data.images, data.labels, verbose=0)

    model = twin()
    engine: Engine = (
        GraphEngine(model, training, COUNT, threads, weights)
        if threads
        else KerasEngine(model, training, COUNT, weights)
    )
    ours = trained(engine, model, data)
    assert_close(ours, (list(fitted.get_weights()), numbers), 2e-4)
    other = twin()
    without = trained(GraphEngine(other, TRAINING, COUNT, 1), other, data)
    assert abs(without[1][0] - ours[1][0]) > 0.01


def test_no_class_weights_are_no_weights() -> None:
    assert class_weights(TRAINING, split().labels, 2) is None


def test_a_class_without_training_images_takes_no_weight_from_the_others() -> None:
    training = TRAINING.model_copy(update={"class_weights": "balanced"})
    weights = class_weights(training, np.array([0, 0, 0, 2]), 3)
    assert weights is not None and weights.tolist() == pytest.approx([4 / 6, 1, 2])


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_weights_decay_by_a_share_of_the_learning_rate_in_both_engines(optimizer: str) -> None:
    changed = {"optimizer": optimizer, "learning_rate": 1e-6, "weight_decay": 0.0}
    plain = TRAINING.model_copy(update=changed)
    decayed = plain.model_copy(update={"weight_decay": 1e4})
    steps = 2 * 10  # of two epochs
    without, found = graph_trained(2, training=plain), graph_trained(2, training=decayed)
    for before, after in zip(without[0], found[0], strict=True):
        # The gradients of such a small rate move a weight by less than the tolerance.
        np.testing.assert_allclose(after, before * (1 - 1e-6 * 1e4) ** steps, atol=2e-4)
    assert_close(found, keras_trained(training=decayed), 2e-4)


@pytest.mark.parametrize("activation", ["gelu", "leaky_relu", "silu", "tanh"])
def test_activations_train_as_keras_does_but_for_rounding(activation: str) -> None:
    variant = Variant(filters=LEAST_CHANNELS, dense_units=8, activation=activation)
    training = TRAINING.model_copy(update={"optimizer": "sgd", "schedule": "one-cycle"})
    assert_close(graph_trained(2, variant, training), keras_trained(variant, training), 2e-4)


@pytest.mark.parametrize("pooling", ["max", "average", "none"])
@pytest.mark.parametrize("threads", [1, 3])
def test_compiled_convolutions_train_as_direct_sums_do_but_for_rounding(
    monkeypatch: pytest.MonkeyPatch, threads: int, pooling: str
) -> None:
    variant = Variant(filters=LEAST_CHANNELS, dense_units=8, pooling=pooling)
    training = TRAINING.model_copy(update={"optimizer": "sgd"})
    compiled = graph_trained(threads, variant, training)
    monkeypatch.setattr(operations, "on_processor", lambda: False)
    assert_close(compiled, graph_trained(threads, variant, training), 2e-4)


def test_equal_trainings_with_compiled_convolutions_give_equal_bits() -> None:
    variant = Variant(filters=LEAST_CHANNELS, dense_units=8)
    first, second = graph_trained(2, variant), graph_trained(2, variant)
    assert first[1] == second[1]
    for one, other in zip(first[0], second[0], strict=True):
        assert np.array_equal(one, other)


def test_a_batch_that_is_normalised_as_one_is_not_cut() -> None:
    one = graph_trained(1, NORMALISED)
    for mine, cut in zip(one[0], graph_trained(3, NORMALISED)[0], strict=True):
        assert np.array_equal(mine, cut)
    assert_close(one, keras_trained(NORMALISED), 2e-3)


@pytest.mark.parametrize("variant", [PLAIN, NORMALISED])
def test_the_steps_of_one_call_change_no_bit(
    monkeypatch: pytest.MonkeyPatch, variant: Variant
) -> None:
    """How many there are follows from the machine's speed."""
    before = graph_trained(2, variant)
    monkeypatch.setattr(chunks, "_FIRST_CHUNK", 3)
    monkeypatch.setattr(chunks, "SECONDS_BETWEEN_TOLD", 0.0)  # then one step a call
    after = graph_trained(2, variant)
    assert before[1] == after[1]
    for one, other in zip(before[0], after[0], strict=True):
        assert np.array_equal(one, other)


def test_steps_and_scores_are_traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches, chunks and the last batch differ in length; each trace takes 0.2 s."""
    traced: list[str] = []
    for name in ("_step", "_score"):
        method = getattr(GraphEngine, name)

        def counted(*given: Any, name: str = name, method: Any = method) -> Any:
            traced.append(name)
            return method(*given)

        monkeypatch.setattr(GraphEngine, name, counted)
    monkeypatch.setattr(graph, "EVALUATION_BATCH", 250)
    graph_trained(2)
    assert sorted(traced) == ["_score", "_step"]


@pytest.mark.parametrize("rest", [1, 2])
def test_a_last_batch_of_fewer_images_than_threads_is_trained_too(rest: int) -> None:
    model = twin()
    data = split(64 + rest)
    engine = GraphEngine(model, TRAINING, 64 + rest, 4)
    other = twin()
    fitting = KerasEngine(other, TRAINING, 64 + rest)
    assert_close(trained(engine, model, data), trained(fitting, other, data), 2e-4)


def test_images_are_told_while_they_are_trained() -> None:
    model = twin()
    told: list[int] = []
    engine = GraphEngine(model, TRAINING, COUNT, 1)
    engine.epoch(split(), np.arange(COUNT), lambda images, sums: told.append(images))
    assert told == sorted(told) and told[-1] == COUNT // 32 * 32


@pytest.mark.parametrize(("kind", "expected"), [("cpu", GraphEngine), ("gpu", KerasEngine)])
def test_the_graph_is_for_processors(kind: str, expected: type) -> None:
    device = Device(kind, "any", 1, fast_bfloat16=False)
    assert isinstance(engine_for(twin(), TRAINING, COUNT, device), expected)


def test_the_fused_adam_is_keras_adam_but_for_rounding() -> None:
    """Five steps of 0.01 on gradients of very different sizes, to a ten-thousandth of a step."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=(7, 5)).astype(np.float32)
    gradients = [(rng.normal(size=(7, 5)) * 10.0**-k).astype(np.float32) for k in range(5)]
    ended = []
    for kind in (keras.optimizers.Adam, FusedAdam):
        variable = keras.Variable(start)
        optimizer = kind(0.01)
        for gradient in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        ended.append([keras.ops.convert_to_numpy(v) for v in (variable, *optimizer.variables)])
    for plain, fused in zip(*ended, strict=True):
        np.testing.assert_allclose(fused, plain, rtol=2e-6, atol=1e-6)
    assert not np.allclose(ended[0][0], start, atol=1e-3)
