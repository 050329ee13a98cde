"""The user's own data as a folder of four IDX files, gzip or plain."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.data.arrays import MAX_BYTES, Part, image_faults, label_faults
from cnn_pipeline.data.fetching.payload import GZIP_MAGIC
from cnn_pipeline.data.formats.idx import IdxError, header_size, parse_idx, parse_shape

_NAME = re.compile(
    r"(?P<role>train|t10k|test)-(?P<kind>images|labels)[-.]idx\d-ubyte(\.gz)?", re.IGNORECASE
)
_MORE = 1
"""Bytes read beyond the expected length, to detect a file that is too long."""


def holds_idx(folder: Path) -> bool:
    """Whether a file in `folder` has the name of an IDX file."""
    return any(_NAME.fullmatch(path.name) for path in folder.iterdir())


def read_idx_folder(folder: Path) -> tuple[Part, Part] | list[str]:
    """Training and test data, or all faults.

    Files have MNIST's names: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, and the same
    with `t10k-` or `test-`. `.idx3-ubyte` and `.gz` work, too.
    """
    faults: list[str] = []
    found: dict[tuple[str, str], tuple[Path, NDArray[np.uint8]]] = {}
    for role in ("train", "test"):
        for kind in ("images", "labels"):
            try:
                path = _find(folder, role, kind)
                array = _read_kind(path, kind)
            except IdxError as error:
                faults.append(str(error))
                continue
            check = image_faults if kind == "images" else label_faults
            faults += check(str(path), array)
            found[role, kind] = (path, array)
    if faults:
        return faults
    train, test = (
        Part(
            images=found[role, "images"][1],
            labels=found[role, "labels"][1].astype(np.int64),
            images_file=str(found[role, "images"][0]),
            labels_file=str(found[role, "labels"][0]),
        )
        for role in ("train", "test")
    )
    return train, test


def _find(folder: Path, role: str, kind: str) -> Path:
    prefixes = ("train",) if role == "train" else ("t10k", "test")
    paths = [
        path
        for path in sorted(folder.iterdir())
        if (match := _NAME.fullmatch(path.name))
        and match["role"].lower() in prefixes
        and match["kind"].lower() == kind
    ]
    if len(paths) != 1:
        usual = f"{prefixes[0]}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"
        received = " and ".join(path.name for path in paths) or "none"
        raise IdxError(
            f"{folder / usual}: there must be one file of {role} {kind}, received {received}"
        )
    return paths[0]


def _read_kind(path: Path, kind: str) -> NDArray[np.uint8]:
    """Images as `[n, h, w, c]` or labels as `[n]`; errors name the file."""
    try:
        array = _read(path)
    except OSError as error:
        raise IdxError(f"{path}: {error.strerror or error}") from error
    except (IdxError, EOFError, zlib.error) as error:
        raise IdxError(f"{path}: {error}") from error
    received = "images" if array.ndim > 1 else "labels"
    if received != kind:
        raise IdxError(
            f"{path}: must hold {kind}, received {array.ndim} dimensions, so {received}; "
            "are the two files swapped?"
        )
    return array[..., np.newaxis] if array.ndim == 3 else array


def _read(path: Path) -> NDArray[np.uint8]:
    with path.open("rb") as raw:
        magic = raw.read(2)
        raw.seek(0)
        if magic != GZIP_MAGIC:
            return _read_stream(raw)
        with gzip.GzipFile(fileobj=raw) as unpacked:
            return _read_stream(unpacked)  # type: ignore[arg-type]


def _read_stream(stream: BinaryIO) -> NDArray[np.uint8]:
    header = stream.read(4)
    header += stream.read(header_size(header) - 4)
    shape = parse_shape(header)
    size = math.prod(shape)
    if size > MAX_BYTES:
        raise IdxError(f"at most {MAX_BYTES:,} values can be read, the header announces {size:,}")
    return parse_idx(header + stream.read(size + _MORE))
