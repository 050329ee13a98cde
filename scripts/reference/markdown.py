"""Markdown for plain values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def code(text: str) -> str:
    """Return `text` as inline code, or an empty string for an empty one."""
    return f"`{text}`" if text else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; bars in cells are escaped and line breaks removed."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def as_words(help_text: str) -> str:
    """Return a sentence of `--help` as Markdown: 'quoted commands' become code."""
    escaped = re.sub(r"([*_\\<>\[\]])", r"\\\1", help_text)
    return re.sub(r"'(cnn-pipeline [^']*)'", r"`\1`", escaped)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))
