"""Whether a sweep fits its data."""

from pathlib import Path

import numpy as np
import pytest

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.experiment.data_card import DataShape
from cnn_pipeline.experiment.preflight import check_fit, check_sweep
from cnn_pipeline.settings.sweep import Axes, Entry, Sweep
from cnn_pipeline.settings.trial import DataSettings, Training, Variant

MNIST = DataShape((28, 28, 1), 10, 55_000, 10_000)


def faults_of(sweep: Sweep, cache: Path) -> tuple[str, ...]:
    with pytest.raises(InvalidInput) as error:
        check_sweep(sweep, cache)
    return error.value.faults


def test_a_sweep_that_fits_gets_a_plan_per_variant(tmp_path: Path) -> None:
    found = check_sweep(Sweep(axes=Axes(filters=(16, 64)), seeds=(0, 1)), tmp_path / "cache")
    assert {label: plan.num_params for label, plan in found.plans.items()} == {
        "f16-max": 55_098,
        "f64-max": 243_786,
    }
    assert found.shape == MNIST


def test_a_named_data_set_is_not_fetched(tmp_path: Path) -> None:
    check_sweep(Sweep(), tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("data", "num_train"),
    [
        (DataSettings(), 55_000),
        (DataSettings(validation_size=10_000), 50_000),
        (DataSettings(train_limit=300), 300),
        (DataSettings(source="fashion-mnist-sample", validation_size=500), 5_500),
    ],
)
def test_the_training_images_of_a_named_data_set(
    data: DataSettings, num_train: int, tmp_path: Path
) -> None:
    assert check_sweep(Sweep(data=data), tmp_path).shape.num_train == num_train


def test_every_fault_comes_at_once(tmp_path: Path) -> None:
    faults = faults_of(
        Sweep(
            axes=Axes(conv_layers=(2, 5, 6)),
            training=Training(batch_size=6_000),
            data=DataSettings(
                source="fashion-mnist-sample", validation_size=500, train_limit=5_600
            ),
        ),
        tmp_path,
    )
    about = [fault.split(" must ")[0].split(":")[0] for fault in faults]
    assert about == ["train_limit", "batch_size", "variant f64-max-c5", "variant f64-max-c6"]


def test_a_batch_is_at_most_all_training_images() -> None:
    exact = Sweep(training=Training(batch_size=100))
    assert check_fit(exact, DataShape((28, 28, 1), 10, 100, 10))
    with pytest.raises(InvalidInput, match="at most 99, the number of training images") as error:
        check_fit(exact, DataShape((28, 28, 1), 10, 99, 10))
    assert len(error.value.faults) == 1


def test_the_batch_of_an_entry_counts_too() -> None:
    sweep = Sweep(entries=(Entry(), Entry(label="big", training={"batch_size": 60_000})))
    with pytest.raises(InvalidInput, match="received 60,000"):
        check_fit(sweep, MNIST)


def test_own_data_is_read_for_its_shape(tmp_path: Path) -> None:
    labels = np.tile(np.arange(3), 20)
    images = np.zeros((60, 9, 12, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(60)
    path = tmp_path / "own.npz"
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    data = DataSettings(source=str(path), validation_size=6)
    sweep = Sweep(variant=Variant(conv_layers=1), training=Training(batch_size=8), data=data)
    found = check_sweep(sweep, tmp_path)
    assert found.shape == DataShape((9, 12, 3), 3, 54, 60)
    deep = sweep.model_copy(update={"variant": Variant(conv_layers=3, padding="valid")})
    assert "is too small for" in faults_of(deep, tmp_path)[0]


def test_own_data_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    (fault,) = faults_of(Sweep(data=DataSettings(source=str(tmp_path / "none"))), tmp_path)
    assert "none" in fault
