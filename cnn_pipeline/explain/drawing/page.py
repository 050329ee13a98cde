"""The page that every figure is drawn on: its colours, text and file.

A page is one set of axes over the whole figure. It is measured from the top left corner in
pixels, 100 per inch; the file has 1.5 times as many. Many small axes make matplotlib slow: one
page with tiled images is 10 times faster.
"""

from __future__ import annotations

import math
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from cnn_pipeline.explain.drawing.fonts import drawable, families

DPI = 100  # pixels of the page per inch
DENSITY = 1.5  # pixels of the file per pixel of the page: sharp on dense screens, yet a small file

# Blue and vermilion of Okabe and Ito's palette: safe for every kind of colour blindness.
BLUE = "#0072b2"
VERMILION = "#d55e00"
INK = "#1b2430"
MUTED = "#66707d"
FAINT = "#a9b1bc"
RULE = "#e3e7ec"
PAPER = "#ffffff"
MARGIN = 32  # pixels

TITLE, BODY, SMALL = 13.0, 9.5, 8.5  # points


def new_page(width: float, height: float, title: str, subtitle: str = "") -> tuple[Figure, Axes]:
    """A white page of `width` x `height` pixels with its title; y grows downwards."""
    height = 2 * math.ceil(height / 2)  # whole pixels of the file, so that images stay sharp
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI * DENSITY, facecolor=PAPER)
    FigureCanvasAgg(figure)  # measures text with one renderer; the default canvas makes many
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
    """Write `text` at (x, y): its left end, vertically centred, unless `style` says otherwise.

    Text wider than `room` pixels is cut and ends in an ellipsis. Dollar signs do not start
    formulas, because class names are the user's, and so is their script (`drawing/fonts.py`).
    """
    style = {"size": BODY, "color": INK, "va": "center", "parse_math": False, **style}
    text = drawable(text)
    style["family"] = families(text)
    written = axes.text(x, y, text, **style)
    # Measuring is free: matplotlib caches the layout.
    while room is not None and text and (width := _width(written)) > room:
        text = text[: min(len(text) - 1, int(len(text) * room / width))].rstrip()
        written.set_text(text + "…")
    return written


def _width(text: Text) -> float:
    return float(text.get_window_extent().width) / DENSITY


def place(
    axes: Axes, x: float, y: float, pixels: np.ndarray, size: tuple[float, float] | None = None
) -> None:
    """Draw `pixels` (uint8 `[h, w, 3]`) with the top left corner at (x, y), unsmoothed.

    size: width and height on the page; by default each pixel is one pixel of the file.
    """
    if size is not None:
        target = (max(1, round(size[0] * DENSITY)), max(1, round(size[1] * DENSITY)))
        pixels = np.asarray(Image.fromarray(pixels).resize(target, Image.Resampling.NEAREST))
    # Align with the file's pixels, or matplotlib repeats or skips some.
    left, top = round(x * DENSITY), round(y * DENSITY)
    right, bottom = left + pixels.shape[1], top + pixels.shape[0]
    extent = (left / DENSITY, right / DENSITY, bottom / DENSITY, top / DENSITY)
    axes.imshow(pixels, extent=extent, aspect="auto", interpolation="nearest")


def png_bytes(figure: Figure) -> bytes:
    """The figure as a PNG file; identical figures give identical bytes."""
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
