"""The charts: data, positions, texts, and marks that differ without colour."""

from __future__ import annotations

import dataclasses
import math
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import altair as alt
import pytest

from cnn_pipeline.comparison.report import charts
from cnn_pipeline.comparison.report.charts import Chart, draw, runtime
from cnn_pipeline.comparison.report.curves import curve_charts, curve_rows
from cnn_pipeline.comparison.report.effects import effects_chart
from cnn_pipeline.comparison.report.labels import Box, place_labels
from cnn_pipeline.comparison.report.marks import Mark, marks
from cnn_pipeline.comparison.report.trade_offs import COSTS, trade_off, unbeaten
from cnn_pipeline.comparison.types import Row
from tests.comparison.report.scripted import trial
from tests.comparison.scripted import clear_grid, comparison, outcome, right

PARAMETERS, MACS, SECONDS = COSTS


def data(chart: Chart) -> list[dict[str, Any]]:
    """The data of the chart."""
    return [value for source in chart.vega["data"] for value in source.get("values", ())]


def row(label: str, validation: float | None, macs: float | None) -> Row:
    return Row(label, 1, "FINISHED", "", {}, (), (0,), (), validation, macs=macs)


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([("a", 0.9, 10.0)], {"a"}),
        ([("a", 0.9, 10.0), ("b", 0.9, 20.0)], {"a"}),  # as accurate, dearer
        ([("a", 0.9, 10.0), ("b", 0.8, 10.0)], {"a"}),  # as dear, less accurate
        ([("a", 0.9, 10.0), ("b", 0.8, 5.0)], {"a", "b"}),
        ([("a", 0.9, 10.0), ("b", 0.9, 10.0)], {"a", "b"}),  # equal ones do not beat each other
        ([("a", 0.9, 10.0), ("b", 0.95, None), ("c", None, 1.0)], {"a"}),
    ],
)
def test_the_pareto_front(rows: list[tuple[str, float, float]], best: set[str]) -> None:
    assert unbeaten([row(*each) for each in rows], "macs") == best


def grid_marks() -> dict[str, Mark]:
    found = comparison(*clear_grid())
    return marks(found.ranked, found.axes)


def test_a_trade_off_shows_its_numbers_the_pareto_front_and_a_star() -> None:
    first, *others = comparison(*clear_grid()).ranked
    ranked = [dataclasses.replace(first, may_be_best=True), *others]
    chart = trade_off(ranked, PARAMETERS, grid_marks())
    assert chart is not None
    points = {point["label"]: point for point in data(chart)}
    assert points["f64-max"]["x"] == 4e3 and points["f64-max"]["test"] == 0.95
    assert points["f64-max"]["low"] < 0.95 < points["f64-max"]["high"]
    assert {label for label, point in points.items() if point["best"]} == {"f64-max", "f16-max"}
    assert points["f64-max"]["fill"] != points["f64-none"]["fill"] == "var(--paper)"
    names = {point["name"] for point in points.values()}
    assert names == {"f64-max ★", "f64-none", "f16-max", "f16-none"}
    assert "f16-max, test 87.0 % (84.8-88.9), validation 89.00 %" in chart.description
    assert "1.0 k parameters, on the Pareto front" in chart.description


def test_a_trade_off_needs_two_variants_with_a_cost() -> None:
    one, other = clear_grid()[:2]
    assert trade_off(comparison(one).ranked, MACS, grid_marks()) is None
    lost = outcome("f64-none", correct=other[1], macs=math.nan)
    assert trade_off(comparison(one, lost).ranked, MACS, grid_marks()) is None


def test_equal_costs_and_accuracies_can_be_drawn() -> None:
    same = comparison(
        outcome("f64-max", correct=right()), outcome("f16-max", correct=right(), num_params=1000)
    )
    chart = trade_off(same.ranked, PARAMETERS, marks(same.ranked, same.axes))
    assert chart is not None
    (one, other) = data(chart)
    assert (one["dx"], one["dy"]) != (other["dx"], other["dy"])


def test_labels_keep_clear_of_each_other_of_points_and_of_the_edges() -> None:
    places = [(20.0 * number, 100.0 + 3 * number) for number in range(15)]
    drawn = [Box(x - 7, y - 40, x + 7, y + 40) for x, y in places[:3]]
    placed = place_labels(places, ["f64-average"] * 15, drawn, 400, 300)
    for one, other in combinations(placed, 2):
        assert not one.box.covers(other.box)
    for label in placed:
        assert label.box.left >= 0 and label.box.right <= 400
        assert not any(label.box.covers(box) for box in drawn)


def test_a_label_without_any_room_stays_beside_its_point() -> None:
    (placed,) = place_labels([(5.0, 5.0)], ["much too long for it"], [], 40, 20)
    assert (placed.dy, placed.align) == (0, "left")


def test_a_grid_is_told_apart_by_colour_and_by_form() -> None:
    found = grid_marks()
    assert found["f64-max"].colour == found["f64-none"].colour
    assert found["f64-max"].form == found["f16-max"].form != found["f64-none"].form
    assert len({(mark.shape, mark.dash, mark.paint) for mark in found.values()}) == 4


def test_variants_without_a_grid_differ_in_colour_and_form() -> None:
    many = comparison(
        *(outcome(f"v{n}", correct=right(), settings={"dropout": n / 10}) for n in range(6))
    )
    found = marks(many.ranked, many.axes)
    assert len({mark.colour for mark in found.values()}) == 6
    assert len({mark.form for mark in found.values()}) == 6
    assert all(one.shape != other.shape for one, other in pairwise(found.values()))


def test_effects_show_the_mean_its_interval_and_the_pairs() -> None:
    chart = effects_chart(comparison(*clear_grid(), baseline="f64-max"))
    assert chart is not None
    effects = {value["change"]: value for value in data(chart) if "low" in value}
    fewer = effects["64 → 16 filters"]
    assert fewer["points"] == pytest.approx(-8.0)
    assert fewer["low"] < -8 < fewer["high"] < 0
    assert fewer["fill"] == "var(--accent)"  # the interval excludes zero
    assert "max-pooling → no pooling, -4.00 points" in chart.description
    singles = [value for value in data(chart) if "points" in value and "low" not in value]
    assert len(singles) == 4


def test_no_effect_no_chart() -> None:
    assert effects_chart(comparison(clear_grid()[0])) is None


def test_curves_overlay_all_trials_and_leave_gaps() -> None:
    one, other = clear_grid()[:2]
    broken = trial(other, curves={"loss": (0.5, math.nan, 0.3), "val_loss": (math.inf,)})
    charts = {chart.key: chart for chart in curve_charts([trial(one), broken], grid_marks())}
    assert set(charts) == {
        "chart-val-accuracy",
        "chart-accuracy",
        "chart-val-loss",
        "chart-loss",
    }
    loss = [
        (point["trial"], point["epoch"], point["value"]) for point in data(charts["chart-loss"])
    ]
    assert ("f64-none-s0", 2, 0.3) in loss and len(loss) == 5
    assert {point["trial"] for point in data(charts["chart-val-loss"])} == {"f64-max-s0"}
    assert "f64-max-s0 90.0 % to" not in charts["chart-loss"].description
    assert "f64-none-s0 0.5000 to 0.3000" in charts["chart-loss"].description


def test_long_curves_are_thinned_and_end_where_they_end() -> None:
    one = clear_grid()[0]
    curve = tuple(1 / (1 + epoch) for epoch in range(10_000))
    long = trial(one, curves=dict.fromkeys(("loss", "val_loss", "accuracy", "val_accuracy"), curve))
    epochs = [point["epoch"] for point in data(curve_charts([long], grid_marks())[0])]
    assert len(epochs) <= 1201 and epochs[0] == 0 and epochs[-1] == 9999
    rows = curve_rows([long, trial(one, curves={"loss": (0.1,)})])
    assert len(rows) == len(epochs)
    assert rows[0] == ("f64-max-s0", "0", "100.00 %", "100.00 %", "1.0000", "1.0000")


def test_a_diverging_loss_does_not_flatten_the_others() -> None:
    one, other = clear_grid()[:2]
    wild = trial(other, curves={"loss": (0.5, 1e6)})
    (chart,) = curve_charts([trial(one, curves={"loss": (0.9, 0.6)}), wild], grid_marks())
    (scale,) = [scale for scale in chart.vega["scales"] if scale["name"] == "y"]
    assert scale["domain"][1] < 10


def test_a_single_epoch_stands_alone_on_its_axis() -> None:
    (chart,) = curve_charts([trial(clear_grid()[0], curves={"loss": (0.9,)})], grid_marks())
    (scale,) = [scale for scale in chart.vega["scales"] if scale["name"] == "x"]
    assert scale["domain"] == [-0.5, 0.5]
    assert {tuple(axis["values"]) for axis in chart.vega["axes"] if axis["scale"] == "x"} == {(0,)}


def test_texts_are_escaped_in_the_drawing() -> None:
    values = alt.InlineData([{"label": "</svg><script>"}])
    chart = alt.LayerChart(data=values, layer=[alt.Chart().mark_text().encode(text="label:N")])
    drawn = draw("key", "title", "text", chart)
    assert "<script" not in drawn.svg and "&lt;/svg&gt;" in drawn.svg


def test_vegas_script_can_be_embedded() -> None:
    script = runtime()
    assert "window.vegaEmbed" in script and "</script" not in script
    assert 300_000 < len(script) < 1_200_000


def test_vegas_script_is_cached_for_the_next_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = runtime(tmp_path)

    def bundle(_: str) -> str:
        raise AssertionError("bundled again")

    monkeypatch.setattr(charts.vl_convert, "javascript_bundle", bundle)
    assert runtime(tmp_path) == made
