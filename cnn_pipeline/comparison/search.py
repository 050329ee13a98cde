"""What a search has found, and how much its luck flattered it. Pure: numbers in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cnn_pipeline.base.metric_names import MEASURES, Metric
from cnn_pipeline.base.quantities import counted, percent, signed
from cnn_pipeline.comparison.types import Comparison

HEADER = ("variant", "in the search", "fresh seeds", "seeds", "difference, points")


@dataclass(frozen=True)
class SearchRecord:
    """A search that has ended. Scores are shares from 0 to 1, on the validation images."""

    sweep_id: str
    kind: str
    seed: int
    """The one seed of all its trainings."""
    trials: int
    """How many variants it tried."""
    trainings: int
    """How many different trainings those were; Hyperband has several of one variant."""
    failed: int
    """How many of them failed."""
    metric: Metric
    axes: Mapping[str, str]
    """What was searched: '8..128', 'max,none'."""
    scores: Mapping[str, float]
    """Of each variant that was trained whole, by label, best first."""
    importance: Mapping[str, float] = field(default_factory=dict)
    """Share of each setting, most important first; empty where too little is known."""

    @property
    def headline(self) -> str:
        """The result as a sentence."""
        best, score = next(iter(self.scores.items()))
        return (
            f"{best} was the best of {counted(self.trials, 'trial')} with one seed each: "
            f"{percent(score, 2)} validation {MEASURES[self.metric]}, which luck flatters."
        )


@dataclass(frozen=True)
class Flattered:
    """A variant that was chosen by one seed, and trained again with others."""

    label: str
    searched: float
    """Its score in the search."""
    fresh: float
    """Mean over the fresh seeds."""
    seeds: int

    @property
    def cells(self) -> tuple[str, ...]:
        """A row under `HEADER`."""
        return (
            self.label,
            percent(self.searched, 2),
            percent(self.fresh, 2),
            str(self.seeds),
            signed(self.fresh - self.searched),
        )


def flattered(search: SearchRecord, comparison: Comparison) -> tuple[Flattered, ...]:
    """The variants of a comparison that the search had chosen, best of the search first."""
    rows = {row.label: row for row in comparison.rows}
    return tuple(
        Flattered(label, score, rows[label].validation_accuracy or 0.0, len(rows[label].seeds))
        for label, score in search.scores.items()
        if label in rows and rows[label].validation_accuracy is not None
    )


def sentences(search: SearchRecord, comparison: Comparison) -> tuple[str, ...]:
    """What was searched, by how much the best was flattered, and which settings mattered."""
    axes = ", ".join(f"{name} {text}" for name, text in search.axes.items())
    failed = f", {search.failed} of which failed" if search.failed else ""
    said = [
        f"Search {search.sweep_id} ({search.kind}) tried {counted(search.trials, 'variant')} of "
        f"{axes} in {counted(search.trainings, 'training')}{failed}, all with seed {search.seed}."
    ]
    found = flattered(search, comparison)
    if found:
        best = found[0]
        by = 100 * (best.searched - best.fresh)
        luck = (
            f"Luck flattered it by {by:.2f} points"
            if by > 0
            else f"It was not flattered: fresh seeds are {-by:.2f} points better"
        )
        said.append(
            f"Its best, {best.label}, had {percent(best.searched, 2)} validation "
            f"{MEASURES[search.metric]} in the search, and {percent(best.fresh, 2)} in the mean of "
            f"{counted(best.seeds, 'fresh seed')}. {luck}."
        )
        said += _against_no_search(comparison, found)
    if search.importance:
        shares = ", ".join(
            f"{name} {percent(share, 0)}" for name, share in search.importance.items()
        )
        said.append(f"What set the best trials apart (PED-ANOVA): {shares}.")
    else:
        said.append("Too few whole trainings to say which setting mattered: ten are needed.")
    return tuple(said)


def _against_no_search(comparison: Comparison, found: Sequence[Flattered]) -> list[str]:
    """Whether the search was worth it: its best with fresh seeds, and the settings without it."""
    baseline = comparison.sweep.baseline
    without = next((row for row in comparison.rows if row.label == baseline), None)
    others = [one for one in found if one.label != baseline]
    if without is None or without.validation_accuracy is None or not others:
        return []
    best = max(others, key=lambda one: one.fresh)
    points = 100 * (best.fresh - without.validation_accuracy)
    has = f"{percent(without.validation_accuracy, 2)} with fresh seeds"
    if points > 0:
        return [
            f"The search won: the settings without it, {baseline}, have {has}, {points:.2f} points "
            f"less than {best.label}."
        ]
    lost = points < 0
    by = f"{-points:.2f} points more than" if lost else "as much as"
    return [
        f"The search {'lost' if lost else 'won nothing'}: the settings without it, {baseline}, "
        f"have {has}, {by} {best.label}, the best of what it found."
    ]
