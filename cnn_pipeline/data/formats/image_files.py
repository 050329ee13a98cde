"""Read the picture files of a data set as images of one size: on all cores, and only once."""

from __future__ import annotations

import hashlib
import itertools
import json
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
from cnn_pipeline.base.file_cache import keep_file, kept_content
from cnn_pipeline.base.machine import available_cores
from cnn_pipeline.base.versions import code_digest
from cnn_pipeline.data.arrays import MAX_BYTES
from cnn_pipeline.data.decoding import Header, read_bytes, read_header
from cnn_pipeline.data.formats.listing import SUFFIXES, is_picture
from cnn_pipeline.data.picture import prepare_image
from cnn_pipeline.data.preparation import PADDED, Preparation, declared, recorded, size_of
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

    images: NDArray[np.uint8]
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
            decides the pixels; verified when it is read. None keeps nothing.
    """
    faults = [fault for path in paths for fault in _kind_faults(path)]
    good = [path for path in paths if not _kind_faults(path)]
    hashes, wrong = _each(_hash, good)
    faults += wrong
    key = _key([hashes.get(path) for path in paths], settings)
    name = "pictures" + hashlib.sha256(os.path.commonpath(paths).encode()).hexdigest()[:16]
    kept = kept_content(cache, name, key) if cache and not faults else None
    if kept is not None:
        return _unpacked(kept)
    headers, wrong = _each(_header, list(hashes))
    faults += wrong
    if not headers:
        return faults
    height, width, notes = _size(list(headers.values()), settings)
    grey = all(header.grey for header in headers.values())
    channels = 1 if settings.color == "grey" or (settings.color == "auto" and grey) else 3
    if len(paths) * height * width * channels > MAX_BYTES:
        size = f"{len(paths):,} images of {height}x{width}x{channels}"
        return [
            *faults,
            f"image_size must be smaller: {size} need more than {MAX_BYTES:,} bytes, received "
            f"{settings.image_size or 'none'}; use image_size=64x64",
        ]
    images, steps, wrong = _prepared(list(headers), (height, width, channels), settings)
    faults += wrong
    if faults:
        return faults
    notes += [f"{n:,} of {len(paths):,} pictures: {step}" for step, n in steps.items()]
    pictures = Pictures(images, recorded(settings, steps), tuple(notes))
    if cache:
        keep_file(cache, name, key, lambda path: _pack(pictures, path))
    return pictures


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


def _prepared(
    paths: Sequence[Path], shape: tuple[int, int, int], settings: DataSettings
) -> tuple[NDArray[np.uint8], Counter[str], list[str]]:
    """The images, how many pictures each step was taken for, and all faults."""
    preparation = recorded(settings, [PADDED])
    images = np.empty((len(paths), *shape), dtype=np.uint8)

    def prepare(at: int) -> tuple[str, ...]:
        image = prepare_image(paths[at], shape, preparation=preparation)
        images[at] = image.pixels
        return image.counted

    steps, faults = _each(prepare, range(len(paths)), _told(len(paths)))
    images.flags.writeable = False
    return images, Counter(itertools.chain.from_iterable(steps.values())), faults


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


def _pack(pictures: Pictures, path: Path) -> None:
    """Write images with what is known of them: a line of JSON, then the pixels."""
    header = {
        "shape": pictures.images.shape,
        "preparation": pictures.preparation.model_dump(),
        "notes": pictures.notes,
    }
    with path.open("wb") as file:
        file.write(json.dumps(header).encode() + b"\n")
        file.write(np.ascontiguousarray(pictures.images).data)


def _unpacked(content: bytes) -> Pictures:
    end = content.index(b"\n")
    header = json.loads(content[:end])
    pixels = np.frombuffer(content, np.uint8, offset=end + 1)
    return Pictures(
        pixels.reshape(header["shape"]),
        Preparation(**header["preparation"]),
        tuple(header["notes"]),
    )
