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


def test_the_first_screen_is_a_sentence_a_picture_and_a_table():
    lines = to_text(comparison(*clear_grid()[:2], baseline="f64-max")).splitlines()
    assert lines == [
        "Sweep 20260102-030405-abcd (filters-and-pooling) on fashion-mnist",
        "",
        "f64-max answered most test images right of these two networks (one seed each).",
        "Whether the setting is better is not known: add seeds.",
        "",
        "Test accuracy of each network (95 %, new images)                            MACs",
        "f64-max                                        |-------------o---------|  40.0 k",
        "f64-none |----------------o-------------|                                  200 k",
        "         89.1                                                     96.2 %",
        "",
        "Change of test accuracy, points (95 %)                                      MACs",
        "max-pooling -> no pooling |----------o----------|                       :  5.00x",
        "                          -5.24                                         0",
        "",
        "Leaderboard",
        "-----------",
        "   variant   n  val %     test % (95 %)        behind (95 %)  params  train s",
        "1  f64-max   1  93.00  95.0 (93.5-96.2)                        4.0 k       20",
        # 40 losses of 1,000: -41 / 1002 + 1 / 1002, half width 1.243.
        "2  f64-none  1  91.00  91.0 (89.1-92.6)  4.00 (2.75 to 5.24)  80.0 k       20",
        "Ranked by validation accuracy. n: seeds; numbers are their means. Behind: points",
        "of test accuracy behind the first.",
    ]


def test_a_star_marks_what_may_still_be_best():
    found = comparison(*clear_grid())
    known = dataclasses.replace(
        found,
        rows=tuple(dataclasses.replace(row, may_be_best=row.rank == 2) for row in found.rows),
    )
    for write in (to_text, to_markdown):
        assert write(known).count("May still be best") == 1
        assert "May still be best" not in write(found)
    assert "f64-none *  " in to_text(known) and "\n2*  f64-none " in to_text(known)
    assert "| 2\\* | f64-none | 91.0 % (89.1-92.6) | 4.00" in to_markdown(known)
    assert "*" not in to_text(found)


def test_the_text_has_every_part(whole):
    text = to_text(whole, details=True)
    parts = ("Verdict", "Costs", "Effects of settings, over pairs that differ in nothing else",
             "f64-max against the others", "Expectations", "Notes")  # fmt: skip
    for heading in ("Leaderboard", "Not ranked", *parts):
        assert f"\n{heading}\n{'-' * len(heading)}\n" in text
    for heading in parts:
        assert f"\n{heading}\n" not in to_text(whole)
    assert "- f32-max: FAILED: killed | by *hand*" in to_text(whole)
    assert "- f16-max: lower test accuracy than f64-max? Cannot say: one seed" in text
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
    text = to_text(found, details=True)
    assert max(map(len, text.splitlines())) <= 80
    assert all(label in text for label in labels)


def test_markdown_is_escaped_and_whole(whole):
    text = to_markdown(whole)
    assert text.startswith("## filters-and-pooling on fashion-mnist\n\n**f64-max answered")
    first, details = text.split("<details><summary>Details</summary>")
    assert "| 1 | f64-max | 95.0 % (93.5-96.2) |  | 4.0 k | 40.0 k | 20 s | 93.00 % | 1 |" in first
    assert "FAILED: killed \\| by \\*hand\\*" in first
    assert "| 1 | f64-max | 1 | 93.00 % | 95.0 % (93.5-96.2) | 4,000 | 40.0 k |" in details
    assert "Which filters?" in details and details.endswith("\n\n</details>\n")
    tables = [line for line in text.splitlines() if line.startswith("|")]
    widths = {line.replace("\\|", "").count("|") for line in tables}
    assert widths == {14, 11, 8, 5}


def test_a_note_of_mlflow_has_its_own_top_and_no_fold(whole):
    text = to_markdown(whole, top="<table></table>", folded=False)
    assert text.startswith("<table></table>\n\n| # | variant |")
    assert "details>" not in text and "### Verdict" in text


def test_warnings_stand_below_the_sentence():
    doubts = ("1 class (bag) without a test image: its accuracy is not measured",)
    found = comparison(*clear_grid(), test_counts=(970, 30), warnings=doubts)
    worthless = (
        "f64-max gets 95.0 % of the test images right, where always saying the largest class gives "
        "97.0 %"
    )
    assert found.warnings == (*doubts, worthless)
    text = " ".join(to_text(found).split())
    assert f"{found.verdict.headline} warning: {doubts[0]} warning: {worthless} " in text
    assert f"**\n\n- Warning: {doubts[0]}.\n- Warning: {worthless}.\n\n|" in to_markdown(found)
    assert f"- Warning: {worthless}." in to_markdown(found, top="top", folded=False)


def test_a_choice_above_the_largest_class_needs_no_warning():
    assert comparison(*clear_grid(), test_counts=(940, 60)).warnings == ()
    assert "arning" not in to_text(comparison(*clear_grid())) + to_markdown(comparison())


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
    "": "sweep num_validation rows pairwise axes expectations verdict faults notes progress "
    "rounds interactions smallest_difference seeds_needed unequal_spread warnings",
    "sweep": "sweep_id name dataset num_test description baseline expectations margin metric runs "
    "test_counts test_drawn warnings",
    "sweep.expectations.f16-max": "metric direction against",
    "rows": "label rank status reason params run_ids seeds failed_seeds validation_accuracy "
    "validation_spread test_accuracy test_spread test_interval may_be_best within_margin "
    "num_params macs train_seconds images_per_second latency_ms "
    "latency_ms_batch_256 model_bytes efficient",
    "rows.test_interval": "low high",
    "pairwise": "label against basis estimate interval right_alone wrong_alone seeds seeds_only "
    "reason",
    "pairwise.interval": "low high",
    "axes": "axis reference levels effects leader contrasts simple",
    "axes.effects": "axis level against basis pairs seeds estimate interval "
    "validation params_ratio macs_ratio seconds_ratio seeds_only reason where",
    "axes.effects.interval": "low high",
    "axes.effects.pairs": "label against difference",
    "axes.contrasts": "axis level against basis pairs seeds estimate interval "
    "validation params_ratio macs_ratio seconds_ratio seeds_only reason where",
    "axes.contrasts.interval": "low high",
    "axes.contrasts.pairs": "label against difference",
    "expectations": "label expected outcome measured reason difference ratio",
    "expectations.expected": "metric direction against",
    "expectations.difference": "label against basis estimate interval right_alone wrong_alone "
    "seeds seeds_only reason",
    "expectations.difference.interval": "low high",
    "interactions": "axis level against other other_level other_against basis estimate interval "
    "seeds seeds_only reason",
    "interactions.interval": "low high",
    "faults": "name label seed status reason",
    "verdict": "headline sentences basis chosen better_than worse_than indistinguishable "
    "untested cheapest",
}


def keys_of(value, path=""):
    """The keys of each object in parsed JSON, by its path without the positions of lists."""
    found = {}
    if isinstance(value, dict):
        # Keys that are settings and labels.
        if path not in ("rows.params", "sweep.expectations") and not path.endswith(".where"):
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
