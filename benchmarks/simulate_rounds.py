"""How often the rule that ends a sweep's rounds is wrong, and how many trainings it takes.

    .venv/bin/python -m benchmarks.simulate_rounds           # about 10 minutes

Draws accuracies of variants over seeds and applies `comparison.rounds` to them, as a sweep does. An
answer is wrong if the variant that it names is more than the margin worse than the best on new
images and new seeds. Writes `benchmarks/results/rounds.md`.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import RESULTS, markdown
from cnn_pipeline.comparison.rounds import decide_rounds

README = (91.44, 91.14, 90.41, 90.1, 89.4, 88.0)
"""Test accuracies of the default sweep in per cent, means over five seeds."""
FIXED = (1, 2, 3, 4)
"""Numbers of seeds of a loop that has no rounds."""
JUST_WRONG = 1.01
"""The best variant leads all others, which are equal, by this many margins: nothing is harder."""


@dataclass(frozen=True)
class Setting:
    """A sweep to draw. Accuracies and spreads are in points."""

    means: tuple[float, ...]
    """True accuracy of each variant, over new seeds and new images."""
    spread: float = 0.5
    """Standard deviation over seeds, the mean over variants."""
    shared: float = 0.57
    """Correlation of the seeds of two variants: they have the order of the images in common."""
    ratio: float = 1.0
    """Largest over smallest spread of the variants."""
    images: float = 0.1
    """Standard deviation of a variant's accuracy over draws of 5,000 validation images, without
    what all variants have in common; it is the same for all seeds."""
    margin: float = 1.0
    num_validation: int = 5000
    max_rounds: int = 10


@dataclass(frozen=True)
class Found:
    """What a rule does with many draws of a setting; shares from 0 to 1."""

    trainings: float
    """Mean number of networks."""
    rounds: float
    decided: float
    """Share of the sweeps that were decided before the last round was over."""
    wrong: float
    """Share of the sweeps that named a variant that is more than the margin worse than the best."""


def simulate(setting: Setting, repeats: int, seed: int = 0) -> Found:
    """Draw sweeps and decide each."""
    rng = np.random.default_rng(seed)
    labels = tuple(f"v{number}" for number in range(len(setting.means)))
    found = [_one(setting, labels, rng) for _ in range(repeats)]
    return Found(*np.mean(found, axis=0).tolist())


def wrong_with_fixed_seeds(setting: Setting, num_seeds: int, repeats: int, seed: int = 0) -> float:
    """Share of the sweeps that are wrong where each variant has so many seeds and the best mean
    on validation is named, as a loop over variants and seeds would do."""
    rng = np.random.default_rng(seed)
    wrong = 0
    for _ in range(repeats):
        means, accuracies = _draw(setting, rng)
        named = accuracies[:, :num_seeds].mean(axis=1).argmax()
        wrong += means.max() - means[named] > setting.margin / 100
    return float(wrong / repeats)


def _draw(
    setting: Setting, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The true accuracies `[V]`, and those on validation `[V, S]`."""
    means = np.array(setting.means) / 100
    count, rounds = len(means), setting.max_rounds
    spreads = rng.permutation(np.geomspace(1, setting.ratio, count))
    spreads *= setting.spread / 100 / math.sqrt(float(np.mean(spreads**2)))
    images = rng.normal(0, setting.images / 100, count) * math.sqrt(5000 / setting.num_validation)
    seeds = math.sqrt(setting.shared) * rng.normal(size=rounds)
    own = math.sqrt(1 - setting.shared) * rng.normal(size=(count, rounds))
    accuracies = (means + images)[:, None] + spreads[:, None] * (seeds + own)
    return means, np.round(accuracies * setting.num_validation) / setting.num_validation


def _one(
    setting: Setting, labels: tuple[str, ...], rng: np.random.Generator
) -> tuple[float, float, bool, bool]:
    means, accuracies = _draw(setting, rng)
    rounds = setting.max_rounds
    cells = {
        (label, seed): float(accuracies[row, seed])
        for row, label in enumerate(labels)
        for seed in range(rounds)
    }
    decided = decide_rounds(
        labels, range(rounds), cells, margin=setting.margin, num_validation=setting.num_validation
    )
    named = decided.last.leader if decided.last else None
    done = decided.status == "decided" and named is not None
    short = means.max() - means[labels.index(named)] if done and named else 0.0
    return decided.trials, decided.rounds, done, short > setting.margin / 100


def settings() -> Iterator[tuple[str, Setting]]:
    """The settings of the report, each with a name."""
    for spread, shared in itertools.product((0.2, 0.5), (0.0, 0.57)):
        yield "README's means", Setting(README, spread, shared)
    for margin, count, spread, (shared, ratio) in itertools.product(
        (1.0, 0.5), (2, 6, 12), (0.25, 0.5, 1.0), ((0.0, 1.0), (0.57, 1.0), (0.57, 3.0))
    ):
        means = (90 + margin * JUST_WRONG, *[90.0] * (count - 1))
        yield "just wrong", Setting(means, spread, shared, ratio, margin=margin)
    for margin, num_validation in itertools.product((0.25, 0.5), (5000, 20_000)):
        means = (90 + margin * JUST_WRONG, *[90.0] * 5)
        more = {"margin": margin, "num_validation": num_validation}
        yield "just wrong", Setting(means, margin / 2, **more)


def main() -> None:
    """Simulate every setting and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2000)
    repeats = parser.parse_args().repeats
    rows = []
    for number, (name, setting) in enumerate(settings()):
        found = simulate(setting, repeats, seed=number)
        rows.append(
            [
                name,
                f"{len(setting.means)}",
                f"{setting.margin:g}",
                f"{setting.spread:g}",
                f"{setting.shared:g}",
                f"{setting.ratio:g} : 1",
                f"{setting.num_validation:,}",
                f"{found.trainings:.1f}",
                f"{found.rounds:.1f}",
                f"{100 * found.decided:.1f} %",
                f"{100 * found.wrong:.1f} %",
            ]
        )
        print(*rows[-1], sep="  ", flush=True)
    header = [
        "means", "variants", "margin", "seed spread", "shared", "spreads", "validation images",
        "trainings", "rounds", "decided", "wrong",
    ]  # fmt: skip
    (RESULTS / "rounds.md").write_text(_page(repeats, markdown(header, rows)), encoding="utf-8")
    (RESULTS / "fixed-seeds.md").write_text(fixed_seeds(repeats), encoding="utf-8")


def fixed_seeds(repeats: int) -> str:
    """How often a fixed number of seeds names a wrong variant, beside the rounds."""
    hard = (90 + JUST_WRONG, *[90.0] * 5)
    rows = []
    for (name, means), shared in itertools.product(
        (("README's means", README), ("just wrong", hard)), (0.0, 0.57)
    ):
        setting = Setting(means, 0.5, shared)
        found = simulate(setting, repeats)
        fixed = [wrong_with_fixed_seeds(setting, number, 4 * repeats) for number in FIXED]
        shares = [f"{100 * share:.1f} %" for share in (found.wrong, *fixed)]
        rows.append([name, f"{shared:g}", f"{found.trainings:.1f}", *shares])
    header = ["means", "shared", "trainings in rounds", "wrong in rounds"]
    header += [f"wrong in {6 * number} trainings" for number in FIXED]
    return f"""\
Six variants, a margin of 1 point, seeds that spread by 0.5 points, 5,000 validation images;
{repeats:,} sweeps in rounds for each line, and {4 * repeats:,} with 1 to 4 seeds of each variant,
where the best mean on validation is named.

{markdown(header, rows)}"""


def _page(repeats: int, table: str) -> str:
    return f"""\
{repeats:,} sweeps for each line, drawn by `benchmarks/simulate_rounds.py`. Margins and spreads are
in points. *Shared* is the correlation of the seeds of two variants, *spreads* the largest over the
smallest of the variants. Each variant's accuracy on 5,000 validation images is off by
{Setting.images} points (standard deviation), the same for all of its seeds. *Wrong* is the share of
the sweeps that named a variant that is more than the margin worse than the best on new images.
*Just wrong*: one variant leads by {JUST_WRONG} margins, and all others are equal. Nothing is
harder.

{table}"""


if __name__ == "__main__":
    main()
