"""Logged models: write, find, and verify when loading."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from mlflow.utils import environment, requirements_utils

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion import find_model
from cnn_pipeline.data.dataset import load_dataset
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.network.build import build_model
from cnn_pipeline.settings.trial import Variant
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.models import log_model, stored_model
from cnn_pipeline.tracking.store import Store, open_store
from cnn_pipeline.tracking.writer import Tracker
from tests.running import SAMPLE, one_trial
from tests.tracking.test_patience import after


def begun(home: Home) -> tuple[Store, str, str]:
    """A store with a trial's run that has begun: experiment and run id."""
    tracker = Tracker(open_store(home, {}))
    experiment_id = tracker.experiment("scripted-cnn")
    (trial,) = one_trial().trials()
    run_id = tracker.start_trial(experiment_id, "none", "scripted-1", trial, {})
    return tracker.store, experiment_id, run_id


def test_a_logged_model_answers_as_it_was_scored(tiny: tuple[Home, Outcome]) -> None:
    home, outcome = tiny
    store = open_store(home, {}, create=False)
    result = outcome.results[1]
    model = find_model.load_model(store, stored_model(store, result.run_id))
    test = load_dataset(SAMPLE, Path("unused")).test
    answers = model.predict_on_batch(test.images).argmax(axis=1)
    assert (answers == test.labels).mean() == result.metrics["test_accuracy"]


@pytest.fixture
def copied(tiny: tuple[Home, Outcome]) -> Iterator[tuple[Store, str, Path]]:
    """A store, a finished run, and its model's file, which is restored after the test."""
    home, outcome = tiny
    store = open_store(home, {}, create=False)
    stored = stored_model(store, outcome.results[0].run_id)
    (path,) = home.artifacts.rglob(f"{stored.model_id}/**/model.keras")
    safe = path.with_suffix(".safe")
    shutil.copy2(path, safe)
    yield store, outcome.results[0].run_id, path
    safe.replace(path)


def test_a_flipped_bit_in_a_model_is_refused(copied: tuple[Store, str, Path]) -> None:
    store, run_id, path = copied
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=r"must have SHA-256 .* damaged or was replaced"):
        find_model.load_model(store, stored_model(store, run_id))


def test_a_missing_model_is_refused(copied: tuple[Store, str, Path]) -> None:
    store, run_id, path = copied
    path.unlink()
    with pytest.raises(
        UserError, match=r"must be in the store.*it is missing from the artifacts.*backup"
    ):
        find_model.load_model(store, stored_model(store, run_id))


def test_a_run_without_a_model_is_named(tiny: tuple[Home, Outcome]) -> None:
    home, outcome = tiny
    store = open_store(home, {}, create=False)
    failed = outcome.results[2]
    with pytest.raises(UserError, match=r"diverging-s0 .* has no model: its status is FAILED"):
        stored_model(store, failed.run_id)
    with pytest.raises(UserError, match="no run 'f0f0'"):
        stored_model(store, "f0f0")


def test_a_run_goes_on_after_its_model_is_logged(home: Home) -> None:
    """MLflow's context manager would end it as FINISHED; killed then, it would seem complete."""
    store, experiment_id, run_id = begun(home)
    model = build_model(Variant(filters=1, conv_layers=1, dense_units=2), (8, 9, 3), 4, seed=0)
    logged = log_model(store, run_id, model, {"batch_norm": True}, {"variant": "any"})
    client = MlflowClient(home.database_uri)
    assert client.get_run(run_id).info.status == "RUNNING"
    stored = client.get_logged_model(logged.model_id)
    assert stored.params == {"batch_norm": "true"}
    (path,) = home.artifacts.rglob("model.keras")
    payload = path.read_bytes()
    assert (logged.experiment_id, logged.num_bytes, logged.sha256) == (
        experiment_id,
        len(payload),
        hashlib.sha256(payload).hexdigest(),
    )
    assert '"shape": [-1, 8, 9, 3]' in " ".join(
        (path.parent.parent / "MLmodel").read_text().split()
    )


@pytest.mark.parametrize("lost", ["create_logged_model", "log_outputs", "finalize_logged_model"])
def test_a_lost_reply_makes_no_second_model(
    home: Home, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    store, experiment_id, run_id = begun(home)
    model = build_model(Variant(filters=1, conv_layers=1, dense_units=2), (8, 9, 3), 4, seed=0)
    after(monkeypatch, lost)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    first = log_model(store, run_id, model, {}, {})
    assert log_model(store, run_id, model, {}, {}) == first  # the process died before 'complete'
    client = MlflowClient(home.database_uri)
    (kept,) = client.search_logged_models([experiment_id])
    assert (kept.model_id, kept.status) == (first.model_id, "READY")
    given = {names.IMAGE_SHAPE: "8x9x3", names.CLASS_NAMES: "[]", names.MODEL_SHA256: first.sha256}
    Tracker(store).tag(run_id, {**given, names.DATASET: "d", names.DATA_DIGEST: "1"})
    assert stored_model(store, run_id).model_id == first.model_id


def test_requirements_are_not_compared_with_what_is_installed_and_are_met(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check takes a second in each trainer and would find no mismatch, as shown here."""
    compared: list[list[str]] = []
    monkeypatch.setattr(environment, "warn_dependency_requirement_mismatches", compared.append)
    store, _, run_id = begun(home)
    model = build_model(Variant(filters=1, conv_layers=1, dense_units=2), (8, 9, 3), 4, seed=0)
    log_model(store, run_id, model, {}, {})
    assert compared == []
    environment.warn_dependency_requirement_mismatches(["afterwards"])
    assert compared == [["afterwards"]]
    (written,) = home.artifacts.rglob("requirements.txt")
    required = written.read_text().splitlines()
    assert len(required) == 4
    for requirement in required:
        assert requirements_utils._check_requirement_satisfied(requirement) is None
