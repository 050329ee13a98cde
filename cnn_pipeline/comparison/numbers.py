"""Format numbers the same way in every output. None is an unknown number."""

from __future__ import annotations

from collections.abc import Sequence

from cnn_pipeline.base.quantities import MOST, UNKNOWN, first_names, percent, signed
from cnn_pipeline.comparison.statistics import Interval


def count(value: float | None) -> str:
    """'243,786'."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def scaled(value: float | None, unit: str = "") -> str:
    """'4.9 M', '104 k', '2.9 MB' with a unit: three digits at most before the prefix."""
    if value is None:
        return UNKNOWN
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * factor:
            share = value / factor
            return f"{share:.1f} {prefix}{unit}" if share < 99.95 else f"{share:.0f} {prefix}{unit}"
    return f"{value:.0f} {unit}".rstrip()


def percent_range(interval: Interval | None) -> str:
    """'90.3-91.5' of an interval of shares."""
    if interval is None:
        return UNKNOWN
    return f"{100 * interval.low:.1f}-{100 * interval.high:.1f}"


def percent_with_interval(share: float | None, interval: Interval | None) -> str:
    """'90.9 % (90.3-91.5)', or only '90.9 %'."""
    return percent(share) + (f" ({percent_range(interval)})" if interval else "")


def signed_range(interval: Interval | None) -> str:
    """'-0.15 to +0.35' percentage points."""
    if interval is None:
        return UNKNOWN
    return f"{signed(interval.low)} to {signed(interval.high)}"


def points(difference: float | None, interval: Interval | None) -> str:
    """'+0.81 points (+0.55 to +1.07)'."""
    text = f"{signed(difference)} points"
    return f"{text} ({signed_range(interval)})" if interval else text


def points_of(number: float) -> str:
    """'1 point', '0.59 points'."""
    text = f"{number:.2f}".rstrip("0").rstrip(".")
    return f"{text} point" if text == "1" else f"{text} points"


def ratio(value: float | None) -> str:
    """'19.5x', '1.04x', '0.051x': three digits."""
    if value is None:
        return UNKNOWN
    if value >= 1e5:
        return f"{scaled(value)}x"
    if value >= 100:
        return f"{value:,.0f}x"
    if value >= 10:
        return f"{value:.1f}x"
    if value >= 0.1:
        return f"{value:.2f}x"
    return f"{value:.2g}x"


def milliseconds(value: float | None) -> str:
    """'0.42', '12.1': three digits, without the unit."""
    if value is None:
        return UNKNOWN
    if value >= 9999.5:
        return scaled(value)
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def listed(items: Sequence[str]) -> str:
    """`in_words` of few items; of many the first ones, 'and 980 more'."""
    return in_words(list(items)) if len(items) <= MOST else first_names(items)


def in_words(items: tuple[str, ...] | list[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
