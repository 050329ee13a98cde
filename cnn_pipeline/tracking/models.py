"""Logged models: written once per trial, found by the run, and copied from the store."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cnn_pipeline.base import versions
from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.files import sha256_of
from cnn_pipeline.network.results import Scalar
from cnn_pipeline.settings.spelling import spell
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.artifacts import copy_artifact
from cnn_pipeline.tracking.store import Store
from cnn_pipeline.tracking.undocumented import active_run, without_requirements_check

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class ModelRecord:
    """A model that was just logged, as the store holds it."""

    model_id: str
    experiment_id: str
    num_bytes: int
    """Size of the `.keras` file."""
    sha256: str
    """Of the `.keras` file, hex."""


@dataclass(frozen=True)
class StoredModel:
    """The model of a run: where it is and what its file must be."""

    run_id: str
    run_name: str
    model_id: str
    sha256: str
    """Of the `.keras` file, hex, as it was logged."""
    dataset: str
    data_digest: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    """Height, width, channels."""


def log_model(
    store: Store,
    run_id: str,
    model: keras.Model,
    params: Mapping[str, Scalar],
    tags: Mapping[str, str],
    *,
    step: int = 0,
) -> ModelRecord:
    """Log a Keras model with its signature, as it is after epoch `step`.

    MLflow shows the run's curves up to that step on the model's page. Size and hash are those of
    the file read back from the store.
    """
    import mlflow
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    image_shape, classes = tuple(model.input_shape[1:]), int(model.output_shape[-1])
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, *image_shape), name="image")]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, classes))]),
    )
    with active_run(store.uri, run_id), without_requirements_check():
        info = mlflow.keras.log_model(
            model,
            name=names.MODEL_NAME,
            signature=signature,
            # MLflow would infer them in a second process that imports TensorFlow: 5 to 14 s.
            pip_requirements=versions.serving_requirements(),
            params={key: spell(value) for key, value in params.items()},
            tags=dict(tags),
            step=step,
        )
    with tempfile.TemporaryDirectory() as folder:
        file = copy_model_file(store, info.model_id, Path(folder))
        num_bytes, sha256 = file.stat().st_size, sha256_of(file)
    return ModelRecord(
        model_id=str(info.model_id),
        experiment_id=str(MlflowClient(store.uri).get_run(run_id).info.experiment_id),
        num_bytes=num_bytes,
        sha256=sha256,
    )


def stored_model(store: Store, run_id: str) -> StoredModel:
    """The model that a run logged.

    Raises:
        UserError: there is no such run, or it has no model.
    """
    try:
        run = MlflowClient(store.uri).get_run(run_id)
    except MlflowException:
        raise UserError(
            f"no run {run_id!r} in {store.shown_uri}. "
            "`cnn-pipeline compare` lists the runs of a sweep."
        ) from None
    outputs = run.outputs.model_outputs if run.outputs else []
    tags = run.data.tags
    sha256 = tags.get(names.MODEL_SHA256)
    if not outputs or sha256 is None:
        raise UserError(
            f"run {run.info.run_name} ({run_id}) has no model: its status is "
            f"{run.info.status}. Choose a finished trial."
        )
    height, width, channels = map(int, tags[names.IMAGE_SHAPE].split("x"))
    return StoredModel(
        run_id=run_id,
        run_name=run.info.run_name,
        model_id=outputs[-1].model_id,
        sha256=sha256,
        dataset=tags[names.DATASET],
        data_digest=tags[names.DATA_DIGEST],
        class_names=tuple(json.loads(tags[names.CLASS_NAMES])),
        image_shape=(height, width, channels),
    )


def copy_model_file(store: Store, model_id: str, folder: Path) -> Path:
    """Copy a logged model's `.keras` file to `folder`, not verified.

    Raises:
        MlflowException, OSError: the file cannot be read.
    """
    location = MlflowClient(store.uri).get_logged_model(model_id).artifact_location
    return copy_artifact(location, names.MODEL_FILE, folder, store.uri)
