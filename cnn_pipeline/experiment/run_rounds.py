"""Run the trials of a sweep, round by round."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

from cnn_pipeline.base import events
from cnn_pipeline.base.stops import forget_stop, keeping_stop, let_go
from cnn_pipeline.comparison.rounds import Rounds
from cnn_pipeline.experiment.rounds import needed_trials, round_ended, rounds_of
from cnn_pipeline.experiment.sweep_run import SweepRun
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import Trial

ReuseTrial = Callable[[SweepRun, Trial], TrialResult]
"""Copies the stored run of one trial."""
TrainTrials = Callable[[SweepRun, Sequence[Trial]], Generator[TrialResult]]
"""Trains trials, and yields the result of each as soon as those before it have ended."""


def run_rounds(
    sweep_run: SweepRun, reuse: ReuseTrial, train: TrainTrials, *, conclude: bool
) -> None:
    """Run the trials of a sweep, round by round where its seeds are 'auto'.

    The first two rounds run as one, so that no trainer waits between them.

    Args:
        sweep_run: a sweep that has begun.
        reuse: copies a trial that can be reused.
        train: trains the others.
        conclude: whether Ctrl-C ends the rounds once the first is complete, and returns. Else, and
            before, it is raised.
    """
    decision = sweep_run.decision
    sweep, num_validation = decision.sweep, decision.card.num_validation
    trials: Sequence[Trial] = decision.trials
    rounds = rounds_of(sweep, [], num_validation)
    lacking = None if rounds is None else _lacking(sweep, rounds, [])
    results: list[TrialResult] = []
    done: set[str] = set()
    try:
        while trials:
            made = run_trials(sweep_run, trials, reuse, train)
            with keeping_stop(), contextlib.closing(made) as ended:
                for result in ended:
                    results.append(result)
                    if rounds is None or lacking is None:
                        continue
                    if result.status != "KILLED":
                        lacking.discard(result.name)
                    if not lacking:
                        # Ctrl-C may come while a round is told, and it is complete by then.
                        before, rounds = rounds, rounds_of(sweep, results, num_validation)
                        lacking = None if rounds is None else _lacking(sweep, rounds, results)
                        _tell(before, rounds)
            if rounds is None:
                return
            done |= {trial.name for trial in trials}
            wanted = needed_trials(sweep, rounds)
            trials = decision.in_order([trial for trial in wanted if trial.name not in done])
            if trials:
                sweep_run = replace(sweep_run, decision=decision.with_stored(trials))
                _announce(sweep_run, rounds.rounds + 1, trials)
    except KeyboardInterrupt as interrupt:
        if not conclude or rounds is None:
            raise
        # The last trial of the first round may have ended without having been yielded yet.
        if not rounds.rounds and _lacking(sweep, rounds, _stored(sweep_run)) != set():
            raise
        let_go(interrupt)
        forget_stop()
        events.emit(events.Stage("concluding with what is there; Ctrl-C again stops"))


def run_trials(
    sweep_run: SweepRun, trials: Sequence[Trial], reuse: ReuseTrial, train: TrainTrials
) -> Generator[TrialResult]:
    """What the stopped sweep has, then copies of what can be reused; then train the rest."""
    complete, reusable = sweep_run.decision.complete, sweep_run.decision.reusable
    rest = []
    for trial in trials:
        if trial.name in complete:
            result = complete[trial.name]
            events.emit(
                events.TrialReused(trial.name, result.run_id, dict(result.metrics), own=True)
            )
            yield result
        elif trial.name in reusable:
            yield reuse(sweep_run, trial)
        else:
            rest.append(trial)
    if rest:
        yield from train(sweep_run, rest)


def _stored(sweep_run: SweepRun) -> Sequence[TrialResult]:
    """The trials of a sweep as its runs have them."""
    reader = sweep_run.reader()
    return reader.trials(reader.sweep(sweep_run.sweep_id))


def _lacking(sweep: Sweep, rounds: Rounds, results: Sequence[TrialResult]) -> set[str] | None:
    """Names of the trials of the next round without a result; None if there is no next round."""
    if rounds.status != "open":
        return None
    seed = sweep.all_seeds[rounds.rounds]
    needed = {trial.name for trial in needed_trials(sweep, rounds) if trial.seed == seed}
    return needed - {result.name for result in results if result.status != "KILLED"}


def _announce(sweep_run: SweepRun, number: int, trials: Sequence[Trial]) -> None:
    decision = sweep_run.decision
    estimates = {
        trial.name: decision.expected_seconds[trial.name]
        for trial in trials
        if trial.name not in decision.reusable and trial.name not in decision.complete
    }
    events.emit(events.RoundStarted(number, estimates, tuple(trial.name for trial in trials)))


def _tell(before: Rounds, rounds: Rounds | None) -> None:
    """Emit what is known after each round that is new."""
    if rounds is not None:
        for look in rounds.looks[before.rounds :]:
            events.emit(round_ended(rounds, look))
