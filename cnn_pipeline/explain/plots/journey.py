"""The journey of an image through the layers, for a few images side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.quantities import percent
from cnn_pipeline.explain.drawing import page as sheet
from cnn_pipeline.explain.drawing.fonts import legible
from cnn_pipeline.explain.drawing.tiles import RGB, as_rgb, colour, tile

_ACTIVATION = "magma"  # black is 0; lightness is even, so it also works in grey
_MAP, _GAP = 46, 2  # pixels
_COLUMNS = {1: 16, 2: 9}  # maps across, by the number of images
_MANY_COLUMNS = 6  # maps across for more images
_MOST_ROWS = {1: 4}  # of maps in one layer, by the number of images
_MANY_ROWS = 3
_ALL_ROWS = {1: 16}  # of maps in all layers, roughly: deep networks show fewer of each layer
_MANY_ALL_ROWS = 12
_GUTTER = 208  # pixels for the words left of the pictures
_SPACE = 26  # pixels between columns, and between rows
_INPUT, _LARGE_INPUT = 112, 168  # pixels; the second for a single image
_BAR_WIDTH = 360  # pixels of a bar with its words, at most
_STRIP = 26  # pixels
_BAR, _BARS = 19, 10  # pixels, classes shown
_TOP = 112


@dataclass(frozen=True, eq=False)
class LayerOutput:
    """The output of one layer for the images.

    name: the layer's name in the model.
    kind: what it does, such as 'convolution 3x3' or 'max-pooling 2x2'. A kind that starts with
        'convolution' makes new maps; any other kind changes the maps before it.
    values: `[n_images, height, width, channels]` or `[n_images, units]`; in the first layer of a
        journey the pixels, uint8 with 1 or 3 channels; in the last one the probabilities.
    """

    name: str
    kind: str
    values: npt.NDArray[np.generic]

    @property
    def _convolves(self) -> bool:
        return self.kind.startswith("convolution")


def draw_journey(
    layers: Sequence[LayerOutput],
    class_names: Sequence[str],
    image_titles: Sequence[str],
    title: str,
) -> Figure:
    """Rows are layers, columns are images: each layer's output, and how its size changes.

    layers: the input first, the probabilities last; at least these two.
    image_titles: the heading of each image's column, such as its true class.

    A convolution with many maps shows those with the most contrast. The layers after it, such as
    pooling, show the same maps below them. A map has one scale for all images, so identical shades
    are identical values.
    """
    _check(layers, class_names, image_titles)
    class_names = legible(class_names)
    n = len(image_titles)
    map_layers = sum(layer.values.ndim == 4 for layer in layers[1:])
    all_rows = _ALL_ROWS.get(n, _MANY_ALL_ROWS)
    rows = min(_MOST_ROWS.get(n, _MANY_ROWS), max(1, all_rows // max(1, map_layers)))
    columns = _COLUMNS.get(n, _MANY_COLUMNS)
    width = columns * (_MAP + _GAP) - _GAP  # of one image's column
    side = _LARGE_INPUT if n == 1 else _INPUT
    heights = [side, *(_height(layer, rows, columns) for layer in layers[1:-1])]
    bars = min(len(class_names), _BARS)
    height = _TOP + sum(heights) + _SPACE * len(layers) + bars * _BAR + 20
    figure, page = sheet.new_page(
        2 * sheet.MARGIN + _GUTTER + n * (width + _SPACE) - _SPACE,
        height,
        title,
        "brighter is a stronger answer"
        + ("" if _all_maps(layers, rows * columns) else "; of many maps those with most contrast")
        + ("; one scale per map for all images" if n > 1 else ""),
    )
    lefts = [sheet.MARGIN + _GUTTER + i * (width + _SPACE) for i in range(n)]
    for left, heading in zip(lefts, image_titles, strict=True):
        sheet.write(page, left, _TOP - 20, heading, width, weight="bold")
    y = float(_TOP)
    chosen: npt.NDArray[np.intp] = np.arange(layers[0].values.shape[-1])
    before: LayerOutput | None = None
    for layer, row_height in zip(layers[:-1], heights, strict=True):
        if before is None:
            _describe(page, y, layer, ())
            _draw_input(page, lefts, y, layer.values, side)
        elif layer.values.ndim == 4:
            if layer._convolves or layer.values.shape[-1] != before.values.shape[-1]:
                chosen = _most_contrast(layer.values, rows * columns)
            shown = f"{len(chosen)} of {layer.values.shape[-1]:,} maps"
            _describe(page, y, layer, (*_change(before, layer), shown))
            for left, picture in zip(lefts, _maps(layer.values, chosen, columns), strict=True):
                sheet.place(page, left, y, picture)
        else:
            _describe(page, y, layer, _change(before, layer))
            for left, strip in zip(lefts, _strips(layer.values, width), strict=True):
                sheet.place(page, left, y, strip, (width, _STRIP))
        y += row_height + _SPACE
        before = layer
    assert before is not None  # _check asks for two layers
    _describe(page, y, layers[-1], _change(before, layers[-1]))
    room = min(width, _BAR_WIDTH)
    _draw_bars(page, lefts, y, layers[-1].values.astype(np.float64), class_names, room)
    return figure


def _check(
    layers: Sequence[LayerOutput], class_names: Sequence[str], image_titles: Sequence[str]
) -> None:
    n, k = len(image_titles), len(class_names)
    faults = []
    if n == 0:
        faults.append("a journey needs at least one image, received no image_titles")
    if len(layers) < 2:
        faults.append(f"a journey needs the input and the probabilities, received {len(layers)}")
    for layer in layers:
        if layer.values.ndim not in (2, 4) or len(layer.values) != n:
            faults.append(
                f"{layer.name}: values must be [{n}, height, width, channels] or [{n}, units], "
                f"received {list(layer.values.shape)}"
            )
    if layers and layers[0].values.shape[-1] not in (1, 3):
        faults.append(
            "the first layer must be the pixels with 1 or 3 channels, "
            f"received {list(layers[0].values.shape)}"
        )
    if layers and layers[-1].values.shape != (n, k):
        faults.append(
            f"the last layer must be the probabilities [{n}, {k}], "
            f"received {list(layers[-1].values.shape)}"
        )
    if faults:
        raise InvalidInput(faults)


def _height(layer: LayerOutput, rows: int, columns: int) -> int:
    if layer.values.ndim == 2:
        return max(_STRIP, 40)  # room for three lines of words
    rows = min(rows, -(-int(layer.values.shape[-1]) // columns))
    return max(rows * (_MAP + _GAP) - _GAP, 88)


def _all_maps(layers: Sequence[LayerOutput], room: int) -> bool:
    """Whether all maps of every layer fit."""
    return all(layer.values.shape[-1] <= room for layer in layers if layer.values.ndim == 4)


def _size(values: np.ndarray) -> str:
    """'26x26x64', or '1,600' for a row of numbers."""
    if values.ndim == 2:
        return f"{values.shape[1]:,}"
    return "x".join(map(str, values.shape[1:]))


def _change(layer_before: LayerOutput, layer: LayerOutput) -> tuple[str, ...]:
    """How a layer changed the size, in words, line by line."""
    before, after = layer_before.values, layer.values
    if after.ndim == 2:
        if before.ndim == 4 and before[0].size == after[0].size:
            return ("all maps laid out in a row",)
        return (f"{before[0].size:,} numbers to {after.shape[1]:,}",)
    (high, wide), (new_high, new_wide) = before.shape[1:3], after.shape[1:3]
    if (high, wide) == (new_high, new_wide):
        return (f"{high}x{wide} kept",)
    sizes = f"{high}x{wide} to {new_high}x{new_wide}"
    lost = high - new_high
    if layer._convolves and lost == wide - new_wide and lost < high / 2:
        return sizes, f"{lost} pixel{'s' if lost > 1 else ''} lost at the border"
    factor = round(high / new_high)
    if (
        not layer._convolves
        and factor > 1
        and new_high == high // factor
        and new_wide == wide // factor
    ):
        part = "halved" if factor == 2 else f"divided by {factor}"
        rest = high - new_high * factor or wide - new_wide * factor
        return sizes, f"{part}, the odd edge dropped" if rest else part
    return (sizes,)


def _describe(page: Axes, y: float, layer: LayerOutput, details: tuple[str, ...]) -> None:
    room = _GUTTER - 8
    sheet.write(page, sheet.MARGIN, y + 7, _size(layer.values), room, weight="bold")
    told = layer.name if layer.kind == layer.name else f"{layer.name}: {layer.kind}"
    sheet.write(page, sheet.MARGIN, y + 24, told, room, size=sheet.SMALL)
    for i, line in enumerate(details):
        sheet.write(
            page, sheet.MARGIN, y + 41 + 16 * i, line, room, size=sheet.SMALL, color=sheet.MUTED
        )


def _draw_input(
    page: Axes, lefts: Sequence[float], y: float, pixels: np.ndarray, side: int
) -> None:
    for left, image in zip(lefts, as_rgb(pixels), strict=True):
        picture = tile([image], side, 1)
        sheet.place(page, left, y, picture)


def _most_contrast(values: np.ndarray, count: int) -> npt.NDArray[np.intp]:
    """Channels of the maps that vary most within the images, in ascending order.

    Not those with the highest mean: a high bias lights up the background.
    """
    contrast = values.astype(np.float64).std(axis=(1, 2)).mean(axis=0)
    order = np.argsort(-np.nan_to_num(contrast), kind="stable")
    return np.sort(order[:count])


def _maps(values: np.ndarray, chosen: npt.NDArray[np.intp], columns: int) -> list[RGB]:
    maps = values[..., chosen].astype(np.float64)
    low = np.minimum(maps.min(axis=(0, 1, 2)), 0.0)
    high = maps.max(axis=(0, 1, 2))
    pixels = np.moveaxis(colour(maps, _ACTIVATION, low, high), 3, 1)
    return [tile(list(image), _MAP, columns, _GAP) for image in pixels]


def _strips(values: np.ndarray, width: int) -> list[RGB]:
    """One row of pixels per image; numbers that share a pixel are reduced to the largest."""
    numbers = values.astype(np.float64)
    length = numbers.shape[1]
    if length > width:
        starts = np.arange(width) * length // width
        numbers = np.maximum.reduceat(numbers, starts, axis=1)
    pixels = colour(numbers, _ACTIVATION, min(0.0, float(numbers.min())), float(numbers.max()))
    return list(pixels[:, np.newaxis])


def _draw_bars(
    page: Axes,
    lefts: Sequence[float],
    y: float,
    probabilities: np.ndarray,
    names: Sequence[str],
    width: int,
) -> None:
    ranked = np.argsort(-probabilities.max(axis=0), kind="stable")[:_BARS]
    classes = np.sort(ranked)
    label, value = 92, 58  # pixels left and right of a bar
    room = width - label - value
    for left, row in zip(lefts, probabilities, strict=True):
        best = int(row.argmax())
        centres = y + 8 + _BAR * np.arange(len(classes))
        colors = [sheet.BLUE if k == best else sheet.FAINT for k in classes]
        page.barh(centres, np.full(len(classes), room), 11, left + label, color=sheet.RULE)
        page.barh(centres, row[classes] * room, 11, left + label, color=colors)
        for centre, k in zip(centres, classes, strict=True):
            strong = "bold" if k == best else "normal"
            sheet.write(
                page,
                left + label - 8,
                centre,
                names[k],
                label - 8,
                size=sheet.SMALL,
                ha="right",
                weight=strong,
            )
            if row[k] >= 0.0005:
                sheet.write(
                    page,
                    left + label + room + 6,
                    centre,
                    percent(float(row[k])),
                    size=sheet.SMALL,
                    color=sheet.BLUE if k == best else sheet.MUTED,
                    weight=strong,
                )
