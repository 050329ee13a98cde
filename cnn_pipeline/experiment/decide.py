"""Decide what a sweep trains, and on how many trainers: once, for all later steps."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from cnn_pipeline.base.home import Home, cache_dir
from cnn_pipeline.experiment.content_key import content_key
from cnn_pipeline.experiment.data_card import DataCard, prepare_data
from cnn_pipeline.experiment.preflight import Preflight, check_fit
from cnn_pipeline.network.plan import Plan, estimate_seconds
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings, Trial
from cnn_pipeline.tracking.store import store_exists
from cnn_pipeline.trainers.pool import close_warm, warm_up
from cnn_pipeline.trainers.scheduling import Crew, crew_for, longest_first

if TYPE_CHECKING:
    from cnn_pipeline.experiment.outcome import Outcome


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
    """Stored trials with identical inputs, by name. They are finished and verified."""
    unchanged: Outcome | None
    """Outcome of an identical sweep, if all of its trials can be reused."""

    @functools.cached_property
    def expected_seconds(self) -> dict[str, float]:
        """Expected seconds of each trial by name, before anything has run."""
        card = self.card
        return {
            trial.name: estimate_seconds(
                self.plans[trial.label], trial.training, card.num_train, card.num_test
            )
            for trial in self.sweep.trials()
        }

    @functools.cached_property
    def trials(self) -> tuple[Trial, ...]:
        """All trials in the order in which they run."""
        return tuple(longest_first(self.sweep, self.expected_seconds))

    @property
    def reused(self) -> tuple[Trial, ...]:
        """The trials to reuse."""
        return tuple(trial for trial in self.trials if trial.name in self.reusable)

    @property
    def remaining(self) -> tuple[Trial, ...]:
        """The trials to train, in the order in which they run."""
        return tuple(trial for trial in self.trials if trial.name not in self.reusable)


@contextmanager
def deciding(
    sweep: Sweep,
    home: Home,
    *,
    workers: int,
    force: bool,
    checked: Preflight | None = None,
    load: Callable[[DataSettings], DataCard] | None = None,
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
    """
    crew = crew_for(sweep, workers)
    load = load or (lambda data: prepare_data(data, cache_dir(os.environ)))

    @functools.cache
    def decision() -> Decision:
        card = (checked and checked.card) or load(sweep.data)
        return decide(sweep, card, home, crew, checked=checked, force=force)

    try:
        if not may_reuse(home, force=force) or decision().remaining:
            warm_up(crew.workers, crew.threads, home.state / "logs")
        yield decision
    finally:
        close_warm()


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
) -> Decision:
    """Plan every variant, and find the stored trials to reuse.

    Raises:
        InvalidInput: the sweep does not fit the data.
    """
    if checked is not None and checked.shape == card.shape:
        plans = checked.plans
    else:
        plans = check_fit(sweep, card.shape)
    keys = {
        trial.name: content_key(trial, sweep.data, card.digest, crew.threads)
        for trial in sweep.trials()
    }
    unchanged: Outcome | None = None
    reusable: Mapping[str, TrialResult] = {}
    if may_reuse(home, force=force):
        from cnn_pipeline.experiment.reuse import find_stored

        unchanged, reusable = find_stored(sweep, card.name, home, keys)
    return Decision(
        sweep=sweep,
        home=home,
        card=card,
        crew=crew,
        plans=MappingProxyType(plans),
        content_keys=MappingProxyType(keys),
        reusable=MappingProxyType(dict(reusable)),
        unchanged=unchanged,
    )
