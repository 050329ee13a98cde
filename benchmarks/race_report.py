"""The tables of a race, from its runs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.contestants import OURS, TITLES
from benchmarks.report import markdown, ratios, spread
from cnn_pipeline.comparison.statistics import t_interval

Run = Mapping[str, Any]


def sweep_table(runs: Sequence[Run]) -> str:
    """Time, memory and accuracy of each contestant, and its ratio to ours.

    A ratio is the median over rounds of its time divided by ours in the same round. An accuracy is
    the mean over variants and rounds; its difference from ours is paired by round, hence by seed.
    A failed run counts in the column of rounds only.
    """
    header = ["what", "rounds", "wall s", "times ours", "processor s", "peak MiB", "fit s"]
    header += ["test %", "less ours, points"]
    rows = []
    for name in TITLES:
        all_of_it = [run for run in runs if run["contestant"] == name]
        good = [run for run in all_of_it if "failed" not in run]
        rounds = f"{len(good)} of {len(all_of_it)}"
        if all_of_it and not good:
            rows.append([TITLES[name], rounds, *["-"] * (len(header) - 2)])
        elif good:
            wall = _beside_ours(runs, name, lambda run: run["wall_s"])
            points = [theirs - ours for theirs, ours in _beside_ours(runs, name, _accuracy)]
            rows.append(
                [
                    TITLES[name],
                    rounds,
                    spread([run["wall_s"] for run in good]).text(),
                    "1"
                    if name == OURS
                    else ratios(*zip(*wall, strict=True)).text(2)
                    if wall
                    else "-",
                    spread([run["cpu_s"] for run in good]).text(),
                    spread([run["peak_mib"] for run in good]).text(0),
                    spread([_fit_seconds(run) for run in good]).text(),
                    f"{statistics.fmean(map(_accuracy, good)):.2f}",
                    _difference(points) if name != OURS and points else "-",
                ]
            )
    return markdown(header, rows)


def training_table(runs: Sequence[Run]) -> str:
    """Images a second of our training and of each of PyTorch's modes, and the ratio to ours."""
    found: dict[str, dict[int, Run]] = {}
    failed: dict[str, str] = {}
    for run in runs:
        for answer in run.get("variants", ()):
            title = f"{TITLES[run['contestant']]} {answer.get('mode', '')}".strip()
            if "failed" in answer:
                failed[title] = answer["failed"]
            else:
                found.setdefault(title, {})[run["round"]] = answer
    ours = found.get(TITLES[OURS], {})
    rows = []
    for title, answers in found.items():
        speeds = {index: answer["images_per_second"] for index, answer in answers.items()}
        both = [index for index in speeds if index in ours]
        ratio = [speeds[index] / ours[index]["images_per_second"] for index in both]
        rows.append(
            [
                title,
                str(len(answers)),
                spread([*speeds.values()]).text(0),
                "1" if title == TITLES[OURS] else spread(ratio).text(2) if ratio else "-",
                f"{100 * statistics.fmean(each['test_accuracy'] for each in answers.values()):.2f}",
            ]
        )
    rows += [[title, "0", reason, "-", "-"] for title, reason in failed.items()]
    return markdown(["what", "rounds", "images/s", "times ours", "test %"], rows)


def _beside_ours(
    runs: Sequence[Run], name: str, value: Callable[[Run], float]
) -> list[tuple[float, float]]:
    """A contestant's value and ours, for each round that both finished."""
    of = {(run["contestant"], run["round"]): value(run) for run in runs if "failed" not in run}
    return [
        (of[name, index], of[OURS, index])
        for index in sorted({run["round"] for run in runs})
        if (name, index) in of and (OURS, index) in of
    ]


def _difference(points: Sequence[float]) -> str:
    """'+0.12 (95 % -0.05 to +0.29)'; without the interval where it has none."""
    middle = f"{statistics.fmean(points):+.2f}"
    interval = t_interval(points)
    return f"{middle} (95 % {interval.low:+.2f} to {interval.high:+.2f})" if interval else middle


def _accuracy(run: Run) -> float:
    """Mean test accuracy of a run's variants, in percent."""
    return 100 * statistics.fmean(answer["test_accuracy"] for answer in run["variants"])


def _fit_seconds(run: Run) -> float:
    return float(sum(answer["fit_seconds"] for answer in run["variants"]))
