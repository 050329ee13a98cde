"""Figures taken apart: their texts, their pixels, and whether all of it is on the page."""

from __future__ import annotations

from io import BytesIO

from matplotlib.figure import Figure
from PIL import Image

from cnn_pipeline.explain.drawing.page import png_bytes

MAX_BYTES = 400_000
UNDRAWABLE = tuple(map(chr, range(0x10FFF0, 0x10FFF4)))
"""Class names that no font has; figures call them 'class 0' to 'class 3'."""


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def png(figure: Figure, most_bytes: int = MAX_BYTES) -> Image.Image:
    content = png_bytes(figure)
    assert len(content) < most_bytes
    picture = Image.open(BytesIO(content))
    picture.load()
    assert picture.format == "PNG"
    return picture.convert("RGB")


def inside_the_page(figure: Figure) -> bool:
    """Whether no text is cut off at the edge of the figure."""
    figure.draw_without_rendering()
    width, height = figure.canvas.get_width_height()
    boxes = [text.get_window_extent() for axes in figure.axes for text in axes.texts]
    return all(b.x0 >= 0 and b.y0 >= 0 and b.x1 <= width and b.y1 <= height for b in boxes)


def check(figure: Figure, most_bytes: int = MAX_BYTES) -> list[str]:
    """Draw it; nothing is cut off at the edge. Returns its texts."""
    assert inside_the_page(figure)
    png(figure, most_bytes)
    return texts(figure)
