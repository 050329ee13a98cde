"""From settings to three splits with a digest, and the description of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn_pipeline.base.errors import DataError, InvalidInput
from cnn_pipeline.data.dataset import Dataset, Split, load_dataset
from cnn_pipeline.data.describe import describe, render
from cnn_pipeline.data.fetching.sources import Folder
from cnn_pipeline.data.preparation import FASHION, Preparation
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


def settings(path: Path, **changes: int | str | None) -> DataSettings:
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


def test_validation_images_of_their_own_are_used(own) -> None:
    with np.load(own) as arrays:
        content = dict(arrays)
    before = load_dataset(settings(own), NOWHERE).digest
    validation = np.arange(6 * 72, dtype=np.uint8).reshape(6, 8, 9)
    np.savez(own, **content, x_val=validation, y_val=np.arange(6) % 2)

    dataset = load_dataset(settings(own, validation_size=None), NOWHERE)

    assert np.array_equal(dataset.validation.images[..., 0], validation)
    assert np.array_equal(dataset.train.images[..., 0], content["x_train"])
    assert np.array_equal(dataset.test.images[..., 0], content["x_test"])
    assert dataset.digest != before
    with pytest.raises(InvalidInput, match="validation_size must be left out: the data have 6 val"):
        load_dataset(settings(own), NOWHERE)


def test_test_images_are_drawn_where_there_are_none(own) -> None:
    with np.load(own) as arrays:
        images, labels = arrays["x_train"], arrays["y_train"]
    np.savez(own, images=images, labels=labels)

    dataset = load_dataset(settings(own, validation_size=None), NOWHERE)

    splits = (dataset.train, dataset.validation, dataset.test)
    assert [len(split) for split in splits] == [27, 5, 8]
    assert {image.tobytes() for split in splits for image in split.images} == {
        image.tobytes() for image in images
    }
    assert np.bincount(dataset.test.labels).tolist() == [4, 4]
    other = load_dataset(settings(own, validation_size=None, split_seed=1), NOWHERE)
    assert np.array_equal(other.test.images, dataset.test.images)
    assert not np.array_equal(other.validation.images, dataset.validation.images)
    assert other.digest == dataset.digest


def test_one_image_of_each_class_leaves_none_for_a_test(own) -> None:
    np.savez(own, images=np.zeros((2, 8, 9), np.uint8), labels=np.arange(2))

    with pytest.raises(InvalidInput, match="a class must have at least 2"):
        load_dataset(settings(own, validation_size=None), NOWHERE)


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
        notes=("3 of 9 pictures: padded",),
        preparation=Preparation(fit="crop", drawing="dark-on-light"),
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
        "pictures    crop, dark on light",
        "            3 of 9 pictures: padded",
        "duplicates  3 test images are also among the training or validation images",
        "            2 training or validation images repeat an earlier one",
        "            0 further test images are nearly the same as one of those",
        "",
        "class            train  validation        test",
        "hat                  2           1           4",
        "ankle boot           2           1           0",
        "all                  4           2           4",
        "",
        "warning: 1 class (ankle boot) without a test image: its accuracy is not measured",
        "warning: 2 classes (hat, ankle boot) with fewer than 20 training and validation",
        "  images: their accuracy is mostly luck",
    ]


def drawn(count: int, ground: int, ink: int) -> np.ndarray:
    """uint8 `[count, 8, 9]`: a different stroke in each."""
    images = np.full((count, 8, 9), ground, np.uint8)
    for at, image in enumerate(images):
        image[1 + at % 6, 1 : 3 + at % 5] = ink
    return images


@pytest.mark.parametrize(
    ("ground", "ink", "drawing"), [(0, 255, "light-on-dark"), (255, 0, "dark-on-light")]
)
def test_own_data_have_their_own_drawing_whatever_their_name(
    ground: int, ink: int, drawing: str, tmp_path: Path
) -> None:
    path = tmp_path / "fashion-mnist-2024.npz"
    train, test = drawn(40, ground, ink), drawn(10, ground, ink)
    np.savez(path, x_train=train, y_train=np.arange(40) % 2, x_test=test, y_test=np.arange(10) % 2)
    dataset = load_dataset(settings(path), NOWHERE)
    assert dataset.name == "fashion-mnist-2024"
    assert dataset.preparation == Preparation(drawing=drawing)
    assert load_dataset(DataSettings(source="fashion-mnist-sample"), NOWHERE).preparation == FASHION


def test_arrays_are_prepared_as_declared(own: Path) -> None:
    plain = load_dataset(settings(own), NOWHERE)
    same = load_dataset(settings(own, image_size="8x9", fit="crop", color="grey"), NOWHERE)
    assert same.digest == plain.digest
    assert same.notes == ()
    larger = load_dataset(settings(own, image_size="12x9", color="rgb"), NOWHERE)
    assert larger.image_shape == (12, 9, 3)
    assert larger.preparation == Preparation(background="#ffffff")
    assert larger.notes == (
        "50 of 50 images: grey repeated in three channels",
        "50 of 50 images: resized to 12x9 (height x width)",
        "50 of 50 images: padded",
    )
    for split in ("train", "validation", "test"):
        images, originals = getattr(larger, split).images, getattr(plain, split).images
        assert (images[:, :2] == 255).all() and (images[:, -2:] == 255).all()
        np.testing.assert_array_equal(images[:, 2:-2], originals.repeat(3, axis=3))


def test_settings_that_change_no_pixel_do_not_change_the_digest(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for role, count in (("train", 12), ("test", 4)):
        for at in range(count):
            path = tmp_path / "photos" / role / "ab"[at % 2] / f"{at}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (6, 7, 3), dtype=np.uint8)).save(path)
    photos = settings(tmp_path / "photos", validation_size=4)
    plain = load_dataset(photos, tmp_path)
    declared = {"image_size": "6x7", "fit": "stretch", "color": "rgb", "background": "black"}
    same = load_dataset(photos.model_copy(update=declared), tmp_path)
    assert same.digest == plain.digest
    assert same.preparation == Preparation(fit="stretch", background="#000000")
    other = load_dataset(photos.model_copy(update={"image_size": "7x7"}), tmp_path)
    assert other.digest != plain.digest
    assert other.image_shape == (7, 7, 3)


def test_a_named_data_set_is_not_prepared_another_way() -> None:
    given = {"image_size": "32x32", "background": "black"}
    with pytest.raises(InvalidInput) as caught:
        load_dataset(DataSettings(source="fashion-mnist-sample", **given), NOWHERE)
    assert [fault.split(" must ")[0] for fault in caught.value.faults] == list(given)


def test_real_data_set(real_cache) -> None:
    dataset = load_dataset(DataSettings(), real_cache)
    description = describe(dataset)

    assert dataset.name == "fashion-mnist"
    assert dataset.image_shape == (28, 28, 1)
    assert dataset.class_names[9] == "Ankle boot"
    assert dataset.digest == "b2871a36f069ace533a38f5d7e64d43fb0b4788a983d394e798e5bc96f56c534"
    assert [s.per_class for s in description.splits] == [(5500,) * 10, (500,) * 10, (1000,) * 10]

    assert (description.shared_with_test, description.repeated_in_train) == (0, 0)
