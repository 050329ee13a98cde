"""The sheet that every figure is drawn on: its colours, its type and its file.

A page is one set of axes over the whole figure, measured from the top left corner in its own
pixels, 100 to the inch; the file has 1.5 times as many.
Many small axes are what makes matplotlib slow; one page with tiled images is 10 times faster.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Text
from matplotlib.transforms import Affine2D
from PIL import Image

DPI = 100  # pixels per inch of a page's own measure
DENSITY = 1.5  # pixels of the file per pixel of the page: sharp on dense screens, yet a small file

# Blue and vermilion of Okabe and Ito's palette: told apart with every kind of colour blindness.
BLUE = "#0072b2"
VERMILION = "#d55e00"
INK = "#1b2430"
MUTED = "#66707d"
FAINT = "#a9b1bc"
RULE = "#e3e7ec"
PAPER = "#ffffff"
MARGIN = 32  # pixels
_COMPRESSION = 3  # the last of zlib's levels that does not look twice

TITLE, BODY, SMALL = 13.0, 9.5, 8.5  # points


def new_page(width: float, height: float, title: str, subtitle: str = "") -> tuple[Figure, Axes]:
    """A white sheet of `width` x `height` pixels with its title; y grows downwards."""
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI * DENSITY, facecolor=PAPER)
    FigureCanvasAgg(figure)  # keeps one renderer to measure text with; the default makes many
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    axes.set_autoscale_on(False)
    room = width - 2 * MARGIN
    write(axes, MARGIN, 34, title, room, size=TITLE, weight="bold")
    if subtitle:
        write(axes, MARGIN, 56, subtitle, room, color=MUTED)
    return figure, axes


def write(
    axes: Axes, x: float, y: float, text: str, room: float | None = None, **style: Any
) -> Text:
    """Put `text` at (x, y): its left end, vertically centred, unless `style` says otherwise.

    What is wider than `room` pixels is cut and ends in an ellipsis. Dollar signs are dollar
    signs: class names are the user's and no mathematics.
    """
    style = {"size": BODY, "color": INK, "va": "center", "parse_math": False, **style}
    written = axes.text(x, y, text, **style)
    # Measuring costs nothing: matplotlib keeps the layout for the drawing.
    while room is not None and text and (width := _width(written)) > room:
        text = text[: min(len(text) - 1, int(len(text) * room / width))].rstrip()
        written.set_text(text + "…")
    return written


def _width(text: Text) -> float:
    return float(text.get_window_extent().width) / DENSITY


def place(
    axes: Axes, x: float, y: float, pixels: np.ndarray, size: tuple[float, float] | None = None
) -> None:
    """Show `pixels` (uint8 `[h, w, 3]`) with the top left corner at (x, y), unsmoothed.

    size: width and height on the page; by default each pixel is one of the file's.
    """
    width, height = size or (pixels.shape[1] / DENSITY, pixels.shape[0] / DENSITY)
    picture = _Picture(axes, extent=(x, x + width, y + height, y))
    picture.set_data(pixels)
    axes.add_image(picture)


class _Picture(AxesImage):
    """An image whose pixels are repeated or left out, and else stay as they are.

    matplotlib's own way to the nearest pixel goes through floating-point numbers: a fifth of the
    time that a figure takes.
    """

    def make_image(
        self, renderer: Any, magnification: float = 1.0, unsampled: bool = False
    ) -> tuple[np.ndarray, float, float, Affine2D]:
        """The image as it is drawn, uint8 `[h, w, 4]`, from its lowest row up; its lower left."""
        pixels = np.asarray(self.get_array(), np.uint8)
        extent = self.get_window_extent(renderer)
        # The size is rounded, not the second corner: else a pixel is lost or won by its place.
        across, up = max(1, round(extent.width)), max(1, round(extent.height))
        height, width = pixels.shape[:2]
        rows = ((np.arange(up)[::-1] + 0.5) * height / up).astype(int)
        columns = ((np.arange(across) + 0.5) * width / across).astype(int)
        drawn = np.full((up, across, 4), 255, np.uint8)
        drawn[..., :3] = pixels[rows[:, np.newaxis], columns]
        return drawn, np.floor(extent.x0 + 0.5), np.floor(extent.y0 + 0.5), Affine2D()


def percent(share: float) -> str:
    """'98.2%'; what only rounds to all or nothing is not called so: '> 99.9%', '< 0.1%'."""
    if 0.9995 <= share < 1:
        return "> 99.9%"
    if 0 < share < 0.0005:
        return "< 0.1%"
    return f"{share:.1%}"


def png_bytes(figure: Figure) -> bytes:
    """The figure as a PNG file; equal figures give equal bytes."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)  # `new_page` gave it
    canvas.draw()  # type: ignore[no-untyped-call]
    # matplotlib's own way writes a fourth channel that is the same everywhere, and searches longer
    # for what is repeated: twice the time for a file of the same size.
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    picture = Image.fromarray(pixels[..., :3].copy())
    file = BytesIO()
    picture.save(file, format="PNG", compress_level=_COMPRESSION, dpi=(figure.dpi, figure.dpi))
    return file.getvalue()
