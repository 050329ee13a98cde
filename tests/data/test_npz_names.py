"""Which array is what, by the names that people give."""

from __future__ import annotations

import itertools

import pytest

from cnn_pipeline.data.formats.npz_names import find_slots

IMAGES, LABELS = "images", "labels"


@pytest.mark.parametrize(
    "names",
    [
        "x_train y_train x_test y_test x_val y_val",
        "X_train y_train X_test y_test X_val y_val",
        "train_x train_y test_x test_y valid_x valid_y",
        "train_images train_labels test_images test_labels val_images val_labels",
        "images_train labels_train images_test labels_test images_dev labels_dev",
        "trainX trainY testX testY validationX validationY",
        "training_data training_target testing_data testing_target val_data val_target",
    ],
)
def test_names_of_all_parts(names: str) -> None:
    found = find_slots(names.split())

    roles = ("train", "test", "validation")
    assert [
        found.arrays[slot] for slot in itertools.product(roles, (IMAGES, LABELS))
    ] == names.split()
    assert (found.faults, found.unused, found.class_names) == ((), (), None)


@pytest.mark.parametrize("names", ["x y", "images labels", "data target", "X Y", "Images Label"])
def test_two_arrays_without_a_role_are_training(names: str) -> None:
    found = find_slots(names.split())

    assert [found.arrays["train", kind] for kind in (IMAGES, LABELS)] == names.split()
    assert len(found.arrays) == 2 and found.faults == ()


def test_the_digits_of_scikit_learn_with_all_that_comes_along() -> None:
    found = find_slots(
        ["data", "target", "frame", "feature_names", "target_names", "images", "DESCR"]
    )

    assert found.arrays == {("train", IMAGES): "images", ("train", LABELS): "target"}
    assert found.class_names == "target_names"
    assert found.unused == ("DESCR", "data", "feature_names", "frame")


def test_training_without_a_role_beside_a_test() -> None:
    found = find_slots(["x", "y", "x_test", "y_test"])

    assert found.arrays["train", IMAGES] == "x" and found.arrays["test", LABELS] == "y_test"


@pytest.mark.parametrize(
    ("names", "faults"),
    [
        ("", ["x_train, y_train, x_test and y_test, or images and labels, received an empty file"]),
        ("arr_0 arr_1", ["received arr_0, arr_1; write it with np.savez('data.npz', x_tr"]),
        ("y_train x_test y_test", ["must hold the array x_train, received x_test, y_test"]),
        ("x_test y_test", ["must hold the array x_train", "must hold the array y_train"]),
        ("x_train y_train x_val", ["must hold the array y_val"]),
        ("x_train X_train y_train", ["must hold images of train once, received X_train and x_tr"]),
    ],
)
def test_what_is_missing_or_there_twice(names: str, faults: list[str]) -> None:
    found = find_slots(names.split()).faults

    assert len(found) == len(faults)
    assert all(part in fault for part, fault in zip(faults, found, strict=True)), found
