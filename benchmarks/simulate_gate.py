"""How often the retraining gate promotes: an equal recipe, a worse network, a better recipe.

Networks are simulated, the gate is the real `judge`. Each image has a difficulty, and each network
a skill over all images and one for each class, so that networks of one recipe disagree about 5 % of
the images and their recall of a class differs by several points, as on Fashion-MNIST.

    python -m benchmarks.simulate_gate --weeks 1000
"""

from __future__ import annotations

import argparse
import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from benchmarks.report import markdown, say, write
from cnn_pipeline.champion.against import MORE_ACCURATE, RECALL
from cnn_pipeline.champion.gate import GateResult, judge
from cnn_pipeline.champion.requirements import GateSettings
from cnn_pipeline.champion.scores import Candidate, Score

RECALLS = np.array([0.84, 0.98, 0.86, 0.91, 0.87, 0.98, 0.72, 0.97, 0.98, 0.96])
"""The tutorial's network after five epochs, about."""
CLASSES = tuple(f"class {label}" for label in range(len(RECALLS)))
DIFFICULTY = 3.0
"""Standard deviation of the images' difficulty, in units of a network's own noise on an image."""
CLASS_SKILL = 0.35
"""Standard deviation of a network's skill for a class: recalls of one recipe differ by 5 points."""
CHANCE = 0.16
"""Standard deviation of a network's answer on one image, given the image; mean over the images."""
LIKENESS = 0.99
"""Correlation of an image's difficulty for two recipes; with 1 it is the same for both."""
SCALE = float(np.hypot(1, DIFFICULTY))
BASE = special.ndtri(RECALLS) * SCALE
SLOPES = np.exp(-((BASE / SCALE) ** 2) / 2) / np.sqrt(2 * np.pi) / SCALE
"""Change of a class's recall by a network's skill."""
SPREADS = (0.2, 0.43, 0.5)
CHAMPIONS = {
    "first": "one network",
    "sweep": "best of its seeds",
    "gate": "best of its seeds, after a promotion",
}
SEEDS = {"first": (1, 2, 3, 6), "sweep": (2, 3, 6), "gate": (6,)}
HEAD = (
    "{weeks} simulated weeks for each row and question, 10,000 test and 5,000 validation images, "
    "and the default settings of the gate; a quarter as many weeks after a promotion"
)
HEADER = (
    "champion",
    "seeds",
    "spread",
    "equal recipe: networks' interval alone",
    "promoted",
    "and is worse",
    "one point better: promoted",
    "refused for recall",
    "by the former limit",
)


@dataclass(frozen=True)
class Weeks:
    """What is simulated."""

    seeds: int
    """Seeds of the challenger's variant, of which validation chooses one."""
    spread: float
    """Standard deviation of the networks' accuracies on the test images, in points."""
    champion: str
    """'first': one network; 'sweep': the best of as many seeds as the challenger has; 'gate': such
    a one which replaced a champion whose recipe was half a point worse."""
    better: float
    """Points by which the challenger's recipe is better."""
    images: int = 10_000
    validation: int = 5_000


@dataclass(frozen=True, eq=False)
class Recipe:
    """Networks of one recipe, the best on validation first."""

    correct: NDArray[np.bool_]
    """bool `[seeds, images]`"""
    accuracies: NDArray[np.float64]
    """On all images there could be, `[seeds]`."""


class World:
    """Test images, and the networks that are trained in the weeks of one champion."""

    def __init__(self, weeks: Weeks, rng: np.random.Generator) -> None:
        self._weeks, self._rng = weeks, rng
        self.labels = np.arange(weeks.images) % len(RECALLS)
        self._difficulty = rng.standard_normal(weeks.images)

    def train(self, seeds: int, better: float) -> Recipe:
        """Networks of a recipe that is `better` points better; of another one unless it is 0."""
        rng = self._rng
        spread = np.sqrt((self._weeks.spread / 100) ** 2 - CHANCE**2 / self._weeks.images)
        skills = rng.normal(_skill(better), spread / SLOPES.mean(), (seeds, 1))
        classes = rng.normal(0, CLASS_SKILL, (seeds, len(RECALLS)))
        # What a network gains in one class it loses in others: `spread` is that of the accuracy.
        classes -= classes @ SLOPES[:, None] * SLOPES / np.square(SLOPES).sum()
        means = BASE + skills + classes
        accuracies = special.ndtr(means / SCALE).mean(axis=1)
        on_validation = rng.normal(accuracies, CHANCE / np.sqrt(self._weeks.validation))
        order = np.argsort(-on_validation)
        difficulty = self._difficulty
        if better:
            own = rng.standard_normal(difficulty.size)
            difficulty = LIKENESS * difficulty + np.sqrt(1 - LIKENESS**2) * own
        noise_on_images = rng.standard_normal((seeds, difficulty.size), dtype=np.float32)
        correct = means[order][:, self.labels] + DIFFICULTY * difficulty + noise_on_images > 0
        return Recipe(correct, accuracies[order])

    def judge(self, challenger: Recipe, champion: Recipe) -> GateResult:
        """The gate's answer; each recipe's first network is the one in question."""
        one, other = self._candidate(challenger, 1.0), self._candidate(champion, None)
        return judge(one, other, CLASSES, GateSettings())

    def _candidate(self, recipe: Recipe, slowdown: float | None) -> Candidate:
        predictions = np.where(recipe.correct[0], self.labels, (self.labels + 1) % len(RECALLS))
        score = Score(self.labels, predictions, 1.0, 1, True, 0, 0, slowdown)
        metrics = {"test_accuracy": score.accuracy}
        return Candidate("network", score, metrics=metrics, siblings=tuple(recipe.correct[1:]))


@functools.cache
def _skill(better: float) -> float:
    """The skill that makes all networks `better` points better."""
    wanted = RECALLS.mean() + better / 100
    return float(optimize.brentq(lambda x: special.ndtr((BASE + x) / SCALE).mean() - wanted, -9, 9))


def weeks_of(weeks: Weeks, number: int, seed: int) -> Iterator[tuple[GateResult, float, float]]:
    """The gate's answers in `number` weeks, each with another champion and other test images.

    With each answer come the true accuracy of the challenger minus that of the champion, and the
    largest loss of recall of a class on the test images.
    """
    rng = np.random.default_rng(seed)
    for _ in range(number):
        world = World(weeks, rng)
        if weeks.champion == "gate":
            champion = _chosen_by_gate(world, weeks)
        else:
            champion = world.train(1 if weeks.champion == "first" else weeks.seeds, 0.0)
        challenger = world.train(weeks.seeds, weeks.better)
        gained = challenger.accuracies[0] - champion.accuracies[0]
        lost = champion.correct[0].astype(int) - challenger.correct[0]
        losses = np.bincount(world.labels, weights=lost) / np.bincount(world.labels)
        yield world.judge(challenger, champion), float(gained), float(losses.max())


def _chosen_by_gate(world: World, weeks: Weeks) -> Recipe:
    before = world.train(weeks.seeds, -0.5)
    while True:
        champion = world.train(weeks.seeds, 0.0)
        if world.judge(champion, before).passed:
            return champion


@dataclass(frozen=True)
class Rates:
    """Shares of the weeks."""

    network_rule: float
    """The networks' interval alone promotes."""
    promoted: float
    worse: float
    """Promoted, and in truth worse than the champion."""
    recall_refuses: float
    """The rule on recall refuses."""
    over_five: float
    """Some class loses more than 5 points on these images: what that rule refused before."""


def rates(weeks: Weeks, number: int, seed: int) -> Rates:
    """What the gate does in `number` weeks."""
    found = []
    for result, gained, loss in weeks_of(weeks, number, seed):
        passed = {rule.name: rule.passed for rule in result.rules}
        found.append(
            (
                passed[MORE_ACCURATE],
                result.passed,
                result.passed and gained < 0,
                not passed[RECALL],
                loss > 0.05,
            )
        )
    return Rates(*np.mean(found, axis=0).tolist())


def row(champion: str, seeds: int, spread: float, number: int) -> tuple[str, ...]:
    """The cells of one row of the table."""
    equal = rates(Weeks(seeds, spread, champion, 0.0), number, seed=0)
    better = rates(Weeks(seeds, spread, champion, 1.0), number, seed=1)
    shares = (
        equal.network_rule, equal.promoted, equal.worse,
        better.promoted, better.recall_refuses, better.over_five,
    )  # fmt: skip
    cells = (f"{share * 100:.1f} %" for share in shares)
    return (CHAMPIONS[champion], f"{seeds}", f"{spread:g}", *cells)


def main() -> None:
    """Write the table to `results/gate.md`, and show each row as soon as it is known."""
    parser = argparse.ArgumentParser(description="Simulate the retraining gate.")
    parser.add_argument("--weeks", type=int, default=1000, help="weeks of each row and question")
    weeks = parser.parse_args().weeks
    rows = []
    for champion, spread in itertools.product(CHAMPIONS, SPREADS):
        for seeds in SEEDS[champion]:
            # Before such a week there are some more, until the champion has been promoted.
            number = weeks // 4 if champion == "gate" else weeks
            rows.append(row(champion, seeds, spread, number))
            say(" | ".join(rows[-1]))
    write("gate", HEAD.format(weeks=f"{weeks:,}"), markdown(HEADER, rows))


if __name__ == "__main__":
    main()
