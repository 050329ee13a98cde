"""pydantic's errors as plain lines."""

from typing import Any

import pytest

from cnn_pipeline.settings.faults import dotted, find_faults, model_at, shown
from cnn_pipeline.settings.sweep import Sweep


def lines(data: dict[str, Any]) -> list[str]:
    _, faults = find_faults(Sweep, data, refers=("baseline",))
    return [fault.text(dotted) for fault in faults]


def test_right_data_has_no_faults() -> None:
    sweep, faults = find_faults(Sweep, {"seeds": [1, 2]})
    assert sweep == Sweep(seeds=(1, 2))
    assert faults == ()


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"axes": {"filters": [0]}}, "axes.filters[0]: must be at least 1, received 0"),
        ({"axes": {"filters": [1025]}}, "axes.filters[0]: must be at most 1024, received 1025"),
        ({"axes": {"filters": [[]]}}, "axes.filters[0]: must not be empty"),
        (
            {"axes": {"filters": [[1] * 7]}},
            "axes.filters[0]: must have at most 6 values, received 7",
        ),
        (
            {"variant": {"filters": 1.5}},
            "variant.filters: must be a whole number or a list, received 1.5",
        ),
        ({"axes": 3}, "axes: must be a table, received 3"),
        ({"axes": {"dropout": 0.5}}, "axes.dropout: must be a list, received 0.5"),
        (
            {"axes": {"batch_norm": ["yes"]}},
            "axes.batch_norm[0]: must be true or false, received 'yes'",
        ),
        ({"training": {"epochs": True}}, "training.epochs: must be a whole number, received true"),
        (
            {"training": {"learning_rate": 0}},
            "training.learning_rate: must be more than 0, received 0",
        ),
        (
            {"training": {"learning_rate": float("inf")}},
            "training.learning_rate: must be a finite number, received inf",
        ),
        (
            {"training": {"stop_at_accuracy": 1.5}},
            "training.stop_at_accuracy: must be at most 1, received 1.5",
        ),
        (
            {"training": {"optimizer": "adm"}},
            "training.optimizer: must be adam, adamw, rmsprop or sgd, received 'adm'; "
            "did you mean 'adam'?",
        ),
        ({"data": {"source": ""}}, "data.source: must not be empty"),
        ({"seed": [0]}, "seed: unknown key; did you mean 'seeds'?"),
        (
            {"entries": [{"expect": [{"metric": "macs", "direction": "lower"}]}]},
            "entries[0].expect[0].against: is required",
        ),
        ({"seeds": []}, "seeds: must not be empty"),
        ({"baseline": "f9-max"}, "baseline must be one of ['f64-max'], received 'f9-max'"),
    ],
)
def test_a_fault_says_where_and_what(data: dict[str, Any], line: str) -> None:
    assert lines(data) == [line]


def test_no_line_shows_how_pydantic_is_built() -> None:
    text = "\n".join(
        lines({"axes": {"filters": [0, "x", [0, "x"], None, {}, []], "kernel_size": [0, None]}})
    )
    assert "function-" not in text and "constrained" not in text and "Input" not in text
    assert len(text.splitlines()) == 9


def test_faults_of_fields_and_between_fields_come_together() -> None:
    assert lines({"axes": {"filters": [16, 16]}, "training": {"epochs": 0}}) == [
        "training.epochs: must be at least 1, received 0",
        "variant 'f16-max' is listed twice",
    ]


def test_the_value_is_built_of_what_is_right() -> None:
    sweep, faults = find_faults(Sweep, {"seeds": [3], "training": {"epochs": 0}})
    assert len(faults) == 1
    assert sweep == Sweep(seeds=(3,))


def test_nothing_is_built_where_values_do_not_fit_together() -> None:
    sweep, faults = find_faults(Sweep, {"seeds": [3, 3]})
    assert sweep is None and len(faults) == 1


def test_what_was_received_fits_on_a_line() -> None:
    assert shown(True) == "true"
    assert shown("x") == "'x'"
    assert len(shown("x" * 1000)) == 60


def test_the_model_at_a_path() -> None:
    variant = model_at(Sweep, ("entries", 0, "variant"))
    assert variant is not None and variant.__name__ == "Variant"
    assert model_at(Sweep, ("seeds",)) is None
    assert model_at(Sweep, ("nothing", "here")) is None
