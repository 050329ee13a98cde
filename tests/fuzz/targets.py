"""What is fuzzed: each reader, given bytes, returns or refuses; any other error is a finding."""

from __future__ import annotations

import struct
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.champion.server.request import Refused, parse
from cnn_pipeline.data.formats.idx_folder import read_idx_folder
from cnn_pipeline.data.formats.image_folder import read_image_folder
from cnn_pipeline.data.formats.npz import read_npz
from cnn_pipeline.data.picture import prepare_image
from cnn_pipeline.data.preparation import preparation_of
from cnn_pipeline.settings.files import load_sweep_file
from cnn_pipeline.settings.trial import DataSettings
from tests.fuzz import TARGET_NAMES

CORPUS = Path(__file__).parent / "corpus"
PREPARATION = preparation_of("fashion-mnist", None)


def idx_header(*shape: int) -> bytes:
    """The header of an IDX file of unsigned bytes."""
    return struct.pack(f">2xBB{len(shape)}I", 8, len(shape), *shape)


def _folder() -> tempfile.TemporaryDirectory[str]:
    memory = Path("/dev/shm")  # no disk is worn out
    return tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)


def idx(data: bytes) -> None:
    """A folder of IDX files; `data` is the training images."""
    with _folder() as name:
        folder = Path(name)
        (folder / "train-images-idx3-ubyte").write_bytes(data)
        for name in ("train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"):
            (folder / name).write_bytes(idx_header(2) + bytes([0, 1]))
        (folder / "t10k-images-idx3-ubyte").write_bytes(idx_header(2, 2, 2) + bytes(8))
        read_idx_folder(folder)


def npz(data: bytes) -> None:
    """An archive of arrays."""
    with _folder() as name:
        path = Path(name, "data.npz")
        path.write_bytes(data)
        read_npz(path)


def npy(data: bytes) -> None:
    """An array of an archive, with a checksum that fits, so that its header is read."""
    with _folder() as name:
        path = Path(name, "data.npz")
        with zipfile.ZipFile(path, "w") as archive:
            for member in ("x_train", "y_train", "x_test", "y_test"):
                archive.writestr(f"{member}.npy", data)
        read_npz(path)


def image(data: bytes) -> None:
    """A picture to classify, and one in a folder of classes."""
    with suppress(InvalidInput):
        prepare_image(data, (28, 28, 1), preparation=PREPARATION, name="image")
    with _folder() as name:
        for role in ("train", "test"):
            for label in ("ant", "bee"):
                (Path(name) / role / label).mkdir(parents=True)
                (Path(name) / role / label / "1.png").write_bytes(data)
        read_image_folder(Path(name), None, DataSettings())


def toml(data: bytes) -> None:
    """A file with a sweep."""
    with _folder() as name, suppress(InvalidInput):
        path = Path(name, "sweep.toml")
        path.write_bytes(data)
        load_sweep_file(path)


def request(data: bytes) -> None:
    """The body of a request to the champion's server."""
    with suppress(Refused):
        parse(data, (28, 28, 1), PREPARATION)


TARGETS: dict[str, Callable[[bytes], None]] = {name: globals()[name] for name in TARGET_NAMES}
