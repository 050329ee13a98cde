"""What is recorded with a model is read back, and only a catalog's data have its conventions."""

from __future__ import annotations

import pytest

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.data.preparation import AS_IS, FASHION, Preparation, preparation_of


@pytest.mark.parametrize(
    "preparation",
    [AS_IS, FASHION, Preparation(fit="crop", background="#0a0b0c", drawing="dark-on-light")],
)
def test_a_recorded_preparation_is_read_back(preparation: Preparation) -> None:
    assert preparation_of("fashion-mnist", preparation.to_tag()) == preparation
    assert preparation_of("things", preparation.to_tag()) == preparation


def test_only_the_catalogs_exact_names_have_conventions() -> None:
    for name in ("fashion-mnist", "fashion-mnist-sample"):
        assert preparation_of(name, None) == FASHION
    for name in ("fashion-mnist-2024", "fashion-mnist-sample-2", "own-fashion-mnist", "fashion"):
        assert preparation_of(name, None) == AS_IS


@pytest.mark.parametrize("tag", ["", "pad", '{"fit": "fold"}', '{"fit": "pad", "more": 1}'])
def test_a_foreign_tag_is_refused(tag: str) -> None:
    with pytest.raises(UserError, match=r"must say how its pictures were prepared.*received"):
        preparation_of("things", tag)


def test_a_preparation_in_words() -> None:
    assert AS_IS.shown == "pad on corners"
    assert FASHION.shown == "object, light on dark"
    assert Preparation(fit="stretch", background="#ffffff").shown == "stretch"
