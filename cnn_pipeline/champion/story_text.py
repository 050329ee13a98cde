"""The history of a registered model drawn with characters: time down, accuracy to the right."""

from __future__ import annotations

from collections.abc import Sequence

from cnn_pipeline.base.quantities import percent
from cnn_pipeline.champion.story import Moment

PAST = {"promote": "promoted", "rollback": "rolled back", "refuse": "refused"}
_WIDTH = 80
_LEFT = 36  # date, version, action
_RIGHT = 8  # accuracy
_PLOT = _WIDTH - _LEFT - _RIGHT
_LEGEND = "* becomes champion   | is champion   x refused   right: accuracy of the version"
_OTHER_DATA = "other data from here: accuracies above are not comparable with those below"


def story_text(name: str, moments: Sequence[Moment]) -> str:
    """One line for each decision, at most 80 columns wide, without colours."""
    title = f"{name}: test accuracy of the champion"
    known = [value for one in moments for value in (one.accuracy, one.champion_accuracy)]
    values = [value for value in known if value is not None]
    if not values:
        return f"{title}\nno version has recorded its test accuracy"
    low, high = min(values), max(values)
    ends = percent(low), percent(high)
    lines = [title, "", f"{'':{_LEFT}}{ends[0]}{ends[1]:>{_PLOT - len(ends[0])}}"]
    champion: int | None = None
    for one in moments:
        if one.other_data:
            lines.append(f"{'':4}-- {_OTHER_DATA}")
        after = _column(one.champion_accuracy, low, high)
        drawn = _drawn(one, champion, after, _column(one.accuracy, low, high))
        label = f"{one.at:%Y-%m-%d %H:%M} {one.version:>5}  {PAST[one.action]}"
        lines.append(f"{label:<{_LEFT}}{drawn:<{_PLOT}}{percent(one.accuracy):>{_RIGHT}}")
        champion = after
    return "\n".join([*lines, "", _LEGEND])


def _column(value: float | None, low: float, high: float) -> int | None:
    if value is None:
        return None
    return round((value - low) / (high - low) * (_PLOT - 1)) if high > low else _PLOT // 2


def _drawn(one: Moment, before: int | None, after: int | None, own: int | None) -> str:
    cells = [" "] * _PLOT
    if one.action == "refuse":
        _put(cells, after, "|")
        _put(cells, own, "x")
        return "".join(cells)
    if before is not None and after is not None:
        for column in range(min(before, after), max(before, after) + 1):
            cells[column] = "-"
        _put(cells, before, "+")
    _put(cells, after, "*")
    return "".join(cells)


def _put(cells: list[str], column: int | None, mark: str) -> None:
    if column is not None:
        cells[column] = mark
