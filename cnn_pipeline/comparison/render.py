"""A comparison as text, Markdown, CSV or JSON, without colours.

Text and Markdown begin with one sentence, one picture and one table; details follow.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from cnn_pipeline.base.quantities import MOST, UNKNOWN, percent
from cnn_pipeline.comparison import cells, numbers, scope
from cnn_pipeline.comparison.bars import bars
from cnn_pipeline.comparison.forest import change_text, may_be_best, panels
from cnn_pipeline.comparison.layout import (
    escaped,
    heading,
    markdown_table,
    text_list,
    text_table,
    wrapped,
)
from cnn_pipeline.comparison.leaderboard import leaderboard
from cnn_pipeline.comparison.rounds_text import paragraph
from cnn_pipeline.comparison.types import Comparison, Row

_RIGHT, _LEFT = ">", "<"
_ALWAYS_SHOWN = 2  # columns


def to_text(comparison: Comparison, *, details: bool = False, whole: bool = False) -> str:
    """Plain text of at most 80 columns: one sentence, the intervals as bars, the leaderboard.

    With `details` also the whole verdict and all tables. Tables of many variants have the best ones
    and say how many more there are; with `whole`, they have all.
    """
    most = _most(comparison, whole)
    parts = [
        wrapped(f"{scope.title(comparison.sweep, with_id=True)}{_so_far(comparison)}"),
        wrapped(comparison.verdict.headline),
        *filter(None, ["\n".join(wrapped(f"warning: {w}") for w in comparison.warnings)]),
        *map(bars, panels(comparison)),
        heading("Leaderboard", _text_leaderboard(comparison, most)),
        *filter(None, [wrapped(rounds_note(comparison))]),
        *text_list(
            "Not ranked",
            [f"{row.label}: {cells.remarks(row)}" for row in comparison.rows if row.rank is None],
            most,
        ),
        *(_text_details(comparison, most) if details else _text_caveats(comparison, most)),
        *(text_list("Notes", comparison.notes, most) if details or comparison.progress else ()),
    ]
    return "\n\n".join(parts) + "\n"


def _most(comparison: Comparison, whole: bool) -> int | None:
    """How many rows a table has at most; None for all of them, as of a sweep of few variants."""
    return None if whole or len(comparison.rows) <= MOST else MOST


def _text_caveats(comparison: Comparison, most: int | None) -> list[str]:
    """What the answer lacks. Only runs of other programs lack anything."""
    if comparison.sweep.runs is None:
        return []
    return text_list("Notes", [*scope.caveats(comparison.sweep), *comparison.notes], most)


def _text_details(comparison: Comparison, most: int | None) -> list[str]:
    return [
        *text_list("Verdict", comparison.verdict.sentences),
        *_text_costs(comparison, most),
        *_text_effects(comparison, most),
        *_text_pairwise(comparison, most),
        *text_list(
            "Expectations",
            [
                f"{label}: {expected}? {outcome[0].upper()}{outcome[1:]}. Measured: {measured}."
                for label, expected, measured, outcome in cells.expectation_table(comparison)
            ],
            most,
        ),
    ]


def to_markdown(
    comparison: Comparison, *, top: str = "", folded: bool = True, whole: bool = False
) -> str:
    """The comparison in Markdown: sentence and leaderboard, and below them the details.

    Args:
        comparison: the comparison.
        top: Markdown that stands for title and sentence, with a picture as its place allows.
        folded: fold the details with HTML's `<details>`. MLflow's notes do not have it.
        whole: show all of many variants, as in `to_text`.
    """
    first, details = markdown_parts(comparison, top, whole=whole)
    if folded:
        details = f"<details><summary>Details</summary>\n\n{details}\n</details>\n"
    return f"{first}\n{details}"


def markdown_parts(
    comparison: Comparison, top: str = "", *, whole: bool = False
) -> tuple[str, str]:
    """The first screen and the details; see `to_markdown`."""
    most = _most(comparison, whole)
    sweep = comparison.sweep
    title = f"## {escaped(scope.title(sweep))}{_so_far(comparison)}"
    parts = [
        top or f"{title}\n\n**{escaped(comparison.verdict.headline)}**",
        *filter(None, ["\n".join(f"- Warning: {escaped(w)}." for w in comparison.warnings)]),
        _markdown(comparison, cells.SHORT_HEADER, cells.short_table(comparison), most),
        escaped(" ".join(leaderboard_notes(comparison))),
        *filter(None, [escaped(rounds_note(comparison))]),
    ]
    return "\n\n".join(parts) + "\n", "\n\n".join(_markdown_details(comparison, most)) + "\n"


def _markdown(
    comparison: Comparison,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    most: int | None,
) -> str:
    """A table without empty columns. Of many rows the first, and how to see the rest."""
    table = markdown_table(*known_columns(header, rows[:most]))
    more = _more(comparison, len(rows), most)
    return "\n\n".join([table, *map(escaped, more)])


def _more(comparison: Comparison, number: int, most: int | None) -> list[str]:
    """'and 980 more: ...' of `number` things, if some are left out."""
    if most is None or number <= most:
        return []
    runs = comparison.sweep.runs is not None
    how = "`verdict --all`, or `--json`" if runs else "`compare --all`, or `--format csv`"
    return [f"and {number - most:,} more: {how}"]


def _markdown_details(comparison: Comparison, most: int | None) -> list[str]:
    parts = [escaped(comparison.sweep.description)] if comparison.sweep.description else []
    if comparison.verdict.sentences:
        sentences = (f"- {escaped(sentence)}" for sentence in comparison.verdict.sentences)
        parts += ["### Verdict", "\n".join(sentences)]
    rows = cells.leaderboard_table(comparison)
    parts += ["### All numbers", _markdown(comparison, cells.LEADERBOARD_HEADER, rows, most)]
    if comparison.axes:
        header, rows = cells.effect_header(comparison), cells.effect_table(comparison)
        parts += ["### Effects of settings", _markdown(comparison, header, rows, most)]
    if comparison.pairwise:
        rows = [cells.pairwise_cells(difference) for difference in comparison.pairwise]
        title = f"### {escaped(comparison.pairwise[0].label)} against the others"
        table = markdown_table(cells.PAIRWISE_HEADER, rows[:most])
        parts += [title, "\n\n".join([table, *map(escaped, _more(comparison, len(rows), most))])]
    if comparison.expectations:
        rows = cells.expectation_table(comparison)
        table = markdown_table(cells.EXPECTATION_HEADER, rows[:most])
        more = _more(comparison, len(rows), most)
        parts += ["### Expectations", "\n\n".join([table, *map(escaped, more)])]
    if comparison.notes:
        notes = [*comparison.notes[:most], *_more(comparison, len(comparison.notes), most)]
        parts += ["### Notes", "\n".join(f"- {escaped(note)}" for note in notes)]
    return parts


def leaderboard_notes(comparison: Comparison) -> list[str]:
    """What the leaderboard's marks and columns mean, as far as it has them."""
    notes = [f"Ranked by {scope.ranked_by(comparison.sweep)}."]
    if any(row.may_be_best for row in comparison.rows):
        notes.append(f"* {may_be_best(comparison)}")
    if comparison.pairwise:
        notes.append(cells.behind_note(comparison))
    return notes


def known_columns(
    header: Sequence[str], rows: Sequence[Sequence[str]]
) -> tuple[list[str], list[list[str]]]:
    """Leave out columns without any value, such as remarks, or costs that nothing logged.

    The first two stay.
    """
    kept = [
        number
        for number in range(len(header))
        if number < _ALWAYS_SHOWN or any(row[number] not in ("", UNKNOWN) for row in rows)
    ]
    return [header[n] for n in kept], [[row[n] for n in kept] for row in rows]


def rounds_note(comparison: Comparison) -> str:
    """How the rounds of the sweep ended, or how far they are; empty without rounds."""
    return paragraph(comparison.rounds, running=comparison.progress is not None)


def _so_far(comparison: Comparison) -> str:
    """': 4 of 6, running' or ': round 3, 13 of 15, running'; empty for a whole sweep."""
    progress = comparison.progress
    if progress is None:
        return ""
    number = f"round {progress.round}, " if progress.round else ""
    return f": {number}{progress.ended} of {progress.total}, running"


def to_csv(comparison: Comparison) -> str:
    """The leaderboard as CSV; see `leaderboard` for the columns."""
    return leaderboard(comparison).to_csv(index=False, lineterminator="\n")


def to_json(comparison: Comparison) -> str:
    """The whole comparison, with the fields of `Comparison`."""
    return json.dumps(dataclasses.asdict(comparison), indent=2, allow_nan=False) + "\n"


def _text_leaderboard(comparison: Comparison, most: int | None) -> str:
    if not comparison.ranked:
        return "No variant can be ranked."
    header = ["", "variant", "n", "val %", "test % (95 %)", "behind (95 %)", "params", "train s"]
    rows = [
        [
            cells.rank_text(row),
            row.label,
            str(len(row.seeds)),
            percent(row.validation_accuracy, 2).removesuffix(" %"),
            _test(row),
            cells.behind(comparison, row),
            numbers.scaled(row.num_params),
            _short_count(row.train_seconds),
        ]
        for row in comparison.ranked[:most]
    ]
    ranked = scope.ranked_by(comparison.sweep)
    unit = scope.unit(comparison.sweep)
    notes = [f"Ranked by {ranked}. n: {unit}s; numbers are their means."]
    if comparison.pairwise:
        measure = scope.measure(comparison.sweep)
        notes.append(f"Behind: points of test {measure} behind the first.")
    header, rows = known_columns(header, rows)
    table = text_table(header, rows, [_RIGHT, _LEFT, *[_RIGHT] * (len(header) - 2)])
    more = _more(comparison, len(comparison.ranked), most)
    return "\n".join((table, *more, wrapped(" ".join(notes))))


def _test(row: Row) -> str:
    return numbers.percent_with_interval(row.test_accuracy, row.test_interval).replace(" %", "")


def _text_costs(comparison: Comparison, most: int | None) -> list[str]:
    if not comparison.ranked:
        return []
    header = ["variant", "params", "MACs", "train s", "images/s", "ms/img", "model"]
    rows = [
        [
            row.label,
            _short_count(row.num_params),
            numbers.scaled(row.macs),
            _short_count(row.train_seconds),
            _short_count(row.images_per_second),
            numbers.milliseconds(row.latency_ms),
            numbers.scaled(row.model_bytes, "B"),
        ]
        for row in comparison.ranked[:most]
    ]
    header, rows = known_columns(header, rows)
    if all(row[1] == UNKNOWN for row in rows) and len(header) == _ALWAYS_SHOWN:
        return []
    aligned = [_LEFT, *[_RIGHT] * (len(header) - 1)]
    more = _more(comparison, len(comparison.ranked), most)
    return [heading("Costs", "\n".join((text_table(header, rows, aligned, wide=0), *more)))]


def _text_effects(comparison: Comparison, most: int | None) -> list[str]:
    if not comparison.axes:
        return []
    header = ["change", "test, points (95 %)", "params", "MACs", "time"]
    rows = [
        [
            change_text(effect),
            cells.effect_text(effect) if effect.interval or not effect.pairs else "no interval",
            numbers.ratio(effect.params_ratio),
            numbers.ratio(effect.macs_ratio),
            numbers.ratio(effect.seconds_ratio),
        ]
        for axis in comparison.axes
        for effect in (*axis.simple, *axis.effects)
    ]
    more = _more(comparison, len(rows), most)
    header, rows = known_columns(header, rows[:most])
    table = text_table(header, rows, [_LEFT, *[_RIGHT] * (len(header) - 1)], wide=0)
    title = "Effects of settings, over pairs that differ in nothing else"
    return [heading(title, "\n".join((table, *more)))]


def _text_pairwise(comparison: Comparison, most: int | None) -> list[str]:
    if not comparison.pairwise:
        return []
    header = ["against", "test, points (95 %)", "significant"]
    rows = [cells.pairwise_cells(difference)[:3] for difference in comparison.pairwise[:most]]
    more = _more(comparison, len(comparison.pairwise), most)
    title = f"{comparison.pairwise[0].label} against the others"
    return [heading(title, "\n".join((text_table(header, rows, "<>>", wide=0), *more)))]


def _short_count(value: float | None) -> str:
    """A count of at most ten characters."""
    return numbers.scaled(value) if value is not None and value >= 1e8 else numbers.count(value)
