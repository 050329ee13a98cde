"""The curves of one run: written while it trains, completed and counted at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from cnn_pipeline.tracking.patience import Patience, brief, is_transient
from cnn_pipeline.tracking.store import StoreError

# How long training waits for a point to be written. A locked SQLite file blocks a call for 20 s.
_WAIT_SECONDS = 3.0
_BATCH = 1000
"""Metrics that MLflow accepts in one call."""

Point = tuple[str, int]
"""Metric and step."""


class Curves:
    """Writes the curves of a run. A store that is away does not hold the training up.

    What could not be written is written later, at the latest by `complete`. What the store has
    already, from before the trial was resumed, is not written again: the steps of a metric are its
    identity, and MLflow would keep both points.
    """

    def __init__(
        self,
        client: MlflowClient,
        patience: Patience,
        run_id: str,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Write with `client`, which must not repeat its calls; `patience` is for `complete`.

        `told` is called with a sentence if the store does not answer.
        """
        self._told = told
        self._client, self._patience, self._run_id = client, patience, run_id
        self._points: dict[Point, Metric] = {}
        self._written: set[Point] | None = None
        """What the store has; None before it was asked."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="curves")
        self._writing: Future[str] | None = None
        """Ends with why the points were not written; '' if they were."""
        self._away = False

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add a point to each curve, and write it unless the store is away.

        Raises:
            MlflowException: the store refuses it, now or in an earlier call.
        """
        self._keep(step, metrics)
        if self._writing is not None and not self._writing.done():
            return
        if self._writing is not None:
            self._tell(self._writing.result())
        self._writing = self._thread.submit(self._write, tuple(self._points))
        if not self._away:
            try:
                self._tell(self._writing.result(_WAIT_SECONDS))
            except TimeoutError:
                self._tell(f"not within {_WAIT_SECONDS:.0f} s")

    def complete(self, curves: Mapping[int, Mapping[str, float]]) -> None:
        """Write the points that the store does not have yet, and read back that it has all.

        Args:
            curves: metrics by step, all of the run's, also those of before it was resumed.

        Raises:
            StoreAway: the store was away for too long.
            StoreError: it does not have what it said it wrote.
            MlflowException: it refuses them.
        """
        for step, metrics in curves.items():
            self._keep(step, metrics)
        self._thread.shutdown()
        self._patience.call(self._fill)

    def _keep(self, step: int, metrics: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        for key, value in metrics.items():
            self._points.setdefault((key, step), Metric(key, value, now, step))

    def _write(self, wanted: tuple[Point, ...]) -> str:
        try:
            if self._written is None:
                self._written = self._read(wanted)
            self._send([point for point in wanted if point not in self._written])
        except Exception as error:
            if not is_transient(error):
                raise
            return brief(error)
        return ""

    def _fill(self) -> None:
        self._written = self._read(self._points)
        if missing := [point for point in self._points if point not in self._written]:
            self._send(missing)
            self._written = self._read(self._points)
        if lacking := self._points.keys() - self._written:
            raise StoreError(
                f"MLflow at {self._patience.shown_uri} must have {len(self._points)} points of "
                f"the curves of run {self._run_id}, but {len(lacking)} are missing after it had "
                "accepted them. Check its database, and run the same command again."
            )

    def _send(self, points: list[Point]) -> None:
        assert self._written is not None
        for start in range(0, len(points), _BATCH):
            batch = points[start : start + _BATCH]
            self._client.log_batch(self._run_id, metrics=[self._points[one] for one in batch])
            self._written |= set(batch)

    def _read(self, wanted: Iterable[Point]) -> set[Point]:
        known = self._client.get_run(self._run_id).data.metrics
        return {
            (key, int(metric.step))
            for key in {key for key, _ in wanted} & known.keys()
            for metric in self._client.get_metric_history(self._run_id, key)
        }

    def _tell(self, why: str) -> None:
        if why and not self._away:
            self._told(
                f"MLflow at {self._patience.shown_uri} does not answer ({why}): training goes on, "
                "and the curves are written when it does"
            )
        self._away = bool(why)
