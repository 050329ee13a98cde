"""Decide what a sweep trains, and on how many trainers: once, for all later steps."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from cnn_pipeline.base import events
from cnn_pipeline.base.home import TRACKING_VARIABLE, Home, cache_dir
from cnn_pipeline.base.metric_names import MEASURES
from cnn_pipeline.base.shell import MLFLOW, drop_foreign
from cnn_pipeline.experiment.content_key import content_key, sweep_key
from cnn_pipeline.experiment.data_card import DataCard, prepare_data
from cnn_pipeline.experiment.fitting import tell
from cnn_pipeline.experiment.own_name import refuse_other_data
from cnn_pipeline.experiment.preflight import Preflight, fit
from cnn_pipeline.experiment.room import check_room
from cnn_pipeline.network.plan import Plan, estimate_seconds
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.engine import LOCAL, Engine
from cnn_pipeline.settings.resuming import Resuming
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings, Trial
from cnn_pipeline.tracking.names import experiment_name
from cnn_pipeline.tracking.store import open_store, store_exists
from cnn_pipeline.trainers.pool import Crew, close_warm, crew_for, warm_up
from cnn_pipeline.trainers.ray_cluster import join, leave
from cnn_pipeline.trainers.scheduling import longest_first

if TYPE_CHECKING:
    from cnn_pipeline.experiment.outcome import Outcome
    from cnn_pipeline.tracking.stopped import StoppedSweep

CHECKPOINTS = "checkpoints"
"""Folder of all checkpoints in the home's state: one per content key."""


@dataclass(frozen=True)
class Purpose:
    """What a sweep is for, beside its answer. It reuses nothing that was trained for another."""

    key: str
    used: frozenset[str]
    """Runs of the sweeps that have served it, and are not reused."""


@dataclass(frozen=True)
class Decision:
    """What a sweep trains, and on how many trainers. `decide` makes it.

    Its mappings are read-only, which also stops Prefect from searching them for futures, as it
    does with every argument of a task.
    """

    sweep: Sweep
    home: Home
    card: DataCard
    crew: Crew
    plans: Mapping[str, Plan]
    """By label of the variant."""
    content_keys: Mapping[str, str]
    """By name of the trial."""
    reusable: Mapping[str, TrialResult]
    """Stored trials with identical inputs, by name, as far as they were looked for: those of the
    first rounds, and see `with_stored`. They are finished and verified."""
    unchanged: Outcome | None
    """Outcome of an identical sweep, if all of its trials can be reused and it was decided."""
    stopped: StoppedSweep | None = None
    """An identical sweep that was stopped, and with which this one goes on."""
    force: bool = False
    """Whether no stored trial is reused."""
    purpose: Purpose | None = None
    resuming: Resuming = field(default_factory=Resuming)
    """How what was stopped goes on."""
    notes: tuple[str, ...] = ()
    """What was changed in the settings to fit the data, in sentences."""
    search: str = ""
    """Id of the search that chose the variants; empty if none did."""

    @property
    def key(self) -> str:
        """The content key of the sweep."""
        return sweep_key(self.sweep, self.content_keys, self.purpose.key if self.purpose else "")

    @property
    def reuses(self) -> bool:
        """Whether trials of other sweeps may be reused."""
        return self.purpose is None and may_reuse(self.home, force=self.force)

    @property
    def complete(self) -> Mapping[str, TrialResult]:
        """The trials that the stopped sweep has already, by name."""
        return self.stopped.complete if self.stopped else {}

    @functools.cached_property
    def expected_seconds(self) -> dict[str, float]:
        """Expected seconds of each trial by name, before anything has run."""
        card = self.card
        return {
            trial.name: estimate_seconds(
                self.plans[trial.label], trial.training, card.num_train, card.num_test
            )
            for trial in self.sweep.trials(self.sweep.all_seeds)
        }

    @functools.cached_property
    def colors(self) -> dict[str, str]:
        """Colour of each variant's runs by label, as `run_colors` gives it."""
        from cnn_pipeline.tracking.views import run_colors

        return run_colors(self.sweep)

    @functools.cached_property
    def trials(self) -> tuple[Trial, ...]:
        """The trials that run in any case, in the order in which they run."""
        return self.in_order(self.sweep.trials())

    @property
    def remaining(self) -> tuple[Trial, ...]:
        """Those of `trials` that must be trained."""
        known = self.reusable.keys() | self.complete.keys()
        return tuple(trial for trial in self.trials if trial.name not in known)

    def in_order(self, trials: Sequence[Trial]) -> tuple[Trial, ...]:
        """Trials in the order in which they run."""
        return tuple(longest_first(trials, self.expected_seconds))

    def with_stored(self, trials: Sequence[Trial]) -> Decision:
        """This decision, with what is stored of some more trials."""
        if not self.reuses:
            return self
        from cnn_pipeline.experiment.reuse import find_reusable

        keys = {
            trial.name: self.content_keys[trial.name]
            for trial in trials
            if trial.name not in self.complete
        }
        found = find_reusable(self.card.name, self.home, keys)
        return replace(self, reusable=MappingProxyType({**self.reusable, **found}))


@contextmanager
def deciding(
    sweep: Sweep,
    home: Home,
    *,
    workers: int,
    force: bool,
    checked: Preflight | None = None,
    load: Callable[[DataSettings], DataCard] | None = None,
    resuming: Resuming = Resuming(),  # noqa: B008 - frozen
    engine: Engine = LOCAL,
    search: str = "",
) -> Iterator[Callable[[], Decision]]:
    """Yield a function that makes the decision when first called, and start trainers early.

    If training is certain, trainers start at once. Otherwise the decision comes first, and none
    starts if every trial can be reused. Unused trainers end with the block.

    Args:
        sweep: the variants, seeds, training settings and data.
        home: folder of the store to search for trials.
        workers: trainers at a time; 0 is the default of `workers_for`.
        force: reuse no stored trial.
        checked: what `check_sweep` returned; computed here otherwise.
        load: returns the data card; `prepare_data` by default.
        resuming: how what was stopped goes on.
        engine: where trainers run.
        search: id of the search that chose the variants.

    Raises:
        InvalidInput: the cluster cannot run the trials.
    """
    drop_foreign(MLFLOW)  # trainers inherit the environment
    crew = crew_of(sweep, workers, engine, home)
    load = load or (lambda data: prepare_data(data, cache_dir(os.environ)))

    @functools.cache
    def decision() -> Decision:
        card = (checked and checked.card) or load(sweep.data)
        made = decide(
            sweep,
            card,
            home,
            crew,
            checked=checked,
            force=force,
            resuming=resuming,
        )
        return replace(made, search=search)

    try:
        if not may_reuse(home, force=force) or decision().remaining:
            warm_up(crew.most, crew.threads, home.state / "logs", crew.cluster)
        yield decision
    finally:
        close_warm()
        if engine.engine == "ray":
            leave()


def crew_of(sweep: Sweep, workers: int, engine: Engine, home: Home) -> Crew:
    """The trainers of a sweep: on this machine, or on the cluster, which is reached now.

    Raises:
        InvalidInput: the cluster cannot run the trials.
    """
    if engine.engine == "local":
        return crew_for(sweep, workers)
    store_uri = os.environ.get(TRACKING_VARIABLE, "").strip() or home.database_uri
    cluster = join(engine, sweep, workers, store_uri, home.state / CHECKPOINTS)
    return Crew(min(cluster.most, cluster.room), cluster.threads, cluster)


def may_reuse(home: Home, *, force: bool) -> bool:
    """Whether to search for stored trials. False means that training is certain."""
    return not force and store_exists(home, os.environ)


def decide(
    sweep: Sweep,
    card: DataCard,
    home: Home,
    crew: Crew,
    *,
    checked: Preflight | None = None,
    force: bool = False,
    purpose: Purpose | None = None,
    resuming: Resuming = Resuming(),  # noqa: B008 - frozen
) -> Decision:
    """Plan every variant, and find what is stored: a sweep to go on with, and trials to reuse.

    A sweep that was not checked is fitted to its data first (`preflight.fit`), and told.

    Raises:
        InvalidInput: the sweep does not fit the data, or their name is that of other data.
        NoRoom: a disk has no room for what it writes.
    """
    if checked is not None and checked.shape == card.shape:
        plans, notes = checked.plans, checked.notes
    else:
        sweep, plans, notes = fit(sweep, card.shape)
        tell(notes)
    sweep = _measured(sweep, card)
    refuse_other_data(card, home)
    keys = {
        trial.name: content_key(trial, sweep.data, card.digest, crew.threads)
        for trial in sweep.trials(sweep.all_seeds)
    }
    made = Decision(
        sweep=sweep,
        home=home,
        card=card,
        crew=crew,
        plans=MappingProxyType(plans),
        content_keys=MappingProxyType(keys),
        reusable=MappingProxyType({}),
        unchanged=None,
        force=force,
        purpose=purpose,
        resuming=resuming,
        notes=notes,
    )
    if may_reuse(home, force=force):
        made = _with_all_stored(made)
    if made.unchanged is None:
        check_room(made.remaining, plans, card.num_test, crew.workers, home)
    return made


def _with_all_stored(made: Decision) -> Decision:
    """The decision, with what need not be trained of the trials that run in any case."""
    from cnn_pipeline.experiment import reuse
    from cnn_pipeline.tracking.reader import Reader

    sweep, keys, purpose, fresh = made.sweep, made.content_keys, made.purpose, made.resuming.fresh
    reader = Reader(open_store(made.home, os.environ))
    experiment_id = reader.experiment(experiment_name(made.card.name))
    if experiment_id is None or (purpose is not None and fresh):
        return made
    record = reader.same_sweep(experiment_id, sweep, made.key if purpose else "")
    if record is not None and not (purpose and record.run_id in purpose.used):
        unchanged = reuse.unchanged(reader, record, sweep, keys)
        if unchanged is not None:
            reusable = {result.name: result for result in unchanged.results}
            return replace(made, unchanged=unchanged, reusable=MappingProxyType(reusable))
    if not fresh:
        made = replace(made, stopped=reuse.stopped_with(reader, experiment_id, made.key))
    if purpose is not None:
        return made
    first = {one.name: keys[one.name] for one in sweep.trials() if one.name not in made.complete}
    reusable = reuse.intact_of(reader, experiment_id, first)
    return replace(made, reusable=MappingProxyType(reusable))


def _measured(sweep: Sweep, card: DataCard) -> Sweep:
    """The sweep with the metric that fits its data, and said if that is not accuracy."""
    measured = sweep.measured_on(card.fitted_counts)
    if measured is not sweep:
        counts = [count for count in card.fitted_counts if count]
        events.emit(
            events.DataWarning(
                f"the largest class has {max(counts):,} training and validation images and the "
                f"smallest {min(counts):,}, so the sweep is measured by "
                f"{MEASURES[measured.measure]} (--metric accuracy counts every image the same). "
                "--class-weights balanced makes up for it in training"
            )
        )
    return measured
