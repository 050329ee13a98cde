"""Read sweeps and trials back from MLflow."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.errors import InvalidInput, UserError
from cnn_pipeline.network.evaluation import read_predictions
from cnn_pipeline.network.results import Status, TrialResult
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings, Trial
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.artifacts import read_artifact
from cnn_pipeline.tracking.store import Store, StoreError, redacted

_PAGE = 1000
_CANDIDATES = 3  # the first may be damaged


@dataclass(frozen=True)
class SweepRecord:
    """A sweep, read from its parent run."""

    sweep_id: str
    experiment_id: str
    run_id: str
    status: str
    sweep: Sweep
    dataset: str
    num_validation: int
    num_test: int


class Reader:
    """Reads the runs of sweeps from one MLflow store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._client = MlflowClient(store.uri)
        self._roots: dict[str, str] = {}
        """Address of the artifacts by run id, as far as known."""

    def sweep(self, sweep_id: str | None) -> SweepRecord:
        """The sweep with this id, or the latest one.

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
                f"there is no sweep in {self.store.shown_uri} yet. Start one with "
                "`cnn-pipeline run`, or name another home with --home DIR."
            )
        latest = self._search(f"tags.{names.KIND} = '{names.SWEEP_KIND}'", limit=5)
        known = ", ".join(run.data.tags[names.SWEEP_ID] for run in latest)
        return f"no sweep {sweep_id!r} in {self.store.shown_uri}. " + (
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
        """The trials of a sweep, in the order of its settings."""
        condition = (
            f"tags.{names.SWEEP_ID} = '{_quoted(record.sweep_id)}'"
            f" and tags.{names.KIND} = '{names.TRIAL_KIND}'"
        )
        order = {trial.name: number for number, trial in enumerate(record.sweep.trials())}
        results = [_trial_result(run) for run in self._search(condition)]
        return tuple(sorted(results, key=lambda result: order.get(result.name, len(order))))

    def correct(self, results: tuple[TrialResult, ...]) -> dict[str, np.ndarray]:
        """Which test images each finished trial classified correctly: bool `[n_test]` by name.

        A trial whose predictions cannot be read is missing; the comparison says so.
        """
        answers = {}
        for result in results:
            if not result.finished:
                continue
            try:
                labels, probabilities = self.predictions(result.run_id)
            except (MlflowException, OSError, ValueError, InvalidInput):
                continue
            answers[result.name] = probabilities.argmax(axis=1) == labels
        return answers

    def with_content(self, experiment_id: str, content_key: str) -> list[TrialResult]:
        """The newest finished trials with this content key, newest first, at most three."""
        condition = f"tags.{names.CONTENT_KEY} = '{content_key}' and tags.{names.COMPLETE} = 'true'"
        found = self._client.search_runs(
            [experiment_id],
            filter_string=f"{condition} and attributes.status = 'FINISHED'",
            max_results=_CANDIDATES,
            order_by=["attributes.start_time DESC"],
        )
        return [_trial_result(run) for run in found]

    def same_sweep(self, experiment_id: str, sweep: Sweep) -> SweepRecord | None:
        """The newest finished sweep with identical settings; None without one, or if unreadable."""
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
            return None  # its own record is damaged, but its trials may be intact

    def experiment(self, name: str) -> str | None:
        """Id of the experiment with this name, or None."""
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id) if found else None

    def note(self, run_id: str) -> str:
        """Description of a run; empty if it has none."""
        return str(self._client.get_run(run_id).data.tags.get(names.NOTE, ""))

    def tags(self, run_id: str) -> dict[str, str]:
        """Tags of a run, and those of its sweep that it does not have itself."""
        tags = dict(self._client.get_run(run_id).data.tags)
        parent = tags.get(names.PARENT)
        return {**(self._client.get_run(parent).data.tags if parent else {}), **tags}

    def experiment_of(self, run_id: str) -> str:
        """Id of the experiment of a run."""
        return str(self._client.get_run(run_id).info.experiment_id)

    def metrics(self, run_id: str) -> dict[str, float]:
        """The last value of each metric of a run."""
        return dict(self._client.get_run(run_id).data.metrics)

    def trial(self, run_id: str) -> Trial:
        """The settings that a run recorded.

        Raises:
            UserError: the artifact with them is missing.
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
        """The data that a run was trained on, and their split."""
        config = json.loads(self._text(run_id, names.CONFIG_FILE))
        return DataSettings.model_validate(config["data"])

    def artifacts(self, run_id: str) -> set[str]:
        """Names of the files and folders that a run has at the top level."""
        return {entry.path for entry in self._client.list_artifacts(run_id)}

    def predictions(self, run_id: str) -> tuple[np.ndarray, np.ndarray]:
        """A run's answers on the test images: labels int64 `[n]`, probabilities float32 `[n, k]`.

        Raises:
            MlflowException, OSError: the artifact cannot be read.
            InvalidInput, ValueError: it is not a table of predictions.
        """
        content = self._artifact(run_id, names.PREDICTIONS_FILE)
        return read_predictions(pd.read_parquet(io.BytesIO(content)))

    def _text(self, run_id: str, name: str) -> str:
        return self._artifact(run_id, name).decode("utf-8")

    def _artifact(self, run_id: str, name: str) -> bytes:
        if run_id not in self._roots:
            self._roots[run_id] = self._client.get_run(run_id).info.artifact_uri
        return read_artifact(self._roots[run_id], name, self.store.uri)

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
                f"the MLflow store at {self.store.shown_uri} must answer, received: "
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
    """Status, and the reason unless the run finished."""
    received, tags = run.info.status, run.data.tags
    if received == "FINISHED" and tags.get(names.COMPLETE) != "true":
        return "FAILED", "the run says FINISHED, but its last record is missing"
    if received == "FINISHED":
        return "FINISHED", ""
    status: Status = "FAILED" if received == "FAILED" else "KILLED"
    return status, tags.get(names.REASON, f"run is {received}")


def _scalar(text: str) -> str | int | float | bool:
    """A param as number or bool: MLflow stores text."""
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
