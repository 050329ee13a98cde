"""The comparison of two sweeps as text, Markdown or JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from cnn_pipeline.base.metric_names import MEASURES
from cnn_pipeline.base.quantities import percent, signed
from cnn_pipeline.comparison import numbers
from cnn_pipeline.comparison.layout import (
    escaped,
    heading,
    markdown_table,
    text_list,
    text_table,
    wrapped,
)
from cnn_pipeline.comparison.setting_sentences import evidence
from cnn_pipeline.comparison.two_sweeps_types import (
    Changed,
    PairChange,
    Side,
    TwoSweeps,
    VariantChange,
    Verdict,
)

_HEADER = ("variant", "A test", "B test", "B - A, points (95 %)")
_SAYS: dict[Verdict, str] = {
    "more accurate": "significantly more accurate",
    "less accurate": "significantly less accurate",
    "not significant": "no significant difference",
    "not tested": "not tested",
}
_NOT_COMPARABLE = (
    "The data differ, so the accuracies of A and B are not comparable: they are shares of other "
    "images. What each sweep says about its own variants can be compared, and is below."
)
_OTHER_SEEDS = (
    "A test and B test are means over all seeds of a sweep. B - A is over the seeds in both (if "
    "there are none, over one network of each), so it is not the difference of the two."
)
_CAUTION = (
    "A difference that is significant in one sweep only need not differ between them: the "
    "interval of the change says whether it does."
)


def to_text(found: TwoSweeps) -> str:
    """Plain text of at most 80 columns."""
    parts = [
        f"{_side('A', found.first)}\n{_side('B', found.second)}",
        *text_list("What changed from A to B", _what_changed(found)),
        _variants_text(found),
        *text_list("Answers", _answers(found)),
        *text_list("Pairs of variants", _pairs(found)),
    ]
    return "\n\n".join(parts) + "\n"


def to_markdown(found: TwoSweeps) -> str:
    """The same in Markdown."""
    rows = [_cells(one) for one in found.variants]
    parts = [
        f"## {escaped(found.first.name)} and {escaped(found.second.name)}",
        "\n".join(
            f"- **{letter}** {escaped(_title(side))}: {escaped(side.verdict)}"
            for letter, side in (("A", found.first), ("B", found.second))
        ),
        "### What changed from A to B",
        _markdown_list(_what_changed(found)),
        "### Variants in both",
        *([markdown_table(_HEADER, rows)] if rows else []),
        *map(escaped, _variant_notes(found)),
        "### Answers",
        _markdown_list(_answers(found)),
    ]
    if pairs := _pairs(found):
        parts += ["### Pairs of variants", _markdown_list(pairs)]
    return "\n\n".join(parts) + "\n"


def _side(letter: str, side: Side) -> str:
    return f"{wrapped(_title(side), f'{letter}  ')}\n{wrapped(side.verdict, '   ')}"


def _title(side: Side) -> str:
    return f"{side.sweep_id} ({side.name}) on {side.data}"


def _what_changed(found: TwoSweeps) -> list[str]:
    lines = [
        *_changes("settings", found.settings),
        *_changes("data", found.data, "data "),
        *_changes("code, libraries and machine", found.code),
    ]
    for letter, labels in (("A", found.only_first), ("B", found.only_second)):
        if labels:
            lines.append(f"finished only in {letter}: {', '.join(labels)}")
    return lines


def _changes(group: str, changes: Sequence[Changed], prefix: str = "") -> list[str]:
    return [
        f"{prefix}{one.what}: {_short(one.first)} -> {_short(one.second)}" for one in changes
    ] or [f"{group}: identical"]


def _short(value: str) -> str:
    """The first twelve digits of a SHA-256; else the value."""
    return value[:12] if re.fullmatch("[0-9a-f]{64}", value) else value or "none"


def _variants_text(found: TwoSweeps) -> str:
    table = [text_table(_HEADER, [_cells(one) for one in found.variants], "<>>>", wide=0)]
    notes = [wrapped(note) for note in _variant_notes(found)]
    return heading("Variants in both", "\n".join([*(table if found.variants else []), *notes]))


def _cells(one: VariantChange) -> tuple[str, ...]:
    found = one.difference
    if one.same_models:
        change = "same trained networks"
    elif found is None:
        change = "not comparable"
    else:
        change = signed(found.estimate)
        if found.interval:
            change += f" ({numbers.signed_range(found.interval)})"
    return one.variant, percent(one.first), percent(one.second), change


def _variant_notes(found: TwoSweeps) -> list[str]:
    if not found.variants:
        return ["No variant finished in both sweeps, so no accuracy can be compared."]
    ours, theirs = MEASURES[found.first.metric], MEASURES[found.second.metric]
    notes = [] if found.same_test_images else [_NOT_COMPARABLE]
    if ours != theirs:
        notes = [
            f"A is measured by {ours} and B by {theirs}, so their numbers are not comparable. "
            "What each sweep says about its own variants can be compared, and is below."
        ]
    elif ours != "accuracy":
        notes.append(f"A test and B test are {ours}.")
    notes += [
        f"{one.variant} names two networks: "
        + ", ".join(f"{item.what} {item.first} -> {item.second}" for item in one.network)
        + "."
        for one in found.variants
        if one.network
    ]
    if any(_has_other_seeds(one) for one in found.variants):
        notes.append(_OTHER_SEEDS)
    bases = {one.difference.basis for one in found.variants if one.difference}
    if "models" in bases:
        notes.append(
            "One seed of a variant speaks about its two trained networks, over new images, not "
            "about the recipes."
        )
    if "recipes" in bases:
        notes.append("Several seeds speak about the recipes, over new seeds and new images.")
        alone = [
            f"{one.variant} {signed(gained.estimate)} ({numbers.signed_range(one.networks)})"
            for one in found.variants
            if (gained := one.difference) and gained.basis == "recipes" and one.networks
        ]
        if alone:
            notes.append(f"Only these trained networks, over test images: {'; '.join(alone)}.")
    return notes


def _has_other_seeds(one: VariantChange) -> bool:
    """Whether the difference is not that of the two accuracies beside it."""
    estimate = one.difference.estimate if one.difference else None
    if estimate is None or one.first is None or one.second is None:
        return False
    return not math.isclose(one.second - one.first, estimate, abs_tol=1e-6)


def _answers(found: TwoSweeps) -> list[str]:
    a, b = found.first.chosen or "nothing", found.second.chosen or "nothing"
    lines = [
        f"chosen on validation: {a} in both" if a == b else f"chosen on validation: {a} -> {b}"
    ]
    for one in found.answers:
        lines += [f"A: {one.first}", f"B: {one.second}"]
    if not found.answers:
        lines.append("about every setting that varies, both say the same")
    return lines


def _pairs(found: TwoSweeps) -> list[str]:
    if not found.num_pairs:
        return []
    same = found.num_pairs - len(found.pairs)
    lines = [f"{same} of {found.num_pairs} pairs have the same result in both"]
    lines += [_pair(found, one) for one in found.pairs]
    if any(one.change_interval for one in found.pairs):
        lines.append(_CAUTION)
    return lines


def _pair(found: TwoSweeps, one: PairChange) -> str:
    text = (
        f"{one.variant} against {one.against}: "
        f"A {_says(found.first, one.first_says)} ({evidence(one.first)}); "
        f"B {_says(found.second, one.second_says)} ({evidence(one.second)})"
    )
    if one.change is not None:
        text += f"; changed by {numbers.points(one.change, one.change_interval)}"
    return text


def _says(side: Side, verdict: Verdict) -> str:
    if side.metric == "accuracy":
        return _SAYS[verdict]
    text = _SAYS[verdict].replace("more accurate", "better").replace("less accurate", "worse")
    return f"{text} in {MEASURES[side.metric]}" if text != _SAYS[verdict] else text


def _markdown_list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {escaped(line)}" for line in lines)
