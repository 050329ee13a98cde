"""How often the printed intervals hold what they say, in sweeps with known truth.

    .venv/bin/python -m benchmarks.simulate_intervals          # about 15 minutes

Draws sweeps of equal variants with new seeds and new images, and counts how many 95 % intervals
miss the truth. Writes `benchmarks/results/simulate-intervals.md`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import markdown, say, write
from benchmarks.simulated_sweeps import World, world
from cnn_pipeline.comparison.recipes import Answers, Estimate, NoClaim
from cnn_pipeline.comparison.rounds import decide_rounds

IMAGES = 10_000
VALIDATION = 5_000
Draw = Callable[[np.random.Generator], Answers]


@dataclass(frozen=True, eq=False)
class Rates:
    """What the intervals of many simulated sweeps held; shares of 1."""

    pairs: NDArray[np.float64]
    """`[V, V]`: how often the interval of a pair alone held its true difference."""
    recipe: float
    """The same for one recipe's accuracy."""
    effects: float
    """The same for main effects and interactions, of a grid of two settings."""
    false: float
    """Sweeps in which a difference was called significant on the wrong side, or without one."""
    best: float
    """Sweeps in which the best variant was among those that may be best."""
    width: float
    """Median half-width of the interval of a pair alone, in points."""
    claims: float
    """Pairs about which something was claimed."""

    def pair(self, *rows: int) -> float:
        """Mean over the pairs of some variants; over all pairs without `rows`."""
        chosen = rows or tuple(range(len(self.pairs)))
        return float(np.mean([self.pairs[a, b] for a, b in combinations(chosen, 2)]))


def rates(draw: Draw, truth: NDArray[np.float64], repeats: int, seed: int = 20260102) -> Rates:
    """Draw `repeats` sweeps and compare every interval with the true accuracies `[V]`."""
    rng = np.random.default_rng(seed)
    num = len(truth)
    held, claimed = np.zeros((num, num)), np.zeros((num, num))
    recipe: list[bool] = []
    effects: list[bool] = []
    widths, false, best = [], 0, 0
    for _ in range(repeats):
        answers = draw(rng)
        wrong, beaten = False, False
        top = int(truth.argmax())
        for a, b in combinations(range(num), 2):
            outcome = answers.pair(a, b)
            if isinstance(outcome, NoClaim):
                continue
            difference = float(truth[a] - truth[b])
            claimed[a, b] += 1
            held[a, b] += _holds(outcome, difference)
            widths.append(outcome.interval.high - outcome.estimate)
            together = outcome.simultaneous(num)
            wrong |= together.low > max(0.0, difference) or together.high < min(0.0, difference)
            beaten |= (a == top and together.high < 0) or (b == top and together.low > 0)
        false += wrong
        best += not beaten
        for row in range(num):
            alone = answers.one_recipe(row)
            if isinstance(alone, Estimate):
                recipe.append(_holds(alone, float(truth[row])))
        for weights in _effects(num):
            effect = answers.contrast(weights)
            if isinstance(effect, Estimate):
                effects.append(_holds(effect, float(weights @ truth)))
    return Rates(
        pairs=held / np.maximum(1, claimed),
        recipe=float(np.mean(recipe)) if recipe else np.nan,
        effects=float(np.mean(effects)) if effects else np.nan,
        false=false / repeats,
        best=best / repeats,
        width=100 * float(np.median(widths)) if widths else np.nan,
        claims=float(claimed.sum()) / repeats / (num * (num - 1) // 2),
    )


def full(
    population: World, num_seeds: int, spreads: NDArray[np.float64], num_images: int = IMAGES
) -> Draw:
    """Sweeps in which every variant has every seed; `spreads` as shares."""
    return lambda rng: population.sweep(
        rng, num_seeds=num_seeds, num_images=num_images, spreads=spreads
    )


def by_rounds(
    population: World,
    spreads: NDArray[np.float64],
    *,
    margin: float = 1.0,
    num_images: int = IMAGES,
    num_validation: int = VALIDATION,
    rounds: int = 10,
) -> Draw:
    """Sweeps that drop variants on validation images until one is known to be best."""

    def draw(rng: np.random.Generator) -> Answers:
        whole = population.sweep(
            rng, num_seeds=rounds, num_images=num_validation + num_images, spreads=spreads
        )
        validation = {
            (label, seed): float(whole.correct[row, seed][:num_validation].mean())
            for row, label in enumerate(whole.labels)
            for seed in whole.seeds
        }
        outcome = decide_rounds(
            whole.labels, whole.seeds, validation, margin=margin, num_validation=num_validation
        )
        last = dict.fromkeys(whole.labels, outcome.rounds)
        last.update({dropped.label: dropped.round for dropped in outcome.dropped})
        correct = {
            (row, seed): right[num_validation:]
            for (row, seed), right in whole.correct.items()
            if seed < last[whole.labels[row]]
        }
        accuracies = np.full((len(whole.labels), outcome.rounds), np.nan)
        for cell, right in correct.items():
            accuracies[cell] = right.mean()
        return Answers(whole.labels, whole.seeds[: outcome.rounds], accuracies, correct)

    return draw


def main() -> None:
    """Simulate equal and unequal spreads, and sweeps that drop variants; write the tables."""
    parser = argparse.ArgumentParser(prog="simulate_intervals", description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    given = parser.parse_args()
    write(
        "simulate-intervals",
        head(given.repeats),
        body(
            {
                "Equal spreads": _equal(given.repeats),
                "Unequal spreads": _unequal(given.repeats),
                "Rounds that drop variants": _rounds(given.repeats),
            }
        ),
    )


def head(repeats: int) -> str:
    """What the tables show."""
    return (
        f"{repeats:,} sweeps a row ({3 * repeats // 10} with 12 variants, {repeats // 2} with "
        f"unequal spreads), {IMAGES:,} test images. Spread: standard deviation over seeds, in "
        "points, half of its square shared by all. Pair, recipe and effect: coverage of 95 % "
        "intervals in percent. Any false: sweeps with a false 'significant' over all pairs, in "
        "percent. Standard error of the simulation: 0.2 to 0.5, of 'any false' 0.7 to 1.2"
    )


def body(tables: dict[str, str]) -> str:
    """The tables below their titles."""
    return "\n".join(f"{title}:\n\n{table}" for title, table in tables.items())


def _equal(repeats: int) -> str:
    rows = []
    for num in (2, 6, 12):
        population = world(num)
        for num_seeds in (2, 3, 5, 10):
            if (num, num_seeds) == (2, 2) or (num == 12 and num_seeds > 3):
                continue
            for spread in (0.0, 0.2, 0.5):
                draw = full(population, num_seeds, np.full(num, spread / 100))
                drawn = repeats if num < 12 else 3 * repeats // 10
                found = rates(draw, population.accuracies, drawn)
                rows.append([str(num), str(num_seeds), f"{spread}", *_cells(found)])
                say(" | ".join(rows[-1]))
    header = ["variants", "seeds", "spread", "pair", "recipe", "effect", "any false", "best kept"]
    return markdown([*header, "half-width"], rows)


def _unequal(repeats: int) -> str:
    rows = []
    for spreads in (
        (0.2, 0.2, 0.2, 0.2, 0.2, 0.4),
        (0.2, 0.2, 0.2, 0.2, 0.2, 0.8),
        (0.5, 0.5, 0.5, 0.5, 0.5, 1.0),
        (0.25, 0.25, 0.25, 1.0, 1.0, 1.0),
    ):
        population = world(6)
        for num_seeds in (2, 3, 5, 10):
            draw = full(population, num_seeds, np.array(spreads) / 100)
            found = rates(draw, population.accuracies, repeats // 2)
            worst = min(found.pairs[a, b] for a, b in combinations(range(6), 2))
            values = [found.pair(), worst, found.recipe, found.effects, found.false, found.best]
            text = ", ".join(f"{spread:g}" for spread in spreads)
            rows.append([text, str(num_seeds), *(f"{100 * value:.1f}" for value in values)])
            say(" | ".join(rows[-1]))
    header = ["spreads", "seeds", "pair", "worst pair", "recipe", "effect", "any false"]
    return markdown([*header, "best kept"], rows)


def _rounds(repeats: int) -> str:
    rows = []
    for name, ahead in (
        ("all equal", (0, 0, 0, 0, 0, 0)),
        ("one a point ahead", (1, 0, 0, 0, 0, 0)),
        ("steps of half a point", (0, -0.5, -1, -1.5, -2, -2.5)),
    ):
        population = world(6, np.array(ahead) / 100)
        for spread in (0.2, 0.5):
            draw = by_rounds(population, np.full(6, spread / 100))
            found = rates(draw, population.accuracies, repeats)
            rows.append([name, f"{spread}", *_cells(found), f"{100 * found.claims:.0f}"])
            say(" | ".join(rows[-1]))
    header = ["variants", "spread", "pair", "recipe", "effect", "any false", "best kept"]
    return markdown([*header, "half-width", "pairs claimed %"], rows)


def _cells(found: Rates) -> list[str]:
    values = [found.pair(), found.recipe, found.effects, found.false, found.best]
    shown = ["-" if np.isnan(value) else f"{100 * value:.1f}" for value in values]
    return [*shown, f"{found.width:.2f}"]


def _holds(outcome: Estimate, truth: float) -> bool:
    return outcome.interval.low <= truth <= outcome.interval.high


def _effects(num: int) -> list[NDArray[np.float64]]:
    """Weights of a main effect and of an interaction, variants being a grid of pairs."""
    if num < 4 or num % 2:
        return []
    signs = np.where(np.arange(num) % 2, -1.0, 1.0)
    interaction = np.zeros(num)
    interaction[:4] = 1, -1, -1, 1
    return [2 * signs / num, interaction]


if __name__ == "__main__":
    main()
