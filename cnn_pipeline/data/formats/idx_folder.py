"""The user's own data as a folder of four IDX files, gzip or plain."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.base.file_cache import keep_file, kept_map, need_room
from cnn_pipeline.base.files import open_file, sha256_of
from cnn_pipeline.data.arrays import MAX_BYTES, Part, Parts, image_faults, label_faults
from cnn_pipeline.data.fetching.payload import GZIP_MAGIC
from cnn_pipeline.data.formats.array_labels import to_classes
from cnn_pipeline.data.formats.idx import IdxError, header_size, parse_idx, parse_shape
from cnn_pipeline.data.reading import Stream, chunks_up_to, read_up_to
from cnn_pipeline.data.rows import Rows

_NAME = re.compile(
    r"(?P<set>(.*-)?)(?P<role>train|t10k|test)-(?P<kind>images|labels)[-.]idx\d-ubyte(\.gz)?",
    re.IGNORECASE | re.DOTALL,
)
_EMNIST = "emnist-"
_MORE = 1
"""Bytes read beyond the expected length, to detect a file that is too long."""


def holds_idx(folder: Path) -> bool:
    """Whether a file in `folder` has the name of an IDX file."""
    return any(_NAME.fullmatch(path.name) for path in folder.iterdir())


def read_idx_folder(
    folder: Path, class_names: tuple[str, ...] | None = None, cache: Path | None = None
) -> Parts | list[str]:
    """Training and test data, or all faults.

    Files have MNIST's names: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, and the same
    with `t10k-` or `test-`. `.idx3-ubyte` and `.gz` work, too, and so does the name of the set
    before them, as in `emnist-letters-train-images-idx3-ubyte`.

    Args:
        folder: holds the files of one set.
        class_names: names of the classes, in their order.
        cache: folder that keeps the images unpacked, under a hash of their file. They stay on the
            disk and are mapped into memory. With None, or without room, they are held in memory.
    """
    found_set = _only_set(folder)
    if isinstance(found_set, list):
        return found_set
    faults: list[str] = []
    found: dict[tuple[str, str], tuple[Path, NDArray[np.uint8]]] = {}
    for role in ("train", "test"):
        for kind in ("images", "labels"):
            try:
                path = _find(folder, found_set, role, kind)
                array = _read_kind(path, kind, cache)
            except IdxError as error:
                faults.append(str(error))
                continue
            check = image_faults if kind == "images" else label_faults
            faults += check(str(path), array)
            found[role, kind] = (path, array)
    if faults:
        return faults
    roles = ("train", "test")
    labels = to_classes(
        {str(found[r, "labels"][0]): found[r, "labels"][1] for r in roles}, class_names
    )
    if labels.faults:
        return list(labels.faults)
    images = {role: found[role, "images"][1] for role in roles}
    train, test = (
        Part(
            images=Rows(images[role]) if cache else images[role],
            labels=labels.labels[str(found[role, "labels"][0])],
            images_file=str(found[role, "images"][0]),
            labels_file=str(found[role, "labels"][0]),
        )
        for role in roles
    )
    notes = list(labels.notes)
    if any(path.name.lower().startswith(_EMNIST) for path, _ in found.values()):
        notes.append(
            "EMNIST stores its images with rows and columns exchanged, and they stay as they are: "
            "a picture for `predict` must be mirrored along its diagonal, too"
        )
    return Parts(train, test, class_names=labels.class_names, notes=tuple(notes))


def _only_set(folder: Path) -> str | list[str]:
    """What stands before the names of MNIST; a fault if there are several, as EMNIST's archive has.

    Files with nothing before their names go first.
    """
    sets = {
        match["set"].lower() for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))
    }
    if "" in sets or len(sets) < 2:
        return "" if "" in sets else sets.pop()
    return [
        f"{folder}: must hold the files of one set, received those of {', '.join(sorted(sets))}; "
        "move the four files of one set into a folder of their own"
    ]


def _find(folder: Path, of_set: str, role: str, kind: str) -> Path:
    prefixes = ("train",) if role == "train" else ("t10k", "test")
    paths = [
        path
        for path in sorted(folder.iterdir())
        if (match := _NAME.fullmatch(path.name))
        and match["set"].lower() == of_set
        and match["role"].lower() in prefixes
        and match["kind"].lower() == kind
    ]
    if len(paths) != 1:
        usual = f"{of_set}{prefixes[0]}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"
        received = " and ".join(path.name for path in paths) or "none"
        raise IdxError(
            f"{folder / usual}: there must be one file of {role} {kind}, received {received}"
        )
    return paths[0]


def _read_kind(path: Path, kind: str, cache: Path | None) -> NDArray[np.uint8]:
    """Images as `[n, h, w, c]` or labels as `[n]`; errors name the file."""
    try:
        array = _kept(path, cache) if kind == "images" and cache else None
        if array is None:
            with _opened(path) as stream:
                array = _read_stream(stream)
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


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Stream]:
    """The bytes of a file, unpacked if it is packed."""
    with open_file(path) as raw:
        magic = raw.read(2)
        raw.seek(0)
        if magic != GZIP_MAGIC:
            yield raw
            return
        with gzip.GzipFile(fileobj=raw) as unpacked:
            try:
                yield unpacked
            except gzip.BadGzipFile as error:
                if "Not a gzipped file" not in str(error):
                    raise
                # The first bytes were right, so these are after the end of the packed data.
                raise IdxError(
                    "the packed data must end with the file, received other bytes behind them; "
                    "download the file again, or repair it with gunzip and gzip"
                ) from None


def _kept(path: Path, cache: Path) -> NDArray[np.uint8] | None:
    """The array in a file as a map of its unpacked copy in the cache; None if it has no room."""
    name = "idx" + hashlib.sha256(bytes(path)).hexdigest()[:16]
    key = sha256_of(path)
    kept = kept_map(cache, name, key)
    if kept is None:
        keep_file(cache, name, key, lambda new: _unpack(path, new))
        kept = kept_map(cache, name, key)
    return None if kept is None else parse_idx(kept)


def _unpack(path: Path, new: Path) -> None:
    with _opened(path) as stream, new.open("wb") as file:
        header, shape = _read_header(stream)
        need_room(new, math.prod(shape))
        file.write(header)
        for chunk in chunks_up_to(stream, math.prod(shape) + _MORE):
            file.write(chunk)


def _read_header(stream: Stream) -> tuple[bytes, tuple[int, ...]]:
    header = bytes(read_up_to(stream, 4))
    header += read_up_to(stream, header_size(header) - 4)
    return header, parse_shape(header)


def _read_stream(stream: Stream) -> NDArray[np.uint8]:
    header, shape = _read_header(stream)
    size = math.prod(shape)
    if size > MAX_BYTES:
        raise IdxError(
            f"at most {MAX_BYTES:,} values can be read without room for them in the cache folder, "
            f"the header announces {size:,}"
        )
    return parse_idx(header + read_up_to(stream, size + _MORE))
