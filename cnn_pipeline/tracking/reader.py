"""Reading runs back into records."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.errors import InvalidInput, UserError
from cnn_pipeline.network.evaluation import read_predictions
from cnn_pipeline.network.results import Status, TrialResult
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings, Trial
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.artifacts import read_artifact
from cnn_pipeline.tracking.store import Store, StoreError, redacted
from cnn_pipeline.tracking.writer import copy_model_file

_PAGE = 1000
_CANDIDATES = 3
_REQUIRED_FILES = {
    names.CONFIG_FILE,
    names.HISTORY_FILE,
    names.LAYERS_FILE,
    names.PREDICTIONS_FILE,
    names.SUMMARY_FILE,
}


@dataclass(frozen=True)
class SweepRecord:
    """A sweep as its parent run tells it."""

    sweep_id: str
    experiment_id: str
    run_id: str
    status: str
    sweep: Sweep
    dataset: str
    num_validation: int
    num_test: int


@dataclass(frozen=True)
class StoredModel:
    """Where a run's model is, and what it must be."""

    run_id: str
    run_name: str
    model_id: str
    sha256: str
    dataset: str
    data_digest: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]


class Reader:
    """Reads the runs of sweeps from one MLflow store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._client = MlflowClient(store.uri)
        self._roots: dict[str, str] = {}
        """Where the artifacts of runs are that were found."""

    def sweep(self, sweep_id: str | None) -> SweepRecord:
        """The sweep of that id, or the latest one.

        Raises:
            UserError: there is no such sweep, or none at all.
        """
        condition = f"tags.{names.KIND} = '{names.SWEEP_KIND}'"
        if sweep_id is not None:
            condition += f" and tags.{names.SWEEP_ID} = '{_quoted(sweep_id)}'"
        found = next(self._search(condition, limit=1), None)
        if found is None:
            raise UserError(self._no_sweep(sweep_id))
        return self._record(found)

    def _no_sweep(self, sweep_id: str | None) -> str:
        if sweep_id is None:
            return (
                f"there is no sweep in {self._store.shown_uri} yet. Start one with "
                "`cnn-pipeline run`, or name another home with --home DIR."
            )
        latest = self._search(f"tags.{names.KIND} = '{names.SWEEP_KIND}'", limit=5)
        known = ", ".join(run.data.tags[names.SWEEP_ID] for run in latest)
        return f"no sweep {sweep_id!r} in {self._store.shown_uri}. " + (
            f"The latest are: {known}." if known else "There is none yet."
        )

    def _record(self, run: Run) -> SweepRecord:
        tags = run.data.tags
        text = self._text(run.info.run_id, names.SWEEP_FILE)
        return SweepRecord(
            sweep_id=tags[names.SWEEP_ID],
            experiment_id=run.info.experiment_id,
            run_id=run.info.run_id,
            status=run.info.status,
            sweep=Sweep.model_validate(json.loads(text)),
            dataset=tags[names.DATASET],
            num_validation=int(tags[names.NUM_VALIDATION]),
            num_test=int(tags[names.NUM_TEST]),
        )

    def trials(self, record: SweepRecord) -> tuple[TrialResult, ...]:
        """The trials of a sweep, in the sweep's order."""
        condition = (
            f"tags.{names.SWEEP_ID} = '{_quoted(record.sweep_id)}'"
            f" and tags.{names.KIND} = '{names.TRIAL_KIND}'"
        )
        order = {trial.name: number for number, trial in enumerate(record.sweep.trials())}
        results = [_trial_result(run) for run in self._search(condition)]
        return tuple(sorted(results, key=lambda result: order.get(result.name, len(order))))

    def correct(self, results: tuple[TrialResult, ...]) -> dict[str, np.ndarray]:
        """Per finished trial, which test images it classified correctly: bool `[n_test]`.

        A trial whose predictions cannot be read is left out; the comparison says so.
        """
        answers = {}
        for result in results:
            if not result.finished:
                continue
            try:
                labels, probabilities = self._predictions(result.run_id)
            except (MlflowException, OSError, ValueError, InvalidInput):
                continue
            answers[result.name] = probabilities.argmax(axis=1) == labels
        return answers

    def with_content(self, experiment_id: str, content_key: str) -> list[TrialResult]:
        """Finished trials of that content, the newest first, at most `_CANDIDATES`."""
        condition = f"tags.{names.CONTENT_KEY} = '{content_key}' and tags.{names.COMPLETE} = 'true'"
        found = self._client.search_runs(
            [experiment_id],
            filter_string=f"{condition} and attributes.status = 'FINISHED'",
            max_results=_CANDIDATES,
            order_by=["attributes.start_time DESC"],
        )
        return [_trial_result(run) for run in found]

    def faults(self, result: TrialResult) -> list[str]:
        """What a finished trial no longer is, in words; empty where its record is whole.

        Held against each other: the files that every trial leaves, the predictions and the
        accuracy that was logged, the model's file and its recorded hash.
        """
        try:
            stored = self.model(result.run_id)
            with tempfile.TemporaryDirectory() as folder:
                there = {path.path for path in self._client.list_artifacts(result.run_id)}
                gone = sorted(_REQUIRED_FILES - there)
                if gone:
                    return [f"{', '.join(gone)} must be among its artifacts"]
                labels, probabilities = self._predictions(result.run_id)
                right = float(np.mean(probabilities.argmax(axis=1) == labels))
                if right != result.metrics.get(metric_names.TEST_ACCURACY):
                    logged = result.metrics.get(metric_names.TEST_ACCURACY)
                    return [
                        f"{names.PREDICTIONS_FILE} must give the logged {logged}, gives {right}"
                    ]
                received = self._model_sha256(stored, Path(folder))
        except (MlflowException, OSError, ValueError, KeyError, UserError) as error:
            return [redacted(f"{type(error).__name__}: {error}").splitlines()[0]]
        if not received:
            return [f"the model's file {names.MODEL_FILE} must be there"]
        if received != stored.sha256:
            return [f"the model's sha256 must be {stored.sha256}, is {received}"]
        return []

    def _model_sha256(self, stored: StoredModel, folder: Path) -> str:
        """Of the model's file, hex; empty where there is none."""
        try:
            with self.model_file(stored, folder).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except (MlflowException, OSError):
            return ""  # MLflow's own words are of folders that failed, over several lines

    def same_sweep(self, experiment_id: str, sweep: Sweep) -> SweepRecord | None:
        """The newest finished sweep of equal settings; None where its record cannot be read."""
        found = self._client.search_runs(
            [experiment_id],
            filter_string=f"tags.{names.SWEEP_HASH} = '{sweep.content_hash()}'"
            f" and tags.{names.KIND} = '{names.SWEEP_KIND}' and attributes.status = 'FINISHED'",
            max_results=1,
            order_by=["attributes.start_time DESC"],
        )
        try:
            return self._record(found[0]) if found else None
        except (MlflowException, OSError, ValueError, KeyError):
            return None  # its own record is damaged: its trials may still be whole

    def experiment(self, name: str) -> str | None:
        """Id of the experiment of that name; None where there is none."""
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id) if found else None

    def note(self, run_id: str) -> str:
        """The run's description; empty where it has none."""
        return str(self._client.get_run(run_id).data.tags.get(names.NOTE, ""))

    def tags(self, run_id: str) -> dict[str, str]:
        """Tags of a run, over those of the sweep that it belongs to."""
        tags = dict(self._client.get_run(run_id).data.tags)
        parent = tags.get(names.PARENT)
        return {**(self._client.get_run(parent).data.tags if parent else {}), **tags}

    def experiment_of(self, run_id: str) -> str:
        """Id of the experiment that a run is in."""
        return str(self._client.get_run(run_id).info.experiment_id)

    def metrics(self, run_id: str) -> dict[str, float]:
        """The last value of each metric of a run."""
        return dict(self._client.get_run(run_id).data.metrics)

    def trial(self, run_id: str) -> Trial:
        """The trial that a run recorded.

        Raises:
            UserError: the run's record is gone.
        """
        try:
            config = json.loads(self._text(run_id, names.CONFIG_FILE))
        except (MlflowException, OSError):
            raise UserError(
                f"run {run_id} must have its {names.CONFIG_FILE}: its artifacts are missing. "
                "Restore them from a backup."
            ) from None
        return Trial.model_validate(config["trial"])

    def data_settings(self, run_id: str) -> DataSettings:
        """Which data a run was trained on, and how they were split."""
        config = json.loads(self._text(run_id, names.CONFIG_FILE))
        return DataSettings.model_validate(config["data"])

    def model(self, run_id: str) -> StoredModel:
        """The model that a run logged.

        Raises:
            UserError: no such run, or it has no model.
        """
        try:
            run = self._client.get_run(run_id)
        except MlflowException:
            raise UserError(
                f"no run {run_id!r} in {self._store.shown_uri}. "
                "`cnn-pipeline compare` lists the runs of a sweep."
            ) from None
        outputs = run.outputs.model_outputs if run.outputs else []
        sha256 = run.data.tags.get(names.MODEL_SHA256)
        if not outputs or sha256 is None:
            raise UserError(
                f"run {run.info.run_name} ({run_id}) has no model: its status is "
                f"{run.info.status}. Choose a finished trial."
            )
        return StoredModel(
            run_id=run_id,
            run_name=run.info.run_name,
            model_id=outputs[-1].model_id,
            sha256=sha256,
            dataset=run.data.tags[names.DATASET],
            data_digest=run.data.tags[names.DATA_DIGEST],
            class_names=tuple(json.loads(run.data.tags[names.CLASS_NAMES])),
            image_shape=_shape(run.data.tags[names.IMAGE_SHAPE]),
        )

    def model_file(self, stored: StoredModel, folder: Path) -> Path:
        """Copy of the model's `.keras` file in `folder`; not yet verified."""
        return copy_model_file(self._client, stored.model_id, folder)

    def _predictions(self, run_id: str) -> tuple[np.ndarray, np.ndarray]:
        content = self._artifact(run_id, names.PREDICTIONS_FILE)
        return read_predictions(pd.read_parquet(io.BytesIO(content)))

    def _text(self, run_id: str, name: str) -> str:
        return self._artifact(run_id, name).decode("utf-8")

    def _artifact(self, run_id: str, name: str) -> bytes:
        if run_id not in self._roots:
            self._roots[run_id] = self._client.get_run(run_id).info.artifact_uri
        return read_artifact(self._roots[run_id], name, self._store.uri)

    def _search(self, condition: str, limit: int | None = None) -> Iterator[Run]:
        try:
            experiments = [e.experiment_id for e in self._client.search_experiments()]
            token = None
            while experiments:
                page = self._client.search_runs(
                    experiments,
                    filter_string=condition,
                    max_results=limit or _PAGE,
                    order_by=["attributes.start_time DESC"],
                    page_token=token,
                )
                self._roots.update({run.info.run_id: run.info.artifact_uri for run in page})
                yield from page
                token = page.token
                if limit is not None or not token:
                    return
        except MlflowException as error:
            raise StoreError(
                f"the MLflow store at {self._store.shown_uri} must answer, received: "
                f"{redacted(str(error))}. Check MLFLOW_TRACKING_URI, or start the server."
            ) from None


def _trial_result(run: Run) -> TrialResult:
    data = run.data
    params = {key: _scalar(value) for key, value in data.params.items()}
    status, reason = _ending(run)
    return TrialResult(
        name=data.tags[names.TRIAL],
        label=data.tags[names.VARIANT],
        seed=int(data.tags[names.TRIAL].rpartition("-s")[2]),
        run_id=run.info.run_id,
        status=status,
        reason=reason,
        reused_from=data.tags.get(names.REUSED_FROM, ""),
        content_key=data.tags.get(names.CONTENT_KEY, ""),
        params=params,
        metrics=dict(data.metrics),
    )


def _ending(run: Run) -> tuple[Status, str]:
    """How the run ended, and why if it did not finish."""
    received, tags = run.info.status, run.data.tags
    if received == "FINISHED" and tags.get(names.COMPLETE) != "true":
        return "FAILED", "the run says FINISHED, but its last record is missing"
    if received == "FINISHED":
        return "FINISHED", ""
    status: Status = "FAILED" if received == "FAILED" else "KILLED"
    return status, tags.get(names.REASON, f"run is {received}")


def _shape(text: str) -> tuple[int, int, int]:
    height, width, channels = map(int, text.split("x"))
    return height, width, channels


def _scalar(text: str) -> str | int | float | bool:
    """MLflow stores params as text; the comparison wants the numbers back."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _quoted(text: str) -> str:
    return text.replace("'", "")
