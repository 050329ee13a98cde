"""The first sentence of a sweep: what it says about recipes, or only about its networks."""

from __future__ import annotations

from collections.abc import Sequence

from cnn_pipeline.comparison import numbers, scope
from cnn_pipeline.comparison.types import Difference, Row, SweepInfo

_MOST_NAMES = 3
_NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
            "twelve")  # fmt: skip


def headline(sweep: SweepInfo, ranked: Sequence[Row], pairwise: Sequence[Difference]) -> str:
    """One sentence about the first of `ranked`, which validation chose.

    `pairwise` is the first of them against each other one.
    """
    name = ranked[0].label
    if not pairwise:
        return f"{name} is the only variant that finished: there is nothing to compare it with."
    if all(len(row.seeds) == 1 and row.test_accuracy is not None for row in ranked):
        return _of_networks(sweep, ranked)
    known = [found for found in pairwise if _known(found)]
    best = f"{name} is best {scope.on_ranking(sweep)}"
    if not known:
        return _of_nothing(best, pairwise)
    return _of_recipes(sweep, best, known, [found for found in pairwise if not _known(found)])


def _known(found: Difference) -> bool:
    return found.basis == "recipes" and found.interval is not None


def _of_networks(sweep: SweepInfo, ranked: Sequence[Row]) -> str:
    most = max(row.test_accuracy or 0.0 for row in ranked)
    best = [row.label for row in ranked if row.test_accuracy == most]
    number = len(ranked)
    count = _NUMBERS[number - 2] if 2 <= number < len(_NUMBERS) + 2 else str(number)
    if sweep.metric != "accuracy":
        has = "has" if len(best) == 1 else "have"
        lead = f"{numbers.in_words(best)} {has} the highest test {scope.measure(sweep)}"
    else:
        images = "most test images" if len(best) == 1 else "equally many test images, the most"
        lead = f"{numbers.in_words(best)} answered {images} right"
    chosen = ranked[0].label
    also = "" if best == [chosen] else f"; {chosen} is best {scope.on_ranking(sweep)}"
    return (
        f"{lead} of these {count} networks (one seed "
        f"each){also}. Whether the setting is better is not known: add seeds."
    )


def _of_nothing(best: str, pairwise: Sequence[Difference]) -> str:
    reasons = list(dict.fromkeys(found.reason for found in pairwise if found.reason))
    why = f": {'; '.join(reasons)}" if reasons else ""
    return f"{best}. Whether the setting is better is not known{why}."


def _of_recipes(
    sweep: SweepInfo,
    best: str,
    known: Sequence[Difference],
    unknown: Sequence[Difference],
) -> str:
    again = "trained again with new seeds"
    again += " and shown new images" if sweep.num_test else " and shown the same test images"
    worse = [found for found in known if found.significant and (found.estimate or 0) < 0]
    better = [found for found in known if found.significant and (found.estimate or 0) > 0]
    alike = [found for found in known if not found.significant]
    rest = f"; nothing is known against {_listed(unknown)}" if unknown else ""
    if worse:
        least = min(worse, key=_low)
        return f"{best}, but {again} it would be {_range([least])} than {least.against}{rest}."
    if alike:
        also = f", and significantly better than {_others(better)}" if better else ""
        return (
            f"{best}, without a significant difference from "
            f"{_listed(alike)}: {again} it would be {_range(alike)}{also}{rest}."
        )
    closest = min(better, key=_low)
    more = [found for found in better if found is not closest]
    also = f", and significantly better than {_others(more)}" if more else ""
    return (
        f"{again[0].upper()}{again[1:]}, {closest.label} would be {_range([closest])} than "
        f"{closest.against}{also}{rest}."
    )


def _low(found: Difference) -> float:
    return found.interval.low if found.interval else 0.0


def _listed(differences: Sequence[Difference]) -> str:
    names = [found.against for found in differences]
    return numbers.in_words(names) if len(names) <= _MOST_NAMES else f"{len(names)} others"


def _others(differences: Sequence[Difference]) -> str:
    number = len(differences)
    return differences[0].against if number == 1 else f"the {number} others"


def _range(differences: Sequence[Difference]) -> str:
    """'0.1 to 0.5 points better', from the lowest to the highest end of the intervals."""
    intervals = [found.interval for found in differences if found.interval]
    low = 100 * min(interval.low for interval in intervals)
    high = 100 * max(interval.high for interval in intervals)
    digits = next((n for n in (1, 2, 3) if round(low, n) and round(high, n)), 4)
    below, above = f"{abs(low):.{digits}f}", f"{abs(high):.{digits}f}"
    if low > 0:
        return f"{below} to {above} points better"
    if high < 0:
        return f"{above} to {below} points worse"
    return f"between {below} points worse and {above} points better"
