"""Text, Markdown, CSV, JSON and numbers."""

from __future__ import annotations

import dataclasses
import io
import json
import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ConfigDict, TypeAdapter

from cnn_pipeline.comparison import numbers
from cnn_pipeline.comparison.render import to_csv, to_json, to_markdown, to_text
from cnn_pipeline.comparison.statistics import Interval
from cnn_pipeline.comparison.types import Comparison, Expected
from tests.comparison.scripted import clear_grid, comparison, failure, outcome, right


@pytest.fixture(scope="module")
def whole():
    """A comparison in which every table has something."""
    return comparison(
        *clear_grid(),
        failure("f32-max", reason="killed | by *hand*"),
        outcome("f8-max", validation=0.5, test_accuracy=0.7),
        baseline="f64-max",
        description="Which filters?",
        expectations={"f16-max": (Expected("test_accuracy", "lower", "f64-max"),)},
    )


def test_the_text_of_a_leaderboard():
    text = to_text(comparison(*clear_grid()[:2], baseline="f64-max"))
    lines = text.splitlines()
    assert lines[0] == "Sweep 20260102-030405-abcd (filters-and-pooling) on fashion-mnist"
    start = lines.index("Leaderboard")
    assert lines[start + 2 : start + 5] == [
        "    variant   val %     test % (95 %)  params    MACs  train s  ms/img",
        "1*  f64-max   93.00  95.0 (93.5-96.2)   4,000  40.0 k       20    0.42",
        " 2  f64-none  91.00  91.0 (89.1-92.6)  80,000   200 k       20    0.42",
    ]
    start = lines.index("Main effects, over pairs that differ in nothing else")
    # 40 losses of 1,000: -41 / 1002 + 1 / 1002, half width 1.243.
    assert " ".join(lines[start + 3].split()) == (
        "max-pooling -> no pooling -4.00 (-5.24 to -2.75) 20.0x 5.00x 1.00x"
    )


def test_the_text_has_every_part(whole):
    text = to_text(whole)
    for heading in ("Leaderboard", "Not ranked", "Verdict", "Expectations", "Notes"):
        assert f"\n{heading}\n{'-' * len(heading)}\n" in text
    assert "- f32-max: FAILED: killed | by *hand*" in text
    assert "- f16-max: lower test accuracy than f64-max? Held. Measured: -8.00 points" in text
    assert text.isascii()


large = st.floats(0, 1e15) | st.just(math.nan)


@settings(deadline=None, max_examples=60)
@given(
    labels=st.lists(
        st.from_regex(r"[a-z0-9][a-z0-9_-]{0,47}", fullmatch=True),
        min_size=1,
        max_size=4,
        unique=True,
    ),
    costs=st.tuples(large, large, large, large),
    seeds=st.integers(1, 2),
)
def test_the_text_fits_80_columns(labels, costs, seeds):
    names = ("num_params", "macs", "train_seconds", "latency_ms")
    found = comparison(
        *(
            outcome(
                label,
                seed=seed,
                correct=right(range(i + seed)),
                settings={"filters": f"{i + 1}-1024-1024-1024"},
                **dict(zip(names, costs, strict=True)),
            )
            for seed in range(seeds)
            for i, label in enumerate(labels)
        )
    )
    text = to_text(found)
    assert max(map(len, text.splitlines())) <= 80
    assert all(label in text for label in labels)


def test_markdown_is_escaped_and_whole(whole):
    text = to_markdown(whole)
    assert text.startswith("## filters-and-pooling on fashion-mnist\n\nWhich filters?\n\n**")
    assert "| 1\\* | f64-max | 1 | 93.00 % | 95.0 % (93.5-96.2) | 4,000 | 40.0 k | 20 s |" in text
    assert "FAILED: killed \\| by \\*hand\\*" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    widths = {line.replace("\\|", "").count("|") for line in tables}
    assert widths == {14, 8, 5}


def test_csv_is_read_back(whole):
    frame = pd.read_csv(io.StringIO(to_csv(whole)))
    assert list(frame["label"]) == [row.label for row in whole.rows]
    assert frame["test_accuracy"][0] == whole.rows[0].test_accuracy
    assert frame["num_params"][0] == 4000


STRICT = ConfigDict(extra="forbid", strict=True)
JSON: TypeAdapter[Comparison | None] = TypeAdapter(Comparison | None, config=STRICT)


def test_json_is_read_back_equal(whole):
    assert JSON.validate_json(to_json(whole)) == whole


def test_the_keys_of_json_stay(whole):
    """Files of earlier sweeps and scripts of users have them."""
    data = json.loads(to_json(whole))
    assert data["verdict"]["chosen"] == "f64-max"
    assert {name: sorted(keys) for name, keys in keys_of(data).items()} == {
        name: sorted(keys.split()) for name, keys in KEYS.items()
    }


KEYS = {
    "": "sweep num_validation rows pairwise axes expectations verdict faults notes",
    "sweep": "sweep_id name dataset num_test description baseline expectations",
    "sweep.expectations.f16-max": "metric direction against",
    "rows": "label rank status reason params run_ids seeds failed_seeds validation_accuracy "
    "validation_spread test_accuracy test_spread test_interval num_params macs train_seconds "
    "images_per_second latency_ms latency_ms_batch_256 model_bytes efficient",
    "rows.test_interval": "low high",
    "pairwise": "label against basis estimate interval p_value p_corrected wins losses seeds "
    "reason",
    "pairwise.interval": "low high",
    "axes": "axis reference levels effects leader contrasts",
    "axes.effects": "axis level against basis pairs seeds estimate interval p_value p_corrected "
    "validation params_ratio macs_ratio seconds_ratio reason",
    "axes.effects.interval": "low high",
    "axes.effects.pairs": "label against difference",
    "axes.contrasts": "axis level against basis pairs seeds estimate interval p_value "
    "p_corrected validation params_ratio macs_ratio seconds_ratio reason",
    "axes.contrasts.interval": "low high",
    "axes.contrasts.pairs": "label against difference",
    "expectations": "label expected outcome measured reason difference ratio",
    "expectations.expected": "metric direction against",
    "expectations.difference": "label against basis estimate interval p_value p_corrected wins "
    "losses seeds reason",
    "expectations.difference.interval": "low high",
    "faults": "name label seed status reason",
    "verdict": "headline sentences basis chosen better_than worse_than indistinguishable "
    "untested cheapest",
}


def keys_of(value, path=""):
    """The keys of each object in parsed JSON, by its path without the positions of lists."""
    found = {}
    if isinstance(value, dict):
        if path not in ("rows.params", "sweep.expectations"):  # their keys are settings and labels
            found[path] = set(value)
        for key, item in value.items():
            found |= keys_of(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for item in value:
            for inner, keys in keys_of(item, path).items():
                found[inner] = found.get(inner, set()) | keys
    return found


def test_json_of_nan_metrics_is_strict():
    found = comparison(outcome("f64-max", macs=math.nan, latency_ms=math.inf))
    assert json.loads(to_json(found))["rows"][0]["macs"] is None


def test_every_format_takes_a_comparison_without_any_trial():
    found = comparison()
    assert "No variant can be ranked." in to_text(found)
    assert "No variant can be chosen" in to_markdown(found)
    assert to_csv(found) == "\n"
    assert JSON.validate_json(to_json(found)) == found


def test_records_are_frozen(whole):
    with pytest.raises(dataclasses.FrozenInstanceError):
        whole.verdict.chosen = "f16-max"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (numbers.count(243786), "243,786"),
        (numbers.scaled(4.9e6), "4.9 M"),
        (numbers.scaled(999_960), "1.0 M"),
        (numbers.scaled(104_400_000), "104 M"),
        (numbers.scaled(2.9e6, "B"), "2.9 MB"),
        (numbers.scaled(560), "560"),
        (numbers.percent_with_interval(0.909, Interval(0.903, 0.915)), "90.9 % (90.3-91.5)"),
        (numbers.points(0.0081, Interval(-0.0015, 0.0107)), "+0.81 points (-0.15 to +1.07)"),
        (numbers.p_text(0.0431), "p = 0.043"),
        (numbers.p_text(0.0499), "p < 0.05"),
        (numbers.p_text(0.0501), "p > 0.05"),
        (numbers.p_text(0.0494), "p = 0.049"),
        (numbers.p_text(0.05), "p = 0.050"),
        (numbers.p_text(0.0009), "p < 0.001"),
        (numbers.p_text(0.732), "p = 0.73"),
        (numbers.p_text(None), "no test"),
        (numbers.ratio(19.51), "19.5x"),
        (numbers.ratio(0.0512), "0.051x"),
        (numbers.milliseconds(0.42), "0.42"),
        (numbers.milliseconds(0.0512), "0.051"),
        (numbers.milliseconds(12.12), "12.1"),
        (numbers.count(None), "-"),
        (numbers.in_words(("a", "b", "c")), "a, b and c"),
    ],
)
def test_numbers_read_well(text, expected):
    assert text == expected


@given(st.floats(0.001, 1))
def test_a_p_value_is_never_rounded_across_the_level(p_value):
    sign, shown = numbers.p_text(p_value).removeprefix("p ").split()
    below = float(shown) < 0.05 or (float(shown) == 0.05 and sign == "<")
    assert below == (p_value < 0.05)
