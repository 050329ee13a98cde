"""Finished runs with a model, as a sweep leaves them in MLflow, made without training."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zipfile
from pathlib import Path

from mlflow.entities import LoggedModelOutput, Metric, RunTag
from mlflow.tracking import MlflowClient

from cnn_pipeline.tracking.models import StoredModel
from cnn_pipeline.tracking.names import MODEL_FILE
from cnn_pipeline.tracking.store import Store
from cnn_pipeline.tracking.writer import Tracker

DATASET = "toy"
CLASSES = ("boot", "bag")


def log_run(
    store: Store, payload: bytes, name: str = "f4-max-s0", dataset: str = DATASET
) -> StoredModel:
    """A run with `payload` as its model file, and the tags that a trial writes."""
    client = MlflowClient(store.uri)
    experiment = Tracker(store).experiment(f"{dataset}-cnn")
    run_id = client.create_run(experiment, run_name=name).info.run_id
    model = client.create_logged_model(experiment, name="model", source_run_id=run_id)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, MODEL_FILE)
        file.parent.mkdir(parents=True)
        file.write_bytes(payload)
        client.log_model_artifacts(model.model_id, folder)
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
    sha256 = hashlib.sha256(payload).hexdigest()
    tags = {
        "dataset": dataset,
        "data_digest": "d" * 64,
        "class_names": json.dumps(CLASSES),
        "image_shape": "4x4x1",
        "model_sha256": sha256,
        "variant": name.rpartition("-s")[0],
        "class_counts": json.dumps({"fitted": [60, 40], "test": [30, 20]}),
        "prefect.flow_run_id": "flow-1",
        "prefect.flow_run_url": "http://127.0.0.1:4200/runs/flow-run/flow-1",
    }
    client.log_batch(
        run_id,
        metrics=[Metric("test_accuracy", 0.75, 0, 0)],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )
    client.set_terminated(run_id, "FINISHED")
    return StoredModel(
        run_id=run_id,
        run_name=name,
        model_id=model.model_id,
        sha256=sha256,
        dataset=dataset,
        data_digest="d" * 64,
        class_names=CLASSES,
        image_shape=(4, 4, 1),
    )


def keras_file(weights: bytes) -> bytes:
    """A `.keras` file that passes for a model as long as nobody loads it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps({"module": "keras", "class_name": "Sequential"}))
        archive.writestr("model.weights.h5", weights)
    return file.getvalue()


def model_path(store: Store, stored: StoredModel) -> Path:
    """The model's file in the store's own folder."""
    location = MlflowClient(store.uri).get_logged_model(stored.model_id).artifact_location
    from mlflow.utils.file_utils import local_file_uri_to_path

    return Path(local_file_uri_to_path(location), MODEL_FILE)
