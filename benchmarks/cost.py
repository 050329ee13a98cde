"""How time grows with the work: images, epochs, variants and seeds, each alone, and trainers.

    .venv/bin/python -m benchmarks.cost                      # about half an hour
    .venv/bin/python -m benchmarks.cost --only workers --rounds 5

Measured is `cnn-pipeline run` from its start to its end with an empty home folder, all points in
turn. A straight line is fitted to all readings by least squares; what it misses of their variance
is 1 - R². Writes `benchmarks/results/cost.md` and `docs/images/cost.png`, and `workers.md`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.stats import linregress

from benchmarks.machine import this_machine
from benchmarks.tables import markdown, ratios, spread
from benchmarks.timing import rotated, timed

RESULTS = Path(__file__).parent / "results"
PICTURE = Path(__file__).parent.parent / "docs" / "images" / "cost.png"
# One network that is neither all start-up nor all convolution.
BASE = {"filters": "32", "pooling": "max", "epochs": 2, "train-limit": 10_000, "seeds": "0"}
AXES: dict[str, tuple[int, ...]] = {
    "images": (10_000, 30_000, 50_000),
    "epochs": (2, 6, 10),
    "variants": (1, 4, 8),
    "seeds": (1, 4, 8),
}
# Trainers at a time, and threads of each.
WORKERS = ((1, 2), (2, 1), (2, 2))


def main() -> int:
    """Measure, fit, draw."""
    parser = argparse.ArgumentParser(prog="cost", description=__doc__)
    parser.add_argument("--only", choices=("lines", "workers"))
    parser.add_argument("--rounds", type=int, default=3, help="readings of each point")
    given = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    if given.only != "workers":
        _lines(given.rounds)
    if given.only != "lines":
        _workers(given.rounds)
    return 0


def _lines(rounds: int) -> None:
    points = [(axis, value) for axis, values in AXES.items() for value in values]
    readings: dict[tuple[str, int], list[float]] = {point: [] for point in points}
    for _ in range(rounds):
        for axis, value in points:
            seconds = _say(axis, value, _run(_settings(axis, value)))
            readings[axis, value].append(seconds)
    rows = []
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    panels = figure.subplots(1, len(AXES), sharey=True)
    for axes, (axis, values) in zip(panels, AXES.items(), strict=True):
        xs = np.repeat(values, rounds)
        ys = [seconds for value in values for seconds in readings[axis, value]]
        line = linregress(xs, ys)
        per = 1000 if axis == "images" else 1
        unit = "1,000 images" if axis == "images" else axis.removesuffix("s")
        rows.append(
            [
                axis,
                f"{line.slope * per:.2f} s per {unit}",
                f"{line.intercept:.1f} s",
                f"{line.rvalue**2:.3f}",
                ", ".join(
                    f"{value:,}: {spread(readings[axis, value]).text(1, ' s')}" for value in values
                ),
            ]
        )
        axes.plot(xs, ys, "o", alpha=0.6)
        axes.plot([0, values[-1]], [line.intercept, line.intercept + line.slope * values[-1]])
        axes.set_xlabel(axis)
        axes.set_xlim(0)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))  # of counts
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylim(0)  # of all panels, once all have their points
    figure.axes[0].set_ylabel("seconds, whole command")
    figure.savefig(PICTURE, dpi=150, metadata={"Software": None})
    head = f"Base: 32 filters, max-pooling, 10,000 images, 2 epochs, 1 seed. {rounds} rounds."
    table = markdown(["grows", "slope", "intercept", "R²", "measured"], rows)
    _write("cost", f"{head} {this_machine().in_words()}.\n\n{table}")


def _workers(rounds: int) -> None:
    work = {**BASE, "filters": "16,32,64", "pooling": "max,none"}
    seconds: dict[tuple[int, int], list[float]] = {pair: [] for pair in WORKERS}
    for index in range(rounds):
        for workers, threads in rotated(WORKERS, index):
            took = _run({**work, "workers": workers, "threads": threads})
            seconds[workers, threads].append(_say("trainers", workers, took))
    rows = [
        [f"{workers} of {threads}", spread(took).text(1, " s"),
         ratios(took, seconds[WORKERS[0]]).text(2)]
        for (workers, threads), took in seconds.items()
    ]  # fmt: skip
    table = markdown(["trainers of threads", "whole sweep", "times 1 of 2"], rows)
    head = f"Six variants, 10,000 images, 2 epochs, {rounds} rounds."
    _write("workers", f"{head} {this_machine().in_words()}.\n\n{table}")


def _settings(axis: str, value: int) -> dict[str, object]:
    if axis == "images":
        return {**BASE, "train-limit": value}
    if axis == "epochs":
        return {**BASE, "epochs": value}
    if axis == "variants":
        # Equal cost: what differs is a handful of dense units.
        return {**BASE, "dense-units": ",".join(str(128 + number) for number in range(value))}
    return {**BASE, "seeds": ",".join(map(str, range(value)))}


def _run(settings: dict[str, object]) -> float:
    with tempfile.TemporaryDirectory() as home:
        words: list[str | Path] = [Path(sys.executable).parent / "cnn-pipeline", "run"]
        for name, value in settings.items():
            words += [f"--{name}", str(value)]
        return timed([*words, "--home", home, "--json"]).wall_s


def _say(axis: str, value: int, seconds: float) -> float:
    print(f"{axis} {value:,}: {seconds:.1f} s", file=sys.stderr, flush=True)
    return seconds


def _write(name: str, text: str) -> None:
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    sys.exit(main())
