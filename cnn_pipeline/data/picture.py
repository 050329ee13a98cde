"""Prepare a picture file for a model: training images as those of `predict` and `serve`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.data.decoding import Steps, decode, opaque, read_bytes, with_channels
from cnn_pipeline.data.drawing import darker_than_background, drawing_of
from cnn_pipeline.data.fitting import fitted, object_in_frame, reduced
from cnn_pipeline.data.preparation import CORNERS, FASHION, Drawing, Preparation


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """`pixels`: uint8 `[height, width, channels]`; `steps`: what was done, in words.

    `counted` are the steps in words that many pictures share, with some that change no pixel.
    """

    pixels: npt.NDArray[np.uint8]
    steps: tuple[str, ...]
    counted: tuple[str, ...] = ()


def prepare_image(
    source: Path | str | bytes,
    image_shape: tuple[int, int, int],
    *,
    preparation: Preparation = FASHION,
    name: str | None = None,
) -> PreparedImage:
    """Read a picture file of any size and convert it to the model's input.

    A picture that already has the model's size is neither cropped nor centred, so an image of the
    data set itself does not change. Of several frames the first is used.

    Args:
        source: a path, or the bytes of a file.
        image_shape: height, width and channels (1 or 3) of the model's input.
        preparation: that of the model's training images.
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
    steps = Steps()
    content = read_bytes(source, name)
    if preparation.fit == "object" and channels == 1:
        pixels = _like_fashion_mnist(content, (height, width), name, steps)
    else:
        pixels = _as_declared(content, image_shape, preparation, name, steps)
    counted = tuple(dict.fromkeys(steps.counted))
    return PreparedImage(pixels.reshape(image_shape).copy(), tuple(steps.told), counted)


def _as_declared(
    content: bytes,
    image_shape: tuple[int, int, int],
    preparation: Preparation,
    name: str,
    steps: Steps,
) -> npt.NDArray[np.uint8]:
    size, channels = image_shape[:2], image_shape[2]
    picture, original = decode(content, name, steps, least=2 * max(size))
    under: str | None = preparation.background
    if under == CORNERS:  # white, unless the object would not stand out from it
        under = None if preparation.drawing == "light-on-dark" else "#ffffff"
    picture = with_channels(opaque(picture, under, steps), channels, steps)
    if channels == 1 and preparation.drawing != "mixed":
        picture = _drawn_alike(picture, preparation.drawing, steps)
    if (picture.height, picture.width) == size:
        return np.asarray(picture)
    fit = "pad" if preparation.fit == "object" else preparation.fit
    return fitted(picture, size, fit, preparation.background, original, steps)


def _like_fashion_mnist(
    content: bytes, size: tuple[int, int], name: str, steps: Steps
) -> npt.NDArray[np.uint8]:
    """A light object on black that fills the frame.

    The picture is inverted if necessary, its background is made black, and it is cropped to the
    object and centred. The corners show the background, which must be about even.
    """
    picture, original = decode(content, name, steps)
    picture = with_channels(opaque(picture, None, steps), 1, steps)
    pixels = np.asarray(picture) if original == size else reduced(picture)
    if darker_than_background(pixels):
        steps.add("inverted: the background was bright, the object darker")
        pixels = 255 - pixels
    return pixels if original == size else object_in_frame(pixels, size, original, steps)


def _drawn_alike(picture: Image.Image, drawing: Drawing, steps: Steps) -> Image.Image:
    """A grey picture, inverted if it is drawn the other way than the training images."""
    own = drawing_of(np.asarray(picture))
    if own in ("mixed", drawing):
        return picture
    told = {
        "dark-on-light": "the background was bright, the object darker",
        "light-on-dark": "the background was dark, the object lighter",
    }
    trained = drawing.replace("-", " ")
    steps.add(f"inverted: {told[own]}, and the training images are {trained}")
    return ImageOps.invert(picture)
