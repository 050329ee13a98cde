"""From settings to three splits with a digest, and the description of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnn_pipeline.base.errors import DataError, InvalidInput
from cnn_pipeline.data.dataset import Dataset, Split, load_dataset
from cnn_pipeline.data.describe import describe, render
from cnn_pipeline.data.fetching.sources import Folder
from cnn_pipeline.settings.trial import DataSettings

NOWHERE = Path("/nonexistent")


@pytest.fixture
def own(tmp_path) -> Path:
    """40 + 10 grey images of two classes."""
    rng = np.random.default_rng(0)
    path = tmp_path / "own.npz"
    np.savez(
        path,
        x_train=rng.integers(0, 256, (40, 8, 9), dtype=np.uint8),
        y_train=np.arange(40) % 2,
        x_test=rng.integers(0, 256, (10, 8, 9), dtype=np.uint8),
        y_test=np.arange(10) % 2,
    )
    return path


def settings(path: Path, **changes: int) -> DataSettings:
    return DataSettings(**{"source": str(path), "validation_size": 10, **changes})


def test_own_data(own) -> None:
    dataset = load_dataset(settings(own), NOWHERE)

    assert dataset.name == "own"
    assert dataset.source == "your own files"
    assert dataset.image_shape == (8, 9, 1)
    assert dataset.num_classes == 2
    roles = {s.role: s for s in (dataset.train, dataset.validation, dataset.test)}
    assert {role: len(split) for role, split in roles.items()} == {
        "train": 30,
        "validation": 10,
        "test": 10,
    }
    for split in roles.values():
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int64
        assert not split.images.flags.writeable
        assert not split.labels.flags.writeable
        assert np.bincount(split.labels).tolist() == [len(split) // 2] * 2


def test_training_and_validation_are_the_training_file(own) -> None:
    dataset = load_dataset(settings(own), NOWHERE)
    with np.load(own) as arrays:
        whole = {
            (image.tobytes(), label)
            for image, label in zip(arrays["x_train"], arrays["y_train"], strict=True)
        }
        assert np.array_equal(dataset.test.images[..., 0], arrays["x_test"])

    pieces = [
        {(i.tobytes(), label) for i, label in zip(split.images, split.labels, strict=True)}
        for split in (dataset.train, dataset.validation)
    ]
    assert pieces[0] | pieces[1] == whole
    assert not pieces[0] & pieces[1]


def test_digest_names_the_source_data_not_the_split_or_the_file(own, tmp_path) -> None:
    digest = load_dataset(settings(own), NOWHERE).digest
    with np.load(own) as arrays:
        content = dict(arrays)
    np.savez_compressed(tmp_path / "again.npz", **content)
    content["x_test"][-1, -1, -1] ^= 1
    np.savez_compressed(tmp_path / "changed.npz", **content)

    assert len(digest) == 64
    assert load_dataset(settings(own, split_seed=1, train_limit=4), NOWHERE).digest == digest
    assert load_dataset(settings(tmp_path / "again.npz"), NOWHERE).digest == digest
    assert load_dataset(settings(tmp_path / "changed.npz"), NOWHERE).digest != digest
    (tmp_path / "classes.txt").write_text("hat\nshoe\n")
    assert load_dataset(settings(own), NOWHERE).digest != digest


def test_sizes_are_checked_against_own_data(own) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_dataset(settings(own, validation_size=39, train_limit=2), NOWHERE)

    assert len(caught.value.faults) == 2


def test_sizes_of_named_data_are_refused_before_data_is_touched() -> None:
    with pytest.raises(InvalidInput, match="validation_size must be 10 to 59,990"):
        load_dataset(DataSettings(validation_size=60_000), NOWHERE, sources=[])


def test_sample_never_stands_in_for_the_whole(tmp_path) -> None:
    with pytest.raises(DataError, match="No source delivered train-images-idx3-ubyte"):
        load_dataset(DataSettings(), tmp_path, sources=[Folder("empty", tmp_path)])


def test_description_counts_and_finds_duplicates() -> None:
    def image(value: int) -> np.ndarray:
        return np.full((2, 3, 1), value, dtype=np.uint8)

    def split(role: str, values: list[int], labels: list[int]) -> Split:
        return Split(role, np.stack([image(v) for v in values]), np.array(labels, dtype=np.int64))

    dataset = Dataset(
        name="toy",
        class_names=("hat", "ankle boot"),
        train=split("train", [1, 2, 1, 3], [0, 0, 1, 1]),
        validation=split("validation", [3, 4], [0, 1]),
        test=split("test", [4, 4, 5, 2], [0, 0, 0, 0]),
        digest="d" * 64,
        source="here",
    )
    description = describe(dataset)

    assert description.shared_with_test == 3  # 4, 4 and 2
    assert description.repeated_in_train == 2  # the second 1, the second 3
    assert [s.per_class for s in description.splits] == [(2, 2), (1, 1), (4, 0)]
    assert render(description).splitlines() == [
        "data set    toy",
        "source      here",
        f"digest      sha256:{'d' * 64}",
        "images      2x3x1 (grey), uint8",
        "duplicates  3 test images are also among the training or validation images",
        "            2 training or validation images repeat an earlier one",
        "",
        "class            train  validation        test",
        "hat                  2           1           4",
        "ankle boot           2           1           0",
        "all                  4           2           4",
    ]


def test_real_data_set(real_cache) -> None:
    dataset = load_dataset(DataSettings(), real_cache)
    description = describe(dataset)

    assert dataset.name == "fashion-mnist"
    assert dataset.image_shape == (28, 28, 1)
    assert dataset.class_names[9] == "Ankle boot"
    assert dataset.digest == "b2871a36f069ace533a38f5d7e64d43fb0b4788a983d394e798e5bc96f56c534"
    assert [s.per_class for s in description.splits] == [(5500,) * 10, (500,) * 10, (1000,) * 10]

    assert (description.shared_with_test, description.repeated_in_train) == (0, 0)
