"""What a flow's parameters mean, and what its form asks for."""

from __future__ import annotations

from typing import Any

import pytest
from prefect import Flow
from prefect.exceptions import ParameterTypeError

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.champion.requirements import GateSettings
from cnn_pipeline.champion.retraining.settings import NotifySettings, RetrainSettings
from cnn_pipeline.settings.chosen import chosen, with_chosen
from cnn_pipeline.settings.engine import LOCAL, Engine
from cnn_pipeline.settings.named import NAMED, filters_and_pooling, retrain
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings
from flows.parameters import (
    data_settings_from,
    engine_from,
    retrain_settings_from,
    sweep_from,
)
from flows.retrain import retrain as retrain_flow
from flows.train_variants import train_variants
from flows.watch_data import watch_data

Json = dict[str, Any]


def sweep(name: object = "filters-and-pooling", /, **given: Any) -> Sweep:
    """The sweep of a form in which only these fields were filled in."""
    empty: Json = {"filters": (), "pooling": (), "seeds": (), "decide": 0.0, "epochs": 0,
                   "data": "", "advanced": {}}  # fmt: skip
    return sweep_from(name, **(empty | given))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMED)
def test_an_empty_form_is_the_named_sweep(name: str) -> None:
    assert sweep(name) == NAMED[name]()


def test_what_is_filled_in_changes_the_named_sweep() -> None:
    changed = sweep(
        filters=(8, 16), pooling=("average",), seeds=(3, 4), epochs=2, data="fashion-mnist-sample",
        advanced={"training": {"batch_size": 64, "epochs": 9}, "axes": {"dropout": [0.0, 0.5]}},
    )  # fmt: skip
    assert changed.labels == (
        "f8-average", "f8-average-do5", "f16-average", "f16-average-do5",
    )  # fmt: skip
    assert changed.seeds == (3, 4)
    assert (changed.training.epochs, changed.training.batch_size) == (2, 64)
    assert changed.data.source == "fashion-mnist-sample"
    assert changed.name == "filters-and-pooling"


def test_the_preparation_of_pictures_is_advanced() -> None:
    given = {"image_size": "64x48", "fit": "crop", "color": "grey", "background": "BLACK"}
    changed = sweep(data="/photos", advanced={"data": given})
    expected = DataSettings(source="/photos", **{**given, "background": "black"})
    assert changed.data == expected
    with pytest.raises(InvalidInput, match="image_size: must be height x width in pixels"):
        sweep(data="/photos", advanced={"data": {"image_size": "64"}})


def test_the_points_that_matter_are_of_a_sweep_in_rounds() -> None:
    assert (sweep(decide=0.5).seeds, sweep(decide=0.5).decide) == ("auto", 0.5)
    own = {"name": "mine", "axes": {"filters": [4, 8]}, "decide": 0.5}
    assert sweep(own, seeds=(1, 2)).seeds == (1, 2)
    with pytest.raises(InvalidInput, match="decide needs seeds 'auto'"):
        sweep(seeds=(1, 2), decide=0.5)


def test_a_sweep_is_also_its_fields_or_itself() -> None:
    own = {"name": "mine", "axes": {"filters": [4, [8, 16]]}}
    assert sweep(own).labels == ("f4-max", "f8-16-max")
    assert sweep(filters_and_pooling(), epochs=1).training.epochs == 1


def test_every_fault_is_named_with_its_path() -> None:
    with pytest.raises(InvalidInput) as refused:
        sweep("course-exercises", filters=(8,), advanced={"training": {"batchsize": 5},
                                                          "data": {"train_limit": 0}})  # fmt: skip
    assert refused.value.faults == (
        "filters: sweep 'course-exercises' lists its variants one by one; leave it empty",
        "training.batchsize: unknown key; did you mean 'batch_size'?",
        "data.train_limit: must be at least 1, received 0",
    )


def test_where_trainers_run_is_advanced() -> None:
    given = {"engine": "ray", "gpu_share": 0.5, "data": {"fit": "crop"}}
    assert engine_from(given) == (Engine(engine="ray", gpu_share=0.5), {"data": {"fit": "crop"}})
    assert engine_from({}) == (LOCAL, {})
    with pytest.raises(InvalidInput) as caught:
        engine_from({"engine": "dask", "retries": -1})
    assert caught.value.faults == (
        "advanced.engine: must be local or ray, received 'dask'",
        "advanced.retries: must be at least 0, received -1",
    )
    with pytest.raises(InvalidInput, match="must be ray for retries, received local"):
        engine_from({"retries": 1})


def test_retraining_takes_its_other_settings_as_json() -> None:
    notify = NotifySettings(blocks=("slack-webhook/ops",))
    assert retrain_settings_from(retrain(), NotifySettings(), {}) == RetrainSettings()
    settings = retrain_settings_from(retrain(), notify, {"gate": {"margin": 0.002}})
    assert (settings.gate, settings.notify) == (GateSettings(margin=0.002), notify)
    with pytest.raises(InvalidInput) as refused:
        retrain_settings_from(retrain(), notify, {"gate": {"margin": 2}, "notify": []})
    assert refused.value.faults == (
        "advanced.notify: is set by a parameter of its own",
        "gate.margin: must be at most 1, received 2",
    )


def test_watching_takes_own_data_as_fully_as_a_sweep() -> None:
    given = {
        "name": "pets", "test_share": 0.3, "group_by": "^p[0-9]+", "image_size": "64x48",
        "fit": "crop", "color": "grey", "background": "black", "validation_size": 40,
    }  # fmt: skip
    expected = sweep(data="/photos", advanced={"data": given}).data
    assert data_settings_from("/photos", given) == expected
    assert data_settings_from("fashion-mnist", {}) == DataSettings()
    with pytest.raises(InvalidInput) as refused:
        data_settings_from("", {"source": "/photos", "test_share": 2, "nam": "pets"})
    assert refused.value.faults == (
        "advanced.source: is the parameter 'data'",
        "data: must not be empty",
        "advanced.test_share: must be less than 1, received 2",
        "advanced.nam: unknown key; did you mean 'name'?",
    )


@pytest.mark.parametrize("flow", [train_variants, retrain_flow, watch_data])
def test_the_form_has_help_at_every_field_and_none_is_of_type_none(flow: Flow[..., Any]) -> None:
    schema = flow.parameters.model_dump()
    assert "'null'" not in str(schema)
    assert all(field.get("description") for field in schema["properties"].values())


def test_the_form_begins_with_what_people_change() -> None:
    first = ["sweep", "filters", "pooling", "seeds", "epochs", "data"]
    for flow in (train_variants, retrain_flow):
        properties = flow.parameters.model_dump()["properties"]
        order = sorted(properties, key=lambda name: properties[name]["position"])
        assert [name for name in order if name != "decide"][:6] == first
        choices, _ = properties["sweep"]["anyOf"]
        assert choices["enum"] == [*NAMED]
        assert properties["sweep"]["default"] in NAMED


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sweep": "poolin"}, "sweep: Value error, must be one of filters-and-pooling, pooling, "),
        (
            {"sweep": {"training": {"epochs": 0, "batchsize": 5}}},
            "sweep: Value error, training.epochs: must be at least 1, received 0; "
            "training.batchsize: unknown key; did you mean 'batch_size'?",
        ),
        ({"workers": -1}, "workers: Input should be greater than or equal to 0"),
        # The parameter of earlier deployments.
        ({"settings": {}}, "settings"),
    ],
)
def test_a_wrong_parameter_is_refused_with_its_path(given: Json, said: str) -> None:
    with pytest.raises((ParameterTypeError, TypeError)) as refused:
        train_variants.validate_parameters(given)
    assert said in str(refused.value)


def test_what_the_form_leaves_free_may_be_fitted_to_the_data() -> None:
    """Named sweeps leave everything free; what is filled in or listed as JSON is chosen."""
    for form in ({}, {"epochs": 2, "filters": (8,)}, {"advanced": {"data": {"fit": "crop"}}}):
        assert not {"padding", "batch_size"} & chosen(sweep("smoke", **form))
    assert chosen(sweep(epochs=2, advanced={"training": {"batch_size": 128}})) == {
        "epochs", "batch_size",
    }  # fmt: skip
    assert chosen(sweep(advanced={"variant": {"padding": "valid"}})) == {"padding"}
    assert chosen(sweep({"training": {"batch_size": 64}}, epochs=1)) == {"batch_size", "epochs"}


def test_a_flow_keeps_what_was_chosen_in_a_sweep_that_it_is_called_with() -> None:
    called = with_chosen(Sweep(**Sweep().model_dump()), {"batch_size"})
    for flow in (retrain_flow, train_variants):
        given = flow.validate_parameters({"sweep": called})["sweep"]
        assert isinstance(given, Sweep) and chosen(given) == {"batch_size"}
