"""What an experiment may be, and what is refused."""

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cnn_pipeline.settings.sweep import Axes, Entry, Sweep
from cnn_pipeline.settings.trial import (
    LABEL_PATTERN,
    DataSettings,
    Expectation,
    Training,
    Trial,
    Variant,
)


def messages(error: pytest.ExceptionInfo[ValidationError]) -> str:
    return "\n".join(item["msg"] for item in error.value.errors())


def test_the_default_variant_is_the_tutorials_network() -> None:
    variant = Variant()
    assert variant.filters == (64, 64)
    assert (variant.kernel_size, variant.pooling, variant.pool_size) == (3, "max", 2)
    assert (variant.padding, variant.dense_units, variant.dropout) == ("valid", 128, 0.0)
    assert variant.name == "f64-max"


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"filters": 16, "pooling": "none"}, "f16-none"),
        ({"filters": (32, 64)}, "f32-64-max"),
        ({"conv_layers": 3, "kernel_size": 5}, "f64-max-c3-k5"),
        ({"pool_size": 3, "padding": "same"}, "f64-max-p3-same"),
        ({"dense_units": 64, "dropout": 0.25, "batch_norm": True}, "f64-max-d64-do25-bn"),
        ({"dropout": 0.05}, "f64-max-do05"),
    ],
)
def test_a_name_tells_what_differs_from_the_tutorial(fields: dict[str, object], name: str) -> None:
    assert Variant.model_validate(fields).name == name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"filters": (32, 32)}, {"filters": 32}),
        ({"filters": [16, 16, 16]}, {"filters": 16, "conv_layers": 3}),
        ({"pooling": "none", "pool_size": 3}, {"pooling": "none"}),
    ],
)
def test_equal_networks_are_equal_values(one: dict[str, object], other: dict[str, object]) -> None:
    first, second = Variant.model_validate(one), Variant.model_validate(other)
    assert first == second
    assert first.content_hash() == second.content_hash()


@pytest.mark.parametrize(
    ("given", "per_layer", "stored"),
    [
        ({}, (64, 64), 64),
        ({"filters": 8}, (8, 8), 8),
        ({"filters": 8, "conv_layers": 3}, (8, 8, 8), 8),
        ({"conv_layers": 1}, (64,), 64),
        ({"filters": [8, 8]}, (8, 8), 8),
        ({"filters": [8]}, (8,), 8),
        ({"filters": [8, 16, 8]}, (8, 16, 8), [8, 16, 8]),
    ],
)
def test_filters_are_one_number_per_layer_and_stored_as_short_as_possible(
    given: dict[str, object], per_layer: tuple[int, ...], stored: int | list[int]
) -> None:
    variant = Variant.model_validate(given)
    assert variant.filters == per_layer
    assert variant.conv_layers == len(per_layer)
    assert variant.model_dump(mode="json")["filters"] == stored
    assert Variant.model_validate(variant.model_dump()) == variant


def test_the_schema_of_filters_takes_both_forms() -> None:
    schema = Variant.model_json_schema()["properties"]["filters"]
    assert [one["type"] for one in schema["anyOf"]] == ["integer", "array"]
    assert schema["default"] == 64


@pytest.mark.parametrize(
    ("fields", "unused", "left_out"),
    [
        ({}, set(), set()),
        ({"pooling": "none"}, {"pool_size"}, {"pool_size"}),
        ({"pooling": "strided"}, set(), set()),
        ({"filters": [8, 16]}, set(), {"conv_layers"}),
        ({"filters": [8, 8]}, set(), set()),
        ({"filters": [8, 16], "pooling": "none"}, {"pool_size"}, {"pool_size", "conv_layers"}),
    ],
)
def test_a_variant_knows_which_of_its_settings_say_something(
    fields: dict[str, object], unused: set[str], left_out: set[str]
) -> None:
    variant = Variant.model_validate(fields)
    assert variant.unused == unused
    assert set(Variant.model_fields) - set(variant.in_use) == left_out
    assert Variant(**variant.in_use) == variant


@pytest.mark.parametrize(
    ("fields", "change", "expected"),
    [
        ({"conv_layers": 3}, {"filters": 8}, {"filters": 8, "conv_layers": 3}),
        ({"conv_layers": 3}, {"filters": (8, 16)}, {"filters": (8, 16)}),
        ({"filters": (8, 16, 32)}, {"filters": 8}, {"filters": 8, "conv_layers": 3}),
        ({"pooling": "none"}, {"pooling": "max"}, {}),
        ({"pool_size": 3}, {"pooling": "average"}, {"pooling": "average", "pool_size": 3}),
        ({"pool_size": 3}, {"pooling": "none"}, {"pooling": "none"}),
    ],
)
def test_what_follows_from_a_changed_setting_changes_with_it(
    fields: dict[str, object], change: dict[str, object], expected: dict[str, object]
) -> None:
    assert Variant(**fields).changed(**change) == Variant(**expected)


@pytest.mark.parametrize(
    "fields",
    [
        {"filters": 0},
        {"filters": 1025},
        {"filters": True},
        {"filters": 16.0},
        {"filters": "16"},
        {"filters": []},
        {"filters": [1] * 7},
        {"filters": [16, True]},
        {"conv_layers": 0},
        {"conv_layers": 7},
        {"kernel_size": 0},
        {"pooling": "maximum"},
        {"pool_size": 0},
        {"dense_units": 0},
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"dropout": math.nan},
        {"dropout": True},
        {"batch_norm": 1},
        {"batch_norm": "true"},
        {"filter": 16},
        {"filters": [16, 32], "conv_layers": 3},
        {"pooling": "max", "pool_size": 1},
    ],
)
def test_a_wrong_variant_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Variant.model_validate(fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"epochs": 0},
        {"epochs": True},
        {"epochs": 1.0},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"learning_rate": math.inf},
        {"learning_rate": "0.1"},
        {"optimizer": "Adam"},
        {"precision": "float16"},
        {"threads": -1},
        {"stop_at_accuracy": 0.0},
        {"stop_at_accuracy": 1.1},
        {"epoch": 3},
    ],
)
def test_a_wrong_training_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Training.model_validate(fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"source": ""},
        {"validation_size": 0},
        {"train_limit": 0},
        {"split_seed": -1},
        {"split_seed": 2**31},
        {"image_size": "64"},
        {"image_size": "0x8"},
        {"image_size": "64x48px"},
        {"image_size": 64},
        {"fit": "object"},
        {"color": "gray"},
        {"background": "corners"},
        {"background": "#fff"},
    ],
)
def test_wrong_data_settings_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DataSettings.model_validate(fields)


def test_values_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Variant().filters = 3  # type: ignore[misc]


@given(
    st.builds(
        Variant,
        filters=st.integers(1, 1024),
        conv_layers=st.integers(1, 6),
        kernel_size=st.integers(1, 15),
        pooling=st.sampled_from(["max", "average", "strided", "none"]),
        pool_size=st.integers(2, 8),
        dropout=st.floats(0, 0.95),
    )
)
def test_json_and_back_is_the_same_variant(variant: Variant) -> None:
    again = Variant.model_validate_json(variant.model_dump_json())
    assert again == variant
    assert again.content_hash() == variant.content_hash()


def test_a_grid_is_every_combination_in_the_order_given() -> None:
    sweep = Sweep(axes=Axes(filters=(32, 16), pooling=("none", "max")), seeds=(1, 0))
    assert [trial.name for trial in sweep.trials()] == [
        "f32-none-s1", "f32-max-s1", "f16-none-s1", "f16-max-s1",
        "f32-none-s0", "f32-max-s0", "f16-none-s0", "f16-max-s0",
    ]  # fmt: skip
    assert sweep.labels == ("f32-none", "f32-max", "f16-none", "f16-max")


def test_a_sweep_without_axes_is_the_base_alone() -> None:
    sweep = Sweep(variant=Variant(filters=8))
    assert [trial.variant for trial in sweep.trials()] == [Variant(filters=8)]


def test_seeds_are_added_in_rounds_of_which_two_are_certain() -> None:
    sweep = Sweep(axes=Axes(filters=(32, 16)), max_rounds=4)
    assert (sweep.seeds, sweep.first_seeds, sweep.all_seeds) == ("auto", (0, 1), (0, 1, 2, 3))
    assert [trial.name for trial in sweep.trials()] == [
        "f32-max-s0", "f16-max-s0", "f32-max-s1", "f16-max-s1",
    ]  # fmt: skip
    assert [trial.name for trial in sweep.trials([3])] == ["f32-max-s3", "f16-max-s3"]


def test_one_variant_leaves_nothing_to_decide() -> None:
    assert Sweep().first_seeds == Sweep().all_seeds == (0,)


def test_listed_seeds_are_all_certain() -> None:
    sweep = Sweep(seeds=(5, 1, 3))
    assert sweep.first_seeds == sweep.all_seeds == (5, 1, 3)


@pytest.mark.parametrize("sweep", [Sweep(), Sweep(decide=0.5, max_rounds=3), Sweep(seeds=(0, 1))])
def test_json_and_back_is_the_same_sweep(sweep: Sweep) -> None:
    again = Sweep.model_validate_json(sweep.model_dump_json())
    assert again == sweep
    assert again.content_hash() == sweep.content_hash()


def test_listed_seeds_are_written_without_what_holds_for_auto_alone() -> None:
    assert not {"decide", "max_rounds"} & Sweep(seeds=(0, 1)).model_dump().keys()
    assert {"decide", "max_rounds"} < Sweep().model_dump().keys()


def test_a_setting_of_the_training_is_an_axis_too() -> None:
    sweep = Sweep(
        axes=Axes(pooling=("max", "none"), learning_rate=(0.003, 0.001), epochs=(9,)),
        training=Training(learning_rate=0.5, batch_size=32),
        seeds=(0,),
    )
    assert sweep.labels == ("f64-max-lr0.003", "f64-max", "f64-none-lr0.003", "f64-none")
    assert [trial.training for trial in sweep.trials()] == [
        Training(learning_rate=rate, batch_size=32, epochs=9) for rate in (0.003, 0.001) * 2
    ]


def test_the_baseline_has_the_training_that_is_shared() -> None:
    axes = Axes(pooling=("none", "max"), optimizer=("sgd", "adam"))
    assert Sweep(axes=axes).baseline_label == "f64-max"
    sgd = Sweep(axes=axes, training=Training(optimizer="sgd"))
    assert sgd.baseline_label == "f64-max-sgd"


@pytest.mark.parametrize(
    ("axes", "names"),
    [
        ({"learning_rate": (1e-5, 1, 0.25)}, ("lr0.00001", "lr1", "lr0.25")),
        ({"optimizer": ("adamw", "sgd")}, ("adamw", "sgd")),
        ({"batch_size": (32, 256), "epochs": (5, 50)}, ("b32", "b32-e50", "b256", "b256-e50")),
        ({"schedule": ("cosine", "constant")}, ("cosine", "")),
        ({"class_weights": ("none", "balanced")}, ("", "balanced")),
        ({"patience": (3, 10)}, ("patience3", "patience10")),
        ({"ema_momentum": (0.99, 0.999)}, ("ema0.99", "ema0.999")),
        ({"weight_decay": (0.0, 0.01)}, ("wd0", "wd0.01")),
        (
            {"augmentation": ("none", "flip+shift", "random-erase")},
            ("", "flip-shift", "random-erase"),
        ),
        ({"activation": ("relu", "gelu"), "schedule": ("one-cycle",)}, ("", "gelu")),
    ],
)
def test_a_name_tells_what_differs_in_the_training(
    axes: dict[str, Any], names: tuple[str, ...]
) -> None:
    found = Sweep(axes=Axes(**axes)).labels
    assert found == tuple("-".join(filter(None, ["f64-max", name])) for name in names)


def test_values_of_axes_must_fit_together() -> None:
    with pytest.raises(ValidationError) as error:
        Sweep(axes=Axes(learning_rate=(0.001, 1.0), weight_decay=(0.1, 5.0)))
    assert "weight_decay must be less than 1 / learning_rate" in messages(error)


def test_names_with_a_hash_are_those_from_before_the_choice_of_an_activation() -> None:
    fields = {"filters": [1024, 512, 256, 128, 64, 32], "kernel_size": 15, "padding": "same"}
    assert Variant(**fields, dense_units=16_384, pooling="average", batch_norm=True).name == (
        "f1024-512-256-128-64-32-average-k15-sam-8958a811"
    )


def test_names_of_trainings_stay_short_and_their_own() -> None:
    variant = {"filters": [1024, 512, 256, 128, 64, 32], "padding": "same"}
    rates = (0.1234567891, 0.1234567892, 1e-300)
    sweep = Sweep(variant=variant, axes=Axes(learning_rate=rates, ema_momentum=(0.9, 0.99)))
    assert len(set(sweep.labels)) == 6
    assert all(re.fullmatch(LABEL_PATTERN, trial.name) for trial in sweep.trials([2**31 - 1]))


def test_layers_may_be_listed_along_an_axis() -> None:
    sweep = Sweep(axes=Axes(filters=(64, (32, 64), (8, 16, 32))), seeds=(0,))
    assert [trial.variant.filters for trial in sweep.trials()] == [
        (64, 64),
        (32, 64),
        (8, 16, 32),
    ]


def test_pooling_along_an_axis_gets_its_window_back() -> None:
    sweep = Sweep(variant=Variant(pooling="none"), axes=Axes(pooling=("none", "max")), seeds=(0,))
    assert [trial.variant.pool_size for trial in sweep.trials()] == [1, 2]


def test_an_entry_changes_the_training_of_its_trial_only() -> None:
    sweep = Sweep(
        entries=(Entry(), Entry(label="long", training={"epochs": 9})),
        training=Training(batch_size=32),
        seeds=(0,),
    )
    short, long = sweep.trials()
    assert (short.training.epochs, long.training.epochs) == (5, 9)
    assert short.training.batch_size == long.training.batch_size == 32
    assert long.name == "long-s0"


def test_adam_and_adamw_differ_where_no_decay_is_set() -> None:
    sweep = Sweep(axes=Axes(optimizer=("adam", "adamw")))
    assert sweep.labels == ("f64-max", "f64-max-adamw")
    assert (
        Training(optimizer="adamw").recipe == Training(optimizer="adam", weight_decay=0.004).recipe
    )
    assert Training(optimizer="sgd", weight_decay=0.0).recipe == Training(optimizer="sgd")
    assert Training().recipe == Training()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"axes": {"filters": []}}, "axes.filters is empty"),
        ({"axes": {"filters": [16, 16]}}, "'f16-max' is listed twice"),
        ({"axes": {"filters": [64, [64, 64]]}}, "'f64-max' is listed twice"),
        (
            {"axes": {"optimizer": ["adam", "adamw"]}, "training": {"weight_decay": 0.01}},
            "'f64-max-adamw' is listed twice (also as 'f64-max'); "
            "both train with optimizer adamw and weight_decay 0.01",
        ),
        (
            {"axes": {"optimizer": ["adam", "adamw"], "weight_decay": [0.0, 0.01]}},
            "both train with optimizer adam and no weight_decay",
        ),
        ({"axes": {"pooling": ["none"], "pool_size": [2, 3]}}, "pool_size changes nothing"),
        ({"axes": {"filters": [8]}, "entries": [{}]}, "not both"),
        ({"seeds": [0, 0]}, "seeds lists 0 2 times"),
        ({"seeds": [0], "decide": 1.0}, "decide needs seeds 'auto'"),
        ({"seeds": [0, 0], "max_rounds": 3}, "max_rounds needs seeds 'auto'"),
        ({"seeds": "all"}, "'auto'"),
        ({"decide": 0.0}, "greater than 0"),
        ({"decide": 20.5}, "less than or equal to 20"),
        ({"max_rounds": 1}, "greater than or equal to 2"),
        ({"seeds": []}, "at least 1 item"),
        ({"seeds": [True]}, "valid integer"),
        ({"seeds": [-1]}, "greater than or equal to 0"),
        ({"baseline": "f99-max"}, "baseline must be one of ['f64-max']"),
        ({"name": "No Spaces"}, "match pattern"),
        ({"entries": [{}, {"training": {"epochs": 9}}]}, "different trials; give them labels"),
        ({"entries": [{"training": {"epochs": 0}}]}, "epochs"),
        ({"entries": [{"label": "a"}, {"label": "b"}]}, "(also as 'a')"),
        (
            {"variant": {"filters": [8, 16]}, "axes": {"conv_layers": [2, 3]}},
            "conv_layers cannot be an axis",
        ),
        ({"axis": {}}, "Extra inputs"),
    ],
)
def test_a_wrong_sweep_is_refused_with_its_reason(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as error:
        Sweep.model_validate(fields)
    assert said in messages(error)


def test_a_name_stays_short_and_its_own_where_everything_differs() -> None:
    fields: dict[str, object] = {
        "filters": [1024, 512, 256, 128, 64, 32],
        "pooling": "average",
        "kernel_size": 15,
        "padding": "same",
        "dense_units": 16_384,
        "batch_norm": True,
    }
    names = {Variant(**fields, dropout=share).name for share in (0.123456, 0.123457)}
    assert len(names) == 2
    for name in names:
        trial = Trial(variant=Variant(), training=Training(), seed=2**31 - 1, label=name)
        assert re.fullmatch(LABEL_PATTERN, trial.name)


def test_an_expectation_must_name_a_variant_of_the_sweep() -> None:
    expect = (Expectation(metric="macs", direction="lower", against="f99-max"),)
    with pytest.raises(ValidationError) as error:
        Sweep(entries=(Entry(expect=expect),))
    assert "expect.against must be one of ['f64-max'], received 'f99-max'" in messages(error)


def test_the_baseline_is_the_tutorials_network_else_the_first() -> None:
    assert Sweep(axes=Axes(filters=(16, 64))).baseline_label == "f64-max"
    assert Sweep(axes=Axes(filters=(16, 32))).baseline_label == "f16-max"
    assert Sweep(axes=Axes(filters=(16, 32)), baseline="f32-max").baseline_label == "f32-max"


def test_every_field_says_what_it_is() -> None:
    for model in (Variant, Training, DataSettings, Axes, Sweep, Entry, Expectation):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"


def test_the_metric_of_auto_follows_from_the_classes() -> None:
    """More than three times as many images of the largest class as of the smallest."""
    sweep = Sweep()
    assert sweep.metric == "auto" and sweep.measure == "accuracy"
    assert sweep.measured_on((300, 200, 100)) is sweep
    unequal = sweep.measured_on((301, 0, 100))
    assert unequal.metric == unequal.measure == "balanced_accuracy"
    for asked in ("accuracy", "balanced_accuracy", "macro_f1"):
        chosen = Sweep(metric=asked)
        assert chosen.measured_on((999, 1)) is chosen and chosen.measure == asked


def test_a_metric_is_written_where_it_was_asked_for_or_found() -> None:
    """Without one, a sweep is the same as before there were metrics."""
    assert "metric" not in Sweep().model_dump()
    for sweep in (Sweep(metric="accuracy"), Sweep().measured_on((9, 1))):
        assert Sweep.model_validate(sweep.model_dump()) == sweep
        assert sweep.content_hash() != Sweep().content_hash()
