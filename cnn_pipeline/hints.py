"""A guess at the word that was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(received: str, known: Iterable[str]) -> str:
    """'; did you mean 'pooling'?', or nothing where no known word is close."""
    close = difflib.get_close_matches(received, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
