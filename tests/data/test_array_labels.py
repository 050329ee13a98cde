"""Labels as people save them become classes 0 to k-1."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from cnn_pipeline.data.formats.array_labels import to_classes

TRAIN = np.arange(12) % 3
TEST = np.array([2, 0, 1, 1])


def classes(
    train: Any, test: Any, names: tuple[str, ...] | None = None
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """The class names and notes of labels that are TRAIN and TEST in another form."""
    found = to_classes({"y_train": train, "y_test": test}, names)
    assert found.faults == ()
    assert found.labels["y_train"].tolist() == TRAIN.tolist()
    assert found.labels["y_test"].tolist() == TEST.tolist()
    assert all(labels.dtype == np.int64 for labels in found.labels.values())
    return found.class_names, found.notes


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, ">i4", np.uint64])
def test_whole_numbers_from_0_stay_as_they_are(dtype: Any) -> None:
    assert classes(TRAIN.astype(dtype), TEST.astype(dtype)[:, np.newaxis]) == (None, ())


def test_from_1() -> None:
    names, (note,) = classes(TRAIN + 1, TEST + 1)

    assert names == ("1", "2", "3")
    assert note == "y_train: labels 1 to 3 became classes 0 to 2, named as the labels"


def test_with_gaps() -> None:
    names, (note,) = classes(TRAIN * 10**12, TEST * 10**12)

    assert names == ("0", "1000000000000", "2000000000000")
    assert "labels 0, 1000000000000, 2000000000000 became classes 0 to 2" in note


def test_from_1_with_names_of_the_user() -> None:
    names, (note,) = classes(TRAIN + 1, TEST + 1, ("ant", "bee", "cow"))

    assert names == ("ant", "bee", "cow")
    assert note.endswith("labels 1 to 3 became classes 0 to 2")


def test_signs_are_two_classes() -> None:
    found = to_classes({"y": np.array([-1, 1, 1])}, None)

    assert (found.labels["y"].tolist(), found.class_names) == ([0, 1, 1], ("-1", "1"))


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.bool_])
def test_one_hot(dtype: Any) -> None:
    names, notes = classes(np.eye(3)[TRAIN].astype(dtype), np.eye(3)[TEST].astype(dtype))

    assert names is None
    assert notes[0] == "y_train: one-hot rows became the numbers of their columns"


def test_whole_floats() -> None:
    names, notes = classes(TRAIN.astype(np.float32), TEST * 1.0)

    assert names is None
    assert notes == (
        "y_train: whole float32 became whole numbers",
        "y_test: whole float64 became whole numbers",
    )


def test_booleans() -> None:
    found = to_classes({"y": np.array([True, False]), "z": np.array([True])}, None)

    assert found.class_names == ("False", "True")
    assert (found.labels["y"].tolist(), found.labels["z"].tolist()) == ([1, 0], [1])


@pytest.mark.parametrize("dtype", ["U3", "S3", ">U5"])
def test_text(dtype: str) -> None:
    words = np.array(["ant", "bee", "cow"]).astype(dtype)

    assert classes(words[TRAIN], words[TEST]) == (("ant", "bee", "cow"), ())


def test_text_in_the_order_of_the_class_names() -> None:
    words = np.array(["cow", "ant", "bee"])

    assert classes(words[TRAIN], words[TEST], ("cow", "ant", "bee"))[0] == ("cow", "ant", "bee")


def test_numbers_as_text_are_in_the_order_of_numbers() -> None:
    found = to_classes({"y": np.array(["10", "9", "two", "10"])}, None)

    assert found.class_names == ("9", "10", "two")
    assert found.labels["y"].tolist() == [1, 0, 2, 1]


@pytest.mark.parametrize(
    ("train", "test", "reason"),
    [
        (TRAIN + 0.5, TEST, r"y_train: labels must be whole numbers, .* with 0.5; for classes of "
         r"measurements, use y_train = np.digitize\(y_train, \[limit, ...\]\)"),
        (TRAIN * np.nan, TEST, r"with 12 that are NaN or infinite; keep only labels and images "
         r"where np.isfinite\(y_train\)"),
        (TRAIN * 1e300, TEST, "labels must be whole numbers, .* with 1e"),
        (np.eye(3)[TRAIN] * 0.8 + 0.1, TEST, r"or one-hot rows, .* y_train.argmax\(axis=1\)"),
        (np.ones((12, 3)), TEST, r"one-hot rows, received float64 of shape \[12, 3\]"),
        (TRAIN.reshape(3, 2, 2), TEST, r"of shape \[n\], received int64 of shape \[3, 2, 2\]"),
        (TRAIN.astype("M8[s]"), TEST, r"received datetime64\[s\]"),
        (TRAIN.astype(complex), TEST, "received complex128"),
        (np.full(12, 2**64 - 1, np.uint64), TEST, r"below 2\*\*63, received 18446744073709551615"),
        (TRAIN + 1, TEST, "y_test: labels must be among those of y_train, 1 to 3, received 0"),
        (TRAIN * 2, TEST, "y_test: labels must be among those of y_train, 0, 2, 4, received 1"),
        (TRAIN.astype("U1"), TEST, "y_test: labels must be text as in y_train, received numbers"),
        (np.array(["a", "b"]), np.array(["a", "c"]),
         "y_test: labels must be among those of y_train, a, b, received c"),
        (np.arange(1001).astype("U4"), np.array(["1"]), "at most 1,000 classes, received 1,001"),
        (np.array(["a", "", "b", " "]), np.array(["a"]), "y_train: labels must not be empty text, "
         "received 2 of 4 that are, the first at position 1; .* where y_train != ''"),
        (np.array([b"\xff", b"a"]), TEST[:0].astype("S"), "must be text in UTF-8"),
    ],
)  # fmt: skip
def test_labels_that_are_refused(train: Any, test: Any, reason: str) -> None:
    found = to_classes({"y_train": train, "y_test": test}, None)

    assert len(found.faults) == 1 and re.search(reason, found.faults[0]), found.faults


def test_text_beside_names_of_the_user_that_lack_it() -> None:
    (fault,) = to_classes({"y": np.array(["ant", "bee"])}, ("ant", "cow")).faults

    assert fault == "y: labels must be among the class names, ant, cow, received bee"


def test_what_is_no_data_set_is_left_to_the_comparison_of_the_parts() -> None:
    for labels in (TRAIN - 1, np.arange(2000) * 2, np.full(4, 2)):
        found = to_classes({"y": labels}, None)
        assert found.labels["y"].tolist() == labels.tolist() and found.class_names is None
    found = to_classes({"y": TRAIN + 1}, ("a", "b"))
    assert found.labels["y"].tolist() == (TRAIN + 1).tolist()
