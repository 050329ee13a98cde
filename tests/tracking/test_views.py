"""The view of a sweep, as MLflow's page reads it."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from mlflow.tracking import MlflowClient
from mlflow.utils.validation import MAX_EXPERIMENT_TAG_VAL_LENGTH

from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.settings.named import course_exercises, filters_and_pooling
from cnn_pipeline.settings.sweep import Axes, Entry, Sweep
from cnn_pipeline.settings.trial import Variant
from cnn_pipeline.tracking.views import run_colors, varying_params, view_tag


def state(sweep: Sweep, sweep_id: str = "one-20260901-101500-aa") -> dict[str, Any]:
    """What MLflow unpacks."""
    envelope = json.loads(view_tag(sweep, sweep_id, 1_700_000_000_000)[1])
    kind, _, packed = envelope["state"].partition(";")
    assert kind == "deflate"
    unpacked: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return unpacked


def test_a_view_has_a_name_and_stands_under_the_sweeps_name() -> None:
    key, value = view_tag(filters_and_pooling(), "any", 1_700_000_000_000)
    assert key == "mlflow.sharedViewState.filters-and-pooling"
    envelope = json.loads(value)
    assert envelope["name"] == "filters-and-pooling: latest sweep"
    assert envelope["createdAt"] == envelope["updatedAt"] == 1_700_000_000_000


def test_the_list_has_the_settings_first_and_the_best_on_top() -> None:
    found = state(filters_and_pooling())
    assert found["searchFilter"] == "tags.sweep_id = 'one-20260901-101500-aa'"
    assert (found["orderByKey"], found["orderByAsc"]) == ("metrics.`val_accuracy_final`", False)
    assert found["selectedColumns"][:9] == [
        "params.`filters`",
        "params.`pooling`",
        "params.`seed`",
        "metrics.`rank`",
        "metrics.`may_be_best`",
        "metrics.`verdict_low`",
        "metrics.`verdict_high`",
        "metrics.`val_accuracy_final`",
        "metrics.`test_accuracy`",
    ]
    shown = [name for name in found["columnOrder"] if name in found["selectedColumns"]]
    assert shown == found["selectedColumns"]


def test_every_chart_is_in_a_section_and_has_a_key_of_its_own() -> None:
    found = state(filters_and_pooling())
    sections = {section["uuid"]: section for section in found["compareRunSections"]}
    charts = found["compareRunCharts"]
    assert {chart["metricSectionId"] for chart in charts} == {"comparison", "curves"}
    assert all(sections[chart["metricSectionId"]]["display"] for chart in charts)
    assert len({chart["uuid"] for chart in charts}) == len(charts)
    assert "rank" not in {chart.get("metricKey") for chart in charts}
    (parallel,) = (chart for chart in charts if chart["type"] == "PARALLEL")
    assert parallel["selectedParams"] == ["filters", "pooling", "seed"]
    assert parallel["selectedMetrics"] == ["test_accuracy"]


def test_what_differs_between_trials_is_a_column() -> None:
    one_seed = filters_and_pooling().model_copy(update={"seeds": (0,)})
    assert varying_params(one_seed) == ("filters", "pooling")
    assert varying_params(filters_and_pooling()) == ("filters", "pooling", "seed")
    pooled = Variant(filters=4, pool_size=3)
    wide = Sweep(
        name="windows",
        entries=(Entry(variant=pooled), Entry(variant=Variant(filters=4, pool_size=2))),
        seeds=(0,),
    )
    assert varying_params(wide) == ("filters", "pooling", "pool_size")


def test_a_large_sweep_fits_into_a_tag() -> None:
    sweep = Sweep(
        name="n" * 40,
        axes=Axes(
            filters=(8, 16, 32, 64), conv_layers=(1, 2, 3), kernel_size=(3, 5), padding=("same",),
            dense_units=(32, 64), dropout=(0.0, 0.5), batch_norm=(True, False),
        ),
        seeds=(0, 1, 2),
    )  # fmt: skip
    _, value = view_tag(sweep, "n" * 40 + "-20260901-101500-aaaa", 1_700_000_000_000)
    assert len(value) < MAX_EXPERIMENT_TAG_VAL_LENGTH


def test_variants_have_colours_of_their_own_and_seeds_share_one() -> None:
    sweep = course_exercises()
    colors = run_colors(sweep)
    assert colors.keys() == {trial.label for trial in sweep.trials()}
    assert len(set(colors.values())) == min(len(colors), 12)


def test_a_sweep_leaves_its_view_in_the_store(tiny: tuple[Home, Outcome]) -> None:
    home, outcome = tiny
    tags = MlflowClient(home.database_uri).get_experiment(outcome.experiment_id).tags
    views = [key for key in tags if key.startswith("mlflow.sharedViewState.")]
    assert set(views) == {"mlflow.sharedViewState.tiny", "mlflow.sharedViewState._sweeps"}
    assert json.loads(tags[views[0]])["name"] == "tiny: latest sweep"
