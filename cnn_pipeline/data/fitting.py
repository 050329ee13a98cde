"""Give a picture another size: pad, crop or stretch it, or cut out its object."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor

from cnn_pipeline.base.quantities import percent
from cnn_pipeline.data.decoding import Steps
from cnn_pipeline.data.drawing import background_of
from cnn_pipeline.data.preparation import CORNERS, PADDED
from cnn_pipeline.settings.trial import Fit

# Fashion-MNIST was made by cropping what is within 5 % of the corners' colour, scaling the longer
# side to 28 and centring the rest (Xiao, Rasul and Vollgraf 2017, section 2), so there is no
# margin: in 99.97 % of its 70,000 images the object is 27 or 28 pixels long.
CLOSE_TO_BACKGROUND = round(0.05 * 255)
_WORKING_SIDE = 2048  # pixels; larger pictures are first reduced by an integer factor


def fitted(
    picture: Image.Image,
    size: tuple[int, int],
    fit: Fit,
    background: str,
    original: tuple[int, int],
    steps: Steps,
) -> npt.NDArray[np.uint8]:
    """A picture of another size, uint8 `[h, w]` or `[h, w, 3]`.

    'pad' keeps all of the picture and its proportions, 'crop' keeps the proportions and fills the
    frame, 'stretch' keeps all of it and fills the frame.

    Args:
        picture: mode L or RGB.
        size: height and width to reach.
        fit: how.
        background: '#rrggbb', or 'corners', for what 'pad' leaves free.
        original: height and width of the file, for the words; `picture` may be reduced already.
        steps: where to record it.
    """
    height, width = size
    resized = f"resized to {height}x{width} (height x width)"
    steps.add(f"resized from {_text(original)} to {_text(size)}", resized)
    if fit == "stretch":
        return _resized(picture, (width, height))
    across, down = width / picture.width, height / picture.height
    if fit == "crop":
        scale = max(across, down)
        box = _middle(picture.size, (width / scale, height / scale))
        if across != down:
            kept = (box[2] - box[0]) / picture.width, (box[3] - box[1]) / picture.height
            shares = f"{percent(kept[0], 0)} of the width, {percent(kept[1], 0)} of the height"
            steps.add(f"cropped to the middle: {shares}", "cropped to the middle")
        return _resized(picture, (width, height), box)
    scale = min(across, down)
    inner = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    if background == CORNERS:
        free = background_of(np.asarray(picture))
    else:
        free = np.array(ImageColor.getcolor(background, picture.mode), dtype=np.uint8).reshape(-1)
    return _on_sheet(_resized(picture, inner), size, free, steps)


def object_in_frame(
    pixels: npt.NDArray[np.uint8], size: tuple[int, int], original: tuple[int, int], steps: Steps
) -> npt.NDArray[np.uint8]:
    """The object of a light picture on dark, uint8 `[h, w]`, cut out and centred on black.

    `size` is height and width to reach; `original` is that of the file, for the words.
    """
    pixels = _cut_to_object(_black_background(pixels, steps), steps)
    height, width = pixels.shape
    scale = min(size[1] / width, size[0] / height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    steps.add(f"resized from {_text(original)} to {_text(size)}")
    # Pillow widens the Lanczos filter with the reduction, which avoids aliasing.
    resized = np.asarray(Image.fromarray(pixels).resize(inner, Image.Resampling.LANCZOS))
    return _on_sheet(resized, size, np.zeros(1, dtype=np.uint8), steps)


def reduced(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """Pixels of a picture whose sides were reduced to about 2048 pixels or fewer."""
    return np.asarray(picture.reduce(max(1, max(picture.size) // _WORKING_SIDE)))


def _resized(
    picture: Image.Image,
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
) -> npt.NDArray[np.uint8]:
    # Pillow widens the Lanczos filter with the reduction, which avoids aliasing. From three times
    # the size on, averaging blocks of pixels first looks the same and is faster.
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0))


def _middle(size: tuple[int, int], kept: tuple[float, float]) -> tuple[float, float, float, float]:
    """The box of a size in the middle of another; both are width and height."""
    left, top = (size[0] - kept[0]) / 2, (size[1] - kept[1]) / 2
    return left, top, left + kept[0], top + kept[1]


def _black_background(pixels: npt.NDArray[np.uint8], steps: Steps) -> npt.NDArray[np.uint8]:
    background = int(background_of(pixels)[0])
    if background == 0:
        return pixels
    steps.add(f"made the background black; its shade was {background} of 255")
    stretched = (pixels.astype(np.float32) - background) * (255 / max(255 - background, 1))
    return np.round(stretched.clip(0, 255)).astype(np.uint8)


def _cut_to_object(pixels: npt.NDArray[np.uint8], steps: Steps) -> npt.NDArray[np.uint8]:
    """Crop to the bounding box of what is not close to the black background."""
    stands_out = pixels > CLOSE_TO_BACKGROUND
    rows, columns = np.flatnonzero(stands_out.any(axis=1)), np.flatnonzero(stands_out.any(axis=0))
    if not rows.size:
        steps.add("not cropped: nothing stands out from the background")
        return pixels
    cut = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if cut.shape != pixels.shape:
        width, height = (percent(cut.shape[axis] / pixels.shape[axis], 0) for axis in (1, 0))
        steps.add(f"cropped to the object: {width} of the width, {height} of the height")
    return cut


def _on_sheet(
    picture: npt.NDArray[np.uint8], size: tuple[int, int], free: np.ndarray, steps: Steps
) -> npt.NDArray[np.uint8]:
    """A picture in the middle of a sheet of a size; `free`, uint8 `[channels]`, is around it."""
    height, width = picture.shape[:2]
    if (height, width) == size:
        return picture
    sheet = np.empty((*size, len(free)), dtype=np.uint8)
    sheet[:] = free
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    sheet[top : top + height, left : left + width] = picture.reshape(height, width, -1)
    inside = f"{_text((height, width))} of {_text(size)}"
    steps.add(f"centred: {inside} pixels are the picture", PADDED)
    return sheet


def _text(size: tuple[int, int]) -> str:
    """'800x600', width first as for photographs, of height and width."""
    return f"{size[1]}x{size[0]}"
