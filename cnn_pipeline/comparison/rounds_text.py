"""What is said about the rounds of a sweep."""

from __future__ import annotations

import math

from cnn_pipeline.base.metric_names import MEASURES
from cnn_pipeline.base.quantities import counted, first_names
from cnn_pipeline.comparison.rounds import Look, Rounds

# Per cent of sweeps in which the variant that is named is more than the margin worse than the best,
# at most, where nothing is harder (`benchmarks/results/rounds.md`): if seeds spread by at most
# half the margin, and else. For margins of at least twice `least_margin`, and for smaller ones.
_WRONG_AT_MOST = ((5, 11), (11, 16))
_LEAST_MARGIN = 0.5  # points, on this many validation images:
_IMAGES = 5000


def points(number: float) -> str:
    """'1 point', '0.5 points'."""
    return f"{number:g} point" if number == 1 else f"{number:g} points"


def answer(rounds: Rounds, look: Look) -> str:
    """The answer after a round, from validation images alone."""
    if look.leader is None:
        return "No trial has finished yet."
    if look.round == 1:
        best = "answered most validation images right"
        if rounds.metric != "accuracy":
            best = f"has the highest validation {MEASURES[rounds.metric]}"
        return (
            f"{look.leader} {best} of these networks (one seed each). "
            "Whether the setting is better is not known yet."
        )
    if look.runner_up is None or look.lead is None:
        return f"{look.leader} is the best on validation images: all others were dropped."
    margin = points(rounds.margin)
    if look.half is None:
        lead = f"{100 * look.lead:.2f} points on validation images"
        return f"{look.leader} leads {look.runner_up} by {lead}."
    reach = 100 * (look.half - look.lead)
    if look.decided:
        return (
            f"{look.leader} is within {margin} of the best: no other is more than "
            f"{max(0.0, reach):.2f} points better on validation images."
        )
    return (
        f"{look.leader} leads on validation images, but {look.runner_up} may be up to "
        f"{reach:.2f} points better."
    )


def ending(rounds: Rounds) -> str:
    """How the rounds of a sweep that has ended did end: 'decided after 3 rounds (14 trainings)'."""
    done = f"{counted(rounds.rounds, 'round')} ({counted(rounds.trials, 'training')})"
    if rounds.status == "decided":
        return f"decided after {done}"
    if rounds.status == "not decided":
        return f"not decided after {done}"
    return f"not decided: stopped after {done}"


def guarantee(rounds: Rounds) -> str:
    """How often such an answer is wrong, measured by simulation; empty if there is no answer."""
    if rounds.status != "decided" or rounds.last is None or rounds.last.leader is None:
        return ""
    if rounds.metric != "accuracy":
        return (
            "How often such an answer is wrong was simulated for accuracy, and is not known for "
            f"{MEASURES[rounds.metric]}."
        )
    least = least_margin(rounds.num_validation)
    if rounds.margin < least:
        return (
            f"How often such an answer is wrong is not known: with {rounds.num_validation:,} "
            f"validation images, margins below {points(least)} cannot be trusted on new images."
        )
    calm = rounds.last.spread is not None and rounds.last.spread <= rounds.margin / 200
    wrong = _WRONG_AT_MOST[rounds.margin < 2 * least][not calm]
    return (
        f"In at most {wrong} % of such sweeps the variant that is named is more than "
        f"{points(rounds.margin)} worse than the best."
    )


def least_margin(num_validation: int) -> float:
    """Points below which validation images are too few: their own noise does not shrink."""
    return round(_LEAST_MARGIN * math.sqrt(_IMAGES / num_validation), 2)


def paragraph(rounds: Rounds | None, *, running: bool) -> str:
    """How the rounds ended, or the answer so far, on validation images; empty without a round.

    'Decided after 3 rounds (14 trainings): ...', which variants were dropped, and how often such an
    answer is wrong.
    """
    if rounds is None or rounds.last is None:
        return ""
    if running:
        how = f"After {counted(rounds.rounds, 'round')}"
    else:
        text = ending(rounds)
        how = f"{text[0].upper()}{text[1:]}"
    out = [
        f"{first_names([one.label for one in look.dropped])} after round {look.round}"
        for look in rounds.looks
        if look.dropped
    ]
    dropped = f"Dropped: {'; '.join(out)}." if out else ""
    return " ".join(filter(None, (f"{how}.", rounds.answer, dropped, rounds.guarantee)))
