"""Warnings by the numbers of images per class."""

from __future__ import annotations

from cnn_pipeline.data.class_warnings import class_warnings, no_better_than_largest

NAMES = ("hat", "boot", "bag")


def test_balanced_classes_have_none() -> None:
    assert class_warnings(NAMES, (18, 18, 18), (2, 2, 2), (5, 5, 5)) == ()


def test_classes_without_images_of_a_split() -> None:
    assert class_warnings(NAMES, (50, 50, 50), (5, 0, 5), (0, 0, 9)) == (
        "2 classes (hat, boot) without a test image: their accuracy is not measured",
        "1 class (boot) without a validation image: its accuracy does not count when the variant "
        "is chosen",
    )


def test_small_classes() -> None:
    assert class_warnings(NAMES, (15, 18, 1), (4, 2, 1), (9, 9, 9)) == (
        "2 classes (hat, bag) with fewer than 20 training and validation images: their accuracy "
        "is mostly luck",
    )


def test_no_more_than_five_classes_are_named() -> None:
    names = tuple("abcdefg")
    (text,) = class_warnings(names, (30,) * 7, (3,) * 7, (0,) * 7)
    assert text.startswith("7 classes (a, b, c, d, e and 2 more) without a test image")


def test_one_class_of_more_than_nine_tenths() -> None:
    assert class_warnings(("hat", "boot"), (810, 90), (45, 5), (45, 5)) == ()
    assert class_warnings(("hat", "boot"), (811, 89), (45, 5), (45, 5)) == (
        "90.1 % of all images are of the class hat: a network that always says hat has nearly that "
        "accuracy",
    )


def test_an_accuracy_is_worth_something_above_the_largest_class() -> None:
    assert no_better_than_largest("f8-max", 0.34, (10, 10, 10)) == ""
    assert no_better_than_largest("f8-max", 0.319, (10, 10, 10)) == (
        "f8-max gets 31.9 % of the test images right, where always saying the largest class gives "
        "33.3 %"
    )
    assert no_better_than_largest("f8-max", 0.95, (95, 5)) != ""
