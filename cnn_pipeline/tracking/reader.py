"""Read sweeps and trials back from MLflow."""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.errors import InvalidInput, UserError
from cnn_pipeline.base.files import sha256_of_bytes
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.network.evaluation import read_predictions
from cnn_pipeline.network.results import Status, TrialResult
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings, Trial
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.artifacts import read_artifact
from cnn_pipeline.tracking.deleted import require_active, restore_hint
from cnn_pipeline.tracking.patience import is_transient, patience_with, patient_client
from cnn_pipeline.tracking.store import Store, unreachable

_PAGE = 1000
_CANDIDATES = 3  # the first may be damaged
_NEAREST = 3
UNENDED = ("RUNNING", "SCHEDULED")
_HAS_ENDED = "attributes.status != 'RUNNING'"
_IS_SWEEP = f"tags.{names.KIND} = '{names.SWEEP_KIND}'"


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
    test_counts: tuple[int, ...] = ()
    """Test images of each class; empty for sweeps of before they were recorded."""
    data_warnings: tuple[str, ...] = ()
    test_drawn: str = ""
    """As in `DataCard`."""

    @property
    def running(self) -> bool:
        """Whether the sweep has not ended."""
        return self.status in UNENDED


class DamagedRecord(ValueError):
    """An artifact is not the one that was logged."""


class MissingRecord(UserError):
    """An artifact of a run is not in the store any more."""

    exit_code = 1


def check_predictions(content: bytes, tags: Mapping[str, str]) -> None:
    """Compare the bytes of a run's predictions with the SHA-256 in its tags.

    Runs of before that tag are believed.

    Raises:
        DamagedRecord: they differ.
    """
    expected, received = tags.get(names.PREDICTIONS_SHA256), sha256_of_bytes(content)
    if expected is not None and received != expected:
        raise DamagedRecord(
            f"{names.PREDICTIONS_FILE} must have SHA-256 {expected}, received {received}"
        )


class Reader:
    """Reads the runs of sweeps from one MLflow store."""

    def __init__(self, store: Store, *, patient: bool = False) -> None:
        """With `patient`, repeat calls while the store is away, as what writes a sweep does."""
        self.store = store
        self._patience = patience_with(store) if patient else None
        self._client = patient_client(store) if patient else MlflowClient(store.uri)
        self._runs: dict[str, tuple[str, dict[str, str]]] = {}
        """Address of the artifacts and tags by run id, as far as known."""

    def sweep(self, word: str | None, *, ended: bool = False) -> SweepRecord:
        """The sweep with the id `word`, else the latest with that name; None: the latest of all.

        `ended` prefers a sweep that has ended, unless `word` is an id or none has.

        Raises:
            UserError: there is no such sweep, or none at all.
        """
        found = None if word is None else self._first(f"tags.{names.SWEEP_ID} = '{_quoted(word)}'")
        if found is None:
            named = "" if word is None else f"tags.{names.SWEEP} = '{_quoted(word)}'"
            found = (ended and self._first(named, _HAS_ENDED)) or self._first(named)
        if not found:
            raise UserError(self._no_sweep(word))
        return self._record(found)

    def newest(self, *, running: bool) -> SweepRecord | None:
        """The newest sweep that runs; if none does, None, or the newest of all.

        `running` says that only one that runs will do.
        """
        found = self._first("attributes.status = 'RUNNING'") or (not running and self._first())
        return self._record(found) if found else None

    def running_since(self, record: SweepRecord) -> str | None:
        """Id of the newest sweep that started after `record` and has not ended; None without."""
        newest = self._first("attributes.status = 'RUNNING'")
        if newest is None or newest.info.run_id == record.run_id:
            return None
        later = newest.info.start_time > self._client.get_run(record.run_id).info.start_time
        return str(newest.data.tags[names.SWEEP_ID]) if later else None

    def sweep_ids(self) -> list[str]:
        """Ids of the sweeps, newest first, at most a thousand.

        Raises:
            StoreError: the store does not answer.
        """
        return [run.data.tags[names.SWEEP_ID] for run in self._search(_IS_SWEEP, limit=_PAGE)]

    def _first(self, *conditions: str) -> Run | None:
        """The newest sweep of those that meet all conditions."""
        condition = " and ".join([_IS_SWEEP, *filter(None, conditions)])
        return next(self._search(condition, limit=1), None)

    def _no_sweep(self, word: str | None) -> str:
        if word is None:
            return (
                f"there is no sweep in {self.store.shown_uri} yet. Start one with "
                "`cnn-pipeline run`, or name another home with --home DIR."
                f"{restore_hint(self.store, self._client)}"
            )
        known = [run.data.tags for run in self._search(_IS_SWEEP, limit=_PAGE)]
        ids = [tags[names.SWEEP_ID] for tags in known]
        words = dict.fromkeys([*ids, *(tags[names.SWEEP] for tags in known)])
        near = difflib.get_close_matches(word, words, n=_NEAREST)
        said = f"no sweep {word!r} in {self.store.shown_uri}. "
        if near:
            return said + f"The nearest are: {', '.join(near)}. `cnn-pipeline list` shows all."
        said += f"The latest are: {', '.join(ids[:5])}." if ids else "There is none yet."
        return said + restore_hint(self.store, self._client)

    def _record(self, run: Run) -> SweepRecord:
        tags = run.data.tags
        text = self._needed(run.info.run_id, names.SWEEP_FILE)
        return SweepRecord(
            sweep_id=tags[names.SWEEP_ID],
            experiment_id=run.info.experiment_id,
            run_id=run.info.run_id,
            status=run.info.status,
            sweep=Sweep.model_validate(json.loads(text)),
            dataset=tags[names.DATASET],
            num_validation=int(tags[names.NUM_VALIDATION]),
            num_test=int(tags[names.NUM_TEST]),
            test_counts=tuple(json.loads(tags.get(names.CLASS_COUNTS, "{}")).get("test", ())),
            data_warnings=tuple(json.loads(tags.get(names.DATA_WARNINGS, "[]"))),
            test_drawn=tags.get(names.TEST_DRAWN, ""),
        )

    def trials(self, record: SweepRecord) -> tuple[TrialResult, ...]:
        """The trials of a sweep, in the order of its settings."""
        return self._results(record, self._trial_runs(record))

    def result(self, run_id: str) -> TrialResult:
        """The record of one trial."""
        return trial_result(self._client.get_run(run_id))

    def ended_trials(self, record: SweepRecord) -> tuple[TrialResult, ...]:
        """The trials of a sweep that have ended, in the order of its settings."""
        runs = self._trial_runs(record)
        return self._results(record, (run for run in runs if run.info.status not in UNENDED))

    def _trial_runs(self, record: SweepRecord) -> Iterator[Run]:
        return self._search(
            f"tags.{names.SWEEP_ID} = '{_quoted(record.sweep_id)}'"
            f" and tags.{names.KIND} = '{names.TRIAL_KIND}'"
        )

    def finished_trials(self, limit: int) -> tuple[TrialResult, ...]:
        """The newest trials that have finished, of all sweeps."""
        runs = self._search(
            f"tags.{names.KIND} = '{names.TRIAL_KIND}' and tags.{names.COMPLETE} = 'true'"
            " and attributes.status = 'FINISHED'",
            limit=limit,
        )
        return tuple(map(trial_result, runs))

    def siblings(self, run_id: str) -> tuple[TrialResult, ...]:
        """The finished trials of the same variant in the same sweep, with other seeds."""
        tags = self._client.get_run(run_id).data.tags
        if not {names.SWEEP_ID, names.VARIANT} <= tags.keys():
            return ()
        runs = self._search(
            f"tags.{names.SWEEP_ID} = '{_quoted(tags[names.SWEEP_ID])}'"
            f" and tags.{names.KIND} = '{names.TRIAL_KIND}'"
            f" and tags.{names.VARIANT} = '{_quoted(tags[names.VARIANT])}'"
        )
        results = (trial_result(run) for run in runs if run.info.run_id != run_id)
        return tuple(sorted((one for one in results if one.finished), key=lambda one: one.seed))

    @staticmethod
    def _results(record: SweepRecord, runs: Iterable[Run]) -> tuple[TrialResult, ...]:
        trials = record.sweep.trials(record.sweep.all_seeds)
        order = {trial.name: number for number, trial in enumerate(trials)}
        results = map(trial_result, runs)
        return tuple(sorted(results, key=lambda result: order.get(result.name, len(order))))

    def correct(self, results: tuple[TrialResult, ...]) -> dict[str, np.ndarray]:
        """Which test images each finished trial classified correctly: bool `[n_test]` by name.

        A trial whose predictions cannot be read is missing; the comparison says so.
        """
        return {name: given == labels for name, (labels, given) in self.answers(results).items()}

    def answers(self, results: tuple[TrialResult, ...]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """True and predicted class of each test image, int64 `[n_test]`, by name of the trial.

        Without unfinished trials, and those whose predictions cannot be read.
        """
        answers = {}
        for result in results:
            if not result.finished:
                continue
            try:
                labels, probabilities = self.predictions(result.run_id)
            except (MlflowException, OSError, ValueError, InvalidInput):
                continue
            answers[result.name] = labels, probabilities.argmax(axis=1)
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
        return [trial_result(run) for run in found]

    def same_sweep(
        self, experiment_id: str, sweep: Sweep, content_key: str = ""
    ) -> SweepRecord | None:
        """The newest finished sweep with identical settings; None without one, or if unreadable.

        With `content_key`, only one with this key.
        """
        with_key = f" and tags.{names.CONTENT_KEY} = '{content_key}'" if content_key else ""
        found = self._client.search_runs(
            [experiment_id],
            filter_string=f"tags.{names.SWEEP_HASH} = '{sweep.content_hash()}'"
            f" and tags.{names.KIND} = '{names.SWEEP_KIND}' and attributes.status = 'FINISHED'"
            + with_key,
            max_results=1,
            order_by=["attributes.start_time DESC"],
        )
        try:
            return self._record(found[0]) if found else None
        except (MlflowException, OSError, ValueError, KeyError, MissingRecord):
            return None  # its own record is damaged, but its trials may be intact

    def compared_with_key(self, experiment_id: str, content_key: str) -> SweepRecord | None:
        """The newest sweep with this content key that has its verdict, also if trials failed."""
        found = self._client.search_runs(
            [experiment_id],
            filter_string=f"tags.{names.CONTENT_KEY} = '{content_key}'"
            f" and tags.{names.KIND} = '{names.SWEEP_KIND}' and attributes.status != 'RUNNING'",
            order_by=["attributes.start_time DESC"],
        )
        ended = [run for run in found if names.VERDICT in run.data.tags]
        return self._record(ended[0]) if ended else None

    def experiment(self, name: str) -> str | None:
        """Id of the experiment with this name, or None.

        Raises:
            StoreError: it was deleted, so that nothing can be written there.
        """
        found = self._client.get_experiment_by_name(name)
        return require_active(self.store, found) if found else None

    def experiment_tags(self, name: str) -> dict[str, str]:
        """Tags of the experiment with this name; none if there is none."""
        found = self._client.get_experiment_by_name(name)
        return dict(found.tags) if found else {}

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

    def params(self, run_id: str) -> dict[str, str]:
        """The params of a run, as text."""
        return dict(self._client.get_run(run_id).data.params)

    def metrics(self, run_id: str) -> dict[str, float]:
        """The last value of each metric of a run."""
        return dict(self._client.get_run(run_id).data.metrics)

    def config(self, run_id: str) -> dict[str, Any]:
        """What a trial's run recorded to be repeated: settings, data, device, versions.

        Raises:
            UserError: the artifact with it is missing.
        """
        return dict(json.loads(self._needed(run_id, names.CONFIG_FILE)))

    def trial(self, run_id: str) -> Trial:
        """The settings that a run recorded.

        Raises:
            UserError: the artifact with them is missing.
        """
        return Trial.model_validate(self.config(run_id)["trial"])

    def data_settings(self, run_id: str) -> DataSettings:
        """The data that a run was trained on, and their split.

        Raises:
            UserError: the artifact with them is missing.
        """
        return DataSettings.model_validate(self.config(run_id)["data"])

    def history(self, run_id: str) -> dict[str, list[float]]:
        """The curves of a trial with all their digits: a number per epoch, by name.

        Raises:
            UserError: the artifact with them is missing.
        """
        rows = list(csv.DictReader(io.StringIO(self._needed(run_id, names.HISTORY_FILE))))
        return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else ())}

    def _needed(self, run_id: str, name: str) -> str:
        try:
            return self._text(run_id, name)
        except (MlflowException, OSError) as error:
            if is_transient(error):
                raise
            raise MissingRecord(
                f"run {run_id} must have its {name}: its artifacts are missing from "
                f"{redacted(self._known(run_id)[0])}. Restore them from a backup, or train again "
                "with `cnn-pipeline run --force`; `cnn-pipeline doctor` names all that is missing."
            ) from None

    def ids_from(self, beginning: str) -> list[str]:
        """Ids of the trials' runs that begin with these letters, newest first, at most two."""
        condition = f"attributes.run_id LIKE '{_quoted(beginning)}%'"
        kind = f"tags.{names.KIND} = '{names.TRIAL_KIND}'"
        return [run.info.run_id for run in self._search(f"{condition} and {kind}", limit=2)]

    def artifacts(self, run_id: str) -> set[str]:
        """Names of the files and folders that a run has at the top level."""
        return {entry.path for entry in self._client.list_artifacts(run_id)}

    def predictions(self, run_id: str) -> tuple[np.ndarray, np.ndarray]:
        """A run's answers on the test images: labels int64 `[n]`, probabilities float32 `[n, k]`.

        Raises:
            MlflowException, OSError: the artifact cannot be read.
            InvalidInput, ValueError: it is not the one that was logged, or no table of predictions.
        """
        content = self._artifact(run_id, names.PREDICTIONS_FILE)
        check_predictions(content, self._known(run_id)[1])
        return read_predictions(pd.read_parquet(io.BytesIO(content)))

    def _text(self, run_id: str, name: str) -> str:
        return self._artifact(run_id, name).decode("utf-8")

    def _artifact(self, run_id: str, name: str) -> bytes:
        given = self._known(run_id)[0], name, self.store.uri
        return (
            self._patience.call(read_artifact, *given) if self._patience else read_artifact(*given)
        )

    def _known(self, run_id: str) -> tuple[str, dict[str, str]]:
        if run_id not in self._runs:
            self._remember([self._client.get_run(run_id)])
        return self._runs[run_id]

    def _remember(self, runs: Iterable[Run]) -> None:
        self._runs |= {run.info.run_id: (run.info.artifact_uri, run.data.tags) for run in runs}

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
                self._remember(page)
                yield from page
                token = page.token
                if limit is not None or not token:
                    return
        except MlflowException as error:
            raise unreachable(self.store, error) from None


def trial_result(run: Run) -> TrialResult:
    """The record of a trial's run; one that has not ended counts as KILLED."""
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
        device=data.tags.get(names.DEVICE, ""),
        params=params,
        metrics={k: v for k, v in data.metrics.items() if k not in metric_names.COMPARED},
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
