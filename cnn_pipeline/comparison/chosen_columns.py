"""The leaderboard with chosen columns, in a chosen order."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from cnn_pipeline.base.errors import InvalidInput, did_you_mean
from cnn_pipeline.base.quantities import MOST, UNKNOWN, percent
from cnn_pipeline.comparison import numbers
from cnn_pipeline.comparison.layout import text_table
from cnn_pipeline.comparison.leaderboard import leaderboard
from cnn_pipeline.comparison.types import Comparison

USUAL = (
    "rank", "label", "validation_accuracy", "test_accuracy",
    "num_params", "macs", "train_seconds", "latency_ms",
)  # fmt: skip
# Headings of columns whose name is long; shares are shown in percent.
_HEADINGS = {
    "rank": "#", "label": "variant", "validation_accuracy": "val %", "test_accuracy": "test %",
    "test_low": "low %", "test_high": "high %", "validation_spread": "val s.d. %",
    "test_spread": "test s.d. %", "num_params": "params", "macs": "MACs",
    "train_seconds": "train s", "images_per_second": "images/s", "latency_ms": "ms/img",
    "latency_ms_batch_256": "ms/img at 256", "model_bytes": "bytes",
}  # fmt: skip
_SHARES = {"validation_accuracy", "test_accuracy", "test_low", "test_high"}
_SPREADS = {"validation_spread", "test_spread"}
_SCALED = {"num_params", "macs", "model_bytes"}


def chosen(comparison: Comparison, columns: Sequence[str], sort: str | None) -> pd.DataFrame:
    """The leaderboard's table of numbers, reduced and sorted.

    Args:
        comparison: the sweep's comparison.
        columns: names of `leaderboard`'s columns, in their order.
        sort: the column to sort by, the smallest value first; after a hyphen, the largest. Unknown
            values come last. None keeps the order of the ranks.

    Raises:
        InvalidInput: a column does not exist or is given twice; names all such columns.
    """
    frame = leaderboard(comparison)
    known = list(map(str, frame.columns))
    wanted = [("--columns", name) for name in columns]
    by = sort.removeprefix("-") if sort is not None else None
    if by is not None:
        wanted.append(("--sort", by))
    all_of_them = f"; columns are {', '.join(known)}"
    faults = [
        f"{flag}: no column {name!r}{did_you_mean(name, known) or all_of_them}"
        for flag, name in wanted
        if name not in known
    ]
    faults += [
        f"--columns: {name!r} is given {columns.count(name)} times; name it once"
        for name in dict.fromkeys(columns)
        if columns.count(name) > 1
    ]
    if faults:
        raise InvalidInput(faults)
    if by is not None and sort is not None:
        values = pd.to_numeric(frame[by], errors="coerce")
        order = (values if values.notna().any() else frame[by]).sort_values(
            ascending=not sort.startswith("-"), kind="stable", na_position="last"
        )
        frame = frame.loc[order.index]
    return frame[list(columns)]


def to_text(
    comparison: Comparison, columns: Sequence[str], sort: str | None, *, whole: bool = False
) -> str:
    """The chosen columns as plain text, accuracies in percent; of many rows the first, or all."""
    frame = chosen(comparison, columns, sort)
    left_out = 0 if whole else max(0, len(frame) - MOST)
    frame = frame.head(len(frame) - left_out)
    rows = [
        [_cell(name, value) for name, value in zip(columns, line, strict=True)]
        for line in frame.astype(object).where(frame.notna(), None).itertuples(index=False)
    ]
    aligned = ["<" if _is_text(frame[name]) else ">" for name in columns]
    wide = columns.index("label") if "label" in columns else 0
    table = text_table([_HEADINGS.get(name, name) for name in columns], rows, aligned, wide=wide)
    more = f"and {left_out:,} more: `compare --all`, or `--format csv`\n" if left_out else ""
    return f"{table}\n{more}"


def _is_text(column: pd.Series) -> bool:
    return pd.api.types.is_string_dtype(column) or pd.api.types.is_object_dtype(column)


def _cell(name: str, value: object) -> str:
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, str | bool):
        return str(value)
    number = float(str(value))
    if name in _SHARES:
        return percent(number, 2).removesuffix(" %")
    if name in _SPREADS:
        return f"{100 * number:.2f}"
    if name in _SCALED:
        return numbers.scaled(number)
    return f"{number:.4g}"
