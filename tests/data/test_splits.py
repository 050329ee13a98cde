"""Splits are exact, stratified, disjoint and the same everywhere."""

from __future__ import annotations

import hashlib
import itertools
import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cnn_pipeline.data.splits import (
    allocate,
    check_settings,
    limit_train,
    split_test,
    split_train,
)
from cnn_pipeline.settings.trial import DataSettings

class_counts = st.lists(st.integers(1, 40), min_size=2, max_size=8)


def labels_of(counts: list[int]) -> np.ndarray:
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(0).permutation(labels)


@pytest.mark.parametrize(
    ("counts", "size", "expected"),
    [
        ([10, 10, 10], 6, [2, 2, 2]),
        ([10, 10, 10], 7, [3, 2, 2]),  # a tie goes to the lower class
        ([50, 30, 20], 10, [5, 3, 2]),
        ([53, 27, 20], 10, [5, 3, 2]),  # remainders .3, .7 and .0
        ([97, 2, 1], 10, [8, 1, 1]),  # one of each class at least
        ([1, 1, 8], 3, [1, 1, 1]),
    ],
)
def test_largest_remainders(counts: list[int], size: int, expected: list[int]) -> None:
    array = np.array(counts)

    assert allocate(array, size, np.ones_like(array), array).tolist() == expected


@given(class_counts, st.data())
def test_allocation_is_exact_and_within_its_bounds(counts: list[int], data: st.DataObject) -> None:
    array = np.array(counts)
    lower = np.array([data.draw(st.integers(0, n)) for n in counts])
    upper = np.array([data.draw(st.integers(low, n)) for low, n in zip(lower, counts, strict=True)])
    size = data.draw(st.integers(int(lower.sum()), int(upper.sum())))

    taken = allocate(array, size, lower, upper)

    assert taken.sum() == size
    assert (lower <= taken).all()
    assert (taken <= upper).all()


@given(class_counts, st.data())
def test_unbounded_allocation_is_within_one_of_the_quota(counts, data) -> None:
    array = np.array(counts)
    size = data.draw(st.integers(0, sum(counts)))

    taken = allocate(array, size, np.zeros_like(array), array)

    assert (np.abs(taken - array * size / array.sum()) < 1).all()


def test_impossible_allocation_is_refused() -> None:
    with pytest.raises(ValueError, match="size must be 2 to 4 within the bounds, received 5"):
        allocate(np.array([2, 2]), 5, np.array([1, 1]), np.array([2, 2]))


@given(class_counts, st.data())
def test_accepted_settings_give_exact_disjoint_stratified_splits(counts, data) -> None:
    n, classes = sum(counts), len(counts)
    assume(n >= 3 * classes)
    validation_size = data.draw(st.integers(classes, n - 2 * classes))
    limit = data.draw(st.none() | st.integers(classes, n - validation_size))
    settings = DataSettings(validation_size=validation_size, train_limit=limit, split_seed=3)
    labels = labels_of(counts)
    assert check_settings(settings, n, classes) == []

    train, validation = split_train(labels, settings)

    assert len(validation) == validation_size
    assert len(train) == (n - validation_size if limit is None else limit)
    assert np.intersect1d(train, validation).size == 0
    assert (np.diff(train) > 0).all()
    assert (np.diff(validation) > 0).all()
    assert set(labels[train]) == set(range(classes))


def test_split_is_proportional() -> None:
    labels = labels_of([600, 300, 100])

    train, validation = split_train(labels, DataSettings(validation_size=100, train_limit=90))

    assert np.bincount(labels[validation]).tolist() == [60, 30, 10]
    assert np.bincount(labels[train]).tolist() == [54, 27, 9]


def test_rare_class_stays_in_training() -> None:
    labels = labels_of([50, 50, 1])

    train, validation = split_train(labels, DataSettings(validation_size=90))

    assert np.bincount(labels[train], minlength=3).tolist() == [5, 5, 1]
    assert np.bincount(labels[validation], minlength=3).tolist() == [45, 45, 0]


def test_train_limit_does_not_move_validation_and_subsets_are_nested() -> None:
    labels = labels_of([100] * 10)
    sizes = (10, 200, 500, None)
    splits = [
        split_train(labels, DataSettings(validation_size=100, train_limit=size)) for size in sizes
    ]

    for _, validation in splits:
        assert np.array_equal(validation, splits[0][1])
    for (smaller, _), (larger, _) in itertools.pairwise(splits):
        assert np.isin(smaller, larger).all()


def test_seed_decides_and_is_the_only_thing_that_does() -> None:
    labels = labels_of([100] * 10)

    def split(seed: int) -> np.ndarray:
        return split_train(labels, DataSettings(validation_size=100, split_seed=seed))[1]

    assert np.array_equal(split(1), split(1))
    assert not np.array_equal(split(1), split(2))


def test_split_of_today_is_the_split_of_tomorrow() -> None:
    """Recorded runs stay comparable: a new NumPy or a refactoring must not move the split."""
    labels = np.arange(1000) % 10
    train, validation = split_train(labels, DataSettings(validation_size=100, train_limit=50))

    positions = np.concatenate([train, validation]).astype("<i8").tobytes()
    assert hashlib.sha256(positions).hexdigest() == (
        "3768d857fe98016e8e2875fe6e33c3547f4f203ab2dd1fba37b478dd329c72bc"
    )


@pytest.mark.parametrize(
    ("change", "n_train", "message"),
    [
        ({"validation_size": 9}, 60_000, "validation_size must be 10 to 59,990.*received 9;"),
        ({"validation_size": 59_991}, 60_000, "received 59,991; use validation_size=6000"),
        ({"validation_size": 10}, 19, "use more images"),
        ({"train_limit": 9}, 60_000, "train_limit must be at least 10 .*received 9;"),
        ({"train_limit": 55_001}, 60_000, "at most 55,000 .*received 55,001; leave it out"),
    ],
)
def test_sizes_that_do_not_fit(change: dict[str, int], n_train: int, message: str) -> None:
    faults = check_settings(DataSettings(**change), n_train, 10)

    assert len(faults) == 1
    assert re.search(message, faults[0])


def test_all_size_faults_at_once_and_the_limits_themselves_pass() -> None:
    assert len(check_settings(DataSettings(validation_size=1, train_limit=1), 100, 10)) == 2
    assert check_settings(DataSettings(validation_size=10, train_limit=10), 20, 10) == []
    assert check_settings(DataSettings(validation_size=90, train_limit=10), 100, 10) == []


@given(class_counts, st.sampled_from([0.01, 0.2, 0.5, 0.9]))
def test_test_images_are_drawn_by_class_and_each_class_keeps_one_to_train(counts, share) -> None:
    labels = labels_of(counts)

    train, test = split_test(labels, share)

    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(len(labels)))
    assert (np.diff(train) > 0).all() and (np.diff(test) > 0).all()
    drawn = np.bincount(labels[test], minlength=len(counts))
    assert (drawn < counts).all()
    assert [bool(n) for n in drawn] == [n > 1 for n in counts]
    assert np.array_equal(split_test(labels, share)[1], test)


def test_the_share_of_test_images_is_exact_where_classes_are_large() -> None:
    labels = labels_of([600, 300, 100])

    test = split_test(labels, 0.2)[1]

    assert np.bincount(labels[test]).tolist() == [120, 60, 20]
    assert not np.array_equal(split_test(labels, 0.2, seed=1)[1], test)


def test_validation_images_of_their_own_leave_all_training_images() -> None:
    labels = labels_of([60, 30, 10])

    assert limit_train(labels, DataSettings()).tolist() == list(range(100))
    few = limit_train(labels, DataSettings(train_limit=20))
    assert np.bincount(labels[few]).tolist() == [12, 6, 2]
    assert check_settings(DataSettings(train_limit=100), 100, 3, n_validation=1) == []
    faults = check_settings(
        DataSettings(validation_size=7, train_limit=101), 100, 3, n_validation=12
    )
    assert "validation_size must be left out: the data have 12 validation images" in faults[0]
    assert "train_limit must be 3 (one image per class) to 100, received 101" in faults[1]
