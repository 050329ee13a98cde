"""Training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.quantities import percent
from cnn_pipeline.explain.drawing import page as sheet

_WIDTH, _HEIGHT = 1000, 400
_TOP, _BOTTOM, _LABELS, _SCALE = 104, 52, 122, 40  # pixels around a panel


def draw_curves(history: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Accuracy and loss per epoch, on training and validation images.

    history: one number per epoch under Keras' names (`loss`, `accuracy`, `val_loss`,
    `val_accuracy`). A missing series is left out; NaN and infinity leave a gap.
    """
    figure, page = sheet.new_page(_WIDTH, _HEIGHT, title, _subtitle(history))
    for column, (metric, is_share) in enumerate([("accuracy", True), ("loss", False)]):
        left = column * _WIDTH / 2 + sheet.MARGIN
        sheet.write(page, left, _TOP - 20, metric, weight="bold")
        width = _WIDTH / 2 - _SCALE - _LABELS - sheet.MARGIN
        axes = figure.add_axes(
            (
                (left + _SCALE) / _WIDTH,
                _BOTTOM / _HEIGHT,
                width / _WIDTH,
                (_HEIGHT - _TOP - _BOTTOM) / _HEIGHT,
            )
        )
        _panel(axes, history, metric, is_share)
    return figure


def _subtitle(history: Mapping[str, Sequence[float]]) -> str:
    validation = np.asarray(history.get(metric_names.VAL_ACCURACY, ()), dtype=np.float64)
    text = "epochs are counted from 0, as in MLflow"
    if np.isfinite(validation).any():
        best = int(np.nanargmax(validation))
        accuracy = percent(float(validation[best]), 2)
        text = f"best validation accuracy {accuracy} in epoch {best}; {text}"
    return text


def _panel(axes: Axes, history: Mapping[str, Sequence[float]], metric: str, is_share: bool) -> None:
    ends, longest = [], 0
    for key, name, color in [
        (metric, "training", sheet.VERMILION),
        (f"val_{metric}", "validation", sheet.BLUE),
    ]:
        values = np.asarray(history.get(key, ()), dtype=np.float64)
        finite = np.flatnonzero(np.isfinite(values))
        if not finite.size:
            continue
        values = np.where(np.isfinite(values), values, np.nan)
        marker = "o" if len(values) <= 30 else ""
        longest = max(longest, len(values))
        axes.plot(values, color=color, linewidth=2, marker=marker, markersize=4)
        last = int(finite[-1])
        shown = percent(float(values[last])) if is_share else f"{values[last]:.3f}"
        ends.append((last, float(values[last]), f"{name} {shown}", color))
    if longest > 1:  # the same width in both panels, even if a series has gaps
        axes.set_xlim(-0.04 * (longest - 1), 1.04 * (longest - 1))
    _style(axes, is_share)
    _label_ends(axes, ends)


def _style(axes: Axes, is_share: bool) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(sheet.FAINT)
    axes.grid(axis="y", color=sheet.RULE, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=sheet.SMALL, labelcolor=sheet.MUTED, pad=6)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if is_share:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.set_xlabel("epoch", color=sheet.MUTED, size=sheet.SMALL)
    if not axes.lines:
        axes.set_yticks([])
        axes.text(
            0.5, 0.5, "no finite values", color=sheet.MUTED, ha="center", transform=axes.transAxes
        )


def _label_ends(axes: Axes, ends: list[tuple[int, float, str, str]]) -> None:
    """Label the lines at their ends, moved apart if the labels would overlap."""
    low, high = axes.get_ylim()
    line = 16 / (axes.get_position().height * _HEIGHT) * (high - low)  # 16 pixels in data units
    heights = [end[1] for end in ends]
    if len(ends) == 2 and abs(heights[0] - heights[1]) < line:
        middle, up = sum(heights) / 2, heights[0] >= heights[1]
        heights = [middle + line / 2 * sign for sign in ((1, -1) if up else (-1, 1))]
    right = max((end[0] for end in ends), default=0)
    for (_, _, text, color), height in zip(ends, heights, strict=True):
        axes.annotate(
            text,
            (right, height),
            xytext=(10, 0),
            textcoords="offset points",
            color=color,
            size=sheet.BODY,
            va="center",
            annotation_clip=False,
        )
