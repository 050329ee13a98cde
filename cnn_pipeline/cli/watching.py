"""Follow a sweep that runs anywhere, by what it writes to MLflow."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from mlflow.exceptions import MlflowException

from cnn_pipeline.base import events, metric_names
from cnn_pipeline.base.errors import InvalidInput, UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.base.links import view_page
from cnn_pipeline.cli.forecast import COMPARING, Running, SweepState
from cnn_pipeline.cli.snapshot import Snapshot, State
from cnn_pipeline.experiment.rounds import needed_trials, round_ended, rounds_of
from cnn_pipeline.network.history import out_of_patience
from cnn_pipeline.network.plan import estimate_seconds, plan_layers
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import Trial
from cnn_pipeline.tracking.live import LiveReader, LiveSweep, LiveTrial
from cnn_pipeline.tracking.overview import STATES
from cnn_pipeline.tracking.reader import SweepRecord
from cnn_pipeline.tracking.store import open_store, store_exists

_EVERY_SECONDS = 1.0
_WAITING = Snapshot(told=("No sweep is running. Waiting for one.",))
_NONE = Snapshot(told=("There is no sweep yet. Start one with `cnn-pipeline run`.",))


class Watch:
    """Makes snapshots of one sweep.

    Args:
        word: id or name of the sweep; None is the newest that runs, and waits for one.
        home: where it is stored.
        server: address of MLflow's UI, empty if none runs.
        wait: whether to wait for a sweep that runs; else the newest of all is taken.
    """

    def __init__(self, word: str | None, home: Home, server: str, *, wait: bool) -> None:
        self._word, self._home, self._server, self._wait = word, home, server, wait
        self._reader: LiveReader | None = None
        self._record: SweepRecord | None = None

    def snapshot(self) -> Snapshot:
        """The sweep as it is now.

        Raises:
            UserError: there is no such sweep, or the store does not answer.
        """
        nothing = _WAITING if self._wait else _NONE
        if self._word is None and not store_exists(self._home, os.environ):
            return nothing
        self._reader = self._reader or LiveReader(open_store(self._home, os.environ, create=False))
        self._record = self._record or self._reader.find(self._word, running=self._wait)
        if self._record is None:
            return nothing
        live = self._reader.read(self._record)
        if not live.trials.keys() <= _trials_of(self._record.sweep):  # a search has chosen more
            self._record = self._reader.find(self._record.sweep_id, running=False) or self._record
            live = replace(live, record=replace(self._record, status=live.record.status))
        return snapshot_of(live, time.time(), self._server)


class Follower:
    """Takes snapshots in a thread, so that keys are answered while the store is slow."""

    def __init__(self, take: Callable[[], Snapshot]) -> None:
        self.last = _WAITING
        self.over = threading.Event()
        """Set when the sweep has ended, or cannot be read at all."""
        self.fault: Exception | None = None
        self._take = take
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        seen = False
        while not self.over.is_set():
            began = time.thread_time()
            try:
                self.last = self._take()
                seen = True
            except InvalidInput as error:
                self._stop(error)
            except UserError as error:
                if not seen:
                    self._stop(error)
                # A server may be restarted while somebody watches.
                self.last = self.last.model_copy(
                    update={"told": (f"{error} Trying again.",), "seconds_left": None}
                )
            except (MlflowException, OSError, KeyError):
                pass  # the sweep's run is there, and its first file is not yet
            except Exception as error:
                self._stop(error)  # else the screen would wait for ever
            if self.last.state not in ("waiting", "running"):
                self.over.set()
            # Of a thousand trials MLflow takes seconds to read: a fifth of a core is enough.
            self.over.wait(max(_EVERY_SECONDS, 4 * (time.thread_time() - began)))

    def _stop(self, error: Exception) -> None:
        self.fault = error
        self.over.set()


def snapshot_of(live: LiveSweep, now: float, server: str) -> Snapshot:
    """What is shown of a sweep: the same picture as from the events of the process that runs it.

    Args:
        live: what MLflow has.
        now: seconds since 1970.
        server: address of MLflow's UI, empty if none runs.
    """
    record = live.record
    state: State = STATES.get(record.status, "running")
    made = state_of(live, now)
    end = now if live.ended is None else live.ended
    shown = made.snapshot(end, state)
    moments = [live.went_on]
    for trial in live.trials.values():
        moments += [trial.began, trial.last_point or 0.0, trial.ended or 0.0]
    running = state == "running"
    page = view_page(record.experiment_id, record.sweep.name, server, charts=True) if server else ""
    return shown.model_copy(
        update={
            "seconds_left": shown.seconds_left if running else None,
            "silent_seconds": max(0.0, now - max(moments)) if running else None,
            "verdict": live.verdict,
            "reason": live.reason,
            "page": page,
        }
    )


def _trials_of(sweep: Sweep) -> set[str]:
    return {trial.name for trial in sweep.trials(sweep.all_seeds)}


def state_of(live: LiveSweep, now: float) -> SweepState:
    """The state that the sweep's events would have led to. Times are seconds since 1970."""
    sweep = live.record.sweep
    ended = [trial.result for trial in live.trials.values() if trial.ended is not None]
    rounds = rounds_of(sweep, ended, live.record.num_validation)
    planned = {trial.name for trial in needed_trials(sweep, rounds)}
    if rounds is not None and rounds.rounds and live.ended is not None:
        planned = set()  # whoever ended it between two rounds wanted no more of them
    trials = {
        trial.name: trial
        for trial in sweep.trials(sweep.all_seeds)
        if trial.name in planned or trial.name in live.trials
    }
    state = SweepState(started=live.began, sweep_id=live.record.sweep_id, data=live.record.dataset)
    state.trials = tuple(trials)
    for name, trial in live.trials.items():
        if name not in trials:
            continue  # a search that goes on has not chosen it again yet
        result = trial.result
        state.curves[name] = list(trial.curve)
        if live.ended is None and result.status == "KILLED" and _before(trial, live.went_on):
            continue  # the sweep goes on, and will with this trial
        if trial.ended is None:
            state.running[name] = _running(trial, trials[name], now)
        elif result.reused_from and result.finished:
            state.reused[name] = events.TrialReused(name, result.reused_from, dict(result.metrics))
        else:
            seconds = trial.ended - trial.began
            state.ended[name] = events.TrialEnded(
                name, result.status, seconds, result.reason, dict(result.metrics)
            )
    state.at_once = max(1, len(state.running))
    state.each = _each(live, sweep)
    state.estimates = {
        name: state.each[trial.label]
        for name, trial in trials.items()
        if trial.label in state.each and name not in state.reused
    }
    state.metric = sweep.measure
    if rounds is not None:
        state.max_rounds, state.decide = rounds.max_rounds, rounds.margin
        state.rounds = [round_ended(rounds, look) for look in rounds.looks]
    if live.ended is None and not set(trials) - set(state.ended) - set(state.reused):
        state.stage = COMPARING
    return state


def _before(trial: LiveTrial, moment: float) -> bool:
    return trial.ended is not None and trial.ended <= moment


def _running(trial: LiveTrial, settings: Trial, now: float) -> Running:
    planned, done = settings.training.epochs, len(trial.curve)
    accuracy = trial.result.metrics.get(metric_names.ACCURACY, 0.0)
    stop_at = settings.training.stop_at_accuracy
    trained = (
        done >= planned
        or (done > 0 and stop_at is not None and accuracy > stop_at)
        or out_of_patience(trial.curve, settings.training.patience)
    )
    phase = "evaluating" if trained else "training" if trial.image_shape else "starting"
    # Its run begins before a trainer is ready, so the epochs say how long it has trained.
    took = done * trial.result.metrics.get(metric_names.EPOCH_SECONDS, 0.0)
    since = max(trial.began, trial.last_point - took) if trial.last_point else trial.began
    return Running(
        since=since,
        phase=phase,
        epoch=min(done, planned - 1),
        epochs=planned,
        images=planned if trained else done,  # in epochs: only the share counts
        total_images=planned,
        last_time=trial.last_point or now,
    )


def _each(live: LiveSweep, sweep: Sweep) -> dict[str, float]:
    """Estimated seconds of one training of each variant; empty until the data are known."""
    shapes = {trial.image_shape for trial in live.trials.values() if trial.image_shape}
    if not shapes or not live.fitted:
        return {}
    shape = shapes.pop()
    return {
        trial.label: estimate_seconds(
            plan_layers(trial.variant, shape, len(live.fitted)),
            trial.training,
            sum(live.fitted),
            live.record.num_test,
        )
        for trial in sweep.trials(sweep.first_seeds[:1])
    }
