"""Arrays of images as people save them: converted where there is one meaning, else refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from cnn_pipeline.data.formats.array_images import to_pixels

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (12, 6, 5), dtype=np.uint8)
GREY[0, 0] = [0, 1, 127, 128, 255]
COLOUR = RNG.integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)


def pixels(array: np.ndarray, **others: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    found = to_pixels({"x": array, **others}, {})
    assert found.faults == ()
    assert found.images["x"].dtype == np.uint8
    return found.images["x"], found.notes


def fault_of(array: np.ndarray, **others: np.ndarray) -> str:
    found = to_pixels({"x": array, **others}, {})
    assert found.images == {} and len(found.faults) == 1, found
    return found.faults[0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f8"])
def test_shares_of_one_give_the_pixels_that_they_came_from(dtype: Any) -> None:
    every = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)

    found, (note,) = pixels((every / 255).astype(dtype))

    assert np.array_equal(found[..., 0], every)
    assert re.fullmatch(r"x: float\d\d of 0 to 1 became pixels of 0 to 255", note)


@pytest.mark.parametrize("dtype", [np.int16, np.int64, np.uint16, np.float32])
def test_other_types_of_0_to_255_are_the_same_pixels(dtype: Any) -> None:
    found, (note,) = pixels(GREY.astype(dtype))

    assert np.array_equal(found[..., 0], GREY)
    assert note == f"x: {np.dtype(dtype)} of 0 to 255 became uint8"


def test_what_resizing_left_between_whole_numbers_is_rounded() -> None:
    found, (note,) = pixels(GREY * 0.999)

    assert np.array_equal(found[..., 0], np.rint(GREY * 0.999))
    assert note.endswith("became uint8, rounded")


def test_the_digits_of_scikit_learn() -> None:
    digits = np.arange(17.0).repeat(16)[: 4 * 64].reshape(4, 64)
    digits[-1, -1] = 16

    found, notes = pixels(digits)

    assert found.shape == (4, 8, 8, 1)
    assert np.array_equal(found.reshape(4, 64), np.rint(digits * 255 / 16))
    assert notes == (
        "x: rows of 64 values became images of 8x8",
        "x: float64 of 0 to 16 became pixels of 0 to 255",
    )


def test_booleans_are_black_and_white() -> None:
    found, (note,) = pixels(GREY > 127)

    assert np.array_equal(found[..., 0], np.where(GREY > 127, 255, 0))
    assert note == "x: False and True became the pixels 0 and 255"
    ones, _ = pixels((GREY > 127).astype(np.int64))
    assert np.array_equal(ones, found)


def test_channels_first_are_moved() -> None:
    found, (note,) = pixels(np.moveaxis(COLOUR, -1, 1))

    assert np.array_equal(found, COLOUR) and found.flags.c_contiguous
    assert note == "x: channels stood first, [12, 3, 6, 5], and were moved to the end"
    grey, _ = pixels(GREY[:, np.newaxis])
    assert np.array_equal(grey[..., 0], GREY)


def test_what_is_right_stays_the_same_array() -> None:
    for array in (GREY, COLOUR, np.ascontiguousarray(COLOUR[..., :1])):
        found, notes = pixels(array)
        assert np.shares_memory(found, array) and notes == ()


def test_dark_uint8_stays_as_it_is_and_is_said() -> None:
    dark = np.full((2, 8, 8), 16, np.uint8)

    found, (note,) = pixels(dark)

    assert np.array_equal(found[..., 0], dark)
    assert note == (
        "x: no pixel is brighter than 16 of 255; where that is white, use "
        "x = (x * (255 / 16)).round().astype('uint8')"
    )


def test_test_images_may_be_darker_than_training_images() -> None:
    found = to_pixels({"x": GREY * 1.0, "y": np.minimum(GREY, 40) * 1.0}, {})

    assert np.array_equal(found.images["y"][..., 0], np.minimum(GREY, 40))


CASES: list[tuple[Any, str]] = [
    (GREY / 127.5 - 1, r"float64, .* from -1 to 1; where black is -1 and white 1, use "
     r"x = \(\(x \+ 1\) \* 127.5\).round\(\).astype\('uint8'\)"),
    (GREY / 255 - 0.5, r"where black is -0.5 and white 0.5, use x = \(\(x \+ 0.5\) \* 255\)"),
    ((GREY - 130.0) / 70, "before they were standardised"),
    (GREY * 257.0, r"where white is 65535, use x = \(x \* \(255 / 65535\)\)"),
    (GREY.astype(np.uint16) * 257, r"uint16, whole numbers .*where white is 65535"),
    (GREY.astype(np.uint16) * 16, r"where white is 4095, use x = \(x \* \(255 / 4095\)\)"),
    (GREY // 3 * 1.0, r"where white is 255, use x = x.round\(\).astype\('uint8'\), and where "
     r"white is 85, use x = \(x \* \(255 / 85\)\)"),
    (GREY % 16 * 1, r"int64|uint8"),
    (GREY / 255 / 255, r"if they were divided by 255 twice, use x = \(x \* 255 \* 255\)"),
    (np.where(GREY == 255, np.nan, GREY), r"NaN or infinity; use x = np.nan_to_num"),
    (np.where(GREY == 255, np.inf, GREY), r"NaN or infinity"),
    (GREY.astype(complex), "must be numbers, received complex128"),
    (GREY.astype("U3"), "must be numbers, received <U3"),
    (COLOUR[:, :, :, [0, 1, 2, 0]], r"1 or 3 channels, received 4; .* x = x\[\.\.\., :3\]"),
    (COLOUR[:, :, :, :2], r"1 or 3 channels, received 2; .* x = x\[\.\.\., :1\]"),
    (RNG.integers(0, 256, (4, 3072), dtype=np.uint8),
     r"32x32 RGB images in two orders; use x = x.reshape\(-1, 3, 32, 32\) .*"
     r"or x = x.reshape\(-1, 32, 32, 3\)"),
    (GREY.reshape(12, 30), r"30 values are no square; use x = x.reshape\(-1, height, width\)"),
    (GREY[:, :2, :2].reshape(12, 4), "4 values are no square"),
    (GREY[0, 0], r"received \[5\]"),
    (GREY[:0], r"received \[0, 6, 5\]"),
    (np.zeros((2, 3, 4, 5, 6)), r"received \[2, 3, 4, 5, 6\]"),
    (np.uint8(3), r"received \[\]"),
]  # fmt: skip


@pytest.mark.parametrize(("array", "reason"), CASES)
def test_what_has_no_one_meaning(array: Any, reason: str) -> None:
    array = np.asarray(array)
    if array.dtype == np.uint8 and array.shape == GREY.shape:
        array = array.astype(np.int64)

    assert re.search(reason, fault_of(array))


def test_the_remedy_of_shares_is_offered_for_shares_alone() -> None:
    for array, _ in CASES:
        found = to_pixels({"x": np.asarray(array)}, {})
        assert not [fault for fault in found.faults if "(x * 255)." in fault]


@pytest.mark.parametrize(
    ("train", "test", "reason"),
    [
        (GREY, GREY / 255, r"x_test: pixels must have the scale of x_train, whole numbers from "
         r"0 to 255, received float64, values from 0 to 1; use x_test = \(x_test \* 255\).round"),
        (GREY / 255, GREY, r"x_train: .*the scale of x_test.*x_train = \(x_train \* 255\)"),
        (GREY * 1.0, GREY / 255, r"x_test: .* the scale of x_train.* \(x_test \* 255\)"),
        (GREY, np.minimum(GREY, 16) * 1.0, r"x_test: .* use x_test = \(x_test \* \(255 / 16\)\)"),
    ],
)  # fmt: skip
def test_parts_have_one_scale(train: np.ndarray, test: np.ndarray, reason: str) -> None:
    found = to_pixels({"x_train": train, "x_test": test}, {})

    assert len(found.faults) == 1 and re.search(reason, found.faults[0]), found.faults


def test_the_number_of_images_stands_first() -> None:
    last = np.moveaxis(GREY, 0, -1)  # wider than high, and 12 is more than both

    (fault,) = to_pixels({"x": last}, {"x": 12}).faults

    assert "received [6, 5, 12] for 12 labels; use x = np.moveaxis(x, -1, 0)" in fault
    assert to_pixels({"x": GREY}, {"x": 12}).faults == ()
    assert to_pixels({"x": GREY}, {"x": 5}).faults == ()  # one label per column is no sign


def test_the_lines_of_code_do_what_they_say() -> None:
    """Each line that a fault offers is run, and what it gives is accepted."""
    tried = 0
    for array, _ in CASES:
        array = np.asarray(array)
        for fault in to_pixels({"x": array}, {}).faults:
            for line in re.findall(r"use (x = .*?\)|x = x\[.*?\])(?=, | where |; |$)", fault):
                if "height" in line or "std" in line:
                    continue
                scope = {"np": np, "x": array}
                exec(line, scope)
                again = to_pixels({"x": scope["x"]}, {})
                assert again.faults == () or "x + " not in line, (line, again.faults)
                tried += 1
    assert tried >= 10
