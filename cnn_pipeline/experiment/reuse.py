"""Find stored trials with identical inputs in MLflow, and verify them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from cnn_pipeline.base import events
from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.experiment.stored import outcome_of
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.tracking.names import experiment_name
from cnn_pipeline.tracking.reader import Reader
from cnn_pipeline.tracking.store import open_store
from cnn_pipeline.tracking.verify import faults


def find_stored(
    sweep: Sweep, dataset: str, home: Home, keys: Mapping[str, str]
) -> tuple[Outcome | None, dict[str, TrialResult]]:
    """Find what can be reused. `keys` are the content keys by name of the trial.

    Returns:
        The outcome of the newest identical sweep, if all of its trials are intact; and the
        results of reusable trials, by name.
    """
    reader = Reader(open_store(home, os.environ))
    experiment_id = reader.experiment(experiment_name(dataset))
    if experiment_id is None:
        return None, {}
    unchanged = _find_unchanged(reader, experiment_id, sweep, keys)
    if unchanged is not None:
        return unchanged, {result.name: result for result in unchanged.results}
    return None, _find_reusable(reader, experiment_id, keys)


def _find_unchanged(
    reader: Reader, experiment_id: str, sweep: Sweep, keys: Mapping[str, str]
) -> Outcome | None:
    """Faults are not reported here, because `_find_reusable` finds them again."""
    record = reader.same_sweep(experiment_id, sweep)
    if record is None:
        return None
    found = {result.name: result for result in reader.trials(record)}
    same = found.keys() == keys.keys() and all(
        result.finished and result.content_key == keys[name] for name, result in found.items()
    )
    if not same or any(faults(reader, result) for result in found.values()):
        return None
    return outcome_of(reader, record)


def _find_reusable(
    reader: Reader, experiment_id: str, keys: Mapping[str, str]
) -> dict[str, TrialResult]:
    """By name of the trial, the newest finished trial with its key that is intact."""
    found = {
        name: next(
            (one for one in reader.with_content(experiment_id, key) if _intact(reader, one)), None
        )
        for name, key in keys.items()
    }
    return {name: result for name, result in found.items() if result is not None}


def _intact(reader: Reader, result: TrialResult) -> bool:
    found = faults(reader, result)
    if found:
        events.emit(
            events.Stage(f"{result.name}: run {result.run_id} is not reused: {'; '.join(found)}")
        )
    return not found
