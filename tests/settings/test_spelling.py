"""One spelling of a setting's value."""

import pytest

from cnn_pipeline.settings.spelling import spell
from cnn_pipeline.settings.trial import Variant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (64, "64"),
        (0.0, "0.0"),
        (1e-05, "1e-05"),
        (0.1 + 0.2, "0.30000000000000004"),
        ("max", "max"),
        (True, "true"),
        (False, "false"),
        (None, "none"),
        ((32, 64), "32-64"),
        ([32, 64], "32-64"),
        ((64, 64), "64"),
        ("32-64", "32-64"),
        ("True", "true"),
        ("None", "none"),
        (Variant().filters, "64"),
    ],
)
def test_a_value_has_one_spelling(value: object, text: str) -> None:
    assert spell(value) == text
