"""Read what a sweep has so far from MLflow, as often as somebody looks."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cnn_pipeline.base import metric_names
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.overview import trial_runs
from cnn_pipeline.tracking.reader import UNENDED, Reader, SweepRecord, trial_result
from cnn_pipeline.tracking.stopped import began, last_start
from cnn_pipeline.tracking.store import Store, unreachable


@dataclass(frozen=True)
class LiveTrial:
    """A trial whose run has begun. Times are seconds since 1970."""

    result: TrialResult
    """What its run holds; its status means nothing before it has ended."""
    began: float
    """If it went on after it was stopped: as if it had never paused."""
    ended: float | None
    """None while it runs."""
    curve: tuple[float, ...]
    """Validation accuracy after each epoch."""
    last_point: float | None
    """When the last epoch was recorded."""
    image_shape: tuple[int, int, int] | None
    """(height, width, channels); None until the trial has loaded the data."""


@dataclass(frozen=True)
class LiveSweep:
    """A sweep, and its trials that have begun, by name. Times are seconds since 1970."""

    record: SweepRecord
    began: float
    """As that of a trial."""
    went_on: float
    """When it last did, or began."""
    ended: float | None
    """None while it runs."""
    verdict: str
    reason: str
    fitted: tuple[int, ...]
    """Training images of each class; empty if that is not recorded."""
    trials: dict[str, LiveTrial]


class LiveReader:
    """Reads one sweep again and again; what has ended is asked for once."""

    def __init__(self, store: Store) -> None:
        self._client = MlflowClient(store.uri)
        self._reader = Reader(store)
        self._store = store
        self._over: dict[str, LiveTrial] = {}
        """Trials that have ended, by run id."""

    def find(self, word: str | None, *, running: bool) -> SweepRecord | None:
        """The sweep with the id or name `word`; without one the newest that runs, or None.

        If `running` is False and none runs, the newest of all is taken.

        Raises:
            UserError: there is no sweep `word`, or the store does not answer.
        """
        return self._reader.newest(running=running) if word is None else self._reader.sweep(word)

    def read(self, record: SweepRecord) -> LiveSweep:
        """What the store has of a sweep now.

        Raises:
            StoreError: the store does not answer.
        """
        try:
            run = self._client.get_run(record.run_id)
            runs = trial_runs(self._client, record.experiment_id, record.sweep_id)
            trials = [self._trial(one) for one in runs]
        except MlflowException as error:
            raise unreachable(self._store, error) from None
        tags = run.data.tags
        counts = json.loads(tags.get(names.CLASS_COUNTS, "{}"))
        return LiveSweep(
            record=replace(record, status=run.info.status),
            began=began(run),
            went_on=last_start(run),
            ended=_ended(run),
            verdict=tags.get(names.VERDICT, ""),
            reason=tags.get(names.REASON, ""),
            fitted=tuple(counts.get("fitted", ())),
            trials={trial.result.name: trial for trial in trials},
        )

    def _trial(self, run: Run) -> LiveTrial:
        if run.info.run_id in self._over:
            return self._over[run.info.run_id]
        points = []
        if metric_names.VAL_ACCURACY in run.data.metrics:
            points = self._client.get_metric_history(run.info.run_id, metric_names.VAL_ACCURACY)
            points = sorted(points, key=lambda point: int(point.step))
        shape = run.data.tags.get(names.IMAGE_SHAPE)
        trial = LiveTrial(
            result=trial_result(run),
            began=began(run),
            ended=_ended(run),
            curve=tuple(point.value for point in points),
            last_point=max((point.timestamp for point in points), default=0) / 1000 or None,
            image_shape=_shape(shape) if shape else None,
        )
        if trial.ended is not None and trial.result.finished:  # another may go on
            self._over[run.info.run_id] = trial
        return trial


def _ended(run: Run) -> float | None:
    """When a run ended. MLflow may give a time of one that it still calls RUNNING."""
    if run.info.status in UNENDED:
        return None
    return float(run.info.end_time or run.info.start_time) / 1000


def _shape(text: str) -> tuple[int, int, int]:
    height, width, channels = map(int, text.split("x"))
    return height, width, channels
