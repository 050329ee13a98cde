"""The leaderboard with chosen columns."""

from __future__ import annotations

import pytest

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.comparison.chosen_columns import USUAL, chosen, to_text
from cnn_pipeline.comparison.types import Comparison
from tests.comparison.scripted import comparison, failure, outcome, right


@pytest.fixture
def found() -> Comparison:
    return comparison(
        outcome("f64-max", validation=0.91, correct=right(range(90)), macs=9e6),
        outcome("f8-max", validation=0.90, correct=right(range(80)), macs=2e5),
        outcome("f16-none", validation=0.89, correct=right(range(70)), macs=8e5),
        failure("f32-max"),
    )


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        (None, ["f64-max", "f8-max", "f16-none", "f32-max"]),
        ("macs", ["f8-max", "f16-none", "f64-max", "f32-max"]),
        ("-macs", ["f64-max", "f16-none", "f8-max", "f32-max"]),
        ("filters", ["f8-max", "f16-none", "f32-max", "f64-max"]),  # numbers, not text
        ("-label", ["f8-max", "f64-max", "f32-max", "f16-none"]),
        ("-test_accuracy", ["f16-none", "f8-max", "f64-max", "f32-max"]),
    ],
)
def test_rows_are_sorted_and_unknown_values_come_last(
    found: Comparison, sort: str | None, order: list[str]
) -> None:
    table = chosen(found, ("label",), sort)
    assert list(table.columns) == ["label"]
    assert list(table["label"]) == order


def test_unknown_columns_are_all_named(found: Comparison) -> None:
    with pytest.raises(InvalidInput) as raised:
        chosen(found, ("label", "test_acuracy", "zzz"), "-mac")
    misspelt, unknown, sort = raised.value.faults
    assert misspelt == "--columns: no column 'test_acuracy'; did you mean 'test_accuracy'?"
    assert unknown.startswith("--columns: no column 'zzz'; columns are label, filters, pooling")
    assert sort == "--sort: no column 'mac'; did you mean 'macs'?"


def test_a_column_that_is_given_twice_is_refused(found: Comparison) -> None:
    with pytest.raises(InvalidInput, match="'label' is given 2 times"):
        to_text(found, ("label", "macs", "label"), None)


def test_the_text_has_short_headings_and_percent(found: Comparison) -> None:
    lines = to_text(found, ("label", "filters", "test_accuracy", "macs"), "-macs").splitlines()
    assert [line.split() for line in lines] == [
        ["variant", "filters", "test", "%", "MACs"],
        ["f64-max", "64", "91.00", "9.0", "M"],
        ["f16-none", "16", "93.00", "800", "k"],
        ["f8-max", "8", "92.00", "200", "k"],
        ["f32-max", "32", "-", "-"],
    ]
    assert max(map(len, to_text(found, USUAL, None).splitlines())) <= 80
