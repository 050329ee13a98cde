"""Run a search: train what is chosen, then name the variants to compare with fresh seeds.

A search is a sweep of one seed whose variants are chosen one after the other. Its choices follow
from its scores, so a search that was stopped goes on by choosing again: what it has trained is
there.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from cnn_pipeline.base import events, metric_names
from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home, cache_dir
from cnn_pipeline.base.quantities import duration, percent
from cnn_pipeline.base.shell import MLFLOW, drop_foreign
from cnn_pipeline.comparison.search import SearchRecord
from cnn_pipeline.experiment.content_key import content_key, sweep_key
from cnn_pipeline.experiment.data_card import DataCard, prepare_data
from cnn_pipeline.experiment.decide import Decision, decide, may_reuse
from cnn_pipeline.experiment.preflight import Preflight
from cnn_pipeline.experiment.run import train_trials
from cnn_pipeline.experiment.run_rounds import TrainTrials, run_trials
from cnn_pipeline.experiment.search.space import Search, entry_of, fits, searching
from cnn_pipeline.experiment.search.study import Candidate, candidates
from cnn_pipeline.experiment.steps import late_pool, running
from cnn_pipeline.experiment.sweep_run import SweepRun
from cnn_pipeline.experiment.trials import reuse_trial
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.resuming import Resuming
from cnn_pipeline.settings.sweep import Entry, Sweep
from cnn_pipeline.settings.trial import Training
from cnn_pipeline.tracking import names
from cnn_pipeline.trainers.pool import Crew
from cnn_pipeline.trainers.scheduling import threads_for, workers_for

if TYPE_CHECKING:
    from cnn_pipeline.tracking.stopped import StoppedSweep

COMPARED = 3
"""How many of the best variants are compared with fresh seeds."""
Results = Callable[[Sequence[Entry]], Mapping[str, TrialResult]]
"""The results of variants by label; those that are not there yet are trained."""
_RECORDS: TypeAdapter[SearchRecord] = TypeAdapter(SearchRecord)


class NothingTrained(UserError):
    """No variant of a search was trained whole."""

    exit_code = 1


class _NotThere(Exception):
    """A stored search lacks what it would choose."""


@dataclass(frozen=True)
class Found:
    """How a search ended."""

    record: SearchRecord
    best: tuple[Entry, ...]
    """Its best variants, best first."""


@dataclass(frozen=True)
class _Planned:
    """A search and all that it depends on."""

    search: Search
    base: Sweep
    """The settings that are not searched, with the metric that fits the data."""
    card: DataCard
    crew: Crew
    home: Home
    force: bool
    resuming: Resuming

    @functools.cached_property
    def key(self) -> str:
        """Content key of the whole search."""
        alone = searching(self.base, [entry_of(self.base, {})], self.search.seed)
        keys = {
            trial.name: content_key(trial, alone.data, self.card.digest, self.crew.threads)
            for trial in alone.trials()
        }
        return sweep_key(alone, keys, self.search.identity(self.crew.workers))

    def sweep_of(self, entries: Sequence[Entry]) -> Sweep:
        return searching(self.base, list(entries), self.search.seed)

    def decision_on(self, entries: Sequence[Entry], stopped: StoppedSweep | None) -> Decision:
        made = decide(
            self.sweep_of(entries),
            self.card,
            self.home,
            self.crew,
            force=self.force,
            resuming=self.resuming,
        )
        return replace(made, unchanged=None, stopped=stopped)


@dataclass
class _Tried:
    """What a search has tried so far."""

    trials: int = 0
    entries: dict[str, Entry] = field(default_factory=dict)
    """By label."""
    results: dict[str, TrialResult] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    """Of the variants that were trained whole."""
    importance: Mapping[str, float] = field(default_factory=dict)

    @property
    def best(self) -> list[str]:
        """Labels, best first; of equal ones the earlier."""
        return sorted(self.scores, key=lambda label: -self.scores[label])


def run_search(
    search: Search,
    base: Sweep,
    home: Home,
    *,
    workers: int = 0,
    force: bool = False,
    checked: Preflight | None = None,
    resuming: Resuming = Resuming(),  # noqa: B008 - frozen
) -> Found:
    """Run a search, or go on with it. If the same one has ended, it is read and nothing is trained.

    Args:
        search: the settings and how to search them.
        base: the sweep without axes: all other settings, and the data.
        home: folder that holds all state.
        workers: trainers at a time; 0 is one per core. As many variants are chosen at once.
        force: train again what is there.
        checked: what `check_sweep` returned for `base`.
        resuming: how what was stopped goes on.

    Raises:
        InvalidInput: hardly any combination of the settings fits the data.
        NothingTrained: all trainings failed.
    """
    drop_foreign(MLFLOW)  # trainers inherit the environment
    card = (checked and checked.card) or prepare_data(base.data, cache_dir(os.environ))
    count = workers_for(workers, search.trials)
    planned = _Planned(
        search=search,
        base=base.measured_on(card.fitted_counts),
        card=card,
        crew=Crew(count, threads_for(base, count)),
        home=home,
        force=force,
        resuming=resuming,
    )
    return _stored(planned) or _trained(planned)


def fresh_sweep(base: Sweep, search: Search, found: Found) -> Sweep:
    """The ordinary sweep that compares the best of a search with `base`, the settings without it.

    It has the seeds of `base`, none of which the search has used.
    """
    axes = [name for name in search.axes if name in Training.model_fields]
    own = entry_of(base, {name: getattr(base.training, name) for name in axes})
    best = found.best
    entries = best if any(_same(base, own, one) for one in best) else (*best, own)
    baseline = next(one for one in entries if _same(base, own, one))
    document = base.model_dump(exclude={"axes", "entries", "description", "baseline"})
    return Sweep.model_validate(
        document
        | {
            "description": f"The best {len(best)} of a search ({search.kind}, {search.trials} "
            "trials) and the settings without it, with fresh seeds.",
            "entries": [one.model_dump() for one in entries],
            "baseline": baseline.name,
        }
    )


def _same(base: Sweep, first: Entry, second: Entry) -> bool:
    settings = [base.training.model_dump() | one.training for one in (first, second)]
    return first.variant == second.variant and settings[0] == settings[1]


def _drive(planned: _Planned, results_of: Results, tried: _Tried) -> None:
    """Let the study choose, and tell it what came out, until it has enough."""
    search, base = planned.search, planned.base
    plan = candidates(
        search,
        epochs=base.training.epochs,
        at_once=planned.crew.workers,
        fits=lambda values: fits(base, planned.card.shape, values),
    )
    batch = next(plan)
    try:
        while True:
            scores = _scores(planned, batch, results_of, tried)
            tried.trials += sum(candidate.first for candidate in batch)
            batch = plan.send(scores)
    except StopIteration as end:
        tried.importance = end.value


def _scores(
    planned: _Planned, batch: Sequence[Candidate], results_of: Results, tried: _Tried
) -> list[float | None]:
    entries = [entry_of(planned.base, one.values, one.epochs) for one in batch]
    new = {entry.name: entry for entry in entries if entry.name not in tried.results}
    tried.entries |= new
    if new:
        tried.results |= results_of(list(new.values()))
    metric = metric_names.VALIDATION[planned.base.measure]
    scores = []
    for candidate, entry in zip(batch, entries, strict=True):
        result = tried.results[entry.name]
        score = result.metric(metric) if result.finished else None
        scores.append(score)
        if candidate.whole and score is not None:
            tried.scores[entry.name] = score
    return scores


def _stored(planned: _Planned) -> Found | None:
    """The same search, if it has ended and all its trainings are intact."""
    if not may_reuse(planned.home, force=planned.force):
        return None
    from cnn_pipeline.experiment.reuse import intact
    from cnn_pipeline.tracking.reader import Reader
    from cnn_pipeline.tracking.store import open_store

    reader = Reader(open_store(planned.home, os.environ))
    experiment_id = reader.experiment(names.experiment_name(planned.card.name))
    record = experiment_id and reader.compared_with_key(experiment_id, planned.key)
    if not record:
        return None
    events.emit(events.Stage(f"search {record.sweep_id} has ended: reading it"))
    known = {result.label: result for result in reader.trials(record)}
    if not all(intact(reader, result) for result in known.values() if result.finished):
        return None

    def read(entries: Sequence[Entry]) -> dict[str, TrialResult]:
        if any(entry.name not in known for entry in entries):
            raise _NotThere
        return {entry.name: known[entry.name] for entry in entries}

    tried = _Tried()
    try:
        _drive(planned, read, tried)
    except _NotThere:
        return None
    return _found(planned, record.sweep_id, tried)


def _trained(planned: _Planned) -> Found:
    """Run the search in a sweep of its own."""
    tried, started = _Tried(), time.monotonic()
    with ExitStack() as stack:
        session: list[tuple[SweepRun, TrainTrials]] = []

        def train(entries: Sequence[Entry]) -> dict[str, TrialResult]:
            if not session:
                sweep_run = stack.enter_context(_begun(planned, entries))
                pool = stack.enter_context(late_pool(sweep_run.decision))
                session.append((sweep_run, functools.partial(train_trials, pool)))
                decision = sweep_run.decision
            else:
                sweep_run = session[0][0]
                decision = planned.decision_on(entries, sweep_run.decision.stopped)
                _announce(planned, decision, tried, started)
            # Whoever reads the sweep while it runs must know its trials.
            document = planned.sweep_of(list(tried.entries.values())).model_dump_json()
            sweep_run.tracker().log_files(sweep_run.run_id, {names.SWEEP_FILE: document})
            made = run_trials(
                replace(sweep_run, decision=decision), decision.trials, reuse_trial, session[0][1]
            )
            return {result.label: result for result in made}

        _drive(planned, train, tried)
        sweep_run = session[0][0]
        found = _found(planned, sweep_run.sweep_id, tried)
        record = found.record
        tracker = sweep_run.tracker()
        document = _RECORDS.dump_json(record, indent=2)
        tracker.log_files(sweep_run.run_id, {names.SEARCH_FILE: document})
        said = record.headline
        chosen = {names.NOTE: said, names.CHOSEN_VARIANT: next(iter(record.scores))}
        # Last: a search with a verdict has everything else.
        tracker.tag(sweep_run.run_id, {**chosen, names.VERDICT: said})
        tracker.end(sweep_run.run_id, "FINISHED")
    return found


def _begun(planned: _Planned, entries: Sequence[Entry]) -> AbstractContextManager[SweepRun]:
    """Start the search's run, or go on with the stopped one."""
    decision = planned.decision_on(entries, _stopped(planned))
    axes = "; ".join(f"{name}: {text}" for name, text in planned.search.texts.items())
    params = {names.AXES: axes[:500], names.EPOCHS: str(planned.base.training.epochs)}
    return running(decision, {names.CONTENT_KEY: planned.key}, params)


def _stopped(planned: _Planned) -> StoppedSweep | None:
    if planned.resuming.fresh or not may_reuse(planned.home, force=planned.force):
        return None
    from cnn_pipeline.experiment.reuse import stopped_with
    from cnn_pipeline.tracking.reader import Reader
    from cnn_pipeline.tracking.store import open_store

    reader = Reader(open_store(planned.home, os.environ))
    experiment_id = reader.experiment(names.experiment_name(planned.card.name))
    return stopped_with(reader, experiment_id, planned.key) if experiment_id else None


def _announce(planned: _Planned, decision: Decision, tried: _Tried, started: float) -> None:
    """Tell how far the search is, and what it trains next."""
    known = decision.reusable.keys() | decision.complete.keys()
    estimates = {
        trial.name: decision.expected_seconds[trial.name]
        for trial in decision.trials
        if trial.name not in known
    }
    text = f"search: {tried.trials} of {planned.search.trials} trials"
    if tried.trials:
        seconds = (time.monotonic() - started) / tried.trials
        left = seconds * (planned.search.trials - tried.trials)
        text += f", about {duration(left)} left"
    if best := tried.best:
        text += f"; best so far: {best[0]}, {percent(tried.scores[best[0]], 2)}"
    trials = tuple(trial.name for trial in decision.trials)
    events.emit(events.TrialsChosen(text, estimates, trials))


def _found(planned: _Planned, sweep_id: str, tried: _Tried) -> Found:
    """
    Raises:
        NothingTrained: no variant was trained whole.
    """
    results = tried.results.values()
    failed = [result for result in results if not result.finished]
    if not tried.scores:
        reasons = "; ".join(f"{one.name}: {one.reason}" for one in failed[:3])
        raise NothingTrained(
            f"at least one trial of search {sweep_id} must finish, received none: {reasons}. "
            "Narrow the ranges."
        )
    record = SearchRecord(
        sweep_id=sweep_id,
        kind=planned.search.kind,
        seed=planned.search.seed,
        trials=tried.trials,
        trainings=len(tried.results),
        failed=len(failed),
        metric=planned.base.measure,
        axes=planned.search.texts,
        scores={label: tried.scores[label] for label in tried.best},
        importance=tried.importance,
    )
    best = [tried.entries[label] for label in tried.best[:COMPARED]]
    return Found(record, tuple(best))
