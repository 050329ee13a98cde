"""Read the picture files of a data set as images of one size: on all cores, and only once."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import math
import mmap
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import features

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.events import PreparationProgress, emit
from cnn_pipeline.base.file_cache import keep_file, kept_map, need_room
from cnn_pipeline.base.machine import available_cores
from cnn_pipeline.base.versions import code_digest
from cnn_pipeline.data.arrays import MAX_BYTES
from cnn_pipeline.data.decoding import Header, read_bytes, read_header
from cnn_pipeline.data.formats.listing import SUFFIXES, is_picture
from cnn_pipeline.data.picture import prepare_image
from cnn_pipeline.data.preparation import PADDED, Preparation, declared, recorded, size_of
from cnn_pipeline.data.rows import Images, Rows
from cnn_pipeline.settings.trial import DataSettings

# What decides the pixels, beside the files, the settings and the libraries.
_CODE = (
    "data/decoding.py",
    "data/fitting.py",
    "data/formats/image_files.py",
    "data/picture.py",
    "data/preparation.py",
)
# Not zlib, which loses nothing: Pillow finds another one in a process that has TensorFlow.
_CODECS = ("jpg", "libjpeg_turbo", "libtiff", "webp")
_TELL_SECONDS = 0.2
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, eq=False)
class Pictures:
    """Picture files as images."""

    images: Images
    """uint8 `[n, h, w, 1 or 3]`, 0 to 255, in the order of the files; read-only."""
    preparation: Preparation
    """What was done, for pictures to come; their drawing is not measured yet."""
    notes: tuple[str, ...]
    """In sentences, what was converted, with the number of pictures."""


def read_pictures(
    paths: Sequence[Path], settings: DataSettings, cache: Path | None = None
) -> Pictures | list[str]:
    """Read and prepare picture files, or name all that cannot be read with the reason.

    The size is `settings.image_size`, the one that all pictures have, or the median of heights and
    widths. With `color` 'auto' there are three channels if any file is in colour.

    Args:
        paths: at least one file.
        settings: the declared preparation.
        cache: folder that keeps the images, under a hash of all bytes of the files and of all that
            decides the pixels; verified when it is opened. They stay on the disk and are mapped
            into memory. With None, or where the folder has no room, they are held in memory.
    """
    faults = [fault for path in paths for fault in _kind_faults(path)]
    good = [path for path in paths if not _kind_faults(path)]
    hashes, wrong = _each(_hash, good)
    faults += wrong
    key = _key([hashes.get(path) for path in paths], settings)
    name = "pictures" + hashlib.sha256(os.path.commonpath(paths).encode()).hexdigest()[:16]
    kept = kept_map(cache, name, key) if cache and not faults else None
    if kept is not None:
        return _mapped(kept)
    headers, wrong = _each(_header, list(hashes))
    faults += wrong
    if not headers:
        return faults
    height, width, notes = _size(list(headers.values()), settings)
    grey = all(header.grey for header in headers.values())
    channels = 1 if settings.color == "grey" or (settings.color == "auto" and grey) else 3
    todo = _Todo(list(headers), (height, width, channels), settings, notes)
    try:
        if cache and not faults:
            keep_file(cache, name, key, lambda path: _pack(todo, path))
            if (kept := kept_map(cache, name, key)) is not None:
                return _mapped(kept)
        if todo.nbytes > MAX_BYTES:
            size = f"{len(paths):,} images of {height}x{width}x{channels}"
            room = f", or make room in the cache folder {cache}" if cache else ""
            return [
                *faults,
                f"image_size must be smaller: {size} need more than {MAX_BYTES:,} bytes, received "
                f"{settings.image_size or 'none'}; use image_size=64x64{room}",
            ]
        images = np.empty((len(headers), *todo.shape), dtype=np.uint8)
        preparation, said = _prepare(todo, images.__setitem__)
    except InvalidInput as error:
        faults += error.faults
    if faults:
        return faults
    images.flags.writeable = False
    return Pictures(images, preparation, said)


def _kind_faults(path: Path) -> list[str]:
    if path.is_file() and is_picture(path):
        return []
    return [
        f"{path}: must be a picture file with a suffix of {', '.join(sorted(SUFFIXES))}; "
        "convert it, move it away, or list the pictures in a CSV"
    ]


def _hash(path: Path) -> str:
    return hashlib.sha256(read_bytes(path, str(path))).hexdigest()


def _header(path: Path) -> Header:
    return read_header(read_bytes(path, str(path)), str(path))


def _key(hashes: Sequence[str | None], settings: DataSettings) -> str:
    content = {
        "files": hashes,
        "settings": declared(settings),
        "code": code_digest(_CODE),
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "codecs": [features.version(codec) for codec in _CODECS],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _size(headers: Sequence[Header], settings: DataSettings) -> tuple[int, int, list[str]]:
    """Height and width of all images, with a note where they were not the same."""
    sizes = Counter((header.height, header.width) for header in headers)
    if settings.image_size is not None:
        return *size_of(settings.image_size), []
    if len(sizes) == 1:
        return *next(iter(sizes)), []
    height, width = (
        max(1, round(statistics.median(side)))
        for side in zip(*((header.height, header.width) for header in headers), strict=True)
    )
    shown = [f"{h}x{w}" for (h, w), _ in sizes.most_common(3)]
    more = f" and {len(sizes) - 3:,} more" if len(sizes) > 3 else ""
    return (
        height,
        width,
        [
            f"the pictures have {len(sizes):,} sizes (height x width: {', '.join(shown)}{more}), "
            f"and all become {height}x{width}, the median; --image-size sets another"
        ],
    )


@dataclass(frozen=True)
class _Todo:
    """Pictures to prepare: `shape` of each, and what is known of all of them."""

    paths: Sequence[Path]
    shape: tuple[int, int, int]
    settings: DataSettings
    notes: Sequence[str]

    @property
    def nbytes(self) -> int:
        return len(self.paths) * math.prod(self.shape)


def _prepare(
    todo: _Todo, put: Callable[[int, NDArray[np.uint8]], object]
) -> tuple[Preparation, tuple[str, ...]]:
    """Put each image to its position; what was done, and the notes that say so.

    Raises:
        InvalidInput: names all pictures that cannot be read.
    """
    preparation = recorded(todo.settings, [PADDED])

    def prepare(at: int) -> tuple[str, ...]:
        image = prepare_image(todo.paths[at], todo.shape, preparation=preparation)
        put(at, image.pixels)
        return image.counted

    count = len(todo.paths)
    counted, faults = _each(prepare, range(count), _told(count))
    if faults:
        raise InvalidInput(faults)
    steps = Counter(itertools.chain.from_iterable(counted.values()))
    notes = [f"{n:,} of {count:,} pictures: {step}" for step, n in steps.items()]
    return recorded(todo.settings, steps), (*todo.notes, *notes)


def _told(total: int) -> Callable[[int], None]:
    """Tell how many pictures are done, where that takes time."""
    began = last = time.monotonic()

    def tell(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _TELL_SECONDS or (done == total and last > began):
            last = now
            emit(PreparationProgress(done, total))

    return tell


def _each(
    function: Callable[[ItemT], ResultT],
    items: Sequence[ItemT],
    tell: Callable[[int], None] = lambda done: None,
) -> tuple[dict[ItemT, ResultT], list[str]]:
    """The result of a function by item, in the order of the items, and the faults that it raised.

    Threads are enough: Pillow and hashlib let go of Python's lock while they work.
    """

    def tried(item: ItemT) -> ResultT | InvalidInput:
        try:
            return function(item)
        except InvalidInput as error:
            return error

    results: dict[ItemT, ResultT] = {}
    faults: list[str] = []
    with ThreadPoolExecutor(available_cores(), thread_name_prefix="pictures") as pool:
        for done, (item, result) in enumerate(zip(items, pool.map(tried, items), strict=True), 1):
            if isinstance(result, InvalidInput):
                faults += result.faults
            else:
                results[item] = result
            tell(done)
    return results, faults


def _pack(todo: _Todo, path: Path) -> None:
    """Write images, then what is known of them as JSON, then its length in 8 bytes."""
    need_room(path, todo.nbytes)
    with path.open("r+b") as file:

        def put(at: int, pixels: NDArray[np.uint8]) -> None:
            # Threads write at once, and so nothing is held; less is written on a full disk.
            if os.pwrite(file.fileno(), pixels.tobytes(), at * pixels.nbytes) != pixels.nbytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

        preparation, notes = _prepare(todo, put)
        known = {
            "shape": (len(todo.paths), *todo.shape),
            "preparation": preparation.model_dump(),
            "notes": notes,
        }
        content = json.dumps(known).encode()
        file.seek(todo.nbytes)
        file.write(content + len(content).to_bytes(8, "big"))


def _mapped(kept: mmap.mmap) -> Pictures:
    known = json.loads(kept[-8 - int.from_bytes(kept[-8:], "big") : -8])
    pixels = np.frombuffer(kept, np.uint8, count=math.prod(known["shape"]))
    return Pictures(
        Rows(pixels.reshape(known["shape"])),
        Preparation(**known["preparation"]),
        tuple(known["notes"]),
    )
