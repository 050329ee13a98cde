"""Draw what the rounds of a sweep with seeds 'auto' have shown so far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.text import Text

from cnn_pipeline.base.events import RoundEnded
from cnn_pipeline.base.metric_names import MEASURES
from cnn_pipeline.base.quantities import first_names, signed
from cnn_pipeline.cli.snapshot import Snapshot

_MOST_ROUNDS = 4
_WIDEST = 60


@dataclass(frozen=True)
class _Marks:
    line: str
    low: str
    high: str
    middle: str
    zero: str
    margin: str


_UNICODE = _Marks("─", "├", "┤", "●", "│", "┊")
_ASCII = _Marks("-", "<", ">", "o", "|", ":")


def dropped_line(snapshot: Snapshot) -> str:
    """'Dropped: f16-max, f16-none after round 2; f32-max after round 3.'; may be empty."""
    told = [
        f"{first_names([*one.dropped])} after round {one.round}"
        for one in snapshot.rounds
        if one.dropped
    ]
    return f"Dropped: {'; '.join(told)}." if told else ""


def lead_bars(snapshot: Snapshot, width: int, *, ascii_only: bool) -> Iterator[Text]:
    """The lead of the best variant over the next with its interval, a line for each round.

    Empty before a round has an interval.
    """
    known = [one for one in snapshot.rounds if None not in (one.lead, one.lead_low, one.lead_high)]
    if not known:
        return
    marks = _ASCII if ascii_only else _UNICODE
    shown = known[-_MOST_ROUNDS:]
    margin = -snapshot.decide / 100
    ends = [margin, 0.0, *(e for one in shown for e in (one.lead_low or 0, one.lead_high or 0))]
    heads = [f"round {one.round}" for one in shown]
    tails = [_numbers(one) for one in shown]
    room = width - max(map(len, heads)) - max(map(len, tails)) - 4
    size = min(_WIDEST, room)
    if size >= 12:
        for head, tail, one in zip(heads, tails, shown, strict=True):
            bar = _bar(one, min(ends), max(ends), size, margin, marks)
            yield Text(f"{head:<{max(map(len, heads))}}  {bar}  {tail}", no_wrap=True)
    else:
        yield from (Text(f"{head}  {tail}") for head, tail in zip(heads, tails, strict=True))
    yield Text(
        f"points of validation {MEASURES[snapshot.metric]} by which the best leads; decided when "
        f"the whole interval is right of {signed(margin)} ({marks.margin})",
        "dim",
    )


def _numbers(one: RoundEnded) -> str:
    return f"{signed(one.lead)} ({signed(one.lead_low)} to {signed(one.lead_high)})"


def _bar(one: RoundEnded, low: float, high: float, size: int, margin: float, marks: _Marks) -> str:
    def column(value: float | None) -> int:
        return round((size - 1) * ((value or 0.0) - low) / (high - low))

    cells = [" "] * size
    first, last = column(one.lead_low), column(one.lead_high)
    cells[first : last + 1] = marks.line * (last + 1 - first)
    for value, mark in (
        (margin, marks.margin),
        (0.0, marks.zero),
        (one.lead_low, marks.low),
        (one.lead_high, marks.high),
        (one.lead, marks.middle),
    ):
        cells[column(value)] = mark
    return "".join(cells)
