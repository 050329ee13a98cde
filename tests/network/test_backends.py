"""Keras' other backend: the same pipeline on JAX, on the processor."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.home import Home
from cnn_pipeline.base.machine import backend_faults
from cnn_pipeline.data.dataset import load_dataset
from cnn_pipeline.experiment.run import run_sweep
from cnn_pipeline.tracking.models import copy_model_file, stored_model
from cnn_pipeline.tracking.store import Store
from tests.running import DEADLINE, SAMPLE, one_trial

ENGINES = """
import numpy as np
from cnn_pipeline.settings.trial import Training, Variant
from cnn_pipeline.data.dataset import Split
from cnn_pipeline.network.device import Device
from cnn_pipeline.network.engines import chunks, engine_for, jax_loop
from cnn_pipeline.network.engines.keras_fit import KerasEngine
from cnn_pipeline.network.build import build_model, build_twin
from cnn_pipeline.network.train import epoch_order

COUNT, EPOCHS, SHAPE = 300, 2, (12, 12, 1)  # the last batch of 32 has 12 images
# Adam divides a gradient near nought by itself: rounding becomes a step.
TOLERANCE = {"sgd": 1e-5, "adam": 2e-4}
optimizer, schedule, momentum = "sgd", "constant", 0.0
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (COUNT, *SHAPE), dtype=np.uint8)
split = Split("train", images, rng.integers(0, 10, COUNT))
told, compiled = [], []

def tell(images, sums):
    told.append(images)

step = jax_loop.JaxEngine._step
jax_loop.JaxEngine._step = lambda self, *given: compiled.append(len(given[2])) or step(self, *given)

def training():
    return Training(optimizer=optimizer, learning_rate=0.1 if optimizer == "sgd" else 0.01,
                    batch_size=32, epochs=EPOCHS, schedule=schedule, ema_momentum=momentum)

def trained(kind, variant, count=COUNT):
    del told[:], compiled[:]
    model = build_model(variant, SHAPE, 10, seed=0)
    twin = build_twin(model, variant, precision="float32", seed=0)
    engine = kind(twin)
    some = Split("train", images[:count], split.labels[:count])
    numbers = []
    for epoch in range(EPOCHS):
        numbers += engine.epoch(some, epoch_order(0, epoch, count), tell)
        numbers += engine.evaluate(some)
    weights = twin.get_weights()
    if momentum:
        twin.optimizer.finalize_variable_values(twin.trainable_weights)
        weights += twin.get_weights()
    return numbers, weights

weights = None

def by_fit(twin):
    return KerasEngine(twin, training(), COUNT, weights)

def by_loop(twin):
    device = Device("gpu", "any", 1, fast_bfloat16=True)
    engine = engine_for(twin, training(), COUNT, device, weights)
    assert isinstance(engine, jax_loop.JaxEngine)
    return engine

def assert_close(one, other):
    np.testing.assert_allclose(one[0], other[0], rtol=TOLERANCE[optimizer])
    for mine, theirs in zip(one[1], other[1], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=TOLERANCE[optimizer])

plain = Variant(filters=4, dense_units=8)
dropping = plain.model_copy(update={"dropout": 0.5})
first_chunk, between = chunks._FIRST_CHUNK, chunks.SECONDS_BETWEEN_TOLD
for optimizer in TOLERANCE:
    for variant in (plain, dropping):
        chunks._FIRST_CHUNK, chunks.SECONDS_BETWEEN_TOLD = first_chunk, between
        fitted, first = trained(by_fit, variant), trained(by_loop, variant)
        assert_close(fitted, first)
        assert told == EPOCHS * [COUNT] and compiled == [32], (told, compiled)
        # Three steps a call, of which the second tells how long one takes; then one.
        chunks._FIRST_CHUNK, chunks.SECONDS_BETWEEN_TOLD = 3, 0.0
        again = trained(by_loop, variant)
        assert told == [96, *range(192, 300, 32), 300, *range(32, 300, 32), 300], told
        assert compiled == [32], compiled
        assert first[0] == again[0]
        assert all(np.array_equal(a, b) for a, b in zip(first[1], again[1], strict=True))

schedule, momentum = "cosine", 0.9
assert_close(trained(by_fit, plain), trained(by_loop, plain))

optimizer, schedule, momentum = "sgd", "constant", 0.0
normalised = plain.model_copy(update={"batch_norm": True})
assert_close(trained(by_fit, normalised), trained(by_loop, normalised))
assert compiled == [32, 12] and told[-1] == COUNT, (compiled, told)
unweighted = trained(by_loop, plain)
weights = np.linspace(0.2, 1.8, 10, dtype=np.float32)
assert_close(trained(by_fit, plain), trained(by_loop, plain))
assert abs(trained(by_loop, plain)[0][0] - unweighted[0][0]) > 1e-3
weights = None
for count in (64, 20):  # no shorter last batch, no other
    for variant in (plain, normalised):
        assert_close(trained(by_loop, variant, count), trained(by_fit, variant, count))
"""


@pytest.mark.slow
def test_the_pipeline_runs_on_jax_repeats_itself_and_its_model_serves_on_tensorflow(
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    need: Callable[[bool, str], None],
) -> None:
    need(find_spec("jax") is not None, 'JAX: pip install --editable ".[jax]"')
    with monkeypatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "jax")  # for the trainers; this process is on TensorFlow
        outcomes = [run_sweep(one_trial(), home, force=True) for _ in range(2)]
    assert all(outcome.ok for outcome in outcomes)
    first, second = (outcome.results[0].run_id for outcome in outcomes)
    assert first != second
    client = MlflowClient(home.database_uri)
    runs = [client.get_run(run_id) for run_id in (first, second)]
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.data.tags["keras_backend"] == "jax"
        assert run.data.tags["version.jax"].startswith("0.")
    scores = [
        {key: run.data.metrics[key] for key in ("loss", "val_loss", "test_loss", "test_accuracy")}
        for run in runs
    ]
    assert scores[0] == scores[1]

    store = Store(home.database_uri, home.artifacts_uri)
    file = copy_model_file(store, stored_model(store, first).model_id, tmp_path)
    assert keras.backend.backend() == "tensorflow"
    model = keras.saving.load_model(file, compile=False, safe_mode=True)
    images = load_dataset(SAMPLE, tmp_path).test.images
    table = pd.read_parquet(client.download_artifacts(first, "predictions.parquet"))
    on_jax = table[[f"p{k}" for k in range(10)]].to_numpy()
    np.testing.assert_allclose(model.predict(images, verbose=0), on_jax, atol=1e-5)


@pytest.mark.slow
def test_jax_in_a_loop_for_gpus_computes_what_fit_does_in_one_program(
    tmp_path: Path, need: Callable[[bool, str], None]
) -> None:
    need(find_spec("jax") is not None, 'JAX: pip install --editable ".[jax]"')
    done = subprocess.run(
        [sys.executable, "-c", ENGINES],
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            # Two thirds of the time would be XLA's, on programs that run for milliseconds.
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
            "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        },
    )
    assert done.returncode == 0, done.stderr


def test_a_backend_that_is_not_there_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert backend_faults() == ["KERAS_BACKEND must be one of tensorflow, jax, received 'torch'"]
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    (fault,) = backend_faults(lambda name: None)
    assert '".[jax]"' in fault
    assert backend_faults(lambda name: object()) == []
    monkeypatch.delenv("KERAS_BACKEND")
    assert backend_faults() == []


def test_the_command_line_refuses_it_before_anything_starts(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cnn_pipeline.cli", "run", "--home", str(tmp_path / "home")],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env={**os.environ, "KERAS_BACKEND": "torch"},
    )
    assert done.returncode == 2
    assert "KERAS_BACKEND must be one of tensorflow, jax" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "home").exists()
