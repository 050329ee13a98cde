"""Write the runs of sweeps to MLflow. Nothing else writes runs; logged models are in `models`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cnn_pipeline.base import metric_names, versions
from cnn_pipeline.base.identity import this_process
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.network.results import Scalar
from cnn_pipeline.settings.spelling import spell
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import Trial
from cnn_pipeline.tracking import names, stopped
from cnn_pipeline.tracking.curves import Curves
from cnn_pipeline.tracking.deleted import require_active
from cnn_pipeline.tracking.inputs import Input, describe_inputs, mlflow_inputs
from cnn_pipeline.tracking.models import link_models
from cnn_pipeline.tracking.patience import Patience, patience_with, patient_client
from cnn_pipeline.tracking.store import Store
from cnn_pipeline.tracking.undocumented import MAX_TAG_CHARACTERS
from cnn_pipeline.tracking.views import sweeps_view_tag, view_tag

if TYPE_CHECKING:
    from cnn_pipeline.data.dataset import Dataset

# Tags that `copy_trial` does not copy: they are true of the copied run only, or are written last.
_OF_ONE_RUN_ONLY = {
    names.COMPLETE,
    names.NOTE,
    names.REUSED_FROM,
    names.CONTINUED_AT,
    names.WORKED_SECONDS,
}
# Tags that say how a run ended, and are taken back if it goes on.
_OF_THE_END = {names.REASON, names.DIVERGED, names.COMPLETE, names.VERDICT}
# Tags that it copies over the new run's own: the code that trained, not the code that copies.
_OF_THE_TRAINING = {names.CODE_DIGEST, names.GIT_COMMIT, names.GIT_DIRTY}
_BATCH = 1000
"""Metrics that MLflow accepts in one call."""
_PAST = "An earlier attempt ended with this error. The run has gone on since.\n\n"
_CUT = "\n\n[truncated for MLflow; the run's artifacts have the full text]\n"


class Tracker:
    """Writes the runs of sweeps into one MLflow store."""

    def __init__(self, store: Store, patience: Patience | None = None) -> None:
        """Repeat calls with `patience` while the store is away; by default with the process'."""
        self.store = store
        self._patience = patience or patience_with(store)
        self._client = patient_client(store, self._patience)
        self._once = MlflowClient(store.uri)

    def experiment(self, name: str) -> str:
        """Id of the experiment with this name, created if it is missing.

        Raises:
            StoreError: it was deleted.
        """
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return require_active(self.store, found)
        location = f"{self.store.artifacts_uri}/{name}" if self.store.artifacts_uri else None
        tags = {names.EXPERIMENT_KIND: names.TRAINING_KIND}
        try:
            return str(self._client.create_experiment(name, artifact_location=location, tags=tags))
        except MlflowException:  # another process has created it, or a call whose reply was lost
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise
            return require_active(self.store, found)

    def start_sweep(
        self,
        experiment_id: str,
        sweep_id: str,
        sweep: Sweep,
        tags: Mapping[str, str],
    ) -> str:
        """Begin the parent run of a sweep; returns the run id."""
        return self._create_run(
            experiment_id,
            sweep_id,
            {
                names.KIND: names.SWEEP_KIND,
                names.SWEEP_ID: sweep_id,
                names.SWEEP: sweep.name,
                names.SWEEP_HASH: sweep.content_hash(),
                names.PROCESS: this_process(),
                **_code_tags(),
                **tags,
            },
        )

    def describe_sweep(
        self,
        experiment_id: str,
        run_id: str,
        sweep_id: str,
        sweep: Sweep,
        params: Mapping[str, str],
    ) -> None:
        """Write what a sweep's run begins with, and save its view in the UI. Can be repeated."""
        self._client.log_batch(run_id, params=[Param(*item) for item in params.items()])
        self._client.log_dict(run_id, sweep.model_dump(mode="json"), names.SWEEP_FILE)
        now = int(time.time() * 1000)
        for key, view in (view_tag(sweep, sweep_id, now), sweeps_view_tag(now)):
            self._client.set_experiment_tag(experiment_id, key, view)

    def experiment_note(self, experiment_id: str) -> str:
        """The description of an experiment; empty if it has none."""
        return str(self._client.get_experiment(experiment_id).tags.get(names.NOTE, ""))

    def describe_experiment(self, experiment_id: str, note: str) -> None:
        """Set the description of an experiment, Markdown."""
        self._client.set_experiment_tag(experiment_id, names.NOTE, note)

    def experiment_tags(self, experiment_id: str) -> dict[str, str]:
        """Tags of an experiment."""
        return dict(self._client.get_experiment(experiment_id).tags)

    def tag_experiment(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of an experiment."""
        for key, value in tags.items():
            self._client.set_experiment_tag(experiment_id, key, value)

    def seconds_worked(self, run_id: str) -> float:
        """How long a run has run by now, without the pauses after which it went on."""
        return time.time() - stopped.began(self._client.get_run(run_id))

    def start_trial(
        self,
        experiment_id: str,
        parent_run_id: str,
        sweep_id: str,
        trial: Trial,
        tags: Mapping[str, str],
    ) -> str:
        """Begin the run of a trial below its sweep; returns the run id."""
        return self._create_run(
            experiment_id,
            trial.name,
            {
                names.KIND: names.TRIAL_KIND,
                names.PARENT: parent_run_id,
                names.SWEEP_ID: sweep_id,
                names.TRIAL: trial.name,
                names.VARIANT: trial.label,
                names.VARIANT_HASH: trial.variant.content_hash(),
                names.PROCESS: this_process(),
                **_code_tags(),
                **tags,
            },
        )

    def _create_run(self, experiment_id: str, name: str, tags: dict[str, str]) -> str:
        """Create a run once, even where a reply is lost and the request is made again."""
        began = int(time.time() * 1000)
        tries = 0

        def create() -> str:
            nonlocal tries
            tries += 1
            # What a frozen server has received, it does when it goes on.
            made = self._runs_begun(experiment_id, began, tags) if tries > 1 else []
            if made:
                return made[0]
            run = self._once.create_run(experiment_id, began, tags, run_name=name)
            return str(run.info.run_id)

        run_id = self._patience.call(create)
        if tries > 1:
            for other in self._runs_begun(experiment_id, began, tags):
                if other != run_id:
                    self._client.delete_run(other)
        return run_id

    def _runs_begun(self, experiment_id: str, began: int, tags: Mapping[str, str]) -> list[str]:
        """Ids of the runs of a sweep with this start, in milliseconds, and with these tags."""
        found = self._once.search_runs(
            [experiment_id],
            f"tags.{names.SWEEP_ID} = '{tags[names.SWEEP_ID]}' and attributes.start_time = {began}",
        )
        return [run.info.run_id for run in found if tags.items() <= run.data.tags.items()]

    def copy_trial(self, source_run_id: str, run_id: str) -> None:
        """Copy a trial's record to `run_id`: params, tags, metrics, inputs, artifacts and model.

        Left out is what the comparison of the source's sweep said of it.
        The model is linked: both runs have the same logged model. If the variant was renamed, plots
        and artifacts keep the name under which it was trained.
        """
        source = self._client.get_run(source_run_id)
        target = self._client.get_run(run_id)
        own = target.data.tags
        left = own.keys() - _OF_THE_TRAINING | _OF_ONE_RUN_ONLY
        tags = {key: value for key, value in source.data.tags.items() if key not in left}
        params = source.data.params | {names.VARIANT: own[names.VARIANT]}
        # It may have begun to train, or to be copied, before its sweep was stopped.
        there = {
            (key, point.step)
            for key in target.data.metrics
            for point in self._client.get_metric_history(run_id, key)
        }
        points = [
            Metric(point.key, point.value, point.timestamp, point.step)
            for key in source.data.metrics
            if key not in metric_names.COMPARED
            for point in self._client.get_metric_history(source_run_id, key)
            if (key, point.step) not in there
        ]
        self._client.log_batch(
            run_id,
            params=[Param(key, value) for key, value in params.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        for start in range(0, len(points), _BATCH):
            self._client.log_batch(run_id, metrics=points[start : start + _BATCH])
        self._client.log_inputs(run_id, source.inputs.dataset_inputs)
        self._patience.call(link_models, self._once, run_id, source.outputs.model_outputs)
        with tempfile.TemporaryDirectory() as folder:
            self._client.download_artifacts(source_run_id, "", folder)
            Path(folder, names.ERROR_FILE).unlink(missing_ok=True)  # of an attempt before
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

    def curves(self, run_id: str, told: Callable[[str], None] = lambda _: None) -> Curves:
        """What writes the curves of a run; `told` is called if the store does not answer."""
        return Curves(self._once, self._patience, run_id, told)

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

    def reopen(
        self,
        run_id: str,
        tags: Mapping[str, str] = MappingProxyType({}),
        worked_until: float | None = None,
    ) -> None:
        """Have a run that was stopped go on, with new values for these tags.

        Args:
            run_id: the run of a trial or of a sweep.
            tags: what is true of the process that goes on.
            worked_until: when the run last recorded something, in seconds since 1970; of a trial,
                its curves say so.
        """
        run = self._client.get_run(run_id)
        until = stopped.worked_until(self._client, run) if worked_until is None else worked_until
        for key in _OF_THE_END & run.data.tags.keys():
            self._client.delete_tag(run_id, key)
        self._say_that_the_error_is_past(run_id)
        self.tag(
            run_id,
            {
                names.PROCESS: this_process(),
                **_code_tags(),
                **tags,
                **stopped.continued(run, until, time.time()),
            },
        )
        self._client.update_run(run_id, status="RUNNING")

    def _say_that_the_error_is_past(self, run_id: str) -> None:
        """Begin the error of a run that goes on with whose it is. Not all stores can delete it."""
        if names.ERROR_FILE not in {file.path for file in self._client.list_artifacts(run_id)}:
            return
        with tempfile.TemporaryDirectory() as folder:
            path = self._client.download_artifacts(run_id, names.ERROR_FILE, folder)
            error = Path(path).read_text(encoding="utf-8", errors="replace")
        if not error.startswith(_PAST):
            self.log_files(run_id, {names.ERROR_FILE: _PAST + error})

    def finish_given_up(self, run_id: str) -> None:
        """End a complete trial as FINISHED that was ended otherwise; its end stays when it was."""
        run = self._client.get_run(run_id)
        if names.REASON in run.data.tags:
            self._client.delete_tag(run_id, names.REASON)
        self._client.set_terminated(run_id, "FINISHED", end_time=run.info.end_time)

    def end(self, run_id: str, status: str, reason: str = "") -> str:
        """End a run as FINISHED, FAILED or KILLED; `reason` becomes a tag.

        Returns:
            How it ended: a trial that has its last record is FINISHED, whoever was killed then.
        """
        if status != "FINISHED":
            tags = self._client.get_run(run_id).data.tags
            if tags.get(names.COMPLETE) == "true":
                status, reason = "FINISHED", ""
        if reason:
            self.tag(run_id, {names.REASON: redacted(reason)})
        self._client.set_terminated(run_id, status)
        return status


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
