"""Parsing single values."""

import pytest

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.cli.options import choice, whole


def test_a_whole_number_within_its_bounds() -> None:
    assert whole("--port", "1", 5000, 1, 65_535) == 1
    assert whole("--port", "65535", 5000, 1, 65_535) == 65_535
    assert whole("--port", None, 5000, 1, 65_535) == 5000


@pytest.mark.parametrize("text", ["0", "65536", "", "x", "1.0", "1_0", "true", "٣", "9" * 5000])
def test_any_other_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="--port: must be"):
        whole("--port", text, 5000, 1, 65_535)


def test_one_of_some_words() -> None:
    assert choice("--format", "csv", ("table", "csv")) == "csv"
    with pytest.raises(InvalidInput) as error:
        choice("--format", "cvs", ("table", "csv", "json"))
    assert error.value.faults == (
        "--format: must be table, csv or json, received 'cvs'; did you mean 'csv'?",
    )
