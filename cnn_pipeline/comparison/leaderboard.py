"""The leaderboard: one row per variant, ranked by validation accuracy."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cnn_pipeline.base import metric_names
from cnn_pipeline.comparison.evidence import Evidence
from cnn_pipeline.comparison.numbers import in_words
from cnn_pipeline.comparison.statistics import Interval, wilson_interval
from cnn_pipeline.comparison.types import Comparison, Row
from cnn_pipeline.comparison.variants import VariantTrials, ranked


def leaderboard_rows(
    evidence: Evidence, num_test: int, margin: float | None = None
) -> tuple[Row, ...]:
    """Rows of all variants: first the ranked ones, in the order of `variants.ranked`.

    With a `margin`, in percentage points, it is also said which recipes may be the best one, and
    which are within the margin of it.
    """
    variants = evidence.variants.values()
    order = ranked(variants, same_seeds=evidence.answers.same_seeds)
    rows = [_row(variant, evidence, num_test) for variant in order]
    costs = [cost for row in rows if (cost := _cost_and_error(row)) is not None]
    others = [_row(one, evidence, num_test) for one in variants if one.validation is None]
    best = {} if margin is None else evidence.may_be_best()
    within = {} if margin is None else evidence.within(margin / 100)
    return (
        *(
            dataclasses.replace(
                row,
                rank=rank,
                may_be_best=best.get(row.label),
                within_margin=within.get(row.label),
                efficient=_efficient(row, costs),
            )
            for rank, row in enumerate(rows, start=1)
        ),
        *others,
    )


def leaderboard(comparison: Comparison) -> pd.DataFrame:
    """The leaderboard as a table of numbers; accuracies are from 0 to 1.

    The columns are the label, each setting, and the fields of `Row`, with the interval as
    `test_low` and `test_high` and lists as text.
    """
    settings = list(dict.fromkeys(name for row in comparison.rows for name in row.params))
    records = []
    for row in comparison.rows:
        record = {
            field.name: getattr(row, field.name)
            for field in dataclasses.fields(row)
            if field.name not in ("label", "params", "test_interval", "run_ids")
        }
        record["seeds"] = " ".join(map(str, row.seeds))
        record["failed_seeds"] = " ".join(map(str, row.failed_seeds))
        record["test_low"] = row.test_interval.low if row.test_interval else None
        record["test_high"] = row.test_interval.high if row.test_interval else None
        record["run_ids"] = " ".join(row.run_ids)
        records.append(
            {"label": row.label, **{name: row.params.get(name) for name in settings}, **record}
        )
    frame = pd.DataFrame.from_records(records)
    for name in ("rank", metric_names.NUM_PARAMS, metric_names.MACS, metric_names.MODEL_BYTES):
        if name in frame:
            frame[name] = pd.to_numeric(frame[name]).round().astype("Int64")
    for name in (metric_names.MAY_BE_BEST, "within_margin", "efficient"):
        if name in frame:
            frame[name] = frame[name].astype("boolean")
    return frame


def _row(variant: VariantTrials, evidence: Evidence, num_test: int) -> Row:
    tests = [trial.test for trial in variant.trials if trial.test is not None]
    return Row(
        label=variant.label,
        rank=None,
        status=_status(variant),
        reason=_reason(variant),
        params=variant.fields,
        run_ids=variant.run_ids,
        seeds=variant.seeds,
        failed_seeds=tuple(fault.seed for fault in variant.faults),
        validation_accuracy=variant.validation,
        validation_spread=_spread([trial.validation for trial in variant.trials]),
        test_accuracy=variant.test,
        test_spread=_spread(tests),
        test_interval=_test_interval(variant, evidence, num_test),
        num_params=variant.mean(metric_names.NUM_PARAMS),
        macs=variant.mean(metric_names.MACS),
        train_seconds=variant.mean(metric_names.TRAIN_SECONDS),
        images_per_second=variant.mean(metric_names.IMAGES_PER_SECOND),
        latency_ms=variant.mean(metric_names.LATENCY_MS),
        latency_ms_batch_256=variant.mean(metric_names.LATENCY_MS_BATCH_256),
        model_bytes=variant.mean(metric_names.MODEL_BYTES),
    )


def _status(variant: VariantTrials) -> str:
    if not variant.faults:
        return "FINISHED"
    if variant.trials:
        return "PARTIAL"
    return "KILLED" if all(f.status == "KILLED" for f in variant.faults) else "FAILED"


def _reason(variant: VariantTrials) -> str:
    if not variant.faults:
        return ""
    total = len(variant.trials) + len(variant.faults)
    if total == 1:
        return variant.faults[0].reason
    reasons: dict[str, list[str]] = {}
    for fault in variant.faults:
        reasons.setdefault(fault.reason, []).append(str(fault.seed))
    listed = "; ".join(f"seed {in_words(seeds)}: {reason}" for reason, seeds in reasons.items())
    return f"{len(variant.faults)} of {total} seeds failed ({listed})"


def _spread(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _test_interval(variant: VariantTrials, evidence: Evidence, num_test: int) -> Interval | None:
    tests = [trial.test for trial in variant.trials if trial.test is not None]
    if len(tests) == 1:
        if evidence.weights is None:
            return wilson_interval(round(tests[0] * num_test), num_test)
        known = next(trial for trial in variant.trials if trial.test is not None)
        return evidence.weights.interval(tests[0], known.correct)
    return evidence.recipe(variant.label) if tests else None


def _efficient(row: Row, costs: Sequence[tuple[float, float, float]]) -> bool | None:
    """Whether none of the known `costs` beats its own; None if its own are unknown."""
    ours = _cost_and_error(row)
    if ours is None:
        return None
    error, params, macs = ours
    return not any(
        theirs[0] <= error and theirs[1] <= params and theirs[2] <= macs and theirs != ours
        for theirs in costs
    )


def _cost_and_error(row: Row) -> tuple[float, float, float] | None:
    if row.validation_accuracy is None or row.num_params is None or row.macs is None:
        return None
    return (-row.validation_accuracy, row.num_params, row.macs)
