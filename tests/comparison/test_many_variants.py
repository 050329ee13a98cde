"""A sweep of more variants than anybody reads."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cnn_pipeline.base.quantities import first_names
from cnn_pipeline.comparison import chosen_columns, render
from cnn_pipeline.comparison.report.data import ReportData, detailed
from cnn_pipeline.comparison.report.effects import effects_chart
from cnn_pipeline.comparison.report.forest import captions, forest_charts
from cnn_pipeline.comparison.report.legend import legend
from cnn_pipeline.comparison.report.marks import marks
from cnn_pipeline.comparison.report.page import render_html
from cnn_pipeline.comparison.report.trade_offs import COSTS, trade_off
from cnn_pipeline.comparison.types import Comparison
from tests.comparison.report.html import Page
from tests.comparison.scripted import NUM_TEST, comparison, outcome

NUMBER = 60


@pytest.fixture(scope="module")
def many() -> Comparison:
    """60 variants by two seeds: the more filters, the more test images are right."""
    rng = np.random.default_rng(20260102)
    outcomes = []
    for filters in range(1, NUMBER + 1):
        for seed in (0, 1):
            correct = rng.random(NUM_TEST) < 0.5 + filters / 200
            validation = round(0.5 + filters / 200 + seed / 1000, 3)
            costs = {"num_params": 100.0 * filters, "macs": 1000.0 * filters}
            outcomes.append(
                outcome(
                    f"f{filters}-max", seed=seed, validation=validation, correct=correct, **costs
                )
            )
    return comparison(*outcomes)


def test_the_verdict_is_that_of_all_variants(many: Comparison) -> None:
    assert many.verdict.chosen == "f60-max"
    assert len(many.pairwise) == NUMBER - 1
    assert {row.label for row in many.rows if row.may_be_best} >= {"f60-max", "f59-max"}
    assert {row.label for row in many.rows if row.may_be_best is False} >= {"f1-max", "f2-max"}
    assert max(map(len, many.verdict.sentences)) < 4000


@pytest.mark.parametrize("details", [False, True])
def test_tables_of_the_terminal_have_the_best_20(many: Comparison, details: bool) -> None:
    text = render.to_text(many, details=details)
    assert " 20  f41-max" in text and " 21  f40-max" not in text
    assert "and 40 more: `compare --all`, or `--format csv`" in text
    assert len(text.splitlines()) < 300

    whole = render.to_text(many, details=details, whole=True)
    table = whole.partition("Leaderboard")[2].partition("Ranked by")[0]
    assert "f1-max" in table.split() and "compare --all" not in whole


def test_markdown_has_the_best_20_and_csv_has_all(many: Comparison) -> None:
    markdown = render.to_markdown(many)
    assert "| f41-max |" in markdown and "\n| 21" not in markdown
    assert "and 40 more: \\`compare --all\\`, or \\`--format csv\\`" in markdown
    assert "\n| 60 | f1-max |" in render.to_markdown(many, whole=True)
    assert len(render.to_csv(many).splitlines()) == 1 + NUMBER


def test_chosen_columns_have_the_first_20_in_their_order(many: Comparison) -> None:
    text = chosen_columns.to_text(many, ("label", "macs"), "macs")
    assert text.splitlines()[1].startswith("f1-max")
    assert len(text.splitlines()) == 22
    assert text.splitlines()[-1] == "and 40 more: `compare --all`, or `--format csv`"
    whole = chosen_columns.to_text(many, ("label", "macs"), "macs", whole=True)
    assert len(whole.splitlines()) == 1 + NUMBER


def test_charts_have_the_best_20_and_the_rest_as_a_cloud(many: Comparison) -> None:
    looks = marks(many.ranked, many.axes)
    chart = trade_off(many.ranked, COSTS[1], looks)
    assert chart is not None
    assert "f41-max" in chart.description and "f40-max" not in chart.description
    assert chart.description.endswith("; and 40 more.")
    assert ">f41-max" in chart.svg and ">f40-max" not in chart.svg

    variants, effects = forest_charts(many)
    assert ">f41-max" in variants.svg and ">f40-max" not in variants.svg
    assert captions(many)["forest-variants"].endswith(" And 40 more.")
    assert "21 → " not in effects.svg.replace(">1 → 21", "")
    found = effects_chart(many)
    assert found is not None and found.description.count(" pair") == 20


def test_the_report_folds_what_comes_after_the_best_20(many: Comparison) -> None:
    html = render_html(ReportData(many))
    said = Page(html).said
    assert "40 more" in said
    assert html.count("<summary>40 more</summary>") == 2  # the leaderboard, all numbers
    assert html.count("<summary>39 more</summary>") == 2  # effects, differences
    assert html.count('data-focus="') == 20
    assert len(legend(many.ranked[:20], marks(many.ranked, many.axes))) == 20


def test_the_report_reads_the_runs_of_the_best_and_of_those_compared(many: Comparison) -> None:
    best = {f"f{number}-max" for number in range(41, 61)}
    assert detailed(many) == best
    assert detailed(many, ("f60-max", "f3-max")) == {*best, "f3-max"}
    sweep = dataclasses.replace(many.sweep, baseline="f2-max")
    assert detailed(dataclasses.replace(many, sweep=sweep)) == {*best, "f2-max"}


def test_few_names_are_listed_and_many_are_counted() -> None:
    assert first_names(["a", "b"]) == "a, b"
    assert first_names(list("abcdefghijklmnopqrstuvwx")).endswith("s, t and 4 more")
