"""Write the runs of sweeps to MLflow. Nothing else writes runs; logged models are in `models`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from cnn_pipeline.base import versions
from cnn_pipeline.network.results import Scalar
from cnn_pipeline.settings.spelling import spell
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import Trial
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.inputs import Input, describe_inputs, mlflow_inputs
from cnn_pipeline.tracking.store import Store
from cnn_pipeline.tracking.undocumented import MAX_TAG_CHARACTERS
from cnn_pipeline.tracking.views import view_tag

if TYPE_CHECKING:
    from cnn_pipeline.data.dataset import Dataset

# Tags that `copy_trial` does not copy: they are true of the copied run only, or are written last.
_OF_ONE_RUN_ONLY = {names.COMPLETE, names.NOTE, names.REUSED_FROM}
# Tags that it copies over the new run's own: the code that trained, not the code that copies.
_OF_THE_TRAINING = {names.CODE_DIGEST, names.GIT_COMMIT, names.GIT_DIRTY}
_BATCH = 1000
"""Metrics that MLflow accepts in one call."""
_CUT = "\n\n[truncated for MLflow; the run's artifacts have the full text]\n"


class Tracker:
    """Writes the runs of sweeps into one MLflow store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._client = MlflowClient(store.uri)

    def experiment(self, name: str) -> str:
        """Id of the experiment with this name, created if it is missing."""
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
        """Begin the parent run of a sweep and save its view in the UI; returns the run id."""
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
        """Begin the run of a trial below its sweep; returns the run id."""
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
        """Copy a trial's record to `run_id`: params, tags, metrics, inputs, artifacts and model.

        The model is linked: both runs have the same logged model. If the variant was renamed, plots
        and artifacts keep the name under which it was trained.
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
        said = f"Reused from run {first}, whose inputs are identical.\n\n"
        # Without the first line of an earlier copy, and without another sweep's baseline.
        note = source.data.tags.get(names.NOTE, "").removeprefix(said)
        note = note.partition(f"\n{names.AGAINST_BASELINE} ")[0]
        # Last: a run with this tag has everything else.
        self.tag(
            run_id, {names.REUSED_FROM: first, names.NOTE: said + note, names.COMPLETE: "true"}
        )

    def log_settings(
        self, run_id: str, params: Mapping[str, Scalar], tags: Mapping[str, str], dataset: Dataset
    ) -> None:
        """Write params, tags and inputs before training, so that a killed run can be compared."""
        self._client.log_batch(
            run_id,
            params=[Param(key, spell(value)) for key, value in params.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        self.log_inputs(run_id, describe_inputs(dataset))

    def log_inputs(self, run_id: str, inputs: Sequence[Input]) -> None:
        """Write the data that a run uses."""
        self._client.log_inputs(run_id, mlflow_inputs(inputs))

    def log_curves(self, run_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
        """Write one point of each curve, in one call."""
        now = int(time.time() * 1000)
        self._client.log_batch(
            run_id, metrics=[Metric(key, value, now, epoch) for key, value in metrics.items()]
        )

    def log_summary(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        *,
        model_id: str | None = None,
        measured_on: Mapping[str, Input] | None = None,
    ) -> None:
        """Write final metrics once to the run, and to its model if given, to search models by them.

        Args:
            run_id: the run.
            metrics: values by name.
            model_id: the logged model that they belong to.
            measured_on: by metric, the split that it was measured on.
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
        """Write artifacts, text or bytes by path."""
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.encode() if isinstance(content, str) else content)
            self._client.log_artifacts(run_id, folder)

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set or replace tags in one call. A text too long for MLflow is cut and says so."""
        self._client.log_batch(
            run_id, tags=[RunTag(key, _tag_text(value)) for key, value in tags.items()]
        )

    def is_running(self, run_id: str) -> bool:
        """Whether the run has not been ended yet."""
        return str(self._client.get_run(run_id).info.status) == "RUNNING"

    def end(self, run_id: str, status: str, reason: str = "") -> None:
        """End a run as FINISHED, FAILED or KILLED; `reason` becomes a tag."""
        if reason:
            self.tag(run_id, {names.REASON: reason})
        self._client.set_terminated(run_id, status)


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
    if len(value) <= MAX_TAG_CHARACTERS:
        return value
    return value[: MAX_TAG_CHARACTERS - len(_CUT)] + _CUT
