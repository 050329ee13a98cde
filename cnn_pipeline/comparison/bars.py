"""The picture of a sweep in plain characters, for the terminal."""

from __future__ import annotations

from cnn_pipeline.base.quantities import UNKNOWN
from cnn_pipeline.comparison.forest import Line, Panel
from cnn_pipeline.comparison.layout import WIDTH, wrapped

_MOST_LINES = 12
_LONGEST_NAME = 44
_COST = "MACs"


def bars(panel: Panel) -> str:
    """One line per variant or effect: its name, its interval as `|---o---|`, and its MACs.

    At most `layout.WIDTH` columns and 12 lines of intervals. A name that is too long is cut: the
    tables have it whole.
    """
    shown = panel.lines[:_MOST_LINES]
    left = max(len(_named(panel, line)) for line in shown) + 1
    costs = any(line.macs != UNKNOWN for line in shown)
    right = max(len(_COST), *(len(line.macs) for line in shown)) + 2 if costs else 0
    room = WIDTH - left - right
    lines = [f"{panel.title:<{left + room}}{_COST if costs else '':>{right}}"]
    lines += [
        f"{_named(panel, line):<{left}}{_bar(panel, line, room)}"
        f"{line.macs if costs else '':>{right}}"
        for line in shown
    ]
    lines.append(" " * left + _scale(panel, room))
    if len(shown) < len(panel.lines):
        lines.append(f"and {len(panel.lines) - len(shown)} more")
    if any(line.marked for line in shown) and not panel.has_zero:
        lines.append(wrapped(f"* {panel.marks}"))
    return "\n".join(line.rstrip() for line in lines)


def _named(panel: Panel, line: Line) -> str:
    name = line.name
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 3]}..."
    return f"{name} *" if line.marked and not panel.has_zero else name


def _column(panel: Panel, value: float, room: int) -> int:
    low, high = panel.ends
    return round((value - low) / (high - low) * (room - 1))


def _bar(panel: Panel, line: Line, room: int) -> str:
    cells = [" "] * room
    if panel.has_zero:
        cells[_column(panel, 0, room)] = ":"
    first, last = (_column(panel, end, room) for end in (line.low, line.high))
    if first < last:
        cells[first : last + 1] = "|" + "-" * (last - first - 1) + "|"
    cells[_column(panel, line.estimate, room)] = "o"
    return "".join(cells)


def _scale(panel: Panel, room: int) -> str:
    """The ends of the scale, and zero where there is room for it."""
    low, high = panel.ends
    if not panel.has_zero:
        first = f"{low:.1f}"
        return f"{first}{f'{high:.1f} %':>{room - len(first)}}"
    first, last = (f"{end:+.2f}" if end else "0" for end in (low, high))
    cells = f"{first}{last:>{room - len(first)}}"
    zero = _column(panel, 0, room)
    if 0 < zero < room - 1 and not cells[zero - 1 : zero + 2].strip():
        return f"{cells[:zero]}0{cells[zero + 1 :]}"
    return cells
