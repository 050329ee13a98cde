"""The flags of a search: what they mean, and every fault at once."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.cli.flags import sweep_from_flags
from cnn_pipeline.cli.search_flags import CheckedSearch, checked_search, search_words
from cnn_pipeline.experiment.search.space import Range


@pytest.fixture(autouse=True)
def optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it were installed: nothing here asks it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())


def checked(**values: str) -> CheckedSearch:
    return checked_search({"data": "fashion-mnist-sample", **values}, Path())


def faults_of(**values: str) -> list[str]:
    with pytest.raises(InvalidInput) as error:
        checked(**values)
    return list(error.value.faults)


def test_ranges_and_lists_are_searched_and_single_values_hold() -> None:
    found = checked(
        search="tpe",
        filters="8..128",
        pooling="max",
        kernel_size="3,5",
        learning_rate="1e-4..1e-2",
        optimizer="adam,adamw",
        epochs="2",
    )
    assert found.search.axes == {
        "filters": Range(8, 128, whole=True),
        "kernel_size": (3, 5),
        "learning_rate": Range(0.0001, 0.01, whole=False),
        "optimizer": ("adam", "adamw"),
    }
    assert (found.search.kind, found.search.trials, found.search.seed) == ("tpe", 20, 1000)
    assert found.base.variant.pooling == "max" and found.base.training.epochs == 2
    assert found.base.axes.given == {} and len(found.base.trials([0])) == 1
    assert search_words(found.search) == " --search tpe --trials 20"


def test_the_lists_of_a_sweep_are_choices() -> None:
    found = checked(search="random", learning_rate="1e-4..1e-2", search_seed="77")
    assert set(found.search.axes) == {"filters", "pooling", "learning_rate"}
    assert search_words(found.search) == " --search random --trials 20 --search-seed 77"


def test_many_choices_need_no_grid() -> None:
    found = checked(
        search="tpe",
        filters="8..128", dense_units="16..256", conv_layers="1,2", padding="valid,same",
        dropout="0..0.5", batch_norm="true,false", activation="relu,gelu,silu",
        learning_rate="1e-4..1e-2", batch_size="32..512", weight_decay="1e-5..1e-1",
    )  # fmt: skip
    assert len(found.search.axes) == 11


def test_every_fault_is_said_at_once() -> None:
    assert faults_of(
        search="tpe",
        trials="2",
        filters="8..4",
        pooling="max..none",
        learning_rate="1e-4..20",
        dropout="0..x",
        seeds="0,1000",
    ) == [
        "--trials: must be from 4 to 1000, received 2",
        "--pooling: cannot be a range, received 'max..none'; list what to choose from",
        "--dropout: must be a range of two numbers, as 8..128, received '0..x'",
        "--learning-rate: must be at most 10, received 20.0",
        "--filters: the lower end must be less than the upper, received 8..4",
        "--search-seed: must not be one of the fresh seeds (0, 1000), received 1000",
    ]


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"search": "bayes"}, "--search: must be tpe, random or hyperband, received 'bayes'"),
        ({"trials": "9"}, "--trials: needs --search"),
        ({"search_seed": "9"}, "--search-seed: needs --search"),
        (
            {"search": "tpe", "filters": "64", "pooling": "max"},
            "--search: needs a setting to search, a range as --filters 8..128 or a list as "
            "--pooling max,none, received none",
        ),
        (
            {"search": "tpe", "filters": "8..10", "pooling": "max"},
            "--trials: must be less than the 3 variants that there are, received 20. Leave "
            "--search out, list the values, and all are trained.",
        ),
        (
            {"search": "hyperband", "filters": "8..128", "epochs": "2"},
            "--epochs: must be at least 3 for --search hyperband, which stops after a third of "
            "them, received 2",
        ),
        (
            {"search": "hyperband", "epochs": "3..9"},
            "--epochs: --search hyperband varies the epochs itself; give one number",
        ),
        (
            {"search": "tpe", "filters": "8..128", "max_rounds": "1"},
            "--max-rounds: must be at least 2, received 1",
        ),
        (
            {"search": "tpe", "filters": "8..128", "search_seed": "9"},
            "--search-seed: must not be one of the fresh seeds (auto, within 1 point, at most 10), "
            "received 9",
        ),
        (
            {"search": "tpe", "kernel_size": "3..15"},
            "variant f64-max-k15: the image is too small",
        ),
    ],
)
def test_faults(values: dict[str, str], fault: str) -> None:
    assert any(one.startswith(fault) for one in faults_of(**values)), faults_of(**values)


def test_a_sweep_without_a_grid_cannot_be_searched(tmp_path: Path) -> None:
    file = tmp_path / "listed.toml"
    file.write_text('name = "listed"\n[[entries]]\nvariant.filters = 8\n')
    assert faults_of(search="tpe", sweep=str(file)) == [
        "--search: needs a grid, and sweep 'listed' lists its variants one by one"
    ]


def test_without_optuna_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert faults_of(search="tpe", filters="8..128") == [
        '--search: needs Optuna, which is not installed: pip install --editable ".[search]"'
    ]


def test_ranges_need_a_search() -> None:
    with pytest.raises(InvalidInput) as error:
        sweep_from_flags({"filters": "8..128", "epochs": "1..2", "dropout": "0.1..0.5"})
    assert list(error.value.faults) == [
        "--filters: a range needs `run --search`, received '8..128'",
        "--dropout: a range needs `run --search`, received '0.1..0.5'",
        "--epochs: a range needs `run --search`, received '1..2'",
    ]


def test_own_pictures_are_read_only_if_nothing_else_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "photos" / "ant").mkdir(parents=True)
    (tmp_path / "photos" / "ant" / "broken.png").write_bytes(b"no picture")
    asked = {"search": "tpe", "data": str(tmp_path / "photos"), "filters": "8..128"}
    for wrong, others in (({"pooling": "max,mex"}, []), ({}, ["unknown flag --x"])):
        with pytest.raises(InvalidInput) as error:
            checked_search(asked | wrong, tmp_path, others)
        (fault,) = error.value.faults
        assert fault.startswith("--pooling: must be max" if wrong else "unknown flag --x")
