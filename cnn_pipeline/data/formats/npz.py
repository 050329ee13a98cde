"""The user's own data as an `.npz` of images and labels."""

from __future__ import annotations

import lzma
import math
import struct
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from cnn_pipeline.data.arrays import MAX_BYTES, Part, Parts
from cnn_pipeline.data.formats.array_images import to_pixels
from cnn_pipeline.data.formats.array_labels import to_classes
from cnn_pipeline.data.formats.npz_names import Role, Slots, find_slots
from cnn_pipeline.data.reading import read_up_to

# Raised by zipfile and its decompressors for damaged archives.
_DAMAGE = (
    ValueError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,  # an encrypted member
)


class _NpyError(ValueError):
    pass


def read_npz(path: Path, class_names: tuple[str, ...] | None = None) -> Parts | list[str]:
    """Images and labels of training, test and validation, or all faults.

    `npz_names` says which array is what, `array_images` and `array_labels` what is converted.
    Nothing is unpickled. The size of an array is checked before it is read.

    Args:
        path: the file.
        class_names: names of the classes, instead of those in the file.
    """
    faults: list[str] = []
    arrays: dict[str, NDArray[np.generic]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            slots = find_slots(
                name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")
            )
            faults += [f"{path}: {fault}" for fault in slots.faults]
            for name in slots.arrays.values():
                try:
                    arrays[name] = _read_array(archive, name)
                except _DAMAGE as error:
                    faults.append(f"{path}: {name}: {error}")
            if class_names is None and slots.class_names is not None:
                try:
                    class_names = _read_names(archive, slots.class_names)
                except _DAMAGE as error:
                    faults.append(f"{path}: {slots.class_names}: {error}")
    except _DAMAGE as error:
        return [f"{path}: must be an .npz file, received something else: {error}"]
    except OSError as error:
        return [f"{path}: cannot be read: {error.strerror or error}"]
    kinds = {name: kind for (_, kind), name in slots.arrays.items()}
    to_check = {name: array for name, array in arrays.items() if kinds[name] == "labels"}
    if slots.arrays.get(("train", "labels")) not in arrays:
        to_check = {}  # they decide what the others mean
    labels = to_classes(to_check, class_names)
    images = to_pixels(
        {n: a for n, a in arrays.items() if kinds[n] == "images"}, _counts(slots, arrays)
    )
    faults += [f"{path}: {fault}" for fault in (*images.faults, *labels.faults)]
    if faults:
        return faults

    def part(role: Role) -> Part:
        x, y = slots.arrays[role, "images"], slots.arrays[role, "labels"]
        return Part(images.images[x], labels.labels[y], f"{path}: {x}", f"{path}: {y}")

    roles = {role for role, _ in slots.arrays}
    notes = [*images.notes, *labels.notes]
    if slots.unused:
        notes.append(f"not used: {', '.join(slots.unused)}")
    return Parts(
        train=part("train"),
        test=part("test") if "test" in roles else None,
        validation=part("validation") if "validation" in roles else None,
        class_names=labels.class_names,
        notes=tuple(notes),
    )


def _counts(slots: Slots, arrays: dict[str, NDArray[np.generic]]) -> dict[str, int]:
    """The number of labels by the name of their images."""
    return {
        name: len(labels)
        for (role, kind), name in slots.arrays.items()
        if kind == "images"
        and (labels := arrays.get(slots.arrays.get((role, "labels"), ""))) is not None
        and labels.ndim
    }


def _read_names(archive: zipfile.ZipFile, name: str) -> tuple[str, ...]:
    array = _read_array(archive, name)
    if array.ndim != 1 or array.dtype.kind not in "USiu":
        raise _NpyError(
            f"must hold the names of the classes as text of shape [k], received {array.dtype} of "
            f"shape {list(array.shape)}"
        )
    return tuple(word.decode() if isinstance(word, bytes) else str(word) for word in array.tolist())


def _read_array(archive: zipfile.ZipFile, name: str) -> NDArray[np.generic]:
    with archive.open(f"{name}.npy") as stream:
        shape, by_column, dtype = _read_header(stream)
        if dtype.hasobject:
            raise _NpyError(
                "must hold numbers or text, received Python objects, which are never unpickled; "
                f"use {name} = np.array({name}.tolist()), where all rows have one length and none "
                "is None"
            )
        # `bool` is an `int`, and NumPy's own reader takes negative sizes.
        if dtype.itemsize == 0 or not all(type(n) is int and n >= 0 for n in shape):
            raise _NpyError(f"must hold numbers, received {dtype} of shape {list(shape)}")
        size = math.prod(shape) * dtype.itemsize
        if max(size, *shape, 0) > MAX_BYTES:
            limit = f"at most {MAX_BYTES:,} bytes can be read"
            raise _NpyError(f"{limit}, the header announces {dtype} of shape {list(shape)}")
        content = read_up_to(stream, size)
        if len(content) < size:
            raise _NpyError(f"must have {size:,} bytes after its header, received {len(content):,}")
        # zipfile checks the checksum at the end of the stream.
        if stream.read(1):
            raise _NpyError(f"must end after its {size:,} bytes, received more")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if by_column else "C")


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether it is in column order, and dtype.

    NumPy evaluates the header as a Python literal, which fails in many ways.
    """
    version = npy.read_magic(stream)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise _NpyError(f"must be version 1.0 or 2.0 of NumPy's format, received {version}")
    try:
        header: tuple[tuple[int, ...], bool, np.dtype] = readers[version](stream)
    except (TypeError, SyntaxError, OverflowError, RecursionError, MemoryError, TokenError):
        raise _NpyError("must have a header of NumPy's format, received something else") from None
    return header
