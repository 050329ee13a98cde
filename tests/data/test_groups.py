"""Groups of images are drawn whole, near the share of each class, and the same ones every time."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_pipeline.data.groups import draw_groups, identical, order_by_name
from cnn_pipeline.data.splits import split_test, split_train
from cnn_pipeline.settings.trial import DataSettings


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=60), st.data()
)
def test_groups_stay_whole_and_no_class_is_drawn_completely(pairs, data) -> None:
    labels, groups = (np.array(column) for column in zip(*pairs, strict=True))
    groups = np.unique(groups, return_inverse=True)[1]
    counts = np.bincount(labels, minlength=4)
    target = np.array([data.draw(st.integers(0, max(0, n - 1))) for n in counts])
    order = np.array(data.draw(st.permutations(range(groups.max() + 1))))

    drawn = draw_groups(labels, groups, order, target)

    assert (np.diff(drawn) > 0).all()
    left = np.setdiff1d(np.arange(len(labels)), drawn)
    assert not set(groups[drawn]) & set(groups[left])
    held = np.bincount(labels[drawn], minlength=4)
    assert ((held < counts) | (counts == 0)).all()


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.data())
def test_images_that_are_their_own_groups_give_the_exact_target(labels, data) -> None:
    labels = np.array(labels)
    target = np.array(
        [data.draw(st.integers(0, max(0, n - 1))) for n in np.bincount(labels, minlength=4)]
    )
    alone = np.arange(len(labels))
    order = np.array(data.draw(st.permutations(alone.tolist())))

    drawn = draw_groups(labels, alone, order, target)

    assert np.bincount(labels[drawn], minlength=4).tolist() == target.tolist()


def test_groups_come_near_the_share() -> None:
    labels = np.repeat([0, 1], 100)
    groups = np.arange(200) // 5

    train, test = split_test(labels, 0.2, groups)

    assert np.bincount(labels[test]).tolist() == [20, 20]
    assert len(train) == 160


def test_a_class_of_large_groups_gets_its_smallest() -> None:
    labels = np.repeat([0, 1], [40, 8])
    groups = np.array([*range(40), *[40] * 5, *[41] * 3])

    test = split_test(labels, 0.1, groups)[1]

    assert np.bincount(labels[test]).tolist() == [4, 3]


def test_what_cannot_be_divided_is_not_drawn() -> None:
    labels = np.repeat([0, 1], 10)

    assert len(split_test(labels, 0.2, labels)[1]) == 0


def test_validation_images_are_drawn_in_groups_and_by_the_seed() -> None:
    labels = np.tile([0, 1], 60)
    groups = np.arange(120) // 4

    first, second, again = (
        split_train(labels, DataSettings(split_seed=seed), groups)[1] for seed in (0, 1, 0)
    )

    assert np.bincount(labels[first]).tolist() == [10, 10]
    assert first.tolist() == again.tolist() != second.tolist()
    assert len(set(groups[first])) == 5


def test_test_images_stay_when_images_are_added() -> None:
    names = [f"ant/{at}.png" for at in range(200)]
    few, many = np.zeros(100, dtype=np.int64), np.zeros(200, dtype=np.int64)

    before = split_test(few, 0.2, names=names[:100])[1]
    after = split_test(many, 0.2, names=names)[1]

    assert len(before) == 20 and len(after) == 40
    kept = set(before.tolist()) & set(after.tolist())
    assert len(kept) >= 16
    assert split_test(few, 0.2, names=names[:100])[1].tolist() == before.tolist()


def test_order_is_that_of_the_smallest_hash_of_a_group() -> None:
    alone = order_by_name(np.arange(4), list("abcd"), 0)
    first = alone[0]

    assert (
        order_by_name(np.array([1 if at == first else 0 for at in range(4)]), list("abcd"), 0)[0]
        == 1
    )
    # Fixed, so that a data set keeps its test images for ever.
    assert alone.tolist() == [2, 1, 0, 3]


def test_identical_images_are_one_group() -> None:
    images = np.zeros((4, 2, 2, 1), dtype=np.uint8)
    images[1:3] = 7

    assert identical(images).tolist() == [0, 1, 1, 0]
