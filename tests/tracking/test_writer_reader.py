"""What a sweep leaves in MLflow, by the literal names that users filter and compare by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from PIL import Image

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.base.identity import is_alive
from cnn_pipeline.base.versions import versions
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.tracking.names import experiment_name
from cnn_pipeline.tracking.reader import Reader
from cnn_pipeline.tracking.store import open_store
from cnn_pipeline.tracking.writer import Tracker
from tests.running import DIVERGING, SAMPLE, TINY

PARAMS = {
    "variant": "f2-none-d16-do25",
    "activation": "relu",
    "augmentation": "none",
    "patience": "never",
    "weight_decay": "default",
    "filters": "2",
    "conv_layers": "2",
    "kernel_size": "3",
    "pooling": "none",
    "pool_size": "2",
    "padding": "valid",
    "dense_units": "16",
    "dropout": "0.25",
    "batch_norm": "false",
    "optimizer": "adam",
    "learning_rate": "0.001",
    "schedule": "constant",
    "ema_momentum": "none",
    "batch_size": "64",
    "epochs": "2",
    "stop_at_accuracy": "never",
    "class_weights": "none",
    "seed": "0",
    "precision": "float32",
    "threads": "1",
    "train_samples": "600",
}
CURVES = {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "epoch_seconds"}
SUMMARIES = {
    "best_val_accuracy", "best_epoch", "val_accuracy_final", "val_loss_final", "test_accuracy",
    "test_loss", "generalization_gap", "calibration_error", "train_seconds", "images_per_second",
    "num_params", "macs", "model_bytes", "latency_ms", "latency_ms_batch_256",
    "val_balanced_accuracy", "test_balanced_accuracy", "val_macro_f1", "test_macro_f1",
}  # fmt: skip
COMPARED = {"rank", "verdict_low", "verdict_high"}
CLASSES = {
    "t_shirt_top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
    "ankle_boot",
}  # fmt: skip
DETAILS = {
    f"class_{score}/{name}" for score in ("precision", "recall", "f1") for name in CLASSES
} | {
    "time/data_seconds",
    "time/build_seconds",
    "time/train_seconds",
    "time/evaluate_seconds",
    "time/plots_seconds",
}
TAGS = {
    "kind", "trial", "sweep_id", "variant", "variant_hash", "dataset", "data_digest",
    "data_source", "class_names", "image_shape", "device", "keras_backend", "code_digest",
    "git_commit", "git_dirty", "model_sha256", "predictions_sha256", "content_key", "complete",
    "mlflow.runName", "mlflow.parentRunId", "mlflow.note.content", "mlflow.runColor", "process",
    "version.python", "version.cnn-pipeline", "version.tensorflow", "version.keras",
    "version.numpy", "version.numba", "version.scipy", "version.mlflow", "version.prefect",
    "version.pandas", "preparation",
}  # fmt: skip
ARTIFACTS = {
    "config.json", "history.csv", "layers.json", "model_summary.txt", "predictions.parquet",
    "plots/confusion_matrix.png", "plots/curves.png", "plots/journey.png", "plots/kernels.png",
    "plots/misclassified.png", "tables/confusion_matrix.json", "tables/per_class.json",
    "tables/top_confusions.json",
}  # fmt: skip
SWEEP_TAGS = {
    "kind", "sweep_id", "sweep", "sweep_hash", "dataset", "data_digest", "data_source",
    "num_validation", "num_test", "code_digest", "git_commit", "git_dirty", "verdict",
    "class_counts", "data_warnings", "chosen_variant", "content_key", "reason", "process",
    "mlflow.runName", "mlflow.note.content",
}  # fmt: skip
SWEEP_ARTIFACTS = {
    "sweep.json", "comparison.json", "comparison.md", "comparison.txt", "leaderboard.csv",
    "report.html", "tables/leaderboard.json", "plots/answer.svg",
    "plots/contact_sheet.png",
}  # fmt: skip
DATASET_DIGEST = "955f63d3f7b876e216b018dfb8bbb1a0c59be3a13f2e96c9d301e5d02f522930"
NAME = "f2-none-d16-do25-s0"


@pytest.fixture(scope="module")
def client(tiny: tuple[Home, Outcome]) -> MlflowClient:
    return MlflowClient(tiny[0].database_uri)


@pytest.fixture(scope="module")
def runs(tiny: tuple[Home, Outcome], client: MlflowClient) -> dict[str, Run]:
    """Every run of the experiment, by name."""
    experiment = client.get_experiment_by_name("fashion-mnist-sample-cnn")
    assert experiment is not None
    assert experiment.experiment_id == tiny[1].experiment_id
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


@pytest.fixture(scope="module")
def run(runs: dict[str, Run]) -> Run:
    """One finished trial."""
    return runs[NAME]


def artifacts(client: MlflowClient, run_id: str, folder: str | None = None) -> Iterator[str]:
    for entry in client.list_artifacts(run_id, folder):
        if entry.is_dir:
            yield from artifacts(client, run_id, entry.path)
        else:
            yield entry.path


def read(client: MlflowClient, run: Run, path: str) -> bytes:
    return Path(client.download_artifacts(run.info.run_id, path)).read_bytes()


def test_a_sweep_is_one_parent_with_a_child_per_trial(
    tiny: tuple[Home, Outcome], runs: dict[str, Run]
) -> None:
    outcome = tiny[1]
    assert {name: run.info.status for name, run in runs.items()} == {
        outcome.sweep_id: "FAILED",
        "f2-max-d16-s0": "FINISHED",
        NAME: "FINISHED",
        "diverging-s0": "FAILED",
    }
    parents = {run.data.tags.get("mlflow.parentRunId") for run in runs.values()}
    assert parents == {None, outcome.parent_run_id}
    assert runs[outcome.sweep_id].info.run_id == outcome.parent_run_id


def test_params_are_flat_scalars(runs: dict[str, Run]) -> None:
    assert runs[NAME].data.params == PARAMS
    # Written before training, so that a failed run compares too.
    assert runs["diverging-s0"].data.params.keys() == PARAMS.keys()
    assert runs["diverging-s0"].data.params["learning_rate"] == "10.0"


def test_metrics_are_all_there(run: Run) -> None:
    assert set(run.data.metrics) == CURVES | SUMMARIES | DETAILS | COMPARED
    assert all(np.isfinite(value) for value in run.data.metrics.values())


def test_curves_count_epochs_and_the_rest_stands_once(client: MlflowClient, run: Run) -> None:
    for name in sorted(CURVES):
        history = client.get_metric_history(run.info.run_id, name)
        assert [point.step for point in history] == [0, 1], name
    for name in sorted(SUMMARIES | DETAILS | COMPARED):
        history = client.get_metric_history(run.info.run_id, name)
        assert [point.step for point in history] == [0], name


def test_the_summaries_agree_with_the_curves(client: MlflowClient, run: Run) -> None:
    metrics = run.data.metrics
    curve = [p.value for p in client.get_metric_history(run.info.run_id, "val_accuracy")]
    assert metrics["best_val_accuracy"] == max(curve)
    assert metrics["best_epoch"] == curve.index(max(curve))
    gap = metrics["accuracy"] - metrics["test_accuracy"]
    assert metrics["generalization_gap"] == pytest.approx(gap, abs=1e-4)
    table = pd.read_csv(BytesIO(read(client, run, "history.csv")))
    assert list(table.columns) == [
        "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "epoch_seconds",
    ]  # fmt: skip
    assert table["val_accuracy"].round(4).tolist() == curve
    long = [name for name, value in metrics.items() if value != round(value, 4)]
    exact = {"val_accuracy_final", "test_accuracy", "val_macro_f1", "test_macro_f1"}
    exact |= {"val_balanced_accuracy", "test_balanced_accuracy"}
    assert set(long) <= {"learning_rate", *exact}


def test_tags_say_what_on_what_and_by_what(tiny: tuple[Home, Outcome], run: Run) -> None:
    tags = run.data.tags
    assert set(tags) - {"mlflow.user"} == TAGS
    assert tags["sweep_id"] == tiny[1].sweep_id
    assert (tags["kind"], tags["trial"], tags["complete"]) == ("trial", NAME, "true")
    assert tags["data_digest"] == DATASET_DIGEST
    assert tags["image_shape"] == "28x28x1"
    assert json.loads(tags["class_names"])[9] == "Ankle boot"
    assert tags["version.keras"] == versions()["keras"]


def test_a_failed_trial_says_why(client: MlflowClient, runs: dict[str, Run]) -> None:
    failed = runs["diverging-s0"]
    assert failed.data.tags["reason"].startswith("Diverged: the loss became ")
    assert "complete" not in failed.data.tags
    assert list(artifacts(client, failed.info.run_id)) == ["error.txt"]
    assert b"Traceback" in read(client, failed, "error.txt")


def test_the_data_sets_are_three_inputs_with_digests(run: Run) -> None:
    inputs = {i.dataset.name: i for i in run.inputs.dataset_inputs}
    roles = {name: [(t.key, t.value) for t in i.tags] for name, i in inputs.items()}
    assert roles == {
        "fashion-mnist-sample-train": [("mlflow.data.context", "train")],
        "fashion-mnist-sample-validation": [("mlflow.data.context", "validation")],
        "fashion-mnist-sample-test": [("mlflow.data.context", "test")],
    }
    digests = {i.dataset.digest for i in inputs.values()}
    assert len(digests) == 3
    assert {len(digest) for digest in digests} == {32}
    counts = {n: json.loads(i.dataset.profile)["num_images"] for n, i in inputs.items()}
    assert counts == {
        "fashion-mnist-sample-train": 600,
        "fashion-mnist-sample-validation": 500,
        "fashion-mnist-sample-test": 1000,
    }


def test_equal_data_have_equal_digests_on_every_run(
    tiny: tuple[Home, Outcome], runs: dict[str, Run]
) -> None:
    found = {
        frozenset((i.dataset.name, i.dataset.digest) for i in runs[name].inputs.dataset_inputs)
        for name in ("f2-max-d16-s0", NAME, "diverging-s0", tiny[1].sweep_id)
    }
    assert len(found) == 1


def test_the_model_has_signature_and_pinned_requirements(client: MlflowClient, run: Run) -> None:
    (output,) = run.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert (model.name, str(model.status), model.source_run_id) == (
        "model",
        "READY",
        run.info.run_id,
    )
    assert model.experiment_id == run.info.experiment_id
    assert model.params == PARAMS
    folder = Path(unquote(urlsplit(model.artifact_location).path))
    assert sorted(path.name for path in folder.iterdir()) == [
        "MLmodel", "conda.yaml", "data", "python_env.yaml", "requirements.txt",
    ]  # fmt: skip
    found = versions()
    assert set((folder / "requirements.txt").read_text().split()) == {
        f"{package}=={found[package]}" for package in ("mlflow", "tensorflow", "keras", "numpy")
    }
    description = (folder / "MLmodel").read_text()
    assert '"dtype": "uint8"' in description
    assert '"dtype": "float32"' in description
    stored = (folder / "data" / "model.keras").read_bytes()
    assert run.data.tags["model_sha256"] == hashlib.sha256(stored).hexdigest()
    assert run.data.metrics["model_bytes"] == len(stored)


def test_the_summaries_are_linked_to_the_model_and_to_the_split_behind_them(
    client: MlflowClient, run: Run
) -> None:
    (output,) = run.outputs.model_outputs
    metrics = client.get_logged_model(output.model_id).metrics
    assert {m.key for m in metrics} == SUMMARIES | CURVES
    assert {m.key: m.value for m in metrics} == {
        key: value for key, value in run.data.metrics.items() if key in SUMMARIES | CURVES
    }
    digests = {i.dataset.name: i.dataset.digest for i in run.inputs.dataset_inputs}
    linked = [m for m in metrics if m.dataset_name]
    assert {m.key: m.dataset_name for m in linked} == {
        "best_val_accuracy": "fashion-mnist-sample-validation",
        "val_accuracy_final": "fashion-mnist-sample-validation",
        "val_loss_final": "fashion-mnist-sample-validation",
        "test_accuracy": "fashion-mnist-sample-test",
        "test_loss": "fashion-mnist-sample-test",
        "calibration_error": "fashion-mnist-sample-test",
        "val_balanced_accuracy": "fashion-mnist-sample-validation",
        "test_balanced_accuracy": "fashion-mnist-sample-test",
        "val_macro_f1": "fashion-mnist-sample-validation",
        "test_macro_f1": "fashion-mnist-sample-test",
    }
    assert all(m.dataset_digest == digests[m.dataset_name] for m in linked)
    accuracy = run.data.metrics["test_accuracy"]
    found = client.search_logged_models(
        [run.info.experiment_id],
        filter_string=f"metrics.test_accuracy >= {accuracy} and params.pooling = 'none'",
    )
    assert [model.model_id for model in found] == [output.model_id]


def test_the_artifacts_are_all_there(client: MlflowClient, run: Run) -> None:
    assert set(artifacts(client, run.info.run_id)) == ARTIFACTS
    for path in sorted(path for path in ARTIFACTS if path.endswith(".png")):
        with Image.open(BytesIO(read(client, run, path))) as picture:
            picture.load()
            assert min(picture.size) > 100, path


def test_the_config_repeats_the_trial(client: MlflowClient, run: Run) -> None:
    config = json.loads(read(client, run, "config.json"))
    assert config.keys() == {"trial", "data", "device", "environment", "versions", "command"}
    assert config["trial"] == TINY.trials()[1].model_dump(mode="json")
    assert config["data"] == SAMPLE.model_dump(mode="json")
    assert config["device"]["threads"] == 1


def test_the_predictions_give_the_scores_again(client: MlflowClient, run: Run) -> None:
    table = pd.read_parquet(BytesIO(read(client, run, "predictions.parquet")))
    assert list(table.columns) == ["index", "label", *(f"p{k}" for k in range(10))]
    probabilities = table[[f"p{k}" for k in range(10)]].to_numpy()
    correct = probabilities.argmax(axis=1) == table["label"].to_numpy()
    assert len(correct) == 1000
    assert correct.mean() == run.data.metrics["test_accuracy"]


def test_the_tables_are_in_the_form_that_the_ui_shows(client: MlflowClient, run: Run) -> None:
    table = json.loads(read(client, run, "tables/per_class.json"))
    assert table["columns"] == ["class", "precision", "recall", "f1", "images"]
    assert [row[4] for row in table["data"]] == [100] * 10
    recall = {row[0]: row[2] for row in table["data"]}
    assert round(recall["Ankle boot"], 4) == run.data.metrics["class_recall/ankle_boot"]
    confusion = json.loads(read(client, run, "tables/confusion_matrix.json"))
    counts = np.array([row[1:] for row in confusion["data"]])
    assert counts.sum() == 1000
    assert np.trace(counts) == round(run.data.metrics["test_accuracy"] * 1000)


def test_the_note_tells_hypothesis_network_results_and_command(runs: dict[str, Run]) -> None:
    first, second = (runs[n].data.tags["mlflow.note.content"] for n in ("f2-max-d16-s0", NAME))
    test = runs["f2-max-d16-s0"].data.metrics["test_accuracy"]
    assert first.startswith(f"**{100 * test:.2f} % on test, ")
    assert first.splitlines()[2] == "Two filters are enough."
    assert "Against the baseline" not in first
    assert "`28x28x1 > C2 3x3 > C2 3x3 > D16 > drop 0.25 > 10`" in second
    (output,) = runs[NAME].outputs.model_outputs
    experiment_id = runs[NAME].info.experiment_id
    assert f"(#/experiments/{experiment_id}/models/{output.model_id}?workflowType=" in second
    assert "cnn-pipeline run --filters 2 --pooling none --seeds 0" in second
    accuracy = [runs[n].data.metrics["test_accuracy"] for n in ("f2-max-d16-s0", NAME)]
    points = (accuracy[1] - accuracy[0]) * 100
    assert f"Against the baseline f2-max-d16: {points:+.2f} points of test accuracy." in second


def test_the_parent_has_the_comparison_and_the_verdict(
    tiny: tuple[Home, Outcome], client: MlflowClient, runs: dict[str, Run]
) -> None:
    outcome = tiny[1]
    parent = runs[outcome.sweep_id]
    assert set(parent.data.tags) - {"mlflow.user"} == SWEEP_TAGS
    assert parent.data.tags["verdict"] == outcome.comparison.verdict.headline
    assert parent.data.tags["chosen_variant"] == outcome.comparison.verdict.chosen
    assert parent.data.tags["reason"].startswith("diverging-s0: Diverged: ")
    assert outcome.comparison.verdict.headline in parent.data.tags["mlflow.note.content"]
    assert set(artifacts(client, parent.info.run_id)) == SWEEP_ARTIFACTS
    sweep = Sweep.model_validate(json.loads(read(client, parent, "sweep.json")))
    assert sweep == TINY


def test_the_reader_gives_the_sweep_back(tiny: tuple[Home, Outcome]) -> None:
    home, outcome = tiny
    reader = Reader(open_store(home, {}, create=False))
    record = reader.sweep(None)
    assert record == reader.sweep(outcome.sweep_id)
    assert record.sweep == TINY
    assert (record.dataset, record.num_validation, record.num_test) == (
        "fashion-mnist-sample",
        500,
        1000,
    )
    results = reader.trials(record)
    assert results == outcome.results
    assert [result.name for result in results] == ["f2-max-d16-s0", NAME, "diverging-s0"]
    assert results[1].params == {
        **PARAMS, "filters": 2, "conv_layers": 2, "kernel_size": 3, "pool_size": 2,
        "dense_units": 16, "dropout": 0.25, "batch_norm": False, "learning_rate": 0.001,
        "batch_size": 64, "epochs": 2, "seed": 0, "threads": 1, "train_samples": 600,
    }  # fmt: skip
    correct = reader.correct(results)
    assert list(correct) == ["f2-max-d16-s0", NAME]
    assert correct[NAME].mean() == results[1].metrics["test_accuracy"]


def test_a_sweep_that_is_not_there_names_those_that_are(tiny: tuple[Home, Outcome]) -> None:
    reader = Reader(open_store(tiny[0], {}, create=False))
    with pytest.raises(UserError, match=f"no sweep 'no-such'.*{tiny[1].sweep_id}"):
        reader.sweep("no-such")


@pytest.mark.parametrize("text", ["it's", "a' or tags.kind = 'sweep", '"', "\\"])
def test_a_sweeps_name_is_no_query(text: str, tiny: tuple[Home, Outcome]) -> None:
    with pytest.raises(UserError, match="no sweep"):
        Reader(open_store(tiny[0], {}, create=False)).sweep(text)


def test_an_empty_store_says_how_to_start(home: Home) -> None:
    with pytest.raises(UserError, match="`cnn-pipeline run`"):
        Reader(open_store(home, {})).sweep(None)


def begun(home: Home) -> tuple[Tracker, Reader, str, str, str]:
    """A sweep of the diverging variant, with its trial's run begun."""
    tracker = Tracker(open_store(home, {}))
    experiment_id = tracker.experiment(experiment_name("scripted"))
    facts = {"dataset": "scripted", "num_validation": "5", "num_test": "7"}
    sweep = Sweep(name="scripted", entries=(DIVERGING,))
    parent = tracker.start_sweep(experiment_id, "scripted-1", sweep, facts)
    tracker.describe_sweep(experiment_id, parent, "scripted-1", sweep, {})
    (trial,) = sweep.trials()
    run_id = tracker.start_trial(experiment_id, parent, "scripted-1", trial, {})
    return tracker, Reader(tracker.store), experiment_id, parent, run_id


def test_an_experiment_is_made_once(home: Home) -> None:
    tracker = Tracker(open_store(home, {}))
    assert tracker.experiment("same") == tracker.experiment("same")
    kind = MlflowClient(home.database_uri).get_experiment_by_name("same").tags
    assert kind == {"mlflow.experimentKind": "custom_model_development"}


def test_a_run_that_nobody_ended_counts_as_killed(home: Home) -> None:
    _, reader, _, _, _ = begun(home)
    (result,) = reader.trials(reader.sweep(None))
    assert (result.status, result.reason) == ("KILLED", "run is RUNNING")


def test_each_run_says_whose_it_is(home: Home) -> None:
    tracker, _, _, parent, run_id = begun(home)
    client = MlflowClient(home.database_uri)
    for one in (parent, run_id):
        assert is_alive(client.get_run(one).data.tags["process"])
    tracker.tag(run_id, {"process": "another"})
    tracker.end(run_id, "KILLED", "its process is gone")
    tracker.reopen(run_id)
    tracker.reopen(parent)  # nobody had ended it
    run = client.get_run(run_id)
    assert run.info.status == "RUNNING"
    assert "reason" not in run.data.tags
    assert is_alive(run.data.tags["process"])


def test_an_error_is_of_an_earlier_attempt_once_its_run_goes_on(home: Home) -> None:
    tracker, _, experiment_id, parent, run_id = begun(home)
    client = MlflowClient(home.database_uri)
    run = client.get_run(run_id)

    def error() -> str:
        return read(client, run, "error.txt").decode()

    tracker.log_files(run_id, {"error.txt": "Traceback of the first"})
    tracker.end(run_id, "FAILED", "no luck")
    for _ in range(2):
        tracker.reopen(run_id)
    said = "An earlier attempt ended with this error. The run has gone on since.\n\n"
    assert error() == f"{said}Traceback of the first"
    tracker.log_files(run_id, {"error.txt": "Traceback of the second"})
    assert error() == "Traceback of the second"
    (trial,) = Sweep(name="scripted", entries=(DIVERGING,)).trials()
    other = tracker.start_trial(experiment_id, parent, "scripted-1", trial, {})
    tracker.copy_trial(run_id, other)
    assert client.list_artifacts(other) == []


def test_finished_without_the_last_record_is_not_finished(home: Home) -> None:
    tracker, reader, _, _, run_id = begun(home)
    tracker.end(run_id, "FINISHED")
    (result,) = reader.trials(reader.sweep(None))
    assert (result.status, result.finished) == ("FAILED", False)
    assert "last record is missing" in result.reason


def test_a_run_renamed_by_hand_is_still_its_trial(home: Home) -> None:
    tracker, reader, _, _, run_id = begun(home)
    MlflowClient(home.database_uri).update_run(run_id, name="my favourite")
    tracker.end(run_id, "FAILED", "no luck")
    (result,) = reader.trials(reader.sweep("scripted-1"))
    assert (result.name, result.seed, result.reason) == ("diverging-s0", 0, "no luck")


def test_a_text_longer_than_a_tag_is_cut_and_says_so(home: Home) -> None:
    """A leaderboard of many variants is longer; ending the run must not fail on it."""
    tracker, reader, _, parent, _ = begun(home)
    tracker.tag(parent, {"mlflow.note.content": "é" * 7999 + "x", "short": "y"})
    assert reader.note(parent) == "é" * 7999 + "x"
    tracker.tag(parent, {"mlflow.note.content": "z" * 8001})
    assert len(reader.note(parent)) == 8000
    assert reader.note(parent).endswith("the run's artifacts have the full text]\n")
    tracker.end(parent, "FAILED", "w" * 20_000)
    assert reader.sweep(None).status == "FAILED"


def test_files_are_text_or_bytes_in_folders(home: Home) -> None:
    tracker, _, _, _, run_id = begun(home)
    tracker.log_files(run_id, {"a.txt": "späce\n", "deep/er/b.bin": b"\x00\xff"})
    client = MlflowClient(home.database_uri)
    assert set(artifacts(client, run_id)) == {"a.txt", "deep/er/b.bin"}
    run = client.get_run(run_id)
    assert read(client, run, "a.txt") == "späce\n".encode()
    assert read(client, run, "deep/er/b.bin") == b"\x00\xff"
