"""What the picture of a sweep shows: variants and effects, each with its interval and its cost.

The report, MLflow's note, Prefect's artifact and the terminal draw the same lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from cnn_pipeline.base.quantities import UNKNOWN, duration, percent, signed
from cnn_pipeline.comparison import numbers, scope
from cnn_pipeline.comparison.setting_names import level_text, place_text
from cnn_pipeline.comparison.types import AxisEffects, Comparison, Effect, Row

MAY_BE_BEST = "May still be best: no other variant is significantly more accurate."


@dataclass(frozen=True)
class Line:
    """A variant or an effect. `estimate`, `low` and `high` are in percent or percentage points."""

    name: str
    estimate: float
    low: float
    """Equal to `estimate` without an interval."""
    high: float
    text: str
    """'91.6 % (91.1-92.1)' or '+0.95 (+0.67 to +1.24)'."""
    short: str
    """'91.55' or '+0.95', without its unit."""
    cost: str
    """'4.8 M parameters, 26.3 M MACs' or '2.08x parameters, 3.46x MACs'; empty if unknown."""
    macs: str
    """Only the MACs of `cost`, where there is no room."""
    marked: bool
    """A variant that may still be best; an effect that is significant."""


@dataclass(frozen=True)
class Panel:
    """One part of the picture; `lines` is not empty."""

    title: str
    unit: str
    """'%' or 'points'."""
    lines: tuple[Line, ...]
    marks: str = MAY_BE_BEST
    """What the mark of a variant means."""

    @property
    def has_zero(self) -> bool:
        """Whether zero has a meaning: that of no difference."""
        return self.unit == "points"

    @property
    def ends(self) -> tuple[float, float]:
        """From the lowest to the highest end of an interval, and zero if it has a meaning."""
        values = [end for line in self.lines for end in (line.low, line.high)]
        values += [0.0] if self.has_zero else []
        low, high = min(values), max(values)
        room = 0.0 if high > low else 0.5
        return low - room, high + room

    @property
    def said(self) -> str:
        """The panel in words, for people who do not see it."""
        lines = (
            f"{line.name} {line.text}{' (marked)' if line.marked else ''}"
            + (f", {line.cost}" if line.cost else "")
            for line in self.lines
        )
        return f"{self.title}: {'; '.join(lines)}."


def panels(comparison: Comparison) -> tuple[Panel, ...]:
    """The variants in the order of the leaderboard, then the effects; what is unknown is left out.

    Where a setting significantly interacts with another, its simple effects stand for it.
    """
    rows = tuple(_variant(row) for row in comparison.ranked if row.test_accuracy is not None)
    effects = tuple(
        _effect(effect)
        for axis in comparison.axes
        for effect in shown_effects(axis)
        if effect.estimate is not None
    )
    measure = scope.measure(comparison.sweep)
    return tuple(
        Panel(title, unit, lines, may_be_best(comparison))
        for title, unit, lines in (
            (f"Test {measure} {_of_what(comparison)}", "%", rows),
            (f"Change of test {measure}, points (95 %)", "points", effects),
        )
        if lines
    )


def may_be_best(comparison: Comparison) -> str:
    """What a star means, in a sentence."""
    return MAY_BE_BEST.replace("more accurate", scope.more(comparison.sweep))


def shown_effects(axis: AxisEffects) -> Sequence[Effect]:
    """The simple effects of a setting that interacts with another, else its main effects."""
    return axis.simple or axis.effects


def change_text(effect: Effect, arrow: str = "->") -> str:
    """'16 -> 64 filters', for a simple effect with its place: ', with max-pooling'."""
    before = level_text(effect.axis, effect.against).split()
    after = level_text(effect.axis, effect.level).split()
    least = min(len(before), len(after))
    ends = zip(reversed(before), reversed(after), strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], ends))
    if 0 < same < least and "no" not in (before[0], after[0]):  # say what both share once
        before = before[:-same]
    elif least > 1 and before[0] == after[0]:
        after = after[1:]
    return f"{' '.join(before)} {arrow} {' '.join(after)}{place_text(effect.where)}"


def _of_what(comparison: Comparison) -> str:
    bases = {len(row.seeds) > 1 for row in comparison.ranked}
    if bases == {True}:
        images = "and images" if comparison.sweep.num_test else "on the same images"
        return f"of each recipe (95 %, new seeds {images})"
    if bases == {False}:
        return "of each network (95 %, new images)"
    return "(95 %; of one seed, only new images)"


def _variant(row: Row) -> Line:
    test, interval = row.test_accuracy or 0.0, row.test_interval
    return Line(
        name=row.label,
        estimate=100 * test,
        low=100 * (interval.low if interval else test),
        high=100 * (interval.high if interval else test),
        text=numbers.percent_with_interval(test, interval) if interval else percent(test, 2),
        short=percent(test, 2).removesuffix(" %"),
        cost=_known(
            f"{numbers.scaled(row.num_params)} parameters", f"{numbers.scaled(row.macs)} MACs"
        )
        or _known(duration(row.train_seconds)),
        macs=numbers.scaled(row.macs),
        marked=bool(row.may_be_best),
    )


def _known(*costs: str) -> str:
    return ", ".join(cost for cost in costs if cost.split()[0] != UNKNOWN)


def _effect(effect: Effect) -> Line:
    points, interval = 100 * (effect.estimate or 0.0), effect.interval
    macs = numbers.ratio(effect.macs_ratio)
    return Line(
        name=change_text(effect),
        estimate=points,
        low=100 * interval.low if interval else points,
        high=100 * interval.high if interval else points,
        text=numbers.points(effect.estimate, interval).replace(" points", ""),
        short=signed(effect.estimate),
        cost=_known(f"{numbers.ratio(effect.params_ratio)} parameters", f"{macs} MACs"),
        macs=macs,
        marked=effect.significant,
    )
