"""Flags made from the configuration's fields, and the sweeps they describe."""

from pathlib import Path

import pytest
from click import Option
from PIL import Image

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.cli.commands.retrain import command
from cnn_pipeline.cli.flags import (
    FLAGS,
    checked_sweep,
    data_from_flags,
    flagged,
    sweep_from_flags,
)
from cnn_pipeline.settings.named import RECIPES
from cnn_pipeline.settings.trial import DataSettings, Training, Variant


def faults_of(**values: str) -> list[str]:
    with pytest.raises(InvalidInput) as error:
        sweep_from_flags(values)
    return list(error.value.faults)


def test_every_field_has_a_flag_with_its_docstring() -> None:
    helps = {flag.path[-1]: flag.help for flag in FLAGS}
    for model in (Variant, Training, DataSettings):
        for name, field in model.model_fields.items():
            assert field.description and helps[name].startswith(field.description)
    assert "seeds" in helps
    assert len({flag.name for flag in FLAGS}) == len(FLAGS)


def test_the_help_shows_the_default_sweeps_values() -> None:
    helps = {flag.name: flag.help for flag in FLAGS}
    assert helps["--filters"].endswith("(default 16,32,64)")
    assert helps["--pooling"].endswith("(default max,none)")
    assert helps["--epochs"].endswith("(default 5)")
    assert helps["--train-limit"].endswith("(default none)")
    assert helps["--batch-norm"].endswith("(default false)")


def test_the_help_of_retrain_shows_the_values_of_its_own_sweep() -> None:
    helps = {param.opts[0]: param.help for param in command.params if isinstance(param, Option)}
    assert helps["--sweep"].endswith("(default retrain)")
    assert helps["--filters"].endswith("(default 64)")
    assert helps["--seeds"].endswith("(default auto)")


def test_without_flags_it_is_the_default_sweep() -> None:
    assert sweep_from_flags({}).name == "filters-and-pooling"


def test_flags_replace_the_fields_of_the_sweep() -> None:
    sweep = sweep_from_flags(
        {
            "filters": "8, 16-32",
            "pooling": "average",
            "batch_norm": "true,false",
            "dropout": "0.5",
            "seeds": "2,1",
            "epochs": "3",
            "learning_rate": "1e-4",
            "stop_at_accuracy": "0.9",
            "data": "fashion-mnist-sample",
            "train_limit": "600",
        }
    )
    assert sweep.labels == (
        "f8-average-do5-bn", "f8-average-do5",
        "f16-32-average-do5-bn", "f16-32-average-do5",
    )  # fmt: skip
    assert sweep.seeds == (2, 1)
    assert sweep.training == Training(epochs=3, learning_rate=1e-4, stop_at_accuracy=0.9)
    assert sweep.data == DataSettings(source="fashion-mnist-sample", train_limit=600)


def test_other_axes_change_the_description() -> None:
    assert sweep_from_flags({"filters": "8"}).description == "filters-and-pooling with --filters 8"
    default = sweep_from_flags({})
    assert sweep_from_flags({"epochs": "1"}).description == default.description


def test_none_unsets_an_optional_setting() -> None:
    assert sweep_from_flags({"sweep": "smoke"}).data.train_limit == 512
    assert sweep_from_flags({"sweep": "smoke", "train_limit": "none"}).data.train_limit is None


def test_training_flags_change_a_sweep_of_entries() -> None:
    sweep = sweep_from_flags({"sweep": "course-exercises", "epochs": "2"})
    assert {trial.training.epochs for trial in sweep.trials()} == {2}
    assert sweep.baseline == "f64-max"


def test_several_values_of_the_training_are_an_axis_and_one_is_for_all() -> None:
    sweep = sweep_from_flags(
        {"filters": "64", "pooling": "max", "learning_rate": "0.001, 3e-3", "batch_size": "64"}
    )
    assert sweep.labels == ("f64-max", "f64-max-lr0.003")
    assert sweep.axes.learning_rate == (0.001, 0.003)
    assert {trial.training.batch_size for trial in sweep.trials()} == {64}
    assert sweep.description == (
        "filters-and-pooling with --filters 64 --pooling max --learning-rate 0.001, 3e-3"
    )


def test_one_value_takes_the_place_of_an_axis_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('baseline = "f64-max-sgd"\n[axes]\noptimizer = ["adam", "sgd"]')
    assert sweep_from_flags({"sweep": str(file)}).baseline_label == "f64-max-sgd"
    one = sweep_from_flags({"sweep": str(file), "optimizer": "adamw"})
    assert (one.labels, one.trials()[0].training.optimizer) == (("f64-max",), "adamw")


def test_variant_flags_do_not_fit_a_sweep_of_entries() -> None:
    assert faults_of(sweep="course-exercises", epochs="3,5") == [
        "--epochs: sweep 'course-exercises' lists its variants one by one; give one value"
    ]
    assert faults_of(sweep="course-exercises", filters="8", padding="same", epochs="0") == [
        "--filters: sweep 'course-exercises' lists its variants one by one; leave the flag out",
        "--padding: sweep 'course-exercises' lists its variants one by one; leave the flag out",
        "--epochs: must be at least 1, received 0",
    ]


def test_a_baseline_that_flags_take_away_is_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('baseline = "f32-max"\n[axes]\nfilters = [16, 32]')
    assert sweep_from_flags({"sweep": str(file)}).baseline_label == "f32-max"
    assert sweep_from_flags({"sweep": str(file), "filters": "8"}).baseline_label == "f8-max"


WHOLE_OR_LAYERS = "must be a whole number, or one per layer as in 32-64, received"


@pytest.mark.parametrize(
    ("key", "text", "fault"),
    [
        ("filters", "0", "--filters: must be at least 1, received 0"),
        ("filters", "16,0", "--filters: must be at least 1, received 0"),
        ("filters", "2000", "--filters: must be at most 1024, received 2000"),
        ("filters", "16-0", "--filters: must be at least 1, received 0"),
        ("filters", "x", f"--filters: {WHOLE_OR_LAYERS} 'x'"),
        ("filters", "", f"--filters: {WHOLE_OR_LAYERS} ''"),
        ("filters", "16,", f"--filters: {WHOLE_OR_LAYERS} ''"),
        ("filters", "true", f"--filters: {WHOLE_OR_LAYERS} 'true'"),
        ("filters", "16.0", f"--filters: {WHOLE_OR_LAYERS} '16.0'"),
        ("filters", "1_6", f"--filters: {WHOLE_OR_LAYERS} '1_6'"),
        ("filters", "٣", f"--filters: {WHOLE_OR_LAYERS} '٣'"),
        ("filters", "nan", f"--filters: {WHOLE_OR_LAYERS} 'nan'"),
        ("filters", "1-2-3-4-5-6-7", "--filters: must have at most 6 values, received 7"),
        ("conv_layers", "7", "--conv-layers: must be at most 6, received 7"),
        (
            "pooling",
            "maxx",
            "--pooling: must be max, average, strided or none, received 'maxx'; "
            "did you mean 'max'?",
        ),
        ("dropout", "nan", "--dropout: must be a finite number, received nan"),
        ("dropout", "1", "--dropout: must be at most 0.95, received 1.0"),
        ("dropout", "0_1", "--dropout: must be a number, received '0_1'"),
        ("batch_norm", "1", "--batch-norm: must be true or false, received '1'"),
        ("seeds", "-1", "--seeds: must be at least 0, received -1"),
        ("seeds", "0,0", "seeds lists 0 2 times"),
        ("epochs", "0", "--epochs: must be at least 1, received 0"),
        ("epochs", "true", "--epochs: must be a whole number, received 'true'"),
        ("epochs", "5.0", "--epochs: must be a whole number, received '5.0'"),
        ("epochs", "9" * 19, f"--epochs: must be a whole number, received '{'9' * 19}'"),
        ("learning_rate", "0", "--learning-rate: must be more than 0, received 0.0"),
        ("learning_rate", "inf", "--learning-rate: must be a finite number, received inf"),
        ("learning_rate", "-inf", "--learning-rate: must be a finite number, received -inf"),
        ("learning_rate", "1e999", "--learning-rate: must be a finite number, received inf"),
        (
            "weight_decay",
            "1000",
            "--weight-decay: must be at most 100, received 1000.0",
        ),
        ("learning_rate", "0.1,0", "--learning-rate: must be more than 0, received 0.0"),
        ("learning_rate", "0.1,", "--learning-rate: must be a number, received ''"),
        (
            "optimizer",
            "adam,adan",
            "--optimizer: must be adam, adamw, rmsprop or sgd, received "
            "'adan'; did you mean 'adam'?",
        ),
        ("learning_rate", "fast", "--learning-rate: must be a number, received 'fast'"),
        ("stop_at_accuracy", "95", "--stop-at-accuracy: must be at most 1, received 95.0"),
        ("data", "", "--data: must not be empty"),
        ("train_limit", "0", "--train-limit: must be at least 1, received 0"),
    ],
)
def test_a_wrong_value_is_one_plain_line(key: str, text: str, fault: str) -> None:
    assert faults_of(**{key: text}) == [fault]


def test_a_recipe_sets_the_training_and_other_flags_override_it() -> None:
    steady = sweep_from_flags({"recipe": "steady", "epochs": "2"})
    assert steady.training == Training(epochs=2, ema_momentum=0.99)
    assert (
        sweep_from_flags({"recipe": "steady", "ema_momentum": "0.9"}).training.ema_momentum == 0.9
    )
    assert sweep_from_flags({"recipe": "tutorial"}) == sweep_from_flags({})
    assert all(Training(**fields) for fields in RECIPES.values())


def test_an_unknown_recipe_is_refused_with_the_other_faults() -> None:
    assert faults_of(recipe="stedy", epochs="0") == [
        "--recipe: must be tutorial or steady, received 'stedy'; did you mean 'steady'?",
        "--epochs: must be at least 1, received 0",
    ]


def test_every_fault_comes_at_once() -> None:
    faults = faults_of(sweep="smok", filters="0", epochs="0", learning_rate="nan", seeds="1,1")
    assert faults[0].startswith("--sweep: unknown sweep 'smok'; did you mean 'smoke'?")
    assert faults[1:] == [
        "--filters: must be at least 1, received 0",
        "--epochs: must be at least 1, received 0",
        "--learning-rate: must be a finite number, received nan",
        "seeds lists 1 2 times",
    ]


def test_faults_of_a_file_come_with_those_of_the_flags(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[axes]\nfilters = [0]")
    assert faults_of(sweep=str(file), epochs="0") == [
        f"--sweep: {file}: axes.filters[0]: must be at least 1, received 0",
        "--epochs: must be at least 1, received 0",
    ]


def test_faults_of_the_fit_come_with_those_of_the_flags(tmp_path: Path) -> None:
    values = {"epochs": "0", "conv_layers": "6", "filters": "8", "pooling": "max"}
    with pytest.raises(InvalidInput) as error:
        checked_sweep({**values, "batch_size": "60000"}, tmp_path)
    assert [fault.split(",")[0] for fault in error.value.faults[:2]] == [
        "--epochs: must be at least 1",
        "--batch-size: must be at most 55",
    ]
    assert "variant f8-max-c6: the image is too small" in error.value.faults[2]
    assert len(error.value.faults) == 3


def test_invalid_data_flags_are_not_checked_against_the_data(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        checked_sweep({"validation_size": "0", "batch_size": "60000"}, tmp_path)
    assert error.value.faults == ("--validation-size: must be at least 1, received 0",)


def test_sizes_that_do_not_fit_the_data_are_told_by_their_flag(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        checked_sweep({"validation_size": "60000"}, tmp_path)
    assert [fault.split(":")[0] for fault in error.value.faults] == ["--validation-size"]


def test_the_preparation_is_told_by_its_flags(tmp_path: Path) -> None:
    given = {"image_size": "64", "fit": "fold", "color": "gray", "background": "pink"}
    with pytest.raises(InvalidInput) as error:
        data_from_flags({"data": "x", **given})
    assert error.value.faults == (
        "--image-size: must be height x width in pixels, as 64x48, received '64'",
        "--fit: must be pad, crop or stretch, received 'fold'",
        "--color: must be auto, grey or rgb, received 'gray'; did you mean 'grey'?",
        "--background: must be white, black or #rrggbb, as #ff8000, received 'pink'",
    )
    good = {"image_size": "64x48", "fit": "crop", "color": "grey", "background": "#FF8000"}
    settings = data_from_flags({"data": "x", **good})
    assert settings == DataSettings(source="x", **{**good, "background": "#ff8000"})
    assert data_from_flags({"data": "x", "image_size": "none"}) == DataSettings(source="x")
    with pytest.raises(InvalidInput) as error:
        checked_sweep({"image_size": "32x32", "background": "WHITE"}, tmp_path)
    assert error.value.faults == (
        "--image-size: must be left out with fashion-mnist, whose images are 28x28 and grey, "
        "received '32x32'; it is for your own data",
    )


def test_what_becomes_of_own_pictures_is_told_before_they_are_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for role, count in (("train", 12), ("test", 4)):
        for at in range(count):
            path = tmp_path / "photos" / role / "ab"[at % 2] / f"{at}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (20, 20 + at % 2), at).save(path)
    given = {"data": str(tmp_path / "photos"), "batch_size": "2", "image_size": "16x16"}
    _, checked = checked_sweep(given, tmp_path)
    assert checked.shape.image_shape == (16, 16, 1)
    told = capsys.readouterr()
    assert told.out == ""
    assert "data: 16 of 16 pictures: resized to 16x16 (height x width)" in told.err.splitlines()


def test_the_data_flags_alone() -> None:
    assert data_from_flags({"data": "x", "split_seed": "3"}) == DataSettings(
        source="x", split_seed=3
    )


def test_the_metric_is_a_flag() -> None:
    assert sweep_from_flags({}).metric == "auto"
    assert sweep_from_flags({"metric": "macro_f1"}).metric == "macro_f1"
    with pytest.raises(InvalidInput, match="--metric: must be"):
        sweep_from_flags({"metric": "f1"})


@pytest.mark.parametrize(
    ("wrong", "others", "told"),
    [
        ({"filters": "8,O"}, [], "--filters: must be a whole number"),
        ({}, ["--workers: must be 0 to 64, received 'two'"], "--workers"),
    ],
)
def test_own_pictures_are_read_only_if_nothing_else_is_wrong(
    tmp_path: Path, wrong: dict[str, str], others: list[str], told: str
) -> None:
    photos = tmp_path / "photos"
    (photos / "ant").mkdir(parents=True)
    (photos / "ant" / "broken.png").write_bytes(b"no picture")
    with pytest.raises(InvalidInput) as error:
        checked_sweep({"data": str(photos), **wrong}, tmp_path, others)
    (fault,) = error.value.faults
    assert fault.startswith(told)


def test_faults_of_the_data_name_the_flags_that_help() -> None:
    faults = [
        "image_size must be smaller: 9 images need more than 5 bytes; use image_size=64x64",
        "/my/image_size/a.png: group_by 'x' must match the file's name",
        "validation_size must be 2 to 9, received 0; use validation_size=4",
        "train_limit must be at most 8 (10 less validation_size), received 9",
    ]
    assert flagged(InvalidInput(faults)).faults == (
        "--image-size: must be smaller: 9 images need more than 5 bytes; use --image-size 64x64",
        "/my/image_size/a.png: --group-by 'x' must match the file's name",
        "--validation-size: must be 2 to 9, received 0; use --validation-size 4",
        "--train-limit: must be at most 8 (10 less --validation-size), received 9",
    )
