"""Find stored trials with identical inputs in MLflow, and verify them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from cnn_pipeline.base import events
from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.experiment.rounds import needed_trials, rounds_of
from cnn_pipeline.experiment.stored import outcome_of
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.tracking.names import experiment_name
from cnn_pipeline.tracking.patience import open_patiently
from cnn_pipeline.tracking.reader import Reader, SweepRecord
from cnn_pipeline.tracking.stopped import StoppedSweep, find_stopped
from cnn_pipeline.tracking.store import Store
from cnn_pipeline.tracking.verify import faults


def stopped_with(reader: Reader, experiment_id: str, key: str) -> StoppedSweep | None:
    """The newest sweep with this content key, if it was stopped. Its complete trials are intact."""
    stopped = find_stopped(reader.store, experiment_id, key)
    return None if stopped is None else _without_damaged(reader, stopped)


def _without_damaged(reader: Reader, sweep: StoppedSweep) -> StoppedSweep:
    complete = {name: one for name, one in sweep.complete.items() if intact(reader, one)}
    damaged = {name: one.run_id for name, one in sweep.complete.items() if name not in complete}
    return replace(
        sweep,
        complete=MappingProxyType(complete),
        given_up=tuple({*sweep.given_up}.difference(damaged.values())),
        begun=MappingProxyType({**sweep.begun, **damaged}),
    )


def finished_meanwhile(store: Store, experiment_id: str, key: str) -> TrialResult | None:
    """The newest intact trial with this content key, which may have another name."""
    reader = Reader(store, patient=True)
    found = reader.with_content(experiment_id, key)
    return next((one for one in found if not faults(reader, one)), None)


def find_reusable(dataset: str, home: Home, keys: Mapping[str, str]) -> dict[str, TrialResult]:
    """By name of the trial, the newest finished trial with its content key that is intact."""
    reader = Reader(open_patiently(home, os.environ), patient=True)
    experiment_id = reader.experiment(experiment_name(dataset))
    return {} if experiment_id is None else intact_of(reader, experiment_id, keys)


def unchanged(
    reader: Reader, record: SweepRecord, sweep: Sweep, keys: Mapping[str, str]
) -> Outcome | None:
    """Outcome of an identical sweep, if it was decided and all its trials are intact.

    Faults are not reported here, because they are found again where trials are reused.
    """
    found = {result.name: result for result in reader.trials(record)}
    rounds = rounds_of(record.sweep, found.values(), record.num_validation)
    if rounds is not None and rounds.status == "open":
        return None  # it was stopped: the next round follows
    same = found.keys() == {trial.name for trial in needed_trials(sweep, rounds)} and all(
        result.finished and result.content_key == keys[name] for name, result in found.items()
    )
    if not same or any(faults(reader, result) for result in found.values()):
        return None
    return outcome_of(reader, record)


def intact_of(
    reader: Reader, experiment_id: str, keys: Mapping[str, str]
) -> dict[str, TrialResult]:
    """As `find_reusable`, in a store that is open."""
    found = {
        name: next(
            (one for one in reader.with_content(experiment_id, key) if intact(reader, one)), None
        )
        for name, key in keys.items()
    }
    return {name: result for name, result in found.items() if result is not None}


def intact(reader: Reader, result: TrialResult) -> bool:
    """Whether a stored trial may be used. If not, the reason is told."""
    found = faults(reader, result)
    if found:
        events.emit(
            events.Stage(f"{result.name}: run {result.run_id} is not reused: {'; '.join(found)}")
        )
    return not found
