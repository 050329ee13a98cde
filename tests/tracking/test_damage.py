"""What is no longer what was logged is not believed: predictions, models, artifacts."""

from __future__ import annotations

import io
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.check import check_champions
from cnn_pipeline.champion.register import open_registry, promote_run
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.services.doctor import FAIL, OK, WARN
from cnn_pipeline.services.doctor.leftovers import check_leftovers
from cnn_pipeline.services.doctor.store import check_store
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.moved import path_of
from cnn_pipeline.tracking.reader import DamagedRecord, Reader
from cnn_pipeline.tracking.store import open_store
from cnn_pipeline.tracking.verify import faults


@pytest.fixture
def copied(tiny: tuple[Home, Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy of a home with a finished sweep, which has its own addresses."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = Home(tmp_path / "copied home")
    shutil.copytree(tiny[0].root, home.root)
    open_store(home, {})
    return home


@pytest.fixture
def reader(copied: Home) -> Reader:
    return Reader(open_store(copied, {}))


@pytest.fixture
def trial(tiny: tuple[Home, Outcome]) -> TrialResult:
    return next(result for result in tiny[1].results if result.finished)


def file_of(reader: Reader, trial: TrialResult) -> Path:
    """The file with a trial's predictions."""
    run = MlflowClient(reader.store.uri).get_run(trial.run_id)
    return path_of(run.info.artifact_uri) / names.PREDICTIONS_FILE


def model_of(home: Home) -> Path:
    """The model file of the champion."""
    client = MlflowClient(home.database_uri)
    found = client.get_model_version_by_alias("fashion-mnist-sample-cnn", "champion")
    root = client.get_model_version_download_uri(found.name, found.version)
    return path_of(root) / names.MODEL_FILE


def change_one_answer(file: Path) -> None:
    """Another table with the same accuracy: only its bytes tell."""
    table = pd.read_parquet(file)
    columns = [name for name in table.columns if name != "label"]
    values = table[columns].to_numpy()
    table.loc[0, columns[int(values[0].argmax())]] += np.float32(0.001)
    changed = io.BytesIO()
    table.to_parquet(changed, index=False)
    file.write_bytes(changed.getvalue())


@pytest.mark.fault(fault="predictions changed", moment="after a sweep", promises="I2")
def test_changed_predictions_are_not_believed(reader: Reader, trial: TrialResult) -> None:
    assert faults(reader, trial) == []
    assert trial.name in reader.correct((trial,))
    change_one_answer(file_of(reader, trial))
    with pytest.raises(DamagedRecord, match=r"predictions.parquet must have SHA-256 [0-9a-f]{64}"):
        reader.predictions(trial.run_id)
    assert reader.correct((trial,)) == {}
    (fault,) = faults(reader, trial)
    assert fault.startswith("predictions.parquet must have SHA-256")


def test_a_run_of_before_the_hash_is_believed(reader: Reader, trial: TrialResult) -> None:
    MlflowClient(reader.store.uri).delete_tag(trial.run_id, names.PREDICTIONS_SHA256)
    change_one_answer(file_of(reader, trial))
    assert faults(reader, trial) == []


def test_doctor_names_the_trial_whose_predictions_have_changed(
    copied: Home, reader: Reader, trial: TrialResult
) -> None:
    found = [one for one in check_store(copied, {}) if one.name == "records"]
    assert [(one.level, one.message) for one in found] == [(OK, "2 finished trials verified")]
    change_one_answer(file_of(reader, trial))
    (found,) = [one for one in check_store(copied, {}) if one.name == "records"]
    assert found.level == FAIL and "backup" in found.remedy
    assert found.message.startswith(f"{trial.name} ({trial.run_id}): predictions.parquet must")


def test_doctor_names_artifacts_that_are_gone(
    copied: Home, reader: Reader, trial: TrialResult
) -> None:
    shutil.rmtree(file_of(reader, trial).parent)
    (found,) = [one for one in check_store(copied, {}) if one.name == "records"]
    assert found.level == FAIL and "must be among its artifacts" in found.message


@pytest.mark.fault(fault="champion's file damaged", moment="at any time", promises="I1")
def test_a_damaged_champion_is_shown_as_such(
    copied: Home, trial: TrialResult, capsys: pytest.CaptureFixture[str]
) -> None:
    promote_run(trial.run_id, "for the test", copied)
    assert [one.level for one in check_champions(copied, {})] == [OK]
    assert status_of(["champion", "--home", str(copied.root)]) == 0
    file = model_of(copied)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    capsys.readouterr()
    assert status_of(["champion", "--home", str(copied.root)]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("champion  ")
    assert (
        "error: the model file of fashion-mnist-sample-cnn version 1 must have SHA-256" in said.err
    )
    (found,) = check_champions(copied, {})
    assert found.level == FAIL and "it is damaged or was replaced" in found.message
    file.unlink()
    (found,) = check_champions(copied, {})
    assert found.level == FAIL and "must be readable" in found.message
    assert "estore the artifacts from a backup" in found.remedy


def test_doctor_compares_the_registry_with_the_journal(copied: Home, trial: TrialResult) -> None:
    version = promote_run(trial.run_id, "for the test", copied).champion
    journal = open_registry(copied).journal
    assert journal is not None and journal.path.is_file()
    text = journal.path.read_text()
    journal.path.write_text(text + text.replace(version.sha256, "f" * 64).replace(": 1", ": 7"))
    fine, older = check_champions(copied, {})
    assert (fine.level, older.level) == (OK, WARN)
    assert "but version 7 was champion on 20" in older.message and "older backup" in older.remedy
    MlflowClient(copied.database_uri).delete_registered_model(version.name)
    (lost,) = check_champions(copied, {})
    assert lost.level == FAIL and "must have a champion" in lost.message


def test_a_pipe_in_the_place_of_an_artifact_is_damage(
    copied: Home, reader: Reader, trial: TrialResult
) -> None:
    promote_run(trial.run_id, "for the test", copied)
    for file in (file_of(reader, trial), model_of(copied)):
        file.unlink()
        os.mkfifo(file)
    assert reader.correct((trial,)) == {}
    assert len(faults(reader, trial)) == 1
    (found,) = check_champions(copied, {})
    assert found.level == FAIL and "must be readable" in found.message


def test_a_champion_of_no_store_is_not_looked_for(tmp_path: Path) -> None:
    assert check_champions(Home(tmp_path), {}) == []
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_of_complete_trials_are_leftovers(
    copied: Home, trial: TrialResult, tmp_path: Path
) -> None:
    folders = [copied.state / "checkpoints" / key for key in (trial.content_key, "0" * 64)]
    for folder in folders:
        (folder / "ckpt-1").mkdir(parents=True)
        os.utime(folder / "ckpt-1", (time.time() - 7200,) * 2)
    found = check_leftovers(copied, tmp_path / "cache")
    assert found.level == WARN and found.message.startswith("1 temporary file")
    assert str(folders[0]) in found.remedy and str(folders[1]) not in found.remedy


def test_leftovers_are_named_once_they_are_old(home: Home, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert check_leftovers(home, cache).level == OK
    left = [
        home.mlruns / ".new-store-abc" / "made.db",
        home.state / "services" / ".running.json.123.tmp",
        cache / "fashion-mnist" / ".train-images-idx3-ubyte.part",
        cache / "made" / ".new-x",
    ]
    locks = [home.state / "registry.lock", cache / "fashion-mnist" / ".scratch.lock"]
    for path in (*left, *locks):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert check_leftovers(home, cache).level == OK  # somebody may be writing them now
    old = time.time() - 7200
    for path in (*left, left[0].parent, *locks):
        os.utime(path, (old, old))
    found = check_leftovers(home, cache)
    assert found.level == WARN and found.message.startswith("4 temporary files")
    assert "rm -r " in found.remedy and f"'{left[1]}'" in found.remedy
