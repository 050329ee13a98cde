"""Images that stay on the disk: the same data set as in memory, and never held as a whole."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.data import rows
from cnn_pipeline.data.dataset import load_dataset
from cnn_pipeline.data.describe import describe
from cnn_pipeline.data.formats import idx_folder, image_files
from cnn_pipeline.data.formats.local import read_local
from cnn_pipeline.data.rows import Rows, blocks
from cnn_pipeline.settings.trial import DataSettings
from cnn_pipeline.tracking.inputs import describe_inputs
from tests.data.test_formats import X_TRAIN, idx, write_idx, write_images

MADE = {"pictures": write_images, "idx": write_idx}


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """No folder, so that nothing can be kept."""
    (tmp_path / "file").touch()
    return tmp_path / "file"


def packed(folder: Path) -> Path:
    for path in list(write_idx(folder).iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    return folder


def without_test(folder: Path) -> Path:
    shutil.rmtree(write_images(folder) / "test")
    return folder


def test_they_are_indexed_like_an_array() -> None:
    array = np.random.default_rng(0).integers(0, 256, (9, 2, 3, 1), dtype=np.uint8)
    positions = np.array([7, 1, 1, 4, 0])
    some = Rows(array).take(positions)
    wanted = array[positions]
    assert (len(some), some.shape, some.dtype) == (5, (5, 2, 3, 1), np.uint8)
    for at in (2, -1, slice(1, 4), slice(None, None, 2), [3, 0], np.array([[0, 1], [4, 4]])):
        np.testing.assert_array_equal(some[at], wanted[at])
    np.testing.assert_array_equal(list(some), wanted)
    np.testing.assert_array_equal(some.take(np.array([4, 2]))[:], wanted[[4, 2]])


@pytest.mark.parametrize("most", [1, 13, 1000])
def test_blocks_are_all_of_an_array_in_order(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_BLOCK", most)
    array = np.arange(60, dtype=np.uint8).reshape(10, 3, 2, 1)
    for one in (array, Rows(array), array[:, ::-1]):
        found = list(blocks(one))
        assert all(block.nbytes <= max(most, 6) for block in found)
        np.testing.assert_array_equal(np.concatenate(found), one[:])


@pytest.mark.parametrize("make", [write_images, without_test, write_idx, packed])
def test_a_data_set_on_the_disk_is_the_one_in_memory(make, tmp_path: Path, nowhere: Path) -> None:
    settings = DataSettings(source=str(make(tmp_path / "data")), validation_size=3)
    held = load_dataset(settings, nowhere)
    for _ in ("made", "kept"):
        found = load_dataset(settings, tmp_path / "cache")
        for role in ("train", "validation", "test"):
            split, wanted = getattr(found, role), getattr(held, role)
            assert isinstance(split.images, Rows)
            np.testing.assert_array_equal(split.images[:], wanted.images[:])
            np.testing.assert_array_equal(split.labels, wanted.labels)
        assert (found.digest, found.notes, found.preparation) == (
            held.digest, held.notes, held.preparation
        )  # fmt: skip
        assert describe_inputs(found) == describe_inputs(held)
        assert describe(found) == describe(held)


@pytest.mark.parametrize("form", MADE)
def test_the_limit_holds_in_memory_only(
    form: str, tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = DataSettings(source=str(MADE[form](tmp_path / "data")), validation_size=3)
    cache = tmp_path / "cache"
    for module in (idx_folder, image_files):
        monkeypatch.setattr(module, "MAX_BYTES", 100)
    with pytest.raises(InvalidInput, match="100"):
        load_dataset(settings, nowhere)
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=150))
        with pytest.raises(InvalidInput, match="room"):
            load_dataset(settings, cache)
        assert list((cache / "made").iterdir()) == []
    assert len(load_dataset(settings, cache).train) == 9


def test_an_idx_file_that_changed_is_unpacked_anew(tmp_path: Path) -> None:
    folder, cache = write_idx(tmp_path / "data"), tmp_path / "cache"
    read_local(folder, cache=cache)
    write_idx(folder, train_images=idx(255 - X_TRAIN))
    np.testing.assert_array_equal(
        read_local(folder, cache=cache).train.images[:][..., 0], 255 - X_TRAIN
    )
    assert len(list((cache / "made").iterdir())) == 2  # one of each images file


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: b"\0\0\x09" + content[3:],
        lambda content: gzip.compress(content)[:-9],
        lambda content: gzip.compress(content) + b"behind",
        lambda content: content[:4] + b"\xff" * 12 + content[16:],
        lambda content: b"",
    ],
)
def test_a_bad_idx_file_has_the_same_fault(change, tmp_path: Path) -> None:
    folder = write_idx(tmp_path / "data", train_images=change(idx(X_TRAIN)))
    found = []
    for cache in (None, tmp_path / "cache"):
        with pytest.raises(InvalidInput) as caught:
            read_local(folder, cache=cache)
        found.append(caught.value.faults)
    assert found[0] == found[1]
