"""Logged models: written once per trial, found by the run, and copied from the store."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cnn_pipeline.base import versions
from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.files import sha256_of
from cnn_pipeline.data.preparation import AS_IS, Preparation, preparation_of
from cnn_pipeline.network.results import Scalar
from cnn_pipeline.settings.spelling import spell
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.artifacts import copy_artifact
from cnn_pipeline.tracking.patience import patience_with
from cnn_pipeline.tracking.store import Store
from cnn_pipeline.tracking.undocumented import active_run, without_requirements_check

if TYPE_CHECKING:
    import keras

_MISSING = "RESOURCE_DOES_NOT_EXIST"


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
    preparation: Preparation = AS_IS
    """Of pictures of another size or kind."""


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
    the file read back from the store. A run has one model, even if this is called again after the
    process or the store has died in it.
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
    client = MlflowClient(store.uri)

    def log() -> ModelRecord:
        experiment_id = str(client.get_run(run_id).info.experiment_id)
        model_id = _logged_before(client, experiment_id, run_id)
        if model_id is None:
            with active_run(store.uri, run_id), without_requirements_check():
                info = mlflow.keras.log_model(
                    model,
                    name=names.MODEL_NAME,
                    signature=signature,
                    # MLflow would infer them in a process that imports TensorFlow: 5 to 14 s.
                    pip_requirements=versions.serving_requirements(),
                    params={key: spell(value) for key, value in params.items()},
                    tags=dict(tags),
                    step=step,
                )
            model_id = str(info.model_id)
        with tempfile.TemporaryDirectory() as folder:
            file = copy_model_file(store, model_id, Path(folder))
            return ModelRecord(model_id, experiment_id, file.stat().st_size, sha256_of(file))

    return patience_with(store).call(log)


def _logged_before(client: MlflowClient, experiment_id: str, run_id: str) -> str | None:
    """Id of the model that an earlier, interrupted call has logged for a run, if it is whole.

    Those that are not are deleted.
    """
    made = client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'")
    whole = [model for model in made if model.status == LoggedModelStatus.READY]
    for model in made:
        if model not in whole[:1]:
            client.delete_logged_model(model.model_id)
    return str(whole[0].model_id) if whole else None


def link_models(client: MlflowClient, run_id: str, outputs: Sequence[LoggedModelOutput]) -> None:
    """Give a run the logged models of another, as far as it does not have them yet."""
    there = {output.model_id for output in client.get_run(run_id).outputs.model_outputs}
    if missing := [output for output in outputs if output.model_id not in there]:
        client.log_outputs(run_id, missing)


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
        model_id=_whole_of(MlflowClient(store.uri), [output.model_id for output in outputs]),
        sha256=sha256,
        dataset=tags[names.DATASET],
        data_digest=tags[names.DATA_DIGEST],
        class_names=tuple(json.loads(tags[names.CLASS_NAMES])),
        image_shape=(height, width, channels),
        preparation=preparation_of(tags[names.DATASET], tags.get(names.PREPARATION)),
    )


def _whole_of(client: MlflowClient, model_ids: Sequence[str]) -> str:
    """The one of a run's models that is whole; a run names those of interrupted calls, too."""
    for model_id in model_ids[:-1]:
        try:
            if client.get_logged_model(model_id).status == LoggedModelStatus.READY:
                return model_id
        except MlflowException as error:
            if error.error_code != _MISSING:
                raise
    return model_ids[-1]


def copy_model_file(store: Store, model_id: str, folder: Path) -> Path:
    """Copy a logged model's `.keras` file to `folder`, not verified.

    Raises:
        MlflowException, OSError: the file cannot be read.
    """
    location = MlflowClient(store.uri).get_logged_model(model_id).artifact_location
    return copy_artifact(location, names.MODEL_FILE, folder, store.uri)
