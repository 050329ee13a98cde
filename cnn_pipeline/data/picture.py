"""Prepare a user's PNG or JPEG file for a model.

Every step is recorded in words, because each can be the reason for a surprising prediction.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.quantities import percent

Convention = Literal["light-on-dark", "as-is"]
Grey = npt.NDArray[np.uint8]

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 50_000_000  # of a good camera; a decompression bomb of a few kilobytes has more
# Fashion-MNIST was made by cropping what is within 5 % of the corners' colour, scaling the longer
# side to 28 and centring the rest (Xiao, Rasul and Vollgraf 2017, section 2), so there is no
# margin: in 99.97 % of its 70,000 images the object is 27 or 28 pixels long.
CLOSE_TO_BACKGROUND = round(0.05 * 255)
_ORIENTATION = 0x0112  # EXIF tag: how the camera was held; 1 is upright
# Raised by Pillow's decoders for damaged files.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    LookupError,
    OverflowError,
    struct.error,
    zlib.error,
)
_WORKING_SIDE = 2048  # pixels; larger pictures are first reduced by an integer factor


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """`pixels`: uint8 `[height, width, channels]`; `steps`: what was done, in words."""

    pixels: npt.NDArray[np.uint8]
    steps: tuple[str, ...]


def convention_for(dataset: str) -> Convention:
    """How to prepare pictures for a model of this data set (a slug)."""
    return "light-on-dark" if dataset.startswith("fashion-mnist") else "as-is"


def prepare_image(
    source: Path | str | bytes,
    image_shape: tuple[int, int, int],
    *,
    convention: Convention = "light-on-dark",
    name: str | None = None,
) -> PreparedImage:
    """Read a PNG or JPEG file of any size and convert it to the model's input.

    A picture that already has the model's size is neither cropped nor centred, so an image of the
    data set itself does not change. Of several frames the first is used.

    Args:
        source: a path, or the bytes of a file.
        image_shape: height, width and channels (1 or 3) of the model's input.
        convention: 'light-on-dark' is Fashion-MNIST's: a light object on black that fills the
            frame. A grey picture is inverted if necessary, its background is made black, and it is
            cropped to the object and centred. The corners show the background, which must be
            about even. 'as-is', and any RGB model, only resize and keep the proportions.
        name: how errors call the picture; the path by default.

    Raises:
        InvalidInput: the file cannot be read; with its name and the reason.
    """
    height, width, channels = image_shape
    if channels not in (1, 3) or height < 1 or width < 1:
        fault = f"image_shape must be (height, width, 1 or 3 channels), received {image_shape}"
        raise InvalidInput([fault])
    if name is None:
        name = "the image" if isinstance(source, bytes) else str(source)
    steps: list[str] = []
    light_on_dark = convention == "light-on-dark" and channels == 1
    picture = _decode(_read(source, name), name, steps)
    picture = _eight_bits(picture, steps)
    picture = _opaque(picture, light_on_dark, steps)
    picture = _channels(picture, channels, steps)
    size = picture.size
    if size == (width, height):
        pixels = np.asarray(picture)
        if light_on_dark and _darker_than_background(pixels):
            pixels = _invert(pixels, steps)
    else:
        picture = picture.reduce(max(1, max(size) // _WORKING_SIDE))
        pixels = np.asarray(picture)
        background = _background(pixels)
        if light_on_dark:
            if _darker_than_background(pixels):
                pixels = _invert(pixels, steps)
            pixels = _black_background(pixels, steps)
            pixels = _cut_to_object(pixels, steps)
            background = np.zeros(1, dtype=np.uint8)
        pixels = _fit(pixels, size, (width, height), background, steps)
    return PreparedImage(pixels.reshape(image_shape).copy(), tuple(steps))


def _read(source: Path | str | bytes, name: str) -> bytes:
    if isinstance(source, bytes):
        content = source
    else:
        path = Path(source)
        try:
            if path.exists() and not path.is_file():  # a folder, or a pipe that would block
                raise InvalidInput([f"{name}: must be a PNG or JPEG file, received no file"])
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            raise InvalidInput([f"{name}: there is no such file"]) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InvalidInput([f"{name}: cannot be read: {reason}"]) from None
    if not content:
        raise InvalidInput([f"{name}: the file is empty"])
    if len(content) > MAX_BYTES:
        fault = f"{name}: the file is larger than {MAX_BYTES >> 20} MiB; make it smaller first"
        raise InvalidInput([fault])
    return content


def _decode(content: bytes, name: str, steps: list[str]) -> Image.Image:
    """The first frame, upright."""
    too_large = (
        f"{name}: the picture has more than {MAX_PIXELS // 1_000_000} million pixels; "
        "make it smaller first"
    )
    try:
        picture = Image.open(BytesIO(content), formats=["PNG", "JPEG"])
        if picture.width * picture.height > MAX_PIXELS:
            raise InvalidInput([too_large])
        frames = getattr(picture, "n_frames", 1)
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        orientation = picture.getexif().get(_ORIENTATION, 1)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InvalidInput([too_large]) from None
    except UnidentifiedImageError:
        raise InvalidInput([f"{name}: this is not a PNG or JPEG picture"]) from None
    except _DAMAGE as error:
        raise InvalidInput([f"{name}: the picture is damaged: {error}"]) from None
    if frames > 1:
        steps.append(f"took the first of {frames} frames")
    if orientation in range(2, 9):
        steps.append("turned upright, as the camera recorded")
    return upright


def _eight_bits(picture: Image.Image, steps: list[str]) -> Image.Image:
    """Scale 16-bit grey to 8 bits: Pillow would clip it at 255."""
    if not picture.mode.startswith("I"):
        return picture
    steps.append("reduced from 16 to 8 bits per pixel")
    values = np.asarray(picture).astype(np.float64) / 257
    return Image.fromarray(np.round(values).clip(0, 255).astype(np.uint8))


def _opaque(picture: Image.Image, light_on_dark: bool, steps: list[str]) -> Image.Image:
    """Put a transparent picture on black or white, whichever its object stands out from."""
    if not picture.has_transparency_data:
        return picture
    rgba = picture.convert("RGBA")
    alpha = np.asarray(rgba.getchannel("A"))
    if alpha.min() == 255:
        return rgba.convert("RGB")
    shade = np.asarray(rgba.convert("RGB").convert("L"), dtype=np.float64)
    brightness = float((shade * alpha).sum() / max(int(alpha.sum(dtype=np.int64)), 1))
    color = "black" if light_on_dark and brightness >= 128 else "white"
    background = Image.new("RGBA", rgba.size, color)
    background.alpha_composite(rgba)
    steps.append(f"put on {color}, because it was transparent")
    return background.convert("RGB")


def _channels(picture: Image.Image, channels: int, steps: list[str]) -> Image.Image:
    if channels == 3:
        if picture.mode == "CMYK":
            steps.append("converted from CMYK to RGB")
        return picture.convert("RGB")
    if picture.mode in ("1", "L"):
        return picture.convert("L")
    rgb = picture.convert("RGB")
    pixels = np.asarray(rgb)
    # Grey stored as RGB does not change, so no step is recorded.
    if (pixels[..., :2] != pixels[..., 1:]).any():
        steps.append("converted from colour to grey")
    return rgb.convert("L")


def _background(pixels: np.ndarray) -> npt.NDArray[np.uint8]:
    """Background colour, uint8 `[channels]`: the median of the four corners.

    A corner is a patch of a 28th of the shorter side. Objects often touch the middle of an edge:
    corners are right for all of Fashion-MNIST's 70,000 images, the whole border is wrong for two.
    """
    side = max(1, min(pixels.shape[:2]) // 28)
    ends = (slice(0, side), slice(-side, None))
    channels = pixels.reshape(*pixels.shape[:2], -1)
    patches = [channels[rows, columns] for rows in ends for columns in ends]
    corners = np.concatenate([patch.reshape(-1, channels.shape[2]) for patch in patches])
    return np.asarray(np.median(corners, axis=0), dtype=np.uint8)


def _darker_than_background(pixels: Grey) -> bool:
    """Whether the object is darker than its background.

    A bright background is not enough: a white shirt on light grey needs no inversion.
    """
    difference = pixels.astype(np.int16) - int(_background(pixels)[0])
    darker = -int(difference.clip(max=0).sum(dtype=np.int64))
    lighter = int(difference.clip(min=0).sum(dtype=np.int64))
    return darker > lighter


def _invert(pixels: Grey, steps: list[str]) -> Grey:
    steps.append("inverted: the background was bright, the object darker")
    return 255 - pixels


def _black_background(pixels: Grey, steps: list[str]) -> Grey:
    background = int(_background(pixels)[0])
    if background == 0:
        return pixels
    steps.append(f"made the background black; its shade was {background} of 255")
    stretched = (pixels.astype(np.float32) - background) * (255 / max(255 - background, 1))
    return np.round(stretched.clip(0, 255)).astype(np.uint8)


def _cut_to_object(pixels: Grey, steps: list[str]) -> Grey:
    """Crop to the bounding box of what is not close to the black background."""
    stands_out = pixels > CLOSE_TO_BACKGROUND
    rows, columns = np.flatnonzero(stands_out.any(axis=1)), np.flatnonzero(stands_out.any(axis=0))
    if not rows.size:
        steps.append("not cropped: nothing stands out from the background")
        return pixels
    cut = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if cut.shape != pixels.shape:
        width, height = (percent(cut.shape[axis] / pixels.shape[axis], 0) for axis in (1, 0))
        steps.append(f"cropped to the object: {width} of the width, {height} of the height")
    return cut


def _fit(
    pixels: np.ndarray,
    original: tuple[int, int],
    target: tuple[int, int],
    background: np.ndarray,
    steps: list[str],
) -> npt.NDArray[np.uint8]:
    """Resize to fit `target` (width, height), keeping the proportions, and centre.

    `background`, uint8 `[channels]`, fills what the picture does not cover.
    """
    height, width = pixels.shape[:2]
    scale = min(target[0] / width, target[1] / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    steps.append(f"resized from {_size(original)} to {_size(target)}")
    # Pillow widens the Lanczos filter with the reduction, which avoids aliasing.
    resized = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    if size == target:
        return resized
    sheet = np.empty((target[1], target[0], len(background)), dtype=np.uint8)
    sheet[:] = background
    left, top = (target[0] - size[0]) // 2, (target[1] - size[1]) // 2
    sheet[top : top + size[1], left : left + size[0]] = resized.reshape(size[1], size[0], -1)
    steps.append(f"centred: {_size(size)} of {_size(target)} pixels are the picture")
    return sheet


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
