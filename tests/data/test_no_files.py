"""A pipe, socket, device or folder where a file should be is named. Nothing waits for a pipe."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from cnn_pipeline.base.errors import DataError, InvalidInput
from cnn_pipeline.base.file_cache import keep_file, kept_content
from cnn_pipeline.base.files import open_file, read_file, sha256_of, write_whole
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.data.fetching.fetch import fetch
from cnn_pipeline.data.fetching.sources import Folder
from cnn_pipeline.data.formats.local import read_local
from cnn_pipeline.data.picture import prepare_image
from tests.data.conftest import Tiny


def pipe(path: Path) -> str:
    os.mkfifo(path)
    return "pipe"


def folder(path: Path) -> str:
    path.mkdir()
    return "folder"


def device(path: Path) -> str:
    path.symlink_to("/dev/zero")
    return "device"


def sock(path: Path) -> str:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's address must be short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)
    return "socket"


KINDS = [pipe, folder, device, sock]
Make = Callable[[Path], str]


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("make", KINDS)
def test_reading_names_the_kind(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "x"
    kind = make(path)
    for read in (open_file, read_file, sha256_of):
        with pytest.raises(OSError, match=f"must be a file, and is a {kind}"):
            read(path)
    with pytest.raises(OSError, match=f"must be a file, and is a {kind}"):
        write_whole(path, "text")
    assert not path.is_file()


@pytest.mark.fault(fault="no file where one should be, as settings", promises="I8")
@pytest.mark.parametrize("make", KINDS)
def test_a_settings_file(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, home = tmp_path / "sweep.toml", tmp_path / "home"
    make(path)
    for words in (["run", "--sweep"], ["retrain", "--settings"]):
        assert status_of([*words, str(path), "--home", str(home)]) == 2
        assert f"{path}: cannot be read: must be a file, and is a " in capsys.readouterr().err
    assert not home.exists()


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize(
    "name", ["train-images-idx3-ubyte", "data.npz", "classes.txt", "train/a/1.png", "test"]
)
def test_data(make: Make, name: str, tmp_path: Path) -> None:
    if make is folder and name == "test":
        pytest.skip("a folder is right here")
    data = tmp_path / "data"
    for role in ("train", "test"):
        for label in ("a", "b"):
            place = data / role / label
            place.mkdir(parents=True)
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(place / "1.png")
    path = data / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    make(path)
    with pytest.raises(InvalidInput) as refused:
        read_local(path if name == "data.npz" else data)
    asked = path.resolve() if name == "data.npz" else path
    assert str(asked) in str(refused.value)


@pytest.mark.parametrize("make", KINDS)
def test_a_picture(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    make(path)
    with pytest.raises(InvalidInput, match=r"picture.png: must be a picture file"):
        prepare_image(path, (28, 28, 1))


@pytest.mark.parametrize("make", KINDS)
def test_a_cached_database_is_made_again(make: Make, tmp_path: Path) -> None:
    keep_file(tmp_path, "x", "1", lambda path: path.write_bytes(b"made"))
    (kept,) = (tmp_path / "made").glob("x-1-*")
    kept.unlink()
    make(kept)
    assert kept_content(tmp_path, "x", "1") is None


@pytest.mark.fault(fault="no file where one should be, in the cache", promises="I4 I7")
@pytest.mark.parametrize("make", [pipe, sock, device])
def test_a_cached_data_file_is_fetched_again(make: Make, tiny: Tiny, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    source = Folder("folder", tiny.folder(tmp_path / "packed"))
    name = tiny.catalog.train_images.name
    (cache / "tiny").mkdir(parents=True)
    for path in (name, f".{name}.part", f".{name}.packed"):
        make(cache / "tiny" / path)
    fetch(cache, tiny.catalog, [source])
    assert (cache / "tiny" / name).read_bytes() == tiny.payloads[name]
    assert not [path for path in (cache / "tiny").iterdir() if path.suffix in (".part", ".packed")]


def test_a_folder_in_the_cache_is_named(tiny: Tiny, tmp_path: Path) -> None:
    source = Folder("folder", tiny.folder(tmp_path / "packed"))
    path = tmp_path / "tiny" / f".{tiny.catalog.train_images.name}.part"
    path.mkdir(parents=True)
    with pytest.raises(DataError, match=f"{path} must be a file, and is a folder"):
        fetch(tmp_path, tiny.catalog, [source])


@pytest.mark.parametrize("make", KINDS)
def test_a_source_skips_it(make: Make, tiny: Tiny, tmp_path: Path) -> None:
    packed = tiny.folder(tmp_path / "packed")
    path = packed / f"{tiny.catalog.train_images.name}.gz"
    path.unlink()
    make(path)
    with pytest.raises(DataError, match=r"(?s)No source delivered.*folder: not there"):
        fetch(tmp_path / "cache", tiny.catalog, [Folder("folder", packed)])


def test_what_killed_fetches_left_is_deleted_once_all_is_there(tiny: Tiny, tmp_path: Path) -> None:
    source = Folder("folder", tiny.folder(tmp_path / "packed"))
    fetch(tmp_path, tiny.catalog, [source])
    name = tiny.catalog.test_labels.name
    left = [tmp_path / "tiny" / f".{name}{end}" for end in (".part", ".packed")]
    for path in left:
        path.write_bytes(b"half")
    with FileLock(tmp_path / "tiny" / f".{name}.lock"):
        fetch(tmp_path, tiny.catalog, [source])
        assert all(path.exists() for path in left)  # somebody is fetching it
    fetch(tmp_path, tiny.catalog, [source])
    assert not any(path.exists() for path in left)
