"""The user's own data as PNG and JPEG files: `train/<class>/*.png`, `test/<class>/*.png`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnn_pipeline.data.arrays import MAX_BYTES, Part

_SUFFIXES = {".png", ".jpg", ".jpeg"}
_ROLES = ("train", "test")


@dataclass(frozen=True)
class _Entry:
    role: str
    path: Path
    label: int


@dataclass(frozen=True)
class _Size:
    """Width and height in pixels that all images must have, and the first file, which set them."""

    width: int
    height: int
    file: Path


class _ImageError(ValueError):
    pass


def holds_image_folders(folder: Path) -> bool:
    """Whether `folder` contains a folder `train` or `test`."""
    return any((folder / role).is_dir() for role in _ROLES)


def read_image_folder(
    folder: Path, class_names: tuple[str, ...] | None
) -> tuple[Part, Part, tuple[str, ...]] | list[str]:
    """Training data, test data and class names, or all faults.

    Classes are the folders in `train/`, in the order of `class_names` or sorted. All images must
    have the same height and width. If some images are RGB, grey ones get three equal channels.
    """
    names = class_names or tuple(p.name for p in _visible(folder / "train") if p.is_dir())
    faults = [fault for role in _ROLES for fault in _layout_faults(folder / role, names)]
    entries = [
        _Entry(role, path, label)
        for role in _ROLES
        for label, name in enumerate(names)
        for path in _visible(folder / role / name)
    ]
    images, wrong = _read_images(entries)
    faults += wrong
    if faults:
        return faults
    channels = max(image.shape[2] for image in images)
    train, test = (
        Part(
            images=_stack(
                [i for i, e in zip(images, entries, strict=True) if e.role == role], channels
            ),
            labels=np.array([e.label for e in entries if e.role == role], dtype=np.int64),
            images_file=str(folder / role),
            labels_file=str(folder / role),
        )
        for role in _ROLES
    )
    return train, test, names


def _visible(folder: Path) -> list[Path]:
    """Content of `folder`, sorted, without hidden files such as .DS_Store."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _layout_faults(folder: Path, names: tuple[str, ...]) -> list[str]:
    if not folder.is_dir():
        return [f"{folder}: there must be a folder of this name with one folder per class"]
    faults = []
    for path in _visible(folder):
        if not path.is_dir():
            faults.append(f"{path}: must be a folder of images, named as their class")
        elif names and path.name not in names:
            faults.append(f"{path}: must be one of the classes {', '.join(names)}")
    filled = [name for name in names if _visible(folder / name)]
    if folder.name == "train":
        faults += [
            f"{folder / name}: there must be at least one image of each class, received none"
            for name in names
            if name not in filled
        ]
    if not filled and (names or folder.name == "train"):
        faults.append(f"{folder}: there must be at least one image, received none")
    return faults


def _read_images(entries: list[_Entry]) -> tuple[list[NDArray[np.uint8]], list[str]]:
    """All images, uint8 `[h, w, 1 or 3]`, and all faults. With faults, images are missing."""
    images = []
    faults = []
    size: _Size | None = None
    for entry in entries:
        try:
            image = _read_image(entry.path, size, len(entries))
        except _ImageError as error:
            faults.append(f"{entry.path}: {error}")
            continue
        images.append(image)
        size = size or _Size(width=image.shape[1], height=image.shape[0], file=entry.path)
    return images, faults


def _read_image(path: Path, size: _Size | None, count: int) -> NDArray[np.uint8]:
    if not path.is_file() or path.suffix.lower() not in _SUFFIXES:
        raise _ImageError("must be a .png, .jpg or .jpeg file")
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            # Known before a pixel is decoded, so a decompression bomb is refused here.
            width, height = image.size
            if size is not None and (width, height) != (size.width, size.height):
                raise _ImageError(
                    f"must be {size.width}x{size.height} pixels as {size.file}, "
                    f"received {width}x{height}"
                )
            if 3 * width * height * count > MAX_BYTES:
                raise _ImageError(
                    f"{count:,} images of {width}x{height} pixels need more than {MAX_BYTES:,} "
                    "bytes; use smaller images"
                )
            image.load()
            return _pixels(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, _ImageError):
            raise
        raise _ImageError(f"cannot be read as PNG or JPEG: {error}") from error


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info:
        opaque = image.convert("RGBA")
        if opaque.getchannel("A").getextrema() != (255, 255):
            raise _ImageError("must have no transparent pixels; put it on a background first")
        image = image.convert("L" if image.mode == "LA" else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode == "P":
        image = image.convert("RGB")
    if image.mode not in ("L", "RGB"):
        raise _ImageError(
            f"must be grey or RGB with 8 bits per channel, received Pillow's mode {image.mode}"
        )
    array = np.asarray(image, dtype=np.uint8)
    return array[..., np.newaxis] if array.ndim == 2 else array


def _stack(images: list[NDArray[np.uint8]], channels: int) -> NDArray[np.uint8]:
    height, width, _ = images[0].shape
    stacked = np.empty((len(images), height, width, channels), dtype=np.uint8)
    for at, image in enumerate(images):
        stacked[at] = image  # broadcasts one grey channel to three
    return stacked
