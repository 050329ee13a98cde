"""Train a stored run again from what it recorded, and compare every number with what it logged.

The training is that of a sweep: the same trainer, job and record, in a store of its own that is
removed afterwards. So two records of the same kind are compared.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.base import events, metric_names
from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import TRACKING_VARIABLE, Home
from cnn_pipeline.base.versions import numeric_packages
from cnn_pipeline.champion.find_model import find_run, load_model
from cnn_pipeline.experiment.content_key import content_key
from cnn_pipeline.experiment.data_card import DataCard, prepare_data
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings, Trial
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.models import stored_model
from cnn_pipeline.tracking.reader import Reader
from cnn_pipeline.tracking.store import open_store
from cnn_pipeline.tracking.writer import Tracker
from cnn_pipeline.trainers.messages import Job
from cnn_pipeline.trainers.pool import trainers

LOSS_TOLERANCE = 0.01
"""Of the first epoch's training loss, relative: rounding has had no time to grow."""
ERROR_TOLERANCE = 3.0
"""Of the test accuracy, in standard errors of the difference between two sets of answers."""
_UNKNOWN = "not recorded"
_DEVICE = ("kind", "name", "threads", "processor")

Outcome = Literal["identical", "within tolerance", "different"]


class TrainingFailed(UserError):
    """The run could not be trained again."""

    exit_code = 1


@dataclass(frozen=True)
class Reason:
    """Something that numbers depend on, and that is not as it was."""

    what: str
    """'processor', 'threads', 'keras', 'code', ..."""
    then: str
    now: str


@dataclass(frozen=True)
class Compared:
    """Arrays of the same name, compared number by number."""

    name: str
    """A curve, a tensor of weights, or 'probabilities'."""
    count: int
    """Numbers in it."""
    differing: int
    """Numbers that are not the same bit for bit; all of them if the shapes differ."""
    largest: float | None
    """Largest absolute difference; None if the shapes differ or a number is not finite."""


@dataclass(frozen=True)
class Reproduction:
    """What came out when a run was trained again."""

    run_id: str
    name: str
    outcome: Outcome
    reasons: tuple[Reason, ...]
    """What differs between the two trainings; it explains other numbers."""
    curves: tuple[Compared, ...]
    weights: tuple[Compared, ...]
    predictions: Compared
    test_accuracy_then: float
    test_accuracy_now: float
    errors_apart: float
    """The difference of the test accuracies, in standard errors of it."""
    first_loss_change: float
    """Relative change of the first epoch's training loss."""
    seconds: float
    """What it took."""

    @property
    def ok(self) -> bool:
        """Whether the run was reproduced, or other numbers are explained and small."""
        return self.outcome != "different"


@dataclass(frozen=True)
class _Record:
    """What a store has of a run."""

    config: Mapping[str, Any]
    tags: Mapping[str, str]
    curves: Mapping[str, NDArray[np.float64]]
    weights: Mapping[str, NDArray[np.generic]]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]


def reproduce(word: str, home: Home, cache: Path) -> Reproduction:
    """Train the run again that `word` names, and compare it with what was logged.

    Nothing is written into its store.

    Args:
        word: a run's id or its beginning, or the name of a run or variant of the last sweep.
        home: folder of all state.
        cache: folder of the verified data.

    Raises:
        UserError: there is no such run, it is not complete, its record is damaged, or its data are
            not there any more.
        TrainingFailed: the trainer failed.
    """
    began = time.perf_counter()
    reader = Reader(open_store(home, os.environ, create=False))
    run_id = find_run(reader, word)
    stored = stored_model(reader.store, run_id)
    params, tags = reader.params(run_id), reader.tags(run_id)
    data = reader.data_settings(run_id)
    card = prepare_data(data, cache)
    if card.digest != stored.data_digest:
        raise UserError(
            f"RUN: the data must be those that {stored.run_name} was trained on, with digest "
            f"{stored.data_digest[:12]}, received {card.digest[:12]} from {data.source}. "
            "Restore them."
        )
    then = _record(reader, run_id)  # before the training: a foreign file is refused in seconds
    recorded = reader.trial(run_id)
    threads = int(params[names.THREADS])
    # What 'auto' meant then.
    meant = {"threads": threads, "precision": params[names.PRECISION]}
    trial = recorded.model_copy(update={"training": recorded.training.model_copy(update=meant)})
    seconds = reader.metrics(run_id).get(metric_names.TRAIN_SECONDS, 0.0)
    with tempfile.TemporaryDirectory(prefix="cnn-pipeline-reproduce-") as folder:
        place = Home(Path(folder))
        again = _train(trial, data, card, place, cache, seconds)
        events.emit(events.Stage("comparing"))
        now = _record(*again)
    same = content_key(recorded, data, card.digest, threads) == tags.get(names.CONTENT_KEY)
    return _compare(
        run_id,
        stored.run_name,
        then,
        now,
        reasons=() if same else _reasons(then, now),
        began=began,
    )


def _train(
    trial: Trial, data: DataSettings, card: DataCard, home: Home, cache: Path, seconds: float
) -> tuple[Reader, str]:
    """Train in a store of its own below `home`. Returns its reader and the run's id."""
    threads = trial.training.threads
    assert threads is not None
    events.emit(events.Stage("starting the trainer"))
    with trainers(1, threads, home.state / "logs") as pool:
        environ = {key: value for key, value in os.environ.items() if key != TRACKING_VARIABLE}
        store = open_store(home, environ)
        tracker = Tracker(store)
        experiment_id = tracker.experiment(names.experiment_name(card.name))
        sweep = Sweep(name="reproduce", variant=trial.variant, data=data, seeds=(trial.seed,))
        parent = tracker.start_sweep(experiment_id, "reproduce", sweep, {})
        run_id = tracker.start_trial(experiment_id, parent, "reproduce", trial, {})
        events.emit(events.SweepStarted("reproduce", {trial.name: seconds}, 1))
        job = Job(
            trial=trial,
            data=data,
            data_digest=card.digest,
            cache=str(cache),
            store_uri=store.uri,
            artifacts_uri=store.artifacts_uri,
            run_id=run_id,
            parent_run_id=parent,
        )
        began = time.perf_counter()
        reply = pool.run(job)
        took = time.perf_counter() - began
    events.emit(events.TrialEnded(trial.name, reply.status, took, reply.reason, reply.metrics))
    if reply.status != "FINISHED":
        raise TrainingFailed(f"{trial.name} could not be trained again: {reply.reason}")
    return Reader(store), run_id


def _record(reader: Reader, run_id: str) -> _Record:
    model = load_model(reader.store, stored_model(reader.store, run_id))
    labels, probabilities = reader.predictions(run_id)
    history = reader.history(run_id)
    return _Record(
        config=reader.config(run_id),
        tags=reader.tags(run_id),
        curves={
            name: np.asarray(history[name], dtype=np.float64)
            for name in history
            if name in metric_names.CURVES and name != metric_names.EPOCH_SECONDS
        },
        # Keras numbers layers in the order in which a process builds them, so no path.
        weights={
            f"{number} {weight.name}": np.asarray(weight.numpy())
            for number, weight in enumerate(model.weights)
        },
        labels=labels,
        probabilities=probabilities,
    )


def _compare(
    run_id: str,
    name: str,
    then: _Record,
    now: _Record,
    *,
    reasons: tuple[Reason, ...],
    began: float,
) -> Reproduction:
    curves, weights = _compared(then.curves, now.curves), _compared(then.weights, now.weights)
    predictions = _array("probabilities", then.probabilities, now.probabilities)
    right_then, right_now = (one.probabilities.argmax(axis=1) == one.labels for one in (then, now))
    apart = errors_apart(right_then, right_now)
    loss = [one.curves[metric_names.LOSS][0] for one in (then, now)]
    change = float(abs(loss[1] - loss[0]) / abs(loss[0])) if loss[0] else 0.0
    small = apart <= ERROR_TOLERANCE and change <= LOSS_TOLERANCE
    outcome: Outcome = "within tolerance" if small and reasons else "different"
    if not any(one.differing for one in (*curves, *weights, predictions)):
        outcome = "identical"
    return Reproduction(
        run_id=run_id,
        name=name,
        outcome=outcome,
        reasons=reasons,
        curves=curves,
        weights=weights,
        predictions=predictions,
        test_accuracy_then=float(right_then.mean()),
        test_accuracy_now=float(right_now.mean()),
        errors_apart=apart,
        first_loss_change=change,
        seconds=time.perf_counter() - began,
    )


def errors_apart(then: NDArray[np.bool_], now: NDArray[np.bool_]) -> float:
    """How far two test accuracies are apart, in standard errors of their difference.

    The images are the same, so only those count that one of the two has right: McNemar's test.

    Args:
        then: bool `[n]`, whether the first network has an image right.
        now: bool `[n]`, likewise of the second.
    """
    lost, won = int((then & ~now).sum()), int((now & ~then).sum())
    return abs(won - lost) / math.sqrt(won + lost) if won + lost else 0.0


def _compared(
    then: Mapping[str, NDArray[Any]], now: Mapping[str, NDArray[Any]]
) -> tuple[Compared, ...]:
    every = dict.fromkeys((*then, *now))
    nothing = np.empty(0)
    return tuple(_array(name, then.get(name, nothing), now.get(name, nothing)) for name in every)


def _array(name: str, then: NDArray[Any], now: NDArray[Any]) -> Compared:
    if then.shape != now.shape or then.dtype != now.dtype:
        return Compared(name, then.size, max(then.size, now.size), None)
    bits = f"u{then.dtype.itemsize}"
    before, after = (np.ascontiguousarray(one).view(bits) for one in (then, now))
    differing = int((before != after).sum())
    apart = np.abs(then.astype(np.float64) - now.astype(np.float64)).max(initial=0.0)
    largest = float(apart) if np.isfinite(apart) else None
    return Compared(name, then.size, differing, largest if differing else 0.0)


def _reasons(then: _Record, now: _Record) -> tuple[Reason, ...]:
    """What the numbers depend on, as far as it differs."""
    devices = then.config["device"], now.config["device"]
    pairs = [
        (key, str(devices[0].get(key, _UNKNOWN)), str(devices[1].get(key, _UNKNOWN)))
        for key in _DEVICE
    ]
    sets = [set(device.get("instructions", ())) for device in devices]
    if all(sets):
        own = [" ".join(sorted(one - other)) for one, other in (sets, sets[::-1])]
        pairs.append(("instructions", own[0] or "none of these", own[1] or "none of these"))
    pairs += [
        (tag, then.tags.get(tag, _UNKNOWN), now.tags.get(tag, _UNKNOWN))
        for tag in (names.KERAS_BACKEND, names.CODE_DIGEST)
    ]
    pairs += [
        (
            name,
            then.config["versions"].get(name, _UNKNOWN),
            now.config["versions"].get(name, _UNKNOWN),
        )
        for name in ("python", *sorted(numeric_packages()))
    ]
    before, after = (one.config.get("environment") for one in (then, now))
    if before is not None and after is not None:  # older runs have no record of it
        pairs += [
            (name, before.get(name, "not set"), after.get(name, "not set"))
            for name in sorted(before.keys() | after.keys())
        ]
    return tuple(Reason(*pair) for pair in pairs if pair[1] != pair[2])
