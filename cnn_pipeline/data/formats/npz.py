"""The user's own data as an `.npz` with x_train, y_train, x_test and y_test."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from cnn_pipeline.data.arrays import MAX_BYTES, Part, image_faults, label_faults

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


class _NpyError(ValueError):
    pass


def read_npz(path: Path) -> tuple[Part, Part] | list[str]:
    """Training and test data, or all faults.

    Images: uint8 `[n, h, w]` or `[n, h, w, 1 or 3]`; labels: whole numbers `[n]` or `[n, 1]`.
    Nothing is unpickled. The size of an array is checked before it is read.
    """
    faults: list[str] = []
    arrays: dict[str, NDArray[np.generic]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = set(archive.namelist())
            for name in _ARRAYS:
                if f"{name}.npy" not in members:
                    received = ", ".join(sorted(members)[:10]) or "an empty file"
                    faults.append(f"{path}: must hold the array {name}, received {received}")
                    continue
                try:
                    arrays[name] = _read_array(archive, f"{name}.npy")
                except (
                    ValueError,
                    EOFError,
                    zlib.error,
                    zipfile.BadZipFile,
                    NotImplementedError,
                    RuntimeError,  # an encrypted member
                ) as error:
                    faults.append(f"{path}: {name}: {error}")
    except zipfile.BadZipFile as error:
        return [f"{path}: must be an .npz file, received something else: {error}"]
    except OSError as error:
        return [f"{path}: cannot be read: {error.strerror or error}"]
    for name, array in arrays.items():
        where = f"{path}: {name}"
        if name.startswith("x_"):
            if array.ndim == 3:
                array = array[..., np.newaxis]
            faults += image_faults(where, array)
        else:
            if array.ndim == 2 and array.shape[1] == 1:
                array = array[:, 0]
            faults += label_faults(where, array) or _range_faults(where, array)
        arrays[name] = array
    if faults:
        return faults
    train, test = (
        Part(
            images=np.ascontiguousarray(arrays[f"x_{role}"], dtype=np.uint8),
            labels=arrays[f"y_{role}"].astype(np.int64),
            images_file=f"{path}: x_{role}",
            labels_file=f"{path}: y_{role}",
        )
        for role in ("train", "test")
    )
    return train, test


def _range_faults(where: str, labels: NDArray[np.generic]) -> list[str]:
    # A uint64 above int64's range would wrap around to a label that looks valid.
    if labels.dtype == np.uint64 and labels.size and int(labels.max()) > np.iinfo(np.int64).max:
        return [f"{where}: labels must be below 1,000, received {labels.max()}"]
    return []


def _read_array(archive: zipfile.ZipFile, member: str) -> NDArray[np.generic]:
    with archive.open(member) as stream:
        shape, dtype = _read_header(stream)
    if dtype.hasobject:
        raise _NpyError("must hold numbers, received Python objects, which are never unpickled")
    size = math.prod(shape) * dtype.itemsize
    if size > MAX_BYTES:
        raise _NpyError(f"at most {MAX_BYTES:,} bytes can be read, the header announces {size:,}")
    with archive.open(member) as stream:
        array = npy.read_array(stream, allow_pickle=False)
        # zipfile checks the checksum at the end of the stream.
        if stream.read(1):
            raise _NpyError(f"must end after its {size:,} bytes, received more")
    return np.asarray(array)


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = npy.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = npy.read_array_header_2_0(stream)
    else:
        raise _NpyError(f"must be version 1.0 or 2.0 of NumPy's format, received {version}")
    return shape, dtype
