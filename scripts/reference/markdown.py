"""Markdown from plain values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def code(text: str) -> str:
    """`text` as inline code; nothing for nothing."""
    return f"`{text}`" if text else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; bars and line breaks in cells are kept from ending them."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def as_words(help_text: str) -> str:
    """A sentence of `--help` in Markdown: 'quoted commands' become code, the rest is literal."""
    escaped = re.sub(r"([*_\\<>\[\]])", r"\\\1", help_text)
    return re.sub(r"'(cnn-pipeline [^']*)'", r"`\1`", escaped)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))
