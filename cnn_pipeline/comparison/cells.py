"""The tables of a comparison as text, for every output."""

from __future__ import annotations

from cnn_pipeline.base.quantities import UNKNOWN, duration, percent, signed
from cnn_pipeline.comparison import numbers, scope
from cnn_pipeline.comparison.forest import change_text
from cnn_pipeline.comparison.setting_names import axis_title, expectation_text
from cnn_pipeline.comparison.types import Comparison, Difference, Effect, Row

SHORT_HEADER = (
    "#",
    "variant",
    "test (95 %)",
    "points behind (95 %)",
    "parameters",
    "MACs",
    "training",
    "validation",
    "seeds",
    "remarks",
)


def short_table(comparison: Comparison) -> list[tuple[str, ...]]:
    """The leaderboard of the first screen as text, under `SHORT_HEADER`."""
    return [
        (
            rank_text(row),
            row.label,
            numbers.percent_with_interval(row.test_accuracy, row.test_interval),
            behind(comparison, row),
            numbers.scaled(row.num_params),
            numbers.scaled(row.macs),
            duration(row.train_seconds),
            percent(row.validation_accuracy, 2),
            str(len(row.seeds)),
            remarks(row),
        )
        for row in comparison.rows
    ]


def behind_note(comparison: Comparison) -> str:
    """What the column 'points behind' means."""
    measure = scope.measure(comparison.sweep)
    return f"Points behind: test {measure} of the first minus that of the variant."


def behind(comparison: Comparison, row: Row) -> str:
    """'0.77 (0.36 to 1.18)', percentage points of the metric on test; empty for the first."""
    for found in comparison.pairwise:
        if found.against == row.label and found.estimate is not None:
            text = f"{100 * found.estimate:.2f}"
            if found.interval is None:
                return text
            return f"{text} ({100 * found.interval.low:.2f} to {100 * found.interval.high:.2f})"
    return "" if row.rank == 1 else UNKNOWN


LEADERBOARD_HEADER = (
    "#",
    "variant",
    "seeds",
    "validation",
    "test (95 % interval)",
    "parameters",
    "MACs",
    "training",
    "images/s",
    "ms/image, batch 1",
    "ms/image, batch 256",
    "model",
    "remarks",
)


def leaderboard_table(comparison: Comparison) -> list[tuple[str, ...]]:
    """The leaderboard as text, under `LEADERBOARD_HEADER`."""
    return [
        (
            rank_text(row),
            row.label,
            str(len(row.seeds)),
            _with_spread(row.validation_accuracy, row.validation_spread),
            numbers.percent_with_interval(row.test_accuracy, row.test_interval),
            numbers.count(row.num_params),
            numbers.scaled(row.macs),
            duration(row.train_seconds),
            numbers.count(row.images_per_second),
            numbers.milliseconds(row.latency_ms),
            numbers.milliseconds(row.latency_ms_batch_256),
            numbers.scaled(row.model_bytes, "B"),
            remarks(row),
        )
        for row in comparison.rows
    ]


def rank_text(row: Row) -> str:
    """The rank, with a star for a variant that may still be best: '1*'."""
    if row.rank is None:
        return UNKNOWN
    return f"{row.rank}*" if row.may_be_best else str(row.rank)


def remarks(row: Row) -> str:
    """Why a row is not ranked, or which seeds failed; empty if none did."""
    return f"{row.status}: {row.reason}" if row.reason else ""


def effect_header(comparison: Comparison) -> tuple[str, ...]:
    """The header of `effect_table`."""
    return (
        "setting",
        "change",
        f"test {scope.measure(comparison.sweep)}, points (95 % interval)",
        "pairs",
        "parameters",
        "MACs",
        "training time",
    )


def effect_table(comparison: Comparison) -> list[tuple[str, ...]]:
    """The effects of every setting against its reference level, under `effect_header`.

    Where a setting interacts with another, its simple effects come first.
    """
    return [
        (
            axis_title(axis.axis),
            change_text(effect),
            effect_text(effect),
            str(len(effect.pairs)),
            numbers.ratio(effect.params_ratio),
            numbers.ratio(effect.macs_ratio),
            numbers.ratio(effect.seconds_ratio),
        )
        for axis in comparison.axes
        for effect in (*axis.simple, *axis.effects)
    ]


def effect_text(effect: Effect) -> str:
    """'-1.20 (-1.60 to -0.80)', or 'not estimable'."""
    if not effect.pairs:
        return "not estimable"
    if effect.interval is None:
        return f"{signed(effect.estimate)} (no interval: {effect.reason})"
    return f"{signed(effect.estimate)} ({numbers.signed_range(effect.interval)})"


PAIRWISE_HEADER = ("against", "difference, points (95 % interval)", "significant", "speaks about")


def pairwise_cells(difference: Difference) -> tuple[str, ...]:
    """One comparison with the chosen variant as text, under `PAIRWISE_HEADER`."""
    text = signed(difference.estimate)
    if difference.interval:
        text += f" ({numbers.signed_range(difference.interval)})"
    meaning = {"models": "these two networks", "recipes": "the recipes"}
    return (
        difference.against,
        text,
        "no test" if difference.interval is None else "yes" if difference.significant else "no",
        meaning.get(difference.basis, difference.reason),
    )


EXPECTATION_HEADER = ("variant", "expected", "measured", "outcome")


def expectation_table(comparison: Comparison) -> list[tuple[str, ...]]:
    """Every expectation as text, under `EXPECTATION_HEADER`."""
    return [
        (
            check.label,
            expectation_text(check.expected),
            check.measured,
            f"{check.outcome}: {check.reason}" if check.reason else check.outcome,
        )
        for check in comparison.expectations
    ]


def _with_spread(share: float | None, spread: float | None) -> str:
    text = percent(share, 2)
    return text if spread is None else f"{text} (s.d. {100 * spread:.2f})"
