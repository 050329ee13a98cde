"""A comparison as text, Markdown, CSV or JSON, without colours."""

from __future__ import annotations

import dataclasses
import json
import re
import textwrap
from collections.abc import Sequence

from cnn_pipeline.base.quantities import UNKNOWN, duration, percent, signed
from cnn_pipeline.comparison import numbers
from cnn_pipeline.comparison.leaderboard import leaderboard
from cnn_pipeline.comparison.setting_names import axis_title, expectation_text, level_text
from cnn_pipeline.comparison.types import Comparison, Difference, Effect, Row

_EFFICIENT_NOTE = (
    "* Nothing else is at least as accurate on validation with as few parameters and MACs."
)
_RIGHT, _LEFT = ">", "<"
_WIDTH = 80  # columns
# Spaces in '90.9 %', 'p = 0.043' and '4.9 M' at which a line must not break.
_UNBREAKABLE = re.compile(r"(?<=\bp) (?=[=<])|(?<=\bp [=<]) (?=\d)|(?<=\d) (?=%|[kMGT]?\b)")


def to_text(comparison: Comparison) -> str:
    """Verdict and tables as plain text of at most 80 columns."""
    sweep = comparison.sweep
    parts = [
        _wrapped(f"Sweep {sweep.sweep_id} ({sweep.name}) on {sweep.dataset}"),
        _wrapped(comparison.verdict.headline),
        _heading("Leaderboard", _text_leaderboard(comparison)),
        *_text_list(
            "Not ranked",
            [f"{row.label}: {remarks(row)}" for row in comparison.rows if row.rank is None],
        ),
        *_text_list("Verdict", comparison.verdict.sentences),
        *_text_effects(comparison),
        *_text_pairwise(comparison),
        *_text_list(
            "Expectations",
            [
                f"{label}: {expected}? {outcome[0].upper()}{outcome[1:]}. Measured: {measured}."
                for label, expected, measured, outcome in expectation_table(comparison)
            ],
        ),
        *_text_list("Notes", comparison.notes),
    ]
    return "\n\n".join(parts) + "\n"


def to_markdown(comparison: Comparison) -> str:
    """The comparison in Markdown, for MLflow's notes and Prefect's artifacts."""
    sweep = comparison.sweep
    parts = [
        f"## {_escaped(sweep.name)} on {_escaped(sweep.dataset)}",
        *([_escaped(sweep.description)] if sweep.description else []),
        f"**{_escaped(comparison.verdict.headline)}**",
        "### Leaderboard",
        _markdown_table(LEADERBOARD_HEADER, [leaderboard_cells(r) for r in comparison.rows]),
        _escaped(_EFFICIENT_NOTE),
        "### Verdict",
        "\n".join(f"- {_escaped(sentence)}" for sentence in comparison.verdict.sentences),
    ]
    if comparison.axes:
        parts += ["### Main effects", _markdown_table(EFFECT_HEADER, effect_table(comparison))]
    if comparison.pairwise:
        cells = [pairwise_cells(difference) for difference in comparison.pairwise]
        title = f"### {_escaped(comparison.pairwise[0].label)} against the others"
        parts += [title, _markdown_table(PAIRWISE_HEADER, cells)]
    if comparison.expectations:
        cells = expectation_table(comparison)
        parts += ["### Expectations", _markdown_table(EXPECTATION_HEADER, cells)]
    if comparison.notes:
        parts += ["### Notes", "\n".join(f"- {_escaped(note)}" for note in comparison.notes)]
    return "\n\n".join(parts) + "\n"


def to_csv(comparison: Comparison) -> str:
    """The leaderboard as CSV; see `leaderboard` for the columns."""
    return leaderboard(comparison).to_csv(index=False, lineterminator="\n")


def to_json(comparison: Comparison) -> str:
    """The whole comparison, with the fields of `Comparison`."""
    return json.dumps(dataclasses.asdict(comparison), indent=2, allow_nan=False) + "\n"


LEADERBOARD_HEADER = (
    "#",
    "variant",
    "seeds",
    "validation",
    "test (95 % interval)",
    "parameters",
    "MACs",
    "training",
    "images/s",
    "ms/image, batch 1",
    "ms/image, batch 256",
    "model",
    "remarks",
)


def leaderboard_cells(row: Row) -> tuple[str, ...]:
    """One row of the leaderboard as text, under `LEADERBOARD_HEADER`."""
    return (
        rank_text(row),
        row.label,
        str(len(row.seeds)),
        _with_spread(row.validation_accuracy, row.validation_spread),
        numbers.percent_with_interval(row.test_accuracy, row.test_interval),
        numbers.count(row.num_params),
        numbers.scaled(row.macs),
        duration(row.train_seconds),
        numbers.count(row.images_per_second),
        numbers.milliseconds(row.latency_ms),
        numbers.milliseconds(row.latency_ms_batch_256),
        numbers.scaled(row.model_bytes, "B"),
        remarks(row),
    )


def rank_text(row: Row) -> str:
    """The rank, with a star if the row is efficient: '1*'."""
    if row.rank is None:
        return UNKNOWN
    return f"{row.rank}*" if row.efficient else str(row.rank)


def remarks(row: Row) -> str:
    """Why a row is not ranked, or which seeds failed; empty if none did."""
    return f"{row.status}: {row.reason}" if row.reason else ""


EFFECT_HEADER = (
    "setting",
    "change",
    "test accuracy, points (95 % interval)",
    "pairs",
    "parameters",
    "MACs",
    "training time",
)


def effect_table(comparison: Comparison) -> list[tuple[str, ...]]:
    """The effects of every setting against its reference level, under `EFFECT_HEADER`."""
    return [
        (
            axis_title(axis.axis),
            f"{level_text(axis.axis, effect.against)} -> {level_text(axis.axis, effect.level)}",
            effect_text(effect),
            str(len(effect.pairs)),
            numbers.ratio(effect.params_ratio),
            numbers.ratio(effect.macs_ratio),
            numbers.ratio(effect.seconds_ratio),
        )
        for axis in comparison.axes
        for effect in axis.effects
    ]


def effect_text(effect: Effect) -> str:
    """'-1.20 (-1.60 to -0.80)', or 'not estimable'."""
    if not effect.pairs:
        return "not estimable"
    if effect.interval is None:
        return f"{signed(effect.estimate)} (no interval: {effect.reason})"
    return f"{signed(effect.estimate)} ({numbers.signed_range(effect.interval)})"


PAIRWISE_HEADER = ("against", "difference, points (95 % interval)", "p, corrected", "speaks about")


def pairwise_cells(difference: Difference) -> tuple[str, ...]:
    """One comparison with the chosen variant as text, under `PAIRWISE_HEADER`."""
    text = signed(difference.estimate)
    if difference.interval:
        text += f" ({numbers.signed_range(difference.interval)})"
    meaning = {"models": "these two networks", "recipes": "the recipes"}
    return (
        difference.against,
        text,
        numbers.p_text(difference.p_corrected),
        meaning.get(difference.basis, difference.reason),
    )


EXPECTATION_HEADER = ("variant", "expected", "measured", "outcome")


def expectation_table(comparison: Comparison) -> list[tuple[str, ...]]:
    """Every expectation as text, under `EXPECTATION_HEADER`."""
    return [
        (
            check.label,
            expectation_text(check.expected),
            check.measured,
            f"{check.outcome}: {check.reason}" if check.reason else check.outcome,
        )
        for check in comparison.expectations
    ]


def _text_leaderboard(comparison: Comparison) -> str:
    if not comparison.ranked:
        return "No variant can be ranked."
    several = any(len(row.seeds) > 1 for row in comparison.ranked)
    header = ["", "variant", "val %", "test % (95 %)", "params", "MACs", "train s", "ms/img"]
    aligned = [_RIGHT, _LEFT, *[_RIGHT] * 6]
    cells = [
        [
            rank_text(row),
            row.label,
            percent(row.validation_accuracy, 2).removesuffix(" %"),
            numbers.percent_with_interval(row.test_accuracy, row.test_interval).replace(" %", ""),
            _short_count(row.num_params),
            numbers.scaled(row.macs),
            _short_count(row.train_seconds),
            numbers.milliseconds(row.latency_ms),
        ]
        for row in comparison.ranked
    ]
    if several:
        header.insert(2, "n")
        aligned.insert(2, _RIGHT)
        for row, line in zip(comparison.ranked, cells, strict=True):
            line.insert(2, str(len(row.seeds)))
    legend = [_EFFICIENT_NOTE] if any(row.efficient for row in comparison.ranked) else []
    if several:
        legend.append("n: seeds that finished; numbers are their means.")
    return "\n".join((_text_table(header, cells, aligned), *(_wrapped(note) for note in legend)))


def _text_list(title: str, texts: Sequence[str]) -> list[str]:
    """A section with one bullet per text; none without texts."""
    lines = [_wrapped(text, "- ") for text in texts]
    return [_heading(title, "\n".join(lines))] if lines else []


def _text_effects(comparison: Comparison) -> list[str]:
    if not comparison.axes:
        return []
    header = ["change", "test, points (95 %)", "params", "MACs", "time"]
    aligned = [_LEFT, *[_RIGHT] * 4]
    cells = [
        [
            f"{level_text(axis.axis, effect.against)} -> {level_text(axis.axis, effect.level)}",
            effect_text(effect) if effect.interval or not effect.pairs else "no interval",
            numbers.ratio(effect.params_ratio),
            numbers.ratio(effect.macs_ratio),
            numbers.ratio(effect.seconds_ratio),
        ]
        for axis in comparison.axes
        for effect in axis.effects
    ]
    return [
        _heading(
            "Main effects, over pairs that differ in nothing else",
            _text_table(header, cells, aligned, wide=0),
        )
    ]


def _text_pairwise(comparison: Comparison) -> list[str]:
    if not comparison.pairwise:
        return []
    header = ["against", "test, points (95 %)", "p, corrected"]
    cells = [pairwise_cells(difference)[:3] for difference in comparison.pairwise]
    title = f"{comparison.pairwise[0].label} against the others"
    return [_heading(title, _text_table(header, cells, "<>>", wide=0))]


def _heading(title: str, body: str) -> str:
    return f"{title}\n{'-' * len(title)}\n{body}"


def _wrapped(text: str, bullet: str = "") -> str:
    filled = textwrap.fill(
        _UNBREAKABLE.sub("\u00a0", text),
        _WIDTH,
        initial_indent=bullet,
        subsequent_indent=" " * len(bullet),
        break_on_hyphens=False,
    )
    return filled.replace("\u00a0", " ")


def _text_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], aligned: Sequence[str], *, wide: int = 1
) -> str:
    """Align columns; a cell of column `wide` that does not fit gets its own line."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    fixed, least = sum(widths) - widths[wide], len(header[wide])
    gap = 2 if fixed + least + 2 * (len(widths) - 1) <= _WIDTH else 1
    room = _WIDTH - fixed - gap * (len(widths) - 1)
    widths[wide] = min(widths[wide], max(room, least))
    lines = []
    for row in (header, *rows):
        cells = list(row)
        if len(cells[wide]) > widths[wide]:
            lines.append(_wrapped(cells[wide]))
            cells[wide] = ""
        padded = (
            f"{cell:{side}{size}}" for cell, side, size in zip(cells, aligned, widths, strict=True)
        )
        lines.append((" " * gap).join(padded).rstrip())
    return "\n".join(lines)


def _short_count(value: float | None) -> str:
    """A count of at most ten characters."""
    return numbers.scaled(value) if value is not None and value >= 1e8 else numbers.count(value)


def _with_spread(share: float | None, spread: float | None) -> str:
    text = percent(share, 2)
    return text if spread is None else f"{text} (s.d. {100 * spread:.2f})"


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([_escaped(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text: str) -> str:
    """Escape text for Markdown and put it on one line."""
    return re.sub(r"([\\`*_\[\]<|#])", r"\\\1", " ".join(text.split()))
