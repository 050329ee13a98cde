"""The contact sheet: which pictures, which numbers, and that the page is bounded."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_pipeline.data.dataset import Dataset, Split
from cnn_pipeline.data.describe import describe
from cnn_pipeline.explain.drawing.page import DENSITY, MARGIN
from cnn_pipeline.explain.plots import contact_sheet
from cnn_pipeline.explain.plots.contact_sheet import EACH, MOST_CLASSES, draw_contact_sheet
from tests.explain.pages import check, png

LEFT, TOP, SIDE, GAP = (
    MARGIN + contact_sheet._NAMES,
    contact_sheet._TOP,
    contact_sheet._TILE,
    contact_sheet._GAP,
)


def split(role: str, images: np.ndarray, labels: np.ndarray) -> Split:
    return Split(role, images, labels.astype(np.int64))


def flat(values: np.ndarray, shape: tuple[int, int, int] = (4, 4, 1)) -> np.ndarray:
    """Images of one colour each."""
    return np.broadcast_to(values[:, None, None, None], (len(values), *shape)).astype(np.uint8)


def dataset(classes: int, each: int, shape: tuple[int, int, int] = (4, 4, 1)) -> Dataset:
    """Training image i of a class has the shade i; the last class has no test image."""
    train = np.arange(classes * each)
    few = np.arange(classes)
    return Dataset(
        name="toy",
        class_names=tuple(f"kind {i}" for i in range(classes)),
        train=split("train", flat(train // classes, shape), train % classes),
        validation=split("validation", flat(few, shape), few),
        test=split("test", flat(few[:-1], shape), few[:-1]),
        digest="d" * 64,
        source="here",
    )


def shade(picture: np.ndarray, column: int, row: int) -> list[int]:
    """The colour in the middle of a picture of the sheet."""
    x = LEFT + column * (SIDE + GAP) + SIDE / 2
    y = TOP + row * (SIDE + contact_sheet._ROW) + SIDE / 2
    return [int(value) for value in picture[round(y * DENSITY), round(x * DENSITY)]]


def test_each_class_has_its_pictures_at_even_distances() -> None:
    data = dataset(3, 111)
    figure = draw_contact_sheet(data, describe(data))
    said = check(figure)
    assert said[:2] == [
        "toy: what the network sees",
        "338 images of 3 classes, 4x4 pixels, grey; training images at even distances",
    ]
    assert said[2:6] == ["kind 0", "111 train", "1 validation", "1 test"]
    assert said[-4:] == ["kind 2", "111 train", "1 validation", "0 test"]
    picture = np.asarray(png(figure))
    for row in range(3):
        shown = [shade(picture, column, row) for column in range(EACH)]
        assert shown == [[10 * column] * 3 for column in range(EACH)]


def test_a_small_class_shows_what_it_has() -> None:
    data = dataset(2, 3)
    picture = np.asarray(png(draw_contact_sheet(data, describe(data))))
    shown = [shade(picture, column, 1) for column in range(EACH)]
    assert shown == [[0] * 3, [1] * 3, [2] * 3, *[[255] * 3] * 9]


def test_many_classes_make_a_bounded_page() -> None:
    data = dataset(MOST_CLASSES + 60, 12)
    said = check(draw_contact_sheet(data, describe(data)))
    assert said[1].endswith("; the first 40 classes")
    assert "kind 39" in said and "kind 40" not in said


def test_near_duplicates_stand_below() -> None:
    noise = np.random.default_rng(0).integers(0, 250, (8, 9, 9, 3)).astype(np.uint8)
    labels = np.arange(6) % 2
    data = Dataset(
        name="toy",
        class_names=("hat", "boot"),
        train=split("train", noise[:6], labels),
        validation=split("validation", noise[6:], np.array([0, 1])),
        test=split("test", np.stack([noise[2] + 3, noise[7] + 4]), np.array([0, 0])),
        digest="d" * 64,
        source="here",
    )
    figure = draw_contact_sheet(data, describe(data))
    said = check(figure)
    assert any(text.startswith("Nearly the same in two splits (2): ") for text in said)
    assert said[-5:] == ["no. 0", "no. 2", "no. 1", "no. 1", "2 classes"]
    without = dataset(2, 3)
    assert not any(
        "two splits" in text for text in check(draw_contact_sheet(without, describe(without)))
    )


@pytest.mark.parametrize("shape", [(200, 30, 3), (65, 65, 1)])
def test_large_pictures_are_drawn_larger(shape: tuple[int, int, int]) -> None:
    small, large = dataset(2, 3), dataset(2, 3, shape)
    sizes = [png(draw_contact_sheet(data, describe(data))).size for data in (small, large)]
    assert sizes[1][0] > sizes[0][0] and sizes[1][1] > sizes[0][1]
