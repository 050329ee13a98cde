"""Plain text of at most 80 columns, and Markdown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

WIDTH = 80  # columns
# Spaces behind a number, as in '90.9 %', '4.9 M' and '3 seeds', at which a line must not break.
_UNBREAKABLE = re.compile(r"(?<=\d) (?=%|\w)")


def heading(title: str, body: str) -> str:
    """A title, underlined, and what follows it."""
    return f"{title}\n{'-' * len(title)}\n{body}"


def wrapped(text: str, bullet: str = "") -> str:
    """Break lines; `bullet` starts the first one, and the others are indented as far."""
    filled = textwrap.fill(
        _UNBREAKABLE.sub("\u00a0", text),
        WIDTH,
        initial_indent=bullet,
        subsequent_indent=" " * len(bullet),
        break_on_hyphens=False,
    )
    return filled.replace("\u00a0", " ")


def text_list(title: str, texts: Sequence[str], most: int | None = None) -> list[str]:
    """A section with one bullet per text; none without texts. Of more than `most`, the first."""
    lines = [wrapped(text, "- ") for text in texts[:most]]
    if most is not None and len(texts) > most:
        lines.append(f"- and {len(texts) - most:,} more")
    return [heading(title, "\n".join(lines))] if lines else []


def text_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], aligned: Sequence[str], *, wide: int = 1
) -> str:
    """Align columns; a cell of column `wide` that does not fit gets its own line."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    fixed, least = sum(widths) - widths[wide], len(header[wide])
    gap = 2 if fixed + least + 2 * (len(widths) - 1) <= WIDTH else 1
    room = WIDTH - fixed - gap * (len(widths) - 1)
    widths[wide] = min(widths[wide], max(room, least))
    lines = []
    for row in (header, *rows):
        cells = list(row)
        if len(cells[wide]) > widths[wide]:
            lines.append(wrapped(cells[wide]))
            cells[wide] = ""
        padded = (
            f"{cell:{side}{size}}" for cell, side, size in zip(cells, aligned, widths, strict=True)
        )
        lines.append((" " * gap).join(padded).rstrip())
    return "\n".join(lines)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; its cells are escaped."""
    lines = [header, ["---"] * len(header), *([escaped(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escaped(text: str) -> str:
    """Escape text for Markdown and put it on one line."""
    return re.sub(r"([\\`*_\[\]<|#])", r"\\\1", " ".join(text.split()))
