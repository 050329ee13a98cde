"""What each filter contributes: accuracy without it, sorted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnn_pipeline.base.quantities import percent
from cnn_pipeline.explain.drawing import page as sheet
from cnn_pipeline.explain.drawing.fonts import legible
from cnn_pipeline.explain.drawing.numbers import signs
from cnn_pipeline.explain.inside.findings import LayerAblation

_WIDTH = 960  # pixels of the bars
_SCALE = 48  # pixels left of them, for the scale
_PLOT = 190  # pixels of a panel's bars
_HEAD, _FEET = 62, 34  # pixels above and below them
_ROW, _KERNEL = 24, 20  # pixels of a line of the tables, and of a kernel in it
_LISTED = 5  # filters in a table
_MOST = 128  # bars
_TOP = 84
_TABLE = 490  # pixels from one table to the next
_COLUMNS = (0, 92, 166, 296)  # pixels from the left of a table's columns


def draw_ablation(
    layers: Sequence[LayerAblation],
    class_names: Sequence[str],
    title: str,
    kernels: Mapping[str, np.ndarray] | None = None,
) -> Figure:
    """Per layer a panel of bars, largest loss first, and tables of the first and last filters.

    The whiskers are 95% intervals for all filters of a layer together. Significant losses are
    coloured, with the filter's number in bold. kernels: weights `[h, w, 1, filters]` by layer,
    drawn in the tables.
    """
    class_names = legible(class_names)
    heights = [_HEAD + _PLOT + _FEET + (_listed(layer) + 2) * _ROW + 22 for layer in layers]
    figure, page = sheet.new_page(
        2 * sheet.MARGIN + _SCALE + _WIDTH,
        _TOP + sum(heights),
        title,
        "change in validation accuracy when one filter's map is made all zero, the rest as "
        "trained; whiskers: 95% for all filters of a layer together",
    )
    y = float(_TOP)
    for layer, height in zip(layers, heights, strict=True):
        _panel(page, y, layer)
        shown = (kernels or {}).get(layer.layer)
        _tables(page, y + _HEAD + _PLOT + _FEET, layer, class_names, shown)
        y += height
    return figure


def _panel(page: Axes, y: float, layer: LayerAblation) -> None:
    order = layer.order[:_MOST]
    needed = set(layer.needed.tolist())
    filters = len(layer.changes)
    sheet.write(page, sheet.MARGIN, y + 10, f"{layer.layer}: {filters} filters", weight="bold")
    told = f"{percent(layer.accuracy, 2)} of {layer.images:,} images right with all filters; "
    told += f"{len(needed) or 'none'} missed beyond chance"
    if len(order) < filters:
        told += f"; the {len(order)} most missed are shown"
    sheet.write(page, sheet.MARGIN, y + 30, told, color=sheet.MUTED)
    points = 100 * layer.changes
    margins = 100 * layer.margins
    low = min(float((points - margins)[order].min()), 0.0)
    high = max(float((points + margins)[order].max()), 0.0)
    left, top = sheet.MARGIN + _SCALE, y + _HEAD
    per_point = _PLOT / ((high - low) or 1.0)

    def down(value: float) -> float:
        return top + (high - value) * per_point

    for tick in _ticks(low, high):
        page.hlines(
            [down(tick)],
            left,
            left + _WIDTH,
            sheet.MUTED if tick == 0 else sheet.RULE,
            linewidth=1,
            zorder=1,
        )
        text = f"{tick:+g}".replace("-", "−") if tick else "0"
        sheet.write(
            page, left - 8, down(tick), text, size=sheet.SMALL, color=sheet.MUTED, ha="right"
        )
    sheet.write(page, left, top - 12, "points of accuracy", size=sheet.SMALL, color=sheet.MUTED)
    step = min(_WIDTH / len(order), 60.0)
    bar = step * 0.72
    for place_number, k in enumerate(order):
        x = left + (place_number + 0.5) * step
        strong = int(k) in needed
        color = sheet.VERMILION if strong else sheet.FAINT
        page.bar([x], [down(points[k]) - down(0)], bar, down(0), color=color, zorder=2)
        ends = (down(points[k] - margins[k]), down(points[k] + margins[k]))
        page.plot([x, x], ends, color=sheet.INK if strong else sheet.MUTED, linewidth=0.8, zorder=3)
        if step >= 12:
            weight = "bold" if strong else "normal"
            size = min(sheet.SMALL, 0.44 * step)
            sheet.write(page, x, top + _PLOT + 12, str(k), ha="center", size=size, weight=weight)


def _tables(
    page: Axes,
    y: float,
    layer: LayerAblation,
    class_names: Sequence[str],
    kernels: np.ndarray | None,
) -> None:
    """Filters with the largest loss on the left, with the smallest on the right."""
    count = _listed(layer)
    groups = [("missed most", layer.order[:count])]
    if len(layer.order) > 1:
        groups.append(("missed least", layer.order[: -count - 1 : -1]))
    for number, (heading, filters) in enumerate(groups):
        left = sheet.MARGIN + _SCALE + number * _TABLE
        words = (heading, "accuracy", "change and margin", "class that loses most recall")
        for offset, word in zip(_COLUMNS, words, strict=True):
            sheet.write(page, left + offset, y + 8, word, size=sheet.SMALL, color=sheet.MUTED)
        for place_number, k in enumerate(filters):
            row = y + 12 + (place_number + 1) * _ROW
            hurt = int(layer.hurt[k])
            loss = "none" if hurt < 0 else f"{class_names[hurt]} {_points(-layer.hurt_by[k])}"
            cells = (
                str(k),
                percent(layer.accuracies[k], 2),
                f"{_points(layer.changes[k])} ± {100 * layer.margins[k]:.2f}",
                loss,
            )
            for offset, cell in zip(_COLUMNS, cells, strict=True):
                sheet.write(page, left + offset, row, cell, _TABLE - offset - 8, size=sheet.BODY)
            if kernels is not None and kernels.shape[2] == 1:
                pixels = signs(kernels[:, :, 0, k])
                sheet.place(page, left + 30, row - _KERNEL / 2, pixels, (_KERNEL, _KERNEL))


def _listed(layer: LayerAblation) -> int:
    """Rows of a table, so that no filter is in both."""
    return min(_LISTED, len(layer.order) // 2 or 1)


def _points(share: float) -> str:
    """'−0.86'."""
    return f"{100 * share:+.2f}".replace("-", "−")


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers from `low` to `high`, including 0."""
    span = (high - low) or 1.0
    step = next(
        factor * 10.0**power
        for power in range(-3, 3)
        for factor in (1, 2, 5)
        if factor * 10.0**power >= span / 5
    )
    first, last = int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9))
    return [round(number * step, 6) for number in range(first, last + 1)]
