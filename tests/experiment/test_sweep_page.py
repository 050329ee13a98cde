"""What MLflow's pages show of a sweep."""

from __future__ import annotations

import re

import pytest

from cnn_pipeline.comparison.picture import small_svgs
from cnn_pipeline.experiment import sweep_page
from cnn_pipeline.experiment.data_card import DataCard
from cnn_pipeline.settings.named import filters_and_pooling
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import Training
from cnn_pipeline.tracking import names
from tests.comparison.scripted import clear_grid, comparison, outcome, recipes


def texts(svg: str | None) -> list[str]:
    """The texts of a drawing."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg or "")


def test_the_picture_has_the_best_variants_and_fits_the_first_part_of_a_description() -> None:
    found = comparison(*clear_grid())
    svgs = small_svgs(found)
    shown = [text for svg in svgs for text in texts(svg)]
    ranked = [row.label for row in found.ranked]
    assert [text for text in shown if text in ranked] == ranked
    assert {f"{100 * (found.ranked[0].test_accuracy or 0):.2f}", "40.0 k"} < set(shown)
    assert {"max-pooling → no pooling", "16 → 64 filters", "+8.00", "5.00x"} < set(shown)
    for svg in svgs:
        height = re.search(r'height="(\d+)"', svg)
        assert height is not None and int(height[1]) <= 100
        assert "http" not in svg.replace("http://www.w3.org/", "")


def test_a_long_leaderboard_is_cut_in_the_picture() -> None:
    many = [outcome(f"f{n}-max", validation=0.9 - n / 100, test_accuracy=0.8) for n in range(1, 10)]
    shown = texts(small_svgs(comparison(*many))[0])
    assert "f5-max" in shown and "f6-max" not in shown and "and 4 more" in shown


def test_without_an_answer_there_is_no_picture_and_no_accuracy() -> None:
    nothing = comparison()
    assert small_svgs(nothing) == ()
    numbers = sweep_page.sweep_metrics(nothing, (), 90.0)
    assert numbers == {
        "num_variants": 0.0, "num_trials": 0.0, "num_failed": 0.0, "sweep_minutes": 1.5,
    }  # fmt: skip


def test_each_run_says_what_the_comparison_says_of_its_variant() -> None:
    best, *_, last = comparison(*recipes(f64_max=30)).ranked
    assert best.test_interval is not None
    assert sweep_page.compared_metrics(best) == {
        "rank": 1.0,
        "may_be_best": 1.0,
        "verdict_low": pytest.approx(best.test_interval.low, abs=5e-5),
        "verdict_high": pytest.approx(best.test_interval.high, abs=5e-5),
    }
    assert sweep_page.compared_metrics(last)["may_be_best"] == 0.0
    one_seed = comparison(*clear_grid()).ranked[0]
    assert list(sweep_page.compared_metrics(one_seed)) == ["rank", "verdict_low", "verdict_high"]


def test_the_note_begins_with_the_picture_and_the_answer_and_escapes_both() -> None:
    found = comparison(*clear_grid())
    tags = sweep_page.sweep_tags(found, "3", "abc", names.PICTURE_FILES)
    first = tags["mlflow.note.content"].splitlines()[0]
    assert 'src="get-artifact?path=plots%2Fanswer.svg&amp;run_uuid=abc"' in first
    assert found.verdict.headline in first and tags["verdict"] == found.verdict.headline
    assert "//" not in first
    assert "<img" not in sweep_page.sweep_tags(found, "3", "abc", ())["mlflow.note.content"]


def test_a_description_by_a_person_stays() -> None:
    ours = sweep_page.experiment_note("3", "abc", comparison(*clear_grid()))
    assert sweep_page.may_replace("") and sweep_page.may_replace(ours)
    assert not sweep_page.may_replace("Our runs for the paper.")
    assert "#/experiments/3/runs/abc/artifacts/report.html?" in ours


def test_params_say_what_varies() -> None:
    card = DataCard("garments", "d", "s", (28, 28, 1), ("a",), 55_000, 5_000, 10_000, (), (), ())
    params = sweep_page.sweep_params(filters_and_pooling(), card)
    assert params["axes"] == "filters: 16, 32, 64; pooling: max, none; seed: auto"
    assert params["data"] == "garments: 55,000 training images"
    one = Sweep(training=Training(epochs=7))
    assert sweep_page.sweep_params(one, card) | {"data": ""} == {
        "axes": "none", "data": "", "epochs": "7",
    }  # fmt: skip
