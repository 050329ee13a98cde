"""The rounds of a sweep: which trials it needs, and what is known after each.

`comparison.rounds` has the rule. It is applied to the trials that have ended, so a stored sweep is
decided again from its runs, and an interrupted one goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

from cnn_pipeline.base import events, metric_names
from cnn_pipeline.comparison.rounds import Look, Rounds, decide_rounds
from cnn_pipeline.comparison.rounds_text import answer, ending, guarantee
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.sweep import MIN_ROUNDS, Sweep
from cnn_pipeline.settings.trial import Trial
from cnn_pipeline.tracking import names


def rounds_of(sweep: Sweep, results: Iterable[TrialResult], num_validation: int) -> Rounds | None:
    """The rounds of a sweep so far, from the trials that have ended.

    None for a list of seeds, and for a single variant: there is nothing to decide.
    """
    if not sweep.in_rounds:
        return None
    found = decide_rounds(
        sweep.labels,
        sweep.all_seeds,
        {
            (result.label, result.seed): (
                result.metric(metric_names.VALIDATION[sweep.measure]) if result.finished else None
            )
            for result in results
            if result.status != "KILLED"  # by whoever stopped the sweep
        },
        margin=sweep.decide,
        num_validation=num_validation,
        metric=sweep.measure,
    )
    said = answer(found, found.last) if found.last else ""
    return replace(found, answer=said, guarantee=guarantee(found))


def rounds_tags(rounds: Rounds | None) -> dict[str, str]:
    """How the rounds of a sweep ended, as tags of its run; all say nothing of a list of seeds."""
    if rounds is None:
        return {}
    return {
        names.ROUNDS: ending(rounds),
        names.ROUNDS_ANSWER: rounds.answer,
        names.ROUNDS_GUARANTEE: rounds.guarantee,
        names.DROPPED: json.dumps(
            {one.label: f"after round {one.round}: {one.reason}" for one in rounds.dropped}
        ),
    }


def needed_trials(sweep: Sweep, rounds: Rounds | None) -> tuple[Trial, ...]:
    """The trials of all complete rounds and, unless it was the last, of the next.

    Of the first two rounds in any case. All trials of a sweep with listed seeds.
    """
    if rounds is None:
        return sweep.trials()
    open_rounds = 1 if rounds.status == "open" else 0
    seeds = sweep.all_seeds[: max(rounds.rounds + open_rounds, MIN_ROUNDS)]
    inside = [sweep.labels, *(look.still_in for look in rounds.looks)]
    return tuple(
        trial
        for number, seed in enumerate(seeds)
        for trial in sweep.trials([seed])
        if trial.label in inside[min(number, len(inside) - 1)]
    )


def round_ended(rounds: Rounds, look: Look) -> events.RoundEnded:
    """What is told of a round that is complete."""
    return events.RoundEnded(
        round=look.round,
        still_in=look.still_in,
        dropped={one.label: one.reason for one in look.dropped},
        answer=answer(rounds, look),
        leader=look.leader,
        runner_up=look.runner_up,
        lead=look.lead,
        lead_low=look.interval.low if look.interval else None,
        lead_high=look.interval.high if look.interval else None,
        over=look is rounds.last and rounds.status != "open",
    )
