"""From the runs of a race to its tables in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.contestants import OURS, TITLES
from benchmarks.tables import markdown, paired_interval, ratios, spread

Run = Mapping[str, Any]


def sweep_tables(runs: Sequence[Run]) -> str:
    """Time, memory and accuracy of each contestant against ours, and what each left behind.

    A ratio is the median over the rounds of its time by ours in the same round. An accuracy is the
    mean over the variants of a round, and over the rounds; its difference from ours is paired by
    round, which is by seed. Runs that failed count nowhere but in the column of rounds.
    """
    good = [run for run in runs if "failed" not in run]
    names = _in_order(run["contestant"] for run in runs)
    header = ["what", "rounds", "wall s", "times ours", "processor s", "peak MiB", "fit s"]
    header += ["test %", "less ours, points"]
    rows, kept = [], []
    for name in names:
        mine = [run for run in good if run["contestant"] == name]
        total = sum(run["contestant"] == name for run in runs)
        if not mine:
            rows.append([TITLES[name], f"0 of {total}", *["-"] * (len(header) - 2)])
            continue
        wall, our_wall = _pairs(good, name, lambda run: run["wall_s"])
        right, our_right = _pairs(good, name, accuracy)
        rows.append(
            [
                TITLES[name],
                f"{len(mine)} of {total}",
                spread([run["wall_s"] for run in mine]).text(),
                "1" if name == OURS else ratios(wall, our_wall).text(2) if wall else "-",
                spread([run["cpu_s"] for run in mine]).text(),
                spread([run["peak_mib"] for run in mine]).text(0),
                spread([_fit(run) for run in mine]).text(),
                f"{statistics.fmean(accuracy(run) for run in mine):.2f}",
                "-" if name == OURS or not right else paired_interval(right, our_right).text(),
            ]
        )
        left = mine[-1]["left"]
        kept.append(
            [TITLES[name]]
            + [f"{left[key]:,}" for key in ("runs", "metrics", "models", "summaries", "pictures")]
            + [f"{left['mib']:,.0f}"]
        )
    counts = ["what is left behind", "runs", "metric values", "models", "summaries", "pictures"]
    return f"{markdown(header, rows)}\n{markdown([*counts, 'MiB'], kept)}"


def training_table(runs: Sequence[Run]) -> str:
    """Training images a second of ours and of each of PyTorch's modes, and the ratio to ours."""
    speeds: dict[str, dict[int, tuple[float, float]]] = {}
    failed: dict[str, str] = {}
    for run in runs:
        for answer in run.get("variants", ()):
            title = f"{TITLES[run['contestant']]} {answer.get('mode', '')}".strip()
            if "failed" in answer:
                failed[title] = answer["failed"]
            else:
                found = (answer["images_per_second"], answer["test_accuracy"])
                speeds.setdefault(title, {})[run["round"]] = found
    ours = speeds.get(TITLES[OURS], {})
    rows = []
    for title, rounds in speeds.items():
        both = sorted(rounds.keys() & ours.keys())
        ratio = ratios([rounds[i][0] for i in both], [ours[i][0] for i in both]) if both else None
        rows.append(
            [
                title,
                str(len(rounds)),
                spread([speed for speed, _ in rounds.values()]).text(0),
                "1" if title == TITLES[OURS] else ratio.text(2) if ratio else "-",
                f"{100 * statistics.fmean(right for _, right in rounds.values()):.2f}",
            ]
        )
    rows += [[title, "0", reason, "-", "-"] for title, reason in failed.items()]
    return markdown(["what", "rounds", "images/s", "times ours", "test %"], rows)


def accuracy(run: Run) -> float:
    """Mean test accuracy of a run's variants, in percent."""
    return 100 * statistics.fmean(answer["test_accuracy"] for answer in run["variants"])


def _fit(run: Run) -> float:
    return float(sum(answer["fit_seconds"] for answer in run["variants"]))


def _pairs(
    runs: Sequence[Run], name: str, value: Callable[[Run], float]
) -> tuple[list[float], list[float]]:
    """A contestant's values and ours, of the rounds that both finished."""
    theirs = {run["round"]: value(run) for run in runs if run["contestant"] == name}
    ours = {run["round"]: value(run) for run in runs if run["contestant"] == OURS}
    both = sorted(theirs.keys() & ours.keys())
    return [theirs[index] for index in both], [ours[index] for index in both]


def _in_order(names: Iterable[str]) -> list[str]:
    """The contestants that took part, in the order of `TITLES`."""
    found = set(names)
    return [name for name in TITLES if name in found]
