"""The verdict on a table of runs, whoever made them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.errors import InvalidInput, did_you_mean
from cnn_pipeline.comparison.compare import compare
from cnn_pipeline.comparison.types import Comparison, RunsInfo, SweepInfo
from cnn_pipeline.comparison.variants import level_of
from cnn_pipeline.network.results import TrialResult

__all__ = ["verdict"]

RANKINGS = (metric_names.VAL_ACCURACY_FINAL, metric_names.VAL_ACCURACY)
"""Columns that rank the groups, the first that every run has."""
COSTS = (
    metric_names.NUM_PARAMS,
    metric_names.MACS,
    metric_names.TRAIN_SECONDS,
    metric_names.IMAGES_PER_SECOND,
    metric_names.LATENCY_MS,
    metric_names.LATENCY_MS_BATCH_256,
    metric_names.MODEL_BYTES,
)
"""Columns that are shown beside the accuracies, where a table has them."""
RUN_ID = "run_id"
_MOST_NAMED = 5
_FEWEST_SHARED = 2  # seeds without which there is no spread between runs of the same seed


def verdict(
    table: pd.DataFrame,
    *,
    group_by: str | Sequence[str],
    metric: str = metric_names.TEST_ACCURACY,
    rank_by: str | None = None,
    seed: str = "seed",
    correct: NDArray[np.bool_] | None = None,
    name: str = "",
) -> Comparison:
    """Compare groups of runs: which is better, by how much, and how sure that is.

    Args:
        table: one row per finished run. Its index names the runs in messages. A column `run_id` is
            kept in the result, if there is one.
        group_by: columns whose values make a group. Runs of one group differ by chance alone.
        metric: column with each run's accuracy on the test images, a share from 0 to 1.
        rank_by: column with each run's accuracy on other images, which ranks the groups. By default
            `val_accuracy_final` or `val_accuracy` if every run has one, else `metric` itself.
        seed: column with each run's seed. Where all groups share two seeds or more, and half of
            each group's, runs of the same seed are compared with each other, and those without a
            counterpart do not count; else all runs are independent.
        correct: bool `[rows, n]`: which of n test images each run gets right, the rows as in
            `table`. Without it, nothing is said about new images.
        name: name of the whole, such as that of an experiment, for the text.

    Returns:
        The comparison. `str()` of it is the verdict as text.

    Raises:
        InvalidInput: a column is missing, there are fewer than two groups, a group has one run or
            two of one seed, or values are no accuracies; names all faults.
    """
    settings = (group_by,) if isinstance(group_by, str) else tuple(group_by)
    faults = _missing_columns(table, {"group_by": settings, "metric": (metric,)}, rank_by)
    if correct is not None and (correct.dtype != np.bool_ or correct.shape[:1] != (len(table),)):
        faults.append(
            f"correct must be bool [{len(table)}, n], one row per run, received {correct.dtype} "
            f"{list(correct.shape)}"
        )
    if faults:
        raise InvalidInput(faults)
    ranking = rank_by or _ranking(table, settings, metric)
    frame, answers, notes = _usable(table, settings, metric, ranking, correct)
    labels = frame.apply(lambda row: _label(row, settings), axis=1) if len(frame) else frame.index
    frame = frame.assign(_label=labels)
    seeds, repeated = _shared_seeds(frame, seed)
    faults = [
        *_group_faults(frame, settings),
        *repeated,
        *(fault for one in dict.fromkeys((metric, ranking)) for fault in _no_shares(frame, one)),
    ]
    if not faults and answers is not None:
        faults = _other_metric(frame, metric, answers)
    if faults:
        raise InvalidInput(faults)
    info = RunsInfo(
        settings=settings,
        metric=metric,
        ranked_by=ranking,
        runs=len(frame),
        same_seeds=seeds is not None,
    )
    results = _results(frame, info, seeds)
    found = compare(
        results,
        {}
        if answers is None
        else {result.name: row for result, row in zip(results, answers, strict=True)},
        num_validation=0,
        sweep=SweepInfo(
            sweep_id="",
            name=name,
            dataset="",
            num_test=0 if answers is None else answers.shape[1],
            runs=info,
        ),
    )
    if ranking == metric:
        found = _without_validation(found)
    return dataclasses.replace(found, notes=(*found.notes, *notes))


def _without_validation(found: Comparison) -> Comparison:
    """Take out the validation accuracies, which are those on the test images once more."""
    rows = (
        dataclasses.replace(row, validation_accuracy=None, validation_spread=None)
        for row in found.rows
    )
    return dataclasses.replace(found, rows=tuple(rows))


def named(names: Iterable[object]) -> str:
    """'a, b, c, d, e and 3 more'."""
    known = list(map(str, names))
    more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
    return ", ".join(known[:_MOST_NAMED]) + more


def _ranking(table: pd.DataFrame, settings: Sequence[str], metric: str) -> str:
    usable = table[[*settings, metric]].notna().all(axis=1)
    known = (one for one in RANKINGS if one in table and one != metric)
    return next((one for one in known if table.loc[usable, one].notna().all()), metric)


def _missing_columns(
    table: pd.DataFrame, wanted: dict[str, tuple[str, ...]], rank_by: str | None
) -> list[str]:
    known = list(map(str, table.columns))
    asked = {**wanted, "rank_by": () if rank_by is None else (rank_by,)}
    faults = [
        f"{argument}: no column {column!r}"
        + (did_you_mean(column, known) or f"; columns are {', '.join(known)}")
        for argument, columns in asked.items()
        for column in columns
        if column not in known
    ]
    if not wanted["group_by"]:
        faults.append("group_by: needs one column or more, received none")
    return faults


def _usable(
    table: pd.DataFrame,
    settings: Sequence[str],
    metric: str,
    ranking: str,
    correct: NDArray[np.bool_] | None,
) -> tuple[pd.DataFrame, NDArray[np.bool_] | None, list[str]]:
    """The rows that have every value, their answers, and notes on the others."""
    needed = list(dict.fromkeys((*settings, metric, ranking)))
    whole = table[needed].notna().all(axis=1)
    notes = []
    for column in needed:
        without = list(table.index[table[column].isna()])
        if without:
            notes.append(f"Left out, because they have no {column}: {named(without)}.")
    kept = whole.to_numpy()
    return table.loc[kept], None if correct is None else correct[kept], notes


def _label(row: pd.Series, settings: Sequence[str]) -> str:
    """'filters=64 pooling=max'."""
    return " ".join(f"{name}={_level(row[name])}" for name in settings)


def _level(value: Any) -> str:
    return level_of(value.item() if isinstance(value, np.generic) else value)


def _shared_seeds(frame: pd.DataFrame, seed: str) -> tuple[pd.Series | None, list[str]]:
    """The seed of each run as a number, None if the groups share none; and faults."""
    if seed not in frame or frame[seed].isna().any():
        return None, []
    seeds = frame[seed].map(_level)
    twice = frame.assign(_seed=seeds).groupby(["_label", "_seed"], sort=False)
    faults = [
        f"each run of a group needs a seed of its own; {label} has {len(runs)} of seed {found}: "
        f"{named(runs.index)}. Group by what they differ in, or leave the older ones out"
        for (label, found), runs in twice
        if len(runs) > 1
    ]
    by_group = [set(group) for _, group in seeds.groupby(frame["_label"])]
    if not by_group:
        return None, faults
    shared, most = len(set.intersection(*by_group)), max(map(len, by_group))
    if shared < max(_FEWEST_SHARED, most / 2):
        return None, faults
    numbered = {text: number for number, text in enumerate(sorted(set(seeds)))}
    whole = all(text.isdecimal() for text in numbered)
    return seeds.map(int if whole else numbered.get), faults


def _group_faults(frame: pd.DataFrame, settings: Sequence[str]) -> list[str]:
    sizes = frame["_label"].value_counts(sort=False)
    what = ", ".join(settings)
    if len(sizes) < 2:
        has = f"one: {sizes.index[0]}" if len(sizes) else "none"
        return [f"two groups or more are needed to compare; by {what} there is {has}"]
    alone = list(sizes.index[sizes == 1])
    if not alone:
        return []
    return [
        f"each group needs two runs or more, because one shows no spread; by {what} these have one:"
        f" {named(alone)}. Run them again with other seeds, or group by fewer"
    ]


def _no_shares(frame: pd.DataFrame, column: str) -> list[str]:
    numbers = pd.to_numeric(frame[column], errors="coerce")
    wrong = frame.loc[~numbers.between(0, 1)]
    if wrong.empty:
        return []
    percent = " (are they percentages? divide by 100)" if numbers.max() <= 100 else ""
    return [
        f"{column} must be an accuracy, a share from 0 to 1, received {wrong[column].iloc[0]!r} "
        f"in {named(wrong.index)}{percent}"
    ]


def _other_metric(frame: pd.DataFrame, metric: str, answers: NDArray[np.bool_]) -> list[str]:
    """A fault if the answers do not give the metric, within half an image."""
    counted = answers.mean(axis=1)
    wrong = (frame[metric].astype(float) - counted).abs() > 0.5 / answers.shape[1]
    if not wrong.any():
        return []
    first = int(np.argmax(wrong))
    return [
        f"predictions must be of the images that {metric} is about; in {named(frame.index[wrong])}"
        f" they give another accuracy: {counted[first]:.4f} in the first, where {metric} is "
        f"{float(frame[metric].iloc[first]):.4f}"
    ]


def _results(frame: pd.DataFrame, info: RunsInfo, seeds: pd.Series | None) -> list[TrialResult]:
    numbers = frame.groupby("_label").cumcount() if seeds is None else seeds
    measured = {
        metric_names.TEST_ACCURACY: info.metric,
        metric_names.VAL_ACCURACY_FINAL: info.ranked_by,
        **{name: name for name in COSTS if name in frame},
    }
    return [
        TrialResult(
            name=f"{row['_label']} s{number}",
            label=row["_label"],
            seed=int(number),
            run_id=str(row.get(RUN_ID, index)),
            status="FINISHED",
            params={name: _level(row[name]) for name in info.settings},
            metrics={
                name: float(row[column])
                for name, column in measured.items()
                if _is_number(row[column])
            },
        )
        for (index, row), number in zip(frame.iterrows(), numbers, strict=True)
    ]


def _is_number(value: object) -> bool:
    try:
        return math.isfinite(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
