"""The next step after a sweep, as a command to copy, and what it costs."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from cnn_pipeline.base import metric_names
from cnn_pipeline.cli.flags import SWEEP_KEYS
from cnn_pipeline.cli.forecast import TRAINING_SHARE
from cnn_pipeline.comparison.further_rounds import further_rounds
from cnn_pipeline.comparison.rounds import Look, Rounds
from cnn_pipeline.comparison.rounds_text import least_margin, points
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.settings.command_line import flag_name
from cnn_pipeline.trainers.scheduling import wall_seconds

_MORE_SEEDS = 2
_ROUNDS_STEP = 5
_MOST_ROUNDS = 1000


@dataclass(frozen=True)
class Asked:
    """How the sweep was asked for."""

    program: str
    """How the program is called."""
    given: Mapping[str, str]
    """The flags of the sweep by key, as they were typed."""
    rest: str
    """Further words of the command, with a space before; may be empty."""
    workers: int
    """Trainings at a time."""
    search: str = ""
    """The words that ask for a search, with a space before. More seeds of a sweep need none."""
    took: Mapping[str, float] = field(default_factory=dict)
    """Seconds of each trial that was trained just now, by name."""

    def again(self, **changed: str) -> str:
        """The same command with some flags changed."""
        values = {**self.given, **changed}
        words = [
            word for key in SWEEP_KEYS if key in values for word in (flag_name(key), values[key])
        ]
        command = [self.program, "run", *([shlex.join(words)] if words else [])]
        return " ".join(command) + self.search + self.rest


def next_step(outcome: Outcome, asked: Asked) -> str:
    """Why, the price, and the command to copy on its own line; empty where nothing is left to ask.

    The price is what the trainings took, for as many as their spread over seeds lets expect.
    """
    rounds = outcome.comparison.rounds
    if rounds is None:
        return _more_seeds(outcome, asked)
    last = rounds.last
    if last is None or last.runner_up is None:
        return ""
    if rounds.status == "decided":
        finest = math.ceil(10 * least_margin(rounds.num_validation)) / 10
        decide = max(finest, round(rounds.margin / 2, 2))
        if decide >= rounds.margin:
            return ""
        why, changed = f"to decide within {points(decide)}", {"decide": f"{decide:g}"}
    else:
        decide, changed = rounds.margin, {}
        why = f"to go on until it is decided within {points(decide)}"
    needed, seconds = _price(outcome, rounds, last, decide, asked)
    if needed > rounds.max_rounds or rounds.status == "not decided":
        cap = _ROUNDS_STEP * math.ceil((max(needed, rounds.max_rounds) + 1) / _ROUNDS_STEP)
        changed["max_rounds"] = str(min(cap, _MOST_ROUNDS))
    # After one round nothing is known of the spread: one more is certain.
    least = " at least" if last.spread is None else ""
    return _told(why, seconds, asked.again(**changed), least)


def _more_seeds(outcome: Outcome, asked: Asked) -> str:
    """The step from one seed to several, for a list of seeds."""
    ranked = outcome.comparison.ranked
    if len(ranked) < 2 or any(len(row.seeds) > 1 for row in ranked):
        return ""
    seconds = _seconds(outcome, asked.took)
    total = wall_seconds(sorted(_MORE_SEEDS * [*seconds.values()], reverse=True), asked.workers)
    command = f"{asked.program} run --add-seeds {_MORE_SEEDS} {outcome.sweep_id}{asked.rest}"
    return _told("to compare the settings, not only these networks", total, command)


def _price(
    outcome: Outcome, rounds: Rounds, last: Look, decide: float, asked: Asked
) -> tuple[int, float]:
    """Rounds in all, and seconds of those that follow, until `decide` points are expected."""
    scores = {row.label: row.validation_accuracy or 0.0 for row in outcome.comparison.rows}
    best = max((scores[label] for label in last.still_in), default=0.0)
    behind = {label: best - scores[label] for label in last.still_in}
    further = further_rounds(
        behind,
        last.spread or 0.0,
        num_variants=len(scores),
        done=rounds.rounds,
        most=_MOST_ROUNDS,
        decide=decide / 100,
    )
    seconds = _seconds(outcome, asked.took)
    each = [
        wall_seconds(sorted((seconds.get(one, 0.0) for one in labels), reverse=True), asked.workers)
        for labels in further
    ]
    return rounds.rounds + len(each), sum(each)


def _seconds(outcome: Outcome, took: Mapping[str, float]) -> dict[str, float]:
    """Mean measured seconds of one training by variant, scoring included."""
    found: dict[str, list[float]] = {}
    for result in outcome.results:
        trained = result.metric(metric_names.TRAIN_SECONDS)
        if result.finished and trained is not None:
            seconds = took.get(result.name, trained / TRAINING_SHARE)
            found.setdefault(result.label, []).append(seconds)
    return {label: sum(values) / len(values) for label, values in found.items()}


def _told(why: str, seconds: float, command: str, least: str = "") -> str:
    price = f"({more_time(seconds)}{least}; nothing is trained twice)"
    return f"  {why}:\n    {command}\n    {price}"


def more_time(seconds: float) -> str:
    """'about 8 more minutes', 'about 40 more seconds', 'about 3 more hours'."""
    size, unit = 1, "second"
    for larger, name in ((60, "minute"), (3600, "hour")):
        if seconds >= 1.5 * larger:
            size, unit = larger, name
    number = max(1, round(seconds / size))
    return f"about {number} more {unit}{'s' if number > 1 else ''}"
