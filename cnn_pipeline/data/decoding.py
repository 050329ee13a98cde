"""Read a picture file: upright, 8 bits, grey or RGB. Training and `predict` read with this alone.

Every step is recorded in words, because each can be the reason for a surprising prediction.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.files import open_file
from cnn_pipeline.data.preparation import PUT_ON
from cnn_pipeline.data.reading import read_up_to

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
MAX_BYTES = 64 * 2**20
MAX_PIXELS = 50_000_000  # of a good camera; a decompression bomb of a few kilobytes has more
GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N")
_ORIENTATION = 0x0112  # EXIF tag: how the camera was held; 1 is upright
_TURNED = (5, 6, 7, 8)  # its values that exchange height and width
# A PNG file that holds none of these needs not be decoded to know how the camera was held.
_MAY_BE_TURNED = (b"eXIf", b"Raw profile type", b"rientation")
_WHOLE = "{name}: pixels must be whole numbers of at most 16 bits, received {received}"
# Raised by Pillow's decoders for damaged files.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    LookupError,
    OverflowError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    zlib.error,
)


@dataclass
class Steps:
    """What was done to a picture."""

    told: list[str] = field(default_factory=list)
    """In words, for `predict`: 'took the first of 3 frames'."""
    counted: list[str] = field(default_factory=list)
    """In words that many pictures share: 'took the first of several frames'."""

    def add(self, text: str, counted: str = "") -> None:
        """Record a step; `counted` if other pictures would have it in other words."""
        self.told.append(text)
        self.counted.append(counted or text)

    def count(self, kind: str) -> None:
        """Record what changed no pixel, and is worth counting."""
        self.counted.append(kind)


@dataclass(frozen=True)
class Header:
    """What a file says of its picture before the pixels are read."""

    height: int
    """Upright, as `width`."""
    width: int
    grey: bool


def read_bytes(source: Path | str | bytes, name: str) -> bytes:
    """The bytes of a picture file.

    Raises:
        InvalidInput: it cannot be read, or is too large; with `name` and the reason.
    """
    if isinstance(source, bytes):
        content = source
    else:
        path = Path(source)
        try:
            if path.exists() and not path.is_file():  # a folder, or a pipe that would block
                raise InvalidInput([f"{name}: must be a picture file, received no file"])
            with open_file(path) as file:
                content = bytes(read_up_to(file, MAX_BYTES + 1))
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


def read_header(content: bytes, name: str) -> Header:
    """Size and kind of a picture; errors as `decode`."""
    with _damage_named(name):
        picture = _open(content, name)
        turned = False
        if picture.format != "PNG" or any(mark in content for mark in _MAY_BE_TURNED):
            turned = picture.getexif().get(_ORIENTATION, 1) in _TURNED
        width, height = reversed(picture.size) if turned else picture.size
        # A grey file with one transparent shade has always been read as RGB.
        keyed = picture.mode in ("1", "L") and "transparency" in picture.info
        return Header(height, width, picture.mode in GREY_MODES and not keyed)


def decode(
    content: bytes, name: str, steps: Steps, least: int = 0
) -> tuple[Image.Image, tuple[int, int]]:
    """The first frame, upright, with 8 bits per channel; and the file's height and width.

    Args:
        content: the file.
        name: how errors call the picture.
        steps: where to record what was done.
        least: pixels that both sides must keep; a JPEG file that is at least twice as large is
            decoded at a half, a quarter or an eighth of its size, which libjpeg does faster. 0
            decodes every pixel.

    Raises:
        InvalidInput: this is no picture, or it is damaged or too large; with `name`.
    """
    with _damage_named(name):
        picture = _open(content, name)
        size = picture.height, picture.width
        frames = getattr(picture, "n_frames", 1)
        if least:
            picture.draft(None, (least, least))
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        orientation = picture.getexif().get(_ORIENTATION, 1)
        if frames > 1:
            steps.add(f"took the first of {frames} frames", "took the first of several frames")
        if orientation in range(2, 9):
            steps.add("turned upright, as the camera recorded")
        if orientation in _TURNED:
            size = size[::-1]
        return _eight_bits(upright, name, steps), size


def opaque(picture: Image.Image, background: str | None, steps: Steps) -> Image.Image:
    """Put a transparent picture on a background.

    Args:
        picture: as `decode` gives it.
        background: '#rrggbb'; None chooses the one of black and white from which the picture
            stands out.
        steps: where to record it.
    """
    if not picture.has_transparency_data:
        return picture
    rgba = picture.convert("RGBA")
    alpha = np.asarray(rgba.getchannel("A"))
    if alpha.min() == 255:
        steps.count("alpha channel left out, which was opaque")
        return rgba.convert("RGB")
    if background is None:
        shade = np.asarray(rgba.convert("RGB").convert("L"), dtype=np.float64)
        brightness = float((shade * alpha).sum() / max(int(alpha.sum(dtype=np.int64)), 1))
        background = "#000000" if brightness >= 128 else "#ffffff"
    sheet = Image.new("RGBA", rgba.size, background)
    sheet.alpha_composite(rgba)
    flat = sheet.convert("RGB")
    name = {"#000000": "black", "#ffffff": "white"}.get(background, background)
    steps.add(f"{PUT_ON}{name} where transparent")
    if len(set(flat.convert("L").getextrema())) == 1:
        steps.count(f"nothing stands out from {name}, on which it was put")
    return flat


def with_channels(picture: Image.Image, channels: int, steps: Steps) -> Image.Image:
    """Grey (1 channel, mode L) or RGB (3 channels)."""
    kind = {"1": "1 bit per pixel", "P": "a palette", "PA": "a palette"}.get(picture.mode)
    if kind:
        steps.count(f"read from {kind}")
    if channels == 3:
        if picture.mode == "CMYK":
            steps.add("converted from CMYK to RGB")
        elif picture.mode in ("1", "L"):
            steps.count("grey repeated in three channels")
        return picture.convert("RGB")
    if picture.mode in ("1", "L"):
        return picture.convert("L")
    rgb = picture.convert("RGB")
    pixels = np.asarray(rgb)
    # Grey stored as RGB does not change, so no step is recorded.
    if (pixels[..., :2] != pixels[..., 1:]).any():
        steps.add("converted from colour to grey")
    return rgb.convert("L")


@contextlib.contextmanager
def _damage_named(name: str) -> Iterator[None]:
    try:
        yield
    except InvalidInput:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InvalidInput([_too_large(name)]) from None
    except UnidentifiedImageError:
        kinds = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise InvalidInput([f"{name}: this is not a {kinds} picture"]) from None
    except _DAMAGE as error:
        raise InvalidInput([f"{name}: the picture is damaged: {error}"]) from None


def _open(content: bytes, name: str) -> Image.Image:
    picture = Image.open(BytesIO(content), formats=FORMATS)
    if picture.width * picture.height > MAX_PIXELS:
        raise InvalidInput([_too_large(name)])
    return picture


def _too_large(name: str) -> str:
    return (
        f"{name}: the picture has more than {MAX_PIXELS // 1_000_000} million pixels; "
        "make it smaller first"
    )


def _eight_bits(picture: Image.Image, name: str, steps: Steps) -> Image.Image:
    """Scale 16-bit grey to 8 bits: Pillow would clip it at 255."""
    if picture.mode == "F":
        raise InvalidInput([_WHOLE.format(name=name, received="fractions")])
    if not picture.mode.startswith("I"):
        return picture
    values = np.asarray(picture)
    if values.min() < 0 or values.max() > 65_535:
        received = f"numbers from {values.min()} to {values.max()}"
        raise InvalidInput([_WHOLE.format(name=name, received=received)])
    steps.add("reduced from 16 to 8 bits per pixel")
    return Image.fromarray(np.round(values.astype(np.float64) / 257).astype(np.uint8))
