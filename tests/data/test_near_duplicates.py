"""Near duplicates: what is one, what is none, and that none is missed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnn_pipeline.data import describe as describing
from cnn_pipeline.data.dataset import Dataset, Split, load_dataset
from cnn_pipeline.data.describe import describe
from cnn_pipeline.data.near_duplicates import LIMIT, NearDuplicate, near_duplicates
from cnn_pipeline.settings.trial import DataSettings

RNG = np.random.default_rng(20260101)


def noise(count: int, height: int = 12, width: int = 10, channels: int = 1) -> np.ndarray:
    return RNG.integers(0, 256, (count, height, width, channels)).astype(np.uint8)


def dataset(train: np.ndarray, validation: np.ndarray, test: np.ndarray) -> Dataset:
    def split(role: str, images: np.ndarray) -> Split:
        return Split(role, images, np.arange(len(images), dtype=np.int64) % 2)

    return Dataset(
        name="toy",
        class_names=("hat", "boot"),
        train=split("train", train),
        validation=split("validation", validation),
        test=split("test", test),
        digest="d" * 64,
        source="here",
    )


def shifted(image: np.ndarray, share: float) -> np.ndarray:
    """The image with every second pixel changed so that the difference is `share` of contrast."""
    rows = image.reshape(-1).astype(float)
    change = np.where(np.arange(rows.size) % 2, 1.0, -1.0) * share * rows.std()
    rows = np.where((rows + change < 0) | (rows + change > 255), rows - change, rows + change)
    return np.round(rows).astype(np.uint8).reshape(image.shape)


@pytest.mark.parametrize("shape", [(12, 10, 1), (12, 10, 3), (3, 4, 1), (50, 70, 3)])
def test_a_picture_that_was_saved_twice_is_found(shape: tuple[int, int, int]) -> None:
    train, validation, test = noise(30, *shape), noise(8, *shape), noise(6, *shape)
    test[1] = shifted(validation[3], 0.02)
    test[4] = shifted(train[17], 0.04)
    found = near_duplicates(dataset(train, validation, test))
    assert [(f.test, f.role, f.position) for f in found] == [(1, "validation", 3), (4, "train", 17)]
    assert (found[1].label, found[1].other_label) == (0, 1)
    assert 0 < found[0].difference < found[1].difference < LIMIT


def test_the_nearest_of_several_is_named() -> None:
    train, test = noise(9), noise(2)
    train[2], train[5], train[7] = (shifted(test[0], share) for share in (0.08, 0.03, 0.06))
    (found,) = near_duplicates(dataset(train, noise(2), test))
    assert found == NearDuplicate(
        test=0, label=0, role="train", position=5, other_label=1, difference=found.difference
    )
    assert found.difference == pytest.approx(0.03, abs=0.005)


def test_every_pair_below_the_limit_is_found_and_none_above() -> None:
    """As by comparing all pairs, which would take minutes for Fashion-MNIST."""
    smooth = np.kron(noise(40, 3, 3), np.ones((1, 4, 4, 1), np.uint8))
    test = np.stack([shifted(image, share) for image, share in
                     zip(smooth, np.linspace(0.01, 0.2, 40), strict=True)])  # fmt: skip
    data = dataset(smooth[:30], smooth[30:], test)
    others = smooth.reshape(40, -1).astype(float)
    expected = set()
    for number, row in enumerate(test.reshape(40, -1).astype(float)):
        apart = np.sqrt(((others - row) ** 2).mean(axis=1)) / row.std()
        if apart.min() <= LIMIT:
            expected.add((number, int(apart.argmin())))
    found = near_duplicates(data)
    assert 5 < len(expected) < 35
    assert {(f.test, f.position + 30 * (f.role == "validation")) for f in found} == expected


def test_no_near_duplicates_are() -> None:
    """An identical image, another brightness, images of one colour, and other images."""
    train, test = noise(5), noise(5)
    test[0] = train[0]
    train[1] = 60 + train[1] // 4
    test[1] = train[1] + 90
    train[2], test[2] = 100, 101
    assert near_duplicates(dataset(train, noise(1), test)) == ()


def test_a_description_lists_three_and_counts_the_rest() -> None:
    train, test = noise(8), noise(8)
    for i in range(5):
        test[i] = shifted(train[i], 0.02)
    lines = describing.render(describe(dataset(train, noise(2), test))).splitlines()
    start = lines.index("            5 further test images are nearly the same as one of those")
    assert lines[start + 4] == "            and 2 more" and lines[start + 5] == ""
    assert all(" and train image " in line for line in lines[start + 1 : start + 4])


def test_what_was_found_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, validation, test = noise(8), noise(2), noise(3)
    test[0] = shifted(train[3], 0.02)
    first = describe(dataset(train, validation, test), tmp_path)
    assert len(first.near_duplicates) == 1

    def never(data: Dataset) -> tuple[NearDuplicate, ...]:
        raise AssertionError

    monkeypatch.setattr(describing.near_duplicates, "near_duplicates", never)
    assert describe(dataset(train, validation, test), tmp_path) == first
    with pytest.raises(AssertionError):  # other images
        describe(dataset(train[::-1].copy(), validation, test), tmp_path)


def test_fashion_mnist_has_twelve(real_cache: Path) -> None:
    """Each was looked at: the same garment, sometimes in another photograph."""
    data = load_dataset(DataSettings(), real_cache)
    found = near_duplicates(data)
    assert [f.test for f in found[:3]] == [4998, 9867, 6210]
    assert len(found) == 12 and all(f.label == f.other_label for f in found)
