"""The steps that score: a real trainer process, real files, and what is wrong with them."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.files import sha256_of
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion import register
from cnn_pipeline.champion.registry import CHAMPION, ModelVersion
from cnn_pipeline.champion.requirements import GateSettings
from cnn_pipeline.champion.retraining import steps
from cnn_pipeline.champion.retraining.changes import Change, content_of, find_change
from cnn_pipeline.champion.retraining.outcome import Assessment, Judgement
from cnn_pipeline.champion.retraining.scoring import score_both
from cnn_pipeline.champion.retraining.settings import RetrainSettings, load_settings
from cnn_pipeline.data.dataset import load_dataset
from cnn_pipeline.experiment.data_card import prepare_data
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.named import retrain
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings, Variant
from cnn_pipeline.tracking.models import stored_model
from cnn_pipeline.tracking.store import Store
from cnn_pipeline.trainers.local_pool import TrainerPool
from cnn_pipeline.trainers.messages import JOBS, ScoreJob
from tests.champion.retraining.stored import log_run, model_path
from tests.running import QUICK, SAMPLE, begin, run_trials

# Learns enough in a second to pass the gate.
SMALL = Sweep(
    name="small",
    variant=Variant(filters=8, dense_units=32),
    training=QUICK.model_copy(update={"epochs": 4, "learning_rate": 0.003}),
    data=SAMPLE,
)


def test_a_scoring_job_crosses_the_pipe_unchanged() -> None:
    job = ScoreJob("m", "model.keras", "ab", DataSettings(), "digest", "/cache", "answers.npz")
    assert JOBS.read(JOBS.write(job)) == job


def test_the_default_settings_train_the_tutorials_network() -> None:
    settings = RetrainSettings()
    assert settings.sweep == retrain()
    assert settings.gate == GateSettings()


def test_settings_come_from_a_file_and_every_fault_is_told(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('[notify]\nblocks = ["custom-webhook/team"]\n[gate]\nmargin = 0.01\n', "utf-8")
    settings = load_settings(path)
    assert (settings.notify.blocks, settings.gate.margin) == (("custom-webhook/team",), 0.01)
    path.write_text("[gate]\nmargin = 2.0\nmargn = 1\n[sweep.training]\nepochs = 0\n", "utf-8")
    with pytest.raises(UserError) as error:
        load_settings(path)
    told = str(error.value)
    assert "gate.margin" in told and "margn" in told and "sweep.training.epochs" in told


@pytest.fixture
def trained(home: Home, pool: TrainerPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run id of a small network, trained."""
    monkeypatch.setenv("CNN_PIPELINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (result,) = run_trials(begin(SMALL, home, tmp_path), pool)
    assert result.finished, result.reason
    return result.run_id


def examine(version: ModelVersion, home: Home, pool: TrainerPool) -> Judgement:
    card = prepare_data(SAMPLE, Path(os.environ["CNN_PIPELINE_CACHE"]))
    settings = RetrainSettings(sweep=SMALL)
    change = find_change(content_of(card.digest, settings), (), force=False)
    assessment = Assessment(version.name, None, change, None)
    return steps.examine(version, assessment, settings, card, pool, home)


def judgement_change() -> Change:
    return find_change(content_of("d", RetrainSettings()), (), force=False)


def failed(judgement: Judgement) -> list[str]:
    return [rule.name for rule in judgement.gate.rules if not rule.passed]


@pytest.mark.slow
def test_a_trained_model_comes_back_from_the_registry_and_repeats_its_score(
    home: Home, pool: TrainerPool, trained: str
) -> None:
    version = register.register_run(trained, home)
    judgement = examine(version, home, pool)
    assert failed(judgement) == []
    assert trained in version.tags["run_url"]
    summary = steps.data_summary(version)
    assert summary is not None and sum(summary.test_counts) == 1000
    champions = Assessment(version.name, version, judgement_change(), None)
    sweep = steps.candidate_sweep(champions, RetrainSettings(), home)
    assert sweep.labels == ("f64-max", "f8-max-d32")


@pytest.mark.slow
def test_both_are_scored_with_the_other_seeds_of_their_recipes_and_timed_in_turn(
    home: Home, pool: TrainerPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The champion's sweep had other data: its models answer the images of now."""
    monkeypatch.setenv("CNN_PIPELINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    sample = load_dataset(SAMPLE, tmp_path / "cache")

    def write(folder: str, images: int) -> DataSettings:
        path = tmp_path / folder / "toy.npz"
        path.parent.mkdir()
        np.savez(
            path,
            x_train=np.concatenate([sample.train.images, sample.validation.images])[-images:],
            y_train=np.concatenate([sample.train.labels, sample.validation.labels])[-images:],
            x_test=sample.test.images,
            y_test=sample.test.labels,
        )
        return DataSettings(source=str(path), validation_size=500)

    def train(data: DataSettings, *seeds: int) -> tuple[TrialResult, ...]:
        sweep = SMALL.model_copy(update={"seeds": seeds, "data": data})
        results = run_trials(begin(sweep, home, tmp_path), pool)
        assert all(result.finished for result in results), [one.reason for one in results]
        return results

    first, *_ = train(write("before", 1090), 0, 1, 2)
    register.promote_run(first.run_id, "the first", home)
    (tmp_path / "before" / "toy.npz").unlink()  # the data have moved; another file has their name
    data = write("now", 1100)
    challenging, other = train(data, 5, 6)
    registry = register.open_registry(home)
    challenger = register.register_run(challenging.run_id, home)
    champion = registry.by_alias(challenger.name, CHAMPION)
    card = prepare_data(data, tmp_path / "cache")
    ours, theirs = score_both(challenger, champion, registry, data, card, pool)
    assert theirs is not None and ours.score and theirs.score, (ours.fault, theirs.fault)
    assert (ours.networks().shape, theirs.networks().shape) == ((2, 1000), (3, 1000))
    logged = [challenging.metrics["test_accuracy"], other.metrics["test_accuracy"]]
    assert ours.networks().mean(axis=1).tolist() == pytest.approx(logged)
    # The same network: in turn one takes as long as the other.
    assert ours.score.slowdown is not None and 0.6 < ours.score.slowdown < 1.6
    assert theirs.score.slowdown is None


@pytest.mark.slow
def test_a_file_changed_after_it_was_registered_is_refused(
    home: Home, pool: TrainerPool, trained: str
) -> None:
    version = register.register_run(trained, home)
    store = Store(home.database_uri, home.artifacts_uri)
    path = model_path(store, stored_model(store, trained))
    payload = bytearray(path.read_bytes())
    payload[len(payload) // 2] ^= 1
    path.write_bytes(payload)
    judgement = examine(version, home, pool)
    assert failed(judgement)[0] == "loads from the registry"
    assert "must have SHA-256" in judgement.gate.reason
    with pytest.raises(UserError, match="must have SHA-256"):
        register.promote_run(trained, "I insist", home)


@pytest.mark.slow
@pytest.mark.parametrize("payload", [b"no model at all", b""])
def test_a_file_that_is_no_model_is_refused_and_the_trainer_lives_on(
    home: Home, pool: TrainerPool, trained: str, payload: bytes
) -> None:
    store = Store(home.database_uri, home.artifacts_uri)
    stored = log_run(store, payload)
    judgement = examine(register.register_run(stored.run_id, home), home, pool)
    assert failed(judgement)[0] == "loads from the registry"
    assert judgement.gate.rules[1].measured.startswith("not measured")
    assert failed(examine(register.register_run(trained, home), home, pool)) == []


@pytest.mark.slow
def test_weights_that_are_not_finite_are_refused(
    home: Home, pool: TrainerPool, trained: str, tmp_path: Path
) -> None:
    """A file of the right form whose weights are NaN: nothing but the scoring shows it."""
    store = Store(home.database_uri, home.artifacts_uri)
    original = model_path(store, stored_model(store, trained))
    broken = tmp_path / "broken.keras"
    _with_nan(original, broken)
    stored = log_run(store, broken.read_bytes())
    assert stored.sha256 == sha256_of(broken)
    judgement = examine(register.register_run(stored.run_id, home), home, pool)
    assert "finite numbers" in failed(judgement)
    assert "loads from the registry" not in failed(judgement)


def _with_nan(source: Path, target: Path) -> None:
    import h5py

    weights = target.with_suffix(".h5")
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith(".weights.h5"):
                weights.write_bytes(content)
                with h5py.File(weights, "r+") as file:
                    file.visititems(_fill)
                content = weights.read_bytes()
            new.writestr(name, content)


def _fill(name: str, item: object) -> None:
    import h5py

    if isinstance(item, h5py.Dataset) and item.dtype.kind == "f" and item.shape:
        item[...] = float("nan")
