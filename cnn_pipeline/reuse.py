"""What need not be trained again: trials of equal content whose stored record is still whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cnn_pipeline import events, experiment
from cnn_pipeline.config import Sweep, Trial
from cnn_pipeline.content import content_key
from cnn_pipeline.experiment import DataCard, Outcome, SweepRun
from cnn_pipeline.paths import TRACKING_VARIABLE, Home
from cnn_pipeline.results import TrialResult

if TYPE_CHECKING:
    from cnn_pipeline.tracking import Reader


def find_unchanged(sweep: Sweep, card: DataCard, home: Home, threads: int) -> Outcome | None:
    """The outcome of the newest equal sweep, where training it again would give the same.

    Every trial must have finished with the content that it would have now, and be verified. What
    keeps one from being reused is told by `find_reusable`, which is asked next.
    """
    where = _stored(card, home)
    if where is None:
        return None
    reader, experiment_id = where
    record = reader.same_sweep(experiment_id, sweep)
    if record is None:
        return None
    keys = _keys(sweep, card, threads)
    found = {result.name: result for result in reader.trials(record)}
    same = found.keys() == keys.keys() and all(
        result.finished and result.content_key == keys[name] for name, result in found.items()
    )
    if not same or any(reader.faults(result) for result in found.values()):
        return None
    return experiment.outcome_of(reader, record)


def find_reusable(sweep: Sweep, card: DataCard, home: Home, threads: int) -> dict[str, TrialResult]:
    """By name of the trial, the newest finished trial of equal content that was verified."""
    where = _stored(card, home)
    if where is None:
        return {}
    reader, experiment_id = where
    found = {
        name: next(
            (one for one in reader.with_content(experiment_id, key) if _whole(reader, one)), None
        )
        for name, key in _keys(sweep, card, threads).items()
    }
    return {name: result for name, result in found.items() if result is not None}


def reuse_trial(
    sweep_run: SweepRun, trial: Trial, source: TrialResult, tags: Mapping[str, str]
) -> TrialResult:
    """Repeat the record of `source` as a run of this sweep, with the same logged model."""
    from cnn_pipeline.tracking import Store, Tracker

    tracker = Tracker(Store(sweep_run.store_uri, sweep_run.artifacts_uri))
    run_id = experiment.start_trial(tracker, sweep_run, trial, source.content_key, tags)
    try:
        tracker.copy_trial(source.run_id, run_id)
    except BaseException as error:
        tracker.end(run_id, "KILLED", f"the sweep was stopped: {type(error).__name__}")
        raise
    tracker.end(run_id, "FINISHED")
    first = source.reused_from or source.run_id
    events.emit(events.TrialReused(trial.name, first))
    return TrialResult(
        name=trial.name,
        label=trial.label,
        seed=trial.seed,
        run_id=run_id,
        status="FINISHED",
        reused_from=first,
        content_key=source.content_key,
        metrics=source.metrics,
    )


def _keys(sweep: Sweep, card: DataCard, threads: int) -> dict[str, str]:
    return {
        trial.name: content_key(trial, sweep.data, card.digest, threads) for trial in sweep.trials()
    }


def _stored(card: DataCard, home: Home) -> tuple[Reader, str] | None:
    """A reader and the experiment's id; None where nothing has been stored yet."""
    if not os.environ.get(TRACKING_VARIABLE) and not home.database.exists():
        return None
    from cnn_pipeline.tracking import Reader, experiment_name, open_store

    reader = Reader(open_store(home, os.environ))
    experiment_id = reader.experiment(experiment_name(card.name))
    return None if experiment_id is None else (reader, experiment_id)


def _whole(reader: Reader, result: TrialResult) -> bool:
    faults = reader.faults(result)
    if faults:
        events.emit(
            events.Stage(f"{result.name}: run {result.run_id} is not reused: {'; '.join(faults)}")
        )
    return not faults
