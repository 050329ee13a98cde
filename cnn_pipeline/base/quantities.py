"""Format durations and shares the same way in every output. None is an unknown number."""

from __future__ import annotations

from collections.abc import Sequence

UNKNOWN = "-"
MOST = 20
"""Variants, effects or names that a table or a sentence shows of many; the rest is counted."""


def duration(seconds: float | None) -> str:
    """'2.4 s', '41 s', '12 min 5 s', '3 h 20 min', '2 h'."""
    if seconds is None:
        return UNKNOWN
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    large, small = ("min", "s") if whole < 3600 else ("h", "min")
    count, rest = divmod(whole if whole < 3600 else round(whole / 60), 60)
    return f"{count} {large} {rest} {small}" if rest else f"{count} {large}"


def clock(seconds: float) -> str:
    """'0:07', '12:40', '1:02:03': for a display that is redrawn each second."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def percent(share: float | None, digits: int = 1) -> str:
    """'90.9 %' of 0.909; what only rounds to all or nothing is '> 99.9 %' or '< 0.1 %'."""
    if share is None:
        return UNKNOWN
    text, step = f"{100 * share:.{digits}f}", 10.0**-digits
    if share < 1 and float(text) == 100:
        return f"> {100 - step:.{digits}f} %"
    if share > 0 and float(text) == 0:
        return f"< {step:.{digits}f} %"
    return f"{text} %"


def counted(number: int, thing: str) -> str:
    """'1 seed', '2 seeds'."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def signed(difference: float | None) -> str:
    """'+0.81' percentage points of the difference 0.0081 of two shares."""
    if difference is None:
        return UNKNOWN
    text = f"{100 * difference:+.2f}"
    return "0.00" if float(text) == 0 else text


def first_names(names: Sequence[str], most: int = MOST) -> str:
    """'a, b, c'; of more than `most` only the first, 'and 980 more'."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"
