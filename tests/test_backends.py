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

from cnn_pipeline.data import load_dataset
from cnn_pipeline.devices import backend_faults
from cnn_pipeline.paths import Home
from cnn_pipeline.tracking import Reader, Store
from tests.running import DEADLINE, SAMPLE, one_trial

SWEEP = """
import sys
from pathlib import Path
from cnn_pipeline import experiment
from cnn_pipeline.config import Sweep
from cnn_pipeline.paths import Home

outcome = experiment.run_sweep(Sweep.model_validate_json(sys.argv[2]), Home(Path(sys.argv[1])))
print(outcome.results[0].run_id)
assert outcome.ok
"""

SCAN = """
import numpy as np
from benchmarks.scan import Scan
from cnn_pipeline.config import Training, Variant
from cnn_pipeline.data import Split
from cnn_pipeline.engines.keras_fit import KerasEngine
from cnn_pipeline.models import build_model, build_twin
from cnn_pipeline.training import epoch_order

COUNT, EPOCHS = 45, 2  # the last batch of 16 is shorter
variant = Variant(filters=4, conv_layers=1, dense_units=8)
# Adam divides a gradient near nought by itself: rounding would become a step.
training = Training(optimizer="sgd", learning_rate=0.1, batch_size=16)
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (COUNT, 28, 28, 1), dtype=np.uint8)
split = Split("train", images, rng.integers(0, 10, COUNT))

def twin(seed):
    model = build_model(variant, (28, 28, 1), 10, seed=seed)
    return build_twin(model, variant, precision="float32", seed=seed)

def orders(seeds, epoch):
    return [epoch_order(seed, epoch, COUNT) for seed in seeds]

def by_fit(seed):
    model = twin(seed)
    engine = KerasEngine(model, training)
    found = [engine.epoch(split, *orders([seed], epoch), lambda n: None) for epoch in range(EPOCHS)]
    return found, model.get_weights()

expected = [by_fit(seed) for seed in (0, 1)]
for seeds in ((0,), (1,), (0, 1)):
    models = [twin(seed) for seed in seeds]
    scan = Scan(models, training)
    found = [scan.epoch(split, orders(seeds, epoch)) for epoch in range(EPOCHS)]
    for place, seed in enumerate(seeds):
        numbers, weights = expected[seed]
        np.testing.assert_allclose([epoch[place] for epoch in found], numbers, rtol=1e-5)
        for one, other in zip(models[place].get_weights(), weights, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
normalised = Variant(filters=4, conv_layers=1, batch_norm=True)
try:
    Scan([build_model(normalised, (28, 28, 1), 10, seed=0)], training)
except ValueError as error:
    print(error)
"""


def run_on_jax(home: Home) -> str:
    """Id of the run of a small network, trained on JAX."""
    done = subprocess.run(
        [sys.executable, "-c", SWEEP, str(home.root), one_trial().model_dump_json()],
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
        env={**os.environ, "KERAS_BACKEND": "jax"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_the_pipeline_runs_on_jax_repeats_itself_and_its_model_serves_on_tensorflow(
    home: Home, tmp_path: Path, need: Callable[[bool, str], None]
) -> None:
    need(find_spec("jax") is not None, 'JAX: pip install --editable ".[jax]"')
    first, second = run_on_jax(home), run_on_jax(home)
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

    reader = Reader(Store(home.database_uri, home.artifacts_uri))
    file = reader.model_file(reader.model(first), tmp_path)
    assert keras.backend.backend() == "tensorflow"
    model = keras.saving.load_model(file, compile=False, safe_mode=True)
    images = load_dataset(SAMPLE, tmp_path).test.images
    table = pd.read_parquet(client.download_artifacts(first, "predictions.parquet"))
    on_jax = table[[f"p{k}" for k in range(10)]].to_numpy()
    np.testing.assert_allclose(model.predict(images, verbose=0), on_jax, atol=1e-5)


@pytest.mark.slow
def test_the_candidate_for_a_gpu_computes_what_fit_does_also_for_two_seeds_at_once(
    need: Callable[[bool, str], None],
) -> None:
    need(find_spec("jax") is not None, 'JAX: pip install --editable ".[jax]"')
    done = subprocess.run(
        [sys.executable, "-c", SCAN],
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
        env={**os.environ, "KERAS_BACKEND": "jax"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "a model without batch normalisation is required\n"


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
