"""Writing runs: the only code that does. It knows nothing of training or scoring."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient
from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

from cnn_pipeline.base import versions
from cnn_pipeline.network.results import Scalar
from cnn_pipeline.settings.spelling import spell
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import Trial
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.artifacts import copy_artifact
from cnn_pipeline.tracking.inputs import Input, describe_inputs, mlflow_inputs
from cnn_pipeline.tracking.store import Store, as_default
from cnn_pipeline.tracking.views import view_tag

if TYPE_CHECKING:
    import keras

    from cnn_pipeline.data.dataset import Dataset

# What `copy_trial` leaves behind: it holds of the run that was copied, or is written at the end.
_OF_ONE_RUN_ONLY = {names.COMPLETE, names.NOTE, names.REUSED_FROM}
# What it takes over although the new run has its own: the code that trained, not that which copies.
_OF_THE_TRAINING = {names.CODE_DIGEST, names.GIT_COMMIT, names.GIT_DIRTY}
_BATCH = 1000
"""Metrics that MLflow takes in one call."""
_CUT = "\n\n[cut here: MLflow keeps no more; the run's artifacts have the whole]\n"


@dataclass(frozen=True)
class ModelRecord:
    """A logged model, as the store holds it."""

    model_id: str
    experiment_id: str
    num_bytes: int
    """Size of the `.keras` file."""
    sha256: str
    """Of the `.keras` file, hex."""


class Tracker:
    """Writes the runs of sweeps into one MLflow store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._client = MlflowClient(store.uri)

    def experiment(self, name: str) -> str:
        """Id of the experiment of that name, made if it is not there."""
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = f"{self.store.artifacts_uri}/{name}" if self.store.artifacts_uri else None
        return str(
            self._client.create_experiment(
                name, artifact_location=location, tags={names.EXPERIMENT_KIND: names.TRAINING_KIND}
            )
        )

    def start_sweep(
        self, experiment_id: str, sweep_id: str, sweep: Sweep, tags: Mapping[str, str]
    ) -> str:
        """Begin the parent run of a sweep and save the view of it; returns its run id."""
        run = self._client.create_run(
            experiment_id,
            run_name=sweep_id,
            tags={
                names.KIND: names.SWEEP_KIND,
                names.SWEEP_ID: sweep_id,
                names.SWEEP: sweep.name,
                names.SWEEP_HASH: sweep.content_hash(),
                **_code_tags(),
                **tags,
            },
        )
        run_id = str(run.info.run_id)
        self._client.log_dict(run_id, sweep.model_dump(mode="json"), names.SWEEP_FILE)
        key, view = view_tag(sweep, sweep_id, int(time.time() * 1000))
        self._client.set_experiment_tag(experiment_id, key, view)
        return run_id

    def start_trial(
        self,
        experiment_id: str,
        parent_run_id: str,
        sweep_id: str,
        trial: Trial,
        tags: Mapping[str, str],
    ) -> str:
        """Begin the run of one trial under its sweep; returns its run id."""
        run = self._client.create_run(
            experiment_id,
            run_name=trial.name,
            tags={
                names.KIND: names.TRIAL_KIND,
                names.PARENT: parent_run_id,
                names.SWEEP_ID: sweep_id,
                names.TRIAL: trial.name,
                names.VARIANT: trial.label,
                names.VARIANT_HASH: trial.variant.content_hash(),
                **_code_tags(),
                **tags,
            },
        )
        return str(run.info.run_id)

    def copy_trial(self, source_run_id: str, run_id: str) -> None:
        """Repeat a trial's record in `run_id`: settings, curves, numbers, inputs, files, its model.

        The model is linked, not copied: both runs have the same logged model. Its variant may have
        another name here; pictures and files keep the one that it was trained under.
        """
        source = self._client.get_run(source_run_id)
        own = self._client.get_run(run_id).data.tags
        left = own.keys() - _OF_THE_TRAINING | _OF_ONE_RUN_ONLY
        tags = {key: value for key, value in source.data.tags.items() if key not in left}
        params = source.data.params | {names.VARIANT: own[names.VARIANT]}
        points = [
            Metric(point.key, point.value, point.timestamp, point.step)
            for key in source.data.metrics
            for point in self._client.get_metric_history(source_run_id, key)
        ]
        self._client.log_batch(
            run_id,
            params=[Param(key, value) for key, value in params.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        for start in range(0, len(points), _BATCH):
            self._client.log_batch(run_id, metrics=points[start : start + _BATCH])
        self._client.log_inputs(run_id, source.inputs.dataset_inputs)
        self._client.log_outputs(run_id, source.outputs.model_outputs)
        with tempfile.TemporaryDirectory() as folder:
            self._client.download_artifacts(source_run_id, "", folder)
            self._client.log_artifacts(run_id, folder)
        first = source.data.tags.get(names.REUSED_FROM, source_run_id)
        said = f"Not trained again: run {first} has the same content.\n\n"
        # Without what an earlier copy has said, and without another sweep's baseline.
        note = source.data.tags.get(names.NOTE, "").removeprefix(said)
        note = note.partition(f"\n{names.AGAINST_BASELINE} ")[0]
        # Last, so that a run that has it has everything.
        self.tag(
            run_id,
            {
                names.REUSED_FROM: first,
                names.NOTE: said + note,
                names.COMPLETE: "true",
            },
        )

    def log_settings(
        self,
        run_id: str,
        params: Mapping[str, Scalar],
        tags: Mapping[str, str],
        dataset: Dataset,
    ) -> None:
        """Params, tags and data set inputs: written before training, so a killed run compares."""
        self._client.log_batch(
            run_id,
            params=[Param(key, spell(value)) for key, value in params.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        self.log_inputs(run_id, describe_inputs(dataset))

    def log_inputs(self, run_id: str, inputs: Sequence[Input]) -> None:
        """The data set that a run rests on."""
        self._client.log_inputs(run_id, mlflow_inputs(inputs))

    def log_curves(self, run_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
        """One point of each curve, in one call."""
        now = int(time.time() * 1000)
        self._client.log_batch(
            run_id, metrics=[Metric(key, value, now, epoch) for key, value in metrics.items()]
        )

    def log_model(
        self,
        run_id: str,
        model: keras.Model,
        params: Mapping[str, Scalar],
        tags: Mapping[str, str],
        *,
        step: int = 0,
    ) -> ModelRecord:
        """Log the Keras model with its signature, as it is after epoch `step`.

        MLflow shows the run's curves of that step on the model's page.
        Size and hash are those of the file read back from the store, not of what was sent.
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
        with _active_run(self.store.uri, run_id), _requirements_are_met():
            info = mlflow.keras.log_model(
                model,
                name=names.MODEL_NAME,
                signature=signature,
                # Given, because inferring them starts a second TensorFlow: 5 to 14 s.
                pip_requirements=versions.serving_requirements(),
                params={key: spell(value) for key, value in params.items()},
                tags=dict(tags),
                step=step,
            )
        with tempfile.TemporaryDirectory() as folder:
            payload = copy_model_file(self._client, info.model_id, Path(folder)).read_bytes()
        return ModelRecord(
            model_id=str(info.model_id),
            experiment_id=str(self._client.get_run(run_id).info.experiment_id),
            num_bytes=len(payload),
            sha256=hashlib.sha256(payload).hexdigest(),
        )

    def log_summary(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        *,
        model_id: str | None = None,
        measured_on: Mapping[str, Input] | None = None,
    ) -> None:
        """Final numbers, once on the run; with a model, also on it (searchable by metric).

        Args:
            run_id: the run.
            metrics: the numbers by name.
            model_id: the logged model that they are of.
            measured_on: the split behind a metric, for those that rest on one.
        """
        now = int(time.time() * 1000)
        linked: dict[str, Any] = {"model_id": model_id, "run_id": run_id} if model_id else {}
        inputs = measured_on or {}
        self._client.log_batch(
            run_id,
            metrics=[
                Metric(key, value, now, 0, **linked, **_dataset(inputs.get(key)))
                for key, value in metrics.items()
            ],
        )

    def log_files(self, run_id: str, files: Mapping[str, str | bytes]) -> None:
        """Artifacts by path below the run: text or bytes."""
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.encode() if isinstance(content, str) else content)
            self._client.log_artifacts(run_id, folder)

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set or replace tags, in one call; a text too long for MLflow is cut, and says so."""
        self._client.log_batch(
            run_id, tags=[RunTag(key, _tag_text(value)) for key, value in tags.items()]
        )

    def is_running(self, run_id: str) -> bool:
        """Whether nobody has ended the run yet."""
        return str(self._client.get_run(run_id).info.status) == "RUNNING"

    def end(self, run_id: str, status: str, reason: str = "") -> None:
        """End a run as FINISHED, FAILED or KILLED; the reason becomes a tag."""
        if reason:
            self.tag(run_id, {names.REASON: reason})
        self._client.set_terminated(run_id, status)


@contextmanager
def _active_run(uri: str, run_id: str) -> Iterator[None]:
    """The run that `log_model` writes to."""
    import mlflow

    with as_default(uri):
        mlflow.start_run(run_id=run_id)
        try:
            yield
        finally:
            # As a context manager the run would end as FINISHED, before its numbers are there.
            mlflow.end_run("RUNNING")


@contextmanager
def _requirements_are_met() -> Iterator[None]:
    """Spare `log_model` the comparison of a model's requirements with what is installed.

    Ours were read from there. To find a package's version MLflow first lists all modules of all
    packages, which takes a second in each process, and there is no setting that it looks at.
    """
    from mlflow.utils import environment

    compare = environment.warn_dependency_requirement_mismatches
    environment.warn_dependency_requirement_mismatches = lambda _requirements: None
    try:
        yield
    finally:
        environment.warn_dependency_requirement_mismatches = compare


def copy_model_file(client: MlflowClient, model_id: str, folder: Path) -> Path:
    """Copy of a logged model's `.keras` file in `folder`, as the store holds it."""
    location = client.get_logged_model(model_id).artifact_location
    return copy_artifact(location, names.MODEL_FILE, folder, client.tracking_uri)


def table_json(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in the form that MLflow's UI shows as one."""
    return json.dumps({"columns": list(columns), "data": [list(row) for row in rows]})


def _dataset(one: Input | None) -> dict[str, str]:
    return {"dataset_name": one.name, "dataset_digest": one.digest} if one else {}


def _code_tags() -> dict[str, str]:
    git = versions.git_state()
    return {
        names.CODE_DIGEST: versions.code_digest(),
        names.GIT_COMMIT: git.commit,
        names.GIT_DIRTY: str(git.dirty).lower(),
    }


def _tag_text(value: str) -> str:
    if len(value) <= MAX_TAG_VAL_LENGTH:
        return value
    return value[: MAX_TAG_VAL_LENGTH - len(_CUT)] + _CUT
